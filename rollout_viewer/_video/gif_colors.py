"""The exact colours of frames, numbered in order of appearance, up to 256.

Knows pixels. Knows nothing of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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


class ExactColors:
    """The colours of frames, numbered in order of appearance, up to 256.

    Invariant: `_numbers` returns the number of every known colour. For an unknown one
    it returns the number of some other, so that `_known` there has another code.

    Attributes:
        num_frames: How many frames were indexed.
        excess: The frame after these, whose colours are too many; None: none was.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._known: Codes = np.empty(0, np.uint32)
        self._table = np.zeros(1 << _TABLE_BITS, np.uint8)
        self._factor = np.uint32(1)
        self._bands = bands_of(*size)
        self._reformatter = VideoReformatter()
        self._before: Codes | None = None
        self._mask = np.empty((self._bands[0].stop, size[1]), np.bool_)
        self._index = np.empty(size, np.uint8)
        self.num_frames = 0
        self.excess: Frame | None = None

    @property
    def palette(self) -> npt.NDArray[np.uint8]:
        """The colours by number, (256, 3); black after the last."""
        palette = np.zeros((_MAX_COLORS, 3), np.uint8)
        rgb = self._known.view(np.uint8).reshape(-1, 4)[:, :3]
        palette[: len(self._known)] = rgb
        return palette

    def indexed(self, frames: Iterable[Frame]) -> Iterator[Any]:
        """Yield the frames as numbers of colours, until these are too many."""
        # The encoder only compares the palette with the first frame's.
        colors = np.zeros((_MAX_COLORS, 4), np.uint8)
        colors[:, 0] = 255
        for frame in frames:
            for band in self._bands:
                if not self._index_band(frame, band):
                    self.excess = frame
                    return
            self.num_frames += 1
            yield av.VideoFrame.from_ndarray(
                cast("Any", (self._index, colors)), format="pal8"
            )

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
