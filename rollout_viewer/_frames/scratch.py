"""The pixels of one frame as one compressed record, in buffers that are reused.

Compares and xors frames, and writes stretches of one value as RLE blocks by hand.
Knows nothing of chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from rollout_viewer._frames.zstd_blocks import rle_blocks, unended_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    # A frame's bytes as words of 8 or 1 bytes, and a range (start, stop) of them.
    Words = npt.NDArray[Any]
    Span = tuple[int, int]


# Level 1 with a table that stays in the processor's nearest cache: 6 % smaller than
# level -1 over nine environments, at its speed.
_LEVEL, _HASH_LOG = 1, 13


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
        self._delta = np.empty(self.size, np.uint8)
        # numpy compares and xors words faster than bytes.
        self._word: Any = np.uint64 if self.size % 8 == 0 else np.uint8
        self._word_bytes = np.dtype(self._word).itemsize
        self._delta_words = self._delta.view(self._word)
        # The same memory twice: bytearray.find() finds the first change fastest.
        self._flags = bytearray(len(self._delta_words))
        self._is_changed = np.frombuffer(self._flags, np.bool_)
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
        """Memory of the buffers, in bytes."""
        return 2 * self.size + len(self._flags)

    def words(self, frame: Frame) -> Words:
        """Return a view of a contiguous frame that is fast to compare."""
        return frame.reshape(-1).view(self._word)

    # -- comparing

    def changed(self, now: Words, before: Any) -> Span:
        """Return the range of words in which `now` differs; empty if it does not.

        Args:
            now: From `words()`.
            before: The same, or one word to compare all with.
        """
        np.not_equal(now, before, out=self._is_changed)
        start = self._flags.find(1)
        return (start, self._flags.rfind(1) + 1) if start >= 0 else (0, 0)

    def content(self, now: Words) -> Span:
        """Return the range of words between a uniform top and a uniform bottom.

        Uniform is a stretch of one byte value, as the background of many pictures.
        All words, if there is nothing else or no such stretch.
        """
        start, stop = 0, len(now)
        if _is_uniform(now[0]):
            start = self.changed(now, now[0])[0]
        if _is_uniform(now[-1]):
            stop = self.changed(now, now[-1])[1]
        return (start, stop) if start < stop else (0, len(now))

    # -- compressing

    def delta(self, now: Words, base: Words, span: Span) -> bytes:
        """Return the record of ``now ^ base``, which differ inside `span` only."""
        part = slice(*span)
        np.bitwise_xor(now[part], base[part], out=self._delta_words[part])
        return self._record(self._delta_words, span, 0, 0)

    def intra(self, now: Words, span: Span) -> bytes:
        """Return the record of `now`, which is uniform before and after `span`."""
        return self._record(now, span, int(now[0]) & 255, int(now[-1]) & 255)

    def _record(self, words: Words, span: Span, before: int, after: int) -> bytes:
        """Return a zstd frame of all words, without its header.

        Outside `span` all bytes are `before` or `after`. zstd takes as long
        for a uniform stretch as for any other, so these are written by hand, as RLE
        blocks around the blocks that zstd makes of the rest. Those refer to nothing
        outside themselves.
        """
        first, end = span
        frame = self._compressor.compress(words[first:end].data)
        assert frame[4] & 0x20, "zstd wrote no single segment"
        header = 5 + (1, 2, 4, 8)[frame[4] >> 6]
        head = rle_blocks(before, first * self._word_bytes)
        num_after = self.size - end * self._word_bytes
        if not num_after:
            return head + frame[header:]
        blocks = unended_blocks(frame, header)
        return b"".join((head, blocks, rle_blocks(after, num_after, is_last=True)))


def _is_uniform(word: Any) -> bool:
    """Return whether all bytes of a word are the same."""
    one: bytes = word.tobytes()
    return one == one[:1] * len(one)
