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
from rollout_viewer.sources._collect.processes import CollectPool
from rollout_viewer.sources._collect.worker import DriverLink, collect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer.sources._collect.collection import Collection
    from rollout_viewer.sources._collect.messages import Failed
    from rollout_viewer.sources._collect.runner import Setup

# How long a call waits for messages of a worker.
_POLL_S = 1.0


class CollectActor:
    """A worker in an actor of several threads: one steps, the others are called."""

    def __init__(self) -> None:
        self._inbox: queue.Queue[Any] = queue.Queue()
        self._outbox: queue.Queue[Any] = queue.Queue()

    def run(self, setup: bytes) -> None:
        """Collect until there is nothing left."""
        link = DriverLink(self._inbox.get, self._outbox.put, on_gone=lambda: None)
        try:
            collect(link, setup)
        finally:
            self._outbox.put(None)

    def deliver(self, message: Any) -> None:
        """Take a message from the driver."""
        self._inbox.put(message)

    def take(self) -> list[Any]:
        """Return the messages for the driver, the last of all None."""
        found: list[Any] = []
        with contextlib.suppress(queue.Empty):
            found.append(self._outbox.get(timeout=_POLL_S))
            while True:
                found.append(self._outbox.get_nowait())
        return found


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
        self.name = f"actor {self._actor._actor_id.hex()[:8]}"
        self._actor.run.remote(setup)
        threading.Thread(
            target=self._read, name="rollout_viewer actor", daemon=True
        ).start()

    def send(self, message: object) -> None:
        """Send a message; does nothing where it has ended."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._actor.deliver.remote(message)

    def _read(self) -> None:
        while not self._is_closing:
            try:
                messages = self._ray.get(self._actor.take.remote())
            # Whatever it is, no thread may wait for ever. Ray ends what waits in its
            # `shutdown` by SystemExit.
            except (Exception, SystemExit) as error:
                self._why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                messages = [None]
            for message in messages:
                put_answer(
                    self._answers, Answer(self, message), lambda: self._is_closing
                )
                if message is None:
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
    with requires("collect(backend='ray')", "ray"):
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
