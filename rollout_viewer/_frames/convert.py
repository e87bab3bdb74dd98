"""What environments return, as frames: uint8 (H, W, 3).

Knows arrays and tensors: shapes, channels, value ranges. Knows nothing of
environments or recordings. torch is imported only where a tensor comes in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from rollout_viewer._errors import FrameError, warn_once

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Channels = Literal["auto", "first", "last"]


_CHANNELS = (1, 3, 4)
# Floats up to this overshoot [0, 1]; above, they are in 0..255.
_UNIT_RANGE = 2.0


class FloatScale:
    """Whether the floats of a camera are in [0, 1] or in 0..255.

    A dark picture alone does not show it, so what one picture showed is remembered for
    the next.

    Attributes:
        is_wide: They are in 0..255.
    """

    def __init__(self, *, is_wide: bool = False) -> None:
        self.is_wide = is_wide

    def factor(self, low: float, high: float) -> int:
        """Return what to multiply floats between `low` and `high` with.

        Raises:
            FrameError: They are in neither range.
        """
        if math.isnan(low) or math.isnan(high):
            raise _nan_error()
        if not (low >= -_UNIT_RANGE and high < 256):
            raise FrameError(
                "as_frames: expected floats in [0, 1], or in 0..255, got "
                f"{low:.4g} to {high:.4g}. Scale them to one of the two."
            )
        if high > _UNIT_RANGE and not self.is_wide:
            self.is_wide = True
            warn_once(
                f"as_frames: expected floats in [0, 1], got {low:.4g} to {high:.4g}; "
                "they are read as 0..255. Convert them with .astype('uint8')."
            )
        return 1 if self.is_wide else 255


def as_frames(images: Any, *, channels: Channels = "auto") -> Frame:
    """Return `images` as a batch of RGB frames.

    Accepts what environments return: HWC or CHW, one image, a batch or a list, gray,
    RGB or RGBA, in uint8, other integers in 0..255, bool, or float.

    Args:
        images: Shape (H, W), (H, W, C), (C, H, W) or any of these with a leading
            env axis, or a list of single images of one size; C in {1, 3, 4}. Gray
            is replicated, alpha dropped with one warning. Floats are in [0, 1] and
            become round(255 x), clipped; where one is above 2, they are in 0..255 and
            are rounded, with one warning. bool becomes 0 or 255. Torch tensors may be
            on any device and are copied from there once.
        channels: Where the channel axis is. "auto" decides by size and raises
            when both ends could be it. It reads (3, H, W) as one RGB image; pass
            a batch of three gray ones as (3, H, W, 1) or as a list.

    Returns:
        Shape (N, H, W, 3), uint8, C-contiguous. Shares memory only if nothing
        had to change; callers who keep it must copy.

    Raises:
        FrameError: The shape or the dtype is none of the above, or a value is NaN or
            out of its range.

    Example:
        >>> as_frames(np.zeros((84, 84))).shape
        (1, 84, 84, 3)

    Source: TorchRL writes ``(*, C, H, W)``; Gymnasium renders (H, W, C).
    """
    found = _as_list(images)
    if found is None:
        return np.ascontiguousarray(_batch(images, channels, FloatScale()))
    frames = []
    for number, frame in enumerate(_all(found, channels, FloatScale())):
        if frame is None:
            raise FrameError(
                f"as_frames: expected an image at index {number}, got None. "
                "Leave it out, or append the list to a FrameCache, which records that "
                "a picture is missing."
            )
        frames.append(frame)
    sizes = {frame.shape for frame in frames}
    if len(sizes) != 1:
        raise FrameError(
            "as_frames: expected images of one size, got "
            f"{sorted(size[:2] for size in sizes)} (height, width). "
            "Convert them one by one, or resize them."
        )
    return np.stack(frames)


def split_frames(
    images: Any, *, channels: Channels = "auto", scale: FloatScale | None = None
) -> list[Frame | None]:
    """Return `images` as single frames (H, W, 3), without copying where possible.

    Accepts what `as_frames` accepts, and lists with unequal sizes or with None where
    an env has no picture. Frames may be strided views of the input; callers who keep
    them must copy.

    Args:
        images: As of `as_frames`.
        channels: As of `as_frames`.
        scale: What earlier pictures of the camera showed, updated; None: nothing.

    Raises:
        FrameError: As `as_frames`.
    """
    scale = FloatScale() if scale is None else scale
    found = _as_list(images)
    if found is None:
        return list(_batch(images, channels, scale))
    return _all(found, channels, scale)


def _all(
    images: Sequence[Any], channels: Channels, scale: FloatScale
) -> list[Frame | None]:
    was_wide = scale.is_wide
    frames = [None if one is None else _one(one, channels, scale) for one in images]
    if scale.is_wide and not was_wide:  # those before the first wide one as well
        return _all(images, channels, scale)
    return frames


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


def _one(image: Any, channels: Channels, scale: FloatScale) -> Frame:
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
    (frame,) = _convert(array[None], channels, scale)
    return cast("Frame", frame)


def _batch(images: Any, channels: Channels, scale: FloatScale) -> Frame:
    """Return one array of images as (N, H, W, 3)."""
    return _convert(_with_env_axis(_array(images), channels), channels, scale)


def _with_env_axis(array: Any, channels: Channels) -> Any:
    """Return one image or a batch as a batch."""
    is_gray = array.ndim == 2
    if is_gray or (
        array.ndim == 3 and _channel_axis(array.shape, channels) is not None
    ):
        array = array[None]
    return array


class FramesElsewhere:
    """A batch of pictures on another device, as uint8 there, and what is left to do.

    Converted where they are, so that a quarter of the bytes is copied; and without
    waiting for the range of their values, which is copied with them. Whoever has
    copied `tensors` calls `frames`.

    Args:
        images: A tensor, as of `split_frames`; converted now.
        scale: What earlier pictures of the camera showed; updated by `frames`.

    Attributes:
        tensors: What is to be copied: uint8 (N, H, W, C), C 1 or 3; of other dtypes
            than uint8 and bool, their lowest and highest value, too.

    Raises:
        FrameError: The shape or the dtype is none that `as_frames` accepts.
    """

    def __init__(self, images: Any, scale: FloatScale) -> None:
        import torch

        array = _arranged(_with_env_axis(_array(images), "auto"), "auto")
        self._source, self._scale, self._factor = array, scale, 0
        if array.dtype == torch.uint8:
            self.tensors = [array]
            return
        if array.dtype == torch.bool:
            self.tensors = [array.to(torch.uint8) * 255]
            return
        array = _with_range(array)
        low_high = torch.stack(torch.aminmax(array))
        if array.dtype.is_floating_point:
            self._factor = 1 if scale.is_wide else 255
            if not scale.is_wide:
                # A simulation may draw into its tensor before `frames` needs it.
                self._source = array.clone()
            array = _scaled(array, self._factor)
        self.tensors = [array.to(torch.uint8), low_high]

    def frames(self, arrays: Sequence[npt.NDArray[Any]]) -> list[Frame]:
        """Return the pictures (H, W, 3), which share memory with the arrays.

        Args:
            arrays: `tensors`, copied.

        Raises:
            FrameError: A value is NaN or out of its range.
        """
        pictures = arrays[0]
        if len(arrays) > 1:
            low, high = arrays[1].tolist()
            if not self._factor:
                _check_integers(int(low), int(high), self._source.dtype)
            elif self._scale.factor(low, high) != self._factor:
                # The first that shows that they are in 0..255: once in a recording.
                pictures = _tensor_as_uint8(self._source, self._scale)
        return list(_as_rgb(pictures))


def _convert(array: Any, channels: Channels, scale: FloatScale) -> Frame:
    """Return (N, H, W), (N, H, W, C) or (N, C, H, W) as uint8 (N, H, W, 3)."""
    return _as_rgb(_as_uint8(_arranged(array, channels), scale))


def _arranged(array: Any, channels: Channels) -> Any:
    """Return (N, H, W), (N, H, W, C) or (N, C, H, W) as (N, H, W, C), C 1 or 3."""
    shape = tuple(array.shape)
    if len(shape) == 4:
        axis = _channel_axis(shape, channels)
        if axis is None:
            raise _shape_error(shape)
        if axis == -3:
            array = array.swapaxes(-3, -1).swapaxes(-3, -2)
        if array.shape[-1] == 4:
            warn_once(
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
    return array


def _as_rgb(pictures: Frame) -> Frame:
    """Return (N, H, W, 1) or (N, H, W, 3) as (N, H, W, 3)."""
    if pictures.shape[-1] == 1:
        return np.broadcast_to(pictures, (*pictures.shape[:-1], 3))
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


def _as_uint8(array: Any, scale: FloatScale) -> Frame:
    """Return the values of an array or tensor as uint8."""
    if not isinstance(array, np.ndarray):
        return _tensor_as_uint8(array, scale)
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.view(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "iuf":
        raise _dtype_error(array.dtype)
    low, high = array.min(), array.max()
    if array.dtype.kind != "f":
        _check_integers(int(low), int(high), array.dtype)
        return array.astype(np.uint8)
    factor = scale.factor(float(low), float(high))
    # In float32 at least: 255 * x of a half float is off by more than rounding.
    scaled = np.multiply(array, factor, dtype=np.result_type(array.dtype, np.float32))
    return np.rint(np.clip(scaled, 0, 255, out=scaled), out=scaled).astype(np.uint8)


def _tensor_as_uint8(tensor: Any, scale: FloatScale) -> Frame:
    import torch

    if tensor.dtype == torch.bool:
        tensor = tensor.to(torch.uint8) * 255
    elif tensor.dtype != torch.uint8:
        tensor = _with_range(tensor)
        low, high = (x.item() for x in torch.aminmax(tensor))
        # On its own device, so that a quarter of the bytes is copied from there.
        if tensor.dtype.is_floating_point:
            tensor = _scaled(tensor, scale.factor(low, high))
        else:
            _check_integers(int(low), int(high), tensor.dtype)
        tensor = tensor.to(torch.uint8)
    pictures: Frame = tensor.cpu().numpy()
    return pictures


def _with_range(tensor: Any) -> Any:
    """Return a tensor of a dtype that has a lowest and a highest value."""
    import torch

    if tensor.dtype.is_complex:
        raise _dtype_error(tensor.dtype)
    # torch has no minimum of these
    has_none = tensor.dtype in (torch.uint16, torch.uint32, torch.uint64)
    return tensor.to(torch.int64) if has_none else tensor


def _scaled(tensor: Any, factor: int) -> Any:
    """Return floats times `factor`, rounded and clipped to 0..255."""
    import torch

    dtype = torch.promote_types(tensor.dtype, torch.float32)
    return (tensor.to(dtype) * factor).clamp_(0, 255).round_()


def _check_integers(low: int, high: int, dtype: Any) -> None:
    if low < 0 or high > 255:
        raise FrameError(
            f"as_frames: expected {dtype} in 0..255, got {low} to {high}. Scale the "
            "picture, and convert it with .astype('uint8')."
        )


def _shape_error(shape: tuple[int, ...]) -> FrameError:
    return FrameError(
        "as_frames: expected images of shape (H, W), (H, W, C), (C, H, W) or a batch "
        f"of them, C in {_CHANNELS}, no side 0, got {tuple(shape)}. Take the newest "
        "frame of a stack; flatten leading axes to one."
    )


def _dtype_error(dtype: Any) -> FrameError:
    return FrameError(
        f"as_frames: expected uint8, other integers, bool or float, got {dtype}. "
        "Convert images with .astype('uint8') (torch: .to(torch.uint8))."
    )


def _nan_error() -> FrameError:
    return FrameError(
        "as_frames: expected floats in [0, 1], got NaN. Replace it, for example with "
        "numpy.nan_to_num."
    )
