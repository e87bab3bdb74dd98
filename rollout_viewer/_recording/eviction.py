"""How much a recording's file may hold, and which pictures are evicted when it is full.

Accounts for stored chunks and evicts whole episodes, the oldest first, except rows that
clips pin. Numbers of rows and episodes never change, and step data is never evicted.
Knows rows, slots and sizes. Knows nothing of codecs or SQL.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

from rollout_viewer._frames.chunk import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot

Keep = Literal["all", "latest"]
# Pages of the file's indexes, and of step data that is written before the next block.
_SLACK_BYTES = 32 * 1024


class Stored(NamedTuple):
    """A chunk in the file; bit i of `shown`: its row i has a picture."""

    block: int
    nbytes: int
    shown: int


class _Pin(NamedTuple):
    start: int
    stop: int
    envs: frozenset[int] | None


class Budget:
    """The pictures in a file, oldest first. Guarded by the lock of the recording.

    `pin` and what it returns may be called from any thread, also by the garbage
    collector: they rely on a dict's operations being atomic.

    Args:
        disk_bytes: Bound for the file; None: none.
        keep: ``"latest"`` evicts; ``"all"`` never does.

    Attributes:
        first_rows: Slot -> its first row that still has a picture, if not 0.
        num_evicted: Pictures that were evicted.
        truncated_episode: (env, start) of the first episode that is larger than the
            budget and so lost its oldest rows; None: there is none.
    """

    def __init__(self, disk_bytes: int | None, keep: Keep) -> None:
        self.disk_bytes = disk_bytes
        self.keep = keep
        self._pins: dict[int, _Pin] = {}
        self._tokens = itertools.count()
        self.clear()

    def clear(self) -> None:
        """Start again with an empty file."""
        self.used_nbytes = 0
        self.num_evicted = 0
        self.truncated_episode: tuple[int, int] | None = None
        self.first_rows: dict[int, int] = {}
        # Of envs: the row before which all is evicted, and their next episode.
        self._first: dict[int, int] = {}
        self._next: dict[int, int] = {}
        self._stored: dict[int, deque[Stored]] = {}

    @property
    def evicts(self) -> bool:
        """Whether old pictures are evicted to make room for new ones."""
        return self.disk_bytes is not None and self.keep == "latest"

    def pin(
        self, start: int, stop: int, envs: Collection[int] | None
    ) -> Callable[[], object]:
        """Keep rows of envs (None: of all) until the result is called."""
        token = next(self._tokens)
        pins = self._pins
        pins[token] = _Pin(start, stop, None if envs is None else frozenset(envs))
        return lambda: pins.pop(token, None)

    def add(self, slot: int, chunk: Stored) -> None:
        """Account for a chunk that is stored."""
        self.used_nbytes += chunk.nbytes
        if self.evicts:
            self._stored.setdefault(slot, deque()).append(chunk)

    def make_room(
        self,
        nbytes: int,
        overhead: int,
        limit: int,
        rows: Rows,
        slots: Sequence[Slot],
        *,
        is_shared: bool,
    ) -> tuple[bool, list[tuple[int, int]]]:
        """Evict until `nbytes` more fit beside as much of the open block.

        Args:
            nbytes: Of the chunks to be stored.
            overhead: Bytes of the file beyond its chunks.
            limit: Rows from here on stay.
            rows: Where episodes begin and end.
            slots: Which env's pictures they are.
            is_shared: One picture shows all envs.

        Returns:
            Whether they fit, and the (block, slot) of evicted chunks.
        """
        if self.disk_bytes is None:
            return True, []
        if self._fits(2 * nbytes + overhead + _SLACK_BYTES) or not self.evicts:
            return self._fits(2 * nbytes + overhead + _SLACK_BYTES), []
        eviction = EvictionPass(self, limit, rows, slots, is_shared=is_shared)
        while (
            not self._fits(2 * nbytes + overhead + _SLACK_BYTES)
            and eviction.evict_one()
        ):
            pass
        return self._fits(nbytes + overhead), eviction.evicted

    def _fits(self, more: int) -> bool:
        assert self.disk_bytes is not None
        return self.used_nbytes + more <= self.disk_bytes

    def _drop(self, slot: int, first: int) -> list[tuple[int, int]]:
        """Forget a slot's pictures before row `first`; return chunks to delete."""
        before = self.first_rows.get(slot, 0)
        stored = self._stored.get(slot, deque())
        for chunk in stored:
            start = chunk.block * CHUNK_ROWS
            if start >= first:
                break
            low, high = max(before - start, 0), min(first - start, CHUNK_ROWS)
            mask = (1 << high) - (1 << min(low, high))
            self.num_evicted += (chunk.shown & mask).bit_count()
        dropped = []
        while stored and (stored[0].block + 1) * CHUNK_ROWS <= first:
            chunk = stored.popleft()
            self.used_nbytes -= chunk.nbytes
            dropped.append((chunk.block, slot))
        self.first_rows[slot] = max(first, before)
        return dropped


