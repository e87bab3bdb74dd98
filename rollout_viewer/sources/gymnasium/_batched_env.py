"""A Gymnasium `Env` that is many: a simulation which gives batches, and records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer.sources._batched_calls import BatchedCalls
from rollout_viewer.sources._batched_env import autoreset_mode, parts_of_each
from rollout_viewer.sources._rollout_env import RolloutEnv
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.gymnasium._env_info import check_renders, env_info, render

if TYPE_CHECKING:
    from collections.abc import Callable

    EnvWrapper = gymnasium.Wrapper[Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    EnvWrapper = gymnasium.Wrapper


class RecordedBatchedEnv(BatchedCalls, EnvWrapper, RecordingWrapper):
    """An `Env` of many environments that records, as GPU simulations offer them.

    Observations, rewards and ends are batches (B, ...), arrays or tensors; tensors of
    another device come over once a call. `render` returns a picture for each
    environment, for each of the recorded `envs`, or one of them all.

    An environment that ended is reset as ``env.metadata["autoreset_mode"]`` tells;
    where it tells nothing, in the call that ends it. ``reset(options=...)`` with
    ``"reset_mask"`` or ``"env_idx"`` is of those envs alone.

    Args:
        env: Made with ``render_mode="rgb_array"``; its `num_envs` tells how many.
        num_envs: How many there are.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures, or is closed.
        ValueError: Its autoreset mode is none that Gymnasium knows.
    """

    _first_obs: Any = None

    def __init__(
        self, env: gymnasium.Env[Any, Any], num_envs: int, **options: Any
    ) -> None:
        EnvWrapper.__init__(self, env)
        check_renders(env)
        self.num_envs = num_envs
        self._set_up_calls(autoreset_mode(env), parts_of_each(env, num_envs) or [])
        self.recorder = Recorder(
            num_envs, **env_info(env, autoreset_mode=self._mode), **options
        )

    @classmethod
    def take_over(
        cls, env: Any, num_envs: int, obs: Any, seed: Any, options: Any
    ) -> None:
        """Make a `RecordedEnv` one of many, at its first reset.

        Raises:
            ShapeError: Its cache has another number of envs.
        """
        env.recorder.widen(num_envs)
        env.__class__ = cls
        env.num_envs, env._first_obs = num_envs, obs
        env._set_up_calls(autoreset_mode(env), parts_of_each(env, num_envs) or [])
        env._tell_reset(obs, seed, options or {}, np.ones(num_envs, np.bool_))

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self.recorder.add(kind, pictures, **call)

    def _chosen(self) -> list[int] | None:
        return self.recorder.envs

    def _render_env(self) -> Any:
        return render(self.env)

    def close(self) -> None:
        """Write the recording to its file, then close the environments."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.env.close()

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_renders(self)

    def driven(self) -> RolloutEnv:
        """Return what `rollout` steps it by."""
        return RolloutEnv(self, self._first_obs)
