"""From where episodes can be replayed, as bytes that are made when they are needed.

Knows bytes, and functions that return some.
"""

from __future__ import annotations

from collections.abc import Callable

Start = bytes | Callable[[], bytes]


class StartBytes:
    """Bytes that are made once, by whichever thread needs them first.

    Args:
        make: Returns them, the same each time; not kept for longer than necessary.
    """

    __slots__ = ("_data", "_make")

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make: Callable[[], bytes] | None = make
        self._data = b""

    def __call__(self) -> bytes:
        make = self._make
        if make is not None:
            self._data = make()
            self._make = None
        return self._data


def start_bytes(start: Start) -> bytes:
    """Return a start as bytes."""
    return start if isinstance(start, bytes) else start()
