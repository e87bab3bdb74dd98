"""The table of adapters: which module wraps the environments of which framework.

To support another framework, write a module with `wrap` and add it here.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from rollout_viewer._errors import UnsupportedEnvError

if TYPE_CHECKING:
    from collections.abc import Callable


class Adapter(NamedTuple):
    """A module of this package, for environments of one framework.

    Attributes:
        module: Its ``wrap(env, **options)`` returns an environment that records, or
            None where `env` is not of its kind.
        framework: Module without which no such environment exists; until the caller
            has imported it, the adapter is not. None: there is no framework.
        envs: What it wraps, for messages.
        renders_later: Its `wrap` takes `later`.
    """

    module: str
    framework: str | None
    envs: str
    renders_later: bool = False


class Later(NamedTuple):
    """Pictures are rendered later, of environments that `make_env` makes, if any."""

    make_env: Callable[..., Any] | None = None


def later_of(where: str, render: str, make_env: Any) -> Later | None:
    """Return how pictures are rendered later; None: with each call.

    Args:
        where: What the user called, for messages.
        render: Of the user's.
        make_env: Of the user's.

    Raises:
        ValueError: `render` is neither, or `make_env` is of no use.
    """
    if render not in ("now", "later"):
        raise ValueError(
            f"{where}: expected render to be 'now' or 'later', got {render!r}."
        )
    if make_env is not None and render == "now":
        raise ValueError(
            f"{where}: expected make_env with render='later' only, got it with 'now'."
        )
    return Later(make_env) if render == "later" else None


# In this order: the last one wraps whatever has the methods.
ADAPTERS = (
    Adapter(
        "gymnasium",
        "gymnasium",
        "gymnasium.Env, gymnasium.vector.VectorEnv",
        renders_later=True,
    ),
    Adapter(
        "sb3", "stable_baselines3", "stable_baselines3's VecEnv", renders_later=True
    ),
    Adapter("pettingzoo", "pettingzoo", "pettingzoo.ParallelEnv"),
    Adapter("torchrl", "torchrl.envs", "torchrl.envs.EnvBase", renders_later=True),
    Adapter(
        "functional",
        "jax",
        "functional JAX environments with reset(rng), step(state, action) and "
        "render(states)",
        renders_later=True,
    ),
    Adapter("duck_typed", None, "objects with reset(), step(action) and render()"),
)


def wrap(env: Any, *, later: Later | None = None, **options: Any) -> Any:
    """Return `env` wrapped by the first adapter whose kind it is.

    Args:
        env: An environment.
        later: Its pictures are rendered later; None: with each call.
        **options: Of `Recorder`.

    Raises:
        UnsupportedEnvError: No adapter wraps it.
    """
    for adapter in ADAPTERS:
        if adapter.framework is None or adapter.framework in sys.modules:
            module = importlib.import_module(f"{__package__}.{adapter.module}")
            if later is not None and not adapter.renders_later:
                if module.wrap(env) is not None:
                    raise _not_later(env)
                continue
            if later is not None:
                options["later"] = later
            wrapped = module.wrap(env, **options)
            if wrapped is not None:
                return wrapped
    raise UnsupportedEnvError(
        f"record: expected one of {', '.join(one.envs for one in ADAPTERS)}, got "
        f"{type(env).__name__}. {_way_out(env)}"
    )


def _way_out(env: Any) -> str:
    if isinstance(env, str):
        return f"Make it: gymnasium.make({env!r:.100}, render_mode='rgb_array')."
    return "Give its frames to FrameCache.append() yourself."


def _not_later(env: Any) -> UnsupportedEnvError:
    kinds = ", ".join(one.envs for one in ADAPTERS if one.renders_later)
    return UnsupportedEnvError(
        f"record: expected one of {kinds} for render='later', got "
        f"{type(env).__name__}. Record with render='now'."
    )
