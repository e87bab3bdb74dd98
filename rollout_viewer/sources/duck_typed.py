"""Objects that only have reset, step and render: a recording proxy of one.

For environments of any origin, single or in batches, that answer as Gymnasium or as
old Gym did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._batched_calls import BatchedCalls
from rollout_viewer.sources._batched_env import (
    autoreset_mode,
    check_is_one,
    declared_num_envs,
    parts_of_each,
)
from rollout_viewer.sources._rollout_env import RolloutEnv
from rollout_viewer.sources._spaces import (
    as_numpy,
    kept,
    one_action,
    parts_like,
    parts_of,
)
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._recording.step_row import Mask

_NEEDED = ("reset", "step", "render")


def wrap(env: Any, **options: Any) -> RecordedObject | RecordedObjects | None:
    """Return `env` as a recording proxy; None where it lacks a method."""
    if isinstance(env, type):
        return None
    if not all(callable(getattr(env, name, None)) for name in _NEEDED):
        return None
    num_envs = declared_num_envs(env)
    if num_envs is None or num_envs == 1:
        return RecordedObject(env, **options)
    return RecordedObjects(env, num_envs, **options)


class _Proxy(RecordingWrapper):
    """A stand-in for an object: what it lacks itself is the object's own."""

    def __init__(self, env: Any, num_envs: int, **options: Any) -> None:
        metadata = getattr(env, "metadata", None) or {}
        self.env = env
        self.recorder = Recorder(
            num_envs,
            fps=metadata.get("render_fps"),
            metadata={"env_id": type(env).__name__},
            **options,
        )
        self.begins: Mask = np.zeros(num_envs, np.bool_)
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

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            if hasattr(self.env, "close"):
                self.env.close()

    def _rendered(self) -> Any:
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
        return picture


class RecordedObject(_Proxy):
    """A stand-in for an environment, whose reset and step record.

    `reset` returns what the environment's does, or (observation, info) made of it;
    `step` returns five values, also where the environment returns four (observation,
    reward, done, info). Everything else is the environment's own. Observations are
    recorded where they are numbers, up to 64 kB, and no images.

    Args:
        env: A single environment.
        **options: Of `Recorder`.
    """

    def __init__(self, env: Any, **options: Any) -> None:
        super().__init__(env, 1, **options)
        space = getattr(env, "observation_space", None)
        self._parts = None if space is None else parts_of(space)

    def reset(self, **options: Any) -> tuple[Any, Any]:
        """Reset the environment; records the first row of an episode."""
        given = {name: value for name, value in options.items() if value is not None}
        obs, info = _as_pair(self.env.reset(**given))
        if self._parts is None:
            self._parts = parts_like(obs, 0)
        self.begins[:] = True
        seed = given.get("seed")
        self.recorder.add(
            [Kind.RESET],
            self._pictures,
            data=kept(obs, self._parts, [1]),
            infos={0: {} if seed is None else {"seed": int(seed)}},
        )
        return obs, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step the environment; records a row."""
        result = obs, reward, terminated, truncated, _ = _as_five(self.env.step(action))
        check_is_one(reward, self.env)
        self.begins[:] = False
        self.recorder.add(
            [Kind.STEP],
            self._pictures,
            reward=[float(reward)],
            terminated=[bool(terminated)],
            truncated=[bool(truncated)],
            action=one_action(action, getattr(self.env, "action_space", None)),
            data=kept(obs, self._parts or [], [1]),
        )
        return result

    def reset_ended(self, ended: Mask) -> Any:
        """Reset if the episode ended; return the new observation, or None."""
        return self.reset()[0] if ended[0] else None

    def _pictures(self) -> list[Any]:
        return [self._rendered()]


class RecordedObjects(BatchedCalls, _Proxy):
    """A stand-in for a batch of environments, whose reset and step record.

    As `RecordedObject`; rewards and ends are batches (B,), arrays or tensors, of
    which those of another device come over once a call. `render` returns a picture
    for each environment, for each of the recorded `envs`, or one of them all.

    An environment that ended is reset as ``env.metadata["autoreset_mode"]`` tells;
    where it tells nothing, in the call that ends it.

    Args:
        env: Its `num_envs` tells how many.
        num_envs: How many there are.
        **options: Of `Recorder`.

    Raises:
        ValueError: Its autoreset mode is none that Gymnasium knows.
    """

    def __init__(self, env: Any, num_envs: int, **options: Any) -> None:
        _Proxy.__init__(self, env, num_envs, **options)
        self.num_envs = num_envs
        parts = parts_of_each(env, num_envs)
        self._knows_parts = parts is not None
        self._set_up_calls(autoreset_mode(env), parts or [])

    def driven(self) -> RolloutEnv:
        """Return what `rollout` steps it by."""
        return RolloutEnv(self)

    def _reset_env(self, seed: Any, options: Any) -> tuple[Any, Any]:
        given = {"seed": seed, "options": options}
        known = {name: value for name, value in given.items() if value is not None}
        obs, info = _as_pair(self.env.reset(**known))
        if not self._knows_parts:
            self._parts = parts_like(obs, self.num_envs)
            self._knows_parts = True
        return obs, info

    def _step_env(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        return _as_five(self.env.step(actions))

    def _render_env(self) -> Any:
        return self._rendered()

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self.recorder.add(kind, pictures, **call)

    def _chosen(self) -> list[int] | None:
        return self.recorder.envs


def _as_pair(result: Any) -> tuple[Any, Any]:
    """Return what a reset returned as (observation, info)."""
    is_pair = isinstance(result, tuple) and len(result) == 2
    return (result[0], result[1]) if is_pair else (result, {})


def _as_five(result: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return what a step returned as Gymnasium's five values."""
    if len(result) == 5:
        obs, reward, terminated, truncated, info = result
        return obs, reward, terminated, truncated, info
    obs, reward, done, info = result
    cut = _time_limits(info)
    if cut is None:
        return obs, reward, done, as_numpy(done) & False, info
    cut = np.asarray(as_numpy(cut), np.bool_) & as_numpy(done)
    return obs, reward, np.asarray(as_numpy(done)) & ~cut, cut, info


def _time_limits(info: Any) -> Any:
    """Return what old Gym's wrapper, or Isaac Gym, says of time limits."""
    told: Mapping[str, Any] = info if isinstance(info, dict) else {}
    for name in ("TimeLimit.truncated", "time_outs"):
        if name in told:
            return told[name]
    return None
