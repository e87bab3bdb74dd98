"""One environment of a native vector environment, which steps all of them at once.

Such a class has one generator for all, so that what an env's reset draws depends on the
others. Its state after the reset is kept instead: a column of an array. A replay sets
it, and steps the whole array: each number comes from the same operations at the same
place. Only classes are used whose columns do not depend on each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from rollout_viewer._errors import RenderError
from rollout_viewer._replay.env_state import COLUMN

if TYPE_CHECKING:
    from collections.abc import Iterable

    Env = gymnasium.Env[Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    Env = gymnasium.Env

_KNOWN = ("gymnasium.envs.classic_control.cartpole:CartPoleVectorEnv",)


def has_columns(env: Any) -> bool:
    """Return whether the envs of a native vector environment can be replayed alone."""
    kind = type(env)
    return (
        f"{kind.__module__}:{kind.__qualname__}" in _KNOWN
        and hasattr(env, "prev_done")
        and hasattr(env, "steps")
    )


def columns(env: Any, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return the states of some envs just after their resets, as JSON."""
    return {number: {COLUMN: env.state[:, number].tolist()} for number in numbers}


class ColumnEnv(Env):
    """One env of a native vector environment, with Gymnasium's interface of one.

    `reset` takes the state that `set_column` was given.

    Args:
        envs: As many as were recorded.
        number: Of the env.

    Raises:
        RenderError: It is no class whose columns are known.
    """

    def __init__(self, envs: Any, number: int) -> None:
        if not has_columns(envs) or not 0 <= number < envs.num_envs:
            raise RenderError(
                f"FrameCache.render: expected env {number} of a vector environment of "
                f"{_KNOWN}, got {type(envs).__name__} of {envs.num_envs}."
            )
        self._envs, self._number = envs, number
        self._column = np.zeros(0)
        self.render_mode = envs.render_mode
        self.action_space = envs.single_action_space
        self.observation_space = envs.single_observation_space
        self._actions = np.zeros(envs.num_envs, self.action_space.dtype)
        # Only this one is drawn.
        self._picture = type(envs)(1, render_mode=envs.render_mode)

    def set_column(self, column: Any) -> None:
        """Set the state that the next reset leads to.

        Raises:
            ValueError: It is none.
        """
        found = np.array(column, np.float64)
        if found.ndim != 1 or not np.isfinite(found).all():
            raise ValueError(f"a column {column!r:.100}")
        self._column = found

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode where the recorded one began."""
        del seed, options  # its state says what they led to
        # All others are at rest, too: none of them is reset.
        self._envs.reset(seed=0)
        state = np.zeros_like(self._envs.state)
        state[:, self._number] = self._column
        self._envs.state = state
        return self._column.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step all envs, and return what this one does."""
        self._actions[self._number] = action
        result = self._envs.step(self._actions.copy())
        obs, reward, terminated, truncated = (one[self._number] for one in result[:4])
        return obs, reward, bool(terminated), bool(truncated), {}

    def render(self) -> Any:
        """Return this env's picture."""
        self._picture.state = self._envs.state[:, self._number :][:, :1].copy()
        return self._picture.render()[0]

    def close(self) -> None:
        """Close both."""
        self._picture.close()
        self._envs.close()
