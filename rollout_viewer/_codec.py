"""Chunks: up to 32 frames of one env and camera, compressed without loss.

Pure: frames in, bytes out, and back. Knows nothing of files, envs or widgets.
Memory, file, wire and browser all hold these same bytes.

Format (little endian, version 1)::

    0   2  b"RV"
    2   1  version, 1
    3   1  first: which of the chunk's 32 rows the first record is, 0..31
    4   1  count: records that follow, 1..32 (first + count <= 32)
    5   1  0
    6   2  height in pixels
    8   2  width in pixels
    10  2  0, or 1 + the row of a RAW or INTRA record that is late (see below)
    12  4 * count  table, one u32 a record: byte length << 3 | kind
    ..     the records, back to back, nothing between
    end 4  CRC-32 of everything before it

A record is one frame of `height * width * 3` bytes, RGB, row by row:

    0 EQUAL   the frame before it; length 0, or one byte 0 if it is late
    1 RAW     the pixels
    2 INTRA   zstd of the pixels
    3 PREV    zstd of the pixels xor the frame before it
    4 FIRST   zstd of the pixels xor the chunk's first frame
    5 ABSENT  length 0; there is no picture in this row

"The frame before it" and "the first frame" pass over ABSENT records. The first
record of a chunk that is not ABSENT is RAW or INTRA. No frame takes more than
`MAX_DECODES` zstd decodes. A zstd record is a zstd frame without its header,
which is the same for every frame of a size: the magic number `28 B5 2F FD`, the
descriptor `A0` (single segment, 4-byte content size), then `height * width * 3`
as u32. Put it back in front and any zstd decoder reads the record. Its blocks may
be of all of zstd's kinds.

A *late* record is one that nobody delivered: the frame before it is shown again,
and told from a frame that really stayed the same. Who only draws ignores the
mark. At the start of a chunk a late frame is stored in full and marked in the
header, because there is no frame before it; no later record can need that.

A chunk that grows is written in pieces: the same bytes with `first` > 0, which
continue the piece before. `join()` makes one chunk of them. A whole chunk has
`first` = 0: an env whose pictures start later has ABSENT records before.

Source: which kinds to choose and why at most 8 decodes, DESIGN.md "Chunk".
"""

from __future__ import annotations

import math
import mmap
import struct
import threading
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zstandard

from rollout_viewer._errors import FrameError, RecordingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Words = npt.NDArray[Any]
    Span = tuple[int, int]

VERSION = 1
CHUNK_ROWS = 32
MAX_DECODES = 8
# The table has 29 bits for a record's length; 4096 x 4096 RGB needs 26.
MAX_FRAME_BYTES = 1 << 28
EQUAL, RAW, INTRA, PREV, FIRST, ABSENT = range(6)

_MAGIC = b"RV"
_HEADER = struct.Struct("<2sBBBBHHH")
_CHECKSUM = struct.Struct("<I")
_LATE = b"\0"
# Level 1 with a table that stays in the processor's nearest cache: 6 % smaller than
# level -1 over nine environments, at its speed.
_LEVEL, _HASH_LOG = 1, 13
# A zstd block: at most so many bytes; bit 0 tells the last, bits 1 and 2 the kind.
_BLOCK_BYTES = 1 << 17
_IS_LAST, _BLOCK_KIND, _RLE = 1, 6, 2
# A record that saves less than this share is stored raw: decoding costs more.
_WORTH_IT = 0.98
# Every so many rows of a chunk the second best kind is tried too, so that an
# estimate that went stale is noticed.
_PROBE_EVERY = 8
_PROBE_AT = 3
# Decodes that a frame of this kind takes.
_DEPTH = {RAW: 0, INTRA: 1, FIRST: 2}


def zstd_header(num_bytes: int) -> bytes:
    """Return the zstd frame header that records of `num_bytes` pixels leave out."""
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", num_bytes)


# -- writing


