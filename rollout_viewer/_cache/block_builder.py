"""Rows become blocks, for a cache in another process: the encoding half of a cache.

Takes what `FrameCache.append` takes. Keeps the open block in memory, and no row after
its block was handed over. Knows rows. Knows nothing of how blocks travel.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.episode_infos import merged_info, split_infos
from rollout_viewer._cache.row_checker import RowChecker
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.info_types import stored_types
from rollout_viewer._recording.open_block import OpenBlock
from rollout_viewer._recording.sealed_block import (
    BegunEpisode,
    KnownSuccess,
    SealedBlock,
)
from rollout_viewer._recording.step_codec import pack_core, pack_extras
from rollout_viewer._recording.storable import storable_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot

    Frame = npt.NDArray[np.uint8]


# Rows that wait so long are handed over, though their block is not full. Of more than a
# few, the block will be full soon: they wait for twice as long.
MAX_AGE_S = 1.0
FEW_ROWS = 16


class BlockBuilder:
    """Encodes rows, and hands over each block of 32. One thread uses it.

    Args:
        on_block: Called with each block. Where it raised, the next call hands over the
            same one again, which may have come: it then does nothing.
        clock: Seconds.

    Attributes:
        labels: Env -> labels of the episode that it begins next.
    """

    def __init__(
        self,
        on_block: Callable[[SealedBlock], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_block, self._clock = on_block, clock
        # When the open block got its first row.
        self._since = 0.0
        self._checker = RowChecker()
        self._open = OpenBlock(lambda slot: None)
        self._begun: list[BegunEpisode] = []
        self._successes: list[KnownSuccess] = []
        self._meta: dict[str, Any] = {}
        # Rows before those of the open block: the newest of the block before.
        self._num_before = 0
        # Rows of blocks that were sealed.
        self._num_sealed = 0
        # Env -> its episodes of the blocks before, without the one that runs.
        self._num_episodes: dict[int, int] = {}
        # Whether the open block has none of the rows before.
        self._is_started = True
        # A block that was not handed over yet.
        self._sealed: SealedBlock | None = None
        self.rows: Rows | None = None
        self.labels: dict[int, dict[str, Any]] = {}

    # -- what a recorder uses of a cache

    def append(
        self,
        frames: Any,
        *,
        envs: Sequence[int] | None = None,
        action: Any = None,
        data: Mapping[str, Any] | None = None,
        num_transitions: Any = None,
        episode_info: Mapping[int, Mapping[str, Any]] | None = None,
        **steps: Any,
    ) -> int:
        """Append one row and return its number in the block; see `FrameCache.append`.

        Raises:
            FrameError: The frames are none, or changed their dtype.
            ShapeError: Step data does not fit. Nothing is recorded then.
            BaseException: What `on_block` raised, which was called with the block
                before; the row is recorded.
        """
        # Not when it is full: what becomes known of its last row is in it too.
        failure: BaseException | None = None
        if self.num_open_rows == CHUNK_ROWS:
            try:
                self.seal()
            except BaseException as error:
                failure = error
        self._start()
        new = self._checker.check(
            self, frames, envs, action, data, num_transitions, **steps
        )
        infos, starts = split_infos(episode_info or {})
        rows = self.rows = new.rows
        offset = rows.num_rows - self._num_before
        before = len(self.slots), len(self._begun)
        try:
            self._open.append(new.steps, offset, new.pictures, new.extras, new.shared)
            for env, index in rows.next_episodes(new.steps):
                info = self._info(env, infos.get(env, {}))
                self._begun.append(BegunEpisode(offset, env, info, starts.get(env)))
                rows.describe_episode(env, index, **info)
            rows.append(new.steps)
        except BaseException:
            if self.num_open_rows == offset:
                self._open.roll_back(offset, before[0])
                del self._begun[before[1] :]
            rows.recover()
            raise
        self._checker.accept(new)
        if not offset:
            self._since = self._clock()
        if failure is not None:
            raise failure
        return offset

    def _info(self, env: int, info: Mapping[str, Any]) -> dict[str, Any]:
        # A recorder names no segment; the cache that files the block may have one.
        own = {name: value for name, value in info.items() if value is not None}
        labels = {**own.get("labels", {}), **storable_json(self.labels.pop(env, {}))}
        return merged_info({}, {**own, "labels": labels})

    def newest_episode(self, env: int) -> Episode | None:
        """Return the env's newest episode; None: it has none, or it ended long ago.

        Its `start` and `stop` are not rows of any cache.
        """
        if self.rows is None or (found := self.rows.newest_of(env)) is None:
            return None
        return replace(found, index=found.index + self._num_episodes.get(env, 0))

    def annotate(self, change: AnnotationChange) -> None:
        """Set the success of the newest episodes; nothing else is sent."""
        for (env, _), success in change.success.items():
            if success is not None:
                self._successes.append(
                    KnownSuccess(self.num_open_rows - 1, env, success)
                )

    def get_meta(self, key: str, default: Any = None) -> Any:
        """Return what the info of steps means, which blocks carry; see `info_types`."""
        return self._meta.get(key, default)

    def set_meta(self, key: str, value: Any) -> None:
        """Keep what the info of steps means."""
        self._meta[key] = value

    def check_sizes(self, pictures: Sequence[tuple[int, str, Frame | None]]) -> None:
        """Raise FrameError where pictures have too many sizes."""
        self._open.check_sizes(pictures)

    def has_slot(self, env: int, camera: str) -> bool:
        """Whether the env had a picture of this camera."""
        return self._open.has_slot(env, camera)

    @property
    def slots(self) -> list[Slot]:
        """What is pictured, in the order of first pictures."""
        return self._open.slots

    @property
    def is_shared(self) -> bool:
        """Whether one picture of the first camera shows all envs."""
        return bool(self.slots) and self.slots[0].is_shared

    @property
    def num_rows(self) -> int:
        """All rows, of whichever block."""
        return self._num_sealed + self.num_open_rows

    @property
    def num_appended(self) -> int:
        """The same; see `FrameCache.num_appended`."""
        return self.num_rows

    # -- blocks

    @property
    def num_open_rows(self) -> int:
        """Rows of the open block."""
        return 0 if self.rows is None else self.rows.num_rows - self._num_before

    def seal(self) -> None:
        """Hand over the open block, if it has any row, and start the next one.

        Where it is interrupted, the next call does the rest.
        """
        self._hand_over()
        rows = self.rows
        if rows is None or not self.num_open_rows:
            return
        core = rows.block(self._num_before, rows.num_rows)
        chunks, _ = self._open.chunks(0)
        block = SealedBlock(
            self.num_open_rows,
            rows.num_envs,
            pack_core(core),
            tuple((self.slots[slot], chunk) for slot, chunk in chunks.items()),
            tuple(self._begun),
            tuple(self._successes),
            stored_types(self._meta),
            pack_extras(self._open.extras),
        )
        next_rows, num_sealed = rows.successor(), self.num_rows
        num_episodes = {
            env: before + rows.num_begun(env) - next_rows.num_begun(env)
            for env in range(rows.num_envs)
            for before in [self._num_episodes.get(env, 0)]
        }
        # No call in between, and so no interruption: all of it or nothing.
        self.rows, self._num_before, self._num_sealed = next_rows, 1, num_sealed
        self._begun, self._successes, self._sealed = [], [], block
        self._num_episodes, self._is_started = num_episodes, False
        self._hand_over()

    def seal_if_old(self) -> None:
        """Seal the open block if its rows have waited for others long enough."""
        if self.num_open_rows:
            age_s = self._clock() - self._since
            if age_s >= MAX_AGE_S * (1 if self.num_open_rows <= FEW_ROWS else 2):
                self.seal()

    def _start(self) -> None:
        """Empty the open block, once after each seal."""
        if not self._is_started:
            self._open.start()
            self._is_started = True

    def _hand_over(self) -> None:
        if self._sealed is None:
            return
        self._start()
        self._on_block(self._sealed)
        self._sealed = None
