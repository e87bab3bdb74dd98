"""What a viewer and its page send each other, by traits and messages.

A viewer follows its recording while a page shows it. What a page sets is checked and
annotates the recording; messages to the page go through here. Knows what is sent, by
its `stream`. Knows nothing of how a viewer is made, shown, dumped or closed.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Any

import traitlets

from rollout_viewer._errors import (
    CacheClosedError,
    RolloutViewerError,
    RolloutViewerWarning,
)
from rollout_viewer._page.build_messages import build_manifest
from rollout_viewer._page.protocol import Message
from rollout_viewer._recording.late_pictures import RECIPES
from rollout_viewer._recording.storable import storable_json
from rollout_viewer._viewer.traits import ViewerTraits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._page.details import FieldCatalog
    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._viewer.bookmarks import ViewerBookmarks
    from rollout_viewer._viewer.compare import Group
    from rollout_viewer._viewer.dumps import Dumps
    from rollout_viewer._viewer.stream import PageStream
    from rollout_viewer._viewer.subscription import Subscription

# JavaScript holds no larger numbers exactly.
_MAX_ROWS = 2**53


class LinkedWidget(ViewerTraits):
    """The traffic of a viewer and its page; `RolloutViewer` makes what is used here."""

    _get_cache: Callable[[], FrameCache | None]
    _is_following: bool
    _title: str
    _columns: int | None
    _fps: float | None
    _groups: list[Group]
    _compare: Mapping[str, Any] | None
    _dumps: Dumps
    _fields: FieldCatalog
    _bookmarks: ViewerBookmarks
    _stream: PageStream
    _subscription: Subscription

    @property
    def _cache(self) -> FrameCache:
        cache = self._get_cache()
        if cache is None:
            raise CacheClosedError(
                "RolloutViewer: expected a recording, got none: the cell that made "
                "this viewer ran again, and nothing else refers to what it showed. "
                "Keep the FrameCache in a variable."
            )
        return cache

    def _follow(self, has_page: bool) -> None:
        """Follow the recording while a page shows it: others cost no append."""
        if has_page:
            self._subscription.begin()
            self._bookmarks.take()
        else:
            self._subscription.pause()

    def _follow_cache(self, start: int, stop: int) -> None:
        """Rows came, or, where start is stop, annotations changed."""
        self._stream.notify()
        if start == stop:
            self._bookmarks.take()

    def _manifest(self) -> dict[str, Any]:
        is_later = RECIPES in self._cache.recording.meta
        return build_manifest(
            self._cache,
            title=self._title,
            dump_folder=self._dumps.folder(),
            columns=self._columns,
            fps=self._fps,
            follow=self._is_following,
            groups=self._groups,
            compare=self._compare,
            fields=self._fields.describe(self._cache),
            renders=self._cache.renders_pictures if is_later else None,
        )

    def _on_message(self, _: Any, content: Any, buffers: Any) -> None:
        # Runs on the shell's or a subshell's thread, maybe beside the user's cell.
        del buffers
        # On the shell's, a running cell would have held it up.
        is_on_shell = threading.current_thread() is threading.main_thread()
        self._stream.receive(content, waits_for_cells=is_on_shell)

    def _post(self, message: Message) -> None:
        if self.comm is not None:
            if self._stream.sends_text:
                message = message.as_text()
            content = message.content
            # Of titles, paths and errors. Recorded texts and numbers are storable.
            if content["kind"] not in ("data", "beat"):
                content = storable_json(content)
            self.send(content, message.buffers)

    def _show_error(self, error: Exception) -> None:
        text = str(error) if isinstance(error, RolloutViewerError) else repr(error)
        self._post(Message({"kind": "error", "message": text}, []))

    @traitlets.validate("playhead")
    def _move(self, proposal: Any) -> int:
        row = int(proposal["value"])
        if not 0 <= row < _MAX_ROWS:
            raise traitlets.TraitError(
                f"RolloutViewer: expected playhead >= 0, below 2**53, got {row!r}. "
                "viewer.goto(-1) counts from the end."
            )
        # The page may have moved on without sending it: a trait that does not change
        # would not move it back. What the page sends itself needs no answer.
        is_from_page = "playhead" in self._property_lock
        is_ready = self.__dict__.get("_is_ready")
        if row == self.playhead and is_ready and not is_from_page:
            self._post(Message({"kind": "goto", "row": row}, []))
        return row

    @traitlets.observe("quality")
    def _set_quality(self, _: Any) -> None:
        if self.__dict__.get("_is_ready"):
            self._stream.set_quality(self.quality)

    @traitlets.validate("bookmarks")
    def _keep_bookmarks(self, proposal: Any) -> list[int]:
        rows = sorted({int(row) for row in proposal["value"]})
        if rows and not 0 <= rows[0] <= rows[-1] < _MAX_ROWS:
            raise traitlets.TraitError(
                f"RolloutViewer: expected bookmarks in 0..{_MAX_ROWS - 1}, got "
                f"{rows[0]!r}..{rows[-1]!r}."
            )
        if not self.__dict__.get("_is_ready"):
            return rows
        # Of a page, where jslink set it: our own sends messages.
        is_from_page = "bookmarks" in self._property_lock
        return self._bookmarks.write(rows, is_from_page=is_from_page)

    def _set_bookmarks(self, rows: list[int]) -> None:
        self.bookmarks = rows

    @traitlets.observe("bookmarks")
    def _check_bookmarks(self, _: Any) -> None:
        if self.__dict__.get("_is_ready"):
            self._bookmarks.take()

    def _annotate(self, change: AnnotationChange) -> None:
        try:
            self.cache.annotate(change)
        except RolloutViewerError as error:
            # It stays in this viewer: a page may have set it.
            self._bookmarks.keep_here(change)
            text = f"{error} It is kept in this viewer only."
            self._show_error(type(error)(text))
            warnings.warn(text, RolloutViewerWarning, stacklevel=2)
        else:
            self._bookmarks.note_written(change)
