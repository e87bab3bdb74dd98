"""How a framework's environments are made again, and what their next reset depends on.

The same for each framework whose environments are Gymnasium's. Knows no framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._replay.env_state import generator_state, state_of
from rollout_viewer._replay.probe import STATISTICS
from rollout_viewer._replay.recipe import (
    WAYS_OUT,
    Recipe,
    recipe_of,
    recipe_of_function,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rollout_viewer.sources._adapters import Later


def later_recipe(
    later: Later, actions: Any, specs: Callable[[], Sequence[Any]], library: str
) -> Recipe:
    """Return how environments are made again.

    Args:
        later: With a function of the user's, if any.
        actions: The action space of one environment.
        specs: Returns Gymnasium's `EnvSpec` of each; called without such a function.
        library: What makes them, with its version.

    Raises:
        UnsupportedEnvError: They cannot be, or their actions cannot be kept.
    """
    check_actions(actions)
    if later.make_env is not None:
        return recipe_of_function(later.make_env)
    return recipe_of(specs(), library)


def check_statistics(specs: Sequence[Any], *, are_here: bool) -> None:
    """Raise UnsupportedEnvError where wrappers keep statistics that no one can pass by.

    Args:
        specs: Of the envs of a batch; None: not known.
        are_here: The envs are in this process.
    """
    kept = [
        set[str]()
        if spec is None
        else {one.name for one in spec.additional_wrappers}.intersection(STATISTICS)
        for spec in specs
    ]
    check_kept(kept, are_here=are_here)


def check_kept(kept: Sequence[set[str]], *, are_here: bool) -> None:
    """Do the same, given the names of such wrappers of each env."""
    if any(kept) and not (are_here and all(kept)):
        name = min(set.union(*kept))
        raise UnsupportedEnvError(
            "record: expected envs without running statistics for render='later', or "
            f"with them in each and all in this process, got {name}. Use a "
            "SyncVectorEnv or DummyVecEnv, wrap what record() returns in "
            "gymnasium.wrappers.vector's, or record with render='now'."
        )


def reset_states(env: Any, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return the states of some envs of a batch before their resets.

    Args:
        env: Has its environments as `envs`, or, in other processes, `get_attr`: of
            those only the generators are known.
        numbers: Of the envs.
    """
    envs = getattr(env, "envs", None)
    if envs is not None:
        return {number: state_of(envs[number]) for number in numbers}
    generators = env.get_attr("np_random")
    return {number: generator_state(generators[number]) for number in numbers}


def check_actions(space: Any) -> None:
    """Raise UnsupportedEnvError where actions cannot be kept as numbers."""
    within = getattr(space, "spaces", None)
    if within is not None:
        for one in within.values() if isinstance(within, Mapping) else within:
            check_actions(one)
        return
    kind = getattr(getattr(space, "dtype", None), "kind", "O")
    if getattr(space, "shape", None) is None or kind not in "biuf":
        raise UnsupportedEnvError(
            "record: expected actions that are numbers, for render='later', got "
            f"{type(space).__name__}. {WAYS_OUT}"
        )
