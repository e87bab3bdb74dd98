"""Which connections of this process are open: not more than it has descriptors for.

A connection takes up to three, and a process may often have 1024. A connection that is
not used closes when more are open than `_MAX_OPEN`, and opens again with its next use.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing import Any

_MAX_OPEN = 32


class Owner(Protocol):
    """What has a connection that it can open again."""

    def shed(self) -> None:
        """Close it soon, unless it is in use."""
        ...


class OpenFiles:
    """The owners of open connections, in the order of their last use.

    Any thread may call: single operations of the dict are atomic.
    """

    def __init__(self) -> None:
        self._owners: OrderedDict[int, weakref.ref[Any]] = OrderedDict()

    def use(self, owner: Owner) -> None:
        """Note that it is used; let those close that were not used for longest."""
        key = id(owner)
        if key not in self._owners:
            self._owners[key] = weakref.ref(owner)
        with contextlib.suppress(KeyError):  # closed by another thread meanwhile
            self._owners.move_to_end(key)
        self._shed(_MAX_OPEN)

    def shed_all(self) -> None:
        """Let all close that are not in use."""
        self._shed(0)

    def _shed(self, num_kept: int) -> None:
        while len(self._owners) > num_kept:
            try:
                _, reference = self._owners.popitem(last=False)
            except KeyError:
                return
            if (found := reference()) is not None:
                found.shed()

    def close(self, owner: Owner) -> None:
        """Note that it has no connection any more."""
        self._owners.pop(id(owner), None)


READERS = OpenFiles()
WRITERS = OpenFiles()
