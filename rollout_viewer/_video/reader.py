"""The frames of video files, in order, as uint8 RGB.

Colours are converted as the file's tags say; without tags, as players do: BT.709 from
720 lines on, else BT.601, limited range.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from rollout_viewer._errors import ExportError
from rollout_viewer._files.new_files import why_not_a_file
from rollout_viewer._video.encoders import as_export_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]


# Containers whose frames are in the file itself. Others are lists of further files and
# addresses, which a video from elsewhere must not choose.
_CONTAINERS = (
    *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "gif", "apng", "ogg", "asf"),
    *("flv", "mpeg", "mpegts", "mpegvideo", "m4v", "h264", "hevc", "mjpeg", "ivf"),
    *("nut", "mxf"),
)
# As large as the largest picture that can be recorded.
MAX_PIXELS = (1 << 28) // 3
# Some files round times to milliseconds, which is up to a per cent of a short one.
_SAME_RATE = 0.02


class VideoFile:
    """An open video file. Iterate over it once for its frames; one thread.

    Args:
        path: Of any codec that ffmpeg reads, in a container that has its frames in the
            file itself; at most `MAX_PIXELS` a frame.
        where: The called function, for messages.

    Attributes:
        num_frames: As stored in the file, which may be wrong; 0: not stored.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: It is no video.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, where: str = "read_video"
    ) -> None:
        self._where = where
        self._path = Path(path)
        self._reformatter = VideoReformatter()
        try:
            if (problem := why_not_a_file(path)) and os.path.exists(path):
                raise self._no_video(f"which {problem}")
            # An absolute path is never taken for an address.
            self._container: Any = av.open(
                str(self._path.absolute()),
                options={
                    "format_whitelist": ",".join(_CONTAINERS),
                    "protocol_whitelist": "file",
                },
            )
        except FileNotFoundError:
            raise
        except (av.FFmpegError, OSError) as error:
            raise self._no_video(error.strerror or str(error)) from error
        if not self._container.streams.video:
            self.close()
            raise self._no_video("a file without a picture")
        stream = self._container.streams.video[0]
        if stream.width * stream.height > MAX_PIXELS:
            self.close()
            raise self._no_video(f"frames of {stream.width}x{stream.height} pixels")
        stream.thread_type = "AUTO"
        # Their size may change within the file.
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        self.num_frames: int = stream.frames
        self._stored_fps = float(stream.average_rate or stream.guessed_rate or 0)
        # Times of the first and the last frame so far, in seconds, and their count.
        self._times = (0.0, 0.0)
        self._count = 0

    @property
    def fps(self) -> float | None:
        """Frames a second on average; None where they are unknown.

        The stored rate, unless the times of the frames read so far contradict it (for
        a GIF, ffmpeg guesses).
        """
        first, last = self._times
        if last <= first:
            return self._stored_fps or None
        seen = (self._count - 1) / (last - first)
        is_right = (
            abs(seen / self._stored_fps - 1) < _SAME_RATE if self._stored_fps else False
        )
        return self._stored_fps if is_right else round(seen, 3)

    def __iter__(self) -> Iterator[Frame]:
        with as_export_errors(self._where):
            for picture in self._container.decode(video=0):
                if picture.time is not None:
                    first = self._times[0] if self._count else picture.time
                    self._times = first, picture.time
                self._count += 1
                yield _rgb(self._reformatter, picture)

    def close(self) -> None:
        """Close the file. Twice is safe."""
        self._container.close()

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _no_video(self, found: str) -> ExportError:
        return ExportError(
            f"{self._where}: expected a video, got {str(self._path)!r} ({found}). "
            "Choose a file that a video player plays."
        )


def read_video(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """Yield the frames of a video file in order, each a new uint8 (H, W, 3) array.

    Raises:
        FileNotFoundError: There is no such file.
        ExportError: It is no video.
    """
    with VideoFile(path) as video:
        yield from video


def _rgb(reformatter: VideoReformatter, picture: av.VideoFrame) -> Frame:
    if not picture.format.name.startswith("yuv"):
        rgb = reformatter.reformat(picture, format="rgb24")
    else:
        matrix = picture.colorspace
        if matrix in (0, 2):  # reserved, unspecified
            matrix = Colorspace.ITU709 if picture.height >= 720 else Colorspace.ITU601
        full = picture.color_range == ColorRange.JPEG or "yuvj" in picture.format.name
        rgb = reformatter.reformat(
            picture,
            format="rgb24",
            src_colorspace=matrix,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=Interpolation.BICUBIC,
        )
    return cast("Frame", rgb.to_ndarray())
