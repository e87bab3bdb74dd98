"""Which file a name means: it may be deleted, renamed or replaced while it is open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class NamedFile:
    """A file that is there now, whatever becomes of its name.

    Args:
        path: Its name.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = path
        self._inode = self._now()

    def _now(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def change(self) -> str:
        """Return what the name means now, as a message has it; "": still this file."""
        now = self._now()
        if now == self._inode:
            return ""
        if now is None:
            return "a file that was deleted"
        return "another file, by which it was replaced"
