"""Video files: frames in, one by one, and out again.

`VideoWriter` streams into mp4 (H.264) and webm (VP9), `write_gif` makes a GIF in two
passes, `read_video` gives the frames of any video file. Frame n of what is written
is frame n of what was handed over: presentation times are frame numbers over the
frame rate, no frame is dropped, merged or repeated.

Knows encoders, colours and containers. Knows nothing of clips, environments or
names that are taken (`_files`). The only module that imports av.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, get_args

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    FrameError,
    RolloutViewerWarning,
)
from rollout_viewer._files import new_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

Quality = Literal["normal", "high", "lossless"]

# H.264 level 5.1 and 5.2 end at 36,864 macroblocks; hardware decoders at 4096 wide.
MAX_SIDE = 4096
MAX_PIXELS = 4096 * 2304

# Shown times of a GIF are whole centiseconds, and browsers show a frame of one
# centisecond for ten: two is the shortest that every viewer keeps to.
MAX_GIF_FPS = 50.0

# ITU-T H.273: 1 is BT.709 for primaries, transfer and matrix alike.
_BT709 = 1


class _Encoder(NamedTuple):
    codec: str
    pixel_format: str
    options: dict[str, str]


# Without lag the encoder holds no 25 frames, which are 450 MB of a large grid.
_VP9 = {"deadline": "realtime", "row-mt": "1", "lag-in-frames": "0"}

# Measured on 300 CartPole frames (600x400, 2 cores), x264 superfast: crf 20 gives
# 49.7 dB in 89 kB, crf 23 49.0 dB in 74 kB, preset veryfast 48.3 dB in 53 kB at 1.4
# times the time. Without B-frames it is a tenth faster at the same size, and
# decoding order is showing order, so that no edit list is needed.
_ENCODERS: dict[tuple[str, str], _Encoder] = {
    (".mp4", "normal"): _Encoder(
        "libx264", "yuv420p", {"preset": "superfast", "crf": "20", "bf": "0"}
    ),
    (".mp4", "high"): _Encoder(
        "libx264", "yuv444p", {"preset": "superfast", "crf": "14", "bf": "0"}
    ),
    (".mp4", "lossless"): _Encoder(
        "libx264rgb", "rgb24", {"preset": "ultrafast", "qp": "0"}
    ),
    (".webm", "normal"): _Encoder(
        "libvpx-vp9", "yuv420p", {**_VP9, "cpu-used": "8", "crf": "24", "b": "0"}
    ),
    (".webm", "high"): _Encoder(
        "libvpx-vp9", "yuv444p", {**_VP9, "cpu-used": "6", "crf": "12", "b": "0"}
    ),
    (".webm", "lossless"): _Encoder(
        "libvpx-vp9", "gbrp", {**_VP9, "cpu-used": "8", "lossless": "1"}
    ),
}


class VideoWriter:
    """A video file that grows frame by frame and appears when it is complete.

    Invariant: `path` names a file only after `close()`; an exception inside the
    `with` block, or `discard()`, leaves nothing on disk. One thread at a time.

    Args:
        path: Ends in ``.mp4`` or ``.webm``. A name that is taken gets ``-1``, ...
        width: Of the frames, in pixels. Odd sizes are padded to even ones by
            repeating the edge, since 4:2:0 colour has no half pixels.
        height: Of the frames, in pixels.
        fps: Frames a second; any positive number.
        quality: ``"normal"`` plays everywhere (H.264, yuv420p); ``"high"`` keeps the
            colours of single pixels (yuv444p), which some players refuse;
            ``"lossless"`` is exact and plays in few.
        options: For the encoder, as ffmpeg names them (``crf``, ``preset``, ...), and
            ``codec`` and ``pixel_format`` in place of the quality's.
        metadata: Tags of the container, such as ``title`` and ``comment``.
        overwrite: Replace a file of that name.
        where: The function that a person called, for messages.

    Raises:
        ValueError: Suffix, size, fps or quality cannot be written.
        ExportError: The folder or the file cannot be written.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "gray.mp4")
        >>> with VideoWriter(path, 64, 48, fps=30) as video:
        ...     for level in range(5):
        ...         video.write(np.full((48, 64, 3), 50 * level, np.uint8))
        >>> [int(frame.mean()) for frame in read_video(video.path)]
        [0, 50, 100, 150, 200]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        width: int,
        height: int,
        fps: float = 30.0,
        *,
        quality: Quality = "normal",
        options: Mapping[str, Any] | None = None,
        metadata: Mapping[str, str] | None = None,
        overwrite: bool = False,
        where: str = "VideoWriter",
    ) -> None:
        encoder = _choose_encoder(path, quality, options or {}, where)
        if width < 1 or height < 1:
            raise ValueError(
                f"{where}: expected frames of at least 1x1 pixel, got "
                f"{width!r}x{height!r}. Choose a size that shows something."
            )
        rate = frame_rate(fps, where)
        self.num_frames = 0
        self.width, self.height = width, height
        self.reduction = 1 if quality == "lossless" else _reduction(width, height)
        self._where = where
        self._format = encoder.pixel_format
        self._tick = 1 / rate
        # One for the whole stream: a reformatter owns its conversion tables, and
        # making them anew costs more than converting the frame.
        self._reformatter = VideoReformatter()
        self._size = self._plan_size()
        # Reused: a new page costs as much as converting what is on it.
        self._padded = np.empty((self._size[1], self._size[0], 3), np.uint8)
        self._container: Any = None
        self._block = new_file(path, where=where, overwrite=overwrite)
        self._file = self._block.__enter__()
        try:
            with _as_export_errors(where):
                self._open(encoder, rate, metadata or {})
        except ValueError as error:  # a codec or pixel format that is not known
            self._abandon(error)
            raise ValueError(
                f"{where}: expected a codec and a pixel format that ffmpeg knows, got "
                f"{encoder.codec!r} and {encoder.pixel_format!r} ({error}). "
                "Leave them out for those of the quality."
            ) from error
        except BaseException as error:
            self._abandon(error)
            raise
        if self.reduction > 1:
            warnings.warn(
                f"{where}: {width}x{height} pixels are more than players take "
                f"({MAX_SIDE} wide, {MAX_PIXELS} in all); the video is "
                f"{self.reduction} times smaller each way. Choose fewer envs or "
                "layout='tiles' for the full size.",
                RolloutViewerWarning,
                stacklevel=3,
            )

    @property
    def path(self) -> Path:
        """Where the file is, or will be; final after `close()`."""
        return self._file.path

    def write(self, frame: Frame) -> None:
        """Append one frame.

        Args:
            frame: Shape (height, width, 3), uint8. It may be reused as soon as this
                returns.

        Raises:
            FrameError: The shape or the dtype is another one.
            ExportError: The encoder or the disk failed.
        """
        expected = (self.height, self.width, 3)
        if frame.shape != expected or frame.dtype != np.uint8:
            raise FrameError(
                f"{self._where}: expected frames of shape {expected} and dtype uint8, "
                f"got {frame.shape} and {frame.dtype}. Give all frames one size."
            )
        if self._container is None:
            raise ExportError(
                f"{self._where}: expected an open video, got one that is closed: "
                f"{str(self.path)!r}. Write all frames before closing."
            )
        with _as_export_errors(self._where):
            picture = self._convert(frame)
            picture.pts = self.num_frames
            picture.time_base = self._tick
            self._container.mux(self._stream.encode(picture))
        self.num_frames += 1

    def close(self) -> None:
        """Finish the file and give it its name. Closing twice is safe.

        Raises:
            ExportError: There was no frame, or the disk failed; nothing is left.
        """
        if self._container is None:
            return
        try:
            if not self.num_frames:
                raise ExportError(
                    f"{self._where}: expected at least one frame, got none. "
                    "Write a frame before closing."
                )
            with _as_export_errors(self._where):
                self._container.mux(self._stream.encode(None))
                self._container.close()
        except BaseException as error:
            self._abandon(error)
            raise
        self._container = None
        self._block.__exit__(None, None, None)

    def discard(self) -> None:
        """Stop, and leave nothing on disk. Does nothing after `close()`."""
        if self._container is not None:
            self._abandon(ExportCancelled(f"{self._where}: discarded."))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self._container is not None:
            self._abandon(error)

    def _open(
        self, encoder: _Encoder, rate: Fraction, metadata: Mapping[str, str]
    ) -> None:
        suffix = self._file.path.suffix.lower()
        # The index in front, so that a browser plays before it has the whole.
        options = {"movflags": "+faststart"} if suffix == ".mp4" else {}
        self._container = av.open(
            str(self._file.part), "w", format=suffix[1:], options=options
        )
        self._container.metadata.update(metadata)
        # A key frame every other second: a player finds any frame soon, for 2 % more.
        key = str(max(1, math.ceil(2 * rate)))
        stream = self._container.add_stream(
            encoder.codec, rate=rate, options={"g": key, **encoder.options}
        )
        stream.width, stream.height = self._size
        stream.pix_fmt = self._format
        context = stream.codec_context
        context.time_base = self._tick
        if self._is_yuv:
            context.colorspace = context.color_primaries = _BT709
            context.color_trc = _BT709
            context.color_range = ColorRange.MPEG
        self._stream = stream

    def _abandon(self, error: BaseException) -> None:
        """Close what is open and let the file's block see the error."""
        container, self._container = self._container, None
        if container is not None:
            # First the container: on Windows an open file cannot be removed.
            with contextlib.suppress(Exception):
                container.close()
        self._block.__exit__(type(error), error, error.__traceback__)

    @property
    def _is_yuv(self) -> bool:
        return self._format.startswith("yuv")

    def _plan_size(self) -> tuple[int, int]:
        """Return (width, height) of the video."""
        step = 2 if self._format == "yuv420p" else 1
        k = self.reduction
        if k > 1:
            return self.width // k // step * step, self.height // k // step * step
        return self.width + (-self.width % step), self.height + (-self.height % step)

    def _fit(self, frame: Frame) -> Frame:
        """Cut a frame to a multiple of the reduction, or pad it to the video's size."""
        if self.reduction > 1:
            width, height = (side * self.reduction for side in self._size)
            return np.ascontiguousarray(frame[:height, :width])
        if self._size == (self.width, self.height):
            return np.ascontiguousarray(frame)
        padded = self._padded
        padded[: self.height, : self.width] = frame
        padded[: self.height, self.width :] = frame[:, -1:]
        padded[self.height :] = padded[self.height - 1]
        return padded

    def _convert(self, frame: Frame) -> av.VideoFrame:
        frame = self._fit(frame)
        if not self._is_yuv:
            # The encoder reads these pixels later than this call: copy them.
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            return self._reformatter.reformat(picture, format=self._format)
        return self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(frame, format="rgb24"),
            width=self._size[0],
            height=self._size[1],
            format=self._format,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=(
                Interpolation.AREA if self.reduction > 1 else Interpolation.BICUBIC
            ),
        )


