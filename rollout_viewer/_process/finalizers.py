"""What ends with an object that is collected, in the middle of whatever else.

The collector may run in any thread at any line: within a lock of `threading`, in a call
that holds a lock of ours, or in the very thread that an end would wait for. What waits
for another thread there may wait for ever. So it is done by a thread that holds
nothing, and the collector waits for that one a moment only.

Knows threads. Knows nothing of what ends.
"""

from __future__ import annotations

import _thread
import atexit
import gc
import os
import threading
import weakref
from collections import OrderedDict
from multiprocessing import parent_process, util
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# Long enough for what has no obstacle: files are closed when `gc.collect` returns.
_WAIT_S = 5.0
# When a process ends, of what began before; a disk may be slow.
_WAIT_AT_EXIT_S = 60.0

# The last one is what the collector does, in whatever thread. It is told by a method
# that is not written in Python: there, Ctrl-C would be printed, and lost.
_phases: OrderedDict[Any, None] = OrderedDict(start=None, stop=None)
# Held until one of them has ended. Single operations of a set are atomic.
_unfinished: set[_thread.LockType] = set()
# Of workers that wait for these when they end.
_waiting_pids: set[int] = set()


def finalize(
    owner: object, end: Callable[..., object], *args: Any
) -> weakref.finalize[..., Any]:
    """Return a finalizer, as of `weakref`, that may wait for other threads.

    It calls ``end(*args)`` once: when it is called, when `owner` is deleted or
    collected, or when the interpreter ends. Only where it is collected, that may be in
    a thread of its own.
    """
    return weakref.finalize(owner, _end, end, args)


def _end(end: Callable[..., object], args: tuple[Any, ...]) -> None:
    if next(reversed(_phases)) == "stop":
        end(*args)
        return
    work = [(end, args)]
    running = _thread.allocate_lock()
    running.acquire()
    _unfinished.add(running)
    if parent_process() is not None and os.getpid() not in _waiting_pids:
        # A worker of `multiprocessing` does not run what Python runs at exit.
        _waiting_pids.add(os.getpid())
        util.Finalize(None, _wait_at_exit, exitpriority=-1)
    try:
        # Not `Thread.start`, which would wait for a lock that may be held here.
        _thread.start_new_thread(_start, (work, running))
    except RuntimeError:  # no more threads, or the interpreter ends
        _run(work, running)
    if running.acquire(timeout=_WAIT_S):
        running.release()


def _start(*args: Any) -> None:
    # What it calls may ask which thread this is: one that `threading` knows.
    name = "rollout_viewer release"
    try:
        threading.Thread(target=_run, args=args, name=name, daemon=True).start()
    except RuntimeError:  # there are too many
        _run(*args)


def _run(
    work: list[tuple[Callable[..., object], tuple[Any, ...]]], running: _thread.LockType
) -> None:
    try:
        end, args = work.pop()
        end(*args)
        del end, args  # what else it held has ended, too, when the collector goes on
    finally:
        _unfinished.discard(running)
        running.release()


def _wait_at_exit() -> None:
    for running in list(_unfinished):
        running.acquire(timeout=_WAIT_AT_EXIT_S)


# The phase and a dict: true, so to the end, where typeshed has a bool.
gc.callbacks.append(_phases.move_to_end)  # type: ignore[arg-type]
atexit.register(_wait_at_exit)
if hasattr(os, "register_at_fork"):
    # The child has none of these threads.
    os.register_at_fork(after_in_child=_unfinished.clear)
