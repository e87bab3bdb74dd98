"""Environments from an id or a function's name, for ``rollout-viewer record`` alone.

Knows which package registers an id. Knows nothing of recordings; which adapter wraps
an environment is in `_adapters`.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import MissingDependencyError, RolloutViewerError
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
        RolloutViewerError: There is no such environment, or it renders no images.
        MissingDependencyError: It needs a package that is not installed.
    """
    import gymnasium

    function = _function(env_id)
    if function is not None:
        return gymnasium.vector.SyncVectorEnv([function] * num_envs)
    return _made(
        gymnasium.make_vec, env_id, num_envs=num_envs, vectorization_mode="sync"
    )


def env_maker(env_id: str) -> Callable[[], Any]:
    """Return a function that returns one environment; see `make_envs`."""
    import gymnasium

    function = _function(env_id)
    if function is not None:
        return function
    return lambda: _made(gymnasium.make, env_id)


def _function(env_id: str) -> Callable[[], Any] | None:
    """Return the function that a text names; None: it is the id of an environment."""
    # pygame then opens no window, and does not warn that there is no display.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    _, colon, name = env_id.partition(":")
    if not colon or not all(part.isidentifier() for part in name.split(".")):
        return None
    return import_callable("ENV", env_id)


def _made(make: Callable[..., Any], env_id: str, **options: Any) -> Any:
    import gymnasium

    for prefix, module in REGISTERED_BY.items():
        if env_id.startswith(prefix):
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
    try:
        with warnings.catch_warnings():
            # "out of date", "overriding": advice to authors of environments.
            warnings.simplefilter("ignore")
            return make(env_id, render_mode="rgb_array", **options)
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