class Scratch:
    """Buffers for frames of one size, shared by the encoders of one thread.

    Fixed memory is the point: a fresh buffer for every frame costs page faults, and
    results kept as they were allocated make the process grow by the raw size (PEERS.md,
    "Test resident memory, not payload"). `level` is zstd's; None: what is fast enough
    while recording.
    """

    def __init__(self, height: int, width: int, level: int | None = None) -> None:
        self.shape = height, width, 3
        self.size = height * width * 3
        self.frame: Frame = np.empty(self.shape, np.uint8)
        self._delta = np.empty(self.size, np.uint8)
        # numpy compares and xors words faster than bytes.
        self._word: Any = np.uint64 if self.size % 8 == 0 else np.uint8
        self._delta_words = self._delta.view(self._word)
        self._marks = bytearray(len(self._delta_words))
        self._is_changed = np.frombuffer(self._marks, np.bool_)
        self._compressor = zstandard.ZstdCompressor(
            compression_params=zstandard.ZstdCompressionParameters.from_level(
                _LEVEL if level is None else level,
                **({"hash_log": _HASH_LOG} if level is None else {}),
                # A window of the whole frame gives a single segment, whose header
                # is the same for every frame of this size.
                window_log=max(10, (self.size - 1).bit_length()),
                write_content_size=True,
                write_checksum=False,
                write_dict_id=False,
            )
        )

    @property
    def num_bytes(self) -> int:
        """Memory that the buffers take."""
        return 2 * self.size + len(self._marks)

    def words(self, frame: Frame) -> Words:
        """Return a view of a contiguous frame that is fast to compare."""
        return frame.reshape(-1).view(self._word)

    def changed(self, now: Words, before: Any) -> Span:
        """Return from which word to which `now` differs; empty if it does not.

        Args:
            now: Of `words()`.
            before: The same, or one word that stands for all.
        """
        np.not_equal(now, before, out=self._is_changed)
        start = self._marks.find(1)
        return (start, self._marks.rfind(1) + 1) if start >= 0 else (0, 0)

    def busy(self, now: Words) -> Span:
        """Return the words between an even top and an even bottom, if there are any."""
        start, stop = 0, len(now)
        if _is_even(now[0]):
            start = self.changed(now, now[0])[0]
        if _is_even(now[-1]):
            stop = self.changed(now, now[-1])[1]
        return (start, stop) if start < stop else (0, len(now))

    def delta(self, now: Words, base: Words, span: Span) -> bytes:
        """Return the record of ``now ^ base``, which differ inside of `span` only."""
        part = slice(*span)
        np.bitwise_xor(now[part], base[part], out=self._delta_words[part])
        return self._record(self._delta_words, span, 0, 0)

    def intra(self, now: Words, span: Span) -> bytes:
        """Return the record of `now`, which is even before and after `span`."""
        return self._record(now, span, int(now[0]) & 255, int(now[-1]) & 255)

    def _record(self, words: Words, span: Span, before: int, after: int) -> bytes:
        """Return a zstd frame, less its header, of `span` between two even stretches.

        zstd takes as long for an even stretch as for any other, so it is written by
        hand: as RLE blocks around the blocks that zstd makes of the rest. They
        refer to nothing outside of themselves.
        """
        frame = self._compressor.compress(words[slice(*span)].data)
        assert frame[4] & 0x20, "zstd wrote no single segment"
        header = 5 + (1, 2, 4, 8)[frame[4] >> 6]
        start, stop = (end * words.itemsize for end in span)
        if stop == self.size:
            return _even_blocks(before, start) + frame[header:]
        body = bytearray(frame)
        body[_last_block(frame, header)] &= ~_IS_LAST
        blocks = _even_blocks(after, self.size - stop, is_last=True)
        return b"".join((_even_blocks(before, start), body[header:], blocks))


def _is_even(word: Any) -> bool:
    """Tell whether all bytes of a word are the same."""
    one: bytes = word.tobytes()
    return one == one[:1] * len(one)


