"""What backends of worker processes share: they are started, fed and replaced.

A worker that ends early is replaced, and its unfinished episodes are collected again. A
slow one holds no other up: episodes are given out one by one.
"""

from __future__ import annotations

import contextlib
import math
import queue
import time
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from rollout_viewer._errors import RolloutViewerError, RolloutViewerWarning
from rollout_viewer._replay.pool import Answer
from rollout_viewer.sources._collect.messages import (
    Assigned,
    Ended,
    Failed,
    Filed,
    Granted,
    Ready,
    Sealed,
    Several,
    Start,
    Stop,
    WantsJobs,
    WantsSteps,
)
from rollout_viewer.sources._collect.policy import pickled
from rollout_viewer.sources._collect.sending import send_every
from rollout_viewer.sources._collect.worker_process import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer.sources._collect.collection import Collection
    from rollout_viewer.sources._collect.runner import Setup
    from rollout_viewer.sources._collect.sending import SendEvery

# Messages that may wait in all, each at most a block.
_MAX_MESSAGES = 64
# Fewer are not granted to a worker that has some.
_FEW_STEPS = 64
# A worker that ended so often without finishing an episode is not replaced.
_MAX_DEATHS = 5
# How long workers may take to hand over what they have when collecting is stopped.
_STOP_S = 5.0


class CollectWorker(Protocol):
    """A worker, seen from the driver.

    Attributes:
        number: Which of the workers it is.
        name: Shown beside its line.
        num_steps: Transitions that were granted, and are not in the cache.
        failure: Why it ended, if it said so.
        is_ready: Its environment is made.
        has_ended: It has sent all of its rows.
        is_asked_to_stop: It was sent a `Stop`.
        is_cut: It was granted fewer transitions than it asked for.
        sends_every: How often it was asked to send what it has.
    """

    number: int
    name: str
    num_steps: int
    failure: Failed | None
    is_ready: bool
    has_ended: bool
    is_asked_to_stop: bool
    is_cut: bool
    sends_every: SendEvery

    def send(self, message: object) -> None:
        """Send a message, at the latest with `flush`; does nothing where it ended."""

    def flush(self) -> None:
        """Send what waits, but for how many blocks are filed if those are few."""

    def why_ended(self) -> str:
        """Return how it ended, of one that did not say so."""

    def close(self) -> None:
        """End it."""


class Answers(Protocol):
    """Where messages of all workers are, as in a `queue.Queue`."""

    def get(self, *, timeout: float) -> Answer:
        """Return the next one; raises `queue.Empty` after so many seconds."""


# Starts a worker of a number: where its messages go, the number, and its setup.
StartWorker: TypeAlias = "Callable[[Any, int, bytes], CollectWorker]"


