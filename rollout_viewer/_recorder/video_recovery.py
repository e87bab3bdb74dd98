"""Videos that a dead process owes: written from the recordings in their folder.

Knows recordings, their locks and their lists of takes. Knows nothing of recorders.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.cache import open_recording
from rollout_viewer._errors import RecordingError
from rollout_viewer._recorder.video_files import SUFFIX, shown_rows, write_video
from rollout_viewer._recorder.video_segment import PENDING_KEY, pending_segments
from rollout_viewer._recording.database import amend_meta
from rollout_viewer._recording.lock import acquire

if TYPE_CHECKING:
    from collections.abc import Iterator


def finish_videos(folder: str | os.PathLike[str], *, where: str) -> list[Path]:
    """Write the videos that are missing in `folder`, and return them.

    Missing are those of recordings there whose process died, or failed to write
    them. Recordings that somebody writes now are left alone.

    Raises:
        ExportError: One could not be written; it stays on the list.
    """
    written: list[Path] = []
    for path in sorted(Path(folder).glob(f"*{SUFFIX}")):
        with contextlib.suppress(RecordingError), _alone(path):
            written += _finish(path, where)
    return written


def _finish(path: Path, where: str) -> list[Path]:
    with open_recording(path) as cache:
        takes = pending_segments(cache)
        if not takes:
            return []
        told = _told_of(path.parent, cache.session)
        written = []
        for take in takes:
            for half in path.parent.glob(f".{take.name}.*.part.mp4"):
                half.unlink(missing_ok=True)
            # Its process may have died between the video and the note of it.
            if take.start in told or not len(shown_rows(cache, take.start, take.stop)):
                continue
            written.append(write_video(cache, take, path.parent, where=where))
    amend_meta(path, PENDING_KEY, [])
    return written


def _told_of(folder: Path, session: Any) -> set[int]:
    """Return the first rows of a recording's videos that have their JSON."""
    starts = set()
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(path.read_text("utf-8"))
            if told["recording"]["session"] == session:
                starts.add(told["recording"]["rows"][0])
    return starts


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of a recording, so that it is neither written nor finished twice.

    Raises:
        RecordingLockedError: Somebody else holds it.
    """
    lock = acquire(path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(f"{path}.lock")
        lock.release()
