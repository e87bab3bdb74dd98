"""A video that is encoded by a thread of its own while its segment is recorded.

The environment does not wait: encoding a picture takes longer than recording it. Only
where small pictures come about as fast as they are encoded, it waits at every 64th row:
two threads that want Python's lock at the same time take it from each other at every
call, which costs more than the work itself.
Knows segments and their videos. Knows nothing of when they start and stop.
"""

from __future__ import annotations

import itertools
import math
import queue
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rollout_viewer._errors import ExportCancelled
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._recorder.segment_frames import VideoFrames, shown_rows
from rollout_viewer._recorder.segment_writer import open_video, write_json, write_video

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._process.forks import Lock
    from rollout_viewer._recorder.video_segment import VideoSegment
    from rollout_viewer._video import VideoWriter

# Rows for which the thread wakes up, and of small pictures, for which it may be waited;
# an estimate of some milliseconds of work.
_BATCH_ROWS, _SMALL_BATCH_ROWS = 16, 64
# A frame of at most so many bytes is a small one.
_SMALL_BYTES = 256 * 1024
# It is waited for the thread where a row takes at most so many times the processor time
# that the thread needs for it: an environment that is slower may leave Python's lock to
# it, as one that waits for a simulator does.
_MOST_TIMES = 8
# So long at a time: the disk is slow.
_MOST_SECONDS = 1.0


class _Request(NamedTuple):
    """What the thread is to do: write the rows before `stop`."""

    stop: int
    is_awaited: bool = False
    is_last: bool = False


class BackgroundVideo:
    """Writes the video of a segment that is still recorded.

    Its thread owns the writer; the recording thread calls `notify`, `finish` and
    `cancel`. The file appears when it is complete.

    Args:
        cache: The recording.
        segment: From its first row; its `stop` is not known yet.
        folder: Of the video.
        where: The class that the user made, for messages.
    """

    def __init__(
        self, cache: FrameCache, segment: VideoSegment, folder: Path, where: str
    ) -> None:
        self._cache = cache
        self._segment = segment
        self._folder = folder
        self._where = where
        self._frames = VideoFrames(cache, segment.columns)
        self._video: VideoWriter | None = None
        self._rows: list[npt.NDArray[np.int64]] = []
        self._error: BaseException | None = None
        # The rows before it are requested, and written. Before which row it is not
        # waited for the thread: it did not get so far in time.
        self._requested = self._written = self._late = segment.start
        self._is_cancelled = False
        # What the thread knows once it has written rows.
        self._is_small = False
        self._seconds_a_row = 0.0
        # When the rows that are not requested began to come.
        self._began_s = time.perf_counter()
        # Of C, without a lock that an interrupt could leave behind.
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[float] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._run, name=f"video {segment.name}", daemon=True
        )
        self._thread.start()
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: what the thread writes is the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the queues anew, in a forked child, where the thread has ended."""
        del is_whole
        self._requests, self._answers = queue.SimpleQueue(), queue.SimpleQueue()
        self._is_small = False

    def notify(self, stop: int) -> None:
        """Note that the rows before `stop` are recorded."""
        count = stop - self._requested
        is_due = count >= (_SMALL_BATCH_ROWS if self._is_small else _BATCH_ROWS)
        if not is_due or self._error is not None:
            return
        is_awaited = self._is_worth_waiting(count)
        self._requested = stop
        self._requests.put(_Request(stop, is_awaited))
        if is_awaited:
            self._await(stop)
        self._began_s = time.perf_counter()

    def _is_worth_waiting(self, count: int) -> bool:
        """Whether `count` rows came about as fast as the thread writes them."""
        if not self._is_small or self._written < self._late:
            return False
        seconds = time.perf_counter() - self._began_s
        return seconds <= _MOST_TIMES * count * self._seconds_a_row

    def _await(self, stop: int) -> None:
        try:
            # An answer may be one that an earlier call was interrupted before.
            while self._answers.get(timeout=_MOST_SECONDS) < stop:
                pass
        except queue.Empty:
            self._late = stop

    def finish(self, segment: VideoSegment) -> Path:
        """Write the rest of the segment, which has its `stop` now.

        Returns:
            The video.

        Raises:
            ExportError: It could not be written; nothing of it is left.
        """
        if threading.current_thread() is self._thread:
            # The garbage collector ran in this thread and finalized a recorder that
            # was not closed: the thread cannot wait for itself.
            self._is_cancelled = True
            return write_video(self._cache, segment, self._folder, where=self._where)
        assert segment.stop is not None
        self._end(segment.stop)
        if self._error is not None:
            raise self._error
        assert self._video is not None
        self._video.close()
        rows = np.concatenate(self._rows)
        write_json(self._cache, segment, rows, self._video.path, self._where)
        return self._video.path

    @property
    def num_fitted(self) -> int:
        """How many pictures had another size than the video."""
        return self._frames.num_fitted

    def cancel(self) -> None:
        """Stop, and leave nothing of the video."""
        self._is_cancelled = True
        if threading.current_thread() is not self._thread:
            self._end(self._written)

    def _end(self, stop: int) -> None:
        self._requests.put(_Request(stop, is_last=True))
        self._thread.join()

    def _run(self) -> None:
        try:
            is_last = False
            while not is_last:
                stop, is_awaited, is_last = self._requests.get()
                self._write(stop)
                self._check_cancelled()
                if is_awaited:
                    self._answers.put(stop)
        except BaseException as error:  # raised by finish()
            self._error = error
            if self._video is not None:
                self._video.discard()
        finally:
            self._answers.put(math.inf)

    def _write(self, stop: int) -> None:
        if stop <= self._written:
            return
        was_open, start_s = self._video is not None, time.thread_time()
        rows = shown_rows(self._cache, self._written, stop)
        for batch in np.split(rows, range(_BATCH_ROWS, len(rows), _BATCH_ROWS)):
            if len(batch):
                self._write_rows(batch)
        self._rows.append(rows)
        count, self._written = stop - self._written, stop
        if self._video is not None:
            frame_bytes = 3 * self._video.width * self._video.height
            self._is_small = frame_bytes <= _SMALL_BYTES
        if was_open:  # else it took far longer
            self._seconds_a_row = (time.thread_time() - start_s) / count

    def _write_rows(self, rows: npt.NDArray[np.int64]) -> None:
        frames = self._frames.of(rows)
        if self._video is None:
            first = next(frames)
            frames = itertools.chain([first], frames)
            self._video = open_video(
                self._cache, self._segment, self._folder, first, self._where
            )
        self._video.write_all(frames, self._check_cancelled)

    def _check_cancelled(self) -> None:
        if self._is_cancelled:
            raise ExportCancelled(f"{self._where}: cancelled.")
