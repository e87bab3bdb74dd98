"""Blocks of all workers become rows of one cache, side by side where they can be.

Knows which episodes are in the cache, whole or not. One thread uses it. Knows nothing
of how blocks travel.
"""

from __future__ import annotations

import time
from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from rollout_viewer._cache.block_builder import FEW_ROWS
from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.annotations import AnnotationChange
from rollout_viewer._recording.step_row import BEGINS, IDLE, TERMINATED, TRUNCATED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.sealed_block import SealedBlock
    from rollout_viewer._recording.step_row import Codes

# How long a block waits for those of other workers, to be in the same rows; after that
# the others are shown idle meanwhile.
_PATIENCE_S = 0.25
# Blocks of one worker that wait at most.
_MAX_WAITING = 4


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

    def annotate(self, change: AnnotationChange) -> None: ...


class FinishedEpisode(NamedTuple):
    """An episode that is in the cache, whole: `Job.number`, and what it was."""

    number: int
    episode: Episode


class FiledRows(NamedTuple):
    """What is new in the cache.

    Attributes:
        workers: Whose blocks it was.
        num_steps: Worker -> transitions in its block.
        finished: The episodes of jobs that ended.
        over: All that ended, or were followed by another, with those of jobs.
    """

    workers: list[int]
    num_steps: dict[int, int]
    finished: list[FinishedEpisode]
    over: list[Episode]


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
    """A block that waits; (row, env) -> the episode that begins there; as it came."""

    block: SealedBlock
    begun: dict[tuple[int, int], _Begun]
    added: SealedBlock


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
        self._waits_since: float | None = None
        # First row, how many, and what is being filed: kept until all is known of it,
        # since filing may be interrupted.
        self._filing: tuple[int, int, Mapping[int, _Waiting]] | None = None
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
        queue.append(_Waiting(shown, places, block))
        if self._waits_since is None:
            self._waits_since = self._clock()

    @property
    def has_waiting(self) -> bool:
        """Whether any block waits."""
        return any(self._waiting.values())

    def waits(self, worker: int) -> bool:
        """Whether a block of a worker waits."""
        return bool(self._waiting[worker])

    def wait_s(self) -> float:
        """Return after how many seconds blocks that wait are due."""
        if self._waits_since is None:
            return _PATIENCE_S
        return max(self._waits_since + _PATIENCE_S - self._clock(), 0.0)

    def is_due(self, workers: Collection[int]) -> bool:
        """Whether blocks are to be filed now, while these workers collect."""
        if not self.has_waiting:
            return False
        return (
            all(self._waiting[worker] for worker in workers)
            or max(map(len, self._waiting.values())) >= _MAX_WAITING
            or not self.wait_s()
        )

    def file(self) -> FiledRows:
        """File the oldest block of each worker.

        Where it is interrupted, the next call does the rest.

        Raises:
            RecordingError: A block is damaged.
        """
        if self._filing is None:
            oldest = {w: queue[0] for w, queue in self._waiting.items() if queue}
            self._filing = self._place(oldest)
        start, count, waiting = self._filing
        if self._cache.num_rows <= start:
            try:
                self._append(count, waiting)
            except RecordingError:
                if len(waiting) == 1:
                    raise
                # Data of different shapes cannot be in the same rows.
                worker = next(iter(waiting))
                self._filing = _, count, waiting = self._place(
                    {worker: waiting[worker]}
                )
                self._append(count, waiting)
            start, count, waiting = self._filing
        return self._read(start, count, waiting)

    def _place(
        self, waiting: Mapping[int, _Waiting]
    ) -> tuple[int, int, Mapping[int, _Waiting]]:
        """Return in which row blocks will be filed, and in how many."""
        longest = max(one.block.num_rows for one in waiting.values())
        count = longest if longest <= FEW_ROWS else CHUNK_ROWS
        num_rows = self._cache.num_rows
        if num_rows % CHUNK_ROWS + count > CHUNK_ROWS:
            num_rows = -(-num_rows // CHUNK_ROWS) * CHUNK_ROWS
        return num_rows, count, waiting

    def _append(self, count: int, waiting: Mapping[int, _Waiting]) -> None:
        blocks = {self._envs[w].start: one.block for w, one in waiting.items()}
        start = self._cache.append_block(
            blocks, num_envs=self._num_envs, fill=count == CHUNK_ROWS
        )
        self._filing = start, count, waiting

    def _read(self, start: int, count: int, filed: Mapping[int, _Waiting]) -> FiledRows:
        """Return what rows have that were filed, and let the next ones be filed."""
        rows = self._cache.recording.rows
        assert rows is not None
        core = rows.block(start, start + count)
        flags, kinds = core["flags"], core["kind"]
        known = {p: begun for one in filed.values() for p, begun in one.begun.items()}
        running = dict(self._running)
        finished, over = [], []
        wanted = np.uint8(BEGINS | TERMINATED | TRUNCATED)
        num_new = np.count_nonzero(flags & np.uint8(BEGINS), axis=0).tolist()
        num_begun = [rows.num_begun(env) - new for env, new in enumerate(num_new)]
        for row, env in np.argwhere(flags & wanted).tolist():
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
                    over.append(rows.episode(env, before.number))
                running[env] = _Running(begun, num_begun[env], rows)
                num_begun[env] += 1
            if flag & (TERMINATED | TRUNCATED) and env in running:
                ended = running.pop(env)
                episode = rows.episode(env, ended.number)
                over.append(episode)
                if ended.begun.job is not None:
                    finished.append(FinishedEpisode(ended.begun.job, episode))
        num_steps = {worker: self._num_steps(kinds, flags, worker) for worker in filed}
        left, since = self._left(filed)
        result = FiledRows(list(filed), num_steps, finished, over)
        # No call in between, and so no interruption: all of it or nothing.
        self._running = running
        self._waiting, self._waits_since, self._filing = left, since, None
        return result

    def _left(
        self, filed: Mapping[int, Any]
    ) -> tuple[dict[int, deque[_Waiting]], float | None]:
        left = {w: deque([*queue][w in filed :]) for w, queue in self._waiting.items()}
        return left, self._clock() if any(left.values()) else None

    def discard(self) -> list[int]:
        """Drop the blocks that `file` could not file; return whose they were."""
        assert self._filing is not None
        *_, filed = self._filing
        left, since = self._left(filed)
        self._waiting, self._waits_since, self._filing = left, since, None
        return list(filed)

    def _num_steps(
        self,
        kinds: Codes,
        flags: Codes,
        worker: int,
    ) -> int:
        envs = slice(self._envs[worker].start, self._envs[worker].stop)
        is_step = (kinds[:, envs] != IDLE) & ((flags[:, envs] & BEGINS) == 0)
        return int(is_step.sum())

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
