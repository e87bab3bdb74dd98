"""Environments of many that are no `VectorEnv`: batches behind the interface of one.

GPU simulations give batches of tensors through `gymnasium.Env`, or through no
framework's class at all. Knows how these say how many they are, when they reset, and
how `rollout` steps them. Knows no framework.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer.sources._batched_calls import DISABLED, NEXT_STEP, SAME_STEP
from rollout_viewer.sources._spaces import Part, as_numpy, parts_of


def declared_num_envs(env: Any) -> int | None:
    """Return the `num_envs` that an environment tells; None: it tells none."""
    for one in (env, getattr(env, "unwrapped", env)):
        try:
            return operator.index(one.num_envs)
        except (AttributeError, TypeError):
            continue
    return None


def inferred_num_envs(obs: Any, space: Any) -> int | None:
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
