"""How fast a worker uses what it is given, so that it asks for more in good time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_WINDOW_S = 0.25


class Pace:
    """What was used lately, a second.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: float | None = None
        self._count = 0
        self._a_second = 0.0

    def add(self, count: int) -> None:
        """Count what is used now."""
        if self._since is None:
            self._since = self._clock()
            return
        self._count += count
        elapsed_s = self._clock() - self._since
        if elapsed_s >= _WINDOW_S:
            self._a_second = self._count / elapsed_s
            self._since += elapsed_s
            self._count = 0

    def within(self, seconds: float) -> int:
        """Return what will be used in so many seconds, if it goes on like that."""
        return int(self._a_second * seconds)
