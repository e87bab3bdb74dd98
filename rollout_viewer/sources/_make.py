"""Environments by name, for the command line.

Knows which module registers an environment id. Knows nothing of recording.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import MissingDependencyError, RolloutViewerError

if TYPE_CHECKING:
    from collections.abc import Iterator

# Ids that gymnasium knows only after this module was imported.
REGISTERED_BY = {"ALE/": "ale_py", "MiniGrid-": "minigrid", "BabyAI-": "minigrid"}


def make_envs(env_id: str, num_envs: int) -> Any:
    """Return a Gymnasium vector env of `num_envs` environments that give pictures.

    Args:
        env_id: As for `gymnasium.make_vec`, also "module:Id-v0".
        num_envs: How many, stepped one after the other in this process.

    Raises:
        RolloutViewerError: There is no such environment, or it gives no pictures.
        MissingDependencyError: It needs a package that is not installed.
    """
    import gymnasium

    # Pictures only: pygame opens no window, and says nothing of having none.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    for prefix, module in REGISTERED_BY.items():
        if env_id.startswith(prefix):
            with contextlib.suppress(ImportError):
                importlib.import_module(module)
    try:
        with warnings.catch_warnings():
            # "out of date", "overriding": advice for those who write environments
            warnings.simplefilter("ignore")
            return gymnasium.make_vec(
                env_id, num_envs, vectorization_mode="sync", render_mode="rgb_array"
            )
    except gymnasium.error.DependencyNotInstalled as error:
        raise MissingDependencyError(f"record: {env_id}: {error}") from error
    except (gymnasium.error.Error, ImportError, ValueError, TypeError) as error:
        raise RolloutViewerError(
            f"record: expected the id of an environment that renders, got {env_id!r}"
            f" ({error})."
        ) from error


@contextlib.contextmanager
def described(env_id: str) -> Iterator[None]:
    """Let what Gymnasium raises while an environment runs name that environment.

    Raises:
        RolloutViewerError: In place of a `gymnasium.error.Error`.
    """
    import gymnasium

    try:
        yield
    except gymnasium.error.Error as error:
        raise RolloutViewerError(f"record: {env_id}: {error}") from error