def write_gif(
    path: str | os.PathLike[str],
    passes: Callable[[], Iterable[Frame]],
    fps: float = 30.0,
    *,
    overwrite: bool = False,
    where: str = "write_gif",
) -> Path:
    """Write a looping GIF: exact up to 256 colours, no frame merged or dropped.

    Args:
        path: Ends in ``.gif``. A name that is taken gets ``-1``, ``-2``, ...
        passes: Gives the frames anew at each call: the first pass counts the colours,
            the second writes. Frames are uint8 (H, W, 3) of one size.
        fps: Frames a second, at most 50; more is played at 50, which is said.
        overwrite: Replace a file of that name.
        where: The function that a person called, for messages.

    Returns:
        Where the file is.

    Raises:
        ValueError: The fps is none.
        ExportError: There was no frame, or the file cannot be written.

    Source: libavfilter's palettegen and paletteuse; 7 to 24 times faster than the
    other GIF writers of Python, which also merge equal frames.
    """
    rate = frame_rate(fps, where)
    if rate > MAX_GIF_FPS:
        warnings.warn(
            f"{where}: a GIF plays at most {MAX_GIF_FPS:g} frames a second, got "
            f"{fps!r}; it plays slower, with every frame. Choose .mp4 or .webm.",
            RolloutViewerWarning,
            stacklevel=3,
        )
        rate = Fraction(MAX_GIF_FPS)
    new = new_file(path, where=where, overwrite=overwrite)
    with new as file, _as_export_errors(where):
        colors = _count_colors(passes(), where)
        pictures = colors.exact(passes()) or _quantized(passes(), colors)
        with av.open(str(file.part), "w", format="gif") as container:
            stream = cast("Any", container.add_stream("gif", rate=100))
            stream.height, stream.width = colors.size
            stream.pix_fmt = "pal8"
            stream.codec_context.time_base = Fraction(1, 100)
            for number, picture in enumerate(pictures):
                picture.pts = round(number * 100 / rate)
                picture.time_base = Fraction(1, 100)
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    return file.path


