"""Dumps and downloads that a page asks for: one thread, one job after the other.

Each job reports its progress in `job` messages and ends as done, failed or cancelled;
an error leaves the thread as such a message only.
"""

from __future__ import annotations

import contextlib
import mimetypes
import tempfile
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rollout_viewer._errors import ExportCancelled, ExportError
from rollout_viewer._page.protocol import Message
from rollout_viewer._viewer.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    class Progress(Protocol):
        """Called with what is done, all of it, and what that is."""

        def __call__(self, done: int, total: int, unit: str = "rows") -> None: ...

    Work = Callable[[Progress, threading.Event], list[Path]]

# jupyter_server does not limit messages to a page (from it: 10 MiB); pieces of this
# size leave the connection free for pictures in between.
_FILE_PIECE_BYTES = 1 << 20
_PIECE_INTERVAL_S = 0.02
# A progress bar needs no more than this; the first is sent at once.
_PROGRESS_INTERVAL_S = 0.2
# More jobs at a time are refused.
_MAX_WAITING = 100


class _Job(NamedTuple):
    number: int
    work: Work
    is_download: bool
    cancel: threading.Event


class ExportJobs(Worker):
    """The job thread of one viewer, which lives while there are jobs.

    Args:
        send: Called from the job thread with each message.
    """

    def __init__(self, send: Callable[[Message], None]) -> None:
        super().__init__("rollout_viewer jobs")
        self._send = send
        self._queue: deque[_Job] = deque()
        self._cancelled: dict[int, threading.Event] = {}
        self.start()

    def refuse(self, job: int, error: Exception) -> None:
        """Report a job as failed that is not begun."""
        self._report(job, "failed", 0.0, str(error) or repr(error))

    def dump(self, job: int, work: Work) -> None:
        """Run `work(on_progress, cancel) -> paths` and report the paths."""
        self._put(job, work, is_download=False)

    def download(self, job: int, write: Callable[..., Path]) -> None:
        """Run `write(folder, on_progress, cancel) -> path` and send that file."""

        def work(on_progress: Progress, cancel: threading.Event) -> list[Path]:
            with tempfile.TemporaryDirectory() as folder:
                path = write(Path(folder), on_progress, cancel)
                self._send_file(job, path, cancel)
                return [Path(path.name)]

        self._put(job, work, is_download=True)

    def cancel(self, job: int) -> None:
        """Stop a job, running or waiting; unknown ones are ignored."""
        if (event := self._cancelled.get(job)) is not None:
            event.set()

    def close(self) -> None:
        """Stop everything soon."""
        for event in list(self._cancelled.values()):
            event.set()
        super().close()

    def _put(self, job: int, work: Work, *, is_download: bool) -> None:
        if job in self._cancelled or len(self._cancelled) >= _MAX_WAITING:
            error = ExportError(
                f"rollout_viewer: expected a new job, and at most {_MAX_WAITING} that "
                f"wait, got job {job} beside {len(self._cancelled)}. Try again when "
                "they are done."
            )
            self.refuse(job, error)
            return
        cancel = self._cancelled[job] = threading.Event()
        self._report(job, "running", 0.0, "waiting")
        self._queue.append(_Job(job, work, is_download, cancel))
        self.wake()

    def work(self) -> float | None:
        """Do one job. See `Worker`."""
        if not self._queue:
            return None
        job, work, is_download, cancel = self._queue.popleft()
        try:
            if cancel.is_set():
                raise ExportCancelled("cancelled before it began")
            paths = work(self._progress(job), cancel)
        except ExportCancelled:
            self._report(job, "cancelled", 0.0, "Cancelled; nothing was written.")
        except Exception as error:
            self._report(job, "failed", 0.0, str(error) or repr(error))
        else:
            message = "Sent to your browser." if is_download else "Written."
            shown = [str(path if is_download else path.resolve()) for path in paths]
            self._report(job, "done", 1.0, message, shown)
        finally:
            self._cancelled.pop(job, None)
        return 0.0

    def _progress(self, job: int) -> Progress:
        last = 0.0

        def on_progress(done: int, total: int, unit: str = "rows") -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _PROGRESS_INTERVAL_S:
                last = now
                share = done / total if total else 1.0
                self._report(job, "running", share, f"{done} of {total} {unit}")

        return on_progress

    def _report(
        self,
        job: int,
        state: str,
        progress: float,
        message: str,
        paths: list[str] | None = None,
    ) -> None:
        content: dict[str, Any] = {
            "kind": "job",
            "job": job,
            "state": state,
            "progress": progress,
            "message": message,
            "paths": paths or [],
        }
        with contextlib.suppress(Exception):  # a page that is gone ends no job
            self._send(Message(content, []))

    def _send_file(self, job: int, path: Path, cancel: threading.Event) -> None:
        total = path.stat().st_size
        mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        with path.open("rb") as file:
            offset = 0
            while offset < total or total == 0:
                if cancel.is_set():
                    raise ExportCancelled("cancelled while sending")
                piece = file.read(_FILE_PIECE_BYTES)
                content = {
                    "kind": "file",
                    "job": job,
                    "name": path.name,
                    "mime": mime,
                    "offset": offset,
                    "total": total,
                }
                self._send(Message(content, [piece]))
                offset += len(piece)
                if total == 0:
                    break
                time.sleep(_PIECE_INTERVAL_S)
