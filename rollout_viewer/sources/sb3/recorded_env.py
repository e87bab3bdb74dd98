"""An SB3 `VecEnv` that records what passes through, for loops and `rollout`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stable_baselines3.common.vec_env import VecEnv

from rollout_viewer._errors import RenderError
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer.sources._rollout_env import BatchedSpace
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.sb3._vec_calls import VecCalls, check_renders, env_info

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.step_row import Mask


def wrap(env: Any, **options: Any) -> RecordedVecEnv | None:
    """Return a `VecEnv` in a wrapper that records; None where it is none."""
    return RecordedVecEnv(env, **options) if isinstance(env, VecEnv) else None


class RecordedVecEnv(VecCalls, RecordingWrapper):
    """A `VecEnv` that records pictures, rewards, ends, actions, observations.

    An episode's end has a picture where the terminal observation is the picture, else
    it is marked as missing: SB3 resets before anybody can render.

    Args:
        venv: Its envs made with ``render_mode="rgb_array"``.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures.
    """

    def __init__(self, venv: VecEnv, **options: Any) -> None:
        check_renders(venv)
        super().__init__(venv)
        self.recorder = Recorder(self.num_envs, **env_info(venv), **options)

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self.recorder.add(kind, pictures, **call)

    def close(self) -> None:
        """Write the recording to its file, then close the environments."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.venv.close()

    def driven(self) -> RolloutVecEnv:
        """Return what `rollout` steps it by."""
        return RolloutVecEnv(self)


class RolloutVecEnv:
    """A recorded `VecEnv` as a Gymnasium vector environment is stepped."""

    def __init__(self, env: RecordedVecEnv) -> None:
        self._env = env
        self.recorder = env.recorder
        self.action_space = BatchedSpace(env.action_space, env.num_envs)

    @property
    def begins(self) -> Mask:
        """Bool (B,): the last observation is the first of an episode."""
        return self._env.begins

    def check_open(self) -> None:
        """Raise RenderError if it was closed."""
        if self._env.is_closed:
            raise RenderError(
                "record: expected an open environment, got a VecEnv that was closed. "
                "Make a new one."
            )

    def reset(self, *, seed: Any = None) -> tuple[Any, dict[str, Any]]:
        """Reset all envs; `seed` is the first one's, the others' follow on."""
        if isinstance(seed, (list, tuple)):
            raise ValueError(
                "rollout: expected one seed for a VecEnv, whose envs take seed, "
                f"seed + 1, ..., got {seed!r}."
            )
        if seed is not None:
            self._env.seed(int(seed))
        return self._env.reset(), {}

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all envs."""
        obs, reward, dones, infos = self._env.step(action)
        truncated = dones & [bool(info.get("TimeLimit.truncated")) for info in infos]
        return obs, reward, dones & ~truncated, truncated, infos

    def reset_ended(self, ended: Mask) -> Any:
        """Return None: SB3 has reset what ended."""
        return None
