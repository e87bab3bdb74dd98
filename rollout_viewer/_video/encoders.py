"""Which encoder writes a video, its settings, and the limits of players.

Pure functions: nothing here opens a file.
"""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import av

from rollout_viewer._errors import ExportError
from rollout_viewer._frames.fps import checked_fps

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping

Quality = Literal["normal", "high", "lossless"]

# H.264 level 5.1 and 5.2 end at 36,864 macroblocks; hardware decoders at 4096 wide.
MAX_SIDE = 4096
MAX_PIXELS = 4096 * 2304

# Above, encoders get settings for little memory: a grid of 2400x1600 takes x264 90 MB
# with the usual ones and 45 MB with these, for files a few per cent larger.
_LARGE_PIXELS = 2_000_000


class Encoder(NamedTuple):
    """A codec, what it encodes, and its options as ffmpeg names them."""

    codec: str
    pixel_format: str
    options: dict[str, str]


# With lag the encoder would hold 25 frames, 450 MB of a large grid. One thread takes
# 32 MB for 600x400 pixels, two take 35; for a grid of 2400x1600 VP9 takes 300 MB with
# any settings.
_VP9 = {"deadline": "realtime", "threads": "1", "lag-in-frames": "0"}

# Rendered frames move by whole pixels, and most pixels do not change. So without
# half-pixel search (subme 0) x264's superfast takes two thirds of the time for files
# of the same size. Five frames of lookahead (mbtree) in place of adaptive quantization
# (aq-mode), all partitions, and four references (what moves uncovers what was there
# before, and lights blink) make the files a fifth smaller at the same PSNR. One thread
# (another one prepares the frames) makes them 15 % smaller still. The deblocking filter
# is off: it has nothing to do at so fine a quantizer, and blurs thin lines. Without
# B-frames decoding order is presentation order, so that no edit list is needed.
#
# At mediapy's PSNR, files are 1.02 times its size and written 2.5 times as fast, by
# geometric mean over eight environments (200 frames each): FrozenLake 0.86, Pong and
# CartPole 0.91, LunarLander 0.98, MountainCar 1.04, Pendulum 1.12, HalfCheetah and
# Acrobot 1.21. In the last three, textures and coloured lines move by fractions of a
# pixel: half-pixel search (subme 2) makes files a tenth smaller for half as much time
# again, which is left to those who want it (``options``).
_RENDERED = {
    "preset": "superfast",
    "bf": "0",
    "x264-params": "subme=0:aq-mode=0:mbtree=1:rc-lookahead=5:sync-lookahead=0:"
    "partitions=all:deadzone-inter=30:ref=4:no-deblock=1:cabac=1:threads=1",
}
_ENCODERS: dict[tuple[str, str], Encoder] = {
    (".mp4", "normal"): Encoder("libx264", "yuv420p", {**_RENDERED, "crf": "18"}),
    (".mp4", "high"): Encoder("libx264", "yuv444p", {**_RENDERED, "crf": "12"}),
    (".mp4", "lossless"): Encoder(
        "libx264rgb", "rgb24", {"preset": "ultrafast", "qp": "0"}
    ),
    (".webm", "normal"): Encoder(
        "libvpx-vp9", "yuv420p", {**_VP9, "cpu-used": "8", "crf": "24", "b": "0"}
    ),
    (".webm", "high"): Encoder(
        "libvpx-vp9", "yuv444p", {**_VP9, "cpu-used": "6", "crf": "12", "b": "0"}
    ),
    (".webm", "lossless"): Encoder(
        "libvpx-vp9", "gbrp", {**_VP9, "cpu-used": "8", "lossless": "1"}
    ),
}

# No frame waits for others (tune); one reference, without its half-pixel planes (subme
# 0), which are four more pictures each.
_FOR_LARGE = {
    "libx264": {
        "tune": "zerolatency",
        "x264-params": "subme=0:aq-mode=0:mbtree=0:rc-lookahead=0:weightp=0:scenecut=0",
    },
    "libx264rgb": {"tune": "zerolatency", "x264-params": "ref=1"},
}


def choose_encoder(
    path: str | os.PathLike[str],
    quality: str,
    options: Mapping[str, Any],
    size: tuple[int, int],
    where: str,
) -> Encoder:
    """Return the encoder for a file by its suffix, with a caller's own options.

    Args:
        path: Of the file.
        quality: One of `Quality`.
        options: As ffmpeg names them, and ``codec`` and ``pixel_format``.
        size: (width, height) of the frames.
        where: The called function, for messages.

    Raises:
        ValueError: Suffix or quality is not known.
    """
    suffix = Path(path).suffix.lower()
    suffixes = sorted({known for known, _ in _ENCODERS})
    if suffix not in suffixes:
        raise ValueError(
            f"{where}: expected a name ending in {' or '.join(suffixes)}, got "
            f"{str(path)!r}. Choose one of them."
        )
    if quality not in get_args(Quality):
        raise ValueError(
            f"{where}: expected quality to be one of {get_args(Quality)}, got "
            f"{quality!r}. Choose one of them."
        )
    encoder = _ENCODERS[suffix, quality]
    given = {str(name): str(value) for name, value in options.items()}
    codec = given.pop("codec", encoder.codec)
    own = dict(encoder.options)
    if size[0] * size[1] > _LARGE_PIXELS:
        own.update(_FOR_LARGE.get(encoder.codec, {}))
    return Encoder(
        codec,
        given.pop("pixel_format", encoder.pixel_format),
        # Another codec does not know the options of ours.
        {**(own if codec == encoder.codec else {}), **given},
    )


def reduction(width: int, height: int) -> int:
    """Return the least integer by which to divide a picture's sides for players.

    Example:
        >>> reduction(2400, 1600), reduction(4097, 100), reduction(9600, 6400)
        (1, 2, 3)
    """
    k = 1
    while max(width, height) > MAX_SIDE * k or width * height > MAX_PIXELS * k * k:
        k += 1
    return k


def frame_rate(fps: float, where: str = "fps") -> Fraction:
    """Return frames a second as a fraction that containers can hold.

    Raises:
        ValueError: `fps` is no number from 0.001 to 10,000.

    Example:
        >>> frame_rate(29.97), frame_rate(30000 / 1001), frame_rate(0.5)
        (Fraction(2997, 100), Fraction(30000, 1001), Fraction(1, 2))
    """
    return Fraction(checked_fps(where, fps)).limit_denominator(1001)


@contextlib.contextmanager
def as_export_errors(where: str) -> Iterator[None]:
    """Raise errors of ffmpeg as `ExportError`; a missing file's stays."""
    try:
        yield
    except FileNotFoundError:
        raise
    except av.FFmpegError as error:
        raise ExportError(
            f"{where}: expected ffmpeg to process the video, got {error}. "
            "Check the space on the disk and the encoder's options."
        ) from error
