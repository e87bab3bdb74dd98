"""What chooses the actions of collected episodes, and how it gets to a worker."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer.sources._rollout import make_actor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._rollout import Act
    from rollout_viewer.sources._rollout_env import RolloutEnv


def pickled(name: str, value: Any) -> bytes:
    """Return an argument of `collect` as bytes: what a notebook defines, by value.

    Raises:
        TypeError: It cannot be pickled.
    """
    try:
        import cloudpickle  # type: ignore[import-untyped]  # it has no types

        dumps = cloudpickle.dumps
    except ImportError:  # Gymnasium needs it; without, functions go by their names
        dumps = pickle.dumps
    try:
        data: bytes = dumps(value)
    except Exception as error:
        raise TypeError(
            f"rv.collect: expected {name} to be picklable, since worker processes get "
            f"a copy, got {type(value).__name__} ({type(error).__name__}: "
            f"{error!s:.200}). Make what cannot be pickled inside of {name}, or use "
            "backend='serial'."
        ) from error
    return data


def version_of(policy: Any) -> dict[str, Any]:
    """Return the label of a policy's version, if it has one."""
    version = getattr(policy, "policy_version", None)
    return {} if version is None else {"policy_version": version}


class Actors:
    """Chooses the actions of one environment or a batch, episode by episode.

    Random actions are drawn anew from each episode's seed, so that an episode is the
    same whoever collects it. A policy's recurrent state begins anew with each.

    Args:
        policy: As for `rollout`.
        env: What is stepped.
        spaces: Of a batch, the action space of each env; (): it is one environment.
        deterministic: As for `rollout`.
    """

    def __init__(
        self,
        policy: Any,
        env: RolloutEnv,
        spaces: Sequence[Any],
        *,
        deterministic: bool = False,
    ) -> None:
        self._policy = policy
        self._env = env
        self._spaces = spaces
        self._deterministic = deterministic
        self._act: Act | None = None
        if spaces and policy is not None:
            self._act = make_actor(policy, env, None, deterministic)

    def begin(self, seeds: Mapping[int, int]) -> None:
        """Begin episodes of these seeds, by env."""
        if not self._spaces:
            self._act = make_actor(
                self._policy, self._env, seeds[0], self._deterministic
            )
        elif self._act is None:
            for env, seed in seeds.items():
                self._spaces[env].seed(seed)

    def act(self, observation: Any, begins: Mask) -> Any:
        """Return the next action, of a batch one for each env."""
        if self._act is not None:
            return self._act(observation, begins)
        return np.array([space.sample() for space in self._spaces])
