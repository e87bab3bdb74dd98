"""What a call to an SB3 `VecEnv` was to each of its environments.

SB3 resets an environment in the call that ends it: such a call is two rows.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecEnv,
    VecEnvWrapper,
    unwrap_vec_normalize,
)

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._recording.step_row import STEP
from rollout_viewer.sources._batched_calls import reset_info
from rollout_viewer.sources._gl_context import render_in_contexts
from rollout_viewer.sources._later_rows import LaterRows
from rollout_viewer.sources._render_each import shares_picture
from rollout_viewer.sources._shared_arrays import all_of
from rollout_viewer.sources._spaces import parts_of
from rollout_viewer.sources.sb3._later import vec_states

# Among the bytes of bools: finding it is faster than `np.any`.
_TRUE = 1


class VecCalls(LaterRows, VecEnvWrapper):
    """Resets and steps as SB3's vector environments do, and records them.

    Rewards are recorded as they were before a `VecNormalize` within. Their pictures may
    be rendered later: after `_set_up_later`.
    """

    def __init__(self, venv: VecEnv) -> None:
        VecEnvWrapper.__init__(self, venv)
        self._set_up_rows(parts_of(self.observation_space))
        self._actions: Any = None

    def __getstate__(self) -> dict[str, Any]:
        # What SB3 keeps of the class for its __getattr__ cannot be pickled.
        return {k: v for k, v in self.__dict__.items() if k != "class_attributes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.class_attributes = dict(inspect.getmembers(type(self)))

    def reset(self) -> Any:
        """Reset all environments, with the values of `seed` and `set_options`."""
        base = innermost(self.venv)
        # Before the call, which forgets them.
        seeds = list(getattr(base, "_seeds", None) or [None] * self.num_envs)
        options = list(getattr(base, "_options", None) or [None] * self.num_envs)
        if self._check is not None:
            self._note_states(vec_states(self.venv))
        obs = self.venv.reset()
        self._record_call("reset", self._record_reset, obs, seeds, options)
        return obs

    def _record_reset(self, obs: Any, seeds: list[Any], options: list[Any]) -> None:
        self._after_reset()
        each = enumerate(zip(seeds, options, strict=False))
        infos = {env: reset_info(seed, option) for env, (seed, option) in each}
        self._add_reset(np.ones(self.num_envs, np.bool_), obs, infos)

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Start a step."""
        self._actions = np.array(actions)  # loops reuse their buffer
        self.venv.step_async(actions)

    def step_wait(self) -> Any:
        """Finish the step; records a row, or two where an episode ended."""
        result = self.venv.step_wait()
        self._record_call("step", self._record_step, *result)
        return result

    def _record_step(self, obs: Any, rewards: Any, dones: Any, infos: Any) -> None:
        rewards = original_rewards(self.venv, rewards)
        self._before_rows(rewards, dones, infos)
        ended = np.array(dones, np.bool_)
        step: dict[str, Any] = {"reward": rewards, "action": self._actions}
        if _TRUE not in ended.tobytes():
            step.update(terminated=ended, truncated=ended, step_info=infos)
            self._add_step(all_of(STEP, self.num_envs), obs, **step)
            return
        truncated = ended & [bool(i.get("TimeLimit.truncated")) for i in infos]
        step.update(terminated=ended & ~truncated, truncated=truncated)
        envs = np.flatnonzero(ended).tolist()
        final = {env: infos[env].get("terminal_observation") for env in envs}
        self._add_same_step(ended, obs, final, infos, None, **step)

    def _before_rows(self, rewards: Any, dones: Any, infos: Any) -> None:
        """Do what comes between a step and its rows."""

    def _after_reset(self) -> None:
        """Do what comes between a reset and its row."""

    def _pictures(self) -> list[Any]:
        try:
            pictures = list(_images(self.venv))
        except (NotImplementedError, AttributeError):  # SuperSuit's has no method
            pictures = [self._render_all()]
        missing = [
            env
            for env, one in enumerate(pictures)
            if type(one) is not np.ndarray and not _is_array(one)
        ]
        if missing or not pictures:
            raise FrameError(
                "record: expected a picture of each env from get_images(), got "
                f"{type(pictures[missing[0]]).__name__ if pictures else 'none'} of "
                f"envs {missing}. Make the envs with render_mode='rgb_array'."
            )
        return pictures

    def _render_all(self) -> Any:
        """Return one picture of all envs."""
        try:
            return self.venv.render(mode="rgb_array")
        except TypeError:
            return self.venv.render()


def _images(venv: VecEnv) -> Any:
    """Return a picture of each env, MuJoCo's each in its own OpenGL context."""
    base: Any
    base, pictures = venv, None
    while getattr(type(base), "get_images", None) is VecEnvWrapper.get_images:
        base = base.venv
    if type(base) is DummyVecEnv and "get_images" not in vars(base):
        pictures = render_in_contexts(base.envs)
    return venv.get_images() if pictures is None else pictures


def innermost(venv: VecEnv) -> Any:
    """Return the `VecEnv` within all wrappers."""
    while isinstance(venv, VecEnvWrapper):
        venv = venv.venv
    return venv


def original_rewards(venv: VecEnv, rewards: Any) -> Any:
    """Return the last step's rewards before a `VecNormalize` scaled and clipped them.

    Where a wrapper around it changed them again, they are returned as they are.
    """
    if type(venv) is DummyVecEnv:  # nearly always, and there is none within
        return rewards
    normalize = unwrap_vec_normalize(venv)
    if normalize is None or not normalize.norm_reward:
        return rewards
    original = normalize.get_original_reward()
    is_scaled = np.array_equal(normalize.normalize_reward(original), rewards)
    return original if is_scaled else rewards


def env_info(venv: VecEnv) -> dict[str, Any]:
    """Return fps and metadata for a recorder."""
    base = innermost(venv)
    metadata: dict[str, Any] = {"source": "stable_baselines3"}
    fps = threshold = None
    try:
        env_metadata = base.get_attr("metadata", [0])[0] or {}
        fps = env_metadata.get("render_fps")
        spec = base.get_attr("spec", [0])[0]
        if spec is not None:
            metadata["env_id"] = spec.id
            threshold = getattr(spec, "reward_threshold", None)
    except (AttributeError, NotImplementedError):
        fps = (getattr(base, "metadata", None) or {}).get("render_fps")
    return {
        "fps": fps,
        "metadata": metadata,
        "shares_picture": shares_picture(base),
        "reward_threshold": threshold,
    }


def check_renders(venv: VecEnv) -> None:
    """Raise RenderError where `venv` cannot render images."""
    if venv.render_mode != "rgb_array":
        raise RenderError(
            "record: expected a VecEnv with render_mode 'rgb_array', got "
            f"{venv.render_mode!r}. Make it with make_vec_env(..., "
            "env_kwargs={'render_mode': 'rgb_array'})."
        )


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")
