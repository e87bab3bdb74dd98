"""Text burnt into the tiles of exported frames.

Knows a clip and pixels. Knows nothing of files. Pillow is imported only here and
only when labels are asked for; matplotlib and imageio bring it along.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._frames import grid_shape

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from rollout_viewer._clip import Clip
    from rollout_viewer._moments import Moment

    Frame = npt.NDArray[np.uint8]

# Of a tile's height, and the least size at which the font can be read.
_TEXT_SHARE, _LEAST_TEXT_PX = 0.05, 9
_PADDING_PX = 3


def describe(moment: Moment) -> str:
    """Return "env 3  ep 1  step 20  total 20" as far as it is known."""
    parts = [f"env {moment['env']}"]
    if moment["episode"] is not None:
        parts += [f"ep {moment['episode']}", f"step {moment['episode_step']}"]
    if not math.isnan(moment["total_reward"]):
        parts.append(f"total {moment['total_reward']:.4g}")
    return "  ".join(parts)


class Labels:
    """Writes a text at the top left of each tile of a clip's frames.

    Args:
        clip: Whose frames they are.
        text: What is written, of what `FrameCache.at` knows.
    """

    def __init__(self, clip: Clip, text: Callable[[Moment], str] = describe) -> None:
        from PIL import ImageFont

        self._clip = clip
        self._text = text
        self._height, self._width = clip.tile_size
        _, self._columns = grid_shape(len(clip.tile_envs))
        size = max(_LEAST_TEXT_PX, round(self._height * _TEXT_SHARE))
        self._font = ImageFont.load_default(size)

    def draw(self, frame: Frame, row: int) -> Frame:
        """Write onto the frame of `row` and return it; a copy if it is read-only."""
        if not frame.flags.writeable:
            frame = frame.copy()
        for index, env in enumerate(self._clip.tile_envs):
            grid_row, column = divmod(index, self._columns)
            text = self._picture(str(self._text(self._clip.cache.at(row, env))))
            top, left = grid_row * self._height, column * self._width
            # Not into the neighbour's tile.
            part = frame[top : top + self._height, left : left + self._width]
            part = part[: text.shape[0], : text.shape[1]]
            part[...] = text[: part.shape[0], : part.shape[1]]
        return frame

    def _picture(self, text: str) -> Frame:
        from PIL import Image, ImageDraw

        _, _, right, below = self._font.getbbox(text)
        size = int(right) + 2 * _PADDING_PX, int(below) + 2 * _PADDING_PX
        image = Image.new("RGB", size)
        corner = _PADDING_PX, _PADDING_PX
        ImageDraw.Draw(image).text(corner, text, fill="white", font=self._font)
        return np.array(image)