def _even_blocks(value: int, num_bytes: int, *, is_last: bool = False) -> bytes:
    """Return zstd's RLE blocks for `num_bytes` times the byte `value`."""
    if not num_bytes:
        return b""
    whole, rest = divmod(num_bytes - 1, _BLOCK_BYTES)
    blocks = (_BLOCK_BYTES << 3 | _RLE | value << 24).to_bytes(4, "little") * whole
    last = (rest + 1) << 3 | _RLE | is_last | value << 24
    return blocks + last.to_bytes(4, "little")


def _last_block(frame: bytes, start: int) -> int:
    """Return where a zstd frame's last block begins; the first is at `start`."""
    while not frame[start] & _IS_LAST:
        head = int.from_bytes(frame[start : start + 3], "little")
        start += 3 + (1 if head & _BLOCK_KIND == _RLE else head >> 3)
    return start


def _union(one: Span, other: Span) -> Span:
    if one[0] == one[1]:
        return other
    return min(one[0], other[0]), max(one[1], other[1])


class ChunkEncoder:
    """The open chunk of one env and camera: frames go in, records come out.

    Keeps two frames (the last and the chunk's first). One thread at a time.
    `seal()` starts the next chunk; the estimates that choose the record kinds
    carry over.
    """

    def __init__(self, height: int, width: int, scratch: Scratch) -> None:
        if height * width * 3 > MAX_FRAME_BYTES or max(height, width) > 0xFFFF:
            raise FrameError(
                f"FrameCache: expected a frame of at most {MAX_FRAME_BYTES} bytes, "
                f"got {height} x {width} pixels. Record with resize= or crop=."
            )
        self.height = height
        self.width = width
        self._scratch = scratch
        self._last: Words | None = None
        self._first: Words | None = None
        self._spare: Words | None = None
        self._kinds: list[int] = []
        self._records: list[bytes] = []
        self._late_row: int | None = None
        self._nbytes = 0
        self._depth = 0
        self._estimates = {INTRA: 0.0, PREV: 0.0, FIRST: 0.0}
        # In words: what may differ from the chunk's first frame, and what of the last
        # frame lies between an even top and an even bottom.
        self._since_first: Span = 0, 0
        self._busy: Span = 0, 0

    @property
    def num_records(self) -> int:
        """Records of the open chunk."""
        return len(self._kinds)

    @property
    def nbytes(self) -> int:
        """Bytes that the open chunk takes."""
        overhead = _HEADER.size + 4 * len(self._kinds) + _CHECKSUM.size
        return self._nbytes + overhead if self._kinds else 0

    @property
    def state_nbytes(self) -> int:
        """Bytes of the frames kept for comparison."""
        frames = self._last, self._first, self._spare
        kept = {id(f): f.nbytes for f in frames if f is not None}
        return sum(kept.values())

    def add(self, frame: Frame) -> None:
        """Append `frame`, uint8 (height, width, 3), any strides; it is copied."""
        scratch = self._scratch
        if not frame.flags.c_contiguous:  # MuJoCo's have a negative stride
            np.copyto(scratch.frame, frame)
            frame = scratch.frame
        now = scratch.words(frame)
        if self._last is None:
            self._last = np.empty_like(now)
        if self._first is None:
            self._last[:] = now
            self._begin(now)
            return
        start, stop = changed = scratch.changed(now, self._last)
        if start == stop:
            self._push(EQUAL, b"")
            return
        self._push(*self._encode(now, changed))
        # Kept apart from the chunk's first frame, and ours: environments reuse
        # their buffers.
        if self._last is self._first:
            self._last = np.empty_like(now) if self._spare is None else self._spare
            self._last[:] = self._first
            self._spare = None
        self._last[start:stop] = now[start:stop]

    def _begin(self, now: Words) -> None:
        """Append the chunk's first frame, which is the last one too."""
        self._first = self._last
        self._since_first = 0, 0
        self._busy = self._scratch.busy(now)
        record = self._scratch.intra(now, self._busy)
        self._estimates[INTRA] = len(record)
        self._push(*self._accept(INTRA, record, now))

    def repeat(self, *, is_late: bool = False) -> None:
        """Append the last frame once more; ABSENT if there was none.

        `is_late`: because no other was delivered, though one was due.
        """
        if self._last is None:
            self.skip()
        elif self._first is None:
            if is_late:
                self._late_row = len(self._kinds)
            self._begin(self._last)
        else:
            self._push(EQUAL, _LATE if is_late else b"")

    def skip(self, count: int = 1) -> None:
        """Append `count` rows without a picture."""
        for _ in range(count):
            self._push(ABSENT, b"")

    def piece(self, first: int = 0) -> bytes:
        """Return the open chunk's records from `first` on, as bytes."""
        return pack(
            self.height,
            self.width,
            first,
            self._kinds[first:],
            self._records[first:],
            self._late_row,
        )

    def seal(self) -> bytes:
        """Return the whole chunk and start the next one."""
        chunk = self.piece()
        self._kinds, self._records, self._nbytes = [], [], 0
        if self._first is not self._last:
            self._spare = self._first
        self._first = self._late_row = None
        return chunk

    def _push(self, kind: int, record: bytes) -> None:
        self._kinds.append(kind)
        self._records.append(record)
        self._nbytes += len(record)

    def _encode(self, now: Words, changed: Span) -> tuple[int, bytes]:
        estimates = self._estimates
        self._busy = _union(self._busy, changed)
        self._since_first = _union(self._since_first, changed)
        options = self._options()
        best = min(options, key=estimates.__getitem__)
        is_probe = len(self._kinds) % _PROBE_EVERY == _PROBE_AT
        if is_probe:
            options = sorted(options, key=estimates.__getitem__)[:2]
        elif estimates[best] > _WORTH_IT * now.nbytes:
            return self._accept(RAW, now.tobytes(), now)
        else:
            options = (best,)

        smallest = b""
        for kind in options:
            record = self._compress(kind, now, changed)
            estimates[kind] += 0.5 * (len(record) - estimates[kind])
            if not smallest or len(record) < len(smallest):
                best, smallest = kind, record
        return self._accept(best, smallest, now)

    def _options(self) -> Sequence[int]:
        """Return the kinds that are possible for the next frame."""
        if self._depth >= MAX_DECODES:
            return (INTRA,) if self._first is self._last else (FIRST, INTRA)
        return (PREV, INTRA) if self._first is self._last else (PREV, FIRST, INTRA)

    def _compress(self, kind: int, now: Words, changed: Span) -> bytes:
        if kind == INTRA:
            return self._scratch.intra(now, self._busy)
        assert self._last is not None
        assert self._first is not None
        if kind == PREV:
            return self._scratch.delta(now, self._last, changed)
        return self._scratch.delta(now, self._first, self._since_first)

    def _accept(self, kind: int, record: bytes, now: Words) -> tuple[int, bytes]:
        if kind != RAW and len(record) > _WORTH_IT * now.nbytes:
            kind, record = RAW, now.tobytes()
        self._depth = self._depth + 1 if kind == PREV else _DEPTH[kind]
        return kind, record


