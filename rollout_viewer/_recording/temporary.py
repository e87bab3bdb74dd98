"""Files of temporary recordings, and those that killed processes left.

A process holds the lock of one file ``rollout-<pid>-<token>.alive`` as long as it runs;
its recordings beside it have names that begin with the same. A lock is free when its
process has died, whatever runs under its number since, and in whatever container.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import re
import secrets
import stat
import tempfile
import time
from multiprocessing import util
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from rollout_viewer._errors import RecordingError
from rollout_viewer._files.new_files import no_descriptor
from rollout_viewer._process.forks import keep_in_child
from rollout_viewer._recording.database import delete_database
from rollout_viewer._recording.workers import is_worker

_NAME = re.compile(r"rollout-(\d+)-([0-9a-f]{6})([0-9a-f]{6}\.rollout(-\w+)?|\.alive)$")
# A process that is just being started has no lock yet.
_MIN_AGE_S = 60.0
# Of what has no lock, by earlier versions: its process may run in another container.
_MIN_AGE_WITHOUT_LOCK_S = 24 * 3600.0
# Of a folder with a great many files, these many are looked at, and so many deleted.
_MAX_ENTRIES = 20_000
_MAX_DELETED = 100


class _Alive(NamedTuple):
    """This process's own lock."""

    pid: int
    prefix: Path
    lock: FileLock


_alive: _Alive | None = None
_next_sweep: dict[Path, float] = {}


def temporary_path() -> Path:
    """Return a new path in the temporary folder; delete what is left there.

    Raises:
        RecordingError: There is none that can be written.
    """
    try:
        folder = Path(tempfile.gettempdir())
    except OSError as error:
        problem = no_descriptor() or f"{error}. Set TMPDIR, or pass a path."
        raise RecordingError(
            f"FrameCache: expected a folder for temporary files, got {problem}"
        ) from error
    with contextlib.suppress(OSError):
        _sweep_sometimes(folder)
    prefix = _prefix(folder)
    return prefix.with_name(f"{prefix.name}{secrets.token_hex(3)}.rollout")


def _prefix(folder: Path) -> Path:
    """Return how the names of this process's files begin, with its lock held."""
    global _alive
    if _alive is not None and (_alive.pid, _alive.prefix.parent) == (
        os.getpid(),
        folder,
    ):
        return _alive.prefix
    if _alive is not None:
        # Of the parent, or in another folder, where it has files.
        keep_in_child(_alive.lock)
    prefix = folder / f"rollout-{os.getpid()}-{secrets.token_hex(3)}"
    lock = FileLock(f"{prefix}.alive", timeout=0)
    # Without one, the files stay for a day after this process was killed.
    with contextlib.suppress(OSError, Timeout, NotImplementedError):
        lock.acquire()
        atexit.register(_end, os.getpid(), lock)
        if is_worker():
            # It ends without what Python runs at exit. After caches, which have 0.
            util.Finalize(None, _end, (os.getpid(), lock), exitpriority=-1)
    _alive = _Alive(os.getpid(), prefix, lock)
    return prefix


def _end(pid: int, lock: FileLock) -> None:
    if pid == os.getpid():
        with contextlib.suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()


def _sweep_sometimes(folder: Path) -> None:
    now = time.monotonic()
    if now >= _next_sweep.get(folder, 0.0):
        _next_sweep[folder] = now + _MIN_AGE_S
        sweep(folder)


def sweep(folder: Path) -> None:
    """Delete temporary recordings whose process has died; of this user only."""
    found: dict[str, list[str]] = {}
    with os.scandir(folder) as entries:
        for entry in itertools.islice(entries, _MAX_ENTRIES):
            if (match := _NAME.match(entry.name)) and _is_own(entry):
                prefix = f"rollout-{match[1]}-{match[2]}"
                found.setdefault(prefix, []).append(entry.name)
    names = itertools.islice(found.items(), _MAX_DELETED)
    for prefix, left in names:
        pid = int(prefix.split("-")[1])
        if pid != os.getpid():
            with contextlib.suppress(OSError):
                _delete_if_dead(folder / prefix, pid, [folder / name for name in left])


def _is_own(entry: os.DirEntry[str]) -> bool:
    with contextlib.suppress(OSError):
        status = entry.stat(follow_symlinks=False)
        is_mine = not hasattr(os, "getuid") or status.st_uid == os.getuid()
        return is_mine and stat.S_ISREG(status.st_mode)
    return False


def _delete_if_dead(prefix: Path, pid: int, left: list[Path]) -> None:
    alive = Path(f"{prefix}.alive")
    age_s = time.time() - max(path.stat().st_mtime for path in left)
    if age_s < _MIN_AGE_S:
        return
    if alive not in left:
        if age_s > _MIN_AGE_WITHOUT_LOCK_S and not _is_running(pid):
            _delete(left)
        return
    with contextlib.suppress(Timeout), FileLock(alive, timeout=0):
        _delete(left)


def _delete(left: list[Path]) -> None:
    for path in left:
        base, _, _ = str(path).partition(".rollout-")
        if path.suffix != ".alive":
            delete_database(Path(base if base == str(path) else f"{base}.rollout"))
    for path in left:
        if path.suffix == ".alive":  # last: it says of the others what they are
            path.unlink(missing_ok=True)


def _is_running(pid: int) -> bool:
    """Whether there is a process of this number: the same, or another one."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
