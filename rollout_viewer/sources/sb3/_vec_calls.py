"""What a call to an SB3 `VecEnv` was to each of its environments.

SB3 resets an environment in the call that ends it, so that such a call is two rows:
the end, whose picture is gone unless the terminal observation is it, and the reset.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._batched_calls import reset_info
from rollout_viewer.sources._same_step import SameStep
from rollout_viewer.sources._spaces import kept, parts_of, with_final

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.step_row import Mask


class VecCalls(VecEnvWrapper):
    """Tells what each call was to each env.

    Whoever inherits records it: `_add` takes what `Recorder.add` takes, once a call or
    twice, and the other hooks stand where a recording may begin or end.

    Attributes:
        begins: Bool (B,): the last observation is the first of an episode.
    """

    def __init__(self, venv: VecEnv) -> None:
        super().__init__(venv)
        self.begins: Mask = np.zeros(self.num_envs, np.bool_)
        self._parts = parts_of(self.observation_space)
        self._actions: Any = None

    def __getstate__(self) -> dict[str, Any]:
        # What SB3 keeps of the class for its __getattr__ cannot be pickled.
        return {k: v for k, v in self.__dict__.items() if k != "class_attributes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.class_attributes = dict(inspect.getmembers(type(self)))

    def reset(self) -> Any:
        """Reset all environments, with what `seed` and `set_options` said."""
        base = innermost(self.venv)
        # Before the call, which forgets them.
        seeds = list(getattr(base, "_seeds", None) or [None] * self.num_envs)
        options = list(getattr(base, "_options", None) or [None] * self.num_envs)
        obs = self.venv.reset()
        self.begins = np.ones(self.num_envs, np.bool_)
        self._after_reset()
        self._add(
            np.full(self.num_envs, Kind.RESET),
            self._pictures,
            data=self._data(obs),
            infos={
                env: reset_info(seed, option)
                for env, (seed, option) in enumerate(zip(seeds, options, strict=False))
            },
        )
        self._after_call()
        return obs

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Start a step."""
        self._actions = np.array(actions)  # loops reuse their buffer
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Finish the step; records a row, or two where an episode ended."""
        result = obs, rewards, dones, infos = self.venv.step_wait()
        ended = np.array(dones, np.bool_)
        truncated = ended & [bool(i.get("TimeLimit.truncated")) for i in infos]
        kind = np.full(self.num_envs, Kind.STEP, np.uint8)
        pictures, data = self._pictures, self._data(obs)
        is_two_rows = bool(ended.any())
        first_data = data
        if is_two_rows:
            told = ((env, infos[env]) for env in np.flatnonzero(ended).tolist())
            final = {env: info.get("terminal_observation") for env, info in told}
            call = SameStep(self._pictures, obs, final, ended)
            kind[ended] = Kind.TERMINAL_MISSING
            if self._is_recording:  # it renders
                kind[call.shown()] = Kind.STEP
            pictures = call.terminal
            if data is not None:
                data = with_final(data, final, self._parts)
        self.begins = ended
        self._before_row(is_last=not is_two_rows)
        self._add(
            kind,
            pictures,
            reward=rewards,
            terminated=ended & ~truncated,
            truncated=truncated,
            action=self._actions,
            data=data,
        )
        if is_two_rows:
            self._before_row(is_last=True)
            self._add(
                np.where(ended, Kind.RESET, Kind.IDLE),
                call.rendered,
                data=first_data,
                is_same_call=True,
            )
        self._after_call()
        return result

    # -- for who inherits

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        """Record a row."""
        raise NotImplementedError

    @property
    def _is_recording(self) -> bool:
        """Whether `_add` makes rows."""
        return True

    def _after_reset(self) -> None:
        """Do what comes before the row of a reset."""

    def _before_row(self, *, is_last: bool) -> None:
        """Do what comes before a row of a step, of which the last shows what is now."""

    def _after_call(self) -> None:
        """Do what comes when all rows of a call are there."""

    # -- what is recorded

    def _pictures(self) -> list[Any]:
        try:
            pictures = list(self.venv.get_images())
        except NotImplementedError:
            pictures = [self.venv.render(mode="rgb_array")]
        missing = [env for env, one in enumerate(pictures) if not _is_array(one)]
        if missing or not pictures:
            raise FrameError(
                "record: expected a picture of each env from get_images(), got "
                f"{type(pictures[missing[0]]).__name__ if pictures else 'none'} of "
                f"envs {missing}. Make the envs with render_mode='rgb_array'."
            )
        return pictures

    def _data(self, obs: Any) -> dict[str, Any] | None:
        return kept(obs, self._parts, [self.num_envs])


def innermost(venv: VecEnv) -> Any:
    """Return the `VecEnv` within all wrappers."""
    while isinstance(venv, VecEnvWrapper):
        venv = venv.venv
    return venv


def env_info(venv: VecEnv) -> dict[str, Any]:
    """Return fps and metadata for a recorder."""
    base = innermost(venv)
    metadata: dict[str, Any] = {"source": "stable_baselines3"}
    fps = None
    try:
        told = base.get_attr("metadata", [0])[0] or {}
        fps = told.get("render_fps")
        spec = base.get_attr("spec", [0])[0]
        if spec is not None:
            metadata["env_id"] = spec.id
    except (AttributeError, NotImplementedError):
        fps = (getattr(base, "metadata", None) or {}).get("render_fps")
    return {"fps": fps, "metadata": metadata}


def check_renders(venv: VecEnv) -> None:
    """Raise RenderError where `venv` gives no pictures."""
    if venv.render_mode != "rgb_array":
        raise RenderError(
            "record: expected a VecEnv with render_mode 'rgb_array', got "
            f"{venv.render_mode!r}. Make it with make_vec_env(..., "
            "env_kwargs={'render_mode': 'rgb_array'})."
        )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")
