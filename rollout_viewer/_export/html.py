"""One HTML file that plays a recording without a kernel: the page, and its messages.

The same script and the same messages as in a notebook (`_page.protocol`), written into
one document that asks nothing of the network, and no larger than the user allows. Knows
messages and a cache. Knows nothing of widgets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import numpy as np

from rollout_viewer._errors import ExportTooLargeError
from rollout_viewer._export.document import (
    document_end,
    document_head,
    message_element,
)
from rollout_viewer._export.page_size import EXACT, PREVIEWS, Detail, shares
from rollout_viewer._export.png import MAX_POSTER_PIXELS, poster_png
from rollout_viewer._export.selection import Selection
from rollout_viewer._files.new_files import new_file, require_page_name
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._page.bundle import packed_part, read_bundle
from rollout_viewer._page.details import FieldCatalog, all_details
from rollout_viewer._page.offline import check_rows, recording_messages
from rollout_viewer._page.parting import with_partings
from rollout_viewer._progress import Counter, progress_bar
from rollout_viewer._recording.checked_numbers import (
    checked_env_numbers,
    checked_number,
)
from rollout_viewer._recording.storable import storable_text

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from rollout_viewer._progress import Progress
    from rollout_viewer._recording.reader import RecordingReader

PageQuality = Literal["exact", "preview"]


_POSTER_WIDTH_PX = 800


def write_html(
    cache: RecordingReader,
    path: str | os.PathLike[str],
    *,
    start: int = 0,
    stop: int | None = None,
    envs: Sequence[int] | None = None,
    every: int = 1,
    reduce: int = 1,
    quality: PageQuality = "exact",
    title: str | None = None,
    max_mb: float = 20,
    columns: int | None = None,
    fps: float | None = None,
    row: int = 0,
    env: int | None = None,
    overwrite: bool = False,
    groups: Sequence[Sequence[Any]] = (),
    compare: Mapping[str, Any] | None = None,
    progress: Progress | bool | None = None,
) -> Path:
    """Write rows ``start..stop`` as one file that plays and scrubs from ``file://``.

    Args:
        cache: The recording; more may be recorded meanwhile.
        path: Of the file; a taken name gets ``-1``, ``-2``, ... unless `overwrite`.
        start: First row; rows keep their numbers.
        stop: Row after the last one; None: all there are.
        envs: Environments whose pictures are shown; None: all.
        every: Keep every n-th picture; the rows between show the one before.
        reduce: Pictures are so many times smaller each way, by averaging.
        quality: "preview" chooses `every` and `reduce`, as small as `max_mb` needs.
        title: None: the name of the file.
        max_mb: Largest size in megabytes (10**6 bytes).
        columns: Tiles across; None: as fits.
        fps: Rows a second at speed 1; None: the recording's.
        row: With which the page begins, if it is one of ``start..stop``.
        env: Selected when it begins; None: none.
        overwrite: Replace a file of that name.
        groups: (name, first_env, num_envs) of each of several compared recordings.
        compare: ``lines`` and ``seeds`` with which the page begins; see `protocol`.
        progress: Called with (rows done, all rows), or a bar like tqdm's; True: a bar.

    Returns:
        The file, there whole or not at all.

    Raises:
        ValueError: `max_mb`, `every` or `reduce` is not above zero, `quality` is
            neither, or `path` is no name of a page.
        RowError: There are no such rows or envs.
        TypeError: Rows or envs are no whole numbers.
        ExportTooLargeError: It would be larger than `max_mb`.
        ExportError: The file cannot be written.
        MissingDependencyError: The package was not built.
    """
    path = Path(path)
    title = path.stem if title is None else title
    fps = None if fps is None else checked_fps("to_html", fps)
    require_page_name(path, "to_html")
    _check(max_mb, quality, every, reduce)
    cache.complete()
    start = checked_number("to_html", "start", start)
    num_rows = cache.num_rows
    last = num_rows if stop is None else checked_number("to_html", "stop", stop)
    stop = min(last, num_rows)
    check_rows(cache, start, stop)
    envs = None if envs is None else checked_env_numbers("to_html", envs)
    cache.prepare_pictures(start, stop, envs, None, is_optional=True)
    page = _Page(
        cache,
        start,
        stop,
        _pictured(cache, envs),
        limit=max_mb * 1e6,
        title=storable_text(title).replace("\0", "\ufffd"),
        row=row if start < row < stop else start,
        env=env,
        options={
            "columns": columns,
            "fps": fps,
            "groups": groups,
            "compare": with_partings(cache, stop, compare),
        },
    )
    given = None if isinstance(progress, bool) else progress
    with progress_bar("to_html", unit="row", is_hidden=progress is not True) as bar:
        counter = Counter(given or bar, None, "to_html")
        page.write(path, Detail(every, reduce), quality, counter, overwrite=overwrite)
    assert page.written
    return page.written


def _check(max_mb: float, quality: PageQuality, every: int, reduce: int) -> None:
    if not max_mb > 0:  # NaN too
        raise ValueError(f"to_html: expected max_mb > 0, got {max_mb!r}.")
    if quality not in ("exact", "preview"):
        raise ValueError(
            f"to_html: expected quality as 'exact' or 'preview', got {quality!r}."
        )
    for name, value in {"every": every, "reduce": reduce}.items():
        if not isinstance(value, (int, np.integer)):
            raise TypeError(
                f"to_html: expected {name} to be a whole number above 0, got {value!r}."
            )
    if quality == "preview" and (every, reduce) != EXACT:
        raise ValueError(
            "to_html: expected quality='preview' to choose every and reduce, got "
            f"every={every!r}, reduce={reduce!r}. Leave them out, or the quality."
        )


def _pictured(
    cache: RecordingReader, envs: Sequence[int] | None
) -> Sequence[int] | None:
    """Return envs without those that have no pictures; unknown ones stay."""
    if cache.is_shared or envs is None:
        return None
    blind = set(range(cache.num_envs)) - set(cache.pictured_envs)
    return [env for env in envs if env not in blind]


class _TooLarge(Exception):
    """A file that is larger than allowed: it is not kept."""


@dataclass
class _Page:
    """A page that is to be written, and what its last attempt found."""

    cache: RecordingReader
    start: int
    stop: int
    envs: Sequence[int] | None
    limit: float
    title: str
    row: int
    env: int | None
    options: dict[str, Any]
    size: int = 0  # bytes of the whole file
    fixed_size: int = 0  # those that no detail of the pictures changes
    written: Path | None = None

    def write(
        self,
        path: Path,
        detail: Detail,
        quality: PageQuality,
        counter: Counter,
        *,
        overwrite: bool,
    ) -> None:
        """Write the file in this detail; as a preview in the first one that fits.

        Raises:
            ExportTooLargeError: None does.
        """
        self._try(path, detail, counter, overwrite=overwrite)
        if self.written:
            return
        if quality == "exact":
            raise self._too_large(detail)
        exact, pictures = self.size, self.size - self.fixed_size
        parts = shares(self.cache, self.start, self.stop, self.envs, PREVIEWS[1:])
        for preview, share in parts.items():
            if self.fixed_size + share * pictures <= self.limit:
                self._try(path, preview, counter, overwrite=overwrite)
            if self.written:
                return
        raise ExportTooLargeError(
            f"to_html: expected at most {self.limit / 1e6:g} MB (max_mb), got "
            f"{self.fixed_size / 1e6:.1f} MB without pictures, {exact / 1e6:.1f} MB "
            f"with exact ones of {self.stop - self.start} rows. Choose fewer rows "
            "(start, stop) or fewer environments (envs), or a higher limit "
            f"(max_mb {_round_up(exact / 1e6)} for exact ones)."
        )

    def _try(
        self, path: Path, detail: Detail, counter: Counter, *, overwrite: bool
    ) -> None:
        """Write the file, unless that is too large; note how large it is."""
        counter.begin(self.stop - self.start)
        messages = recording_messages(
            self.cache,
            self.start,
            self.stop,
            self.envs,
            detail.every,
            reduce=detail.reduce,
            first=self.row,
            on_rows=lambda done: counter.advance(max(0, done - counter.done)),
            title=self.title,
            fields=FieldCatalog().describe(self.cache),
            **self.options,
        )
        # Before the file is opened: wrong rows are reported by this.
        first = [message_element(*next(messages)), message_element(*next(messages))]
        head = document_head(
            title=self.title,
            poster=_poster(self.cache, self.start, self.envs),
            style=read_bundle("widget.css", "to_html"),
            script=read_bundle("widget.js", "to_html"),
            place=self._place,
        )
        # Of an evaluation alone the page has numbers to show.
        names = ["mp4", "compare"] if self._has_numbers else ["mp4"]
        end = document_end({name: packed_part(name, "to_html") for name in names})
        texts = [head, *first, end]
        self.size = self.fixed_size = sum(len(text.encode()) for text in texts)
        try:
            with new_file(path, where="to_html", overwrite=overwrite) as file:
                with file.part.open("w", encoding="utf-8", newline="\n") as out:
                    out.writelines([head, *first])
                    for message in messages:
                        text = message_element(*message)
                        self.size += len(text)  # plain ASCII
                        # Beyond the limit the rest is only counted, for the message.
                        if self.size <= self.limit:
                            out.write(text)
                    self._add_details(out)
                    out.write(end)
                if self.size > self.limit:
                    raise _TooLarge
        except _TooLarge:
            return
        counter.end()
        self.written = file.path

    @property
    def _place(self) -> str:
        env = "" if self.env is None else f"&env={self.env}"
        return f"#row={self.row}{env}" if env or self.row > self.start else ""

    @property
    def _has_numbers(self) -> bool:
        compare: Mapping[str, Any] | None = self.options["compare"]
        return compare is not None and "policies" in compare

    def _add_details(self, out: IO[str]) -> None:
        """Write numbers for the inspector, as far as there is room for them."""
        for message in all_details(self.cache, self.start, self.stop, self.envs):
            text = message_element(*message)
            if self.size + len(text) > self.limit:
                break
            self.size += len(text)
            out.write(text)

    def _too_large(self, now: Detail) -> ExportTooLargeError:
        """Return the error that names what would be smaller, and how small."""
        fewer = [Detail(now.every * n, now.reduce) for n in (2, 4)]
        smaller = [Detail(now.every, now.reduce * n) for n in (2, 4)]
        details = [now, *fewer, *smaller]
        part = shares(self.cache, self.start, self.stop, self.envs, details)
        pictures = (self.size - self.fixed_size) / max(part[now], 1e-9)

        def named(name: str, details: Sequence[Detail]) -> str:
            return ", ".join(
                f"{name} {getattr(detail, name)}: about "
                f"{(self.fixed_size + pictures * part[detail]) / 1e6:.1f} MB"
                for detail in details
            )

        return ExportTooLargeError(
            f"to_html: expected at most {self.limit / 1e6:g} MB (max_mb), got "
            f"{self.size / 1e6:.1f} MB for {self.stop - self.start} rows. Choose fewer "
            "rows (start, stop) or fewer environments (envs). viewer.to_html and the "
            f"command `view` also take every n-th picture ({named('every', fewer)}), "
            f"smaller pictures ({named('reduce', smaller)}), as much as fits "
            "(quality 'preview'), or a higher limit "
            f"(max_mb {_round_up(self.size / 1e6)})."
        )


def _poster(cache: RecordingReader, row: int, envs: Sequence[int] | None) -> str:
    """Return the first row's grid as an image; nothing where there are no pictures."""
    has_tiles = envs is None or len(envs) > 0
    if not cache.pictured_envs or not has_tiles:
        return ""
    one = Selection(cache, row, row + 1, envs)
    if math.prod(one.frame_size) > MAX_POSTER_PIXELS:
        return ""
    frame = next(one.frames())
    data = poster_png(frame, _POSTER_WIDTH_PX)
    return f'<img alt="The first row" src="data:image/png;base64,{data}">'


def _round_up(megabytes: float) -> int:
    """Return the next multiple of 5: a limit that people type."""
    return 5 * (int(megabytes) // 5 + 1)
