"""Blocks that other processes have encoded, appended as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._cache.episode_infos import merged_info
from rollout_viewer._cache.row_appender import RowAppender
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.info_types import stored_types
from rollout_viewer._recording.sealed_block import (
    few_rows,
    rows_for_blocks,
    side_by_side,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rollout_viewer._recording.live import LiveRecording
    from rollout_viewer._recording.sealed_block import BlockRows, SealedBlock


class BlockAppender(RowAppender):
    """Appends blocks, 32 rows at a time."""

    @property
    def is_watched(self) -> bool:
        """Whether anything is called when rows come, as a viewer is."""
        return bool(self._subscribers)

    def append_block(
        self,
        blocks: Mapping[int, SealedBlock],
        *,
        num_envs: int | None = None,
        fill: bool = True,
    ) -> int:
        """Append 32 rows that other processes have encoded, and return the first.

        Chunks are filed as they are: no picture is decoded. Blocks of different envs
        are in the same rows, side by side; envs that none of them has are idle, and so
        are those of a shorter block in the rows after it. Rows of an open block, as
        `append` leaves them, are filled up with idle ones before.

        Args:
            blocks: The number of a block's first env among all -> the block.
            num_envs: Of the recording, for its first rows; None: of these blocks.
            fill: False: append only as many rows as the longest block has. Pictures
                are decoded and encoded again then, so this is for a few rows of slow
                environments.

        Raises:
            RecordingError: A block is damaged, or is of other envs. Nothing is
                recorded then.
            ShapeError: The recording has another number of envs.
            CacheClosedError: The cache was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
        """
        return self._append_blocks([blocks], num_envs, fill=fill)

    def append_blocks(
        self,
        rounds: Sequence[Mapping[int, SealedBlock]],
        *,
        num_envs: int | None = None,
    ) -> int:
        """Append 32 rows for each of `rounds`, and return the first of all.

        As `append_block` does for one of them, in less time: they are written together.

        Args:
            rounds: Blocks, each as `append_block` takes them.
            num_envs: As there.

        Raises:
            RecordingError: A block is damaged, or is of other envs. Of that round and
                those after it nothing is recorded.
            ShapeError: As there, as the others.
            CacheClosedError: The cache was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
        """
        return self._append_blocks(rounds, num_envs, fill=True)

    def _append_blocks(
        self,
        rounds: Sequence[Mapping[int, SealedBlock]],
        num_envs: int | None,
        *,
        fill: bool,
    ) -> int:
        first = rounds[0] if rounds else {}
        longest = max((one.num_rows for one in first.values()), default=0)
        appended: list[tuple[int, int]] = []
        try:
            with self._append_lock.lock:
                recording = self._writable()
                recording.close_buffer()
                recording.recover()
                rows = rows_for_blocks(recording.rows, first, num_envs)

                def prepared() -> Iterator[BlockRows]:
                    """Yield what is appended, each with the rows before it there."""
                    for blocks in rounds:
                        rows_for_blocks(rows, blocks, num_envs)
                        block = side_by_side(blocks, rows, stored_types(recording.meta))
                        recording.check_block(block)
                        if not fill:
                            block = few_rows(block, longest)
                        while rows.num_rows % CHUNK_ROWS + block.num_rows > CHUNK_ROWS:
                            self._append_idle(recording)
                        start = rows.num_rows
                        yield block
                        appended.append((start, rows.num_rows))

                recording.append_blocks(
                    rows,
                    prepared(),
                    lambda info: merged_info(self.segment_info(), info),
                )
            self._warn_of_losses(recording)
        finally:
            if appended:
                self._subscribers.notify(appended[0][0], appended[-1][1])
        return appended[0][0]

    def _append_idle(self, recording: LiveRecording) -> None:
        steps = {"kind": "idle"}
        new = self._checker.check(recording, None, None, None, None, None, **steps)
        recording.append(
            new.rows, new.steps, [], new.extras, new.shared, lambda env: {}
        )
