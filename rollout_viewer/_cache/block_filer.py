"""Blocks of all workers become rows of one cache, side by side where they can be.

Knows which episodes are in the cache, whole or not. One thread uses it. Knows nothing
of how blocks travel.
"""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from rollout_viewer._cache.block_builder import FEW_ROWS
from rollout_viewer._cache.unfiled import (
    MAX_LARGE_UNFILED,
    MAX_UNFILED,
    SMALL_BYTES,
)
from rollout_viewer._errors import FrameError, RecordingError, ShapeError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.annotations import AnnotationChange
from rollout_viewer._recording.step_row import BEGINS, IDLE, TERMINATED, TRUNCATED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer._recording.step_row import Codes

# How long a block waits for those of other workers, to be in the same rows; after that
# the others are shown idle meanwhile.
_PATIENCE_S = 0.4
# Where none waits, how soon it is asked again.
_IDLE_S = 1.0
# Blocks of one worker that wait at most: fewer than it sends without an answer.
_MAX_WAITING = MAX_UNFILED // 2
_MAX_LARGE_WAITING = MAX_LARGE_UNFILED // 2
_MAX_WAITING_BYTES = SMALL_BYTES // 2


# Flags of rows with which an episode begins or ends.
_EVENTS = np.uint8(BEGINS | TERMINATED | TRUNCATED)


# Whole blocks of one worker that are filed together at most: of a second or so.
_MAX_TOGETHER = 32
# What came within this time came together.
_TOGETHER_S = 0.05


class TakesBlocks(Protocol):
    """What a filer uses of a cache."""

    @property
    def num_rows(self) -> int: ...

    @property
    def recording(self) -> Recording: ...

    def append_block(
        self,
        blocks: Mapping[int, SealedBlock],
        *,
        num_envs: int | None = None,
        fill: bool = True,
    ) -> int: ...

    def append_blocks(
        self,
        rounds: Sequence[Mapping[int, SealedBlock]],
        *,
        num_envs: int | None = None,
    ) -> int: ...

    def annotate(self, change: AnnotationChange) -> None: ...


class OverEpisode(NamedTuple):
    """An episode that is in the cache, whole.

    Attributes:
        rows: Where it is.
        env: Of the recording.
        number: Of it among those of its env.
        job: `Job.number`; None: it is of none.
    """

    rows: Rows
    env: int
    number: int
    job: int | None = None

    @property
    def episode(self) -> Episode:
        """What is known of it."""
        return self.rows.episode(self.env, self.number)


class FiledRows(NamedTuple):
    """What is new in the cache.

    Attributes:
        workers: Whose blocks it was; each as often as it had some.
        num_steps: Worker -> transitions in its blocks.
        over: The episodes that ended, or were followed by another.
        finished: Those that ended, of jobs.
    """

    workers: list[int]
    num_steps: dict[int, int]
    over: list[OverEpisode]
    finished: list[OverEpisode]


class _Begun(NamedTuple):
    """An episode: its job, if it has one, and its labels."""

    job: int | None = None
    labels: Mapping[str, Any] = MappingProxyType({})


class _Running(NamedTuple):
    """An episode of an env that has not ended: its number, in which rows."""

    begun: _Begun
    number: int
    rows: Rows


class _Waiting(NamedTuple):
    """A block that waits.

    Attributes:
        block: It.
        begun: (row, env) -> the episode that begins there.
        added: It, as it came.
        since: When.
    """

    block: SealedBlock
    begun: dict[tuple[int, int], _Begun]
    added: SealedBlock
    since: float


class _Filing(NamedTuple):
    """What is being filed: kept until all is known of it, as that may be interrupted.

    Attributes:
        start: The first row.
        num_rows: Of each round.
        rounds: Worker -> its block; more than one: whole blocks of the same workers.
    """

    start: int
    num_rows: int
    rounds: Sequence[Mapping[int, _Waiting]]

    @property
    def stop(self) -> int:
        """The row after the last one."""
        return self.start + self.num_rows * len(self.rounds)


