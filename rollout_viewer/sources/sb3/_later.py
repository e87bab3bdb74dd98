"""What a replay of SB3's vector environments needs, as they are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import stable_baselines3
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecMonitor,
)

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._replay.probe import STATISTICS
from rollout_viewer.sources._later_envs import (
    check_kept,
    later_recipe,
    reset_states,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._replay.recipe import Recipe
    from rollout_viewer.sources._adapters import Later


def recipe_of_venv(venv: VecEnv, later: Later) -> Recipe:
    """Return how the envs of a Dummy- or SubprocVecEnv are made again.

    Raises:
        UnsupportedEnvError: They cannot be, or a wrapper changes what they return.
    """
    base = _base(venv)
    if not isinstance(base, (DummyVecEnv, SubprocVecEnv)):
        raise UnsupportedEnvError(
            "record: expected a DummyVecEnv or SubprocVecEnv for render='later', got "
            f"{type(base).__name__}. Wrap what record() returns, or record with "
            "render='now'."
        )
    library = f"stable_baselines3 {stable_baselines3.__version__}"

    # Not by the specifications: with make_env, there need be none.
    kept = [set[str]() for _ in range(base.num_envs)]
    for name in STATISTICS:
        wrapper = getattr(gymnasium.wrappers, name)
        for env, is_wrapped in enumerate(base.env_is_wrapped(wrapper)):
            kept[env].update([name] if is_wrapped else [])
    check_kept(kept, are_here=isinstance(base, DummyVecEnv))

    def specs() -> Sequence[Any]:
        found: Sequence[Any] = base.get_attr("spec")
        return found

    return later_recipe(later, venv.action_space, specs, library)


def vec_states(venv: VecEnv) -> dict[int, dict[str, Any]]:
    """Return the states of all envs before a reset."""
    return reset_states(_base(venv), range(venv.num_envs))


def envs_here(venv: VecEnv) -> Sequence[Any]:
    """Return the environments that are in this process: all, or none."""
    return getattr(_base(venv), "envs", ())


def _base(venv: Any) -> Any:
    """Return what is within wrappers that change nothing."""
    while isinstance(venv, VecMonitor) and isinstance(venv, VecEnvWrapper):
        venv = venv.venv
    return venv
