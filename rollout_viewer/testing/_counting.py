"""Frames with row and env drawn into the pixels, and how to read them back."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# Blocks of a counting frame, row by row from the top left: 16 bits of the row, 12
# of the env, 4 of a checksum, most significant first. White is 1.
BLOCK_ROWS, BLOCK_COLUMNS = 4, 8
MAX_ROW, MAX_ENV = (1 << 16) - 1, (1 << 12) - 1
_BLACK, _WHITE = 16, 240
# After any codec, the mean of a block's middle differs from gray by more than this.
_UNCLEAR = 40
# By how much a number is shifted for the bit of each block.
_SHIFTS = np.arange(BLOCK_ROWS * BLOCK_COLUMNS)[::-1].reshape(BLOCK_ROWS, -1)


def counting_frames(
    num_rows: int,
    num_envs: int = 1,
    *,
    height: int = 48,
    width: int = 64,
    start: int = 0,
) -> Frame:
    """Return frames with row and env drawn into the pixels.

    Args:
        num_rows: Rows ``start`` up to ``start + num_rows - 1``; up to 65535.
        num_envs: Envs 0 up to ``num_envs - 1``; up to 4096.
        height: In pixels, 4 or more; mp4, GIF and WebM need 16.
        width: In pixels, 8 or more; mp4, GIF and WebM need 32.
        start: The first row.

    Returns:
        uint8 (num_rows, num_envs, height, width, 3).

    Example:
        >>> read_count(counting_frames(10, 4)[7, 2])
        (7, 2)
    """
    envs = range(num_envs)
    rows = range(start, start + num_rows)
    frames = [
        [counting_frame(r, e, height=height, width=width) for e in envs] for r in rows
    ]
    return np.array(frames, np.uint8).reshape(num_rows, num_envs, height, width, 3)


def counting_frame(
    row: int, env: int = 0, *, height: int = 48, width: int = 64
) -> Frame:
    """Return one frame of `counting_frames`, uint8 (height, width, 3)."""
    if not 0 <= row <= MAX_ROW or not 0 <= env <= MAX_ENV:
        raise ValueError(
            f"counting_frame: expected row in 0..{MAX_ROW} and env in 0..{MAX_ENV}, "
            f"got {row!r} and {env!r}."
        )
    if height < BLOCK_ROWS or width < BLOCK_COLUMNS:
        raise ValueError(
            f"counting_frame: expected {BLOCK_ROWS} x {BLOCK_COLUMNS} pixels or more "
            f"(height x width), got {height!r} x {width!r}."
        )
    number = (row << 16) | (env << 4) | _checksum(row, env)
    blocks = np.where(number >> _SHIFTS & 1, _WHITE, _BLACK).astype(np.uint8)
    y, x = _block_of(height, BLOCK_ROWS), _block_of(width, BLOCK_COLUMNS)
    return np.repeat(blocks[y[:, None], x, None], 3, axis=2)


def read_count(picture: Any) -> tuple[int, int]:
    """Return (row, env) that a picture of a counting frame shows.

    Args:
        picture: (H, W), (H, W, 3) or (H, W, 4), of any size down to 4 x 8 pixels,
            scaled or compressed, but whole and without a border.

    Raises:
        ValueError: It is no counting frame, or too damaged to be read.
    """
    pixels = np.asarray(picture, np.float64)
    height, width = pixels.shape[:2]
    # The mean of each block's middle: first over the pixels of a column, then of a row.
    lines = _middles(height, BLOCK_ROWS) @ pixels.reshape(height, -1)
    lines = lines.reshape(BLOCK_ROWS, width, -1)[..., :3].mean(axis=-1)
    levels = lines @ _middles(width, BLOCK_COLUMNS).T - (_BLACK + _WHITE) / 2
    bits = sum(1 << int(shift) for shift in _SHIFTS[levels > 0])
    is_clear = bool((np.abs(levels) > _UNCLEAR).all())
    found, env, checksum = bits >> 16, bits >> 4 & MAX_ENV, bits & 15
    if not is_clear or checksum != _checksum(found, env):
        raise ValueError(
            "read_count: expected a counting frame, got a picture of shape "
            f"{np.shape(picture)} without a valid number. Check that it is the right "
            "picture, whole, and large enough for its compression."
        )
    return found, env


def read_row(picture: Any, *, height: int = 48, width: int = 64) -> int:
    """Return the row that a picture's first `height` x `width` pixels show.

    Raises:
        ValueError: As `read_count`.
    """
    return read_count(np.asarray(picture)[:height, :width])[0]


@functools.lru_cache
def _block_of(length: int, num_blocks: int) -> npt.NDArray[np.int64]:
    """Return the block of each pixel along an axis: that which contains its centre."""
    return (2 * np.arange(length) + 1) * num_blocks // (2 * length)


@functools.lru_cache
def _middles(length: int, num_blocks: int) -> npt.NDArray[np.float64]:
    """Return what each pixel counts in the mean of the middle half of each block.

    Shape (num_blocks, length); of one pixel at least.
    """
    weights = np.zeros((num_blocks, length))
    for block in range(num_blocks):
        start, stop = (at * length / num_blocks for at in (block, block + 1))
        quarter = (stop - start) / 4
        first, last = int(np.ceil(start + quarter - 0.5)), int(stop - quarter + 0.5)
        if first >= last:
            first = int((start + stop) / 2)
            last = first + 1
        weights[block, first:last] = 1 / (last - first)
    return weights


def _checksum(row: int, env: int) -> int:
    """Return 4 bits that pictures of one color do not have: 15 for all black."""
    value = row << 12 | env
    total = sum((value >> shift & 15) * (shift // 4 + 1) for shift in range(0, 28, 4))
    return ~total & 15
