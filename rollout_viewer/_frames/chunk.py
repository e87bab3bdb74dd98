"""The format of a chunk: up to 32 frames of one env and camera, without loss.

Records in, bytes out, and back. Memory, file, wire and browser hold the same bytes.
Knows nothing of files, envs or pixels.

Format (little endian, version 1)::

    0   2  b"RV"
    2   1  version, 1
    3   1  first: which of the chunk's 32 rows the first record is, 0..31
    4   1  count: records that follow, 1..32 (first + count <= 32)
    5   1  0
    6   2  height in pixels
    8   2  width in pixels
    10  2  0, or 1 + the row of a RAW or INTRA record that is repeated (see below)
    12  4 * count  table, one u32 a record: byte length << 3 | kind
    ..     the records, back to back, nothing between
    end 4  CRC-32 of everything before it

A record is one frame of `height * width * 3` bytes, RGB, row by row:

    0 EQUAL   the frame before it; length 0, or one byte 0 if it is repeated
    1 RAW     the pixels
    2 INTRA   zstd of the pixels
    3 PREV    zstd of the pixels xor the frame before it
    4 FIRST   zstd of the pixels xor the chunk's first frame
    5 ABSENT  length 0; there is no picture in this row

"The frame before it" and "the first frame" skip ABSENT records. The first record
of a chunk that is not ABSENT is RAW or INTRA. No frame takes more than
`MAX_DECODES` zstd decodes, and none has more than `MAX_FRAME_BYTES` bytes: 89 million
pixels. A zstd record is a zstd frame without its header,
which is the same for every frame of a size: the magic number `28 B5 2F FD`, the
descriptor `A0` (single segment, 4-byte content size), then `height * width * 3`
as u32. Put it back in front and any zstd decoder reads the record. Its blocks may
be of all of zstd's kinds.

A *repeated* record has no frame of its own: one was due and none was delivered (a
camera was late, the step was skipped or recorded without pictures, a thinned export
left it out), so the frame before it is shown again. Frames of envs that are idle are
not marked: none was due. The mark distinguishes it from a frame that
really stayed the same; a reader that only draws ignores the mark. At the start of a
chunk a repeated frame is stored in full and marked in the header, because there is
no frame before it; no later record can need that.

A chunk that grows is written in pieces: the same bytes with `first` > 0, which
continue the piece before. `join()` makes one chunk of them. A whole chunk has
`first` = 0: an env whose pictures start later has ABSENT records before.

Source: 32 rows and at most 8 decodes were measured on nine sets of frames. The
smallest of all kinds compressed 323 times at 7.1 decodes a seek, limited to 8 decodes
318 times at 3.0, and FIRST alone 227 times.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.checksum import CHECKSUM_BYTES, is_intact, with_checksum

if TYPE_CHECKING:
    from collections.abc import Sequence


VERSION = 1
CHUNK_ROWS = 32
# The table has 29 bits for a record's length; 4096 x 4096 RGB needs 26.
MAX_FRAME_BYTES = 1 << 28
EQUAL, RAW, INTRA, PREV, FIRST, ABSENT = range(6)
# The record of an EQUAL frame that is repeated.
REPEATED = b"\0"

_MAGIC = b"RV"
_HEADER = struct.Struct("<2sBBBBHHH")
# By the number of records.
_TABLES = [struct.Struct(f"<{count}I") for count in range(CHUNK_ROWS + 1)]
_KIND_OF = bytes(entry & 7 for entry in range(256))
# Kinds of rows that look as the one before.
_UNCHANGED = bytes([EQUAL, ABSENT])
# Bytes of a chunk besides its records, and of each record's entry in the table.
OVERHEAD_BYTES = _HEADER.size + CHECKSUM_BYTES
ENTRY_BYTES = 4


# -- writing


def pack(
    height: int,
    width: int,
    first: int,
    kinds: Sequence[int],
    records: Sequence[bytes | memoryview],
    repeated_row: int | None = None,
) -> bytes:
    """Return records as a chunk, or a piece of one.

    Args:
        height: Of the frames.
        width: Of the frames.
        first: Which of the chunk's rows the first record is.
        kinds: Of the records.
        records: Their bytes.
        repeated_row: The row of the RAW or INTRA record that is repeated, in this
            piece or in another one.
    """
    entries = [len(r) << 3 | k for r, k in zip(records, kinds, strict=True)]
    table = _TABLES[len(entries)].pack(*entries)
    mark = 0
    if repeated_row is not None and first <= repeated_row < first + len(kinds):
        mark = 1 + repeated_row
    header = _HEADER.pack(_MAGIC, VERSION, first, len(kinds), 0, height, width, mark)
    return with_checksum(b"".join((header, table, *records)))


def absent(height: int, width: int, first: int, count: int) -> bytes:
    """Return `count` ABSENT records as a chunk, or a piece of one."""
    return pack(height, width, first, [ABSENT] * count, [b""] * count)


# -- reading


class Chunk(NamedTuple):
    """A parsed chunk, or a piece of one. Its records are views of its bytes."""

    height: int
    width: int
    first: int
    kinds: list[int]
    records: list[memoryview]
    repeated_row: int | None = None

    def is_repeated(self, index: int) -> bool:
        """Return whether record `index` has no frame of its own, though one was due."""
        is_marked = self.kinds[index] == EQUAL and len(self.records[index]) > 0
        return is_marked or self.first + index == self.repeated_row


def parse(
    data: bytes, *, where: str = "chunk", size: tuple[int, int] | None = None
) -> Chunk:
    """Return the chunk in `data`.

    Args:
        data: The bytes of one chunk or piece, checksum included.
        where: Its name in an error.
        size: (height, width) that its frames must have; None: any.

    Raises:
        RecordingError: The bytes are damaged, or of a newer version.
    """
    if problem := _problem(data):
        raise _damaged(where, problem)
    _, _, first, count, _, height, width, mark = _HEADER.unpack_from(data)
    if problem := _size_problem(height, width, size):
        raise _damaged(where, problem)
    view = memoryview(data)
    start = _HEADER.size + ENTRY_BYTES * count
    kinds, records = [], []
    for entry in _table(data).tolist():
        kinds.append(entry & 7)
        records.append(view[start : start + (entry >> 3)])
        start += entry >> 3
    if max(kinds, default=0) > ABSENT:
        raise _damaged(where, "a record of no known kind")
    return Chunk(height, width, first, kinds, records, mark - 1 if mark else None)


def _damaged(where: str, problem: str) -> RecordingError:
    return RecordingError(
        f"{where}: expected an intact chunk of version {VERSION}, got {problem}. "
        "The rows around it are still readable."
    )


def parse_whole(data: bytes, *, where: str, size: tuple[int, int]) -> Chunk:
    """Return the chunk in `data`, which is no later piece and has frames of this size.

    Raises:
        RecordingError: It is another one, damaged, or of a newer version.
    """
    chunk = parse(data, where=where, size=size)
    if chunk.first:
        raise RecordingError(
            f"{where}: expected a chunk from record 0 on, got one from {chunk.first} "
            "on. The rows around it are still readable."
        )
    return chunk


def whole_table(
    data: bytes, *, where: str, size: tuple[int, int]
) -> tuple[bytes, list[int]]:
    """Return the kind and the length of each record, of what `parse_whole` takes.

    Raises:
        RecordingError: As `parse_whole` does.
    """
    is_whole = len(data) >= OVERHEAD_BYTES and is_intact(data)
    if is_whole:
        head = _HEADER.unpack_from(data)
        count, found = head[3], head[5:7]
        is_whole = head[:3] == (_MAGIC, VERSION, 0) and found == size
        fits = OVERHEAD_BYTES + ENTRY_BYTES * count <= len(data)
        is_whole = is_whole and count <= CHUNK_ROWS and fits
    if is_whole and not _size_problem(*size, None):
        kinds = kind_bytes(data)
        lengths = [e >> 3 for e in _TABLES[count].unpack_from(data, _HEADER.size)]
        num_bytes = OVERHEAD_BYTES + ENTRY_BYTES * count + sum(lengths)
        if num_bytes == len(data) and max(kinds, default=0) <= ABSENT:
            return kinds, lengths
    chunk = parse_whole(data, where=where, size=size)  # which says why
    return bytes(chunk.kinds), list(map(len, chunk.records))


def num_records_of(data: bytes) -> int:
    """Return how many records a chunk says it has, without checking it."""
    return data[4] if len(data) >= OVERHEAD_BYTES else 0


def kinds_of(data: bytes) -> list[int]:
    """Return the record kinds of a chunk, without checking it."""
    kinds: list[int] = (_table(data) & 7).tolist()
    return kinds


def shown_rows(kinds: Sequence[int]) -> int:
    """Return the rows of a chunk that have a picture, as bits of a number."""
    if ABSENT not in kinds:
        return (1 << len(kinds)) - 1
    return sum(1 << row for row, kind in enumerate(kinds) if kind != ABSENT)


def kind_bytes(data: bytes) -> bytes:
    """Return what `kinds_of` does as bytes, which are searched in less time."""
    # The low byte of each entry of the table.
    return data[
        _HEADER.size : _HEADER.size + ENTRY_BYTES * data[4] : ENTRY_BYTES
    ].translate(_KIND_OF)


def last_change(data: bytes) -> int:
    """Return the last row whose picture is another than before it; -1: none is."""
    return len(kind_bytes(data).rstrip(_UNCHANGED)) - 1


def _table(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.frombuffer(data, "<u4", data[4], _HEADER.size)


def _problem(data: bytes) -> str | None:
    """Return what is wrong with the bytes of a chunk; None: nothing."""
    if len(data) < OVERHEAD_BYTES or data[:2] != _MAGIC:
        return f"{len(data)} bytes that do not begin like one"
    if data[2] != VERSION:
        return f"version {data[2]}"
    if not is_intact(data):
        return "a wrong checksum"
    first, count = data[3], data[4]
    num_bytes = OVERHEAD_BYTES + ENTRY_BYTES * count
    if first + count > CHUNK_ROWS or num_bytes > len(data):
        return f"{count} records from {first} on"
    if int((_table(data) >> 3).sum(dtype=np.int64)) + num_bytes != len(data):
        return "a table that does not add up"
    return None


def _size_problem(height: int, width: int, size: tuple[int, int] | None) -> str | None:
    """Return what is wrong with the size of the frames; None: nothing."""
    if not 0 < height * width * 3 <= MAX_FRAME_BYTES:
        return f"frames of {height}x{width} pixels"
    if size is not None and size != (height, width):
        return f"frames of {height}x{width} pixels in place of {size[0]}x{size[1]}"
    return None


# -- both


def part_of(chunk: Chunk, first: int, stop: int) -> bytes:
    """Return the records ``first..stop`` of a chunk or piece that has them."""
    records = slice(first - chunk.first, stop - chunk.first)
    return pack(
        chunk.height,
        chunk.width,
        first,
        chunk.kinds[records],
        [bytes(record) for record in chunk.records[records]],
        chunk.repeated_row,
    )


def join(
    pieces: Sequence[bytes],
    *,
    where: str = "chunk",
    first: int = 0,
    stop: int = CHUNK_ROWS,
) -> bytes:
    """Return the records ``first..stop`` of `pieces`, which continue each other.

    Raises:
        RecordingError: A piece is damaged or one is missing.
    """
    parsed = [parse(piece, where=where) for piece in pieces]
    kinds: list[int] = []
    records: list[bytes] = []
    for piece in parsed:
        if piece.first != len(kinds):
            raise RecordingError(
                f"{where}: expected a piece that starts at record {len(kinds)}, "
                f"got one at {piece.first}. The rows before it are still readable."
            )
        if piece[:2] != parsed[0][:2]:
            raise RecordingError(
                f"{where}: expected pieces of one size, got {parsed[0][:2]} and "
                f"{piece[:2]} (height, width). The rows around it are still readable."
            )
        kinds += piece.kinds
        records += [bytes(record) for record in piece.records]
    return pack(
        parsed[0].height,
        parsed[0].width,
        first,
        kinds[first:stop],
        records[first:stop],
        next((p.repeated_row for p in parsed if p.repeated_row is not None), None),
    )
