"""The frames of a video: rows of a recording, all pictured envs in one picture.

Knows recordings. Knows nothing of video files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.clip import Clip
from rollout_viewer._frames.grid import grid, missing_picture
from rollout_viewer._recording.step_row import IDLE, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.video_segment import VideoSegment

    Frame = npt.NDArray[np.uint8]
    RowNumbers = npt.NDArray[np.int64]


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
    picture is missing or doubled.
    """
    rows = cache.recording.rows
    stop = cache.num_rows if stop is None else min(stop, cache.num_rows)
    if rows is None or start >= stop:
        return np.empty(0, np.int64)
    envs = range(cache.num_envs) if cache.is_shared else cache.pictured_envs
    kinds = rows.kinds(start, stop)[:, list(envs)]
    ends = rows.ends(start, stop)[:, list(envs)]
    is_missing = kinds == TERMINAL_MISSING
    is_pictured_end = (ends > 0) & ~is_missing & (kinds != IDLE)
    is_shown = ~is_missing.any(axis=1) | is_pictured_end.any(axis=1)
    return start + np.flatnonzero(is_shown)


def frames_of(
    cache: FrameCache, rows: RowNumbers, columns: int | None
) -> Iterator[Frame]:
    """Yield the frame of each of `rows`; all may share memory.

    Args:
        cache: The recording.
        rows: Row numbers, ascending.
        columns: Of the grid of several envs; None: the square root, rounded up.
    """
    envs = [0] if cache.is_shared else list(cache.pictured_envs)
    if len(envs) == 1:
        yield from _frames_of_one(cache, rows, envs[0])
        return
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        clip = Clip(cache, int(run[0]), int(run[-1]) + 1)
        if columns is None:
            yield from clip.frames(copy=False)
        else:
            for tiles in clip.tiles():
                yield grid(list(tiles), columns=columns)


def _frames_of_one(cache: FrameCache, rows: RowNumbers, env: int) -> Iterator[Frame]:
    # Row by row into one picture: many at once would be megabytes, which the
    # allocator does not return to the system if a thread allocated them.
    out = np.empty((1, 1, *cache.frame_size(env), 3), np.uint8)
    for row in rows.tolist():
        cache.frames(row, [env], out=out)
        is_shown = cache.is_shown(row, env)
        yield out[0, 0] if is_shown else missing_picture(*out.shape[2:4])
