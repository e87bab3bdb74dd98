"""A palette of frames with more than 256 colours, and the frames in its colours.

Source: libavfilter's palettegen and paletteuse.
"""

from __future__ import annotations

import contextlib
import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from rollout_viewer._video.gif_colors import bands_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# Pictures are numbered, not timed: any unit would do.
_TICK = Fraction(1, 100)
_MAX_COLORS = 256


class Palette:
    """libavfilter's palette of some frames, and the frames in its colours.

    Attributes:
        table: The colours by number, (256, 3); black before the first is quantized.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self.table = np.zeros((_MAX_COLORS, 3), np.uint8)
        self._bands = bands_of(*size)
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

    def quantized(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield frames as numbers of colours, (H, W), each valid until the next."""
        self._graph.push(None)
        palette = self._graph.pull()
        pixels = palette.reformat(format="rgb24").to_ndarray()
        self.table = pixels.reshape(-1, 3)[:_MAX_COLORS].copy()
        video, sink = self._use(palette)
        numbers = itertools.count()
        index = np.empty(self._size, np.uint8)
        for frame in frames:
            for band in self._bands:
                picture = _picture(self._whole_band(frame[band]))
                picture.pts = next(numbers)
                picture.time_base = _TICK
                video.push(picture)
                (found,) = _pulled(sink)
                pixels, _ = found.to_ndarray()
                index[band] = pixels[: band.stop - band.start]
            yield index

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
