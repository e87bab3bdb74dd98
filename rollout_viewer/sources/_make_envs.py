"""Environments from an id or a function's name, for ``rollout-viewer record`` alone.

Knows which package registers an id. Knows nothing of recordings; which adapter wraps
an environment is in `_adapters`.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import (
    MissingDependencyError,
    RolloutViewerError,
    UnsupportedEnvError,
)
from rollout_viewer.sources._load_policy import import_callable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Prefix of ids -> the package whose import registers them.
REGISTERED_BY = {"ALE/": "ale_py", "MiniGrid-": "minigrid", "BabyAI-": "minigrid"}


def make_envs(env_id: str, num_envs: int) -> Any:
    """Return a Gymnasium vector env of `num_envs` environments that render images.

    Args:
        env_id: As for `gymnasium.make_vec`, also "module:Id-v0"; or "module:function",
            which returns one environment.
        num_envs: Their number; this process steps them one after the other.

    Raises:
        RolloutViewerError: There is no such environment, or it renders no images, or
            the function returns none.
        MissingDependencyError: It needs a package that is not installed.
    """
    import gymnasium

    if names_function(env_id):
        make_env = env_maker(env_id)
        first = make_env()
        if not isinstance(first, gymnasium.Env):
            raise UnsupportedEnvError(
                f"record: expected {env_id} to return a gymnasium.Env for --steps, got "
                f"{type(first).__name__}. Record episodes, with --seeds."
            )
        makers = [lambda: first, *[make_env] * (num_envs - 1)]
        return gymnasium.vector.SyncVectorEnv(makers)
    return _made("make_vec", env_id, num_envs=num_envs, vectorization_mode="sync")


def env_maker(env_id: str) -> Callable[[], Any]:
    """Return a function that returns one environment, also in another process.

    See `make_envs`.
    """
    if names_function(env_id):
        return functools.partial(_called, env_id)
    return functools.partial(_made, "make", env_id)


def names_function(env_id: str) -> bool:
    """Return whether a text names a function; else it is the id of an environment."""
    _, colon, name = env_id.partition(":")
    return bool(colon) and all(part.isidentifier() for part in name.split("."))


def _called(env_id: str) -> Any:
    """Return what the function returns that a text names.

    Raises:
        UnsupportedEnvError: It is no environment.
    """
    _open_no_window()
    env = import_callable("ENV", env_id)()
    if not (callable(getattr(env, "reset", None)) and hasattr(env, "step")):
        raise UnsupportedEnvError(
            f"record: expected {env_id} to return an environment, with reset() and "
            f"step(), got {type(env).__name__}."
        )
    return env


def _open_no_window() -> None:
    # pygame then opens none, and does not warn that there is no display.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")


def _made(make: str, env_id: str, **options: Any) -> Any:
    """Return what a function of Gymnasium makes of an id."""
    import gymnasium

    _open_no_window()
    for prefix, module in REGISTERED_BY.items():
        if env_id.startswith(prefix):
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
    try:
        with warnings.catch_warnings():
            # "out of date", "overriding": advice to authors of environments.
            warnings.simplefilter("ignore")
            return getattr(gymnasium, make)(env_id, render_mode="rgb_array", **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise MissingDependencyError(f"record: {env_id}: {error}") from error
    except (gymnasium.error.Error, ImportError, ValueError, TypeError) as error:
        raise RolloutViewerError(
            f"record: expected the id of an environment that renders, got {env_id!r}"
            f" ({error})."
        ) from error


@contextlib.contextmanager
def errors_name_env(env_id: str) -> Iterator[None]:
    """Add the environment's id to the errors that Gymnasium raises while it runs.

    Raises:
        RolloutViewerError: In place of a `gymnasium.error.Error`.
    """
    import gymnasium

    try:
        yield
    except gymnasium.error.Error as error:
        raise RolloutViewerError(f"record: {env_id}: {error}") from error