def read_video(path: str | os.PathLike[str]) -> Iterator[Frame]:
    """Give the frames of a video file in order, each a new uint8 (H, W, 3) array.

    Colours are converted by the file's own tags; where it has none, as players do
    it: BT.709 from 720 lines on, else BT.601, limited range.

    Raises:
        OSError: The file is not there.
        ExportError: It is no video.
    """
    reformatter = VideoReformatter()
    with _as_export_errors("read_video"), av.open(str(path)) as container:
        if not container.streams.video:
            raise ExportError(
                f"read_video: expected a video, got {str(path)!r} without a picture. "
                "Choose a video file."
            )
        container.streams.video[0].thread_type = "AUTO"
        for picture in container.decode(video=0):
            yield _rgb(reformatter, picture)


def frame_rate(fps: float, where: str = "fps") -> Fraction:
    """Return frames a second as the fraction that a container can hold.

    Raises:
        ValueError: `fps` is not a positive number.

    Example:
        >>> frame_rate(29.97), frame_rate(30000 / 1001), frame_rate(0.5)
        (Fraction(2997, 100), Fraction(30000, 1001), Fraction(1, 2))
    """
    try:
        number = float(fps)
    except (TypeError, ValueError):
        number = math.nan
    # Above, clocks of players have no tick for a frame.
    if not 1e-3 <= number <= 10_000:
        raise ValueError(
            f"{where}: expected fps between 0.001 and 10000, got {fps!r}. "
            "Choose the frames to show in a second, such as 30."
        )
    return Fraction(number).limit_denominator(1001)


