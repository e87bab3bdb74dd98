"""Frames side by side in a grid, and the picture drawn in place of a missing one."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]


_HATCH_PX = 8
_HATCH_DARK, _HATCH_LIGHT = 40, 72


def grid(
    frames: Sequence[Frame | None],
    *,
    columns: int | None = None,
    cell: tuple[int, int] | None = None,
    out: Frame | None = None,
) -> Frame:
    """Return many frames as one picture, row by row.

    Smaller frames than a cell are centred in it.
    Cells beyond the last frame are black; a missing frame (None) is hatched.

    Args:
        frames: Of any sizes, at least one of them not None.
        columns: None: the square root of their number, rounded up.
        cell: (height, width) of each cell; None: of the largest frame.
        out: Where to draw, uint8 of the right size; None: a new array.

    Raises:
        FrameError: There is no frame, or `out` does not fit.
    """
    if cell is None:
        sizes = [frame.shape[:2] for frame in frames if frame is not None]
        if not sizes:
            raise FrameError("grid: expected at least one frame, got none.")
        height, width = (max(side) for side in zip(*sizes, strict=True))
    else:
        height, width = cell
    num_rows, columns = grid_shape(len(frames), columns)
    shape = (num_rows * height, columns * width, 3)
    if out is None:
        out = np.zeros(shape, np.uint8)
    elif out.shape != shape or out.dtype != np.uint8:
        raise FrameError(f"grid: expected out as {shape}, got {out.shape}.")
    else:
        out[...] = 0
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        top, left = row * height, column * width
        put_centred(
            missing_picture(height, width) if frame is None else frame,
            out[top : top + height, left : left + width],
        )
    return out


def put_centred(frame: Frame, cell: Frame) -> None:
    """Copy a frame into the middle of a cell that is at least as large."""
    height, width = frame.shape[:2]
    top, left = (cell.shape[0] - height) // 2, (cell.shape[1] - width) // 2
    cell[top : top + height, left : left + width] = frame


def grid_shape(count: int, columns: int | None = None) -> tuple[int, int]:
    """Return (rows, columns) of a grid of `count` cells.

    Source: TorchRL's grid, ceil(sqrt(n)) columns.
    """
    if columns is None:
        columns = math.isqrt(max(count, 1) - 1) + 1
    if columns < 1:
        raise FrameError(f"grid: expected columns >= 1, got {columns!r}.")
    return -(-count // columns), columns


@functools.lru_cache(maxsize=16)
def missing_picture(height: int, width: int) -> Frame:
    """Return the picture drawn in place of a missing one: hatched gray, read-only."""
    y, x = np.mgrid[:height, :width]
    is_light = (x + y) // _HATCH_PX % 2 == 0
    gray = np.where(is_light, _HATCH_LIGHT, _HATCH_DARK).astype(np.uint8)
    picture = np.repeat(gray[..., None], 3, axis=2)
    picture.flags.writeable = False
    return picture
