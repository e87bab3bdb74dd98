"""Keeps a viewer's trait `bookmarks` and the bookmarks of its recording the same.

Pages, other viewers, other processes and the user's code change them at the same time,
on any thread. So a change is always one of single bookmarks: whoever removes one has
seen it, and no one's list replaces another's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from rollout_viewer._recording.annotations import AnnotationChange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._cache.cache import FrameCache


class ViewerBookmarks:
    """The bookmarks of one viewer.

    Args:
        get_cache: Returns the recording; None once the viewer was released.
        get_rows: Returns the trait.
        set_rows: Sets the trait, whose validator calls `write`.
        annotate: Applies a change, and calls `note_written` or `keep_here`.
    """

    def __init__(
        self,
        *,
        get_cache: Callable[[], FrameCache | None],
        get_rows: Callable[[], list[int]],
        set_rows: Callable[[list[int]], None],
        annotate: Callable[[AnnotationChange], None],
    ) -> None:
        self._get_cache = get_cache
        self._get_rows = get_rows
        self._set_rows = set_rows
        self._annotate = annotate
        # What the trait was last: within `hold_trait_notifications`, which `set_state`
        # uses, it has its new value before that is validated.
        self._known: set[int] = set()
        # Changes that could not be written: row -> whether it is a bookmark here.
        self._here: dict[int, bool] = {}
        self._thread = _OfThread()

    def take(self) -> None:
        """Set the trait to what the recording has; done by whoever may have changed it.

        Looks again afterwards: another thread may have set it to what it saw before.
        """
        if self._thread.is_writing:
            return
        while (cache := self._get_cache()) is not None:
            rows = self._rows(cache)
            if rows == self._get_rows():
                return
            self._known = {*rows}
            before, self._thread.taken = self._thread.taken, rows
            try:
                self._set_rows(rows)
            finally:
                self._thread.taken = before

    def write(self, rows: list[int], *, is_from_page: bool) -> list[int]:
        """Bring bookmarks that were set into the recording; return those there are.

        Those that the trait did not have before stay: no one has seen and removed them.

        Args:
            rows: The trait's new value, ascending.
            is_from_page: It has no rows but recorded ones.
        """
        cache = self._get_cache()
        if cache is None or rows == self._thread.taken:
            return rows
        if is_from_page:
            rows = [row for row in rows if row < cache.num_rows]
        removed, added = self._known - {*rows}, sorted({*rows} - self._known)
        if removed or added:
            change = AnnotationChange(bookmarks=dict.fromkeys(removed), added=added)
            self._thread.is_writing = True
            try:
                self._annotate(change)
            finally:
                self._thread.is_writing = False
        rows = self._rows(cache)
        self._known = {*rows}
        return rows

    def note_written(self, change: AnnotationChange) -> None:
        """Show a change that is in the recording now."""
        for row in (*change.added, *change.bookmarks):
            self._here.pop(row, None)
        self.take()

    def keep_here(self, change: AnnotationChange) -> None:
        """Keep a change in this viewer that could not be written."""
        self._here.update(dict.fromkeys(change.added, True))
        for row, note in change.bookmarks.items():
            self._here[row] = note is not None
        self.take()

    def _rows(self, cache: FrameCache) -> list[int]:
        here = dict(self._here)
        rows = {*cache.bookmarks, *(row for row, is_set in here.items() if is_set)}
        return sorted(row for row in rows if here.get(row, True))


class _OfThread(threading.local):
    """What this thread is doing.

    Attributes:
        taken: What it sets the trait to, because the recording has it; else None.
        is_writing: It changes the recording, and sets the trait afterwards.
    """

    taken: Sequence[int] | None = None
    is_writing = False
