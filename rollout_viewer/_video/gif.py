"""GIF files, exact where the frames have no more than 256 colours.

Colours are numbered in the order in which they appear, so that one pass over the
frames is enough: the colour table is written in front of the pictures at the end. If
there are more colours, libavfilter finds a palette of all frames, and a second pass
writes them in it. Frames are read one by one, large ones in bands.

Source: libavfilter's palettegen and paletteuse; 7 to 24 times faster than the other
GIF writers of Python, which also merge equal frames.
"""

from __future__ import annotations

import contextlib
import itertools
import warnings
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from rollout_viewer._errors import ExportError, RolloutViewerWarning
from rollout_viewer._files import new_file
from rollout_viewer._video.encoders import as_export_errors, frame_rate

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Indices = npt.NDArray[np.uint8]
    Codes = npt.NDArray[np.uint32]

# Durations in a GIF are whole centiseconds, and browsers show a frame of one
# centisecond for ten: two is the shortest that all viewers respect.
MAX_GIF_FPS = 50.0
_TICK = Fraction(1, 100)

_MAX_COLORS = 256
# Of one band: temporary arrays beside a frame are a few times this.
_BAND_PIXELS = 500_000
# Of the hash table of colours: with 16 bits, every second multiplier is free of
# collisions for 256 colours, and the table fits into a processor's cache.
_TABLE_BITS = 16
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
        ValueError: `fps` is not a positive number.
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
        colors = _ExactColors(size)
        exact = colors.indexed(itertools.chain([first], frames))
        if (picture := next(exact, None)) is not None:
            pictures = itertools.chain([picture], exact)
            _write(file.part, size, rate, _notifying(pictures, on_whole))
            _write_color_table(file.part, colors.palette)
        if colors.excess is not None:
            palette = _Palette(size)
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


