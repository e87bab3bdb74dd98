"""Processes that replay, kept for minutes after their last use.

The next picture needs no new one. Knows processes and time. Knows no recording.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from rollout_viewer._process.forks import keep_in_child, make_anew_in_children
from rollout_viewer._replay.pool import WorkerPool, default_num_workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rollout_viewer._process.forks import Lock

# A user who looks at pictures comes back; a process of MuJoCo's takes 0.2 GB.
LINGER_S = 180.0


class KeptWorkers:
    """Processes for whoever asks, one after the other.

    They end when they were not used for `LINGER_S`, and with this object.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pool: WorkerPool | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._session: str | None = None
        self._used_at = 0.0
        self._is_watched = False
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the processes are the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Leave the processes to the parent, and make the lock anew, in the child."""
        del is_whole
        if self._finalizer is not None:
            self._finalizer.detach()
            keep_in_child(self._pool)
        self._lock, self._pool, self._finalizer = threading.RLock(), None, None
        self._is_watched = False

    @property
    def has_any(self) -> bool:
        """Whether there are processes."""
        return self._pool is not None

    @contextlib.contextmanager
    def use(self, session: str | None) -> Iterator[WorkerPool]:
        """Give the processes, to one thread at a time.

        Args:
            session: Of the recording's rows. For others there are other processes: the
                user's modules may have changed meanwhile.
        """
        with self._lock:
            if self._pool is None:
                # One more is ready for what is looked at next, whatever others do.
                self._pool = WorkerPool(default_num_workers(), num_spare=1)
                self._finalizer = weakref.finalize(self, self._pool.close)
            try:
                if self._session != session:
                    self._pool.close()
                    self._session = session
                yield self._pool
            except BaseException:
                self._pool.stop()  # what they do no one waits for any more
                raise
            finally:
                self._used_at = time.monotonic()
                self._watch(LINGER_S)

    def _watch(self, wait_s: float) -> None:
        """Look after some time whether they are still used."""
        if self._is_watched:
            return
        known = weakref.ref(self)

        def look() -> None:
            if (kept := known()) is not None:
                kept._end_unused()

        timer = threading.Timer(wait_s, look)
        timer.daemon = True
        timer.name = "rollout_viewer kept workers"
        with contextlib.suppress(RuntimeError):  # the interpreter ends
            timer.start()
            self._is_watched = True

    def _end_unused(self) -> None:
        with self._lock:
            self._is_watched = False
            left_s = self._used_at + LINGER_S - time.monotonic()
            if left_s > 0:
                self._watch(left_s)
            elif self._finalizer is not None:
                self._finalizer()  # closes them
                self._pool = self._finalizer = None
