"""A clip: an immutable selection of a recording, rows x envs, from one camera.

Everything that leaves a recording leaves through here: exporters and loggers ask a
clip for grids, tiles or a table, and it reads the rows as they are asked for, so
that a long clip is never whole in memory.
Knows a cache's reading side and frames. Knows nothing of files (`write` and `dump`
hand over to `_export`).
"""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rollout_viewer._errors import ExportTooLargeError, RowError, requires
from rollout_viewer._export.table import Table
from rollout_viewer._frames.grid import grid, grid_shape, missing_picture

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import torch
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._progress import Progress
    from rollout_viewer._recording.query import Moment

    Frame = npt.NDArray[np.uint8]

# What may become one tensor: beyond it, a notebook's kernel is soon killed.
MAX_TENSOR_BYTES = 4_000_000_000
# Read at once: whole chunks of small pictures, single rows of large ones.
_WINDOW_BYTES = 4_000_000
_WINDOW_ROWS = 32
# Grids from here on are drawn tile by tile.
_LARGE_BYTES = 8_000_000


@dataclass(frozen=True, init=False, eq=False)
class Clip:
    """Rows `start` to `stop` of some envs of a recording. Made by `FrameCache.clip`.

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

    Example:
        >>> from rollout_viewer._cache import FrameCache
        >>> cache = FrameCache()
        >>> for level in range(3):
        ...     _ = cache.append(np.full((5, 8, 8, 3), level, np.uint8))
        >>> clip = cache.clip(1, 3)
        >>> [frame.shape for frame in clip.frames()]
        [(16, 24, 3), (16, 24, 3)]
    """

    cache: FrameCache
    start: int
    stop: int
    envs: tuple[int, ...]
    camera: str | None

    def __init__(
        self,
        cache: FrameCache,
        start: int = 0,
        stop: int | None = None,
        envs: Sequence[int] | None = None,
        camera: str | None = None,
    ) -> None:
        num_rows = cache.num_rows
        stop = num_rows if stop is None else stop
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
        values = (cache, int(start), int(stop), chosen, camera)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)
        # What a clip shows stays, whatever the recording's disk_bytes.
        unpin = cache.pin(self.start, self.stop, self.envs)
        weakref.finalize(self, unpin).atexit = False

    @property
    def num_rows(self) -> int:
        """Rows, which is the number of frames."""
        return self.stop - self.start

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

    @property
    def tile_size(self) -> tuple[int, int]:
        """(height, width) in pixels of a cell: of the largest env.

        Raises:
            RowError: No env of the clip has pictures.
        """
        sizes = list(self._sizes().values())
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    @property
    def frame_size(self) -> tuple[int, int]:
        """(height, width) in pixels of the frames, which are grids of tiles.

        Raises:
            RowError: No env of the clip has pictures.
        """
        height, width = self.tile_size
        rows, columns = grid_shape(len(self.tile_envs))
        return rows * height, columns * width

    # -- pictures

    def frames(self, *, copy: bool = True) -> Iterator[Frame]:
        """Give one picture a row: its tiles in a grid, row by row.

        The grid has ``ceil(sqrt(n))`` columns and cells of the largest env; smaller
        tiles are centred, missing pictures hatched.

        Args:
            copy: False gives the same array every time, filled anew; a large grid
                is then several times faster.

        Yields:
            uint8 (H, W, 3).

        Raises:
            RowError: No env of the clip has pictures.
            RecordingError: The file is damaged in a row.
        """
        out: Frame | None = None
        if math.prod(self.frame_size) * 3 > _LARGE_BYTES and len(self.tile_envs) > 1:
            yield from self._large_frames(copy=copy)
            return
        for tiles in self._rows_of_tiles():
            if copy:
                yield np.array(tiles[0]) if len(tiles) == 1 else grid(tiles)
            elif len(tiles) == 1:
                yield tiles[0]
            else:
                out = grid(tiles, out=out)
                yield out

    def tiles(self) -> Iterator[Frame]:
        """Give the tiles of each row, uint8 (n, H, W, 3), n as in `tile_envs`.

        Raises:
            RowError: No env of the clip has pictures.
            RecordingError: The file is damaged in a row.
        """
        height, width = self.tile_size
        for tiles in self._rows_of_tiles():
            cells = np.zeros((len(tiles), height, width, 3), np.uint8)
            for cell, tile in zip(cells, tiles, strict=True):
                top, left = (height - tile.shape[0]) // 2, (width - tile.shape[1]) // 2
                cell[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
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

    def _sizes(self) -> dict[int, tuple[int, int]]:
        sizes = {env: self.cache.frame_size(env, self.camera) for env in self.tile_envs}
        if not sizes:
            raise RowError(
                f"Clip: expected an env with pictures, got none of {list(self.envs)}. "
                "Choose from cache.pictured_envs, or write the table (.csv)."
            )
        return sizes

    def _rows_of_tiles(self) -> Iterator[list[Frame]]:
        """Give the tiles of each row; they are valid until the next is asked for."""
        sizes = self._sizes()
        groups: dict[tuple[int, int], list[int]] = {}
        for env, size in sizes.items():
            groups.setdefault(size, []).append(env)
        row_bytes = sum(height * width * 3 for height, width in sizes.values())
        count = max(1, min(_WINDOW_ROWS, self.num_rows, _WINDOW_BYTES // row_bytes))
        # One buffer for each size: fresh memory costs more than what is put there.
        buffers = {
            (height, width): np.empty((count, len(envs), height, width, 3), np.uint8)
            for (height, width), envs in groups.items()
        }
        for start in range(self.start, self.stop, count):
            rows = range(start, min(start + count, self.stop))
            for window in self._read(rows, groups, buffers):
                for index, row in enumerate(window):
                    yield [
                        self._tile(row, env, buffers[size][index], groups[size])
                        for env, size in sizes.items()
                    ]

    def _large_frames(self, *, copy: bool) -> Iterator[Frame]:
        """Give grids that are drawn tile by tile: no row of tiles is held beside."""
        sizes = self._sizes()
        height, width = self.tile_size
        shape = (*self.frame_size, 3)
        columns = grid_shape(len(sizes))[1]
        tiles = {size: np.empty((1, 1, *size, 3), np.uint8) for size in sizes.values()}
        out = np.zeros(shape, np.uint8)
        for row in range(self.start, self.stop):
            if copy and row > self.start:
                out = np.zeros(shape, np.uint8)
            elif len(tiles) > 1:
                out[...] = 0  # margins, onto which somebody may have drawn
            for index, (env, size) in enumerate(sizes.items()):
                tile = tiles[size]
                self.cache.frames([row], [env], self.camera, tile)
                top = index // columns * height + (height - size[0]) // 2
                left = index % columns * width + (width - size[1]) // 2
                picture = self._shown(row, env, tile[0, 0])
                out[top : top + size[0], left : left + size[1]] = picture
            yield out

    def _read(
        self,
        rows: range,
        groups: Mapping[tuple[int, int], list[int]],
        buffers: Mapping[tuple[int, int], npt.NDArray[np.uint8]],
    ) -> Iterator[range]:
        """Fill the buffers with `rows`; where one fails, give those before it first."""
        windows = [rows]
        while windows:
            window = windows.pop(0)
            try:
                for size, envs in groups.items():
                    out = buffers[size][: len(window)]
                    self.cache.frames(window, envs, self.camera, out)
            except Exception:
                if len(window) == 1:
                    raise
                # Whoever counts the frames then knows which row it was.
                windows = [range(row, row + 1) for row in window]
                continue
            yield window

    def _tile(self, row: int, env: int, tiles: Frame, envs: list[int]) -> Frame:
        return self._shown(row, env, tiles[envs.index(env)])

    def _shown(self, row: int, env: int, tile: Frame) -> Frame:
        is_shown = self.cache.is_shown(row, env, self.camera)
        return tile if is_shown else missing_picture(*tile.shape[:2])

    # -- step data

    def table(self) -> dict[str, npt.NDArray[Any]]:
        """Return the step data by column, a line for each row and env.

        Columns: row, env, kind, episode, episode_step, reward, total_reward,
        terminated, truncated, the action chosen at the row, and what was recorded as
        `data`; an array of up to 32 numbers has a column for each (``obs.0``), and
        `data` called like another column has ``data.`` before its name.
        Numbers that are missing are NaN.

        Raises:
            RecordingError: The file is damaged.
        """
        return self._table().whole()

    def _table(self) -> Table:
        return Table(self.cache, self.start, self.stop, self.envs)

    # -- leaving

    def figure(
        self,
        rows: Sequence[int] | None = None,
        n: int = 8,
        ax: Axes | None = None,
        *,
        kind: Literal["strip", "overlay", "return"] = "strip",
    ) -> Figure:
        """Draw the clip for a paper.

        Args:
            rows: Rows of the recording whose frames are shown. None: `n` of the
                clip, evenly spaced, first and last included.
            n: How many frames.
            ax: Where to draw. None: a new figure, as wide as a page, that pyplot
                does not hold.
            kind: ``"strip"``: frames side by side, step and reward under each.
                ``"overlay"``: all frames in one picture, the later the stronger
                (what does not move is shown once). ``"return"``: the total reward
                over the rows, a line for each env, with the frames above it.

        Returns:
            A matplotlib figure: ``clip.figure().savefig("strip.pdf")``, or ``.svg``.

        Raises:
            ValueError: `kind` is none of these, or `n` is below one.
            RowError: A row is not in the clip, or no env of it has pictures.
        """
        from rollout_viewer._export.figure import draw

        return draw(self, kind, rows, n, ax)

    def write(
        self,
        path: str | os.PathLike[str],
        *,
        fps: float | None = None,
        layout: Literal["grid", "tiles", "episodes"] = "grid",
        quality: Literal["normal", "high", "lossless"] = "normal",
        speed: float = 1.0,
        order: Literal["env", "return"] = "env",
        labels: bool | Callable[[Moment], object] = False,
        overwrite: bool = False,
        options: Mapping[str, Any] | None = None,
        on_progress: Progress | None = None,
        cancel: Callable[[], bool] | threading.Event | None = None,
    ) -> list[Path]:
        """Write the clip to files; the suffix decides what they are.

        Frame n of a video is frame n of the clip: none is dropped or repeated.

        Args:
            path: ``.mp4``, ``.webm`` or ``.gif`` (video); ``.png`` (one row, or a
                strip of eight; by episodes a contact sheet with returns); ``.pt`` and
                ``.memmap`` (uint8 (1, T, C, H, W), as TorchRL's CSVLogger writes
                them), ``.npz`` (``frames`` and the table's columns); ``.csv`` and
                ``.parquet`` (the table); ``.html`` (the viewer in a file). Videos,
                ``.gif``, ``.png`` and ``.parquet`` say in their metadata where they
                come from.
            fps: Frames a second. None: the recording's.
            layout: ``"grid"``: one file. ``"tiles"``: one for each env,
                ``<stem>_env<i>``. ``"episodes"``: one for each episode,
                ``<stem>_ep<k>_env<i>``.
            quality: Of mp4 and webm. ``"normal"`` plays everywhere, ``"high"`` keeps
                the colours of single pixels, ``"lossless"`` is exact; the last two
                are refused by some players.
            speed: 2.0 shows twice as many frames a second.
            order: Of the tiles: ``"env"`` as selected, ``"return"`` the highest total
                reward within the clip first.
            labels: Write env, episode, step, total reward and action on each tile,
                or what a function makes of ``cache.at(row, env)``.
            overwrite: Replace files. Else a name that is taken gets ``-1``, ...
            options: For the video encoder, as ffmpeg names them
                (``{"crf": 18, "preset": "slow"}``), and ``codec``, ``pixel_format``.
            on_progress: Called with (rows done, rows in all), from this thread; or
                a tqdm bar, which is moved on: ``on_progress=tqdm()``.
            cancel: Asked before each row: a function, or an event that is set.

        Returns:
            The files, complete.

        Raises:
            ValueError: The suffix or an option is none of the above.
            RowError: No env of the clip has pictures.
            ExportCancelled: `cancel` said so; no file of this call is left.
            ExportTooLargeError: ``.pt`` and ``.npz``, which are loaded whole, would be
                larger than 4 GB.
            ExportError: A row could not be read or written; the message names it, and
                no file of this call is left.
            MissingDependencyError: ``.parquet`` needs pyarrow, ``.pt`` torch.
        """
        from rollout_viewer._export.write import write_clip

        return write_clip(
            self,
            path,
            fps=fps,
            layout=layout,
            quality=quality,
            speed=speed,
            order=order,
            labels=labels,
            overwrite=overwrite,
            options=options,
            on_progress=on_progress,
            cancel=cancel,
        )

    def dump(
        self,
        logger: Any,
        tag: str,
        step: int | None = None,
        *,
        formats: Sequence[str] | str | None = None,
    ) -> list[Path]:
        """Hand the clip to a logger.

        Args:
            logger: One of `rollout_viewer.loggers`, of TorchRL's, or anything with
                ``log_video(tag, tensor, step=step)``.
            tag: Its name there.
            step: Of the training; None: the logger counts.
            formats: Any of those that `write` takes, without the dot. None: the
                logger's own video format.

        Returns:
            The files, as far as the logger tells them.

        Raises:
            ExportError: It failed.
        """
        from rollout_viewer._export.dump import dump_clip

        return dump_clip(self, logger, tag, step=step, formats=formats)

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return (
            f"<Clip of rows {self.start}..{self.stop - 1}, {len(self.envs)} envs, "
            f"{self.cache.path}>"
        )


def _choose_envs(cache: FrameCache, envs: Sequence[int] | None) -> tuple[int, ...]:
    num_envs = cache.num_envs
    if envs is None:
        return tuple(range(num_envs))
    chosen = tuple(int(env) for env in envs)
    is_there = all(0 <= env < num_envs for env in chosen)
    if not chosen or not is_there or len(set(chosen)) < len(chosen):
        raise RowError(
            f"Clip: expected different envs in 0..{num_envs - 1}, got {list(chosen)}. "
            "Choose envs that were recorded, each once."
        )
    return chosen