def _choose_encoder(
    path: str | os.PathLike[str], quality: str, options: Mapping[str, Any], where: str
) -> _Encoder:
    import pathlib

    suffix = pathlib.Path(path).suffix.lower()
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
    return _Encoder(
        codec,
        given.pop("pixel_format", encoder.pixel_format),
        # Another codec does not know the options of ours.
        {**(encoder.options if codec == encoder.codec else {}), **given},
    )


def _reduction(width: int, height: int) -> int:
    """Return the least integer by which a picture has to shrink to be played."""
    k = 1
    while max(width, height) > MAX_SIDE * k or width * height > MAX_PIXELS * k * k:
        k += 1
    return k


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


class _Colors:
    """The colors of a GIF: all of them while they are few, and libavfilter's palette.

    libavfilter averages and matches in another color space, and rounds: up to 256
    colors are therefore looked up here, exactly.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        # diff counts a pixel when it changes: still backgrounds do not take the
        # palette. The first frame counts whole, so no color is missed.
        node = ("palettegen", "reserve_transparent=0:stats_mode=diff")
        self._graph = _graph(size, node)
        self._known: npt.NDArray[np.uint32] | None = np.empty(0, np.uint32)
        self._before: npt.NDArray[np.uint32] | None = None

    def add(self, frame: Frame) -> None:
        """Count the colors of the next frame."""
        self._graph.push(_picture(frame))
        if self._known is None:
            return
        codes, changed = self._changed(frame)
        known = np.union1d(self._known, codes[changed]).astype(np.uint32)
        self._known = known if len(known) <= 256 else None

    def palette(self) -> Any:
        """Return libavfilter's palette; to be asked for once, after the last frame."""
        self._graph.push(None)
        return self._graph.pull()

    def exact(self, frames: Iterable[Frame]) -> Iterator[Any] | None:
        """Give the frames in their own colors; None if there are too many."""
        return None if self._known is None else self._indexed(frames, self._known)

    def _indexed(
        self, frames: Iterable[Frame], known: npt.NDArray[np.uint32]
    ) -> Iterator[Any]:
        palette = np.zeros((256, 4), np.uint8)  # alpha, red, green, blue
        palette[:, 0] = 255
        palette[: len(known), 1:] = known.view(np.uint8).reshape(-1, 4)[:, :3]
        index = np.zeros(self.size, np.uint8)
        self._before = None
        for frame in frames:
            codes, changed = self._changed(frame)
            index[changed] = np.searchsorted(known, codes[changed])
            yield av.VideoFrame.from_ndarray(
                cast("Any", (index, palette)), format="pal8"
            )

    def _changed(
        self, frame: Frame
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.bool_]]:
        """Return each pixel as one number, and where it is not the frame before's."""
        codes = np.zeros(self.size, np.uint32)
        codes.view(np.uint8).reshape(*self.size, 4)[..., :3] = frame
        before, self._before = self._before, codes
        changed = np.ones(self.size, np.bool_) if before is None else codes != before
        return codes, changed


