"""Gymnasium: wrappers for `Env` and `VectorEnv` that record each call.

- `_env`, `_batched_env`, `_vector_env`: the wrappers of `rollout_viewer.record`.
- `record_video`, `vector_record_video`, `_record_video_base`, `_video_calls`:
  `RecordVideo`; `vector` has it under Gymnasium's name.
- `_later`, `_async_states`: what a replay needs of them, where pictures are rendered
  later.
- `_env_info`: what environments declare: pictures, names, fps, and how they reset.

In all three autoreset modes. Observations, rewards and infos are returned unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import VectorEnv

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer.sources._batched_env import declared_num_envs
from rollout_viewer.sources.gymnasium._batched_env import RecordedBatchedEnv
from rollout_viewer.sources.gymnasium._env import RecordedEnv
from rollout_viewer.sources.gymnasium._env_info import check_renders
from rollout_viewer.sources.gymnasium._vector_env import RecordedVectorEnv
from rollout_viewer.sources.gymnasium.record_video import RecordVideo
from rollout_viewer.sources.gymnasium.vector_record_video import VectorRecordVideo

if TYPE_CHECKING:
    from rollout_viewer.sources._adapters import Later

__all__ = [
    "RecordVideo",
    "RecordedBatchedEnv",
    "RecordedEnv",
    "RecordedVectorEnv",
    "VectorRecordVideo",
    "check_renders",
    "wrap",
]


def wrap(
    env: Any, *, later: Later | None = None, **options: Any
) -> RecordedBatchedEnv | RecordedEnv | RecordedVectorEnv | None:
    """Return `env` in the wrapper of its kind; None for anything else."""
    if isinstance(env, VectorEnv):
        return RecordedVectorEnv(env, later=later, **options)
    if not isinstance(env, gymnasium.Env):
        return None
    num_envs = declared_num_envs(env)
    if num_envs is None or num_envs == 1:
        return RecordedEnv(env, later=later, **options)
    if later is not None:
        raise UnsupportedEnvError(
            "record: expected one environment, or a Sync- or AsyncVectorEnv, for "
            f"render='later', got a batch of {num_envs} in one. Record with "
            "render='now'."
        )
    return RecordedBatchedEnv(env, num_envs, **options)
