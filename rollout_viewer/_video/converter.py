"""Frames in the pixel format of an encoder, in bands where they are large.

Odd sizes are padded by repeating the edge; what is too large for players is reduced by
a whole number. Knows pixels. Knows nothing of files and streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

if TYPE_CHECKING:
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# The mean of the pixels that share a colour: 1.4 dB better on Pong than swscale's
# usual bicubic, a third faster, and no line looks beyond its pair.
_AVERAGE = Interpolation.AREA | Interpolation.FULL_CHR_H_INP

# Converted at once. libav keeps a few of its pictures for later ones: of whole
# grids they are 20 MB.
_BAND_BYTES = 2_000_000


class FrameConverter:
    """Converts frames of one size to pictures of one pixel format. One thread.

    Args:
        width: Of the frames, in pixels.
        height: Of the frames, in pixels.
        pixel_format: As ffmpeg names it.
        reduction: By which the sides of YUV pictures are divided.
        is_copied: The encoder copies a picture before the next but one is converted,
            so that large ones may be converted in bands into reused memory.

    Attributes:
        size: (width, height) of the pictures.
        bands: (first, last + 1) of the lines that are converted at once.
    """

    def __init__(
        self,
        width: int,
        height: int,
        pixel_format: str,
        *,
        reduction: int,
        is_copied: bool,
    ) -> None:
        self._width = width
        self._format = pixel_format
        self._reduction = reduction
        # One for the whole stream: a reformatter owns its conversion tables, and
        # making them anew costs more than converting the frame.
        self._reformatter = VideoReformatter()
        self.size = _padded_size(width, height, pixel_format, reduction)
        self.bands = self._plan_bands() if is_copied else [(0, self.size[1])]
        lines = self.bands[0][1] * reduction
        # Reused: a new memory page costs as much as converting its pixels.
        self._padded = np.empty((lines, self.size[0] * reduction, 3), np.uint8)
        # Filled in turn: the encoder has copied one before it is filled again.
        self._pictures: list[av.VideoFrame] = []

    @property
    def is_yuv(self) -> bool:
        """Whether pictures have luma and colour, and not red, green and blue."""
        return self._format.startswith("yuv")

    def convert(self, frame: Frame) -> av.VideoFrame:
        """Return a frame as a picture; `frame` may be reused."""
        if not self.is_yuv:
            # A copy: the encoder reads the pixels after this call.
            whole = np.ascontiguousarray(frame)
            picture = av.VideoFrame.from_ndarray(whole, format="rgb24")
            return self._reformatter.reformat(picture, format=self._format)
        if len(self.bands) == 1:
            return self._as_yuv(frame, *self.bands[0])
        picture = self._next_picture()
        for top, stop in self.bands:
            _paste(self._as_yuv(frame, top, stop), picture, top)
        return picture

    def _next_picture(self) -> av.VideoFrame:
        if len(self._pictures) < 2:
            self._pictures.append(av.VideoFrame(*self.size, self._format))
        else:
            self._pictures.reverse()
        return self._pictures[-1]

    def _plan_bands(self) -> list[tuple[int, int]]:
        width, height = self.size
        line_bytes = 3 * width * self._reduction**2
        # Even, since two lines share their colour.
        lines = max(2, _BAND_BYTES // line_bytes // 2 * 2)
        if not self.is_yuv or height * line_bytes <= 2 * _BAND_BYTES:
            lines = height
        return [(top, min(top + lines, height)) for top in range(0, height, lines)]

    def _as_yuv(self, frame: Frame, top: int, stop: int) -> av.VideoFrame:
        """Return lines ``top..stop`` of the video's picture."""
        band = self._fit(frame, top, stop)
        return self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(band, format="rgb24"),
            width=self.size[0],
            height=stop - top,
            format=self._format,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=_AVERAGE,
        )

    def _fit(self, frame: Frame, top: int, stop: int) -> Frame:
        """Return the pixels that become lines ``top..stop``, padded by the edge."""
        k = self._reduction
        width = self.size[0] * k
        part = frame[top * k : stop * k, :width]
        height = (stop - top) * k
        if part.shape[:2] == (height, width):
            return np.ascontiguousarray(part)
        padded = self._padded[:height]
        lines = part.shape[0]
        padded[:lines, : self._width] = part
        padded[:lines, self._width :] = part[:, -1:]
        padded[lines:] = padded[lines - 1]
        return padded


def _padded_size(
    width: int, height: int, pixel_format: str, reduction: int
) -> tuple[int, int]:
    """Return (width, height) of pictures: even where 2 x 2 pixels share a colour."""
    step = 2 if pixel_format == "yuv420p" else 1
    if reduction > 1:
        return width // reduction // step * step, height // reduction // step * step
    return width + (-width % step), height + (-height % step)


def _paste(band: av.VideoFrame, picture: av.VideoFrame, top: int) -> None:
    """Copy a band of a planar picture to line `top` of the whole."""
    planes: Any = zip(band.planes, picture.planes, strict=True)
    for source, target in planes:
        first = top * target.height // picture.height
        lines = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)
        pixels = np.frombuffer(source, np.uint8).reshape(-1, source.line_size)
        width = source.width
        lines[first : first + source.height, :width] = pixels[: source.height, :width]
