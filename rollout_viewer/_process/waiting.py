"""Waiting for other threads, in a call that Ctrl-C may end at any moment."""

from __future__ import annotations

import threading


class Changed(threading.Condition):
    """A condition whose lock is as before where waiting for it was interrupted.

    Take the lock itself, by ``with``: where Ctrl-C comes in `__enter__` of a condition,
    which is Python code, the lock may stay taken for good.

    Args:
        lock: It.
    """

    def __init__(self, lock: threading.RLock) -> None:
        super().__init__(lock)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until notified or until `timeout` seconds have passed."""
        try:
            return super().wait(timeout)
        except BaseException:
            # It came when the lock was free, before it would be taken again: the end of
            # the caller's ``with`` would raise RuntimeError in place of it.
            if not self._is_owned():  # type: ignore[attr-defined]
                self.acquire()
            raise
