"""The tiles of a selection's rows, read in order: one picture for each env.

Rows whose pictures keep their sizes are read many at once, others one by one. Knows a
recording's reader. Knows nothing of grids and files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._export.damage import DamageReport
from rollout_viewer._frames.grid import missing_picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.reader import RecordingReader

    Frame = npt.NDArray[np.uint8]
    Size = tuple[int, int]

# Read at once: whole chunks of small pictures, single rows of large ones.
_WINDOW_BYTES = 4_000_000
_WINDOW_ROWS = 32


class TileRows:
    """The tiles of rows of some envs, from one camera.

    Args:
        cache: The recording.
        rows: Ascending, at least one.
        envs: In the order of their tiles.
        camera: None: the first.

    Attributes:
        sizes: Env -> the (height, width) that its pictures have in these rows.

    Raises:
        RowError: An env has no pictures.
    """

    def __init__(
        self,
        cache: RecordingReader,
        rows: Sequence[int],
        envs: Sequence[int],
        camera: str | None,
    ) -> None:
        self._cache = cache
        self._rows = rows
        self._camera = camera
        self._damage = DamageReport("pictures", "Damaged ones are shown as missing.")
        start, stop = rows[0], rows[-1] + 1
        self.sizes = {env: cache.sizes_in(start, stop, env, camera) for env in envs}

    @property
    def is_steady(self) -> bool:
        """Whether each env keeps its size."""
        return all(len(sizes) == 1 for sizes in self.sizes.values())

    def __iter__(self) -> Iterator[list[Frame]]:
        """Give the tiles of each row; they are valid until the next is asked for.

        Missing pictures are hatched.
        """
        if self.is_steady:
            return self._many_at_once()
        return ([self._tile(row, env) for env in self.sizes] for row in self._rows)

    def one_by_one(self, row: int, spare: dict[Size, Frame]) -> Iterator[Frame]:
        """Give the tiles of a row, each valid until the next, in memory of `spare`."""
        for env in self.sizes:
            yield self._tile(row, env, spare)

    def _tile(
        self, row: int, env: int, spare: dict[Size, Frame] | None = None
    ) -> Frame:
        size, *others = self.sizes[env]
        if others:
            size = self._cache.frame_size(env, self._camera, row)
        tile = None if spare is None else spare.get(size)
        if tile is None:
            tile = np.empty((1, 1, *size, 3), np.uint8)
        if spare is not None:
            spare[size] = tile
        self._read_tile(row, env, tile)
        return self._shown(row, env, tile[0, 0])

    def _many_at_once(self) -> Iterator[list[Frame]]:
        sizes = {env: one for env, (one,) in self.sizes.items()}
        groups: dict[Size, list[int]] = {}
        for env, size in sizes.items():
            groups.setdefault(size, []).append(env)
        num_rows = len(self._rows)
        row_bytes = sum(height * width * 3 for height, width in sizes.values())
        count = max(1, min(_WINDOW_ROWS, num_rows, _WINDOW_BYTES // row_bytes))
        # One buffer for each size: fresh memory costs more than what is put there.
        buffers = {
            (height, width): np.empty((count, len(envs), height, width, 3), np.uint8)
            for (height, width), envs in groups.items()
        }
        for at in range(0, num_rows, count):
            rows = self._rows[at : at + count]
            for window in self._read(rows, groups, buffers):
                first = window[0]
                is_shown = self._cache.shown(
                    first, window[-1] + 1, list(sizes), self._camera
                )[[row - first for row in window]].tolist()
                for index in range(len(window)):
                    yield [
                        buffers[size][index][groups[size].index(env)]
                        if is_shown[index][column]
                        else missing_picture(*size)
                        for column, (env, size) in enumerate(sizes.items())
                    ]

    def _read(
        self,
        rows: Sequence[int],
        groups: Mapping[Size, list[int]],
        buffers: Mapping[Size, npt.NDArray[np.uint8]],
    ) -> Iterator[Sequence[int]]:
        """Fill the buffers with `rows`; where one fails, give those before it first."""
        windows = [rows]
        while windows:
            window = windows.pop(0)
            try:
                for size, envs in groups.items():
                    out = buffers[size][: len(window)]
                    self._cache.frames(window, envs, self._camera, out)
            except RecordingError:
                if len(window) > 1:
                    windows = [[row] for row in window] + windows
                    continue
                self._read_singly(window[0], groups, buffers)
            except Exception:
                if len(window) == 1:
                    raise
                # By counting the frames, the caller knows which row it was.
                windows = [[row] for row in window]
                continue
            yield window

    def _read_singly(
        self,
        row: int,
        groups: Mapping[Size, list[int]],
        buffers: Mapping[Size, npt.NDArray[np.uint8]],
    ) -> None:
        """Fill the buffers with a row of which something is damaged."""
        for size, envs in groups.items():
            for index, env in enumerate(envs):
                self._read_tile(row, env, buffers[size][:1, index : index + 1])

    def _read_tile(self, row: int, env: int, out: Frame) -> None:
        """Write a picture into `out`; a damaged one is missing, with one warning."""
        try:
            self._cache.frames([row], [env], self._camera, out)
        except RecordingError as error:
            out[...] = missing_picture(*out.shape[2:4])
            self._damage.add(error)

    def _shown(self, row: int, env: int, tile: Frame) -> Frame:
        is_shown = self._cache.is_shown(row, env, self._camera)
        return tile if is_shown else missing_picture(*tile.shape[:2])
