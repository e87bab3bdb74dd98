"""The table of adapters: which module wraps the environments of which framework.

A framework that is to be supported gets a line here, and a module with `wrap`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, NamedTuple

from rollout_viewer._errors import UnsupportedEnvError


class Adapter(NamedTuple):
    """A module of this package, for environments of one framework.

    Attributes:
        module: Its ``wrap(env, **options)`` returns an environment that records, or
            None where `env` is not of its kind.
        framework: Module without which no such environment exists; until the caller
            has imported it, the adapter is not. None: there is no framework.
        envs: What it wraps, for messages.
    """

    module: str
    framework: str | None
    envs: str


# In this order: the last one wraps whatever has the methods.
ADAPTERS = (
    Adapter("gymnasium", "gymnasium", "gymnasium.Env, gymnasium.vector.VectorEnv"),
    Adapter("sb3", "stable_baselines3", "stable_baselines3's VecEnv"),
    Adapter("pettingzoo", "pettingzoo", "pettingzoo.ParallelEnv"),
    Adapter("torchrl", "torchrl.envs", "torchrl.envs.EnvBase"),
    Adapter("duck_typed", None, "objects with reset(), step(action) and render()"),
)


def wrap(env: Any, **options: Any) -> Any:
    """Return `env` wrapped by the first adapter whose kind it is.

    Args:
        env: An environment.
        **options: Of `Recorder`.

    Raises:
        UnsupportedEnvError: No adapter wraps it.
    """
    for adapter in ADAPTERS:
        if adapter.framework is None or adapter.framework in sys.modules:
            module = importlib.import_module(f"{__package__}.{adapter.module}")
            wrapped = module.wrap(env, **options)
            if wrapped is not None:
                return wrapped
    raise UnsupportedEnvError(
        f"record: expected one of {', '.join(one.envs for one in ADAPTERS)}, got "
        f"{type(env).__name__}. Give its frames to FrameCache.append() yourself."
    )
