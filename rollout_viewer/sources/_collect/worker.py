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
from collections import deque
from typing import TYPE_CHECKING, Any, BinaryIO

from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer._cache.unfiled import Unfiled
from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._replay.messages import (
    read_message,
    take_over_pipes,
    write_message,
)
from rollout_viewer.sources._collect.messages import (
    Assigned,
    Ended,
    Failed,
    Filed,
    Granted,
    Pickled,
    Ready,
    Sealed,
    Several,
    Start,
    Stop,
    WantsJobs,
    WantsSteps,
)
from rollout_viewer.sources._collect.outbox import Outbox
from rollout_viewer.sources._collect.pace import Pace
from rollout_viewer.sources._collect.runner import EpisodeRunner
from rollout_viewer.sources._collect.sending import SendEvery

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer.sources._collect.jobs import Job
    from rollout_viewer.sources._collect.runner import Setup

# Transitions, in steps of all envs, that are asked for at once at least.
_STEPS_AT_ONCE = 32
# What will be used within `SendEvery.ahead_s` is asked for when the rest will be used
# within half of it, so that a worker need not wait for the driver; steps, which are
# shared in the end, within this time at least.
_STEPS_AHEAD_S = 2.0
_MAX_JOBS_AHEAD = 8192
# How long an environment's step may take when the driver is gone.
_PATIENCE_S = 5.0


class _Stopped(BaseException):
    """The driver wants no more rows. No fault of a picture, which would be survived."""


class DriverLink:
    """The driver, seen from a worker. The main thread uses it.

    Args:
        receive: Returns the next message from the driver; called by a thread. Raises
            EOFError when the driver has ended.
        deliver: Sends a message to it, now or soon; raises OSError when it has ended,
            and what pickling it raises.
        on_gone: Called by that thread some time after the driver has ended.
        hurry: Called where this process waits for an answer: what was delivered is
            wanted now.
        wait_until_sent: Waits until the driver has what was delivered, or has ended.
        clock: Seconds.
        gather: Called with how often what was delivered is to be sent.

    Attributes:
        is_stopping: The driver wants no more rows.
    """

    def __init__(
        self,
        receive: Callable[[], Any],
        deliver: Callable[[Any], object],
        on_gone: Callable[[], object],
        hurry: Callable[[], object] = lambda: None,
        wait_until_sent: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        gather: Callable[[SendEvery], object] = lambda gathering: None,
    ) -> None:
        self._receive_next, self._deliver = receive, deliver
        self._on_gone, self._hurry, self._gather = on_gone, hurry, gather
        self.wait_until_sent = wait_until_sent
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._unfiled = Unfiled()
        self._jobs: deque[Job] = deque()
        self._num_steps = 0
        self._ahead_s = SendEvery().ahead_s
        # Transitions that are done at once.
        self._num_envs = 1
        # An answer is on its way.
        self._wants_jobs = self._wants_steps = False
        self._pace_of_jobs, self._pace_of_steps = Pace(clock), Pace(clock)
        self._is_limited = False
        self._are_steps_many = True
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

    def start(self, ready: Ready, num_envs: int = 1) -> int:
        """Report that `num_envs` are made; return the number of their recipe."""
        self._num_envs = num_envs
        self.send(ready)
        start = self._wait_for(Start)
        self._is_limited = start.is_limited
        return int(start.recipe_number)

    def next_job(self) -> Job | None:
        """Return the next episode; None: there is none, or no step of it may be done.

        Raises:
            _Stopped: The driver wants no more rows.
        """
        while not self._jobs and self._wants_jobs:
            self._receive()
        if not self._jobs:
            # Without a step that is granted, or on its way, there may be none.
            while not self._num_steps and self._wants_steps:
                self._receive()
            self._ask_for_jobs(1, is_ahead=False)
            self._wait_for(Assigned)
        if self._jobs and self._is_limited and not self._has_steps(1):
            return None
        job = self._jobs.popleft() if self._jobs else None
        self._pace_of_jobs.add(1)
        is_risky = any(one is not None and one.attempt for one in (job, *self._jobs))
        num_ahead = min(self._pace_of_jobs.within(self._ahead_s), _MAX_JOBS_AHEAD)
        if not is_risky and not self._wants_jobs and 2 * len(self._jobs) < num_ahead:
            self._ask_for_jobs(num_ahead - len(self._jobs), is_ahead=True)
        return job

    def _ask_for_jobs(self, count: int, *, is_ahead: bool) -> None:
        self._wants_jobs = True
        self.send(WantsJobs(count, self._num_steps > 0, is_ahead))

    @property
    def unbegun(self) -> tuple[int, ...]:
        """The numbers of episodes that `next_job` has not returned."""
        return tuple(job.number for job in self._jobs)

    def take_steps(self, count: int) -> bool:
        """Return whether so many transitions may be done.

        Raises:
            _Stopped: The driver wants no more rows.
        """
        while not self._inbox.empty():
            self._receive()
        if not self._is_limited:
            return True
        self._num_envs = count
        self._pace_of_steps.add(count)
        num_ahead = self._num_steps_ahead()
        may_ask = self._are_steps_many and not self._wants_steps
        if may_ask and 2 * self._num_steps < num_ahead:
            self._ask_for_steps(num_ahead, is_ahead=True)
        if not self._has_steps(count):
            return False
        self._num_steps -= count
        return True

    def _num_steps_ahead(self) -> int:
        return self._pace_of_steps.within(max(self._ahead_s, _STEPS_AHEAD_S))

    def _has_steps(self, count: int) -> bool:
        """Return whether so many transitions are granted; asks for them if need be."""
        while self._num_steps < count and self._wants_steps:
            self._receive()
        if self._num_steps < count:
            wanted = max(self._num_steps_ahead(), _STEPS_AT_ONCE * self._num_envs)
            self._ask_for_steps(wanted, is_ahead=False)
            self._wait_for(Granted)
        return self._num_steps >= count

    def _ask_for_steps(self, wanted: int, *, is_ahead: bool) -> None:
        self._wants_steps = True
        self.send(WantsSteps(wanted, self._num_envs, is_ahead))

    def send_block(self, block: SealedBlock) -> None:
        """Send rows, once; first wait until the driver has most of those before.

        Raises:
            _Stopped: The driver wants no more rows after these, or has ended.
        """
        try:
            while self._unfiled.is_full and not self.is_stopping:
                self._receive()
        finally:
            if block is not self._newest:
                self._newest = block
                self._unfiled.add(block)
                self.send(Sealed(block))

    def wait_until_filed(self) -> None:
        """Wait until all blocks are in the cache.

        Raises:
            _Stopped: The driver wants no more rows.
        """
        while self._unfiled:
            self._receive()

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
        if self._inbox.empty():
            self._hurry()
        message = self._inbox.get()
        match message:
            case Filed(count):
                self._unfiled.note_filed(count)
            case Assigned(jobs):
                self._wants_jobs = False
                self._jobs += jobs
            case Granted(count):
                self._wants_steps = False
                self._num_steps += count
                # Where none are granted ahead, the last ones are shared.
                self._are_steps_many = self._are_steps_many and count > 0
            case SendEvery():
                self._ahead_s = message.ahead_s
                self._gather(message)
            case Stop() if not self.is_stopping:
                self.is_stopping = True
                raise _Stopped
        return message


