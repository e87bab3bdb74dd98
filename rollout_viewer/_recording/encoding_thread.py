"""The one thread of a process that encodes pictures which wait.

It only does sooner what is done anyway as soon as somebody needs it: an error there is
met again, and a process with one core, or without threads, goes without.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import queue
from typing import TYPE_CHECKING, Protocol

from rollout_viewer._forks import make_anew_in_children

if TYPE_CHECKING:
    from rollout_viewer._forks import Lock


class Encodable(Protocol):
    """Pictures that wait."""

    def encode(self) -> None: ...


class EncodingThread:
    """Encodes what it is told to, in its order. Starts with the first."""

    def __init__(self) -> None:
        self.after_fork(is_whole=True)
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[Lock]:
        """Return nothing that a fork waits for."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Forget the thread, which a forked child does not have."""
        del is_whole
        # Its methods cannot be interrupted half done: they are not written in Python.
        self._due: queue.SimpleQueue[Encodable] = queue.SimpleQueue()
        self._is_running = False
        self._is_useful = _num_cores() > 1

    def encode_soon(self, pictures: Encodable) -> None:
        """Encode what waits there, unless it is done before."""
        if not self._is_useful:
            return
        if not self._is_running:
            try:
                _thread.start_new_thread(_run, (self._due,))
            except RuntimeError:  # too many, or none at all
                self._is_useful = False
                return
            self._is_running = True
        self._due.put(pictures)


def _run(due: queue.SimpleQueue[Encodable]) -> None:
    while True:
        pictures = due.get()
        with contextlib.suppress(BaseException):  # whoever needs them meets it again
            pictures.encode()
        del pictures


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


encoding_thread = EncodingThread()
