"""GIF files, exact where the frames have no more than 256 colours.

Colours are numbered in the order in which they appear, so that one pass over the
frames is enough: the colour table is written in front of the pictures at the end. If
there are more colours, libavfilter finds a palette of all frames, and a second pass
writes them in it. Frames are read one by one, large ones in bands.

Source: libavfilter's palettegen and paletteuse; 7 to 24 times faster than the other
GIF writers of Python, which also merge equal frames.
"""

from __future__ import annotations

import itertools
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av

from rollout_viewer._errors import ExportError, RolloutViewerWarning
from rollout_viewer._files import new_file
from rollout_viewer._video.encoders import as_export_errors, frame_rate
from rollout_viewer._video.gif_colors import ExactColors
from rollout_viewer._video.gif_palette import Palette

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# Durations in a GIF are whole centiseconds, and browsers show a frame of one
# centisecond for ten: two is the shortest that all viewers respect.
MAX_GIF_FPS = 50.0
_TICK = Fraction(1, 100)

# Of the format, in bytes.
_HEADER_BYTES, _COMMENT_BLOCK = 13, 255
_MOVE_BYTES = 1 << 20


def write_gif(
    path: str | os.PathLike[str],
    passes: Callable[[], Iterable[Frame]],
    fps: float = 30.0,
    *,
    comment: str = "",
    overwrite: bool = False,
    on_whole: Callable[[], None] | None = None,
    where: str = "write_gif",
) -> Path:
    """Write a looping GIF: exact up to 256 colours, no frame merged or dropped.

    Args:
        path: Ends in ``.gif``. If it exists, ``-1``, ... is added.
        passes: Returns an iterator over all frames at each call. It is called once
            where 256 colours are enough, else once or twice more. Frames are uint8
            (H, W, 3) of one size.
        fps: Frames a second, at most 50; with more, it plays at 50, with a warning.
        comment: Text in the file that no viewer shows.
        overwrite: Replace a file of that name.
        on_whole: Called after each frame that needs no second pass, for as long as
            256 colours are enough.
        where: The called function, for messages.

    Returns:
        The path of the file.

    Raises:
        ValueError: `fps` is no number from 0.001 to 10,000.
        ExportError: There was no frame, or the file cannot be written.
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
    with new as file, as_export_errors(where):
        frames = iter(passes())
        first = next(frames, None)
        if first is None:
            raise ExportError(
                f"{where}: expected at least one frame, got none. Choose a longer "
                "range."
            )
        size = first.shape[0], first.shape[1]
        colors = ExactColors(size)
        exact = colors.indexed(itertools.chain([first], frames))
        if (picture := next(exact, None)) is not None:
            pictures = itertools.chain([picture], exact)
            _write(file.part, size, rate, _notifying(pictures, on_whole))
            _write_color_table(file.part, colors.palette)
        if colors.excess is not None:
            palette = Palette(size)
            before = itertools.islice(passes(), colors.num_frames)
            for frame in itertools.chain(before, [colors.excess], frames):
                palette.add(frame)
            _write(file.part, size, rate, palette.quantized(passes()))
        if comment:
            _add_comment(file.part, comment)
    return file.path


def _write(
    path: Path, size: tuple[int, int], rate: Fraction, pictures: Iterable[Any]
) -> None:
    """Write pictures that are in 256 colours already."""
    with av.open(str(path), "w", format="gif") as container:
        stream = cast("Any", container.add_stream("gif", rate=100))
        stream.height, stream.width = size
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = _TICK
        for number, picture in enumerate(pictures):
            picture.pts = round(number * 100 / rate)
            picture.time_base = _TICK
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _notifying(
    pictures: Iterable[Any], on_picture: Callable[[], None] | None
) -> Iterator[Any]:
    """Yield pictures, and call `on_picture` after each."""
    for picture in pictures:
        yield picture
        if on_picture is not None:
            on_picture()


def _write_color_table(path: Path, colors: npt.NDArray[np.uint8]) -> None:
    """Overwrite the global colour table (256, 3), in front of the pictures.

    Source: GIF89a specification, 18 and 19.
    """
    with path.open("r+b") as file:
        file.seek(_HEADER_BYTES)
        file.write(colors.tobytes())


def _add_comment(path: Path, text: str) -> None:
    """Insert a comment before the first picture, where readers expect it.

    Source: GIF89a specification, 17 to 19 (header, colours) and 24 (comments).
    """
    content = text.encode("ascii", "replace")
    starts = range(0, len(content), _COMMENT_BLOCK)
    blocks = [content[start : start + _COMMENT_BLOCK] for start in starts]
    sized = b"".join(bytes([len(block)]) + block for block in blocks)
    with path.open("r+b") as file:
        flags = file.read(_HEADER_BYTES)[10]
        num_colors = 2 << (flags & 7) if flags & 128 else 0
        _insert(file, _HEADER_BYTES + 3 * num_colors, b"\x21\xfe" + sized + b"\x00")


def _insert(file: BinaryIO, offset: int, content: bytes) -> None:
    """Insert `content` at `offset`; what follows is moved, a megabyte at a time."""
    for stop in range(file.seek(0, 2), offset, -_MOVE_BYTES):
        start = max(offset, stop - _MOVE_BYTES)
        file.seek(start)
        moved = file.read(stop - start)
        file.seek(start + len(content))
        file.write(moved)
    file.seek(offset)
    file.write(content)
