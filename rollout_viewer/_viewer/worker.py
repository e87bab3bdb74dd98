"""A thread that lives while there is work, and begins again when there is more.

A viewer that is not shown has none. Where no thread can be started (Python in a
browser), the event loop of the kernel does the work. Knows nothing of messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading

from rollout_viewer._process.forks import Lock, make_anew_in_children

# A thread without work waits so long for more before it ends.
LINGER_S = 1.0


class Worker:
    """Base of what works on a thread of its own. Any thread may call `wake`.

    Invariant: at most one thread runs `work`, and none after `close`, except for the
    rest of the call that was running.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._wake = threading.Event()
        # Of the thread's beginning and end. Reentrant: a finalizer may close while it
        # is held.
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._is_started = False
        self._is_closed = False
        # Where no thread can be started: the event loop that works, and the next turn
        # on it, which only that loop's thread touches.
        self._loop: asyncio.AbstractEventLoop | None = None
        # Pyodide's loop gives a handle that does not know when.
        self._turn: asyncio.Handle | None = None
        self._turn_at = 0.0
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the page is the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make event and lock anew, in a forked child, which has not the thread."""
        del is_whole
        self._wake, self._lock = threading.Event(), threading.RLock()
        self._thread, self._is_closed = None, True

    def start(self) -> None:
        """Work on a thread from now on, when `wake` is called."""
        self._is_started = True
        if self._wake.is_set():
            self.wake()

    def wake(self) -> None:
        """There is work."""
        self._wake.set()
        if (loop := self._loop) is not None:
            try:
                loop.call_soon_threadsafe(self._turn_in, 0.0)
                return
            except RuntimeError:  # it was closed
                self._loop = None
        if self._thread is None and self._is_started:
            self._begin()

    @property
    def _is_on_loop(self) -> bool:
        """Whether an event loop works, which must not be held up."""
        return self._loop is not None

    def close(self) -> None:
        """End the thread soon."""
        with self._lock:
            self._is_closed = True
            self._wake.set()
            if self._thread is None:
                self.forget()

    # -- on the thread

    def work(self) -> float | None:
        """Do what is due; return when to be called again, in seconds.

        None: not before `wake` is called; then the thread ends.
        """
        raise NotImplementedError

    def forget(self) -> None:
        """Drop what it worked with; the last call."""

    def _begin(self) -> None:
        with self._lock:
            if self._thread is not None or self._loop is not None or self._is_closed:
                return
            if not self._starts():
                with contextlib.suppress(RuntimeError):  # the next wake tries again
                    loop = asyncio.get_running_loop()
                    self._turn = None
                    loop.call_soon(self._turn_in, 0.0)
                    self._loop = loop

    def _starts(self) -> bool:
        """Start a thread; return whether one can be started."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # also where there are too many already
            self._thread = None
        return self._thread is not None

    def _turn_in(self, pause: float) -> None:
        """Work on the event loop after a while, or before, where that is due."""
        loop = asyncio.get_running_loop()
        at = loop.time() + pause
        if self._turn is not None:
            if self._turn_at <= at:
                return
            self._turn.cancel()
        self._turn_at = at
        self._turn = loop.call_later(pause, self._work_on_loop)

    def _work_on_loop(self) -> None:
        self._turn = None
        if self._is_closed:
            self.forget()
            return
        if self._wake.is_set() and self._has_thread_again():
            return
        self._wake.clear()
        pause = self.work()
        if pause is not None:
            self._turn_in(pause)

    def _has_thread_again(self) -> bool:
        """Leave the work to a thread, if one can be started by now."""
        with self._lock:
            # First: what the thread does depends on it.
            loop, self._loop = self._loop, None
            if self._starts():
                return True
            self._loop = loop
            return False

    def _run(self) -> None:
        try:
            while not self._is_closed:
                self._wake.clear()
                pause = self.work()
                self._wake.wait(LINGER_S if pause is None else pause)
                if pause is None and self._has_ended():
                    return
        except BaseException:
            self._thread = None  # the next wake begins another
            raise
        self.forget()

    def _has_ended(self) -> bool:
        with self._lock:
            # First: who wakes from now on begins another thread, or is seen here.
            thread, self._thread = self._thread, None
            if self._wake.is_set() or self._is_closed:
                self._thread = thread
                return False
            return True
