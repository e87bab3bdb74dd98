"""Environments of many that are no `VectorEnv`: batches behind the interface of one.

GPU simulations give batches of tensors through `gymnasium.Env`, or through no
framework's class at all. Knows how these say how many they are, when they reset, and
how `rollout` steps them. Knows no framework.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer.sources._batch import DISABLED, NEXT_STEP, SAME_STEP
from rollout_viewer.sources._numbers import Part, as_numpy, parts_of

if TYPE_CHECKING:
    from rollout_viewer._recorder import Recorder
    from rollout_viewer._rows import Mask


def told_num_envs(env: Any) -> int | None:
    """Return the `num_envs` that an environment tells; None: it tells none."""
    for one in (env, getattr(env, "unwrapped", env)):
        try:
            return operator.index(one.num_envs)
        except (AttributeError, TypeError):
            continue
    return None


def seen_num_envs(obs: Any, space: Any) -> int | None:
    """Return how many environments an observation is of; None: one, by its space."""
    shape, seen = getattr(space, "shape", None), np.shape(as_numpy(obs))
    if shape is None or len(seen) != len(shape) + 1 or seen[1:] != tuple(shape):
        return None
    return int(seen[0])


def check_is_one(reward: Any, env: Any) -> None:
    """Raise UnsupportedEnvError where a reward is of many environments."""
    size = np.size(as_numpy(reward))
    if size != 1:
        raise UnsupportedEnvError(
            f"record: expected one reward a step from {type(env).__name__}, got "
            f"{size}. If these are environments, give it num_envs = {size}."
        )


def autoreset_mode(env: Any) -> str:
    """Return when environments that ended are reset, as ``metadata`` tells.

    Those that tell nothing do it in the call that ends them, as most simulations.
    """
    metadata = getattr(env, "metadata", None) or {}
    told = metadata.get("autoreset_mode", SAME_STEP)
    value = getattr(told, "value", told)
    if value not in (NEXT_STEP, SAME_STEP, DISABLED):
        raise ValueError(
            'record: expected metadata["autoreset_mode"] to be one of '
            f"{NEXT_STEP!r}, {SAME_STEP!r} and {DISABLED!r}, got {told!r}."
        )
    return str(value)


def parts_of_each(env: Any, num_envs: int) -> list[Part] | None:
    """Return what is kept of one env's observations; None: there is no space."""
    single = getattr(env, "single_observation_space", None)
    space = getattr(env, "observation_space", None) if single is None else single
    if space is None:
        return None
    parts = parts_of(space)
    if single is None and parts and all(p.shape[:1] == (num_envs,) for p in parts):
        return [part.of_each(num_envs) for part in parts]
    return parts


class Driven:
    """A recorded batch, as `rollout` steps it.

    Where its observations are tensors, the actions are: on the same device.

    Args:
        env: The recorded one.
        obs: Its last observation, if it was reset before.
    """

    recorder: Recorder

    def __init__(self, env: Any, obs: Any = None) -> None:
        self._env = env
        self._obs = obs
        self.recorder = env.recorder
        space = getattr(env, "action_space", None)
        if space is None or is_batched(space, env):
            self.action_space = space
        else:
            self.action_space = EachSpace(space, env.num_envs)

    @property
    def begins(self) -> Mask:
        """Bool (B,): the last observation is the first of an episode."""
        begins: Mask = self._env.begins
        return begins

    def check_open(self) -> None:
        """Raise RenderError if it was closed."""
        self._env.check_open()

    def reset(self, *, seed: Any = None) -> tuple[Any, Any]:
        """Reset all environments."""
        self._obs, info = self._env.reset(seed=seed)
        return self._obs, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all environments."""
        result: tuple[Any, Any, Any, Any, Any] = self._env.step(
            _like(action, self._obs)
        )
        self._obs = result[0]
        return result

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the envs that ended, where that is left to the caller."""
        return self._env.reset_ended(ended)


class EachSpace:
    """The spaces of all envs, as one of a batch."""

    def __init__(self, space: Any, num_envs: int) -> None:
        self._space = space
        self._num_envs = num_envs
        shape = getattr(space, "shape", None)
        self.shape = None if shape is None else (num_envs, *shape)

    def seed(self, seed: int) -> None:
        """Seed what `sample` returns."""
        self._space.seed(seed)

    def sample(self) -> Any:
        """Return a sample for each env."""
        return np.array([self._space.sample() for _ in range(self._num_envs)])


def is_batched(space: Any, env: Any) -> bool:
    """Tell whether an action space is of all envs, not of each."""
    shape = getattr(space, "shape", None)
    single = getattr(getattr(env, "single_action_space", None), "shape", None)
    if shape is None:
        return True
    if single is not None:
        return tuple(shape) == (env.num_envs, *single)
    return tuple(shape[:1]) == (env.num_envs,)


def _like(action: Any, obs: Any) -> Any:
    """Return an action as a tensor, where the observations are tensors."""
    while isinstance(obs, (dict, tuple)) and obs:
        obs = next(iter(obs.values())) if isinstance(obs, dict) else obs[0]
    if not hasattr(obs, "detach") or not isinstance(action, np.ndarray):
        return action
    import torch

    return torch.as_tensor(action, device=obs.device)
