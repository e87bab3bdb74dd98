"""A video that is encoded by a thread of its own while its segment is recorded.

The environment does not wait for large pictures: encoding one takes longer than
recording it. For small ones it waits at every 64th row: two threads that want Python's
lock at the same time take it from each other at every call, which costs more than the
work itself.
Knows segments and their videos. Knows nothing of when they start and stop.
"""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import ExportCancelled
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._recorder.segment_frames import VideoFrames, shown_rows
from rollout_viewer._recorder.segment_writer import open_video, write_json, write_video

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.video_segment import VideoSegment
    from rollout_viewer._video import VideoWriter

# Rows for which the thread wakes up, and of small pictures, for which it is waited; an
# estimate of some milliseconds of work.
_BATCH_ROWS, _SMALL_BATCH_ROWS = 16, 64
# A frame of at most so many bytes is a small one.
_SMALL_BYTES = 256 * 1024
# From here on the environment does not wait any more: the disk is slow.
_MOST_SECONDS = 1.0


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
        self._stop = self._written = segment.start
        # The rows before it are to be written now.
        self._due = segment.start
        self._is_complete = self._is_cancelled = False
        # Known from the first picture on.
        self._is_awaited = False
        self._batch_rows = _BATCH_ROWS
        self._changed = threading.Condition()
        self._thread = threading.Thread(
            target=self._run, name=f"video {segment.name}", daemon=True
        )
        self._thread.start()
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[threading.Condition]:
        """Return nothing: what the thread writes is the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child, where the thread has ended."""
        del is_whole
        self._changed = threading.Condition()
        self._is_awaited = False

    def notify(self, stop: int) -> None:
        """Note that the rows before `stop` are recorded."""
        self._stop = stop
        if stop - self._written >= self._batch_rows and self._error is None:
            with self._changed:
                self._due = stop
                self._changed.notify_all()
                if self._is_awaited:
                    self._is_awaited = self._changed.wait_for(
                        lambda: self._written >= stop or self._error is not None,
                        _MOST_SECONDS,
                    )

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
        with self._changed:
            self._stop, self._is_complete = stop, True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_complete or self._written < self._stop:
                with self._changed:
                    self._changed.wait_for(self._has_work)
                    stop = self._stop
                self._write(stop)
        except BaseException as error:  # raised by finish()
            with self._changed:
                self._error = error
                self._changed.notify_all()
            if self._video is not None:
                self._video.discard()

    def _has_work(self) -> bool:
        return self._is_complete or self._written < self._due

    def _write(self, stop: int) -> None:
        rows = shown_rows(self._cache, self._written, stop)
        for batch in np.split(rows, range(_BATCH_ROWS, len(rows), _BATCH_ROWS)):
            if len(batch):
                self._write_rows(batch)
        self._rows.append(rows)
        with self._changed:
            self._written = stop
            self._changed.notify_all()

    def _write_rows(self, rows: npt.NDArray[np.int64]) -> None:
        frames = self._frames.of(rows)
        if self._video is None:
            first = next(frames)
            frames = itertools.chain([first], frames)
            if first.nbytes <= _SMALL_BYTES:
                self._is_awaited, self._batch_rows = True, _SMALL_BATCH_ROWS
            self._video = open_video(
                self._cache, self._segment, self._folder, first, self._where
            )
        self._video.write_all(frames, self._check_cancelled)

    def _check_cancelled(self) -> None:
        if self._is_cancelled:
            raise ExportCancelled(f"{self._where}: cancelled.")
