"""A selection: rows x envs of a recording, from one camera, without idle rows.

Everything that leaves a recording leaves through here: exporters and loggers read
grids, tiles or a table row by row, so that a long selection is never whole in memory.
Knows a recording's reader and frames. Knows nothing of files; `Clip` adds those.
"""

from __future__ import annotations

import functools
import math
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import (
    ExportTooLargeError,
    RowError,
    requires,
)
from rollout_viewer._export.table import Table
from rollout_viewer._export.tile_rows import TileRows
from rollout_viewer._frames.grid import grid, grid_shape, put_centred
from rollout_viewer._recording.checked_numbers import (
    checked_env_numbers,
    checked_number,
)
from rollout_viewer._recording.slot import box_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    import numpy.typing as npt
    import torch

    from rollout_viewer._recording.reader import RecordingReader

    Frame = npt.NDArray[np.uint8]
    RowNumbers = npt.NDArray[np.int64]

# What may become one tensor: beyond it, a notebook's kernel is soon killed.
MAX_TENSOR_BYTES = 4_000_000_000
# Grids from here on are drawn tile by tile.
_LARGE_BYTES = 8_000_000


@dataclass(frozen=True, init=False, eq=False)
class Selection:
    """Rows `start` to `stop` of some envs of a recording; immutable.

    Without those in which none of its envs did anything: an env whose worker sends
    nothing for a while is idle meanwhile, in the middle of an episode too. `rows` are
    those that are left, one for each frame; if all are idle, all are kept.

    Invariant: its rows, envs and camera were there when it was made, so reading it
    fails only if the recording's file does.

    Args:
        cache: The recording.
        start: First row.
        stop: Row after the last one.
        envs: In the order of their tiles. None: all, so that tables are complete;
            those without pictures have no tile.
        camera: None: the first one.

    Attributes:
        cache, start, stop, envs, camera: As above, resolved; `camera` is None in a
            recording without pictures.

    Raises:
        RowError: The range is empty, or rows, envs or camera are not there.
        TypeError: Rows or envs are no whole numbers.

    Example:
        >>> from rollout_viewer import FrameCache
        >>> cache = FrameCache()
        >>> for level in range(3):
        ...     _ = cache.append(np.full((5, 8, 8, 3), level, np.uint8))
        >>> clip = cache.clip(1, 3)
        >>> [frame.shape for frame in clip.frames()]
        [(16, 24, 3), (16, 24, 3)]
    """

    cache: RecordingReader
    start: int
    stop: int
    envs: tuple[int, ...]
    camera: str | None
    # Whether idle rows are among its `rows`; no field.
    _has_every_row = False

    def __init__(
        self,
        cache: RecordingReader,
        start: int = 0,
        stop: int | None = None,
        envs: Sequence[int] | None = None,
        camera: str | None = None,
    ) -> None:
        num_rows = cache.num_rows
        start = checked_number("Clip", "start", start)
        stop = num_rows if stop is None else checked_number("Clip", "stop", stop)
        if not num_rows and cache.is_live and not cache.recording.is_mine:
            raise RowError(f"Clip: expected recorded rows, {cache.why_empty}")
        if not 0 <= start < stop <= num_rows:
            raise RowError(
                f"Clip: expected 0 <= start < stop <= {num_rows} (the rows recorded), "
                f"got start={start!r}, stop={stop!r}. Record first, or choose rows "
                "that are there."
            )
        chosen = _choose_envs(cache, envs)
        if camera is not None and camera not in cache.cameras:
            raise RowError(
                f"Clip: expected a camera in {cache.cameras}, got {camera!r}. "
                "Choose one of them."
            )
        camera = camera or next(iter(cache.cameras), None)
        values = (cache, start, stop, chosen, camera)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)
        _ = self.rows  # now: the recording may be cleared
        # What a clip shows stays, whatever the recording's disk_bytes.
        unpin = cache.pin(self.start, self.stop, self.envs)
        weakref.finalize(self, unpin).atexit = False

    @functools.cached_property
    def rows(self) -> RowNumbers:
        """The rows of the frames, ascending, int64 (num_rows,).

        Of `start` to `stop` those in which an env of the clip was not idle. Envs that
        share one picture have a frame where any env of the recording was not idle, or
        where the picture is another one.
        """
        cache = self.cache
        known = cache.recording.rows
        assert known is not None  # there are rows
        shared = [
            slot.env
            for slot in cache.recording.slots
            if slot.is_shared and slot.camera == self.camera
        ]
        found = known.active_rows(self.start, self.stop, None if shared else self.envs)
        if shared and len(found) < self.stop - self.start:
            idle = np.setdiff1d(np.arange(self.start, self.stop), found).tolist()
            is_new = [self._has_new_picture(row, shared[0]) for row in idle]
            found = np.union1d(found, np.array(idle)[is_new])
        if not len(found):
            found = np.arange(self.start, self.stop)
        found.flags.writeable = False  # the clip's own
        return found

    def _has_new_picture(self, row: int, env: int) -> bool:
        """Whether a row has another picture of an env than the row before it."""
        if not row:
            return True
        frames = self.cache.frames
        before = frames(row - 1, [env], self.camera)
        return not np.array_equal(before, frames(row, [env], self.camera))

    @property
    def num_rows(self) -> int:
        """How many `rows`, which is the number of frames."""
        return len(self.rows)

    @property
    def fps(self) -> float:
        """Rows a second when played: the recording's."""
        return self.cache.fps

    @property
    def tile_envs(self) -> tuple[int, ...]:
        """The envs that have a tile: those with pictures; one if they share one."""
        if self.cache.is_shared:
            return (0,)
        pictured = set(self.cache.pictured_envs)
        return tuple(env for env in self.envs if env in pictured)

    @property
    def shown_envs(self) -> tuple[int, ...]:
        """The envs that the pictures are of: all, if they share one."""
        return self.envs if self.cache.is_shared else self.tile_envs

    @functools.cached_property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) in pixels of a cell: it holds all pictures of the clip.

        Raises:
            RowError: No env of the clip has pictures.
        """
        return box_of(size for sizes in self._tiles.sizes.values() for size in sizes)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the frames, which are grids of tiles.

        Raises:
            RowError: No env of the clip has pictures.
        """
        height, width = self.tile_size
        rows, columns = grid_shape(len(self.tile_envs))
        return rows * height, columns * width

    @property
    def sizes(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        """Env with a tile -> each (height, width) of its pictures in the clip."""
        return self._tiles.sizes

    # -- pictures

    def rows_of_tiles(self) -> Iterator[list[Frame]]:
        """Give the pictures of each of `rows`, valid until the next.

        Each is in its own size; missing pictures are hatched.
        """
        return iter(self._tiles)

    def frames(self, *, copy: bool = True) -> Iterator[Frame]:
        """Give one picture for each of `rows`: its tiles in a grid.

        The grid has ``ceil(sqrt(n))`` columns and cells of the largest picture in the
        clip; smaller tiles are centred, missing pictures hatched; so are those that are
        damaged in the file, with one warning.

        Args:
            copy: False gives the same array every time, filled anew; a large grid
                is then several times faster.

        Yields:
            uint8 (H, W, 3).

        Raises:
            RowError: No env of the clip has pictures.
        """
        out: Frame | None = None
        if math.prod(self.frame_size) * 3 > _LARGE_BYTES and len(self.tile_envs) > 1:
            yield from self._large_frames(copy=copy)
            return
        cell = self.tile_size
        for tiles in self._tiles:
            is_whole = len(tiles) == 1 and tiles[0].shape[:2] == cell
            if copy:
                yield np.array(tiles[0]) if is_whole else grid(tiles, cell=cell)
            elif is_whole:
                yield tiles[0]
            else:
                out = grid(tiles, cell=cell, out=out)
                yield out

    def tiles(self) -> Iterator[Frame]:
        """Give the tiles of each of `rows`, uint8 (n, H, W, 3), n as in `tile_envs`.

        Raises:
            RowError: No env of the clip has pictures.
        """
        height, width = self.tile_size
        for tiles in self._tiles:
            cells = np.zeros((len(tiles), height, width, 3), np.uint8)
            for cell, tile in zip(cells, tiles, strict=True):
                put_centred(tile, cell)
            yield cells

    def to_tensor(self, *, max_bytes: int = MAX_TENSOR_BYTES) -> torch.Tensor:
        """Return the whole clip as a torch tensor, uint8 (1, T, C, H, W).

        Raises:
            MissingDependencyError: torch is not installed.
            ExportTooLargeError: It would take more than `max_bytes` of memory.
            RowError: No env of the clip has pictures.
        """
        with requires("Clip.to_tensor", "torch"):
            import torch

        height, width = self.frame_size
        num_bytes = self.num_rows * height * width * 3
        if num_bytes > max_bytes:
            raise ExportTooLargeError(
                f"Clip.to_tensor: expected at most {max_bytes / 1e9:g} GB, got "
                f"{num_bytes / 1e9:.3g} GB ({self.num_rows} frames of {width}x{height})"
                ". Choose fewer rows or envs, write a file (clip.write('x.mp4') takes "
                "any length), or pass max_bytes=."
            )
        video = torch.empty((1, self.num_rows, 3, height, width), dtype=torch.uint8)
        for index, frame in enumerate(self.frames(copy=False)):
            video[0, index] = torch.from_numpy(frame).permute(2, 0, 1)
        return video

    @functools.cached_property
    def _tiles(self) -> TileRows:
        self.cache.prepare_pictures(self.start, self.stop, self.envs, self.camera)
        if not self.tile_envs:
            raise RowError(
                f"Clip: expected an env with pictures, got none of {list(self.envs)}. "
                "Choose from cache.pictured_envs, or write the table (.csv)."
            )
        rows = self.rows.tolist()
        return TileRows(self.cache, rows, self.tile_envs, self.camera)

    def _large_frames(self, *, copy: bool) -> Iterator[Frame]:
        """Give grids that are drawn tile by tile: no row of tiles is held beside."""
        height, width = self.tile_size
        shape = (*self.frame_size, 3)
        columns = grid_shape(len(self.tile_envs))[1]
        has_margins = any(s != [self.tile_size] for s in self._tiles.sizes.values())
        out = np.zeros(shape, np.uint8)
        spare: dict[tuple[int, int], Frame] = {}
        for row in self.rows.tolist():
            if copy and row > self.rows[0]:
                out = np.zeros(shape, np.uint8)
            elif has_margins:
                out[...] = 0  # onto which the caller may have drawn
            for index, tile in enumerate(self._tiles.one_by_one(row, spare)):
                line, column = divmod(index, columns)
                top, left = line * height, column * width
                put_centred(tile, out[top : top + height, left : left + width])
            yield out

    # -- step data

    def table(self) -> dict[str, npt.NDArray[Any]]:
        """Return the step data by column, a line for each of `rows` and each env.

        Columns: row, env, kind, episode, episode_step, reward, total_reward,
        terminated, truncated, is_repeated (only where the picture of some row is an
        earlier row's), the action chosen at the row, and what was recorded as
        `data`; an array of up to 32 numbers has a column for each (``obs.0``), and
        `data` called like another column has ``data.`` before its name.
        Numbers that are missing, or damaged in the file, are NaN; damage is reported
        by one warning.
        """
        return self.step_table().whole()

    def step_table(self) -> Table:
        """Return the same step data, to be read some rows at a time."""
        return Table(
            self.cache, self.start, self.stop, self.envs, self.camera, self.rows
        )

    def num_rows_in(self, start: int, stop: int) -> int:
        """Return how many of `rows` are in ``start..stop``."""
        first, last = np.searchsorted(self.rows, [start, stop])
        return int(last - first)

    def spaced_rows(self, count: int) -> list[int]:
        """Return up to `count` of `rows`, evenly spaced, the first and the last too."""
        count = min(count, self.num_rows)
        # From `start`: halves are rounded as of a clip of all its rows.
        spaced = np.linspace(self.start, self.start + self.num_rows - 1, count)
        rows: list[int] = self.rows[spaced.round().astype(int) - self.start].tolist()
        return rows

    # -- parts

    def part(
        self,
        start: int | None = None,
        stop: int | None = None,
        envs: Sequence[int] | None = None,
    ) -> Self:
        """Return rows and envs of the same recording and camera; None: as here."""
        part = type(self)(
            self.cache,
            self.start if start is None else start,
            self.stop if stop is None else stop,
            self.envs if envs is None else envs,
            self.camera,
        )
        return part._with_every_row() if self._has_every_row else part

    def every_row(self) -> Self:
        """Return the same clip with all rows of `start` to `stop`, idle ones too."""
        return self.part()._with_every_row()

    def _with_every_row(self) -> Self:
        rows = np.arange(self.start, self.stop)
        rows.flags.writeable = False
        self.__dict__.update(rows=rows, _has_every_row=True)
        return self

    def one_row(self, row: int) -> Self:
        """Return a row of this clip, in frames of the size that this clip's have."""
        part = self.part(row, row + 1)
        part.__dict__["tile_size"] = self.tile_size
        return part

    def __len__(self) -> int:
        return self.num_rows


def _choose_envs(cache: RecordingReader, envs: Sequence[int] | None) -> tuple[int, ...]:
    num_envs = cache.num_envs
    if envs is None:
        return tuple(range(num_envs))
    chosen = tuple(checked_env_numbers("Clip", envs))
    is_there = all(0 <= env < num_envs for env in chosen)
    if not chosen or not is_there or len(set(chosen)) < len(chosen):
        raise RowError(
            f"Clip: expected different envs in 0..{num_envs - 1}, got {list(chosen)}. "
            "Choose envs that were recorded, each once."
        )
    return chosen
