"""A clock for tests that do not wait."""

from __future__ import annotations


class TurnedClock:
    """A clock that moves only when it is turned; call it for the time in seconds.

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
        """Move the time forward by `seconds`."""
        if seconds < 0:
            raise ValueError(
                f"TurnedClock.turn: expected seconds >= 0, got {seconds!r}."
            )
        self._now_s += seconds
