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

    Or until no one refers to it.

    Args:
        envs: Those of a batch, in this process, in order.

    Raises:
        AttributeError: One takes no attribute. None is changed.
        TypeError: One has none, or cannot be referred to weakly. None is changed.
    """

    def __init__(self, envs: Sequence[Any]) -> None:
        self._states: dict[int, dict[str, Any]] = {}
        self._noting: list[_Noting] = []
        try:
            for number, env in enumerate(envs):
                known = vars(env).get("reset")
                noting = known if isinstance(known, _Noting) else _Noting(env)
                self._noting.append(noting)
                noting.add(self, number)
        except BaseException:
            self.remove()
            raise

    def __reduce__(self) -> Any:
        return ResetStates, ([noting.env() for noting in self._noting],)

    def note(self, number: int, state: dict[str, Any]) -> None:
        """Note the state of an env before its reset."""
        self._states[number] = state

    def take(self) -> dict[int, dict[str, Any]]:
        """Return the states by env, of those that were reset since the last call."""
        found = self._states.copy()
        self._states.clear()
        return found

    def remove(self) -> None:
        """Leave the environments as they were."""
        for noting in self._noting:
            noting.discard(self)


class _Noting:
    """The `reset` of one environment, for all who want its states.

    A copy of the environment does not have it.

    Args:
        env: Its own class's, or another one that it was given, is called.
    """

    def __init__(self, env: Any) -> None:
        # The environment refers to this: no cycle.
        self.env = weakref.ref(env)
        self._given = vars(env).get("reset")
        # Who gets the states, and the env's number there.
        self._takers = weakref.WeakKeyDictionary[ResetStates, int]()
        functools.update_wrapper(self, env.reset, updated=())
        vars(self).pop("__wrapped__")  # it refers to the environment
        env.reset = self
        env.__getstate__ = _CopiedState(env)

    def add(self, taker: ResetStates, number: int) -> None:
        """Let someone get the states from now on."""
        self._takers[taker] = number

    def discard(self, taker: ResetStates) -> None:
        """Give someone no more states; after the last, the env has its own reset."""
        self._takers.pop(taker, None)
        if not self._takers:
            self._remove()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        env: Any = self.env()
        if takers := [*self._takers.items()]:
            # Without a state, an episode is replayed from an earlier one.
            with contextlib.suppress(Exception):
                for taker, number in takers:
                    taker.note(number, state_of(env))
        else:
            self._remove()
        if self._given is not None:
            return self._given(*args, **kwargs)
        return type(env).reset(env, *args, **kwargs)

    def _remove(self) -> None:
        """Give the environment its own `reset`, unless it has another one by now."""
        env = self.env()
        if env is None or vars(env).get("reset") is not self:
            return
        vars(env).pop("__getstate__", None)
        if self._given is not None:
            env.reset = self._given
        else:
            del env.reset

    @property
    def of_copy(self) -> dict[str, Any]:
        """The attribute that a copy of the environment has instead."""
        return {} if self._given is None else {"reset": self._given}

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Return the plain method of the environment's copy."""
        env = self.env()
        return _own_reset(memo.get(id(env), env))

    def __reduce__(self) -> Any:
        return _own_reset, (self.env(),)


class _CopiedState:
    """The `__getstate__` of one environment: what its copies get, `copy.copy`'s too.

    A `reset` among an object's attributes does not know on which object it is called.
    """

    def __init__(self, env: Any) -> None:
        self._env = weakref.ref(env)

    def __call__(self) -> Any:
        env: Any = self._env()
        own: Any = type(env).__getstate__
        state = own(env)
        if isinstance(state, tuple) and state and isinstance(state[0], dict):
            return _without_noting(state[0]), *state[1:]  # of a class with slots
        return _without_noting(state) if isinstance(state, dict) else state

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        env = self._env()
        return _CopiedState(memo.get(id(env), env))

    def __reduce__(self) -> Any:
        return _CopiedState, (self._env(),)


def _without_noting(state: dict[str, Any]) -> dict[str, Any]:
    reset = state.get("reset")
    of_copy = reset.of_copy if isinstance(reset, _Noting) else {}
    kept = {k: v for k, v in state.items() if not isinstance(v, _HOOKS)}
    return {**kept, **of_copy}


_HOOKS = (_Noting, _CopiedState)


def _own_reset(env: Any) -> Any:
    return types.MethodType(type(env).reset, env)
