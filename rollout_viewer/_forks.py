"""What a forked child inherits: locks that no thread will release, and connections.

In the child, only the thread that forked exists. A lock that another one held stays
held, and what it guards may be half changed. SQLite counts the locks of a process in
its memory, which the child inherits: as long as a connection of its parent is open
there, those of the child take no locks of their own, and are not safe. So a fork waits
until nothing that is guarded changes, and the child closes and makes anew what it has.
A subprocess that is not forked by `os.fork`, as of `subprocess`, costs nothing.

Knows locks. Knows nothing of what they guard.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class _ThisProcess:
    """What is true of the process that asks, also of a forked child.

    Attributes:
        pid: What `os.getpid` returns, which is a system call each time: 0.2 us, and
            several where the kernel's memory is cold. For checks at each row.
    """

    __slots__ = ("pid",)

    def __init__(self) -> None:
        self.pid = os.getpid()

    def update(self) -> None:
        """Ask the system, in a forked child."""
        self.pid = os.getpid()


this_process = _ThisProcess()

# A disk may be slow, and a thread may wait for the one that forks.
_MAX_WAIT_S = 5.0
_PURGE_EVERY = 64


class Lock(Protocol):
    """Of `threading`; a condition has the same methods."""

    def acquire(self, blocking: bool = ..., timeout: float = ...) -> bool:
        """Take it; return whether it was taken in time."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class Inherited(Protocol):
    """An object that a forked child has too."""

    def fork_locks(self) -> Sequence[Lock]:
        """Return what a fork waits for, in the order in which they are taken."""
        ...

    def after_fork(self, *, is_whole: bool) -> None:
        """Make locks and connections anew, in the child.

        Args:
            is_whole: Nothing was being changed. False: its locks were not free in
                time.
        """
        ...


_numbers = itertools.count()
# Single operations of a dict are atomic: a fork may happen at any time.
_objects: dict[int, tuple[int, weakref.ref[Any]]] = {}
_keep: list[Any] = []
_forking = threading.local()


def make_anew_in_children(found: Inherited, *, rank: int) -> None:
    """Call `found` when this process forks, as long as it exists.

    Args:
        found: Has locks.
        rank: Its locks are taken before those of higher ranks, as everywhere.
    """
    number = next(_numbers)
    _objects[number] = rank, weakref.ref(found)
    if number % _PURGE_EVERY == 0:
        # Not by callbacks of the references, which an interrupt would break.
        for other, (_, ref) in list(_objects.items()):
            if ref() is None:
                _objects.pop(other, None)


def keep_in_child(found: Any) -> None:
    """Never destroy what would change a file of the parent as it is destroyed."""
    _keep.append(found)


class LockOfOneProcess:
    """An `RLock` that is free in a forked child. No fork waits for it.

    For what user code runs in, which may wait for the thread that forks. It is taken by
    ``with one.lock:``; a class with methods of its own for that could be interrupted
    between them and the lock, which would stay taken.

    Attributes:
        lock: Another one in a forked child.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        make_anew_in_children(self, rank=0)

    def fork_locks(self) -> list[Lock]:
        """Return nothing."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child."""
        del is_whole
        self.lock = threading.RLock()


def _before() -> None:
    deadline = time.monotonic() + _MAX_WAIT_S
    _forking.held, _forking.busy = held, busy = [], set()
    # One reference for each object until the fork is over: none is collected meanwhile.
    _forking.objects = objects = [
        found
        for _, ref in sorted(_objects.values(), key=lambda one: one[0])
        if (found := ref()) is not None
    ]
    for number, found in enumerate(objects):
        for lock in found.fork_locks():
            if lock.acquire(timeout=max(deadline - time.monotonic(), 0)):
                held.append(lock)
            else:
                busy.add(number)


def _after_in_parent() -> None:
    for lock in reversed(_forking.held):
        lock.release()
    _forking.__dict__.clear()


def _after_in_child() -> None:
    objects, busy = _forking.objects, _forking.busy
    for number, found in enumerate(objects):
        # One that fails must not leave the others with locks that are held.
        with contextlib.suppress(Exception):
            found.after_fork(is_whole=number not in busy)
    _forking.__dict__.clear()


if hasattr(os, "register_at_fork"):
    # Before what asks for it.
    os.register_at_fork(after_in_child=this_process.update)
    os.register_at_fork(
        before=_before,
        after_in_parent=_after_in_parent,
        after_in_child=_after_in_child,
    )