class CollectPool:
    """Workers, and what they are given.

    Args:
        setups: What each worker does.
        collection: Where their rows go.
        start_worker: Starts one.
        answers: Where their messages are; None: in a queue, which workers fill.

    Raises:
        TypeError: `make_env` or the policy cannot be pickled.
    """

    def __init__(
        self,
        setups: Sequence[Setup],
        collection: Collection,
        start_worker: StartWorker,
        answers: Answers | None = None,
    ) -> None:
        pickled("make_env", setups[0].make_env)
        pickled("policy", setups[0].policy)
        self._setups = [pickled("make_env", setup) for setup in setups]
        self._first_envs = [setup.first_env for setup in setups]
        self._collection = collection
        self._answers: Answers = answers or queue.Queue(_MAX_MESSAGES)
        # Taken from there, the first one perhaps by half: Ctrl-C loses none.
        self._unhandled: deque[Answer] = deque()
        self._start_worker = start_worker
        self._workers: dict[int, CollectWorker] = {}
        self._num_deaths = 0
        # Since an episode was finished.
        self._num_deaths_in_a_row = 0
        self._num_finished = 0
        self._why = ""
        # When the first rows were filed.
        self._first_at = math.inf
        # Workers that wait for steps which others have and may give back.
        self._wanting: dict[int, WantsSteps] = {}
        # Those that were sent something since `_flush`, and how many of their blocks
        # were filed.
        self._num_filed: dict[int, int] = {}

    def run(self) -> None:
        """Collect until all is there.

        Raises:
            RolloutViewerError: A worker cannot do it, nor would another.
        """
        try:
            for number in range(len(self._setups)):
                self._start(number)
            while self._workers:
                self._turn(self._collection.filer.wait_s())
        except BaseException:
            for _ in range(2):  # the user's function may raise only now
                with contextlib.suppress(Exception):
                    self._stop()
                    break
            raise
        finally:
            for worker in self._workers.values():
                worker.close()
        self._warn()

    def _start(self, number: int) -> None:
        worker = self._start_worker(self._answers, number, self._setups[number])
        self._workers[number] = worker
        self._collection.progress.note(number, worker.name)

    def _turn(self, timeout_s: float) -> None:
        """Do what the next messages ask for, and file what is due."""
        wait_s = 0.0 if self._unhandled else max(timeout_s, 0.001)
        for _ in range(_MAX_MESSAGES):
            self._fetch(wait_s)
            wait_s = 0.0
            if not self._unhandled:
                break
            self._handle_waiting()
        while self._collection.filer.is_due(self._collecting()):
            self._file()
        self._grant_steps()
        self._set_interval()
        self._flush()
        if self._collection.is_stopping:
            self._ask_to_stop()
        if self._collection.is_stopping or not self._collection.jobs.has_next:
            self._drop_unneeded()

    def _fetch(self, timeout_s: float) -> None:
        with contextlib.suppress(queue.Empty):
            worker, message = self._answers.get(timeout=timeout_s)
            messages = message.messages if isinstance(message, Several) else [message]
            self._unhandled += [Answer(worker, one) for one in messages]

    def _handle_waiting(self) -> None:
        """Handle what was fetched.

        What Ctrl-C interrupts is handled again; what raises an error would do so again.
        """
        while self._unhandled:
            try:
                self._take(self._unhandled[0])
            except Exception:
                self._unhandled.popleft()
                raise
            self._unhandled.popleft()

    def _take(self, answer: Answer) -> None:
        worker = self._workers.get(getattr(answer.worker, "number", -1))
        if worker is answer.worker:
            self._handle(worker, answer.message)

    def _send(self, worker: CollectWorker, message: object) -> None:
        worker.send(message)
        self._num_filed.setdefault(worker.number, 0)

    def _flush(self) -> None:
        for number, count in self._num_filed.items():
            if (worker := self._workers.get(number)) is not None:
                if count:
                    worker.send(Filed(count))
                worker.flush()
        self._num_filed = {}

    def _set_interval(self) -> None:
        """Ask workers to send so often; after a death, often: little is lost then."""
        wanted = send_every(
            time.monotonic() - self._first_at,
            len(self._setups),
            is_awaited=self._num_deaths > 0 or self._collection.is_awaited,
        )
        for worker in self._workers.values():
            if worker.sends_every != wanted:
                worker.sends_every = wanted
                self._send(worker, wanted)

    def _drop_unneeded(self) -> None:
        """End workers that have not begun: nothing is left to be collected.

        Where a cluster has no room for them, they never would.
        """
        for number, worker in list(self._workers.items()):
            if not worker.is_ready and worker.failure is None:
                del self._workers[number]
                worker.close()

    def _collecting(self) -> list[int]:
        return [
            number
            for number, worker in self._workers.items()
            if worker.is_ready and not worker.has_ended
        ]

    def _file(self) -> None:
        filed = self._collection.file()
        self._first_at = min(self._first_at, time.monotonic())
        for number, count in filed.num_steps.items():
            if (worker := self._workers.get(number)) is not None:
                worker.num_steps -= count
                num_filed = filed.workers.count(number)
                self._num_filed[number] = self._num_filed.get(number, 0) + num_filed
        if self._collection.jobs.num_finished > self._num_finished:
            self._num_finished = self._collection.jobs.num_finished
            self._num_deaths_in_a_row = 0

    def _ask_to_stop(self) -> None:
        for worker in self._workers.values():
            if not worker.is_asked_to_stop:
                worker.is_asked_to_stop = True
                worker.send(Stop())
                worker.flush()

    # -- messages

    def _handle(self, worker: CollectWorker, message: Any) -> None:
        collection = self._collection
        match message:
            case Sealed(block):
                collection.filer.add(worker.number, block)
            case WantsJobs():
                jobs = collection.next_jobs(worker.number, message, len(self._workers))
                self._send(worker, Assigned(tuple(jobs)))
            case WantsSteps(count, _, is_ahead) if is_ahead:
                self._grant_ahead(worker, count)
            case WantsSteps():
                self._wanting[worker.number] = message
            case Ready(declaration):
                first_env = self._first_envs[worker.number]
                number = collection.declare(declaration, first_env)
                worker.is_ready = True
                self._send(worker, Start(number, collection.jobs.is_limited))
            case Failed():
                worker.failure = message
                collection.give_back(worker.number, message.unbegun)
            case Ended(unbegun):
                worker.has_ended = True
                collection.give_back(worker.number, unbegun)
            case _:
                self._end(worker)

    def _grant_steps(self) -> None:
        """Grant the steps that workers want; none, where none will be there.

        What a worker was granted and does not need, it gives back when it ends. Those
        that are left without wait for it: the last ones end one by one, as each may
        have less than a step of all of its envs.
        """
        collection = self._collection
        jobs, is_stopping = collection.jobs, collection.is_stopping
        while self._wanting and (jobs.has_steps or is_stopping):
            self._grant(0 if is_stopping else None)
        others = [
            number
            for number, worker in self._workers.items()
            if worker.is_ready and number not in self._wanting
        ]
        if self._wanting and not others:
            self._grant(None)  # none are left, which is noted

    def _grant(self, count: int | None) -> None:
        """Answer the first that wants steps: with so many; None: as it may have."""
        number = next(iter(self._wanting))
        wanted, num_envs, _ = self._wanting.pop(number)
        if count is None:
            # The last ones are shared, so that no one waits long for what others have.
            share = self._collection.jobs.share_of_steps(len(self._workers)) or wanted
            wanted = min(wanted, max(share, num_envs))
            count = self._collection.jobs.take_steps(wanted)
        worker = self._workers[number]
        worker.num_steps += count
        worker.is_cut = count < wanted
        self._send(worker, Granted(count))

    def _grant_ahead(self, worker: CollectWorker, wanted: int) -> None:
        """Grant steps to one that has some: none, if others may need them sooner."""
        jobs, num_workers = self._collection.jobs, len(self._workers)
        share = jobs.share_of_steps(num_workers) or 0
        count = min(wanted, share // 2 if num_workers > 1 else share)
        if self._collection.is_stopping or self._wanting or count < _FEW_STEPS:
            count = 0
        worker.num_steps += jobs.take_steps(count)
        self._send(worker, Granted(count))

    def _end(self, worker: CollectWorker) -> None:
        """Do what is to be done when a process is gone."""
        collection = self._collection
        self._wanting.pop(worker.number, None)
        while collection.filer.waits(worker.number):
            self._file()
        num_missing = len(collection.jobs.missing)
        is_early = not (worker.has_ended or collection.is_stopping)
        # Before its episodes: without steps, none would be collected again.
        collection.jobs.return_steps(max(worker.num_steps, 0))
        is_cut = worker.has_ended and worker.is_cut
        collection.end(worker.number, is_cut=is_cut)
        del self._workers[worker.number]
        why = self._why_ended(worker) if is_early else ""
        worker.close()
        if is_early:
            self._count_death(worker, why, len(collection.jobs.missing) > num_missing)
        # What one that was cut gives back is of no use to another, nor are fewer steps
        # than it has envs.
        is_wanted = is_early or (collection.jobs.has_lost and not is_cut)
        if is_wanted and not collection.is_stopping and collection.jobs.has_next:
            num_envs = self._collection.filer.num_envs_of(worker.number)
            if collection.jobs.has_steps_for(num_envs):
                self._start(worker.number)

    def _why_ended(self, worker: CollectWorker) -> str:
        if worker.failure is not None:
            return worker.failure.text.strip()
        return worker.why_ended()

    def _count_death(self, worker: CollectWorker, why: str, gave_up: bool) -> None:
        """Count a worker that ended early.

        Raises:
            RolloutViewerError: Another one would end as well.
        """
        self._num_deaths += 1
        self._num_deaths_in_a_row += 1
        self._why = self._why or f"worker {worker.number}: {why}"
        failure = worker.failure
        if failure is not None and failure.error is not None:
            raise failure.error
        is_hopeless = (
            (failure is not None and failure.is_start)
            or (gave_up and not self._num_finished)
            or self._num_deaths_in_a_row >= _MAX_DEATHS * len(self._setups)
        )
        if is_hopeless:
            raise RolloutViewerError(
                "rv.collect: expected workers that collect episodes, got one that "
                f"ended: {why}\nCollect one episode with backend='serial' to debug it."
            )

    def _stop(self) -> None:
        """Take what the workers have, for some seconds."""
        self._collection.is_stopping = True
        deadline = time.monotonic() + _STOP_S
        self._ask_to_stop()
        while self._workers and (left := deadline - time.monotonic()) > 0:
            self._turn(min(left, 0.1))
        while self._collection.filer.has_waiting:
            self._file()

    def _warn(self) -> None:
        jobs = self._collection.jobs
        if not self._num_deaths:
            return
        text = (
            f"rv.collect: expected workers that run to the end, got {self._num_deaths} "
            f"that ended early and were replaced ({self._why[-500:]}). "
            f"{jobs.num_lost} unfinished episodes were lost; those of which rows had "
            'come are labelled "lost".'
        )
        if jobs.missing:
            seeds = [job.seed for job in jobs.missing]
            text += (
                f" {len(seeds)} are missing, since they were lost each time: seeds "
                f"{seeds[:20]}."
            )
        else:
            text += " All were collected again."
        warnings.warn(text, RolloutViewerWarning, stacklevel=4)


def collect_in_processes(setups: Sequence[Setup], collection: Collection) -> None:
    """Collect episodes in a process for each of `setups`.

    Raises:
        TypeError: `make_env` or the policy cannot be pickled.
        RolloutViewerError: A worker cannot do it, nor would another.
    """
    CollectPool(setups, collection, WorkerProcess).run()
