"""Which process may write a recording file: one each, and no file of an earlier run.

The writer holds `<file>.lock`; its pid and host are in the file. Workers of
multiprocessing get the same path, and write files of their own beside it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from rollout_viewer._errors import ReadOnlyError, RecordingError, RecordingLockedError
from rollout_viewer._files import no_descriptor, numbered
from rollout_viewer._recording.database import is_local, roll_back
from rollout_viewer._recording.database_reader import DatabaseReader
from rollout_viewer._recording.trust import UntrustedFileError, check_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Some database pages for each kind of row, and the step data of some hundred rows.
_RESERVED_BYTES = 64 * 1024


def acquire(path: Path) -> FileLock:
    """Return the held lock of a new recording file.

    Raises:
        RecordingLockedError: Another process holds it.
        RecordingError: The folder cannot be written.
    """
    lock = _lock_of(path)
    _acquire(lock, path)
    return lock


def _lock_of(path: Path) -> FileLock:
    return FileLock(f"{path}.lock", timeout=0)


def _acquire(lock: FileLock, path: Path) -> None:
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire()
    except Timeout:
        if not os.path.exists(f"{path}.lock"):
            raise _unwritable(path, "no room for its lock") from None
        raise RecordingLockedError(
            f"FrameCache: expected to be the only process that writes {str(path)!r}"
            f", got a lock of {describe_writer(path)}. Close it there, or "
            "choose another path; rv.open() can read it meanwhile."
        ) from None
    except OSError as error:
        raise _unwritable(path, str(error.strerror)) from error


def reserve(path: Path) -> None:
    """Have the lock of a recording take room for what is written last.

    So the file of a disk that is full says how many pictures are missing.
    """
    # A lock of a network file system may end where the file is opened and closed.
    if is_local(path):
        with contextlib.suppress(OSError), open(f"{path}.lock", "r+b") as file:
            file.write(bytes(_RESERVED_BYTES))


def free_reserve(path: Path) -> None:
    """Free the room that `reserve` took."""
    with contextlib.suppress(OSError):
        os.truncate(f"{path}.lock", 0)


def is_locked(path: Path) -> bool:
    """Whether a process has the lock of a recording; True where that is not known."""
    name = f"{path}.lock"
    if not os.path.exists(name):
        return False
    try:
        if (flock := getattr(fcntl, "flock", None)) is None:
            with _lock_of(path):
                return False
        # As it is, also where it cannot be written. Shared: two that look at the same
        # moment do not take each other for a writer. Not blocked by a FIFO.
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        try:
            flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return False
    except (Timeout, OSError):
        return True
    return False


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Have the lock of a recording that has ended.

    Raises:
        RecordingLockedError: Another process holds it.
        RecordingError: The folder cannot be written.
    """
    lock = _lock_of(path)
    try:
        _acquire(lock, path)
        yield
    finally:
        if lock.is_locked:
            # Unlinked while held: the next writer creates a lock file of its own.
            try:  # noqa: SIM105 - `suppress` is a call, and may be interrupted before
                os.unlink(lock.lock_file)
            except OSError:
                pass
            lock.release()


def recover(path: Path) -> None:
    """Undo what a killed process had half written into a file that has no log."""
    if os.path.exists(f"{path}-journal"):
        # In a folder that cannot be written it stays as it is, and a reader warns.
        with contextlib.suppress(RecordingError, UntrustedFileError), locked(path):
            check_files(path)
            roll_back(path)


def _unwritable(path: Path, problem: str) -> RecordingError:
    if lack := no_descriptor():
        return RecordingError(f"FrameCache: expected to lock {str(path)!r}, got {lack}")
    return RecordingError(
        f"FrameCache: expected a path that can be written, got {str(path)!r} "
        f"({problem}). Choose a folder that exists and is writable, or path=None."
    )


def unlocked_path(path: Path) -> Path:
    """Return `path`, or with ``-1``, ``-2``, ... before its suffix if it is taken.

    Raises:
        RecordingLockedError: Another process is writing it right now.
    """
    for candidate in numbered(path):
        # A folder that may not be entered raises when the file is created.
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
    writer = writer_of(path)
    if writer == own_writer():
        return
    raise RecordingLockedError(
        f"FrameCache: expected a file that is not being written, got {str(path)!r}, "
        f"which {describe_writer(path)} is writing. Close it there or choose "
        "another path; rv.open() can read it meanwhile."
    )


def read_only(path: Path) -> ReadOnlyError:
    """Return the error of writing to a recording that was opened for reading."""
    return ReadOnlyError(
        f"FrameCache: expected a cache that records, got {str(path)!r}, opened for "
        "reading. Record into a new FrameCache."
    )


def describe_writer(path: Path) -> str:
    """Return the process that writes the file, as text for messages."""
    writer = writer_of(path)
    if writer is None:
        return "another process"
    return f"process {writer['pid']} on {writer['host']}"


def writer_of(path: Path) -> dict[str, Any] | None:
    """Return pid and host of the file's writer; None: they are not known."""
    writer = meta_of(path).get("writer")
    is_known = isinstance(writer, dict) and {"pid", "host"} <= writer.keys()
    return writer if is_known else None


def meta_of(path: Path) -> dict[str, Any]:
    """Return the metadata of a file, none if it cannot be read."""
    try:
        reader = DatabaseReader(path)
        try:
            return reader.meta()
        finally:
            reader.close()
    except RecordingError:
        return {}


def is_running(writer: Any) -> bool | None:
    """Whether a process runs that a recording names; None: that is not known.

    Another one may have its number since.
    """
    if not isinstance(writer, dict) or os.name != "posix":
        return None
    if writer.get("host") != own_writer()["host"]:
        return None
    try:
        os.kill(int(writer["pid"]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    except (OSError, LookupError, ValueError, TypeError, OverflowError):
        return None
    return True


def own_writer() -> dict[str, Any]:
    """Return pid and host, as a recording stores them of its writer."""
    return {"pid": os.getpid(), "host": socket.gethostname()}
