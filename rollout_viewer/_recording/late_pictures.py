"""Pictures that are added to rows which were recorded without them.

They are chunks like any other, in slots of their own. A chunk may come in parts: rows
of a block that several episodes share. What is known of rows whose picture cannot be
made is metadata. Knows chunks and slots, not what made the pictures.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS, absent, join, num_records_of, parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._recording.statements import late_chunk_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.statements import Statement

# Keys of the metadata: how environments are made again, how often chunks were added, so
# that readers look again, and rows whose pictures cannot be made: [env, start, stop,
# reason].
RECIPES = "replay"
NUM_LATE = "num_late_chunks"
NOT_REPRODUCIBLE = "not_reproducible"


class LateChunk(NamedTuple):
    """Some pictures of a block: those of other rows are absent."""

    slot: Slot
    block: int
    chunk: bytes


class _Entry:
    """A chunk that the writer's thread may not have written yet."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk = chunk
        self.is_filed = False


class LatePictures:
    """What a live recording was given later, as long as its file may lack it.

    Guarded by the lock of the recording, except `note_filed`.

    Attributes:
        starts: (env, episode) -> from where it can be replayed.
        slot_of: The numbers of the slots that have only such pictures.
        adding: Held while some are added, so that no two calls join parts at once.
        refused_nbytes: Of the last pictures for which there was no room.
    """

    def __init__(self) -> None:
        self.starts: dict[tuple[int, int], bytes] = {}
        self.slot_of: dict[Slot, int] = {}
        self.adding = threading.Lock()
        self.refused_nbytes = 0
        self._entries: dict[tuple[int, int], _Entry] = {}

    def chunk(self, block: int, slot: int) -> bytes | None:
        """Return a chunk; None: it is in the file, or nowhere."""
        entry = self._entries.get((block, slot))
        return None if entry is None else entry.chunk

    def slots_in(self, block: int) -> list[int]:
        """Return the slots that have a chunk of a block here."""
        return [slot for number, slot in list(self._entries) if number == block]

    def add(self, block: int, slot: int, chunk: bytes) -> None:
        """Keep a chunk until it is written."""
        self._entries[block, slot] = _Entry(chunk)

    def note_filed(self, chunks: Mapping[tuple[int, int], bytes]) -> None:
        """Note that these chunks are in the file; called by the writer's thread.

        One that has replaced one of them since, with more pictures, is not yet.
        """
        for key, chunk in chunks.items():
            entry = self._entries.get(key)
            if entry is not None and entry.chunk is chunk:
                entry.is_filed = True

    def seal(self, block: int, slots: Sequence[Slot]) -> dict[tuple[int, int], bytes]:
        """Complete the chunks of a block that is full; return what is to be stored."""
        chunks = {}
        for slot in self.slots_in(block):
            entry = self._entries[block, slot]
            chunk = padded(entry.chunk, slots[slot].size, CHUNK_ROWS)
            self.add(block, slot, chunk)
            chunks[block, slot] = chunk
        return chunks

    def filed(self, num_sealed: int) -> list[tuple[int, int]]:
        """Return (block, slot) of chunks that are in the file, of sealed blocks."""
        return [
            key
            for key, entry in list(self._entries.items())
            if entry.is_filed and key[0] < num_sealed
        ]

    def drop(self, keys: Iterable[tuple[int, int]]) -> None:
        """Drop chunks, which are read from the file from now on."""
        for key in keys:
            del self._entries[key]


def late_statements(chunks: Mapping[tuple[int, int], bytes]) -> list[Statement]:
    """Return how to store chunks, by (block, slot)."""
    return [late_chunk_statement(*key, chunk) for key, chunk in chunks.items()]


def padded(chunk: bytes, size: tuple[int, int], count: int) -> bytes:
    """Return a chunk with absent records at its end, `count` in all."""
    known = num_records_of(chunk)
    if known >= count:
        return chunk
    return join([chunk, absent(*size, known, count - known)])


def merged(old: bytes | None, new: bytes, count: int) -> bytes:
    """Return a chunk of `count` records: those of `new`, and else those of `old`."""
    chunk = parse(new)
    size = chunk.height, chunk.width
    if old is None or parse(old)[:2] != size:
        return padded(new, size, count)
    decoders = ChunkDecoder(chunk), ChunkDecoder(parse(old))
    lengths = num_records_of(new), num_records_of(old)
    encoder = ChunkEncoder(*size, Scratch(*size))
    frame = np.empty((*size, 3), np.uint8)
    for index in range(count):
        for decoder, length in zip(decoders, lengths, strict=True):
            if index < length and decoder.is_shown(index):
                decoder.read(index, frame)
                encoder.add(frame)
                break
        else:
            encoder.skip()
    return encoder.whole()


def late_slot(slots: list[Slot], wanted: Slot) -> int | None:
    """Return the number of a slot with these pictures; None: there is none."""
    return next((n for n, slot in enumerate(slots) if slot == wanted), None)


def why_not_reproducible(meta: Mapping[str, Any], row: int, env: int) -> str:
    """Return why a row's picture cannot be made; "": it is not known that it cannot."""
    for number, start, stop, reason in not_reproducible(meta):
        if env == number and start <= row < stop:
            return reason
    return ""


def not_reproducible(meta: Mapping[str, Any]) -> list[tuple[int, int, int, str]]:
    """Return (env, start, stop, reason) of rows whose pictures cannot be made."""
    return [
        (env, start, stop, reason)
        for env, start, stop, reason in meta.get(NOT_REPRODUCIBLE) or []
    ]


def is_not_reproducible(value: Any) -> bool:
    """Return whether a value of a file is a list that `not_reproducible` reads."""
    return isinstance(value, list) and all(
        isinstance(one, list)
        and [*map(type, one)] == [int, int, int, str]
        and min(one[:3]) >= 0
        for one in value
    )
