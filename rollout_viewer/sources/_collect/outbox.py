"""Messages of a worker, which go to the driver many at a time.

Each that goes alone costs the driver as much as several blocks: it, and a thread of it,
wake up, with all else in their caches. Knows nothing of how messages travel.
"""

from __future__ import annotations

import functools
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from rollout_viewer.sources._collect.messages import Sealed
from rollout_viewer.sources._collect.sending import SendEvery

if TYPE_CHECKING:
    from collections.abc import Callable

# How long whoever takes messages waits for one.
_POLL_S = 1.0
# What follows another message within this part of `SendEvery.seconds` waits for more
# until the next multiple of that time, which is the same for all workers: so what they
# send comes together, and is filed side by side at once. It waits for no more than so
# many, and unless the worker waits for an answer.
_SELDOM = 0.625
_MAX_GATHERED = 256


class Outbox:
    """Messages of a worker until they are taken, many at a time.

    Args:
        clock: Seconds.
        wall: Seconds, as all workers know them.
        packed: What is taken of a message; called by who puts it, whom it may raise to.
        gathering: How long messages wait for others.

    Attributes:
        was_hurried: When they were last taken, the worker waited for an answer.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        packed: Callable[[Any], object] = lambda message: message,
        gathering: SendEvery | None = None,
    ) -> None:
        self._clock, self._wall, self._packed = clock, wall, packed
        self._changed = threading.Condition()
        self._gathering = gathering or SendEvery()
        self._messages: list[Any] = []
        self._nbytes = 0
        self._is_hurried = self.was_hurried = False
        # Whoever takes messages has not come back with what it took; and never will.
        self._is_away = self._is_ended = False
        # When the last one was put, and whether those now followed at once.
        self._put_at = -math.inf
        self._are_frequent = False

    def put(self, message: Any) -> None:
        """Add a message. None is the last one."""
        packed = message if message is None else self._packed(message)
        with self._changed:
            now = self._clock()
            if not self._messages:
                seldom_s = _SELDOM * self._gathering.seconds
                self._are_frequent = now - self._put_at < seldom_s
            self._put_at = now
            self._messages.append(packed)
            if isinstance(message, Sealed):
                self._nbytes += message.block.nbytes
            self._changed.notify_all()

    def gather(self, gathering: SendEvery) -> None:
        """Let messages wait for others so long from now on."""
        with self._changed:
            self._gathering = gathering
            self._changed.notify_all()

    def hurry(self) -> None:
        """Have what is there taken now."""
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()

    def wait_until_sent(self) -> None:
        """Wait until all messages were taken, and whoever took them is back."""
        self.hurry()
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_ended or not (self._messages or self._is_away)
            )

    def end(self) -> None:
        """Note that no message will be taken any more."""
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def _is_due(self, seconds: float) -> bool:
        """Whether messages that were to wait so long go now."""
        return (
            self._is_hurried
            or self._gathering.seconds < seconds
            or not self._are_frequent
            or len(self._messages) >= _MAX_GATHERED
            or self._nbytes >= self._gathering.num_bytes
        )

    def take(self) -> list[Any]:
        """Return all messages; waits for some, and for more a little.

        Where the worker waits for what it asked for before, there may be none.
        """
        with self._changed:
            self._is_away = False
            self._changed.notify_all()
            if self._changed.wait_for(
                lambda: self._messages or self._is_hurried, _POLL_S
            ):
                self._wait_for_more()
            found, self._messages, self._nbytes = self._messages, [], 0
            self._is_away = bool(found)
            self.was_hurried, self._is_hurried = self._is_hurried, False
        return found

    def _wait_for_more(self) -> None:
        """Wait until messages are due; `_changed` is held."""
        seconds = math.inf
        while self._gathering.seconds < seconds:  # again, where it is less only now
            seconds = self._gathering.seconds
            is_due = functools.partial(self._is_due, seconds)
            self._changed.wait_for(is_due, seconds - self._wall() % seconds)