def pack(
    height: int,
    width: int,
    first: int,
    kinds: Sequence[int],
    records: Sequence[bytes],
    late_row: int | None = None,
) -> bytes:
    """Return records as a chunk, or a piece of one.

    Args:
        height: Of the frames.
        width: Of the frames.
        first: Which of the chunk's rows the first record is.
        kinds: Of the records.
        records: Their bytes.
        late_row: The row of the RAW or INTRA record that is late, here or not.
    """
    table = np.fromiter(
        (len(r) << 3 | k for r, k in zip(records, kinds, strict=True)),
        dtype="<u4",
        count=len(kinds),
    )
    is_here = late_row is not None and first <= late_row < first + len(kinds)
    late = 1 + late_row if late_row is not None and is_here else 0
    header = _HEADER.pack(_MAGIC, VERSION, first, len(kinds), 0, height, width, late)
    body = b"".join((header, table.tobytes(), *records))
    return body + _CHECKSUM.pack(zlib.crc32(body))


# -- reading


class Chunk(NamedTuple):
    """A parsed chunk, or a piece of one. Its records are views of its bytes."""

    height: int
    width: int
    first: int
    kinds: list[int]
    records: list[memoryview]
    late_row: int | None = None

    def is_late(self, index: int) -> bool:
        """Tell whether record `index` repeats because nobody delivered another."""
        is_marked = self.kinds[index] == EQUAL and len(self.records[index]) > 0
        return is_marked or self.first + index == self.late_row


