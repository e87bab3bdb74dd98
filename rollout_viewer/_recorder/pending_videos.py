"""The videos that a recorder has yet to write, as its recording lists them.

What is listed when a process dies is written by the next one: `video_recovery`.
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._recorder.video_segment import pending_segments, save_pending

if TYPE_CHECKING:
    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._process.forks import Lock
    from rollout_viewer._recorder.video_segment import VideoSegment


class PendingVideos:
    """Their segments. Any thread may change the list.

    Args:
        cache: The recording; the videos of others that it lists stay listed.
    """

    def __init__(self, cache: FrameCache) -> None:
        self._cache = cache
        self._segments = pending_segments(cache)
        self._lock = threading.RLock()
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the unwritten videos are the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child, which has no video to write."""
        del is_whole
        self._lock = threading.RLock()

    def add(self, segment: VideoSegment) -> None:
        """List a segment that begins."""
        with self._lock:
            self._segments.append(segment)
            self.save()

    def stop(self, segment: VideoSegment, row: int) -> VideoSegment:
        """Return a segment with its end; `save` then lists it so."""
        with self._lock:
            self._segments.remove(segment)
            segment = replace(segment, stop=row)
            self._segments.append(segment)
        return segment

    def remove(self, segment: VideoSegment) -> None:
        """Take a segment away, whose video is written or has no frames."""
        with self._lock:
            self._segments.remove(segment)
            self.save()

    def save(self) -> None:
        """Write the list into the recording."""
        with self._lock, contextlib.suppress(RolloutViewerError):  # it may be closed
            save_pending(self._cache, self._segments)
