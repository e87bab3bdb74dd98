"""A Gymnasium `Env` of many environments, such as a GPU simulation, that records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer.sources._batched_calls import BatchedCalls
from rollout_viewer.sources._batched_env import autoreset_mode, parts_of_each
from rollout_viewer.sources._rollout_env import RolloutBatchedEnv
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.gymnasium._env_info import check_renders, env_info, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    EnvWrapper = gymnasium.Wrapper[Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    EnvWrapper = gymnasium.Wrapper


class RecordedBatchedEnv(RecordingWrapper, BatchedCalls, EnvWrapper):
    """An `Env` of many environments that records, such as a GPU simulation.

    Observations, rewards and ends are batches (B, ...), arrays or tensors; tensors of
    another device are copied once a call. `render` returns a picture for each
    environment, for each of the recorded `envs`, or, where
    ``metadata["shared_picture"]`` is True, one of them all.

    Ended environments reset as ``env.metadata["autoreset_mode"]`` declares; without it,
    in the call that ends them. ``reset(options=...)`` with ``"reset_mask"`` or
    ``"env_idx"`` resets those envs alone.

    Args:
        env: Made with ``render_mode="rgb_array"``.
        num_envs: Number of its environments.
        recorder: One without rows, to record with; None: a new one.
        **options: Of `Recorder`, for a new one.

    Raises:
        RenderError: It cannot render images, or is closed.
        ValueError: Its autoreset mode is none of Gymnasium's.
        ShapeError: The cache of `recorder` has another number of envs.
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        num_envs: int,
        *,
        recorder: Recorder | None = None,
        **options: Any,
    ) -> None:
        EnvWrapper.__init__(self, env)
        check_renders(env)
        self.num_envs = num_envs
        self._set_up_calls(autoreset_mode(env), parts_of_each(env, num_envs))
        if recorder is None:
            info = env_info(env, autoreset_mode=self._mode)
            recorder = Recorder(num_envs, **info, **options)
        else:
            recorder.widen(num_envs)
        self.recorder = recorder

    def record_reset(
        self, obs: Any, seed: Any, options: Mapping[str, Any] | None, info: Any
    ) -> None:
        """Record a reset of all envs, for which `reset` was not called."""
        mask = np.ones(self.num_envs, np.bool_)
        self._record_reset(obs, seed, options or {}, mask, info)

    def _render_env(self) -> Any:
        return render(self.env, self.num_envs, self._pictured_envs())

    def close(self) -> None:
        """Write the recording to its file, then close the environments."""
        self._finish(self.env.close)

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_renders(self)

    def rollout_env(self) -> RolloutBatchedEnv:
        """Return what `rollout` steps."""
        return RolloutBatchedEnv(self)
