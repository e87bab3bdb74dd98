"""The environments of a batch in this process, of which the same is asked again.

Their wrappers are passed once. Knows what Gymnasium's environments have in common.
Knows no rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._replay.env_state import has_clone, state_of
from rollout_viewer._replay.viewpoint import has_viewpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_PLAIN = (np.random.PCG64, np.random.PCG64DXSM)


class _Known(NamedTuple):
    env: Any
    bare: Any
    has_clone: bool
    has_viewpoint: bool


class KnownEnvs:
    """Looks below the wrappers of environments.

    Args:
        envs: They may be replaced.
    """

    def __init__(self, envs: Sequence[Any]) -> None:
        self._envs = envs
        self._known: dict[int, _Known] = {}

    def __reduce__(self) -> Any:
        return KnownEnvs, (self._envs,)

    def is_of(self, envs: Any) -> bool:
        """Whether these are the environments."""
        return envs is self._envs

    def states(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return the states of some before their resets; see `state_of`."""
        found = {}
        for number in numbers:
            known = self._look(number)
            random = getattr(known.bare, "np_random", None)
            if (
                type(random) is np.random.Generator
                and type(bits := random.bit_generator) in _PLAIN
                and not known.has_clone
            ):
                found[number] = {"np_random": bits.state}
            else:
                found[number] = state_of(known.env)
        return found

    def has_viewpoint(self, number: int) -> bool:
        """Whether the first picture of one decides about all others."""
        return self._look(number).has_viewpoint

    def _look(self, number: int) -> _Known:
        env, known = self._envs[number], self._known.get(number)
        if known is None or known.env is not env:
            bare = env.unwrapped
            known = _Known(env, bare, has_clone(env), has_viewpoint(env))
            self._known[number] = known
        return known