def _bands(height: int, width: int) -> list[slice]:
    lines = max(1, _BAND_PIXELS // width)
    return [slice(top, min(top + lines, height)) for top in range(0, height, lines)]


class _ExactColors:
    """The colours of frames, numbered in order of appearance, up to 256.

    Invariant: `_numbers` returns the number of every known colour. For an unknown one
    it returns the number of some other, so that `_known` there has another code.

    Attributes:
        num_frames: How many frames were indexed.
        excess: The frame after these, whose colours are too many; None: none was.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._known: Codes = np.empty(0, np.uint32)
        self._table = np.zeros(1 << _TABLE_BITS, np.uint8)
        self._factor = np.uint32(1)
        self._bands = _bands(*size)
        self._reformatter = VideoReformatter()
        self._before: Codes | None = None
        self._mask = np.empty((self._bands[0].stop, size[1]), np.bool_)
        self._index = np.empty(size, np.uint8)
        self.num_frames = 0
        self.excess: Frame | None = None

    @property
    def palette(self) -> npt.NDArray[np.uint8]:
        """The colours by number, (256, 3); black after the last."""
        palette = np.zeros((_MAX_COLORS, 3), np.uint8)
        rgb = self._known.view(np.uint8).reshape(-1, 4)[:, :3]
        palette[: len(self._known)] = rgb
        return palette

    def indexed(self, frames: Iterable[Frame]) -> Iterator[Any]:
        """Yield the frames as numbers of colours, until these are too many."""
        # The encoder only compares the palette with the first frame's.
        colors = np.zeros((_MAX_COLORS, 4), np.uint8)
        colors[:, 0] = 255
        for frame in frames:
            for band in self._bands:
                if not self._index_band(frame, band):
                    self.excess = frame
                    return
            self.num_frames += 1
            yield av.VideoFrame.from_ndarray(
                cast("Any", (self._index, colors)), format="pal8"
            )

    def _index_band(self, frame: Frame, band: slice) -> bool:
        """Number the pixels of some lines; False: their colours are too many."""
        codes = self._as_codes(frame[band])
        changed = self._changed(codes)
        if changed is not None:
            codes = codes[changed]
        numbers = self._numbers(codes)
        is_new = (
            codes != self._known[numbers]
            if len(self._known)
            else np.ones(codes.shape, np.bool_)
        )
        if is_new.any():
            if not self._learn(np.unique(codes[is_new])):
                return False
            numbers = self._numbers(codes)
        if changed is None:
            self._index[band] = numbers
        else:
            self._index[changed] = numbers
        return True

    def _as_codes(self, part: Frame) -> Codes:
        """Return each pixel as one number: red, green, blue, and 255."""
        picture = av.VideoFrame.from_numpy_buffer(
            np.ascontiguousarray(part), format="rgb24"
        )
        plane: Any = self._reformatter.reformat(picture, format="rgba").planes[0]
        lines = np.frombuffer(plane, np.uint32).reshape(part.shape[0], -1)
        return lines[:, : part.shape[1]]

    def _changed(self, codes: Codes) -> npt.NDArray[np.bool_] | None:
        """Return which pixels differ from the frame before; None: take all.

        Most pixels of a rollout do not change. Of large frames none is kept.
        """
        if len(self._bands) > 1:
            return None
        before, self._before = self._before, codes
        if before is None:
            return None
        return np.not_equal(codes, before, out=self._mask)

    def _numbers(self, codes: Codes) -> Indices:
        slots = codes * self._factor
        slots >>= np.uint32(32 - _TABLE_BITS)
        # No slot is outside the table: "clip" saves the check of each.
        return self._table.take(slots, mode="clip")

    def _learn(self, new: Codes) -> bool:
        """Number new colours; False: there are more than 256 now."""
        known = np.concatenate([self._known, new])
        if len(known) > _MAX_COLORS:
            return False
        self._known = known
        rng = np.random.default_rng(0)
        while True:
            # Odd, so that multiplying maps no two colours to one.
            self._factor = np.uint32(rng.integers(1 << 31) * 2 + 1)
            slots = (known * self._factor) >> np.uint32(32 - _TABLE_BITS)
            if len(np.unique(slots)) == len(known):
                self._table[...] = 0
                self._table[slots] = np.arange(len(known), dtype=np.uint8)
                return True


class _Palette:
    """libavfilter's palette of some frames, and the frames in its colours."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._bands = _bands(*size)
        # "diff" counts a pixel where it changes, so that a still background does not
        # dominate the palette. A band has no earlier frame to compare with.
        mode = "diff" if len(self._bands) == 1 else "full"
        self._graph = _graph(
            (self._bands[0].stop, size[1]),
            ("palettegen", f"reserve_transparent=0:stats_mode={mode}"),
        )

    def add(self, frame: Frame) -> None:
        """Count the colours of the next frame."""
        for band in self._bands:
            self._graph.push(_picture(self._whole_band(frame[band])))
            # Else the graph keeps its input until something is pulled.
            list(_pulled(self._graph))

    def quantized(self, frames: Iterable[Frame]) -> Iterator[Any]:
        """Yield frames in the palette of those that were added."""
        self._graph.push(None)
        video, sink = self._use(self._graph.pull())
        numbers = itertools.count()
        index = np.empty(self._size, np.uint8)
        for frame in frames:
            for band in self._bands:
                picture = _picture(self._whole_band(frame[band]))
                picture.pts = next(numbers)
                picture.time_base = _TICK
                video.push(picture)
                (found,) = _pulled(sink)
                if len(self._bands) == 1:
                    yield found
                    break
                pixels, palette = found.to_ndarray()
                index[band] = pixels[: band.stop - band.start]
            else:
                yield av.VideoFrame.from_ndarray(
                    cast("Any", (index, palette)), format="pal8"
                )

    def _use(self, palette: Any) -> tuple[Any, Any]:
        """Return the input and the output of a graph that applies `palette`."""
        graph: Any = av.filter.Graph()
        video = graph.add_buffer(
            width=self._size[1],
            height=self._bands[0].stop,
            format="rgb24",
            time_base=_TICK,
        )
        # Only what changed since the frame before is matched again.
        mode = ":diff_mode=rectangle" if len(self._bands) == 1 else ""
        use = graph.add("paletteuse", f"dither=none{mode}")
        sink = graph.add("buffersink")
        source = graph.add_buffer(
            width=palette.width,
            height=palette.height,
            format=palette.format.name,
            time_base=_TICK,
        )
        video.link_to(use, 0, 0)
        source.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        palette.pts = 0
        source.push(palette)
        source.push(None)
        # Its filters are valid only as long as the graph is referenced.
        self._graph = graph
        return video, sink

    def _whole_band(self, part: Frame) -> Frame:
        """Return a band at full height, the last one padded by its last line."""
        lines = self._bands[0].stop - part.shape[0]
        return np.pad(part, ((0, lines), (0, 0), (0, 0)), "edge") if lines else part


def _graph(size: tuple[int, int], node: tuple[str, str]) -> Any:
    graph: Any = av.filter.Graph()
    source = graph.add_buffer(
        width=size[1], height=size[0], format="rgb24", time_base=_TICK
    )
    graph.link_nodes(source, graph.add(*node), graph.add("buffersink")).configure()
    return graph


def _pulled(source: Any) -> Iterator[Any]:
    with contextlib.suppress(av.BlockingIOError, av.EOFError):
        while True:
            yield source.pull()


def _picture(frame: Frame) -> av.VideoFrame:
    # A copy: filters keep pictures while the caller fills the next one.
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")


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
