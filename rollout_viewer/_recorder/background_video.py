"""A video that grows while its take is recorded, written by a thread of its own.

The environment steps on meanwhile: encoding a picture takes longer than keeping it.
Knows takes and their videos. Knows nothing of when they start and stop.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import ExportCancelled
from rollout_viewer._recorder.video_files import (
    frames_of,
    open_video,
    shown_rows,
    write_json,
    write_video,
)

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.video_segment import VideoSegment
    from rollout_viewer._video import VideoWriter

# Rows that are worth waking up for; an estimate of a few milliseconds of work.
_BATCH_ROWS = 16


class BackgroundVideo:
    """Writes the video of a take whose rows are still coming.

    Its thread owns the writer; `tell` and `finish` are of the thread that records.
    The file appears when it is complete.

    Args:
        cache: The recording.
        take: What is recorded, from its first row.
        folder: Where the video goes.
        where: The class that a person made, for messages.
    """

    def __init__(
        self, cache: FrameCache, take: VideoSegment, folder: Path, where: str
    ) -> None:
        self._cache = cache
        self._take = take
        self._folder = folder
        self._where = where
        self._video: VideoWriter | None = None
        self._rows: list[npt.NDArray[np.int64]] = []
        self._error: BaseException | None = None
        self._stop = self._done = take.start
        self._is_last = self._is_given_up = False
        self._news = threading.Condition()
        self._thread = threading.Thread(
            target=self._run, name=f"video {take.name}", daemon=True
        )
        self._thread.start()

    def tell(self, stop: int) -> None:
        """Note that the rows before `stop` are there."""
        self._stop = stop
        if stop - self._done >= _BATCH_ROWS:
            with self._news:
                self._news.notify()

    def finish(self, take: VideoSegment) -> Path:
        """Write what is left of the take, which has its `stop` now.

        Returns:
            The video.

        Raises:
            ExportError: It could not be written; nothing of it is left.
        """
        if threading.current_thread() is self._thread:
            # The garbage collector ran here, and found a recorder that nobody closed.
            self._is_given_up = True
            return write_video(self._cache, take, self._folder, where=self._where)
        assert take.stop is not None
        self._end(take.stop)
        if self._error is not None:
            raise self._error
        assert self._video is not None
        self._video.close()
        rows = np.concatenate(self._rows)
        write_json(self._cache, take, rows, self._video.path, self._where)
        return self._video.path

    def give_up(self) -> None:
        """Stop, and leave nothing of the video."""
        self._is_given_up = True
        if threading.current_thread() is not self._thread:
            self._end(self._done)

    def _end(self, stop: int) -> None:
        with self._news:
            self._stop, self._is_last = stop, True
            self._news.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._is_last or self._done < self._stop:
                with self._news:
                    self._news.wait_for(self._is_woken)
                    stop = self._stop
                self._write(stop)
        except BaseException as error:  # told by finish()
            self._error = error
            if self._video is not None:
                self._video.discard()

    def _is_woken(self) -> bool:
        return self._is_last or self._stop - self._done >= _BATCH_ROWS

    def _write(self, stop: int) -> None:
        rows = shown_rows(self._cache, self._done, stop)
        for few in np.split(rows, range(_BATCH_ROWS, len(rows), _BATCH_ROWS)):
            if not len(few):
                continue
            for frame in frames_of(self._cache, few, self._take.columns):
                if self._is_given_up:
                    raise ExportCancelled(f"{self._where}: given up.")
                if self._video is None:
                    self._video = open_video(
                        self._cache, self._take, self._folder, frame, self._where
                    )
                self._video.write(frame)
        self._rows.append(rows)
        self._done = stop
