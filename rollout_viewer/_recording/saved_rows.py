"""Which rows survive a kill while they wait for others, and where.

Knows waiting rows and their regions. Knows nothing of blocks or statements.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.database import is_local
from rollout_viewer._recording.row_memory import RowMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rollout_viewer._recording.row_arrays import RowArrays

# Whether someone has deleted the file is a system call, at each block of 32 rows: it
# takes 20 us where an environment has used the processor's caches meanwhile, and lets
# other threads run. Who deletes it, and kills the process within that time, loses more.
_LOOK_EVERY_S = 0.02


class SavedRows:
    """The regions of a recording's waiting rows. Its lock guards them.

    Args:
        path: Of the recording; absolute.
        is_possible: Whether there are to be any.
        has_names: Returns whether the names beside the recording are still its own.
    """

    def __init__(
        self, path: Path, *, is_possible: bool, has_names: Callable[[], bool]
    ) -> None:
        self._path = path
        self._has_names = has_names
        # Asked here, not as rows come: it reads files of the system.
        self._is_possible = is_possible and is_local(path)
        self._memory: RowMemory | None = None
        self._next_look_s = 0.0
        # Rows that follow one another: (first, stop).
        self._span = 0, 0

    def save(self, waiting: RowArrays) -> bool:
        """Have full blocks of rows that wait survive a kill, where they are to.

        Returns:
            False: they cannot, and are to be taken.
        """
        region, stop = waiting.region, waiting.stop - waiting.stop % CHUNK_ROWS
        if region is None or stop <= region.stop:
            return True
        if not self._has_file():
            return False  # no reader would find them
        first, saved = self._span
        if saved != region.stop:
            first = region.start
        starts = waiting.starts(region.stop, stop)
        if not region.save(stop, starts, waiting.lacks(region.stop, stop)):
            return False
        self._span = first, stop
        return True

    def _has_file(self) -> bool:
        """Whether there is a file; one whose name is another's, or no one's, is none.

        Its name is looked up each `_LOOK_EVERY_S`.
        """
        memory, now_s = self._memory, time.monotonic()
        if memory is not None and now_s >= self._next_look_s:
            if memory.name.change():
                self._memory, self._is_possible = None, False
                return False
            self._next_look_s = now_s + _LOOK_EVERY_S
        return memory is not None

    def stop(self, num_rows: int) -> int:
        """Return how many rows survive, if the first `num_rows` do elsewhere."""
        first, stop = self._span
        return stop if first <= num_rows < stop else num_rows

    def find_region(self, waiting: RowArrays, session: str, num_filed: int) -> None:
        """Find a region for the next rows that wait, if there is one.

        Args:
            waiting: They have had one form for a block.
            session: Of the recording.
            num_filed: As many of its rows are in its file.
        """
        if not self._is_possible or not waiting.wants_region:
            return
        memory = self._memory
        if memory is not None and not self._has_file():
            return
        if memory is None or memory.form != waiting.form:
            if memory is not None and not memory.is_free(num_filed):
                return
            self._memory = memory = None
            if self._has_names():
                memory = RowMemory.create(self._path, session, waiting.form)
            self._memory, self._is_possible = memory, memory is not None
        if memory is not None:
            waiting.next_region = memory.free_region(num_filed)

    def forget(self) -> None:
        """Forget all rows, and delete their file."""
        memory, self._memory, self._span = self._memory, None, (0, 0)
        if memory is not None:
            memory.delete(self._path)
