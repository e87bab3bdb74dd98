"""Objects that only have reset, step and render: a recording proxy of one.

For a single environment of any origin that answers as Gymnasium or as old Gym did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import FrameError, RenderError, UnsupportedEnvError
from rollout_viewer._recorder import Recorder
from rollout_viewer._rows import Kind
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from rollout_viewer._rows import Mask

_NEEDED = ("reset", "step", "render")


def wrap(env: Any, **options: Any) -> RecordedObject | None:
    """Return `env` as a recording proxy; None where it lacks a method."""
    if isinstance(env, type):
        return None
    if not all(callable(getattr(env, name, None)) for name in _NEEDED):
        return None
    return RecordedObject(env, **options)


class RecordedObject(RecordingWrapper):
    """A stand-in for an environment, whose reset and step record.

    `reset` returns what the environment's does, or (observation, info) made of it;
    `step` returns five values, also where the environment returns four (observation,
    reward, done, info). Everything else is the environment's own.

    Args:
        env: A single environment.
        **options: Of `Recorder`.

    Raises:
        UnsupportedEnvError: It is a batch of environments.
    """

    def __init__(self, env: Any, **options: Any) -> None:
        if getattr(env, "num_envs", 1) != 1:
            raise UnsupportedEnvError(
                f"record: expected a single environment, got {type(env).__name__} with "
                f"num_envs={env.num_envs}, which is no gymnasium.vector.VectorEnv. "
                "Give its frames to FrameCache.append() yourself."
            )
        metadata = getattr(env, "metadata", None) or {}
        self.env = env
        self.recorder = Recorder(
            1,
            fps=metadata.get("render_fps"),
            metadata={"env_id": type(env).__name__},
            **options,
        )
        self.begins: Mask = np.zeros(1, np.bool_)
        self.is_closed = False

    def __getattr__(self, name: str) -> Any:
        # "env": asked for before __init__, as by copy.copy. The environment's own
        # __deepcopy__ or __getstate__ would copy it without the recorder.
        if name == "env" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.env, name)

    def check_open(self) -> None:
        """Raise RenderError if `close` was called."""
        if self.is_closed:
            raise RenderError(
                "record: expected an open environment, got "
                f"{type(self.env).__name__}, which was closed. Make a new one."
            )

    def reset(self, **options: Any) -> tuple[Any, Any]:
        """Reset the environment; records the first row of an episode."""
        given = {name: value for name, value in options.items() if value is not None}
        result = self.env.reset(**given)
        is_pair = isinstance(result, tuple) and len(result) == 2
        self.begins[:] = True
        seed = given.get("seed")
        self.recorder.add(
            [Kind.RESET],
            self._pictures,
            infos={0: {} if seed is None else {"seed": int(seed)}},
        )
        return result if is_pair else (result, {})

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step the environment; records a row."""
        result = self.env.step(action)
        if len(result) == 4:
            obs, reward, terminated, info = result
            truncated: Any = False
        else:
            obs, reward, terminated, truncated, info = result
        self.begins[:] = False
        self.recorder.add(
            [Kind.STEP],
            self._pictures,
            reward=[float(reward)],
            terminated=[bool(terminated)],
            truncated=[bool(truncated)],
            action=[action],
        )
        return obs, reward, terminated, truncated, info

    def reset_ended(self, ended: Mask) -> Any:
        """Reset if the episode ended; return the new observation, or None."""
        return self.reset()[0] if ended[0] else None

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            if hasattr(self.env, "close"):
                self.env.close()

    def _pictures(self) -> list[Any]:
        name = type(self.env).__name__
        try:
            picture = self.env.render()
        except Exception as error:
            raise RenderError(
                f"record: expected a picture from {name}.render(), got {error!r}."
            ) from error
        if picture is None:
            raise FrameError(
                f"record: expected {name}.render() to return an image, got None."
            )
        return [picture]
