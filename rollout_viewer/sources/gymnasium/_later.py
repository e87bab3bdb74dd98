"""What a replay of Gymnasium's environments needs, as they are recorded.

Which environments can be made again, and the states before their resets.
Knows Gymnasium. Knows no recorder.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, SupportsBytes

import gymnasium
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._replay.column_env import has_columns
from rollout_viewer._replay.env_state import generator_state, has_clone, state_of
from rollout_viewer._replay.episode_start import (
    EpisodeStart,
    PackedLater,
    pack_start,
    plain_start,
)
from rollout_viewer._replay.recipe import NATIVE
from rollout_viewer._replay.viewpoint import has_viewpoint
from rollout_viewer.sources._first_starts import with_first
from rollout_viewer.sources._later_envs import check_statistics, later_recipe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_viewer._replay.recipe import Recipe
    from rollout_viewer.sources._adapters import Later

_LIBRARY = f"gymnasium {gymnasium.__version__}"


def recipe_of_env(env: Any, later: Later) -> Recipe:
    """Return how a `gymnasium.Env` is made again.

    Raises:
        UnsupportedEnvError: It cannot be, or its actions cannot be kept.
    """
    return later_recipe(later, env.action_space, lambda: [env.spec], _LIBRARY)


def recipe_of_vector(env: VectorEnv[Any, Any, Any], later: Later) -> Recipe:
    """Return how the envs of a vector environment are made again.

    Raises:
        UnsupportedEnvError: They cannot be, or their actions cannot be kept.
    """
    if not isinstance(env, (SyncVectorEnv, AsyncVectorEnv)):
        return _recipe_of_native(env, later)
    specs = (
        [one.spec for one in env.envs]
        if isinstance(env, SyncVectorEnv)
        else list(env.get_attr("spec"))
    )
    check_statistics(specs, are_here=isinstance(env, SyncVectorEnv))
    return later_recipe(later, env.single_action_space, lambda: specs, _LIBRARY)


def _recipe_of_native(env: VectorEnv[Any, Any, Any], later: Later) -> Recipe:
    """Return how the envs of a class that steps all at once are made again."""
    problem = ""
    if env.unwrapped is not env:
        problem = "one in a wrapper. Wrap what record() returns"
    elif type(env).render is VectorEnv.render:
        problem = "one that cannot render. Make it with vectorization_mode='sync'"
    elif not has_columns(env):
        problem = (
            "one whose envs cannot be replayed alone. Make it with "
            "vectorization_mode='sync'"
        )
    elif later.make_env is not None:
        problem = "make_env= as well. Leave it out: its specification makes them"
    if problem:
        raise UnsupportedEnvError(
            "record: expected a SyncVectorEnv, AsyncVectorEnv or Gymnasium's "
            f"CartPoleVectorEnv for render='later', got {type(env).__name__}, "
            f"{problem}, or record with render='now'."
        )
    recipe = later_recipe(later, env.single_action_space, lambda: [env.spec], _LIBRARY)
    return replace(recipe, kind=NATIVE)


def start_of(
    env: Any, recipe: int, seed: Any, options: Mapping[str, Any] | None
) -> bytes:
    """Return from where the episode that begins can be replayed.

    Args:
        env: Before its reset.
        recipe: The number of its recipe.
        seed: Of the reset.
        options: Of the reset.
    """
    return pack_start(_start_of(env, recipe, seed, options))


def _start_of(
    env: Any, recipe: int, seed: Any, options: Mapping[str, Any] | None
) -> EpisodeStart:
    seed = None if seed is None else int(seed)
    found = None if options is None else dict(options)
    state = state_of(env) if seed is None else {}
    return with_first(EpisodeStart(recipe, state, seed, found), env)


class ResetStarts:
    """From where the episodes of an environment can be replayed; see `start_of`.

    Args:
        env: A `gymnasium.Env`.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        # None: its state is more than its generator's, or its first start matters.
        is_plain = not has_viewpoint(env) and not has_clone(env)
        self._bare = env.unwrapped if is_plain else None

    def of_next(
        self, recipe: int, seed: Any, options: Mapping[str, Any] | None
    ) -> SupportsBytes:
        """Return the start of the episode that a reset will begin.

        Args:
            recipe: The number of its recipe.
            seed: Of the reset.
            options: Of the reset.
        """
        if options is not None:  # they may change
            return start_of(self._env, recipe, seed, options)
        if self._bare is None or seed is not None:
            return PackedLater(_start_of(self._env, recipe, seed, None))
        generator = getattr(self._bare, "np_random", None)
        return plain_start(recipe, generator_state(generator))


def has_own_state(recipe: Recipe) -> bool:
    """Whether the envs have a state beside their generators, as arcade games."""
    return any(
        str(getattr(spec, "entry_point", "")).startswith("ale_py")
        for spec in recipe.specs
    )