def _count_colors(frames: Iterable[Frame], where: str) -> _Colors:
    colors: _Colors | None = None
    for frame in frames:
        colors = colors or _Colors((frame.shape[0], frame.shape[1]))
        colors.add(frame)
    if colors is None:
        raise ExportError(
            f"{where}: expected at least one frame, got none. Choose a longer range."
        )
    return colors


def _quantized(frames: Iterable[Frame], colors: _Colors) -> Iterator[Any]:
    """Give each frame in libavfilter's palette."""
    palette = colors.palette()
    height, width = colors.size
    graph: Any = av.filter.Graph()
    video = graph.add_buffer(
        width=width, height=height, format="rgb24", time_base=Fraction(1, 100)
    )
    use = graph.add("paletteuse", "dither=none:diff_mode=rectangle")
    sink = graph.add("buffersink")
    source = graph.add_buffer(
        width=palette.width,
        height=palette.height,
        format=palette.format.name,
        time_base=Fraction(1, 100),
    )
    video.link_to(use, 0, 0)
    source.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    palette.pts = 0
    source.push(palette)
    source.push(None)
    for number, frame in enumerate(frames):
        picture = _picture(frame)
        picture.pts = number
        picture.time_base = Fraction(1, 100)
        video.push(picture)
        yield from _pulled(sink)
    video.push(None)
    yield from _pulled(sink)


def _graph(size: tuple[int, int], node: tuple[str, str]) -> Any:
    graph: Any = av.filter.Graph()
    source = graph.add_buffer(
        width=size[1], height=size[0], format="rgb24", time_base=Fraction(1, 100)
    )
    graph.link_nodes(source, graph.add(*node), graph.add("buffersink")).configure()
    return graph


def _pulled(sink: Any) -> Iterator[Any]:
    with contextlib.suppress(av.BlockingIOError, av.EOFError):
        while True:
            yield sink.pull()


def _picture(frame: Frame) -> av.VideoFrame:
    # A copy: filters keep pictures while the caller fills the next one.
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")


@contextlib.contextmanager
def _as_export_errors(where: str) -> Iterator[None]:
    """Say what ffmpeg failed at in the words of this package."""
    try:
        yield
    except FileNotFoundError:
        raise
    except av.FFmpegError as error:
        raise ExportError(
            f"{where}: expected ffmpeg to take the video, got {error}. "
            "Check the space on the disk and the encoder's options."
        ) from error
