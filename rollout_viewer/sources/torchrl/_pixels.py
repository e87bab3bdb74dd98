"""The pictures in a tensordict's entry: their number, and each as uint8 (H, W, 3).

TorchRL's entries start with the batch axes, have channels first or last, any dtype, and
may stack frames along the channels. Knows tensors and frames. Knows nothing of
environments or recordings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tensordict import NonTensorData, NonTensorStack

if TYPE_CHECKING:
    import numpy.typing as npt

    from rollout_viewer._frames.convert import Channels

    Frame = npt.NDArray[np.uint8]

_COLORS = (1, 3)
# Float pictures up to this overshoot [0, 1]; above, they are in 0..255.
_FLOAT_RANGE = 2.0


class PictureReader:
    """Reads the pictures of one camera.

    Remembers whether its floats are in [0, 1] or in 0..255: a dark picture alone does
    not show it.

    Args:
        channels: Where the channel axis is; "auto" decides by size.
        center_crop: Side in pixels of the square to keep, black beyond the picture;
            None or 0: the whole picture.
    """

    def __init__(self, channels: Channels, center_crop: int | None = None) -> None:
        self._channels = channels
        self._center_crop = center_crop
        self._is_wide = False

    def count(self, value: Any, batch_dims: int | None) -> int:
        """Return how many pictures `read` would return.

        Args:
            value: An entry of a tensordict.
            batch_dims: Its number of batch axes; None: not known.

        Raises:
            RuntimeError: It holds no pictures.
        """
        value = as_data(value)
        if isinstance(value, list):
            return len(value)
        return math.prod(value.shape[: -self._picture_dims(value.shape, batch_dims)])

    def read(self, value: Any, batch_dims: int | None) -> list[Frame]:
        """Return the pictures, batch axes flattened; they may share its memory.

        Raises:
            RuntimeError: As `count`.
        """
        value = as_data(value)
        if isinstance(value, list):
            return [frame for one in value for frame in self.read(one, 0)]
        dims = self._picture_dims(value.shape, batch_dims)
        pictures = value.detach().reshape(-1, *value.shape[-dims:])
        if dims == 2:
            pictures = pictures[..., None]
        else:
            pictures = _rgb(pictures, self._channels)
        frames = self._as_uint8(pictures).cpu().numpy()
        if frames.shape[-1] == 1:
            frames = np.broadcast_to(frames, (*frames.shape[:-1], 3))
        if self._center_crop:
            return [_center_crop(frame, self._center_crop) for frame in frames]
        return list(frames)

    def _picture_dims(self, shape: torch.Size, batch_dims: int | None) -> int:
        """Return 2 for gray pictures without a channel axis, else 3."""
        known = len(shape) - batch_dims if batch_dims is not None else None
        dims = 2 if known == 2 or len(shape) == 2 else 3
        if len(shape) < 2 or (known is not None and known < 2):
            raise _invalid(shape)
        if dims == 3 and _channel_axis(shape[-3:], self._channels) is None:
            raise _invalid(shape)
        return dims

    def _as_uint8(self, pictures: torch.Tensor) -> torch.Tensor:
        if pictures.dtype == torch.uint8:
            return pictures
        if pictures.dtype == torch.bool:
            return pictures.to(torch.uint8) * 255
        if not pictures.dtype.is_floating_point:
            return pictures.clamp(0, 255).to(torch.uint8)
        # Half floats round 255 x too coarsely, and have no kernels on some CPUs.
        pictures = torch.nan_to_num(pictures.float())
        if not self._is_wide and pictures.numel():
            self._is_wide = bool(pictures.max() > _FLOAT_RANGE)
        scaled = pictures if self._is_wide else (pictures * 255).round_()
        return scaled.clamp(0, 255).to(torch.uint8)


def as_data(value: Any) -> torch.Tensor | list[Any]:
    """Return an entry as one tensor, or as a list of an array for each env."""
    if type(value) is torch.Tensor:
        return value
    if isinstance(value, NonTensorData):
        value = value.data
    if isinstance(value, NonTensorStack):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        flat: list[Any] = []
        for one in value:
            is_nested = isinstance(one, (list, tuple, NonTensorStack, NonTensorData))
            data = as_data(one) if is_nested else torch.as_tensor(np.asarray(one))
            flat += data if isinstance(data, list) else [data]
        return flat
    return value if isinstance(value, torch.Tensor) else torch.as_tensor(value)


def _channel_axis(shape: torch.Size, channels: Channels) -> int | None:
    """Return the axis -3 or -1 that is channels or a stack's frames; None: neither.

    "auto" decides as TorchRL does, and accepts what TorchRL does not: RGBA, and stacks,
    whose axis is shorter than a picture's sides.
    """
    first, height, last = shape
    if channels != "auto":
        axis = -3 if channels == "first" else -1
        return axis if shape[axis] > 0 else None
    if first in _COLORS and height > 3 and last > 3:
        return -3
    if last in _COLORS or last == 4 < first:
        return -1
    if first < min(height, last):
        return -3
    return -1 if last < min(first, height) else None


def _rgb(pictures: torch.Tensor, channels: Channels) -> torch.Tensor:
    """Return (N, H, W, 1 or 3); of a stack along the channels, the newest frame."""
    axis = _channel_axis(pictures.shape[-3:], channels)
    if axis == -3:
        pictures = pictures.movedim(-3, -1)
    depth = pictures.shape[-1]
    if depth == 3:
        return pictures
    if depth == 4 and (axis == -1 or channels == "first"):
        return pictures[..., :3]  # RGBA
    return pictures[..., -3:] if depth % 3 == 0 else pictures[..., -1:]


def _center_crop(frame: Frame, side: int) -> Frame:
    """Return the middle of a frame, side x side, black beyond its edges."""
    height, width = frame.shape[:2]
    if min(height, width) < side:
        up, left = (max(side - length, 0) // 2 for length in (height, width))
        large = np.zeros((max(height, side), max(width, side), 3), np.uint8)
        large[up : up + height, left : left + width] = frame
        frame = large
        height, width = large.shape[:2]
    # Python's round, half to even, as in torchvision's center_crop.
    top, left = (round((length - side) / 2) for length in (height, width))
    return frame[top : top + side, left : left + side]


def _invalid(shape: torch.Size) -> RuntimeError:
    return RuntimeError(
        f"Invalid observation shape, got: {shape}. VideoRecorder: expected pictures "
        "(H, W), (H, W, C) or (C, H, W) after the batch axes. Pass channels='first' or "
        "'last' where it is not clear, or record another key."
    )
