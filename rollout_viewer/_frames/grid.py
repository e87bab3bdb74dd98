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
    out: Frame | None = None,
) -> Frame:
    """Return many frames as one picture, row by row.

    Each cell has the size of the largest frame; smaller ones are centred in it.
    Cells beyond the last frame are black; a missing frame (None) is hatched.

    Args:
        frames: Of any sizes, at least one of them not None.
        columns: None: the square root of their number, rounded up.
        out: Where to draw, uint8 of the right size; None: a new array.

    Raises:
        FrameError: There is no frame, or `out` does not fit.
    """
    sizes = [frame.shape[:2] for frame in frames if frame is not None]
    if not sizes:
        raise FrameError("grid: expected at least one frame, got none.")
    height, width = (max(side) for side in zip(*sizes, strict=True))
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
        picture = missing_picture(height, width) if frame is None else frame
        top = row * height + (height - picture.shape[0]) // 2
        left = column * width + (width - picture.shape[1]) // 2
        out[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return out


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
