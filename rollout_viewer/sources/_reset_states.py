"""States of environments before each of their resets, also before those in a step.

A batch that resets an env in the call that ends it gives no one a chance to ask in
between. Here the `reset` of each of its environments notes the state first. Knows what
Gymnasium's environments have in common. Knows no rows.
"""

from __future__ import annotations

import contextlib
import functools
import types
import weakref
from typing import TYPE_CHECKING, Any

from rollout_viewer._replay.env_state import state_of

if TYPE_CHECKING:
    from collections.abc import Sequence


class ResetStates:
    """Notes the states of environments whenever they are reset, until `remove`.

    Args:
        envs: Those of a batch, in this process, in order.

    Raises:
        AttributeError: One takes no attribute.
    """

    def __init__(self, envs: Sequence[Any]) -> None:
        self._states: dict[int, dict[str, Any]] = {}
        self._noting = [_Noting(env, n, self._states) for n, env in enumerate(envs)]
        for env, noting in zip(envs, self._noting, strict=True):
            env.reset = noting

    def __reduce__(self) -> Any:
        return ResetStates, ([noting.env() for noting in self._noting],)

    def take(self) -> dict[int, dict[str, Any]]:
        """Return the states by env, of those that were reset since the last call."""
        found = self._states.copy()
        self._states.clear()
        return found

    def remove(self) -> None:
        """Leave the environments as they were."""
        for noting in self._noting:
            noting.remove()


class _Noting:
    """The `reset` of one environment, which a copy of that does not have.

    Args:
        env: Its own class's, or another one that it was given, is called.
        number: Of the env.
        states: Where its state goes.
    """

    def __init__(self, env: Any, number: int, states: dict[int, Any]) -> None:
        # The environment refers to this: no cycle.
        self.env = weakref.ref(env)
        self._number, self._states = number, states
        self._given = vars(env).get("reset")
        functools.update_wrapper(self, env.reset, updated=())
        vars(self).pop("__wrapped__")  # it refers to the environment

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        env: Any = self.env()
        # Without a state, an episode is replayed from an earlier one.
        with contextlib.suppress(Exception):
            self._states[self._number] = state_of(env)
        if self._given is not None:
            return self._given(*args, **kwargs)
        return type(env).reset(env, *args, **kwargs)

    def remove(self) -> None:
        """Give the environment its own `reset`, unless it has another one by now."""
        env = self.env()
        if env is None or vars(env).get("reset") is not self:
            return
        if self._given is not None:
            env.reset = self._given
        else:
            del env.reset

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return the plain method of the environment's copy."""
        env = self.env()
        return _own_reset(memo.get(id(env), env))

    def __reduce__(self) -> Any:
        return _own_reset, (self.env(),)


def _own_reset(env: Any) -> Any:
    return types.MethodType(type(env).reset, env)
