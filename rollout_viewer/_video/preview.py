"""Many small pictures as one video: what a page shows where its link carries little.

The tiles of a row stand side by side in one picture, so that a page decodes one video
and not one for each tile. Encoders keep no picture back. Knows pixels. Knows nothing of
recordings and pages.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]


class PreviewCodec(NamedTuple):
    """A codec as browsers name it, and how libav encodes it."""

    name: str
    encoder: str
    pixel_format: str
    options: dict[str, str]


# Of one picture: level 5.1 of H.264 and VP9, as below.
_MAX_PIXELS, _MAX_SIDE = 4096 * 2176, 8192
_VPX = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
# In the order in which they are chosen, of what a page decodes. 16 HalfCheetahs at
# 240x240, a row: H.264 11 kB in 5 ms, VP9 14 kB in 10 ms, VP8 15 kB in 10 ms, pictures
# 137 kB in 4 ms (one core, PyAV 18.1). AV1's encoders keep pictures back.
CODECS = (
    PreviewCodec(
        "avc1.640033",
        "libx264",
        "yuv420p",
        {"preset": "superfast", "tune": "zerolatency", "crf": "28"},
    ),
    PreviewCodec("vp09.00.51.08", "libvpx-vp9", "yuv420p", {**_VPX, "crf": "36"}),
    PreviewCodec("vp8", "libvpx", "yuv420p", {**_VPX, "crf": "24"}),
    # Every browser shows these.
    PreviewCodec("image/jpeg", "mjpeg", "yuvj420p", {"qmin": "6", "qmax": "6"}),
)


def choose_codecs(names: Sequence[str]) -> tuple[str, ...]:
    """Return those that a page decodes, the best first; pictures are the last.

    Example:
        >>> choose_codecs(["vp8", "vp09.00.51.08"])
        ('vp09.00.51.08', 'vp8', 'image/jpeg')
        >>> choose_codecs([])
        ('image/jpeg',)
    """
    pictures = CODECS[-1].name
    return tuple(one.name for one in CODECS if one.name in (*names, pictures))


class Mosaic:
    """Tiles of equal size side by side in one YUV picture, filled anew for each row.

    Args:
        count: Of tiles.
        width: Of the frames, in pixels.
        height: Of the frames, in pixels.
        reduction: Tiles are about so many times smaller each way; their sides are even.
        pixel_format: "yuv420p" or "yuvj420p".

    Attributes:
        tile: (width, height) of a tile.
        columns: Tiles across.
        size: (width, height) of the picture.
    """

    def __init__(
        self, count: int, width: int, height: int, reduction: int, pixel_format: str
    ) -> None:
        self.tile, self.columns, self.size = _arrange(count, width, height, reduction)
        self._format = pixel_format
        self._range = ColorRange.JPEG if "j" in pixel_format else ColorRange.MPEG
        self._reformatter = VideoReformatter()
        wide, high = self.size
        self._pixels = np.full((high * 3 // 2, wide), 128, np.uint8)
        self._pixels[:high] = 16
        chroma = self._pixels[high:].reshape(2, high // 2, wide // 2)
        self._planes = self._pixels[:high], chroma[0], chroma[1]

    def put(self, index: int, frame: Frame) -> None:
        """Put a frame, uint8 (height, width, 3), contiguous, into a tile."""
        picture = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(frame, format="rgb24"),
            width=self.tile[0],
            height=self.tile[1],
            format=self._format,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG,
            dst_color_range=self._range,
            interpolation=Interpolation.AREA,
        )
        x = index % self.columns * self.tile[0]
        y = index // self.columns * self.tile[1]
        planes: Any = zip(picture.planes, self._planes, (1, 2, 2), strict=True)
        for plane, target, part in planes:
            lines = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
            high, wide = self.tile[1] // part, self.tile[0] // part
            place = (
                slice(y // part, y // part + high),
                slice(x // part, x // part + wide),
            )
            target[place] = lines[:high, :wide]

    def picture(self) -> av.VideoFrame:
        """Return it as a picture of its own."""
        picture = av.VideoFrame.from_ndarray(self._pixels, format=self._format)
        picture.colorspace = Colorspace.ITU601
        picture.color_range = self._range
        return picture


class PreviewEncoder:
    """Encodes pictures one after the other; the first needs no other.

    Args:
        codec: Which.
        size: (width, height) of the pictures, even.
        rate: Pictures a second, as they will be shown.
        bytes_per_s: About how many it may take at that rate.
    """

    def __init__(
        self, codec: PreviewCodec, size: tuple[int, int], rate: float, bytes_per_s: int
    ) -> None:
        context: Any = av.CodecContext.create(codec.encoder, "w")
        context.width, context.height = size
        context.pix_fmt = codec.pixel_format
        fraction = Fraction(rate).limit_denominator(1001)
        context.framerate = fraction
        context.time_base = 1 / fraction
        context.thread_count = 1
        context.gop_size = 10_000
        options = dict(codec.options)
        bits = str(8 * bytes_per_s)
        if codec.encoder == "libx264":
            options |= {"maxrate": bits, "bufsize": bits}
        elif codec.encoder.startswith("libvpx"):
            context.bit_rate = 8 * bytes_per_s
        context.options = options
        self._context = context
        self._count = 0

    def encode(self, picture: av.VideoFrame) -> bytes:
        """Return the picture, encoded."""
        picture.pts = self._count
        self._count += 1
        return b"".join(bytes(packet) for packet in self._context.encode(picture))


def reduction_within(count: int, width: int, height: int, reduction: int) -> int:
    """Return the least reduction from this one on that encoders and pages can take.

    Example:
        >>> reduction_within(16, 240, 240, 1)
        1
        >>> reduction_within(1024, 1920, 1080, 1)
        16
    """
    while True:
        _, _, (wide, high) = _arrange(count, width, height, reduction)
        is_small = wide * high <= _MAX_PIXELS and max(wide, high) <= _MAX_SIDE
        if is_small or max(width, height) <= 2 * reduction:
            return reduction
        reduction += max(1, reduction // 8)


def _arrange(
    count: int, width: int, height: int, reduction: int
) -> tuple[tuple[int, int], int, tuple[int, int]]:
    """Return the size of a tile, how many are across, and the size of all of them."""
    tile = _even(width / reduction), _even(height / reduction)
    # About as high as it is wide: encoders limit either side.
    across = round(math.sqrt(count * tile[1] / tile[0]))
    columns = max(1, min(count, across))
    lines = -(-count // columns)
    return tile, columns, (columns * tile[0], lines * tile[1])


def _even(side: float) -> int:
    return max(2, 2 * math.ceil(side / 2))
