"""Frames of another size: crop, resize, shrink by an integer. Knows arrays only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rollout_viewer._errors import FrameError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]


def crop(frame: Frame, box: Sequence[int]) -> Frame:
    """Return a part of `frame`, as a view.

    Args:
        frame: (H, W, 3).
        box: (height, width) of a box in the middle, or (top, left, height, width).

    Raises:
        FrameError: The box is not inside the frame.
    """
    frame_height, frame_width = frame.shape[:2]
    *corner, height, width = box
    # Rounded as TorchRL's center_crop where the margins are not equal.
    top, left = corner or ((frame_height - height) // 2, (frame_width - width) // 2)
    is_inside = 0 <= top <= frame_height - height and 0 <= left <= frame_width - width
    if not is_inside or min(height, width) < 1:
        raise FrameError(
            f"crop: expected a box inside of {frame_height} x {frame_width} pixels "
            f"(height x width), got {tuple(box)}. Pass (height, width) or (top, left, "
            "height, width)."
        )
    return frame[top : top + height, left : left + width]


def resize(frame: Frame, size: tuple[int, int]) -> Frame:
    """Return `frame` with another size; `frame` itself if it has that size already.

    Factors that are whole numbers are exact: smaller by averaging boxes, larger by
    repeating pixels. Other sizes are bilinear with antialiasing.

    Args:
        frame: (H, W, 3).
        size: (height, width).

    Raises:
        FrameError: A side of `size` is below 1.

    Source: half of 400 x 600 by averaging takes 0.33 ms, by torch's uint8 0.26 ms.
    """
    height, width = size
    frame_height, frame_width = frame.shape[:2]
    if (height, width) == (frame_height, frame_width):
        return frame
    if min(height, width) < 1:
        raise FrameError(f"resize: expected a size of 1 x 1 or more, got {size!r}.")
    if frame_height % height == 0 and frame_width % width == 0:
        return shrink(frame, frame_height // height, frame_width // width)
    if height % frame_height == 0 and width % frame_width == 0:
        tall = frame.repeat(height // frame_height, axis=0)
        return tall.repeat(width // frame_width, axis=1)
    return _resample(frame, height, width)


def shrink(frame: Frame, vertical: int, horizontal: int) -> Frame:
    """Return the rounded mean of each box of vertical x horizontal pixels.

    Pixels beyond the last whole box are cut off. A side that is shorter than a box
    becomes one pixel.
    """
    height, width = frame.shape[:2]
    vertical, horizontal = min(vertical, height), min(horizontal, width)
    frame = frame[: height - height % vertical, : width - width % horizontal]
    count = vertical * horizontal
    # The sum of a box fits 16 bits up to 256 pixels, at half the memory traffic.
    dtype: Any = np.uint16 if count <= 256 else np.uint32
    # Sums of strided views, rows first, since they are contiguous: many times
    # faster than mean() over two short axes.
    rows: npt.NDArray[Any] = frame[::vertical].astype(dtype)
    for y in range(1, vertical):
        rows += frame[y::vertical]
    total = rows[:, ::horizontal] + dtype(count // 2)
    for x in range(1, horizontal):
        total += rows[:, x::horizontal]
    if count & (count - 1) == 0:
        total >>= dtype(count.bit_length() - 1)
    else:
        total //= dtype(count)
    return cast("Frame", total.astype(np.uint8))


def _resample(frame: Frame, height: int, width: int) -> Frame:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(frame))
    # Pillow's bilinear filter is antialiased when it makes a picture smaller.
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(resized)
