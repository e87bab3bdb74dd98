"""An episode as a strip of small pictures, for a report."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._evaluate.lines import rows_of
from rollout_viewer._frames.transform import resize

if TYPE_CHECKING:
    import numpy.typing as npt

    from rollout_viewer._evaluate.chosen import Chosen

    Frame = npt.NDArray[np.uint8]

_NUM_FRAMES = 8
_HEIGHT_PX = 100
_MAX_WIDTH_PX = 200
_GAP_PX = 3


def strip_png(one: Chosen) -> str | None:
    """Return evenly spaced pictures of an episode as PNG in base64.

    From its first row to its last. None: it has no pictures, or they are to be rendered
    and cannot be.
    """
    import imageio.v3 as imageio

    try:
        frames = _pictures(one)
    except RolloutViewerError:
        return None
    if not frames:
        return None
    height = max(frame.shape[0] for frame in frames)
    width = max(frame.shape[1] for frame in frames)
    step = width + _GAP_PX
    strip = np.full((height, step * len(frames) - _GAP_PX, 3), 255, np.uint8)
    for index, frame in enumerate(frames):
        tall, wide = frame.shape[:2]
        strip[:tall, index * step : index * step + wide] = frame
    png = imageio.imwrite("<bytes>", strip, extension=".png")
    return base64.b64encode(png).decode()


def _pictures(one: Chosen) -> list[Frame]:
    cache, episode = one.cache, one.episode
    cache.prepare_pictures(
        episode.start, episode.stop, [episode.env], None, is_optional=True
    )
    rows = rows_of(cache, episode)
    spaced = np.linspace(0, len(rows) - 1, min(_NUM_FRAMES, len(rows))).round()
    chosen = [rows[int(number)] for number in spaced]
    shown = [row for row in chosen if cache.is_shown(row, episode.env)]
    return [_small(cache[row, episode.env]) for row in shown]


def _small(frame: Frame) -> Frame:
    height, width = frame.shape[:2]
    scale = min(1.0, _HEIGHT_PX / height, _MAX_WIDTH_PX / width)
    return resize(frame, (max(1, round(height * scale)), max(1, round(width * scale))))
