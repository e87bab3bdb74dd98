"""Videos of segments that were recorded without pictures, written in the background.

A thread has the pictures of a segment rendered, and writes its video; the environment
does not wait. Knows segments and their videos. Knows nothing of when they stop.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from rollout_viewer._process.forks import make_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._process.forks import Lock
    from rollout_viewer._recorder.video_segment import VideoSegment


class Outcome(NamedTuple):
    """A video that was written, or why it was not."""

    segment: VideoSegment
    error: Exception | None


class LaterVideos:
    """Writes one video after the other, in a thread that lives meanwhile.

    Args:
        write: Renders and writes the video of a segment; called from the thread.
    """

    def __init__(self, write: Callable[[VideoSegment], object]) -> None:
        self._write = write
        self._waiting: deque[VideoSegment] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the videos are the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child, which has not the thread."""
        del is_whole
        self._lock, self._thread = threading.Lock(), None
        self._waiting.clear()
        self._outcomes.clear()

    def add(self, segment: VideoSegment) -> None:
        """Write the video of a segment soon."""
        with self._lock:
            self._waiting.append(segment)
            if self._thread is not None and self._thread.ident is not None:
                return
            # Also instead of one whose start was interrupted.
            self._thread = thread = threading.Thread(
                target=self._run, name="rollout_viewer later videos", daemon=True
            )
        try:
            thread.start()
        except RuntimeError:  # the interpreter ends, and starts no thread any more
            self._run()

    def wait(self) -> None:
        """Return when all videos are written, or have failed."""
        thread = self._thread
        # The garbage collector may finish a recorder in that thread.
        if thread is threading.current_thread():
            return
        if thread is not None and thread.ident is not None:
            thread.join()
        self._run()  # those that no thread was started for, since that was interrupted

    def outcomes(self) -> list[Outcome]:
        """Return what became of the videos since the last call."""
        return [self._outcomes.popleft() for _ in range(len(self._outcomes))]

    def _run(self) -> None:
        while (segment := self._next()) is not None:
            error = None
            try:
                self._write(segment)
            except Exception as problem:  # reported by the thread that records
                error = problem
            self._outcomes.append(Outcome(segment, error))

    def _next(self) -> VideoSegment | None:
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._thread is threading.current_thread():
                self._thread = None
            return None
