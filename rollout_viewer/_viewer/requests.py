"""What a page asks of one viewer: annotations, data, parts of it, dumps, downloads.

One function for each kind of message; `rollout_viewer._page.protocol` specifies them.
They run on the stream's thread, maybe beside the user's cell.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from rollout_viewer._errors import ProtocolError
from rollout_viewer._export.write import check_choice
from rollout_viewer._export.writers import WRITERS
from rollout_viewer._page.build_messages import part_message
from rollout_viewer._page.bundle import PARTS
from rollout_viewer._page.details import column_message, details_message
from rollout_viewer._page.parting import EpisodeKey, parting_message
from rollout_viewer._page.protocol import Message
from rollout_viewer._recording.annotations import AnnotationChange
from rollout_viewer._recording.storable import storable_json, storable_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._page.protocol import (
        BookmarkMessage,
        ColumnMessage,
        DownloadMessage,
        DumpMessage,
        InspectMessage,
        LabelMessage,
        PageMessage,
        PartingMessage,
        PartMessage,
        UnbookmarkMessage,
    )
    from rollout_viewer._viewer.export_jobs import ExportJobs, Progress


class Dump(Protocol):
    """Writes rows ``start..stop`` through the viewer's logger; returns the files.

    Of these envs; None: of all.
    """

    def __call__(
        self,
        start: int,
        stop: int,
        formats: list[str],
        on_progress: Progress,
        cancel: threading.Event,
        envs: list[int] | None,
    ) -> list[Path] | None: ...


class Download(Protocol):
    """Writes rows ``start..stop`` as one file in `folder`; returns it.

    Of these envs; None: of all.
    """

    def __call__(
        self,
        folder: Path,
        start: int,
        stop: int,
        suffix: str,
        on_progress: Progress,
        cancel: threading.Event,
        envs: list[int] | None,
    ) -> Path: ...


class PageRequests:
    """Answers the pages of one viewer.

    Args:
        get_cache: Returns the recording; None once the viewer was released.
        jobs: Where dumps and downloads run.
        send: Sends a message to the pages.
        annotate: Applies a change of bookmarks or labels.
        dump: See `Dump`; returns None once the viewer was collected.
        download: See `Download`.
    """

    def __init__(
        self,
        *,
        get_cache: Callable[[], FrameCache | None],
        jobs: ExportJobs,
        send: Callable[[Message], None],
        annotate: Callable[[AnnotationChange], None],
        dump: Dump,
        download: Download,
    ) -> None:
        self._get_cache = get_cache
        self._jobs = jobs
        self._send = send
        self._annotate = annotate
        self._dump = dump
        self._download = download
        self._counts: dict[str, float] = {}
        self._has_counts = threading.Event()

    def page_counts(self, timeout_s: float) -> dict[str, float]:
        """Ask a page for its counters; return the latest that came, maybe none.

        Args:
            timeout_s: How long to wait for the answer.
        """
        self._has_counts.clear()
        self._send(Message({"kind": "stats"}, []))
        self._has_counts.wait(timeout_s)
        return self.last_counts

    @property
    def last_counts(self) -> dict[str, float]:
        """The counters of the latest answer."""
        return self._counts

    def answer(self, content: PageMessage) -> None:
        """Do what a checked message asks for."""
        match content["kind"]:
            case "stats":
                self._counts = content["counts"]
                self._has_counts.set()
            case "bookmark":
                self._bookmark(content)
            case "unbookmark":
                self._unbookmark(content)
            case "label":
                self._label(content)
            case "inspect":
                self._inspect(content)
            case "column":
                self._column(content)
            case "part":
                self._part(content)
            case "parting":
                self._parting(content)
            case "dump":
                self._start_dump(content)
            case "download":
                self._start_download(content)
            case "cancel":
                self._jobs.cancel(content["job"])
            case kind:  # hello, ack and need are the stream's own
                raise AssertionError(f"unexpected message {kind!r}")

    def _bookmark(self, content: BookmarkMessage) -> None:
        cache = self._get_cache()
        _check_range(
            "bookmark.row", content["row"], cache.num_rows if cache is not None else 0
        )
        row, note = content["row"], content["note"]
        if note is None:
            self._annotate(AnnotationChange(added=[row]))
        else:
            self._annotate(AnnotationChange(bookmarks={row: storable_text(note)}))

    def _unbookmark(self, content: UnbookmarkMessage) -> None:
        self._annotate(AnnotationChange(bookmarks={content["row"]: None}))

    def _label(self, content: LabelMessage) -> None:
        key = content["env"], content["episode"]
        cache = self._get_cache()
        rows = cache.recording.rows if cache is not None else None
        _check_range("label.env", key[0], rows.num_envs if rows else 0)
        _check_range("label.episode", key[1], rows.num_begun(key[0]) if rows else 0)
        self._annotate(AnnotationChange(labels={key: storable_json(content["labels"])}))

    def _inspect(self, content: InspectMessage) -> None:
        if (cache := self._get_cache()) is not None:
            self._send(details_message(cache, content["env"], content["start"]))

    def _column(self, content: ColumnMessage) -> None:
        if (cache := self._get_cache()) is not None:
            name, index, start = content["name"], content["index"], content["start"]
            self._send(column_message(cache, name, index, start))

    def _part(self, content: PartMessage) -> None:
        name = content["name"]
        if name not in PARTS:
            raise ProtocolError(
                f"rollout_viewer: expected a part in {list(PARTS)}, got {name!r}. "
                "Reload the page."
            )
        self._send(part_message(name, "RolloutViewer"))

    def _parting(self, content: PartingMessage) -> None:
        if (cache := self._get_cache()) is None:
            return
        rows = cache.recording.rows
        keys = [EpisodeKey(*content[name]) for name in ("first", "other")]
        for env, number in keys:
            _check_range("parting.env", env, rows.num_envs if rows else 0)
            _check_range("parting.index", number, rows.num_begun(env) if rows else 0)
        self._send(parting_message(cache, *keys))

    def _start_dump(self, content: DumpMessage) -> None:
        start, stop, formats = content["start"], content["stop"], content["formats"]
        envs = content.get("envs")
        if not self._is_possible(content["job"], start, stop, envs, formats):
            return

        def work(on_progress: Progress, cancel: threading.Event) -> list[Path]:
            return self._dump(start, stop, formats, on_progress, cancel, envs) or []

        self._jobs.dump(content["job"], work)

    def _start_download(self, content: DownloadMessage) -> None:
        start, stop, suffix = content["start"], content["stop"], content["format"]
        envs = content.get("envs")
        if not self._is_possible(content["job"], start, stop, envs, [suffix]):
            return

        def write(folder: Path, on_progress: Progress, cancel: threading.Event) -> Path:
            return self._download(
                folder, start, stop, suffix, on_progress, cancel, envs
            )

        self._jobs.download(content["job"], write)

    def _is_possible(
        self,
        job: int,
        start: int,
        stop: int,
        envs: Sequence[int] | None,
        formats: Sequence[str],
    ) -> bool:
        """Whether there are such rows, envs and formats; else the job has failed."""
        cache = self._get_cache()
        num_rows = cache.num_rows if cache is not None else 0
        known = [suffix[1:] for suffix in WRITERS]
        try:
            if not 0 <= start < stop <= num_rows:
                raise ProtocolError(
                    f"rollout_viewer: expected rows within 0..{num_rows}, got "
                    f"{start}..{stop}. Choose others."
                )
            num_envs = cache.num_envs if cache is not None else 0
            if envs is not None and not (envs and max(envs) < num_envs):
                raise ProtocolError(
                    f"rollout_viewer: expected envs within 0..{num_envs - 1}, got "
                    f"{envs!r:.100}. Choose others."
                )
            for name in formats:
                check_choice("rollout_viewer", "a format", name, known)
        except (ProtocolError, ValueError) as error:
            self._jobs.refuse(job, error)
            return False
        return True


def _check_range(name: str, value: int, count: int) -> None:
    if not 0 <= value < count:
        raise ProtocolError(
            f"rollout_viewer: expected {name} in 0..{count - 1}, got {value!r:.100}. "
            "Reload the page."
        )
