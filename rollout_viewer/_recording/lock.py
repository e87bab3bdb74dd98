"""Who may write which recording file: one process each, and no earlier run's.

The writer holds `<file>.lock`; the file tells its pid and host. Workers of
multiprocessing are told the same path and write files of their own beside it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from rollout_viewer._errors import ReadOnlyError, RecordingError, RecordingLockedError
from rollout_viewer._files import numbered
from rollout_viewer._recording.database import DatabaseReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def acquire(path: Path) -> FileLock:
    """Return the held lock of a new recording file.

    Raises:
        RecordingLockedError: Another process holds it.
        RecordingError: The folder cannot be written.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        if not os.path.exists(f"{path}.lock"):
            raise _unwritable(path, "no room for its lock") from None
        raise RecordingLockedError(
            f"FrameCache: expected to be the only one who writes {str(path)!r}"
            f", got a lock of {describe_writer(path)}. Close it there, or "
            "choose another path; rv.open() reads it meanwhile."
        ) from None
    except OSError as error:
        raise _unwritable(path, str(error.strerror)) from error
    return lock


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only one who writes a recording that has ended.

    Raises:
        RecordingLockedError: Another process holds it.
        RecordingError: The folder cannot be written.
    """
    lock = acquire(path)
    try:
        yield
    finally:
        # Unlinked while held: whoever comes now makes a lock of their own.
        with contextlib.suppress(OSError):
            os.unlink(f"{path}.lock")
        lock.release()


def _unwritable(path: Path, problem: str) -> RecordingError:
    return RecordingError(
        f"FrameCache: expected a path that can be written, got {str(path)!r} "
        f"({problem}). Choose a folder that exists and is yours, or path=None."
    )


def unlocked_path(path: Path) -> Path:
    """Return `path`, or with ``-1``, ``-2``, ... before its suffix if it is taken.

    Raises:
        RecordingLockedError: Another process is writing it right now.
    """
    for candidate in numbered(path):
        # A folder that may not be entered is told of when the file is made.
        if not os.path.exists(candidate):
            return candidate
        _refuse_if_written_elsewhere(candidate)
    raise AssertionError("there is always a next number")


def _refuse_if_written_elsewhere(path: Path) -> None:
    if not os.path.exists(f"{path}.lock"):
        return
    try:
        with FileLock(f"{path}.lock", timeout=0):
            return
    except (Timeout, OSError):
        pass
    owner = writer_of(path)
    if owner == this_process():
        return
    raise RecordingLockedError(
        f"FrameCache: expected a file that nobody writes, got {str(path)!r}, which "
        f"{describe_writer(path)} is writing. Close it there or choose another path; "
        "rv.open() reads it meanwhile."
    )


def read_only(path: Path) -> ReadOnlyError:
    """Return the error of somebody who writes to what is only read."""
    return ReadOnlyError(
        f"FrameCache: expected a cache that records, got {str(path)!r}, opened for "
        "reading. Record into a FrameCache of your own."
    )


def describe_writer(path: Path) -> str:
    """Return who writes the file at `path`, for people."""
    owner = writer_of(path)
    return f"process {owner['pid']} on {owner['host']}" if owner else "another process"


def writer_of(path: Path) -> dict[str, Any] | None:
    """Return pid and host of the file's writer, if the file tells."""
    try:
        reader = DatabaseReader(path)
        try:
            owner = reader.meta().get("writer")
        finally:
            reader.close()
    except RecordingError:
        return None
    return owner if isinstance(owner, dict) else None


def this_process() -> dict[str, Any]:
    """Return what a recording tells of its writer."""
    return {"pid": os.getpid(), "host": socket.gethostname()}
