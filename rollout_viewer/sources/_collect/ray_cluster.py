"""The backend that collects in the actors of a Ray cluster.

An actor does what a worker process does; its messages come and go by calls. Blocks
travel through Ray as they are filed. The only module here that imports Ray.
"""

from __future__ import annotations

import contextlib
import pickle
import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import requires
from rollout_viewer._replay.pool import Answer
from rollout_viewer.sources._collect.messages import Filed, Pickled, Several
from rollout_viewer.sources._collect.outbox import Outbox
from rollout_viewer.sources._collect.processes import CollectPool
from rollout_viewer.sources._collect.sending import SendEvery
from rollout_viewer.sources._collect.worker import DriverLink, collect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer.sources._collect.collection import Collection
    from rollout_viewer.sources._collect.messages import Failed
    from rollout_viewer.sources._collect.runner import Setup

# What is filed is reported to a worker by the next call for its messages, but of so
# many blocks at once.
_MANY_FILED = 20
# What Ray sends with the answer to a call, rather than through its store, which costs
# the driver as much again. Above so many of these, it is the store.
# Source: `max_direct_call_object_size` of Ray, 100 KiB.
_PART_BYTES, _MAX_PARTS = 90_000, 8
# After the first answer, those of other actors are waited for so long.
_TOGETHER_S = 0.01
# How long it is waited where no actor is to answer.
_NONE_S = 0.05


