"""From where episodes can be replayed, as bytes that are made when they are needed.

Knows bytes, and what `bytes` makes some of.
"""

from __future__ import annotations

from typing import SupportsBytes


class StartBytes:
    """Bytes that are made once, by whichever thread needs them first.

    Args:
        start: Makes the same ones each time; not kept for longer than necessary.
    """

    __slots__ = ("_data", "_start")

    def __init__(self, start: SupportsBytes) -> None:
        self._start: SupportsBytes | None = start
        self._data = b""

    def __bytes__(self) -> bytes:
        start = self._start
        if start is not None:
            self._data = bytes(start)
            self._start = None
        return self._data
