"""A clock for tests that must not wait."""

from __future__ import annotations


class TurnedClock:
    """A clock that stands still until it is turned; call it for the time in seconds.

    Example:
        >>> clock = TurnedClock()
        >>> clock.turn(0.5)
        >>> clock()
        0.5
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self._now_s

    def turn(self, seconds: float) -> None:
        """Go forward."""
        if seconds < 0:
            raise ValueError(
                f"TurnedClock.turn: expected seconds >= 0, got {seconds!r}."
            )
        self._now_s += seconds
