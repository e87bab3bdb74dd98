"""Batched environments that are no `VectorEnv`: their number, and when they reset.

GPU simulations return batches of tensors through `gymnasium.Env`, or through a class of
no framework. Knows no framework.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer.sources._batched_calls import DISABLED, NEXT_STEP, SAME_STEP
from rollout_viewer.sources._spaces import Part, as_array, parts_of


def declared_num_envs(env: Any) -> int | None:
    """Return an environment's own `num_envs`; None without one."""
    for candidate in (env, getattr(env, "unwrapped", env)):
        try:
            return operator.index(candidate.num_envs)
        except (AttributeError, TypeError):
            continue
    return None


def inferred_num_envs(obs: Any, space: Any) -> int | None:
    """Return the length of a batch of observations; None: it is one observation."""
    shape, batch = getattr(space, "shape", None), as_array(obs)
    batch_shape = () if batch is None else batch.shape
    if shape is None or batch_shape[1:] != tuple(shape):
        return None
    return int(batch_shape[0]) if len(batch_shape) == len(shape) + 1 else None


def check_is_one(reward: Any, env: Any) -> None:
    """Raise UnsupportedEnvError where a reward is of several environments."""
    if isinstance(reward, (int, float, np.generic)):
        return
    size = np.size(as_numpy(reward))
    if size != 1:
        raise UnsupportedEnvError(
            f"record: expected one reward a step from {type(env).__name__}, got "
            f"{size}. If it is a batch of environments, set num_envs = {size}."
        )


def autoreset_mode(env: Any) -> str:
    """Return when ended environments are reset, as ``metadata`` declares.

    Without a declaration it is in the call that ends them, as most simulations do.
    """
    metadata = getattr(env, "metadata", None) or {}
    declared = metadata.get("autoreset_mode", SAME_STEP)
    value = getattr(declared, "value", declared)
    if value not in (NEXT_STEP, SAME_STEP, DISABLED):
        raise ValueError(
            'record: expected metadata["autoreset_mode"] to be one of '
            f"{NEXT_STEP!r}, {SAME_STEP!r} and {DISABLED!r}, got {declared!r}."
        )
    return str(value)


def parts_of_each(env: Any, num_envs: int) -> list[Part] | None:
    """Return the recorded parts of one env's observations; None without a space."""
    single = getattr(env, "single_observation_space", None)
    space = getattr(env, "observation_space", None) if single is None else single
    if space is None:
        return None
    parts = parts_of(space)
    if single is None and parts and all(p.shape[:1] == (num_envs,) for p in parts):
        return [part.of_each(num_envs) for part in parts]
    return parts
