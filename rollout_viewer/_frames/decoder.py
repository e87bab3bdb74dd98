"""Frames out of a chunk, in any order."""

from __future__ import annotations

import math
import mmap
import threading
from typing import TYPE_CHECKING

import numpy as np
import zstandard

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import ABSENT, EQUAL, FIRST, INTRA, PREV, RAW, Chunk
from rollout_viewer._frames.zstd_blocks import zstd_header

if TYPE_CHECKING:
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# From here on an array has pages of its own.
_OWN_PAGES_BYTES = 256 * 1024


class ChunkDecoder:
    """Decodes the frames of one chunk; one after the other costs one decode each.

    Holds up to three frames. One thread at a time.

    Args:
        chunk: What to decode.
        where: Its name in an error.

    Raises:
        RecordingError: The first frame of the chunk needs another one.
    """

    def __init__(self, chunk: Chunk, *, where: str = "chunk") -> None:
        self._chunk = chunk
        self._where = where
        self._header = zstd_header(chunk.height * chunk.width * 3)
        shape = chunk.height, chunk.width, 3
        # The pixels of record `_at`, and what is xored with them.
        self._frame: Frame = _empty_frame(shape)
        self._delta: Frame = _empty_frame(shape)
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
                        f"{where}: expected a first frame that needs no other, got "
                        f"record kind {kind}. The rows around it are still readable."
                    )
                shown = index
            self._source.append(shown)

    @property
    def nbytes(self) -> int:
        """Size in bytes of the frames it may hold, and of the records."""
        return 3 * self._frame.nbytes + sum(map(len, self._chunk.records))

    def is_shown(self, index: int) -> bool:
        """Return whether record `index` shows a picture."""
        return self._chunk.kinds[index] != ABSENT and self._source[index] >= 0

    def has_picture(self, index: int) -> bool:
        """Return whether record `index` shows a picture that was delivered for it."""
        return self.is_shown(index) and not self._chunk.is_repeated(index)

    def is_equal(self, index: int) -> bool:
        """Return whether frame `index` shows the same as the frame before it."""
        return self._chunk.kinds[index] == EQUAL

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
        """Bring the pixels of record `target` into `_frame`."""
        kinds = self._chunk.kinds
        deltas = []
        base = target
        while base != self._at and kinds[base] == PREV:
            deltas.append(base)
            base = self._before[base]
        # Of no record while it is written: decoding may raise.
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
        """Return the chunk's first frame."""
        if self._first_frame is None:
            frame = _empty_frame(self._frame.shape)
            self._decode(min(s for s in self._source if s >= 0), frame)
            self._first_frame = frame
        return self._first_frame

    def _decode(self, index: int, out: Frame) -> None:
        """Write the pixels that record `index` holds into `out`."""
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


_per_thread = threading.local()


def _decompressor() -> zstandard.ZstdDecompressor:
    """Return this thread's decompressor: one takes 100 kB, as ten small frames."""
    if not hasattr(_per_thread, "decompressor"):
        _per_thread.decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 29)
    found: zstandard.ZstdDecompressor = _per_thread.decompressor
    return found


def _empty_frame(shape: tuple[int, ...]) -> Frame:
    """Return an array whose memory the system gets back when it is freed.

    Decoders are short-lived. From the heap, large arrays among small ones leave
    holes: 15 MB of them after a few thousand rows.
    """
    num_bytes = math.prod(shape)
    if num_bytes < _OWN_PAGES_BYTES or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.empty(shape, np.uint8)
    # Private: a forked child writes into pages of its own.
    pages = mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, np.uint8).reshape(shape)
