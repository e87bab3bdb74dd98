"""The pixels of one frame as one compressed record, in buffers that are reused.

Compares and xors frames, and writes stretches of one value as RLE blocks by hand.
Knows nothing of chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from rollout_viewer._frames.zstd_blocks import (
    BLOCK_BYTES,
    IS_LAST,
    RLE,
    rle_blocks,
    unended_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    # A frame's bytes as words of 8 or 1 bytes, and a range (start, stop) of them.
    Words = npt.NDArray[Any]
    Span = tuple[int, int]


# Level 1 with a table that stays in the processor's nearest cache: 6 % smaller than
# level -1 over nine environments, at its speed.
_LEVEL, _HASH_LOG = 1, 13
# The first byte after zstd's magic number -> bytes of a header of a single segment.
_HEADER_BYTES = {0x20: 6, 0x60: 7, 0xA0: 9, 0xE0: 13}


class Scratch:
    """Buffers for frames of one size, shared by the encoders of one thread.

    The buffers are fixed because a fresh one for every frame costs page faults. A
    record is a copy of its own size: zstd allocates for the worst case, and results
    that were kept as allocated made the process grow by the size of the raw frames.

    Args:
        height: Of the frames.
        width: Of the frames.
        level: Of zstd; None: one that is fast enough while recording.
    """

    def __init__(self, height: int, width: int, level: int | None = None) -> None:
        self.shape = height, width, 3
        self.size = height * width * 3
        self.frame: Frame = np.empty(self.shape, np.uint8)
        # Any stretch of it fits into one block of zstd.
        self._is_small = self.size <= BLOCK_BYTES
        self._delta = np.empty(self.size, np.uint8)
        # numpy compares and xors words faster than bytes.
        self._word: Any = np.uint64 if self.size % 8 == 0 else np.uint8
        self._word_bytes = np.dtype(self._word).itemsize
        self._delta_words = self._delta.view(self._word)
        # The same memory twice: bytearray.find() finds the first change fastest.
        self._flags = bytearray(len(self._delta_words))
        self._is_changed = np.frombuffer(self._flags, np.bool_)
        compressor = zstandard.ZstdCompressor(
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
        # Of any contiguous array; its own annotation says less.
        self._compress: Callable[[Any], bytes] = compressor.compress

    @property
    def num_bytes(self) -> int:
        """Memory of the buffers, in bytes."""
        return 2 * self.size + len(self._flags)

    def words(self, frame: Frame) -> Words:
        """Return a view of a frame that is fast to compare.

        Of one that is not contiguous, as MuJoCo's with their negative stride, it is a
        view of `frame`, into which it is copied.
        """
        if not frame.flags.c_contiguous:
            np.copyto(self.frame, frame)
            frame = self.frame
        # Three times as fast as `reshape` and `view`.
        return np.frombuffer(frame, self._word)

    # -- comparing

    def compared(self, frame: Frame, before: Words) -> tuple[Words, int, int]:
        """Return the frame's words, and the range of them in which it differs.

        Args:
            frame: See `words`.
            before: Words of another frame.

        Returns:
            The words; the first one that differs, and the one after the last. Two
            equal numbers, if none does.
        """
        if not frame.flags.c_contiguous:
            np.copyto(self.frame, frame)
            frame = self.frame
        now = np.frombuffer(frame, self._word)
        np.not_equal(now, before, self._is_changed)
        start = self._flags.find(1)
        return (now, start, self._flags.rfind(1) + 1) if start >= 0 else (now, 0, 0)

    def _changed(self, now: Words, before: Any) -> Span:
        """Return the range of words which are not `before`; empty if all are."""
        np.not_equal(now, before, self._is_changed)
        start = self._flags.find(1)
        return (start, self._flags.rfind(1) + 1) if start >= 0 else (0, 0)

    def content(self, now: Words) -> Span:
        """Return the range of words between a uniform top and a uniform bottom.

        Uniform is a stretch of one byte value, as the background of many pictures.
        All words, if there is nothing else or no such stretch.
        """
        start, stop = 0, len(now)
        if _is_uniform(now[0]):
            start = self._changed(now, now[0])[0]
        if _is_uniform(now[-1]):
            stop = self._changed(now, now[-1])[1]
        return (start, stop) if start < stop else (0, len(now))

    # -- compressing

    def delta(self, now: Words, base: Words, start: int, stop: int) -> bytes:
        """Return the record of ``now ^ base``, which differ from `start` to `stop`."""
        part = self._delta_words[start:stop]
        np.bitwise_xor(now[start:stop], base[start:stop], part)
        frame = self._compress(part)
        at = _HEADER_BYTES[frame[4]]
        # `_framed`, written out for small pictures: of each frame.
        first, num_before = frame[at], start * self._word_bytes
        num_after = self.size - stop * self._word_bytes
        if first & IS_LAST and self._is_small and num_before and num_after:
            head = num_before << 3 | RLE | (first ^ IS_LAST) << 32
            tail = num_after << 3 | RLE | IS_LAST
            return b"".join(
                (
                    head.to_bytes(5, "little"),
                    frame[at + 1 :],
                    tail.to_bytes(4, "little"),
                )
            )
        return self._framed(frame, (start, stop), 0, 0)

    def intra(self, now: Words, start: int, stop: int) -> bytes:
        """Return the record of `now`, uniform before `start` and from `stop` on."""
        frame = self._compress(now[start:stop])
        before, after = int(now[0]) & 255, int(now[-1]) & 255
        return self._framed(frame, (start, stop), before, after)

    def _framed(self, frame: bytes, span: Span, before: int, after: int) -> bytes:
        """Return a zstd frame of all words, without its header.

        Args:
            frame: A zstd frame of those inside `span`.
            span: Which these are.
            before: What all bytes before them are.
            after: What all bytes after them are.

        zstd takes as long for a uniform stretch as for any other, so these are written
        by hand, as RLE blocks around the blocks that zstd makes of the rest. Those
        refer to nothing outside themselves.
        """
        start, stop = span
        at = _HEADER_BYTES[frame[4]]
        head = rle_blocks(before, start * self._word_bytes)
        num_after = self.size - stop * self._word_bytes
        if not num_after:
            return head + frame[at:]
        blocks = unended_blocks(frame, at)
        return b"".join((head, blocks, rle_blocks(after, num_after, is_last=True)))


def _is_uniform(word: Any) -> bool:
    """Return whether all bytes of a word are the same."""
    one: bytes = word.tobytes()
    return one == one[:1] * len(one)