class CollectActor:
    """A worker in an actor of several threads: one steps, the others are called."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._outbox = Outbox(packed=Pickled)
        # The last answer and its number, until the driver asks for another.
        self._taking = threading.Lock()
        self._number, self._answer = 0, b""

    def run(self, setup: bytes) -> None:
        """Collect until there is nothing left."""
        link = DriverLink(
            self._inbox.get,
            self._outbox.put,
            lambda: None,
            self._outbox.hurry,
            self._outbox.wait_until_sent,
            gather=self._outbox.gather,
        )
        try:
            collect(link, setup)
        finally:
            self._outbox.put(None)
            self._outbox.hurry()

    def deliver(self, data: bytes) -> None:
        """Take messages from the driver, a list of them as bytes."""
        for message in pickle.loads(data) if data else ():
            self._inbox.put(message)

    def take(self, data: bytes, num_parts: int, number: int) -> list[bytes] | bytes:
        """Return the messages for the driver, and whether the worker waits, as bytes.

        The last message of all is None. Where an answer was lost, as that of a call
        that was interrupted, it is returned to the next call.

        Args:
            data: For `deliver`.
            num_parts: How many byte strings are returned; of one, not a list.
            number: Of the answer, from 1 on: those before have arrived.
        """
        self.deliver(data)  # first: what takes messages may wait for it
        with self._taking:
            if number > self._number:
                self._answer = b""
                found = (self._outbox.take(), self._outbox.was_hurried)
                self._answer = pickle.dumps(found, protocol=5)
                self._number = number
            answer = self._answer
        ends = [number * _PART_BYTES for number in range(1, num_parts)]
        parts = [
            answer[start:end]
            for start, end in zip([0, *ends], [*ends, None], strict=True)
        ]
        return parts if num_parts > 1 else answer


class RayAnswers:
    """What actors answer, in place of a queue: the driver's own thread waits for Ray.

    A thread for each would wake up, and the driver then. Where the driver is
    interrupted, an answer that was not returned is returned later.
    """

    def __init__(self) -> None:
        import ray

        self._ray = ray
        # Those that have not answered for the last time; others, until the next call.
        self._workers: list[RayWorker] = []

    def add(self, worker: RayWorker) -> None:
        """Ask a worker for messages from now on."""
        self._workers.append(worker)

    def get(self, timeout: float) -> Answer:
        """Return the next answer; calls actors for theirs where it waits.

        Raises:
            queue.Empty: None came in so many seconds.
        """
        if (answer := self._next()) is None:
            self._fetch(timeout)
            answer = self._next()
        if answer is None:
            raise queue.Empty
        return answer

    def _next(self) -> Answer | None:
        for worker in self._workers:
            if isinstance(answer := worker.state, Answer):
                worker.state = None
                return answer
        return None

    def _fetch(self, timeout_s: float) -> None:
        if timeout_s <= 0:
            return  # of what was called before, all was fetched together
        self._workers = [
            one for one in self._workers if not (one.is_closing or one.is_over)
        ]
        for worker in self._workers:
            worker.ask()
        calls = {one: one.state for one in self._workers if isinstance(one.state, list)}
        if not calls:
            if not self._workers:
                time.sleep(min(timeout_s, _NONE_S))
            return
        # The last part may be large, and still on its way when the others are here.
        lasts = [refs[-1] for refs in calls.values()]
        try:
            found = self._wait(lasts, 1, timeout_s)
            if 0 < len(found) < len(lasts):
                found = self._wait(lasts, len(lasts), _TOGETHER_S)
        except Exception as error:  # Ray itself has ended
            for worker in calls:
                worker.fail(error)
            return
        self._take({one: refs for one, refs in calls.items() if refs[-1] in found})

    def _take(self, calls: dict[RayWorker, list[Any]]) -> None:
        try:
            # All together, if none has ended.
            found = self._ray.get([ref for refs in calls.values() for ref in refs])
        except Exception:
            for worker, refs in calls.items():
                try:
                    worker.take(self._ray.get(refs))
                except Exception as error:
                    worker.fail(error)
            return
        parts = iter(found)
        for worker, refs in calls.items():
            worker.take([next(parts) for _ in refs])

    def _wait(self, refs: list[Any], count: int, timeout_s: float) -> list[Any]:
        found: list[Any] = self._ray.wait(refs, num_returns=count, timeout=timeout_s)[0]
        return found


class RayWorker:
    """A worker in an actor, seen from the driver; see `CollectWorker`.

    Args:
        answers: Calls it for its messages.
        number: Which of the workers it is.
        setup: What it does, as bytes.

    Attributes:
        state: What Ray answers to the call that runs, a list; or the answer; None: it
            is to be called.
        is_over: It has answered for the last time.
        is_closing: It is not wanted any more.
    """

    def __init__(self, answers: RayAnswers, number: int, setup: bytes) -> None:
        import ray

        self.number = number
        self.num_steps = 0
        self.failure: Failed | None = None
        self.is_ready = self.has_ended = False
        self.is_asked_to_stop = self.is_cut = False
        self.sends_every = SendEvery()
        self.state: list[Any] | Answer | None = None
        self.is_over = self.is_closing = False
        self._why = ""
        self._ray = ray
        actor = ray.remote(num_cpus=1, max_concurrency=4, max_restarts=0)(CollectActor)
        self._actor = actor.remote()
        # What the next call brings it.
        self._unsent: list[object] = []
        self._num_filed = 0
        # It waits for an answer, perhaps for how many blocks are filed.
        self._is_waiting = False
        # As its last answer would have needed.
        self._num_parts = 1
        # Of the answer that it is called for, and of the last one that it gave.
        self._number = self._number_taken = 0
        self.name = f"actor {self._actor._actor_id.hex()[:8]}"
        self._actor.run.remote(setup)
        answers.add(self)

    def send(self, message: object) -> None:
        """Send a message with `flush`, or with the next call for its messages."""
        if isinstance(message, Filed):
            self._num_filed += message.num_blocks
        else:
            self._unsent.append(message)

    def flush(self) -> None:
        """Send what waits, if no call for its messages will soon.

        Few blocks that are filed wait for that call, unless the worker waits.
        """
        many = 1 if self._is_waiting else _MANY_FILED
        is_called = isinstance(self.state, list)
        if not is_called or not (self._unsent or self._num_filed >= many):
            return
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._actor.deliver.options(num_returns=0).remote(self._taken())

    def _taken(self) -> bytes:
        """Return what waits, as bytes; b"": nothing does."""
        messages, self._unsent = self._unsent, []
        count, self._num_filed = self._num_filed, 0
        if count:
            messages.append(Filed(count))
        if not messages:
            return b""
        self._is_waiting = False
        return pickle.dumps(messages, protocol=5)

    # -- its messages

    def ask(self) -> None:
        """Call it for messages, unless it was called.

        One that was interrupted may run: the next has its number, and its answer.
        """
        if self.state is not None or self.is_over:
            return
        self._number = self._number_taken + 1
        try:
            count = self._num_parts
            call = self._actor.take.options(num_returns=count)
            found = call.remote(self._taken(), count, self._number)
        except Exception as error:
            self.fail(error)
        else:
            self.state = found if count > 1 else [found]

    def take(self, parts: Sequence[bytes]) -> None:
        """Take what was answered; until `state` is set, it may be interrupted."""
        data = b"".join(parts)
        try:
            messages, is_waiting = pickle.loads(data)
        except Exception as error:
            self.fail(error)
            return
        self._is_waiting = self._is_waiting or is_waiting
        self._num_parts = min(1 + len(data) * 5 // 4 // _PART_BYTES, _MAX_PARTS)
        self._number_taken = self._number
        self.state = Answer(self, Several(messages)) if messages else None
        self.is_over = None in messages[-1:]

    def fail(self, error: Exception) -> None:
        """Note that it will not answer any more, and why."""
        self._why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        self.state = Answer(self, Several([None]))
        self.is_over = True

    def why_ended(self) -> str:
        """Return how it ended, of one that did not say so."""
        return self._why or "its actor ended"

    def close(self) -> None:
        """End the actor."""
        self.is_closing = True
        with contextlib.suppress(Exception):
            self._ray.kill(self._actor)


def collect_in_ray(
    setups: Sequence[Setup], collection: Collection, address: str | None
) -> None:
    """Collect episodes in an actor for each of `setups`.

    Args:
        setups: What each does.
        collection: Where their rows go.
        address: Of the cluster; None: the one that this process is connected to, else
            a new one on this machine.

    Raises:
        MissingDependencyError: Ray is not installed.
        TypeError: `make_env` or the policy cannot be pickled.
        RolloutViewerError: A worker cannot do it, nor would another.
    """
    with requires("rv.collect(backend='ray')", "ray"):
        import ray
    is_own = not ray.is_initialized()
    if is_own:
        options = {} if address is not None else {"num_cpus": len(setups)}
        ray.init(
            address=address, include_dashboard=False, log_to_driver=False, **options
        )
    try:
        CollectPool(setups, collection, RayWorker, RayAnswers()).run()
    finally:
        if is_own:
            ray.shutdown()
