"""Gymnasium: wrappers for `Env` and `VectorEnv` that record what passes through.

They tell the recorder what each call was to each env, in all three autoreset
modes, and hand everything else on unchanged. Know nothing of caches or files.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv

from rollout_viewer.sources.gymnasium._asking import check_renders
from rollout_viewer.sources.gymnasium._env import RecordedEnv
from rollout_viewer.sources.gymnasium._vector_env import RecordedVectorEnv
from rollout_viewer.sources.gymnasium.record_video import RecordVideo
from rollout_viewer.sources.gymnasium.vector import VectorRecordVideo

__all__ = [
    "RecordVideo",
    "RecordedEnv",
    "RecordedVectorEnv",
    "VectorRecordVideo",
    "check_renders",
    "wrap",
]


def wrap(env: Any, **options: Any) -> RecordedEnv | RecordedVectorEnv | None:
    """Return `env` in the wrapper of its kind; None where it is of neither."""
    if isinstance(env, VectorEnv):
        return RecordedVectorEnv(env, **options)
    if isinstance(env, gymnasium.Env):
        return RecordedEnv(env, **options)
    return None
