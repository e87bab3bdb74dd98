"""The recording in a video folder: its name, its limits, and whose it replaces.

Knows files and their locks. Knows nothing of what is recorded.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rollout_viewer._cache.cache import FrameCache, open_recording
from rollout_viewer._errors import RecordingError, RecordingLockedError
from rollout_viewer._files.names import path_inside
from rollout_viewer._files.new_files import numbered
from rollout_viewer._recorder.video_segment import pending_segments
from rollout_viewer._recording.database import delete_database
from rollout_viewer._recording.lock import locked

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".rollout"

# Disk space of the recording in a video folder, an estimate of what is acceptable: a
# million CartPole frames are 2 GB, and their videos as much.
RECORDING_BYTES = 1_000_000_000
# A video is read once, in order: few decoded chunks are worth keeping. Its frames are
# worth waiting for a slow disk, rather than losing them.
MEMORY_BYTES = 12_000_000
MAX_STALL_S = 10.0


def new_recording(
    folder: Path, prefix: str, *, where: str, overwrite: bool
) -> FrameCache:
    """Return a cache that records into ``<prefix>.rollout``, or ``<prefix>-1``, ...

    Args:
        folder: Exists.
        prefix: Name of the file, without suffix. Slashes make folders.
        where: The class that the user made, for messages.
        overwrite: Replace the recording of an earlier run, unless a process writes it
            or its videos are not all written.

    Raises:
        ValueError: The prefix leads out of the folder.
    """
    wanted = path_inside(folder, prefix, SUFFIX, where=where)
    wanted.parent.mkdir(parents=True, exist_ok=True)
    if overwrite:
        _remove_recording(wanted)
    for path in numbered(wanted):
        if path.exists():
            continue
        # Another process that records into this folder may take the name first.
        with contextlib.suppress(RecordingLockedError):
            return FrameCache(
                path,
                memory_bytes=MEMORY_BYTES,
                disk_bytes=RECORDING_BYTES,
                keep="latest",
                max_stall_s=MAX_STALL_S,
            )
    raise AssertionError("numbered() never ends")


def _remove_recording(path: Path) -> None:
    if not path.exists():
        return
    with contextlib.suppress(RecordingError, OSError):
        with open_recording(path) as cache:
            if pending_segments(cache):
                return
        with locked(path):
            delete_database(path)
