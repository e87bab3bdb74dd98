"""The process in which episodes are collected: seeds in, sealed blocks out.

A program of its own, so that it runs nothing of the user's main module. Reads messages
from what was its standard input and writes them to what was its standard output;
whatever else reads there finds an end of file, and whatever else writes there goes to
standard error. It ends when its input is closed, as when the driver is killed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._replay.messages import (
    read_message,
    take_over_pipes,
    write_message,
)
from rollout_viewer.sources._collect.messages import (
    STEPS_AT_ONCE,
    Assigned,
    Ended,
    Failed,
    Filed,
    Granted,
    Ready,
    Sealed,
    Start,
    Stop,
    WantsJob,
    WantsSteps,
)
from rollout_viewer.sources._collect.runner import EpisodeRunner

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer.sources._collect.jobs import Job

# Blocks that the driver has not filed yet: a worker that is faster than the disk waits.
MAX_UNFILED = 8
# How long an environment's step may take when the driver is gone.
_PATIENCE_S = 5.0


class _Stopped(BaseException):
    """The driver wants no more rows. No fault of a picture, which would be survived."""


class DriverLink:
    """The driver, seen from a worker. The main thread uses it.

    Args:
        receive: Returns the next message from the driver; called by a thread. Raises
            EOFError when the driver has ended.
        deliver: Sends a message to it; raises OSError when it has ended.
        on_gone: Called by that thread some time after the driver has ended.
    """

    def __init__(
        self,
        receive: Callable[[], Any],
        deliver: Callable[[Any], object],
        on_gone: Callable[[], object],
    ) -> None:
        self._receive_next, self._deliver = receive, deliver
        self._on_gone = on_gone
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._num_unfiled = 0
        self._num_steps = 0
        self._is_limited = False
        self._newest: SealedBlock | None = None
        self.is_stopping = False
        threading.Thread(target=self._read, name="from the driver", daemon=True).start()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._inbox.put(self._receive_next())
        self._inbox.put(Stop())
        time.sleep(_PATIENCE_S)
        self._on_gone()

    def start(self, ready: Ready) -> int:
        """Report that the environment is made; return the number of its recipe."""
        self.send(ready)
        start = self._wait_for(Start)
        self._is_limited = start.is_limited
        return int(start.recipe_number)

    def next_job(self) -> Job | None:
        """Return the next episode; None: there is none."""
        self.send(WantsJob(has_steps=self._num_steps > 0))
        job: Job | None = self._wait_for(Assigned).job
        return job

    def take_steps(self, count: int) -> bool:
        """Return whether so many transitions may be done.

        Raises:
            _Stopped: The driver wants no more rows.
        """
        while not self._inbox.empty():
            self._receive()
        if not self._is_limited:
            return True
        if self._num_steps < count:
            self.send(WantsSteps(STEPS_AT_ONCE * count))
            self._num_steps += self._wait_for(Granted).num_steps
        if self._num_steps < count:
            return False
        self._num_steps -= count
        return True

    def send_block(self, block: SealedBlock) -> None:
        """Send rows, once; first wait until the driver has most of those before.

        Raises:
            _Stopped: The driver wants no more rows after these, or has ended.
        """
        try:
            while self._num_unfiled >= MAX_UNFILED and not self.is_stopping:
                self._receive()
        finally:
            if block is not self._newest:
                self._newest = block
                self._num_unfiled += 1
                self.send(Sealed(block))

    def send(self, message: object) -> None:
        """Send any message.

        Raises:
            _Stopped: The driver has ended.
        """
        try:
            self._deliver(message)
        except OSError as error:
            raise _Stopped from error

    def _wait_for(self, kind: type) -> Any:
        while True:
            message = self._receive()
            if isinstance(message, kind):
                return message

    def _receive(self) -> Any:
        message = self._inbox.get()
        if isinstance(message, Filed):
            self._num_unfiled -= 1
        elif isinstance(message, Stop) and not self.is_stopping:
            self.is_stopping = True
            raise _Stopped
        return message


def collect(link: DriverLink, setup_data: bytes) -> None:
    """Collect episodes until there are none; report how it ended."""
    builder = BlockBuilder(link.send_block)
    runner: EpisodeRunner | None = None
    failure: Failed | None = None
    try:
        runner = EpisodeRunner(pickle.loads(setup_data), builder)
        runner.set_recipe_number(link.start(Ready(runner.declaration)))
        runner.run(link)
    except _Stopped:
        pass
    except (Exception, SystemExit) as error:
        known = error if isinstance(error, RolloutViewerError) else None
        text = traceback.format_exc(limit=-4)
        failure = Failed(text, known, is_start=runner is None)
    with contextlib.suppress(_Stopped):
        builder.seal()
    with contextlib.suppress(_Stopped):
        link.send(failure or Ended())
    if runner is not None:
        runner.close()


def main() -> None:
    """Do what the driver says, and end."""
    # Ctrl-C is for the driver, which then asks for what there is.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, out = take_over_pipes()
    with contextlib.suppress(EOFError, BrokenPipeError):
        sys.path[:] = read_message(source)
        setup_data = read_message(source)
        link = DriverLink(
            functools.partial(read_message, source),
            functools.partial(write_message, out),
            on_gone=lambda: os._exit(1),
        )
        collect(link, setup_data)
