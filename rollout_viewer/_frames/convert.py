"""What environments return, as frames: uint8 (H, W, 3).

Knows arrays and tensors: shapes, channels, value ranges. Knows nothing of
environments or recordings. torch is imported only where a tensor comes in.
"""

from __future__ import annotations

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
# Floats beyond this are no overshoot of [0, 1]: they have another range.
_FLOAT_RANGE = 2.0
# The warnings of this process. Not left to the warnings module, which forgets them
# after each use of catch_warnings.
_warned: set[str] = set()


def as_frames(images: Any, *, channels: Channels = "auto") -> Frame:
    """Return `images` as a batch of RGB frames.

    Accepts what environments return: HWC or CHW, one image, a batch or a list, gray,
    RGB or RGBA, uint8, bool or float in [0, 1].

    Args:
        images: Shape (H, W), (H, W, C), (C, H, W) or any of these with a leading
            env axis, or a list of single images of one size; C in {1, 3, 4}. Gray
            is replicated, alpha dropped with one warning. Floats become
            round(255 x), clipped; bool becomes 0 or 255. Torch tensors may be on
            any device and are copied from there once.
        channels: Where the channel axis is. "auto" decides by size and raises
            when both ends could be it. It reads (3, H, W) as one RGB image; pass
            a batch of three gray ones as (3, H, W, 1) or as a list.

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
                "Leave it out, or append the list to a FrameCache, which records that "
                "a picture is missing."
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

    Accepts what `as_frames` accepts, and lists with unequal sizes or with None where
    an env has no picture. Frames may be strided views of the input; callers who keep
    them must copy.

    Raises:
        FrameError: As `as_frames`.
    """
    found = _as_list(images)
    if found is None:
        return list(_batch(images, channels))
    return [None if image is None else _one(image, channels) for image in found]


def _as_list(images: Any) -> Sequence[Any] | None:
    """Return `images` as a list of single images; None: it is one array."""
    if isinstance(images, np.ndarray) and images.dtype == object and images.ndim == 1:
        images = images.tolist()
    if not isinstance(images, (list, tuple)):
        return None
    if not images:
        raise FrameError("as_frames: expected images, got an empty list.")
    # Numbers, or lists of them, are one array as nested lists.
    is_nested = isinstance(images[0], (list, tuple)) or np.isscalar(images[0])
    return None if is_nested else images


def _one(image: Any, channels: Channels) -> Frame:
    """Return a single image as (H, W, 3)."""
    if type(image) is np.ndarray and image.dtype == np.uint8 and image.ndim == 3:
        # The fast path: the usual image costs a few comparisons.
        height, width, depth = image.shape
        if depth == 3 and height not in _CHANNELS and height and width:
            return cast("Frame", image)
    array = _array(image)
    shape = array.shape
    # A single image must have channels: (84, 84, 84) is a batch.
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
            _warn_once(
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
            "as_frames() for RGBA; for gray ones pass a list, or the newest alone."
        )
    return -3 if is_first else -1 if is_last else None


def _array(image: Any) -> Any:
    """Return `image` as a numpy array, or as a torch tensor on its own device."""
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
        # On its own device, so that a quarter of the bytes is copied from there.
        tensor = (tensor.to(dtype) * 255).clamp_(0, 255).round_().to(torch.uint8)
    elif tensor.dtype != torch.uint8:
        raise _dtype_error(tensor.dtype)
    pictures: Frame = tensor.cpu().numpy()
    return pictures


def _check_range(low: float, high: float) -> None:
    if max(-low, high) > _FLOAT_RANGE:
        _warn_once(
            f"as_frames: expected floats in [0, 1], got {low:.4g} to {high:.4g}; they "
            "are clipped. Divide pictures in 0..255 by 255, or convert them with "
            ".astype('uint8')."
        )


def _warn_once(message: str) -> None:
    # Once for each text before the comma: the values after it differ from picture to
    # picture.
    key = message.partition(",")[0]
    if key not in _warned:
        _warned.add(key)
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
