"""The exact colours of frames, numbered in order of appearance, up to 256 at a time.

Frames that together have more begin another table. Knows pixels. Knows nothing of
files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

if TYPE_CHECKING:
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Indices = npt.NDArray[np.uint8]
    Codes = npt.NDArray[np.uint32]

_MAX_COLORS = 256
# Of one band: temporary arrays beside a frame are a few times this.
_BAND_PIXELS = 500_000
# Of the hash table of colours: with 16 bits, every second multiplier is free of
# collisions for 256 colours, and the table fits into a processor's cache.
_TABLE_BITS = 16


# Of a pixel's code, without its alpha.
_RGB = np.uint32(0xFFFFFF)
# Of frames with more colours, each n-th line and column shows that nearly always.
_SAMPLE_STEP = 4


class ExactColors:
    """The colours of frames, numbered in order of appearance, up to 256 in a table.

    Invariant: `_numbers` returns the number of every known colour. For an unknown one
    it returns the number of some other, so that `_known` there has another code.

    Attributes:
        num_tables: How many tables were begun.
        first_table: The colours of the first one, (n, 3).
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._table = np.zeros(1 << _TABLE_BITS, np.uint8)
        self._bands = bands_of(*size)
        self._reformatter = VideoReformatter()
        self._mask = np.empty((self._bands[0].stop, size[1]), np.bool_)
        self._index = np.empty(size, np.uint8)
        # Of all colours that there are, 16 MB; only where some frame has too many.
        self._is_there: npt.NDArray[np.bool_] | None = None
        self.num_tables = 0
        self._first: npt.NDArray[np.uint8] | None = None
        self._begin_table()

    def _begin_table(self) -> None:
        if self.num_tables == 1:
            self._first = self.table
        self.num_tables += 1
        self._known: Codes = np.empty(0, np.uint32)
        self._factor = np.uint32(1)
        self._before: Codes | None = None

    @property
    def table(self) -> npt.NDArray[np.uint8]:
        """The colours of the newest table by number, (n, 3)."""
        return self._known.view(np.uint8).reshape(-1, 4)[:, :3].copy()

    @property
    def first_table(self) -> npt.NDArray[np.uint8]:
        """The colours of the first table by number, (n, 3)."""
        return self.table if self._first is None else self._first

    def number(self, frame: Frame) -> Indices | None:
        """Return a frame as numbers in the newest table; None: it has too many colours.

        The result is valid until the next call. After None, nothing can be numbered.
        """
        if not self._index_frame(frame):
            self._begin_table()
            if not self._index_frame(frame):
                return None
        return self._index

    def fits(self, frame: Frame) -> bool:
        """Return whether a frame has at most 256 colours."""
        step = _SAMPLE_STEP
        sample = self._as_codes(frame[::step, ::step])
        if len(np.unique(sample)) > _MAX_COLORS:
            return False
        if self._is_there is None:
            self._is_there = np.zeros(1 << 24, np.bool_)
        found = 0
        for band in self._bands:
            codes = (self._as_codes(frame[band]) & _RGB).reshape(-1)
            self._is_there[codes] = True
            if band is self._bands[-1]:
                found = int(np.count_nonzero(self._is_there))
                self._is_there[codes] = False
        for band in self._bands[:-1]:
            self._is_there[(self._as_codes(frame[band]) & _RGB).reshape(-1)] = False
        return found <= _MAX_COLORS

    def _index_frame(self, frame: Frame) -> bool:
        return all(self._index_band(frame, band) for band in self._bands)

    def _index_band(self, frame: Frame, band: slice) -> bool:
        """Number the pixels of some lines; False: their colours are too many."""
        codes = self._as_codes(frame[band])
        changed = self._changed(codes)
        if changed is not None:
            codes = codes[changed]
        numbers = self._numbers(codes)
        is_new = (
            codes != self._known[numbers]
            if len(self._known)
            else np.ones(codes.shape, np.bool_)
        )
        if is_new.any():
            if not self._learn(np.unique(codes[is_new])):
                return False
            numbers = self._numbers(codes)
        if changed is None:
            self._index[band] = numbers
        else:
            self._index[changed] = numbers
        return True

    def _as_codes(self, part: Frame) -> Codes:
        """Return each pixel as one number: red, green, blue, and 255."""
        picture = av.VideoFrame.from_numpy_buffer(
            np.ascontiguousarray(part), format="rgb24"
        )
        plane: Any = self._reformatter.reformat(picture, format="rgba").planes[0]
        lines = np.frombuffer(plane, np.uint32).reshape(part.shape[0], -1)
        return lines[:, : part.shape[1]]

    def _changed(self, codes: Codes) -> npt.NDArray[np.bool_] | None:
        """Return which pixels differ from the frame before; None: take all.

        Most pixels of a rollout do not change. Of large frames none is kept.
        """
        if len(self._bands) > 1:
            return None
        before, self._before = self._before, codes
        if before is None:
            return None
        return np.not_equal(codes, before, out=self._mask)

    def _numbers(self, codes: Codes) -> Indices:
        slots = codes * self._factor
        slots >>= np.uint32(32 - _TABLE_BITS)
        # No slot is outside the table: "clip" saves the check of each.
        return self._table.take(slots, mode="clip")

    def _learn(self, new: Codes) -> bool:
        """Number new colours; False: there are more than 256 now."""
        known = np.concatenate([self._known, new])
        if len(known) > _MAX_COLORS:
            return False
        self._known = known
        rng = np.random.default_rng(0)
        while True:
            # Odd, so that multiplying maps no two colours to one.
            self._factor = np.uint32(rng.integers(1 << 31) * 2 + 1)
            slots = (known * self._factor) >> np.uint32(32 - _TABLE_BITS)
            if len(np.unique(slots)) == len(known):
                self._table[...] = 0
                self._table[slots] = np.arange(len(known), dtype=np.uint8)
                return True


def bands_of(height: int, width: int) -> list[slice]:
    """Return the lines of each band of a picture, all but the last equally high."""
    lines = max(1, _BAND_PIXELS // width)
    return [slice(top, min(top + lines, height)) for top in range(0, height, lines)]
