"""Decoders of the chunks that were read last, within a byte budget.

Rows read in order, and rows near each other, cost one decode each: a chunk's
decoder remembers where it stands. Knows chunks and recordings, not rows or envs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from rollout_viewer._frames.chunk import CHUNK_ROWS, parse
from rollout_viewer._frames.decoder import ChunkDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording

    Frame = npt.NDArray[np.uint8]

# What the dict takes for a block that shows nothing; an estimate.
_ENTRY_BYTES = 300


class _Entry(NamedTuple):
    """A chunk's decoder; None where the block shows nothing of the slot."""

    reader: ChunkDecoder | None
    num_records: int
    nbytes: int


class DecoderCache:
    """Decoders of the chunks read last, within a byte budget. Any thread may read."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[int, int], _Entry] = OrderedDict()
        self._used_bytes = 0

    def read(self, recording: Recording, row: int, slot: int, out: Frame) -> None:
        block, index = divmod(row, CHUNK_ROWS)
        with self._lock:
            is_gone = row < recording.first_row_of(slot)
            reader = None if is_gone else self._reader(recording, block, slot, index)
            if reader is None:
                out[...] = 0
            else:
                reader.read(index, out)

    def is_shown(self, recording: Recording, row: int, slot: int) -> bool:
        return self._asked(recording, row, slot, ChunkDecoder.is_shown)

    def has_picture(self, recording: Recording, row: int, slot: int) -> bool:
        return self._asked(recording, row, slot, ChunkDecoder.has_picture)

    def _asked(
        self,
        recording: Recording,
        row: int,
        slot: int,
        question: Callable[[ChunkDecoder, int], bool],
    ) -> bool:
        block, index = divmod(row, CHUNK_ROWS)
        if row < recording.first_row_of(slot):
            return False
        with self._lock:
            reader = self._reader(recording, block, slot, index)
            return reader is not None and question(reader, index)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self._used_bytes = 0

    def _reader(
        self, recording: Recording, block: int, slot: int, index: int
    ) -> ChunkDecoder | None:
        key = block, slot
        entry = self._entries.get(key)
        # The reader of a chunk that was open may not know the row yet.
        if entry is not None and index < entry.num_records:
            self._entries.move_to_end(key)
            return entry.reader
        chunk = recording.chunk(block, slot)
        if chunk is None:
            self._keep(key, _Entry(None, CHUNK_ROWS, _ENTRY_BYTES))
            return None
        where = f"{recording.path}, block {block}, slot {slot}"
        parsed = parse(chunk, where=where)
        reader = ChunkDecoder(parsed, where=where)
        if index >= len(parsed.kinds):
            return None
        self._keep(key, _Entry(reader, len(parsed.kinds), _ENTRY_BYTES + reader.nbytes))
        return reader

    def _keep(self, key: tuple[int, int], entry: _Entry) -> None:
        before = self._entries.pop(key, None)
        self._used_bytes += entry.nbytes - (before.nbytes if before is not None else 0)
        self._entries[key] = entry
        while self._used_bytes > self._budget_bytes and len(self._entries) > 1:
            self._used_bytes -= self._entries.popitem(last=False)[1].nbytes
