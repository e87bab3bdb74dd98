"""Encodes the frames of one env and camera into a chunk, one record a frame.

Per frame the cheapest of: equal, raw, intra, xor with the previous frame or with
the first of the chunk (see `chunk` for the format).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from rollout_viewer._errors import FrameError
from rollout_viewer._frames.chunk import (
    ABSENT,
    CHECKSUM,
    EQUAL,
    FIRST,
    HEADER,
    INTRA,
    LATE_ROW,
    MAX_FRAME_BYTES,
    PREV,
    RAW,
    pack,
)
from rollout_viewer._frames.zstd_blocks import (
    _IS_LAST,
    even_blocks,
    is_even,
    last_block,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Words = npt.NDArray[Any]
    Span = tuple[int, int]


MAX_DECODES = 8
# Level 1 with a table that stays in the processor's nearest cache: 6 % smaller than
# level -1 over nine environments, at its speed.
LEVEL, HASH_LOG = 1, 13
# A record that saves less than this share is stored raw: decoding costs more.
_WORTH_IT = 0.98
# Every so many rows of a chunk the second best kind is tried too, so that an
# estimate that went stale is noticed.
_PROBE_EVERY = 8
_PROBE_AT = 3
# Decodes that a frame of this kind takes.
_DEPTH = {RAW: 0, INTRA: 1, FIRST: 2}


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
                LEVEL if level is None else level,
                **({"hash_log": HASH_LOG} if level is None else {}),
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
        if is_even(now[0]):
            start = self.changed(now, now[0])[0]
        if is_even(now[-1]):
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
            return even_blocks(before, start) + frame[header:]
        body = bytearray(frame)
        body[last_block(frame, header)] &= ~_IS_LAST
        blocks = even_blocks(after, self.size - stop, is_last=True)
        return b"".join((even_blocks(before, start), body[header:], blocks))


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
        overhead = HEADER.size + 4 * len(self._kinds) + CHECKSUM.size
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
            self._push(EQUAL, LATE_ROW if is_late else b"")

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