def collect(link: DriverLink, setup_data: bytes) -> None:
    """Collect episodes until there are none; report how it ended."""
    builder = BlockBuilder(link.send_block)
    runner: EpisodeRunner | None = None
    failure: Failed | None = None
    try:
        setup: Setup = pickle.loads(setup_data)
        runner = EpisodeRunner(setup, builder)
        ready = Ready(runner.declaration)
        runner.set_recipe_number(link.start(ready, setup.num_envs))
        runner.run(link)
    except _Stopped:
        pass
    except (Exception, SystemExit) as error:
        known = error if isinstance(error, RolloutViewerError) else None
        text = traceback.format_exc(limit=-4)
        failure = Failed(text, known, runner is None, link.unbegun)
    with contextlib.suppress(_Stopped):
        builder.seal()
    with contextlib.suppress(_Stopped):
        link.send(failure or Ended(link.unbegun))
    if runner is not None:
        link.wait_until_sent()  # closing it may end this process
        runner.close()


def main() -> None:
    """Do what the driver says, and end."""
    # Ctrl-C is for the driver, which then asks for what there is.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, out = take_over_pipes()
    with contextlib.suppress(EOFError, BrokenPipeError):
        sys.path[:] = read_message(source)
        setup_data = read_message(source)
        outbox = Outbox(packed=Pickled)
        sender = threading.Thread(
            target=_send_all, args=(outbox, out), name="to the driver", daemon=True
        )
        sender.start()
        link = DriverLink(
            functools.partial(read_message, source),
            outbox.put,
            lambda: os._exit(1),
            outbox.hurry,
            outbox.wait_until_sent,
            gather=outbox.gather,
        )
        try:
            collect(link, setup_data)
        finally:
            outbox.put(None)
            outbox.hurry()
            sender.join()


def _send_all(outbox: Outbox, out: BinaryIO) -> None:
    """Send messages as they are due, until one is None, or the driver has ended.

    That, the thread that reads finds out. Where anything else ends this thread, it ends
    the process: no one may wait for ever.
    """
    try:
        while True:
            messages = outbox.take()
            is_last = None in messages[-1:]
            if messages := messages[: len(messages) - is_last]:
                write_message(out, Several(messages))
            if is_last:
                return
    except ConnectionError:
        pass
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    finally:
        outbox.end()
