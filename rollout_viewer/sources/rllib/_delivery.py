"""Blocks on the way from the EnvRunners to the driver's cache.

The driver asks each runner after an iteration. A runner keeps what it sent until the
driver confirms it with its next question, so that an answer that is lost is asked for
again. Knows runners by the calls that RLlib offers.
"""

from __future__ import annotations

import functools
import os
import secrets
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer.sources.rllib._episode_slots import EpisodeSlots


class Answer(NamedTuple):
    """What a runner hands over.

    Attributes:
        outbox: Which one; a restarted runner has another.
        first: Number of the first block among all that this runner handed over.
        blocks: (env of the recording, block), in order.
    """

    outbox: str
    first: int
    blocks: list[tuple[int, SealedBlock]]


class Outbox:
    """The blocks of one runner that the driver has not confirmed.

    Args:
        slots: Which fill it.
        first_env: Of the recording, of the first slot.
    """

    def __init__(self, slots: EpisodeSlots, first_env: int) -> None:
        self.slots = slots
        self._first_env = first_env
        self._name = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._num_confirmed = 0
        self._blocks: deque[tuple[int, SealedBlock]] = deque()

    def answer(self, confirmed: Mapping[str, int]) -> Answer:
        """Return all blocks but those that the driver has."""
        while self._blocks and self._num_confirmed < confirmed.get(self._name, 0):
            self._blocks.popleft()
            self._num_confirmed += 1
        for slot, block in self.slots.take():
            self._blocks.append((self._first_env + slot, block))
        return Answer(self._name, self._num_confirmed, list(self._blocks))


# Callback -> outbox, of the runners of this process.
_OUTBOXES: weakref.WeakKeyDictionary[Any, dict[str, Outbox]] = (
    weakref.WeakKeyDictionary()
)


def outboxes_of(runner: Any) -> dict[str, Outbox]:
    """Return the outboxes of a runner, by the name of the callback."""
    return _OUTBOXES.setdefault(runner, {})


class Inbox:
    """Files what the runners hand over."""

    def __init__(self) -> None:
        self._confirmed: dict[str, int] = {}

    def collect(
        self,
        group: Any,
        question: Callable[..., Answer],
        cache: FrameCache,
        num_envs: int,
    ) -> None:
        """Ask all runners of a group, and file their blocks side by side.

        Args:
            group: RLlib's EnvRunnerGroup.
            question: Called with each runner, in its process, and ``confirmed``.
            cache: Where to record.
            num_envs: Of the recording.
        """
        question = functools.partial(question, confirmed=self._confirmed)
        queues: dict[int, deque[SealedBlock]] = {}
        numbers: dict[str, int] = {}
        for answer in group.foreach_env_runner(question):
            if not isinstance(answer, Answer):  # the runner died
                continue
            have = self._confirmed.get(answer.outbox, 0)
            for env, block in answer.blocks[have - answer.first :]:
                queues.setdefault(env, deque()).append(block)
            numbers[answer.outbox] = answer.first + len(answer.blocks)
        while queues:
            cache.append_block(
                {env: queue.popleft() for env, queue in queues.items()},
                num_envs=num_envs,
            )
            queues = {env: queue for env, queue in queues.items() if queue}
        self._confirmed.update(numbers)