def parse(data: bytes, *, where: str = "chunk") -> Chunk:
    """Return the chunk in `data`.

    Args:
        data: The bytes of one chunk or piece, checksum included.
        where: What to call it in an error.

    Raises:
        RecordingError: The bytes are damaged, or of a newer version.
    """
    problem = _problem(data)
    if problem:
        raise RecordingError(
            f"{where}: expected an intact chunk of version {VERSION}, got {problem}. "
            "The rows around it are still readable."
        )
    _, _, first, count, _, height, width, late = _HEADER.unpack_from(data)
    table = np.frombuffer(data, "<u4", count, _HEADER.size).tolist()
    view = memoryview(data)
    start = _HEADER.size + 4 * count
    kinds, records = [], []
    for entry in table:
        kinds.append(entry & 7)
        records.append(view[start : start + (entry >> 3)])
        start += entry >> 3
    return Chunk(height, width, first, kinds, records, late - 1 if late else None)


def _problem(data: bytes) -> str | None:
    overhead = _HEADER.size + _CHECKSUM.size
    if len(data) < overhead or data[:2] != _MAGIC:
        return f"{len(data)} bytes that do not begin like one"
    if data[2] != VERSION:
        return f"version {data[2]}"
    if _CHECKSUM.unpack_from(data, len(data) - 4)[0] != zlib.crc32(data[:-4]):
        return "a wrong checksum"
    first, count = data[3], data[4]
    if first + count > CHUNK_ROWS or overhead + 4 * count > len(data):
        return f"{count} records from {first} on"
    table = np.frombuffer(data, "<u4", count, _HEADER.size)
    if int((table >> 3).sum(dtype=np.int64)) + overhead + 4 * count != len(data):
        return "a table that does not add up"
    return None


def kinds_of(data: bytes) -> list[int]:
    """Return the record kinds of a chunk, without checking it."""
    table = np.frombuffer(data, "<u4", data[4], _HEADER.size)
    kinds: list[int] = (table & 7).tolist()
    return kinds


def absent(height: int, width: int, first: int, count: int) -> bytes:
    """Return `count` ABSENT records as a chunk, or a piece of one."""
    return pack(height, width, first, [ABSENT] * count, [b""] * count)


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
        kinds += piece.kinds
        records += [bytes(record) for record in piece.records]
    return pack(
        parsed[0].height,
        parsed[0].width,
        first,
        kinds[first:stop],
        records[first:stop],
        next((p.late_row for p in parsed if p.late_row is not None), None),
    )


_of_thread = threading.local()


def _decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's: each takes 100 kB and more, ten small frames."""
    if not hasattr(_of_thread, "decompressor"):
        _of_thread.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 29)
    found: zstandard.ZstdDecompressor = _of_thread.decompressor
    return found


# From here on an array has pages of its own.
_OWN_PAGES_BYTES = 256 * 1024


