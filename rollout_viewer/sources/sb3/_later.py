"""What a replay of SB3's vector environments needs, as they are recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import stable_baselines3
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecEnv,
    VecEnvWrapper,
    VecMonitor,
)

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._replay.env_state import generator_state, state_of
from rollout_viewer._replay.recipe import Recipe, recipe_of, recipe_of_function
from rollout_viewer.sources._later_rows import check_actions

if TYPE_CHECKING:
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
    check_actions(venv.action_space)
    if later.make_env is not None:
        return recipe_of_function(later.make_env)
    library = f"stable_baselines3 {stable_baselines3.__version__}"
    return recipe_of(base.get_attr("spec"), library)


def vec_states(venv: VecEnv) -> dict[int, dict[str, Any]]:
    """Return the states of all envs before a reset."""
    base = _base(venv)
    if isinstance(base, DummyVecEnv):
        return {number: state_of(env) for number, env in enumerate(base.envs)}
    generators = enumerate(base.get_attr("np_random"))
    return {number: generator_state(one) for number, one in generators}


def _base(venv: Any) -> Any:
    """Return what is within wrappers that change nothing."""
    while isinstance(venv, VecMonitor) and isinstance(venv, VecEnvWrapper):
        venv = venv.venv
    return venv
