"""Text as pixels: white letters on black, composed from letters drawn once.

Knows fonts. Knows nothing of what is said. Pillow is imported only here and only
when there is something to say; matplotlib and imageio bring it along.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# The least size at which the font can be read.
LEAST_TEXT_PX = 9
_PADDING_PX = 3


class Lettering:
    """Writes lines of text in one size. One thread.

    Drawing a text with Pillow costs 1 ms, putting known letters together 30 us.

    Args:
        size_px: Of the font.

    Example:
        >>> Lettering(10).draw("step 1").shape[2]
        3
    """

    def __init__(self, size_px: int) -> None:
        from PIL import ImageFont

        font: Any = ImageFont.load_default(max(size_px, LEAST_TEXT_PX))
        self._font = font
        ascent, descent = font.getmetrics()
        self.line_px = ascent + descent
        self._letters: dict[str, npt.NDArray[np.uint8]] = {}

    def width(self, text: str) -> int:
        """Return how many pixels wide a line is."""
        return sum(self._letter(letter).shape[1] for letter in text)

    def draw(self, text: str, max_width: int | None = None) -> Frame:
        """Return a picture, uint8 (h, w, 3), that holds the text and a margin.

        Args:
            text: Lines end at a line break.
            max_width: Of the picture in pixels. Lines that are wider are broken
                where two spaces stand, and cut off at last.
        """
        room = None if max_width is None else max(max_width - 2 * _PADDING_PX, 1)
        lines = [part for line in text.split("\n") for part in self._broken(line, room)]
        width = max(map(self.width, lines))
        height = self.line_px * len(lines)
        gray = np.zeros((height + 2 * _PADDING_PX, width + 2 * _PADDING_PX), np.uint8)
        for number, line in enumerate(lines):
            top, left = _PADDING_PX + number * self.line_px, _PADDING_PX
            for letter in line:
                pixels = self._letter(letter)
                right = left + pixels.shape[1]
                gray[top : top + self.line_px, left:right] = pixels
                left = right
        gray = gray if max_width is None else gray[:, :max_width]
        return np.repeat(gray[:, :, None], 3, axis=2)

    def _broken(self, line: str, room: int | None) -> list[str]:
        if room is None or self.width(line) <= room:
            return [line]
        lines: list[str] = []
        for part in line.split("  "):
            longer = f"{lines[-1]}  {part}" if lines else part
            if lines and self.width(longer) <= room:
                lines[-1] = longer
            else:
                lines.append(part)
        return lines

    def _letter(self, letter: str) -> npt.NDArray[np.uint8]:
        found = self._letters.get(letter)
        if found is None:
            from PIL import Image, ImageDraw

            width = max(1, math.ceil(self._font.getlength(letter)))
            image = Image.new("L", (width, self.line_px))
            ImageDraw.Draw(image).text((0, 0), letter, fill=255, font=self._font)
            found = self._letters[letter] = np.array(image)
        return found


def paste(picture: Frame, frame: Frame, top: int = 0, left: int = 0) -> None:
    """Put a picture onto a frame; what does not fit is cut off."""
    part = frame[top : top + picture.shape[0], left : left + picture.shape[1]]
    part[...] = picture[: part.shape[0], : part.shape[1]]
