"""Environments without a framework: objects with reset, step and render.

Single or batched, with the return values of Gymnasium or of old Gym.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.vector_reward import one_reward
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._batched_calls import BatchedCalls, reset_info
from rollout_viewer.sources._batched_env import (
    autoreset_mode,
    check_is_one,
    declared_num_envs,
    parts_of_each,
)
from rollout_viewer.sources._device_copies import is_elsewhere
from rollout_viewer.sources._render_each import render_each, shares_picture
from rollout_viewer.sources._rollout_env import RolloutBatchedEnv
from rollout_viewer.sources._spaces import (
    observation_data,
    one_action,
    parts_like,
    parts_of,
)
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from rollout_viewer._recording.step_row import Mask

_NEEDED = ("reset", "step", "render")


def wrap(env: Any, **options: Any) -> RecordedObject | RecordedObjects | None:
    """Return `env` in a proxy that records; None where it lacks a method."""
    if isinstance(env, type):
        return None
    if not all(callable(getattr(env, name, None)) for name in _NEEDED):
        return None
    num_envs = declared_num_envs(env)
    if num_envs is None or num_envs == 1:
        return RecordedObject(env, **options)
    return RecordedObjects(env, num_envs, **options)


class _Proxy(RecordingWrapper):
    """A proxy of an object: attributes that it lacks are the object's."""

    def __init__(self, env: Any, num_envs: int, **options: Any) -> None:
        metadata = getattr(env, "metadata", None) or {}
        self.env = env
        self.recorder = Recorder(
            num_envs,
            fps=metadata.get("render_fps"),
            metadata={"env_id": type(env).__name__},
            shares_picture=shares_picture(env),
            **options,
        )
        self.begins: Mask = np.zeros(num_envs, np.bool_)
        self.is_closed = False

    def __getattr__(self, name: str) -> Any:
        # "env": read before __init__, as by copy.copy. The environment's own
        # __deepcopy__ or __getstate__ would copy it without the recorder.
        if name == "env" or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.env, name)

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        self._finish(getattr(self.env, "close", lambda: None))

    def _env_name(self) -> str:
        return type(self.env).__name__

    def _rendered(self) -> Any:
        name = type(self.env).__name__
        try:
            picture = render_each(
                self.env.render, self.recorder.num_envs, self.recorder.envs
            )
        except MemoryError:
            raise
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
    """A proxy of an environment, whose reset and step record.

    `reset` returns (observation, info), also where the environment returns the
    observation alone; `step` returns five values, also where the environment returns
    four (observation, reward, done, info). Every other attribute is the environment's.
    Observations are recorded where they are numbers, up to 64 kB, and no images.

    Args:
        env: A single environment.
        **options: Of `Recorder`.
    """

    def __init__(self, env: Any, **options: Any) -> None:
        space = getattr(env, "observation_space", None)
        self._parts = None if space is None else parts_of(space)
        super().__init__(env, 1, **options)

    def reset(self, **options: Any) -> tuple[Any, Any]:
        """Reset the environment; records the first row of an episode."""
        given = {name: value for name, value in options.items() if value is not None}
        obs, info = _as_pair(self.env.reset(**given))
        self._record_call("reset", self._record_reset, obs, given.get("seed"), info)
        return obs, info

    def _record_reset(self, obs: Any, seed: Any, info: Any) -> None:
        if self._parts is None:
            self._parts = parts_like(obs, 0)
        self.begins[:] = True
        self.recorder.add(
            [Kind.RESET],
            self._pictures,
            data=observation_data(obs, self._parts, [1]),
            infos={0: reset_info(seed, None)},
            step_info=[info] if info else None,
        )

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step the environment; records a row."""
        result = _as_five(self.env.step(action))
        self._record_call("step", self._record_step, action, *result)
        return result

    def _record_step(
        self,
        action: Any,
        obs: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Any,
    ) -> None:
        check_is_one(terminated, self.env)
        self.begins[:] = False
        self.recorder.add(
            [Kind.STEP],
            self._pictures,
            reward=one_reward(reward),
            terminated=[bool(terminated)],
            truncated=[bool(truncated)],
            action=one_action(action, getattr(self.env, "action_space", None)),
            data=observation_data(obs, self._parts or [], [1]),
            step_info=[info] if info else None,
        )

    def reset_ended(self, ended: Mask) -> Any:
        """Reset if the episode ended; return the new observation, or None."""
        return self.reset()[0] if ended[0] else None

    def _pictures(self) -> list[Any]:
        return [self._rendered()]


class RecordedObjects(_Proxy, BatchedCalls):
    """A proxy of a batch of environments, whose reset and step record.

    As `RecordedObject`; rewards and ends are batches (B,), arrays or tensors, which are
    copied from another device once a call. `render` returns a picture for each
    environment, for each of the recorded `envs`, or, where
    ``metadata["shared_picture"]`` is True, one of them all.

    Ended environments reset as ``env.metadata["autoreset_mode"]`` declares; without it,
    in the call that ends them.

    Args:
        env: The batch.
        num_envs: Number of its environments.
        **options: Of `Recorder`.

    Raises:
        ValueError: Its autoreset mode is none of Gymnasium's.
    """

    def __init__(self, env: Any, num_envs: int, **options: Any) -> None:
        self.num_envs = num_envs
        self._set_up_calls(autoreset_mode(env), parts_of_each(env, num_envs))
        # Last: where it is refused, no file is left.
        _Proxy.__init__(self, env, num_envs, **options)

    def rollout_env(self) -> RolloutBatchedEnv:
        """Return what `rollout` steps."""
        return RolloutBatchedEnv(self)

    def _reset_env(self, seed: Any, options: Any) -> tuple[Any, Any]:
        given = {"seed": seed, "options": options}
        known = {name: value for name, value in given.items() if value is not None}
        return _as_pair(self.env.reset(**known))

    def _step_env(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        return _as_five(self.env.step(actions))

    def _render_env(self) -> Any:
        return self._rendered()


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
    at_limit = _time_limits(info)
    if is_elsewhere(done) and (at_limit is None or is_elsewhere(at_limit)):
        # They stay there, and come over with the rest of the call.
        done = done.bool()
        truncated = done & (False if at_limit is None else at_limit.bool())
        return obs, reward, done & ~truncated, truncated, info
    if at_limit is None:
        return obs, reward, done, as_numpy(done) & False, info
    truncated = np.asarray(as_numpy(at_limit), np.bool_) & as_numpy(done)
    return obs, reward, np.asarray(as_numpy(done)) & ~truncated, truncated, info


def _time_limits(info: Any) -> Any:
    """Return the time limits of old Gym's wrapper, or of Isaac Gym, or None."""
    if isinstance(info, dict):
        for name in ("TimeLimit.truncated", "time_outs"):
            if name in info:
                return info[name]
    return None
