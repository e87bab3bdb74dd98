"""What a saved notebook keeps of a viewer: the poster, or the whole page in a frame.

An output is the only thing of a recording that outlives its kernel in the notebook
itself: what makes a page of the notebook later has no recording to read. A page is
large, so it is only there where the user asked for it.
"""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rollout_viewer._errors import ExportTooLargeError
from rollout_viewer._export.html import write_html
from rollout_viewer._export.poster import poster_html
from rollout_viewer._recording.storable import storable_text
from rollout_viewer._viewer.notebook import may_lack_messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._cache.cache import FrameCache

Saved = Literal["poster", "page"]
SAVED: tuple[Saved, ...] = ("poster", "page")
_HEIGHT_PX = 720
# Pictures that are so many times larger than allowed are not even tried.
_HOPELESS = 4
# Its own origin, without the notebook's: it runs the page's script and saves files.
_FRAME = (
    '<iframe title="{title}" width="100%" height="{height}" '
    'sandbox="allow-scripts allow-downloads" srcdoc="{page}"></iframe>\n'
    "<details><summary>As a picture</summary>\n{poster}\n</details>"
)

# Of its picture, where it is sent beside the output: before the first pictures.
_MAX_INSIDE_PNG_BYTES = 16_000

# In a frame, in the scheme of the browser.
_INSIDE = (
    '<!doctype html><meta name="color-scheme" content="light dark">'
    "<p>This is what the output itself holds: the recording as it was when the cell "
    "ran. It is live in JupyterLab, and in a notebook that brings widgets their "
    "messages.</p>"
)


class SavedOutput(NamedTuple):
    """How a viewer is saved.

    Attributes:
        kind: What is kept in the notebook.
        max_mb: Above it, a page is the poster.
    """

    kind: Saved
    max_mb: float

    def html(self, cache: FrameCache, row: int, *, title: str, **options: Any) -> str:
        """Return a recording of at least one row as HTML.

        Args:
            cache: The recording.
            row: At the playhead.
            title: Its name.
            **options: Of `write_html`.
        """
        groups: Sequence[Sequence[Any]] = options["groups"]
        poster = poster_html(cache, row, title=title, groups=groups)
        if self.kind == "poster":
            return poster
        page = self._page(cache, title=title, row=row, **options)
        if page is None:
            return (
                f"{poster}\n<p>It is too large to be played here: with save='page', "
                f"pages of up to {self.max_mb:g} MB are (save_mb).</p>"
            )
        return _FRAME.format(
            title=html.escape(storable_text(title)),
            height=_HEIGHT_PX,
            page=html.escape(page),
            poster=poster,
        )

    def inside(
        self, saved: str, cache: FrameCache, row: int, *, title: str, groups: Any
    ) -> str:
        """Return what a page shows of its own output while the kernel does not answer.

        A poster with a smaller picture: the output has been sent already.

        Args:
            saved: What `html` returned.
            cache: The recording.
            row: At the playhead.
            title: Its name.
            groups: Of several compared recordings.
        """
        if self.kind == "poster" and len(saved) > 2 * _MAX_INSIDE_PNG_BYTES:
            size = _MAX_INSIDE_PNG_BYTES
            saved = poster_html(
                cache, row, title=title, groups=groups, max_png_bytes=size
            )
        return f"{_INSIDE}{saved}"

    def _page(self, cache: FrameCache, **options: Any) -> str | None:
        """Return the page; None: it would be too large."""
        if cache.nbytes > _HOPELESS * self.max_mb * 1e6:
            return None
        with tempfile.TemporaryDirectory(prefix="rollout_viewer-") as folder:
            path = Path(folder, "page.html")
            try:
                write_html(cache, path, max_mb=self.max_mb, **options)
            except ExportTooLargeError:
                return None
            return path.read_text("utf-8")


def checked_saved(kind: Any, max_mb: float) -> SavedOutput:
    """Return how a viewer is saved. None: the poster, or where needed the page.

    Raises:
        ValueError: `kind` is no choice, or `max_mb` not above zero.
    """
    if kind is None:
        kind = "page" if may_lack_messages() else "poster"
    if kind not in SAVED:
        raise ValueError(
            f"RolloutViewer: expected save as one of {SAVED}, got {kind!r}."
        )
    if not max_mb > 0:  # NaN too
        raise ValueError(f"RolloutViewer: expected save_mb > 0, got {max_mb!r}.")
    return SavedOutput(kind, max_mb)