class EvictionPass:
    """One search for room, over episodes in the order of their start."""

    def __init__(
        self,
        budget: Budget,
        limit: int,
        rows: Rows,
        slots: Sequence[Slot],
        *,
        is_shared: bool,
    ) -> None:
        self._budget = budget
        self._limit = limit
        self._rows = rows
        self._is_shared = is_shared
        self._slots = _by_env(slots)
        self._env_of = [info.env for info in slots]
        self._envs = range(rows.num_envs) if is_shared else sorted(self._slots)
        self._pins = list(budget._pins.values())
        self._heap: list[tuple[int, int]] = []
        self.evicted: list[tuple[int, int]] = []
        for env in self._envs:
            self._push(env)

    def evict_one(self) -> bool:
        """Evict the oldest episode that ended; else a block of one that is too long."""
        if not self._heap:
            return self._evict_block()
        start, env = heapq.heappop(self._heap)
        index = self._budget._next.get(env, 0)
        ended = self._rows.ended(env, index)
        assert ended is not None
        stop = ended[1]
        first = self._budget._first.get(env, 0)
        if first > start:  # truncated before: its newest rows stay as long as they fit
            stop = min(stop, (first // CHUNK_ROWS + 1) * CHUNK_ROWS)
        self._advance(env, stop)
        self._push(env)
        return True

    def _push(self, env: int) -> None:
        budget = self._budget
        index, first = budget._next.get(env, 0), budget._first.get(env, 0)
        while (ended := self._rows.ended(env, index)) and ended[1] <= first:
            index += 1
        budget._next[env] = index
        if ended and ended[1] <= self._limit and not self._is_pinned(env, ended[1]):
            heapq.heappush(self._heap, (ended[0], env))

    def _is_pinned(self, env: int, stop: int) -> bool:
        first = self._budget._first.get(env, 0)
        return any(
            pin.start < stop and pin.stop > first
            for pin in self._pins
            if pin.envs is None or env in pin.envs
        )

    def _evict_block(self) -> bool:
        """Evict the oldest block, although its episodes are still running."""
        oldest = sorted(
            (stored[0].block, slot)
            for slot, stored in self._budget._stored.items()
            if stored
        )
        for block, slot in oldest:
            stop = (block + 1) * CHUNK_ROWS
            envs = self._envs if self._is_shared else [self._env_of[slot]]
            if stop > self._limit or any(self._is_pinned(env, stop) for env in envs):
                continue
            for env in envs:
                index = self._budget._next.get(env, 0)
                begun = self._rows.begun(env, index)
                is_first = self._budget.truncated_episode is None
                if begun is not None and begun < stop and is_first:
                    self._budget.truncated_episode = env, begun
                self._advance(env, max(stop, self._budget._first.get(env, 0)))
            return True
        return False

    def _advance(self, env: int, stop: int) -> None:
        budget = self._budget
        budget._first[env] = stop
        first = stop
        if self._is_shared:
            # All envs are in the picture: it is evicted when none of them needs it.
            first = min(budget._first.get(one, 0) for one in self._envs)
        for slots in self._slots.values() if self._is_shared else [self._slots[env]]:
            for slot in slots:
                if first > budget.first_rows.get(slot, 0):
                    self.evicted += budget._drop(slot, first)


def _by_env(slots: Sequence[Slot]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for slot, info in enumerate(slots):
        found.setdefault(info.env, []).append(slot)
    return found
