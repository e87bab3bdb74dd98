"""Decoders of the chunks that were read last, within a byte budget.

Rows read in order, and rows near each other, cost one decode each: a chunk's
decoder remembers where it stands. Knows chunks and recordings, not rows or envs.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from rollout_viewer._codec import CHUNK_ROWS, ChunkReader, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recording import AnyRecording

    Frame = npt.NDArray[np.uint8]


class Readers:
    """Decoders of the chunks read last, within a byte budget. Any thread may read."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._lock = threading.Lock()
        self._readers: OrderedDict[tuple[int, int], ChunkReader | None] = OrderedDict()
        self._num_records: dict[tuple[int, int], int] = {}

    def read(self, recording: AnyRecording, row: int, slot: int, out: Frame) -> None:
        block, index = divmod(row, CHUNK_ROWS)
        with self._lock:
            is_gone = row < recording.first_row_of(slot)
            reader = None if is_gone else self._reader(recording, block, slot, index)
            if reader is None:
                out[...] = 0
            else:
                reader.read(index, out)

    def is_shown(self, recording: AnyRecording, row: int, slot: int) -> bool:
        return self._asked(recording, row, slot, ChunkReader.is_shown)

    def has_picture(self, recording: AnyRecording, row: int, slot: int) -> bool:
        return self._asked(recording, row, slot, ChunkReader.has_picture)

    def _asked(
        self,
        recording: AnyRecording,
        row: int,
        slot: int,
        question: Callable[[ChunkReader, int], bool],
    ) -> bool:
        block, index = divmod(row, CHUNK_ROWS)
        if row < recording.first_row_of(slot):
            return False
        with self._lock:
            reader = self._reader(recording, block, slot, index)
            return reader is not None and question(reader, index)

    def clear(self) -> None:
        with self._lock:
            self._readers.clear()

    def _reader(
        self, recording: AnyRecording, block: int, slot: int, index: int
    ) -> ChunkReader | None:
        key = block, slot
        # The reader of a chunk that was open may not know the row yet.
        if key in self._readers and index < self._num_records[key]:
            self._readers.move_to_end(key)
            return self._readers[key]
        chunk = recording.chunk(block, slot)
        where = f"{recording.path}, block {block}, slot {slot}"
        parsed = parse(chunk, where=where) if chunk is not None else None
        reader = ChunkReader(parsed, where=where) if parsed is not None else None
        num_records = len(parsed.kinds) if parsed is not None else CHUNK_ROWS
        if index >= num_records:
            return None
        self._readers[key], self._num_records[key] = reader, num_records
        self._readers.move_to_end(key)
        used = sum(r.nbytes for r in self._readers.values() if r is not None)
        while used > self._budget_bytes and len(self._readers) > 1:
            old, dropped = self._readers.popitem(last=False)
            self._num_records.pop(old)
            used -= dropped.nbytes if dropped is not None else 0
        return reader