class BlockFiler:
    """Files blocks.

    Args:
        cache: Where to.
        num_envs: Of the recording.
        clock: Seconds.
    """

    def __init__(
        self,
        cache: TakesBlocks,
        num_envs: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._num_envs = num_envs
        self._clock = clock
        # Worker -> its envs of the recording.
        self._envs: dict[int, range] = {}
        self._waiting: dict[int, deque[_Waiting]] = {}
        self._filing: _Filing | None = None
        # Env -> the episode that runs.
        self._running: dict[int, _Running] = {}

    # -- workers

    def add_worker(self, worker: int, envs: range) -> None:
        """Take blocks of a worker.

        Args:
            worker: Any number.
            envs: Of the recording, which no other worker has now.
        """
        self._envs[worker] = envs
        self._waiting[worker] = deque()

    def drop_worker(self, worker: int) -> None:
        """Forget a worker of which no block waits."""
        del self._envs[worker], self._waiting[worker]

    def num_envs_of(self, worker: int) -> int:
        """Return how many envs a worker has."""
        return len(self._envs[worker])

    def worker_of(self, env: int) -> int:
        """Return which worker has an env of the recording.

        Raises:
            LookupError: None has.
        """
        return next(worker for worker, envs in self._envs.items() if env in envs)

    # -- filing

    def add(self, worker: int, block: SealedBlock) -> None:
        """Let a block wait to be filed; does nothing where it waits already."""
        queue = self._waiting[worker]
        if queue and queue[-1].added is block:
            return
        first = self._envs[worker].start
        places, begun = {}, []
        for one in block.begun:
            labels = dict(one.info.get("labels", {}))
            job = labels.pop("job", None)
            places[one.row, first + one.env] = _Begun(job, labels)
            begun.append(one._replace(info={**one.info, "labels": labels}))
        shown = block._replace(begun=tuple(begun))
        queue.append(_Waiting(shown, places, block, self._clock()))

    @property
    def has_waiting(self) -> bool:
        """Whether any block waits."""
        return any(self._waiting.values())

    def waits(self, worker: int) -> bool:
        """Whether a block of a worker waits."""
        return bool(self._waiting[worker])

    def wait_s(self) -> float:
        """Return after how many seconds blocks that wait are due."""
        oldest = [queue[0].since for queue in self._waiting.values() if queue]
        if not oldest:
            return _IDLE_S
        return max(min(oldest) + _PATIENCE_S - self._clock(), 0.0)

    def is_due(self, workers: Collection[int]) -> bool:
        """Whether blocks are to be filed now, while these workers collect."""
        if not self.has_waiting:
            return False
        return (
            all(self._waiting[worker] for worker in workers)
            or not self.wait_s()
            or any(map(_are_many, self._waiting.values()))
        )

    def file(self) -> FiledRows:
        """File the oldest block of each worker; of whole ones, all that each has.

        Where it is interrupted, the next call does the rest.

        Raises:
            RecordingError: A block is damaged.
            Exception: Any other fault of a block, or of what follows from its rows.
        """
        if self._filing is None:
            self._filing = self._place(self._oldest())
        try:
            filing = self._append(self._filing)
        except Exception as error:
            is_known = isinstance(error, (RecordingError, FrameError, ShapeError))
            if not is_known and self._cache.num_rows >= self._filing.stop:
                raise  # of no block: all are there
            filing = self._without_refused(self._filing)
        return self._read(filing)

    def _oldest(self) -> list[Mapping[int, _Waiting]]:
        """Return the blocks to be filed now, by rounds."""
        queues = {w: queue for w, queue in self._waiting.items() if queue}
        # Where others have none, those that came later wait for them.
        until = math.inf
        if len(queues) < len(self._waiting):
            until = min(queue[0].since for queue in queues.values()) + _TOGETHER_S
        num_rounds = min(_num_whole(queue, until) for queue in queues.values())
        return [
            {worker: queue[number] for worker, queue in queues.items()}
            for number in range(max(num_rounds, 1))
        ]

    def _without_refused(self, filing: _Filing) -> _Filing:
        """Return what is filed where a block was refused: what can be.

        Raises:
            Exception: Of the first round, none can, and why.
        """
        num_rows = self._cache.num_rows
        num_filed = max(num_rows - filing.start, 0) // filing.num_rows
        if num_filed:  # the others are refused by the next call
            self._filing = filing._replace(rounds=filing.rounds[:num_filed])
            return self._filing
        first = filing.rounds[0]
        if len(first) > 1:
            # Data of different shapes cannot be in the same rows.
            worker = next(iter(first))
            first = {worker: first[worker]}
        self._filing = self._place([first])
        return self._append(self._filing)

    def _place(self, rounds: Sequence[Mapping[int, _Waiting]]) -> _Filing:
        """Return in which rows blocks will be filed."""
        longest = max(one.block.num_rows for one in rounds[0].values())
        count = longest if longest <= FEW_ROWS else CHUNK_ROWS
        num_rows = self._cache.num_rows
        if num_rows % CHUNK_ROWS + count > CHUNK_ROWS:
            num_rows = -(-num_rows // CHUNK_ROWS) * CHUNK_ROWS
        return _Filing(num_rows, count, rounds)

    def _append(self, filing: _Filing) -> _Filing:
        """Append what is not there of the blocks that are being filed; return these."""
        start, count, rounds = filing
        num_filed = max(self._cache.num_rows - start, 0) // count
        left = [
            {self._envs[w].start: one.block for w, one in blocks.items()}
            for blocks in rounds[num_filed:]
        ]
        if not left:
            return filing
        if len(left) > 1:
            first = self._cache.append_blocks(left, num_envs=self._num_envs)
        else:
            first = self._cache.append_block(
                left[0], num_envs=self._num_envs, fill=count == CHUNK_ROWS
            )
        self._filing = filing._replace(start=first - num_filed * count)
        return self._filing

    def _read(self, filing: _Filing) -> FiledRows:
        """Return what rows have that were filed, and let the next ones be filed."""
        rows = self._cache.recording.rows
        assert rows is not None
        start, count, rounds = filing
        core = rows.block(start, filing.stop)
        flags, kinds = core["flags"], core["kind"]
        over: list[OverEpisode] = []
        running = self._running
        if (flags & _EVENTS).any():
            known = {
                (count * number + row, env): begun
                for number, blocks in enumerate(rounds)
                for one in blocks.values()
                for (row, env), begun in one.begun.items()
            }
            running, over = self._followed(flags, known, rows)
        workers = list(rounds[0])
        num_steps = {
            worker: self._num_steps(kinds, flags, worker) for worker in workers
        }
        left = self._left(rounds)
        finished = [one for one in over if one.job is not None]
        result = FiledRows(workers * len(rounds), num_steps, over, finished)
        # No call in between, and so no interruption: all of it or nothing.
        self._running, self._waiting, self._filing = running, left, None
        return result

    def _followed(
        self, flags: Codes, known: Mapping[tuple[int, int], _Begun], rows: Rows
    ) -> tuple[dict[int, _Running], list[OverEpisode]]:
        """Return what runs after new rows, and what is over in them.

        Args:
            flags: Of the new rows.
            known: (row of them, env) -> the episode that begins there.
            rows: All rows.
        """
        running = dict(self._running)
        over: list[OverEpisode] = []
        places = np.argwhere(flags & _EVENTS).tolist()
        num_begun: dict[int, int] = {}
        for row, env in places:
            if int(flags[row, env]) & BEGINS:
                num_begun[env] = num_begun.get(env, rows.num_begun(env)) - 1
        for row, env in places:
            flag = int(flags[row, env])
            if flag & BEGINS:
                before = running.pop(env, None)
                begun = known.get((row, env), _Begun())
                is_rest = before is not None and before.rows is not rows
                if before is not None and is_rest and (row, env) not in known:
                    # The rest of an episode whose first rows were cleared.
                    begun = before.begun
                    labels = {(env, num_begun[env]): dict(begun.labels)}
                    self._cache.annotate(AnnotationChange(labels=labels))
                elif before is not None and not is_rest:
                    over.append(OverEpisode(rows, env, before.number))
                running[env] = _Running(begun, num_begun[env], rows)
                num_begun[env] += 1
            if flag & (TERMINATED | TRUNCATED) and env in running:
                ended = running.pop(env)
                over.append(OverEpisode(rows, env, ended.number, ended.begun.job))
        return running, over

    def _left(self, rounds: Sequence[Mapping[int, Any]]) -> dict[int, deque[_Waiting]]:
        num_filed = {worker: len(rounds) for worker in rounds[0]}
        return {
            w: deque([*queue][num_filed.get(w, 0) :])
            for w, queue in self._waiting.items()
        }

    def discard(self) -> list[int]:
        """Drop the blocks that `file` could not file; return whose they were."""
        assert self._filing is not None
        *_, rounds = self._filing
        self._waiting, self._filing = self._left(rounds), None
        return list(rounds[0]) * len(rounds)

    def _num_steps(self, kinds: Codes, flags: Codes, worker: int) -> int:
        envs = slice(self._envs[worker].start, self._envs[worker].stop)
        is_step = (kinds[:, envs] != IDLE) & ((flags[:, envs] & BEGINS) == 0)
        return int(np.count_nonzero(is_step))

    # -- what becomes of a worker

    def running(self, worker: int) -> list[Episode]:
        """Return the episodes of a worker that have not ended."""
        rows = self._cache.recording.rows
        found = [self._running.get(env) for env in self._envs[worker]]
        return [
            one.rows.episode(env, one.number)
            for env, one in zip(self._envs[worker], found, strict=True)
            if one is not None and one.rows is rows
        ]

    def lose(self, worker: int) -> None:
        """Label the episodes of a worker that will not be continued."""
        rows = self._cache.recording.rows
        for env in self._envs[worker]:
            episode = self._running.pop(env, None)
            if episode is not None and episode.rows is rows:
                labels = {(env, episode.number): {"lost": True}}
                self._cache.annotate(AnnotationChange(labels=labels))


def _are_many(waiting: Collection[_Waiting]) -> bool:
    """Whether one worker's blocks are to be filed, though others have none."""
    if len(waiting) < _MAX_LARGE_WAITING:
        return False
    nbytes = sum(one.block.nbytes for one in waiting)
    return len(waiting) >= _MAX_WAITING or nbytes >= _MAX_WAITING_BYTES


def _num_whole(waiting: Collection[_Waiting], until: float) -> int:
    """Return how many whole blocks come first, of those that are filed together."""
    num_whole = 0
    for one in itertools.islice(waiting, _MAX_TOGETHER):
        if one.block.num_rows < CHUNK_ROWS or one.since > until:
            break
        num_whole += 1
    return num_whole