def _scratch(shape: tuple[int, int, int]) -> Frame:
    """Return an array that goes back to the system when it is freed.

    Readers come and go with the chunks. From the heap, large arrays among small ones
    leave holes: 15 MB of them after a few thousand rows.
    """
    num_bytes = math.prod(shape)
    if num_bytes < _OWN_PAGES_BYTES or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.empty(shape, np.uint8)
    # Private: a forked child writes into pages of its own.
    pages = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, np.uint8).reshape(shape)


class ChunkReader:
    """Decodes the frames of one chunk; one after the other costs one decode each.

    Holds up to three frames. One thread at a time.
    """

    def __init__(self, chunk: Chunk, *, where: str = "chunk") -> None:
        self._chunk = chunk
        self._where = where
        self._header = zstd_header(chunk.height * chunk.width * 3)
        shape = chunk.height, chunk.width, 3
        self._frame: Frame = _scratch(shape)
        self._delta: Frame = _scratch(shape)
        self._first_frame: Frame | None = None
        self._at = -1
        self.num_decodes = 0
        # For each record: the one whose pixels it shows, and the one before that.
        self._source: list[int] = []
        self._before: list[int] = []
        shown = -1
        for index, kind in enumerate(chunk.kinds):
            self._before.append(shown)
            if kind not in (EQUAL, ABSENT):
                if shown < 0 and kind not in (RAW, INTRA):
                    raise RecordingError(
                        f"{where}: expected a first frame that stands alone, got "
                        f"record kind {kind}. The rows around it are still readable."
                    )
                shown = index
            self._source.append(shown)

    @property
    def nbytes(self) -> int:
        """Bytes of the frames it may hold and of the records."""
        return 3 * self._frame.nbytes + sum(map(len, self._chunk.records))

    def is_shown(self, index: int) -> bool:
        """Tell whether record `index` shows anything."""
        return self._chunk.kinds[index] != ABSENT and self._source[index] >= 0

    def has_picture(self, index: int) -> bool:
        """Tell whether it shows a frame that was delivered for it."""
        return self.is_shown(index) and not self._chunk.is_late(index)

    def read(self, index: int, out: Frame) -> bool:
        """Write frame `index` into `out`, uint8 (height, width, 3).

        Returns:
            False, and zeros in `out`, if there is no picture in that row.

        Raises:
            RecordingError: A record does not decode.
        """
        if not self.is_shown(index):
            out[...] = 0
            return False
        target = self._source[index]
        if target != self._at:
            self._seek(target)
        np.copyto(out, self._frame)
        return True

    def _seek(self, target: int) -> None:
        kinds = self._chunk.kinds
        deltas = []
        base = target
        while base != self._at and kinds[base] == PREV:
            deltas.append(base)
            base = self._before[base]
        at, self._at = self._at, -1
        if base != at:
            if kinds[base] == FIRST:
                self._decode(base, self._delta)
                np.bitwise_xor(self._first(), self._delta, out=self._frame)
            else:
                self._decode(base, self._frame)
        for delta in reversed(deltas):
            self._decode(delta, self._delta)
            np.bitwise_xor(self._frame, self._delta, out=self._frame)
        self._at = target

    def _first(self) -> Frame:
        if self._first_frame is None:
            frame = _scratch(self._frame.shape)
            self._decode(
                self._source.index(min(s for s in self._source if s >= 0)), frame
            )
            self._first_frame = frame
        return self._first_frame

    def _decode(self, index: int, out: Frame) -> None:
        kind, record = self._chunk.kinds[index], self._chunk.records[index]
        flat = out.reshape(-1)
        if kind == RAW and len(record) == out.nbytes:
            flat[:] = np.frombuffer(record, np.uint8)
            return
        self.num_decodes += 1
        try:
            source = b"".join((self._header, record))
            size = _decompressor().stream_reader(source).readinto(flat.data)
        except zstandard.ZstdError:
            size = -1
        if size != out.nbytes:
            raise RecordingError(
                f"{self._where}: expected record {index} to hold {out.nbytes} bytes "
                "of pixels, got something else. The rows around it are still readable."
            )
