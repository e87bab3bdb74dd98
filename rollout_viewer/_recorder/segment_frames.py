"""The frames of a video: rows of a recording, all pictured envs in one picture.

Knows recordings. Knows nothing of video files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.clip import Clip
from rollout_viewer._frames.grid import grid, missing_picture
from rollout_viewer._frames.transform import resize
from rollout_viewer._recording.slot import box_of
from rollout_viewer._recording.step_row import IDLE, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.video_segment import VideoSegment

    Frame = npt.NDArray[np.uint8]
    RowNumbers = npt.NDArray[np.int64]


# Of the pictures that are decoded at once: a large one, or several small ones, since
# a call takes as long as decoding a small one.
_DECODED_BYTES = 1_000_000


class SegmentFrames(Sequence[Any]):
    """The frames of a segment, decoded as they are read; reads like a list of them."""

    def __init__(self, cache: FrameCache, segment: VideoSegment | None) -> None:
        self._cache = cache
        self._rows: RowNumbers = np.empty(0, np.int64)
        if segment is not None:
            self._rows = shown_rows(cache, segment.start, segment.stop)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(self._rows[index])
        return next(self._cache.clip(row, row + 1).frames())


def shown_rows(cache: FrameCache, start: int, stop: int | None = None) -> RowNumbers:
    """Return the rows that are frames of a video.

    These are all rows except those in which envs ended without a terminal picture:
    everything else that is new in such a row is repeated by the next one, so that no
    picture is missing or doubled. Nor are rows in which no pictured env did anything,
    as where others were reset.
    """
    rows = cache.recording.rows
    stop = cache.num_rows if stop is None else min(stop, cache.num_rows)
    if rows is None or start >= stop:
        return np.empty(0, np.int64)
    # Where pictures are rendered later, there may be none yet.
    is_all = cache.is_shared or not cache.pictured_envs
    envs = range(cache.num_envs) if is_all else cache.pictured_envs
    kinds = rows.kinds(start, stop)[:, list(envs)]
    ends = rows.ends(start, stop)[:, list(envs)]
    is_missing = kinds == TERMINAL_MISSING
    is_pictured_end = (ends > 0) & ~is_missing & (kinds != IDLE)
    is_shown = ~is_missing.any(axis=1) | is_pictured_end.any(axis=1)
    is_shown &= (kinds != IDLE).any(axis=1)
    return start + np.flatnonzero(is_shown)


class VideoFrames:
    """The frames of a video, all of the size that the first one has.

    An env whose pictures change their size during the video is fitted into its cell:
    centred, smaller or larger, with its aspect kept.

    Args:
        cache: The recording.
        columns: Of the grid of several envs; None: the square root, rounded up.

    Attributes:
        num_fitted: Pictures that were fitted so far.
    """

    def __init__(self, cache: FrameCache, columns: int | None) -> None:
        self._cache = cache
        self._columns = columns
        self.num_fitted = 0
        # Env -> (height, width) of its picture in the first frame.
        self._sizes: dict[int, tuple[int, int]] = {}
        self._cell = 0, 0
        # Size -> room for the pictures of some rows.
        self._buffers: dict[tuple[int, int], Frame] = {}

    def of(self, rows: RowNumbers) -> Iterator[Frame]:
        """Yield the frame of each of `rows`, ascending; all may share memory."""
        if not self._sizes:
            cache, first = self._cache, int(rows[0])
            envs = [0] if cache.is_shared else list(cache.pictured_envs)
            self._sizes = {env: cache.frame_size(env, row=first) for env in envs}
            self._cell = box_of(self._sizes.values())
        if len(self._sizes) == 1:
            yield from self._frames_of_one(rows)
            return
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            chosen = None if self._cache.is_shared else list(self._sizes)
            clip = Clip(self._cache, int(run[0]), int(run[-1]) + 1, chosen)
            clip = clip.every_row()  # that none is left out is decided by `shown_rows`
            is_same = all(clip.sizes[e] == [s] for e, s in self._sizes.items())
            if is_same and self._columns is None:
                yield from clip.frames(copy=False)
            else:
                for tiles in clip.rows_of_tiles():
                    yield self._grid(tiles)

    def _grid(self, tiles: Sequence[Frame]) -> Frame:
        fitted = [
            self._fit(tile, size)
            for tile, size in zip(tiles, self._sizes.values(), strict=True)
        ]
        return grid(fitted, cell=self._cell, columns=self._columns)

    def _frames_of_one(self, rows: RowNumbers) -> Iterator[Frame]:
        ((env, first),) = self._sizes.items()
        if self._cache.sizes_in(int(rows[0]), int(rows[-1]) + 1, env) == [first]:
            yield from self._frames_of_size(rows, env, first)
            return
        for row in rows.tolist():
            size = self._cache.frame_size(env, row=row)
            for picture in self._frames_of_size(np.array([row]), env, size):
                yield picture if size == first else self._grid([picture])

    def _frames_of_size(
        self, rows: RowNumbers, env: int, size: tuple[int, int]
    ) -> Iterator[Frame]:
        # Some at once into the same memory: new memory would be megabytes, which the
        # allocator does not return to the system if a thread allocated them.
        (first,) = self._sizes.values()
        num_at_once = max(1, _DECODED_BYTES // math.prod((*size, 3)))
        if size not in self._buffers:
            # Of two sizes at most: the video's, and another one.
            usual = {one: self._buffers[one] for one in self._buffers if one == first}
            other = np.empty((num_at_once, 1, *size, 3), np.uint8)
            self._buffers = {**usual, size: other}
        for at in range(0, len(rows), num_at_once):
            some = rows[at : at + num_at_once]
            start, stop = int(some[0]), int(some[-1]) + 1
            pictures = self._buffers[size][: len(some)]
            self._cache.frames(some.tolist(), [env], out=pictures)
            is_shown = self._cache.shown(start, stop, [env])[some - start, 0]
            for index, picture in enumerate(pictures[:, 0]):
                yield picture if is_shown[index] else missing_picture(*size)

    def _fit(self, tile: Frame, size: tuple[int, int]) -> Frame:
        """Return a tile as large as its cell allows, if it has not its first size."""
        height, width = tile.shape[:2]
        if (height, width) == size:
            return tile
        self.num_fitted += 1
        scale = min(self._cell[0] / height, self._cell[1] / width)
        fitted = max(1, round(height * scale)), max(1, round(width * scale))
        return resize(tile, fitted)
