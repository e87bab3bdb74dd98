"""Decoders of the chunks that were read last, within a byte budget.

Rows read in order, and rows near each other, cost one decode each: a chunk's decoder
keeps its position. Knows chunks and recordings, not rows or envs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS, parse_whole
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._process.forks import make_anew_in_children

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording

    Frame = npt.NDArray[np.uint8]

# Memory of an entry whose block shows nothing; an estimate.
_ENTRY_BYTES = 300


# Of `memory_bytes`, for decoded chunks: a quarter.
_SHARE = 4


def repeated_rows(recording: Recording, block: int, slot: int) -> list[int]:
    """Return the rows of a block in which a slot shows an earlier row's picture.

    None of a block that cannot be read.
    """
    try:
        data = recording.chunk(block, slot)
        where = f"{recording.path}, block {block}, slot {slot}"
        size = recording.slots[slot].size
        chunk = None if data is None else parse_whole(data, where=where, size=size)
    except RecordingError:
        return []
    if chunk is None:
        return []
    first = block * CHUNK_ROWS + chunk.first
    return [first + i for i in range(len(chunk.kinds)) if chunk.is_repeated(i)]


class _Entry(NamedTuple):
    """A chunk's decoder; None where the block shows nothing of the slot."""

    decoder: ChunkDecoder | None
    num_records: int
    nbytes: int


class DecoderCache:
    """Decoders of the chunks read last, within a byte budget. Any thread may read.

    Args:
        memory_bytes: What its recording may take, of which this takes a share.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._budget_bytes = memory_bytes // _SHARE
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[int, int], _Entry] = OrderedDict()
        self._used_bytes = 0
        # Of the recording whose chunks they are: it may be cleared, and begin again.
        self._version: tuple[Any, int] = None, 0
        make_anew_in_children(self, rank=1)

    def fork_locks(self) -> list[threading.Lock]:
        """Return what a fork waits for."""
        return [self._lock]

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child."""
        self._lock = threading.Lock()
        if not is_whole:  # a decoder is between two rows
            self.clear()

    def read(self, recording: Recording, row: int, slot: int, out: Frame) -> None:
        """Write a row's picture into `out`; zeros where nothing is shown."""
        block, index = divmod(row, CHUNK_ROWS)
        with self._lock:
            is_evicted = row < recording.first_row_of(slot)
            decoder = None if is_evicted else self._get(recording, block, slot, index)
            if decoder is None:
                out[...] = 0
            else:
                decoder.read(index, out)

    def is_shown(self, recording: Recording, row: int, slot: int) -> bool:
        """Whether the row shows a picture, a repeated one included."""
        return self._check(recording, row, slot, ChunkDecoder.is_shown)

    def has_picture(self, recording: Recording, row: int, slot: int) -> bool:
        """Whether a picture of this row was recorded."""
        return self._check(recording, row, slot, ChunkDecoder.has_picture)

    def _check(
        self,
        recording: Recording,
        row: int,
        slot: int,
        check: Callable[[ChunkDecoder, int], bool],
    ) -> bool:
        block, index = divmod(row, CHUNK_ROWS)
        if row < recording.first_row_of(slot):
            return False
        with self._lock:
            decoder = self._get(recording, block, slot, index)
            return decoder is not None and check(decoder, index)

    def clear(self) -> None:
        """Drop all decoders."""
        with self._lock:
            self._entries.clear()
            self._used_bytes = 0

    def _get(
        self, recording: Recording, block: int, slot: int, index: int
    ) -> ChunkDecoder | None:
        version = recording.meta.get("session"), recording.pictures_version
        if version != self._version:
            self._version = version
            self._entries.clear()
            self._used_bytes = 0
        key = block, slot
        entry = self._entries.get(key)
        # The decoder of a chunk that was open may lack the row.
        if entry is not None and index < entry.num_records:
            self._entries.move_to_end(key)
            return entry.decoder
        chunk = recording.chunk(block, slot)
        if chunk is None:
            self._keep(key, _Entry(None, CHUNK_ROWS, _ENTRY_BYTES))
            return None
        where = f"{recording.path}, block {block}, slot {slot}"
        parsed = parse_whole(chunk, where=where, size=recording.slots[slot].size)
        decoder = ChunkDecoder(parsed, where=where)
        if index >= len(parsed.kinds):
            return None
        self._keep(
            key, _Entry(decoder, len(parsed.kinds), _ENTRY_BYTES + decoder.nbytes)
        )
        return decoder

    def _keep(self, key: tuple[int, int], entry: _Entry) -> None:
        before = self._entries.pop(key, None)
        self._used_bytes += entry.nbytes - (before.nbytes if before is not None else 0)
        self._entries[key] = entry
        while self._used_bytes > self._budget_bytes and len(self._entries) > 1:
            self._used_bytes -= self._entries.popitem(last=False)[1].nbytes
