"""A Gymnasium `VectorEnv` that records what passes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import (
    AsyncVectorEnv,
    AutoresetMode,
    SyncVectorEnv,
    VectorEnv,
    VectorWrapper,
)

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer.sources._batched_calls import BatchedCalls, newest
from rollout_viewer.sources._rollout_env import RolloutEnv
from rollout_viewer.sources._spaces import parts_of
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.gymnasium._env_info import check_renders, env_info, render

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.step_row import Mask

    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    _VectorWrapper = VectorWrapper


class VectorCalls(BatchedCalls, _VectorWrapper):
    """Tells what each call was to each env of a `VectorEnv`."""

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        _VectorWrapper.__init__(self, env)
        mode = (env.metadata or {}).get("autoreset_mode", AutoresetMode.NEXT_STEP)
        parts = parts_of(env.single_observation_space)
        self._set_up_calls(AutoresetMode(mode).value, parts)

    def __del__(self) -> None:
        """Leave the environment open: VectorEnv's own would close it."""

    def _render_env(self) -> Any:
        return render(self.env)

    def _pictures(self) -> list[Any]:
        chosen = self._chosen()
        if chosen is None or type(self.env) is not SyncVectorEnv:
            return super()._pictures()
        # Rendering is what costs: only those that are recorded.
        frames: list[Any] = [None] * self.num_envs
        for env in chosen:
            frames[env] = newest(render(self.env.envs[env]))
        return frames

    def _seeds(self, seed: Any, mask: Mask) -> dict[int, Any]:
        # Native vector environments have one generator for all.
        is_each = isinstance(self.env.unwrapped, (SyncVectorEnv, AsyncVectorEnv))
        if seed is not None and np.ndim(seed) == 0 and is_each:
            return {env: seed + env for env in np.flatnonzero(mask).tolist()}
        return super()._seeds(seed, mask)


class RecordedVectorEnv(VectorCalls, RecordingWrapper):
    """A `VectorEnv` that records pictures, rewards, ends, actions, observations.

    Understands the autoreset modes of ``env.metadata["autoreset_mode"]``:
    NEXT_STEP (the call after an end is a reset), SAME_STEP (the call that ends
    gives two rows; the terminal picture is recorded where ``final_obs`` is it, else
    marked as missing) and DISABLED (``reset(options={"reset_mask": mask})``; the
    others are idle in that row).

    Args:
        env: Made with ``render_mode="rgb_array"``. `render` returns one picture for
            each env, or one of them all.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures, or is closed.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], **options: Any) -> None:
        super().__init__(env)
        check_renders(env)
        self.recorder = Recorder(
            env.num_envs, **env_info(env, autoreset_mode=self._mode), **options
        )

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self.recorder.add(kind, pictures, **call)

    def _chosen(self) -> list[int] | None:
        return self.recorder.envs

    def close(self, **kwargs: Any) -> None:
        """Write the recording to its file, then close the environments."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.env.close(**kwargs)

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_renders(self)

    def driven(self) -> RolloutEnv:
        """Return what `rollout` steps it by."""
        return RolloutEnv(self)
