"""A worker, seen from the driver: its process, and what it was granted."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from rollout_viewer._replay.pool import Worker
from rollout_viewer.sources._collect.sending import SendEvery

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # it has none of it

if TYPE_CHECKING:
    import queue

    from rollout_viewer._replay.pool import Answer
    from rollout_viewer.sources._collect.messages import Failed

_PROGRAM = "from rollout_viewer.sources._collect.worker import main; main()"
# What Linux allows anyone.
_PIPE_BYTES = 1 << 20


class WorkerProcess(Worker):
    """One process that collects.

    Args:
        answers: Where its messages go; filled by a thread.
        number: Which of the workers it is.
        setup: What it does, as bytes.

    Attributes:
        name: With its process id.
        num_steps: Transitions that were granted, and are not in the cache.
        failure: Why it ended, if it said so.
        is_ready: Its environment is made.
        has_ended: It has sent all of its rows.
        is_asked_to_stop: It was sent a `Stop`.
        is_cut: It was granted fewer transitions than it asked for.
        sends_every: How often it sends what it has.
    """

    def __init__(self, answers: queue.Queue[Answer], number: int, setup: bytes) -> None:
        super().__init__(answers, _PROGRAM)
        self._widen()
        self.number = number
        self.name = f"pid {self.pid}"
        self.num_steps = 0
        self.failure: Failed | None = None
        self.is_ready = False
        self.has_ended = False
        self.is_asked_to_stop = False
        self.is_cut = False
        self.sends_every = SendEvery()
        self.send(setup)

    def _widen(self) -> None:
        """Let its pipe take what it sends together, which is read at once then."""
        size = getattr(fcntl, "F_SETPIPE_SZ", None)  # of Linux
        if size is not None and (out := self._process.stdout) is not None:
            with contextlib.suppress(OSError):
                fcntl.fcntl(out.fileno(), size, _PIPE_BYTES)

    def flush(self) -> None:
        """Do nothing: what is sent is on its way."""
