"""The backend that collects in the actors of a Ray cluster.

An actor does what a worker process does; its messages come and go by calls. Blocks
travel through Ray as they are filed. The only module here that imports Ray.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import requires
from rollout_viewer._replay.pool import Answer, put_answer
from rollout_viewer.sources._collect.messages import Filed, Several
from rollout_viewer.sources._collect.outbox import Outbox
from rollout_viewer.sources._collect.processes import CollectPool
from rollout_viewer.sources._collect.worker import DriverLink, collect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer.sources._collect.collection import Collection
    from rollout_viewer.sources._collect.messages import Failed
    from rollout_viewer.sources._collect.runner import Setup

# A worker is told what is filed by the next call for its messages, but of so many
# blocks at once.
_MANY_FILED = 20


class CollectActor:
    """A worker in an actor of several threads: one steps, the others are called."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._outbox = Outbox()

    def run(self, setup: bytes) -> None:
        """Collect until there is nothing left."""
        link = DriverLink(
            self._inbox.get,
            self._outbox.put,
            lambda: None,
            self._outbox.hurry,
            self._outbox.wait_until_sent,
        )
        try:
            collect(link, setup)
        finally:
            self._outbox.put(None)
            self._outbox.hurry()

    def deliver(self, *messages: Any) -> None:
        """Take messages from the driver."""
        for message in messages:
            self._inbox.put(message)

    def take(self, num_filed: int) -> tuple[list[Any], bool]:
        """Return the messages for the driver, and whether the worker waits.

        The last message of all is None.

        Args:
            num_filed: Blocks that are in the cache since the last call.
        """
        if num_filed:
            self._inbox.put(Filed(num_filed))
        return self._outbox.take(), self._outbox.was_hurried


class RayWorker:
    """A worker in an actor, seen from the driver; see `CollectWorker`.

    Args:
        answers: Where its messages go; filled by a thread.
        number: Which of the workers it is.
        setup: What it does, as bytes.
    """

    def __init__(self, answers: queue.Queue[Answer], number: int, setup: bytes) -> None:
        import ray

        self.number = number
        self.num_steps = 0
        self.failure: Failed | None = None
        self.is_ready = self.has_ended = False
        self.is_asked_to_stop = self.is_cut = False
        self._answers = answers
        self._is_closing = False
        self._why = ""
        self._ray = ray
        actor = ray.remote(num_cpus=1, max_concurrency=4, max_restarts=0)(CollectActor)
        self._actor = actor.remote()
        # From the thread of the driver; and what `take` tells, from the other, too.
        self._unsent: list[object] = []
        self._num_filed = 0
        self._lock = threading.Lock()
        # It waits for an answer, perhaps for how many blocks are filed.
        self._is_waiting = False
        self.name = f"actor {self._actor._actor_id.hex()[:8]}"
        self._actor.run.remote(setup)
        threading.Thread(
            target=self._read, name="rollout_viewer actor", daemon=True
        ).start()

    def send(self, message: object) -> None:
        """Send a message with `flush`."""
        if isinstance(message, Filed):
            with self._lock:
                self._num_filed += message.num_blocks
        else:
            self._unsent.append(message)

    def flush(self) -> None:
        """Send what waits.

        Few blocks that are filed wait for the next call, unless the worker waits.
        """
        many = 1 if self._is_waiting else _MANY_FILED
        if not self._unsent and self._num_filed < many:
            return
        self._is_waiting = False
        messages, self._unsent = self._unsent, []
        if count := self._take_filed():
            messages.append(Filed(count))
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._actor.deliver.options(num_returns=0).remote(*messages)

    def _take_filed(self) -> int:
        with self._lock:
            count, self._num_filed = self._num_filed, 0
        return count

    def _read(self) -> None:
        while not self._is_closing:
            try:
                messages, is_waiting = self._ray.get(
                    self._actor.take.remote(self._take_filed())
                )
                self._is_waiting = self._is_waiting or is_waiting
            # Whatever it is, no thread may wait for ever. Ray ends what waits in its
            # `shutdown` by SystemExit.
            except (Exception, SystemExit) as error:
                self._why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                messages = [None]
            if not messages:
                continue
            put_answer(
                self._answers,
                Answer(self, Several(messages)),
                lambda: self._is_closing,
            )
            if messages[-1] is None:
                return

    def why_ended(self) -> str:
        """Return how it ended, of one that did not say so."""
        return self._why or "its actor ended"

    def close(self) -> None:
        """End the actor."""
        self._is_closing = True
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
        CollectPool(setups, collection, RayWorker).run()
    finally:
        if is_own:
            ray.shutdown()
