"""What a frame is: uint8 (H, W, 3) pictures from anything environments return.

Also what is done to whole frames: crop, resize, put on a grid. Knows arrays and
tensors. Knows nothing of environments or recordings. torch is imported only where
a tensor comes in.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from rollout_viewer._errors import FrameError, RolloutViewerWarning

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Channels = Literal["auto", "first", "last"]

_CHANNELS = (1, 3, 4)
# Beyond this a float picture is no overshoot of [0, 1] but has another range.
_FLOAT_RANGE = 2.0
_HATCH_PX = 8
_HATCH_DARK, _HATCH_LIGHT = 40, 72
# What was warned of in this process. Not left to the warnings module, which
# forgets it whenever somebody uses catch_warnings.
_said: set[str] = set()


def as_frames(images: Any, *, channels: Channels = "auto") -> Frame:
    """Return `images` as a batch of RGB frames.

    Accepts what environments really return: HWC or CHW, one image or a batch or a
    list, gray, RGB or RGBA, uint8, bool or float in [0, 1].

    Args:
        images: Shape (H, W), (H, W, C), (C, H, W) or any of these with a leading
            env axis, or a list of single images of one size; C in {1, 3, 4}. Gray
            is replicated, alpha dropped with one warning. Floats become
            round(255 x), clipped; bool becomes 0 or 255. Torch tensors may be on
            any device and are copied from there once.
        channels: Where the channel axis is. "auto" decides by size and raises
            when both ends could be it. (3, H, W) is one RGB image to it; a batch
            of three gray ones is told by (3, H, W, 1) or a list.

    Returns:
        Shape (N, H, W, 3), uint8, C-contiguous. Shares memory only if nothing
        had to change; callers who keep it must copy.

    Raises:
        FrameError: The shape or the dtype is none of the above, or floats are NaN.

    Example:
        >>> as_frames(np.zeros((84, 84))).shape
        (1, 84, 84, 3)

    Source: TorchRL writes (*, C, H, W); Gymnasium renders (H, W, C).
    """
    found = _as_list(images)
    if found is None:
        return np.ascontiguousarray(_batch(images, channels))
    frames = []
    for number, image in enumerate(found):
        if image is None:
            raise FrameError(
                f"as_frames: expected an image at index {number}, got None. "
                "Leave it out, or append it to a cache, which can miss pictures."
            )
        frames.append(_one(image, channels))
    sizes = {frame.shape for frame in frames}
    if len(sizes) != 1:
        raise FrameError(
            "as_frames: expected images of one size, got "
            f"{sorted(size[:2] for size in sizes)} (height, width). "
            "Convert them one by one, or resize them."
        )
    return np.stack(frames)


def split_frames(images: Any, *, channels: Channels = "auto") -> list[Frame | None]:
    """Return `images` as single frames (H, W, 3), without copying where possible.

    Takes what `as_frames` takes, and lists with unequal sizes or with None where
    an env has no picture. Frames may be strided views of what came in: whoever
    keeps them copies.

    Raises:
        FrameError: As `as_frames`.
    """
    found = _as_list(images)
    if found is None:
        return list(_batch(images, channels))
    return [None if image is None else _one(image, channels) for image in found]


def _as_list(images: Any) -> Sequence[Any] | None:
    """Return a list of single images as such; None: `images` is one array."""
    if isinstance(images, np.ndarray) and images.dtype == object and images.ndim == 1:
        images = images.tolist()
    if not isinstance(images, (list, tuple)):
        return None
    if not images:
        raise FrameError("as_frames: expected images, got an empty list.")
    # Numbers, or lists of them, are one array that was written down.
    is_written = isinstance(images[0], (list, tuple)) or np.isscalar(images[0])
    return None if is_written else images


def _one(image: Any, channels: Channels) -> Frame:
    """Return a single image as (H, W, 3)."""
    if type(image) is np.ndarray and image.dtype == np.uint8 and image.ndim == 3:
        # The usual one, at the price of a few comparisons.
        height, width, depth = image.shape
        if depth == 3 and height not in _CHANNELS and height and width:
            return cast("Frame", image)
    array = _array(image)
    shape = array.shape
    # A lone image is told from a batch: (84, 84, 84) is none here.
    if array.ndim == 3 and _channel_axis(shape, channels) is None:
        raise _shape_error(shape)
    if array.ndim not in (2, 3):
        raise _shape_error(shape)
    (frame,) = _convert(array[None], channels)
    return cast("Frame", frame)


def _batch(images: Any, channels: Channels) -> Frame:
    """Return one array of images as (N, H, W, 3)."""
    array = _array(images)
    is_gray = array.ndim == 2
    if is_gray or (
        array.ndim == 3 and _channel_axis(array.shape, channels) is not None
    ):
        array = array[None]
    return _convert(array, channels)


def _convert(array: Any, channels: Channels) -> Frame:
    """Return (N, H, W), (N, H, W, C) or (N, C, H, W) as uint8 (N, H, W, 3)."""
    shape = tuple(array.shape)
    if len(shape) == 4:
        axis = _channel_axis(shape, channels)
        if axis is None:
            raise _shape_error(shape)
        if axis == -3:
            array = array.swapaxes(-3, -1).swapaxes(-3, -2)
        if array.shape[-1] == 4:
            _say(
                "as_frames: expected RGB, got RGBA; alpha is dropped and the color "
                "under it kept. Blend it yourself if it matters."
            )
            array = array[..., :3]
    elif len(shape) == 3:
        array = array[..., None]
    else:
        raise _shape_error(shape)
    if 0 in array.shape:
        raise _shape_error(shape)
    pictures = _as_uint8(array)
    if pictures.shape[-1] == 1:
        pictures = np.broadcast_to(pictures, (*pictures.shape[:-1], 3))
    return pictures


def _channel_axis(shape: tuple[int, ...], channels: Channels) -> int | None:
    """Return -1 or -3, or None where no axis could hold channels."""
    if channels not in ("auto", "first", "last"):
        raise ValueError(
            "as_frames: expected channels to be 'auto', 'first' or 'last', got "
            f"{channels!r}."
        )
    is_first, is_last = shape[-3] in _CHANNELS, shape[-1] in _CHANNELS
    if channels == "first":
        return -3 if is_first else None
    if channels == "last":
        return -1 if is_last else None
    if is_first and is_last:
        raise FrameError(
            f"as_frames: expected one axis that could be channels, got shape {shape}, "
            "where the first and the last could. Pass channels='first' or 'last' to "
            "as_frames()."
        )
    if shape[-3] == 4:
        raise FrameError(
            f"as_frames: expected a shape with one reading, got {shape}: RGBA images, "
            "or four gray ones as of a frame stack. Pass channels='first' to "
            "as_frames() for RGBA; of gray ones a list, or the newest alone."
        )
    return -3 if is_first else -1 if is_last else None


def _array(image: Any) -> Any:
    """Return `image` as a numpy array or a torch tensor, where it lies."""
    if hasattr(image, "detach"):
        return image.detach()
    if image is None or isinstance(image, (str, bytes, dict)):
        raise FrameError(
            f"as_frames: expected an image, got {type(image).__name__}. "
            "Make the env with render_mode='rgb_array'."
        )
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise FrameError(
            f"as_frames: expected numbers of one shape, got {type(image).__name__} "
            f"({error})."
        ) from error
    return array


def _as_uint8(array: Any) -> Frame:
    """Return the values of an array or tensor as uint8."""
    if not isinstance(array, np.ndarray):
        return _tensor_as_uint8(array)
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.view(np.uint8) * np.uint8(255)
    if array.dtype.kind != "f":
        raise _dtype_error(array.dtype)
    if np.isnan(array).any():
        raise _nan_error()
    _check_range(float(array.min()), float(array.max()))
    # In float32 at least: 255 * x of a half float is off by more than rounding.
    scaled = np.multiply(array, 255, dtype=np.result_type(array.dtype, np.float32))
    return np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)


def _tensor_as_uint8(tensor: Any) -> Frame:
    import torch

    if tensor.dtype == torch.bool:
        tensor = tensor.to(torch.uint8) * 255
    elif tensor.dtype.is_floating_point:
        low, high = (float(x) for x in torch.aminmax(tensor))
        if math.isnan(low) or math.isnan(high):
            raise _nan_error()
        _check_range(low, high)
        dtype = torch.promote_types(tensor.dtype, torch.float32)
        # On its own device: a quarter of the bytes then travels.
        tensor = (tensor.to(dtype) * 255).clamp_(0, 255).round_().to(torch.uint8)
    elif tensor.dtype != torch.uint8:
        raise _dtype_error(tensor.dtype)
    pictures: Frame = tensor.cpu().numpy()
    return pictures


def _check_range(low: float, high: float) -> None:
    if max(-low, high) > _FLOAT_RANGE:
        _say(
            f"as_frames: expected floats in [0, 1], got {low:.4g} to {high:.4g}; they "
            "are clipped. Divide pictures in 0..255 by 255, or convert them with "
            ".astype('uint8')."
        )


def _say(message: str) -> None:
    # Once by what it says first: the values in it differ from picture to picture.
    key = message.partition(",")[0]
    if key not in _said:
        _said.add(key)
        warnings.warn(message, RolloutViewerWarning, stacklevel=2)


def _shape_error(shape: tuple[int, ...]) -> FrameError:
    return FrameError(
        "as_frames: expected images of shape (H, W), (H, W, C), (C, H, W) or a batch "
        f"of them, C in {_CHANNELS}, no side 0, got {tuple(shape)}. Take the newest "
        "frame of a stack; flatten leading axes to one."
    )


def _dtype_error(dtype: Any) -> FrameError:
    return FrameError(
        f"as_frames: expected uint8, bool or float in [0, 1], got {dtype}. Convert "
        "images in 0..255 with .astype('uint8') (torch: .to(torch.uint8))."
    )


def _nan_error() -> FrameError:
    return FrameError(
        "as_frames: expected floats in [0, 1], got NaN. Replace it, for example with "
        "numpy.nan_to_num."
    )


# -- whole frames


def crop(frame: Frame, box: Sequence[int]) -> Frame:
    """Return a part of `frame`, as a view.

    Args:
        frame: (H, W, 3).
        box: (height, width) of the middle, or (top, left, height, width).

    Raises:
        FrameError: The box is not inside of the frame.
    """
    frame_height, frame_width = frame.shape[:2]
    *corner, height, width = box
    # TorchRL's center_crop rounds the same way for odd rests.
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
    """Return `frame` with another size; the same frame if it has it already.

    Whole numbers are exact and need no torch: smaller by averaging boxes, larger
    by repeating pixels. Other sizes are bilinear with antialiasing.

    Args:
        frame: (H, W, 3).
        size: (height, width).

    Source: shared measurements: box 0.33 ms, torch's uint8 0.26 ms for 400 x 600.
    """
    height, width = size
    frame_height, frame_width = frame.shape[:2]
    if (height, width) == (frame_height, frame_width):
        return frame
    if min(height, width) < 1:
        raise FrameError(f"resize: expected a size of 1 x 1 or more, got {size!r}.")
    if frame_height % height == 0 and frame_width % width == 0:
        return _shrink(frame, frame_height // height, frame_width // width)
    if height % frame_height == 0 and width % frame_width == 0:
        tall = frame.repeat(height // frame_height, axis=0)
        return tall.repeat(width // frame_width, axis=1)
    return _resample(frame, height, width)


def _shrink(frame: Frame, vertical: int, horizontal: int) -> Frame:
    """Return the rounded mean of each box of vertical x horizontal pixels."""
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


def grid(
    frames: Sequence[Frame | None],
    *,
    columns: int | None = None,
    out: Frame | None = None,
) -> Frame:
    """Return many frames as one picture, row by row.

    Each cell has the size of the largest frame; smaller ones stand in its middle.
    Cells without a frame are black; a frame that is missing (None) is hatched.

    Args:
        frames: Of any sizes, at least one of them not None.
        columns: None: the square root of their number, rounded up.
        out: Where to draw, uint8 of the right size.

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
    """Return what stands for a picture that is missing: hatched gray, read-only."""
    y, x = np.mgrid[:height, :width]
    is_light = (x + y) // _HATCH_PX % 2 == 0
    gray = np.where(is_light, _HATCH_LIGHT, _HATCH_DARK).astype(np.uint8)
    picture = np.repeat(gray[..., None], 3, axis=2)
    picture.flags.writeable = False
    return picture
