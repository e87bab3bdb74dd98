"""Pictures in 256 colours become a GIF file, with one table of colours or several.

libav's encoder numbers no colours anew and writes only the rectangle that changed, for
as long as the palette is the same. Pictures in other colours than the file's first ones
are cut to that rectangle here, each with an encoder of its own, and get a table of the
colours in it.

Source: GIF89a specification, 18 to 21 (screen, image descriptor, colour tables).
"""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]
    Colors = npt.NDArray[np.uint8]

_TICK = Fraction(1, 100)

# Of the format, in bytes.
_HEADER_BYTES, _COMMENT_BLOCK = 13, 255
_MOVE_BYTES = 1 << 20
_EXTENSION, _IMAGE = 0x21, 0x2C
# An image descriptor ends with flags, one of which says that a table follows.
_DESCRIPTOR_BYTES, _HAS_TABLE = 10, 0x80
# An encoder compares the palette with that of its first picture, and no more.
_ANY_COLORS = np.zeros((256, 4), np.uint8)
_ANY_COLORS[:, 0] = 255


class Numbered(NamedTuple):
    """A frame as numbers of colours.

    Attributes:
        pixels: The numbers, uint8 (H, W).
        frame: What is shown of them, uint8 (H, W, 3).
        table: Their colours (n, 3); None: the file's table, which is written later.
        is_streamed: Follows only such pictures, all numbered alike.
    """

    pixels: Frame
    frame: Frame
    table: Colors | None = None
    is_streamed: bool = True


def write_pictures(
    path: Path, size: tuple[int, int], rate: Fraction, pictures: Iterable[Numbered]
) -> None:
    """Write pictures, one after the other."""
    shown = np.empty((*size, 3), np.uint8)
    with av.open(str(path), "w", format="gif") as container:
        stream = cast("Any", container.add_stream("gif", rate=100))
        encoder = _set_up(stream.codec_context, *size)
        for number, one in enumerate(pictures):
            pts, end = (round(n * 100 / rate) for n in (number, number + 1))
            if one.is_streamed or not number:
                packet = _encode(encoder, one.pixels)
                if not one.is_streamed:
                    start = _image_start(packet)
                    part = _part(one, (slice(0, size[0]), slice(0, size[1])))
                    packet = packet[:start] + part
            else:
                packet = _part(one, _changed(one.frame, shown))
            container.mux(_packet(packet, stream, pts, end - pts))
            np.copyto(shown, one.frame)


def _set_up(encoder: Any, height: int, width: int) -> Any:
    encoder.height, encoder.width = height, width
    encoder.pix_fmt = "pal8"
    encoder.time_base = _TICK
    return encoder


def _encode(encoder: Any, index: Frame) -> bytes:
    """Return a picture's packet; the first one of an encoder has a file's header."""
    numbers: Any = np.ascontiguousarray(index), _ANY_COLORS
    picture = av.VideoFrame.from_ndarray(numbers, format="pal8")
    return b"".join(bytes(packet) for packet in encoder.encode(picture))


def _packet(data: bytes, stream: Any, pts: int, duration: int) -> Any:
    packet = av.Packet(data)
    packet.stream = stream
    packet.pts = packet.dts = pts
    packet.duration = duration  # of the last picture; of others the next one's start
    packet.time_base = _TICK
    return packet


def _changed(frame: Frame, shown: Frame) -> tuple[slice, slice]:
    """Return the rectangle in which two pictures differ; one pixel if they do not."""
    is_other = frame != shown
    lines = np.flatnonzero(is_other.reshape(len(frame), -1).any(axis=1))
    if not len(lines):
        return slice(0, 1), slice(0, 1)
    rows = slice(int(lines[0]), int(lines[-1]) + 1)
    columns = np.flatnonzero(is_other[rows].any(axis=0).any(axis=1))
    return rows, slice(int(columns[0]), int(columns[-1]) + 1)


def _part(one: Numbered, part: tuple[slice, slice]) -> bytes:
    """Return the packet of a rectangle of a picture, without a file's header."""
    index = one.pixels[part]
    colors = b""
    if one.table is not None:
        used = np.flatnonzero(np.bincount(index.reshape(-1), minlength=256))
        lut = np.zeros(256, np.uint8)
        lut[used] = np.arange(len(used))
        index = lut[index]
        bits = max(1, (len(used) - 1).bit_length())
        colors = one.table[used].tobytes().ljust(3 << bits, b"\0")
    encoder = _set_up(av.CodecContext.create("gif", "w"), *index.shape)
    data = _encode(encoder, index)
    data = data[_image_start(data) :]
    at = _find_image(data)
    head = bytearray(data[: at + _DESCRIPTOR_BYTES])
    struct.pack_into("<HH", head, at + 1, part[1].start, part[0].start)
    if colors:
        head[-1] = head[-1] & 0x78 | _HAS_TABLE | (bits - 1)
    return bytes(head) + colors + data[at + _DESCRIPTOR_BYTES :]


def _image_start(data: bytes) -> int:
    """Return how long the file's header is that a packet may begin with."""
    return _HEADER_BYTES + _table_bytes(data[10]) if data[:3] == b"GIF" else 0


def _find_image(data: bytes) -> int:
    """Return where the image descriptor begins, behind all extensions."""
    at = 0
    while data[at] == _EXTENSION:
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    assert data[at] == _IMAGE
    return at


def _table_bytes(flags: int) -> int:
    return 3 * (2 << (flags & 7)) if flags & _HAS_TABLE else 0


def write_color_table(path: Path, colors: Colors) -> None:
    """Overwrite the file's colour table, in front of the pictures."""
    with path.open("r+b") as file:
        flags = file.read(_HEADER_BYTES)[10]
        file.write(colors.tobytes()[: _table_bytes(flags)])


def add_comment(path: Path, text: str) -> None:
    """Insert a comment before the first picture, where readers expect it.

    Source: GIF89a specification, 17 to 19 (header, colours) and 24 (comments).
    """
    content = text.encode("ascii", "replace")
    starts = range(0, len(content), _COMMENT_BLOCK)
    blocks = [content[start : start + _COMMENT_BLOCK] for start in starts]
    sized = b"".join(bytes([len(block)]) + block for block in blocks)
    with path.open("r+b") as file:
        flags = file.read(_HEADER_BYTES)[10]
        comment = b"\x21\xfe" + sized + b"\x00"
        _insert(file, _HEADER_BYTES + _table_bytes(flags), comment)


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
