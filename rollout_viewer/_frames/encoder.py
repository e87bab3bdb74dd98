"""Frames of one env and camera into a chunk, one record a frame.

For each frame the cheapest kind of record: equal, raw, intra, xor with the previous
frame or with the chunk's first one (`chunk` has the format). Running estimates of the
sizes choose it, so that a frame is usually compressed once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import FrameError
from rollout_viewer._frames.chunk import (
    ABSENT,
    CHUNK_ROWS,
    ENTRY_BYTES,
    EQUAL,
    FIRST,
    INTRA,
    MAX_FRAME_BYTES,
    OVERHEAD_BYTES,
    PREV,
    RAW,
    REPEATED,
    pack,
    parse,
    shown_rows,
)
from rollout_viewer._frames.decoder import ChunkDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._frames.scratch import Scratch

    Frame = npt.NDArray[np.uint8]
    Words = npt.NDArray[Any]
    Span = tuple[int, int]


# Of any frame: zstd decodes that a reader needs for it.
MAX_DECODES = 8
# Decodes that a frame of this kind takes; PREV: one more than the frame before it.
_DEPTH = {RAW: 0, INTRA: 1, FIRST: 2}
# A record that saves less than this share is stored raw: decoding costs more.
_WORTH_IT = 0.98
# Every so many rows of a chunk PREV and FIRST are tried both if one of them was not in
# the rows since, so that an estimate that is out of date is noticed: after a cut or a
# flash it is many times too large. An odd number, since pictures alternate, too.
_PROBE_EVERY = 7
_PROBE_AT = 3
# A record that is larger than so many of its kind before, and these bytes, is a cut's,
# after which they are as small as before.
_CUT, _CUT_BYTES = 4, 64
# Records of a sealed chunk that are smaller may be in memory twice for a moment.
_SHARED_BYTES = 4096


class ChunkEncoder:
    """The open chunk of one env and camera.

    Keeps two frames, the last and the chunk's first, to compare the next one with.
    `seal()` starts the next chunk; the estimates that choose the record kinds stay.
    One thread at a time.

    Args:
        height: Of the frames, in pixels.
        width: Of the frames, in pixels.
        scratch: Buffers for frames of this size; encoders of one thread share them.

    Raises:
        FrameError: The frames are larger than the format allows.
    """

    def __init__(self, height: int, width: int, scratch: Scratch) -> None:
        if height * width * 3 > MAX_FRAME_BYTES or max(height, width) > 0xFFFF:
            raise FrameError(
                f"FrameCache: expected a frame of at most {MAX_FRAME_BYTES} bytes, "
                f"got {height} x {width} pixels. Make the pictures smaller."
            )
        self.size = self.height, self.width = height, width
        self._scratch = scratch
        self._last: Words | None = None
        self._first: Words | None = None
        self._spare: Words | None = None
        # The last frame of the chunk before, until this chunk has two frames.
        self._before: Words | None = None
        self._kinds: list[int] = []
        self._records: list[bytes | memoryview] = []
        self._repeated_row: int | None = None
        self._nbytes = 0
        self._depth = 0
        # Of records, in bytes, and from where on a frame is stored raw.
        self._estimates = {INTRA: 0.0, PREV: 0.0, FIRST: 0.0}
        # The row of this chunk at which each was made last, below 0: of one before.
        self._made_at = {PREV: -CHUNK_ROWS, FIRST: -CHUNK_ROWS}
        self._most_bytes = _WORTH_IT * scratch.size
        # In words: what may differ from the chunk's first frame, and what of that
        # lies between a uniform top and a uniform bottom.
        self._since_first: Span = 0, 0
        self._first_content: Span = 0, 0

    @property
    def num_records(self) -> int:
        """Records of the open chunk."""
        return len(self._kinds)

    @property
    def nbytes(self) -> int:
        """Size of the open chunk in bytes."""
        overhead = OVERHEAD_BYTES + ENTRY_BYTES * len(self._kinds)
        return self._nbytes + overhead if self._kinds else 0

    @property
    def state_nbytes(self) -> int:
        """Bytes of the frames kept for comparison."""
        frames = self._last, self._first, self._spare, self._before
        nbytes = {id(f): f.nbytes for f in frames if f is not None}
        return sum(nbytes.values())

    def add(self, frame: Frame, *, is_repeated: bool = False) -> None:
        """Append `frame`, uint8 (height, width, 3), any strides; it is copied.

        Args:
            frame: What is shown.
            is_repeated: Mark it as repeated; only of a chunk's first frame.
        """
        scratch, last, first = self._scratch, self._last, self._first
        if first is None or last is None:
            self._add_first(scratch.words(frame), is_repeated=is_repeated)
            return
        now, start, stop = scratch.compared(frame, last)
        if start == stop:
            self._push(EQUAL, b"")
            return
        # What follows is written out: an environment's step leaves nothing of it in
        # the processor's caches, and a call takes 0.5 us then.
        since, end = self._since_first
        if since == end:
            self._since_first = start, stop
        elif start < since or stop > end:
            # Twice as fast as `min` and `max`.
            self._since_first = (
                start if start < since else since,
                stop if stop > end else end,
            )
        estimates, most = self._estimates, self._most_bytes
        kinds, kind, estimate = self._kinds, PREV, estimates[PREV]
        if self._depth >= MAX_DECODES or estimates[FIRST] < estimate:
            kind, estimate = FIRST, estimates[FIRST]
        if (
            estimate > estimates[INTRA]
            or estimate > most
            or last is first
            or (len(kinds) % _PROBE_EVERY == _PROBE_AT and self._stale(kind))
        ):
            kind, record = self._encode(now, start, stop)
        else:
            if kind == PREV:
                record = scratch.delta(now, last, start, stop)
            else:
                record = scratch.delta(now, first, *self._since_first)
            size, most_usual = float(len(record)), _CUT * estimate + _CUT_BYTES
            if size > most_usual:
                size = most_usual
            estimates[kind] = estimate + 0.5 * (size - estimate)
            self._made_at[kind] = len(kinds)
        if len(record) > most:
            kind, record = RAW, now.tobytes()
        self._depth = self._depth + 1 if kind == PREV else _DEPTH[kind]
        kinds.append(kind)
        self._records.append(record)
        self._nbytes += len(record)
        # A copy, since environments reuse their buffers, and another array than the
        # chunk's first frame.
        if last is first:
            last = np.empty_like(now) if self._before is None else self._before
            last[:] = first
            self._before, self._last = None, last
        last[start:stop] = now[start:stop]

    def _add_first(self, now: Words, *, is_repeated: bool) -> None:
        """Append a copy of the chunk's first frame."""
        # Into another array than the last frame: see `restore`.
        fresh = np.empty_like(now) if self._spare is None else self._spare
        fresh[:] = now
        self._before, self._spare, self._last = self._last, None, fresh
        if is_repeated:
            self._repeated_row = len(self._kinds)
        self._begin(now)

    def _begin(self, now: Words) -> None:
        """Append the chunk's first frame, which is also the last one so far."""
        self._first = self._last
        self._since_first = 0, 0
        self._first_content = self._scratch.content(now)
        record = self._scratch.intra(now, *self._first_content)
        self._estimates[INTRA] = len(record)
        kind = INTRA
        if len(record) > self._most_bytes:
            kind, record = RAW, now.tobytes()
        self._depth = _DEPTH[kind]
        self._push(kind, record)

    def resume(self, frame: Frame) -> None:
        """Take `frame` as the last one of the chunk before, for `repeat`."""
        self._last = self._scratch.words(np.ascontiguousarray(frame)).copy()

    def repeat(self, *, is_due: bool = False) -> None:
        """Append the last frame once more; ABSENT if there was none.

        Args:
            is_due: A frame was due in this row and none was delivered: the record
                is marked as repeated.
        """
        if self._last is None:
            self.skip()
        elif self._first is None:
            if is_due:
                self._repeated_row = len(self._kinds)
            self._begin(self._last)
        else:
            self._push(EQUAL, REPEATED if is_due else b"")

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
            self._repeated_row,
        )

    @property
    def shown(self) -> int:
        """The rows of the open chunk that have a picture, as bits of a number."""
        return shown_rows(self._kinds)

    def whole(self) -> bytes:
        """Return the open chunk; large records share the memory of the result then."""
        chunk = self.piece()
        if self._nbytes > _SHARED_BYTES:
            self._records = list(parse(chunk).records)
        return chunk

    def seal(self) -> bytes:
        """Return the whole chunk and start the next one."""
        chunk = self.piece()
        self.start()
        return chunk

    def start(self) -> None:
        """Start the next chunk, if the open one has any record."""
        if self._first is not None:
            self._spare = self._before if self._first is self._last else self._first
        self._before = self._first = self._repeated_row = None
        self._kinds, self._records, self._nbytes = [], [], 0
        self._made_at[FIRST] = -CHUNK_ROWS
        self._made_at[PREV] -= CHUNK_ROWS

    def restore(self, count: int) -> None:
        """Undo what was added after the first `count` records, however far it got.

        After an exception, at any point of `add`, `repeat` or `skip`. The frames are
        decoded from the records that stay.
        """
        kinds, records = self._kinds[:count], self._records[:count]
        if len(kinds) > len(records):  # between the two of `_push`
            kinds = kinds[: len(records)]
        if self._repeated_row is not None and self._repeated_row >= count:
            self._repeated_row = None
        shown = [index for index, kind in enumerate(kinds) if kind != ABSENT]
        if shown:
            frames = self._decode(kinds, records, shown[0], shown[-1])
            self._first = frames[0]
            self._last = frames[1] if shown[-1] > shown[0] else frames[0]
        else:
            self._last = self._before if self._before is not None else self._last
            self._first = None
        self._before = None
        self._kinds, self._records = kinds, records
        self._nbytes = sum(map(len, records))
        self._depth = 0
        for kind in kinds:
            if kind not in (EQUAL, ABSENT):
                self._depth = self._depth + 1 if kind == PREV else _DEPTH[kind]
        # What may differ is not known any more.
        whole = 0, 0 if self._last is None else len(self._last)
        self._since_first = self._first_content = whole

    def _decode(
        self, kinds: list[int], records: list[bytes | memoryview], *indices: int
    ) -> list[Words]:
        data = pack(self.height, self.width, 0, kinds, records, self._repeated_row)
        decoder = ChunkDecoder(parse(data))
        found = []
        for index in indices:
            frame = np.empty((self.height, self.width, 3), np.uint8)
            decoder.read(index, frame)
            found.append(self._scratch.words(frame).copy())
        return found

    def _push(self, kind: int, record: bytes) -> None:
        self._kinds.append(kind)
        self._records.append(record)
        self._nbytes += len(record)

    def _encode(self, now: Words, start: int, stop: int) -> tuple[int, bytes]:
        """Return the kind and the record of the next frame.

        Args:
            now: The frame, which differs from the last one.
            start: The first word that does.
            stop: The word after the last one that does.
        """
        estimates, row = self._estimates, len(self._kinds)
        kind = min(self._options(), key=estimates.__getitem__)
        kinds = [kind]
        if row % _PROBE_EVERY == _PROBE_AT:
            kinds += self._stale(kind)
        if len(kinds) == 1 and estimates[kind] > self._most_bytes:
            return RAW, now.tobytes()
        smallest = b""
        for one in kinds:
            record = self._compress(one, now, start, stop)
            most_usual = _CUT * estimates[one] + _CUT_BYTES
            estimates[one] += 0.5 * (min(len(record), most_usual) - estimates[one])
            if one != INTRA:
                self._made_at[one] = row
            if not smallest or len(record) < len(smallest):
                kind, smallest = one, record
        return kind, smallest

    def _stale(self, kind: int) -> list[int]:
        """Return the other kind, if it is possible and was not made for some rows.

        Not INTRA, which each chunk begins with.
        """
        since = len(self._kinds) - _PROBE_EVERY
        options, made_at = self._options(), self._made_at
        return [
            one
            for one in (PREV, FIRST)
            if one != kind and one in options and made_at[one] <= since
        ]

    def _options(self) -> Sequence[int]:
        """Return the kinds that are possible for the next frame."""
        if self._depth >= MAX_DECODES:
            return (INTRA,) if self._first is self._last else (FIRST, INTRA)
        return (PREV, INTRA) if self._first is self._last else (PREV, FIRST, INTRA)

    def _compress(self, kind: int, now: Words, start: int, stop: int) -> bytes:
        assert self._last is not None
        assert self._first is not None
        if kind == PREV:
            return self._scratch.delta(now, self._last, start, stop)
        if kind == FIRST:
            return self._scratch.delta(now, self._first, *self._since_first)
        content = _union(self._first_content, self._since_first)
        return self._scratch.intra(now, *content)


def _union(one: Span, other: Span) -> Span:
    """Return the least range that holds both; one of them may be empty."""
    (start, stop), (first, end) = one, other
    if start == stop:
        return other
    if first == end:
        return one
    # Twice as fast as `min` and `max`.
    return start if start < first else first, stop if stop > end else end
