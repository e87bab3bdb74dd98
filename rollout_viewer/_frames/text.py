"""Text as pixels: white letters on black, composed from letters drawn once.

Knows fonts. Knows nothing of what the text means. Pillow is imported when the first
letter is drawn; it is installed with matplotlib and imageio.
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
    """Draws lines of text in one size. One thread.

    Drawing a text with Pillow costs 1 ms, composing it of letters drawn before 30 us.

    Args:
        size_px: Of the font; at least `LEAST_TEXT_PX` is used.

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
        """Return the text with a margin as a picture, uint8 (h, w, 3).

        Args:
            text: Lines end at a line break.
            max_width: Of the picture in pixels. Wider lines are broken at two
                spaces, and cut off where that is not enough.
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
        """Return a line as lines of at most `room` pixels where it can be broken."""
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
        """Return the gray pixels of a letter, drawn once."""
        found = self._letters.get(letter)
        if found is None:
            from PIL import Image, ImageDraw

            width = max(1, math.ceil(self._font.getlength(letter)))
            image = Image.new("L", (width, self.line_px))
            ImageDraw.Draw(image).text((0, 0), letter, fill=255, font=self._font)
            found = self._letters[letter] = np.array(image)
        return found


def paste(picture: Frame, frame: Frame, top: int = 0, left: int = 0) -> None:
    """Copy a picture into a frame; what does not fit is cut off."""
    part = frame[top : top + picture.shape[0], left : left + picture.shape[1]]
    part[...] = picture[: part.shape[0], : part.shape[1]]
