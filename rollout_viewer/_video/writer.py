"""mp4 and webm files from RGB frames: complete, or not there.

Frames are converted to the encoder's colours one by one (`converter`), so that little
memory is needed beside the encoder's own. A thread encodes a batch of frames while the
caller makes and converts the next.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.video.reformatter import ColorRange

from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    FrameError,
    RolloutViewerWarning,
)
from rollout_viewer._files.new_files import new_file
from rollout_viewer._video.converter import FrameConverter
from rollout_viewer._video.encoders import (
    MAX_PIXELS,
    MAX_SIDE,
    as_export_errors,
    choose_encoder,
    frame_rate,
    reduction,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from fractions import Fraction
    from pathlib import Path
    from types import TracebackType

    import numpy.typing as npt

    from rollout_viewer._video.encoders import Encoder, Quality

    Frame = npt.NDArray[np.uint8]

# ITU-T H.273: 1 is BT.709 for primaries, transfer and matrix alike.
_BT709 = 1

# Frames from one key frame to the next: a player decodes as many at most, a quarter
# of a second, to show any. At 60, files of still scenes are 15 % larger.
_KEY_INTERVAL = 250

# They copy a picture before `encode` returns, so that its memory may be reused.
_COPYING_CODECS = ("libx264", "libvpx-vp9")

# They take far longer than converting, so that a second thread would not pay, and much
# memory already.
_SLOW_CODECS = ("libvpx-vp9",)

# Of one batch for the encoder's thread: a large picture, or several small ones, since
# a change of threads takes as long as encoding a small one.
_BATCH_BYTES = 1_000_000


class VideoWriter:
    """A video file that grows frame by frame and appears when it is complete.

    Invariant: `path` names a file only after `close()`; an exception inside the
    `with` block, or `discard()`, leaves nothing on disk. One thread at a time. Errors
    of the encoder and of the disk are raised by a later `write`, or by `close`.

    Args:
        path: Ends in ``.mp4`` or ``.webm``. If it exists, ``-1``, ... is added.
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
        where: The called function, for messages.

    Raises:
        ValueError: Suffix, size, fps, quality or codec is not supported.
        ExportError: The folder or the file cannot be written.

    Example:
        >>> import tempfile, pathlib
        >>> path = pathlib.Path(tempfile.mkdtemp(), "gray.mp4")
        >>> with VideoWriter(path, 64, 48, fps=30) as video:
        ...     for level in range(5):
        ...         video.write(np.full((48, 64, 3), 50 * level, np.uint8))
        >>> from rollout_viewer._video import read_video
        >>> [round(frame.mean()) for frame in read_video(video.path)]
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
        encoder = choose_encoder(path, quality, options or {}, (width, height), where)
        if width < 1 or height < 1:
            raise ValueError(
                f"{where}: expected frames of at least 1x1 pixel, got "
                f"{width!r}x{height!r}. Choose a larger size."
            )
        rate = frame_rate(fps, where)
        self.num_frames = 0
        self.width, self.height = width, height
        self.reduction = 1 if quality == "lossless" else reduction(width, height)
        self._where = where
        self._tick = 1 / rate
        self._converter = FrameConverter(
            width,
            height,
            encoder.pixel_format,
            reduction=self.reduction,
            is_copied=encoder.codec in _COPYING_CODECS,
        )
        self._has_thread = encoder.codec not in _SLOW_CODECS
        self._container: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._encoded: Future[None] | None = None
        self._batch: list[av.VideoFrame] = []
        is_single = len(self._converter.bands) > 1 or not self._has_thread
        picture_bytes = 2 * math.prod(self._converter.size)
        self._batch_size = 1 if is_single else max(1, _BATCH_BYTES // picture_bytes)
        self._block = new_file(path, where=where, overwrite=overwrite)
        self._file = self._block.__enter__()
        try:
            with as_export_errors(where):
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
                f"{where}: {width}x{height} pixels are more than players show "
                f"({MAX_SIDE} wide, {MAX_PIXELS} in all); the video is "
                f"{self.reduction} times smaller each way. Choose fewer envs or "
                "layout='tiles' for the full size.",
                RolloutViewerWarning,
                stacklevel=3,
            )

    @property
    def path(self) -> Path:
        """Path of the file; final after `close()`."""
        return self._file.path

    def write(self, frame: Frame) -> None:
        """Append one frame.

        Args:
            frame: Shape (height, width, 3), uint8. It may be reused as soon as this
                returns.

        Raises:
            FrameError: The shape or the dtype is wrong.
            ExportError: The encoder or the disk failed, or the video is closed.
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
        with as_export_errors(self._where):
            picture = self._converter.convert(frame)
            picture.pts = self.num_frames
            picture.time_base = self._tick
            self._batch.append(picture)
            if len(self._batch) == self._batch_size:
                self._encode_batch()
        self.num_frames += 1

    def write_all(
        self, frames: Iterable[Frame], on_frame: Callable[[], object] | None = None
    ) -> None:
        """Append frames, reading each when the one before is written.

        Args:
            frames: As for `write`; they may share memory.
            on_frame: Called after each.

        Raises:
            FrameError: The shape or the dtype of a frame is wrong.
            ExportError: The encoder or the disk failed.
        """
        for frame in frames:
            self.write(frame)
            if on_frame is not None:
                on_frame()

    def close(self) -> None:
        """Finish the file and rename it to `path`. Closing twice is safe.

        Raises:
            ExportError: There was no frame, or the encoder or the disk failed;
                nothing is left.
        """
        if self._container is None:
            return
        try:
            if not self.num_frames:
                raise ExportError(
                    f"{self._where}: expected at least one frame, got none. "
                    "Write a frame before closing."
                )
            with as_export_errors(self._where):
                self._await_encoder()
                self._encode([*self._batch, None])
                self._container.close()
        except BaseException as error:
            self._abandon(error)
            raise
        self._container = None
        self._end_thread()
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

    # -- encoding, in a thread

    def _encode_batch(self) -> None:
        batch, self._batch = self._batch, []
        self._await_encoder()
        if not self._has_thread:
            self._encode(batch)
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "rollout_viewer encoder")
        try:
            self._encoded = self._thread.submit(self._encode, batch)
        except RuntimeError:  # Python ends: threads accept no work any more
            self._encode(batch)

    def _encode(self, pictures: Sequence[av.VideoFrame | None]) -> None:
        for picture in pictures:
            self._container.mux(self._stream.encode(picture))

    def _await_encoder(self) -> None:
        encoded, self._encoded = self._encoded, None
        if encoded is not None:
            encoded.result()

    def _end_thread(self) -> None:
        with contextlib.suppress(Exception):
            self._await_encoder()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    # -- opening and closing

    def _open(
        self, encoder: Encoder, rate: Fraction, metadata: Mapping[str, str]
    ) -> None:
        suffix = self._file.path.suffix.lower()
        # The index in front, so that browsers play before they have the whole file.
        options = {"movflags": "+faststart"} if suffix == ".mp4" else {}
        self._container = av.open(
            str(self._file.part), "w", format=suffix[1:], options=options
        )
        self._container.metadata.update(metadata)
        stream = self._container.add_stream(
            encoder.codec,
            rate=rate,
            options={"g": str(_KEY_INTERVAL), **encoder.options},
        )
        stream.width, stream.height = self._converter.size
        stream.pix_fmt = encoder.pixel_format
        context = stream.codec_context
        context.time_base = self._tick
        if self._converter.is_yuv:
            context.colorspace = context.color_primaries = _BT709
            context.color_trc = _BT709
            context.color_range = ColorRange.MPEG
        self._stream = stream

    def _abandon(self, error: BaseException) -> None:
        """Close the container, and leave the `new_file` block with the error."""
        container, self._container = self._container, None
        self._end_thread()
        if container is not None:
            # The container first: on Windows an open file cannot be removed.
            with contextlib.suppress(Exception):
                container.close()
        self._block.__exit__(type(error), error, error.__traceback__)
