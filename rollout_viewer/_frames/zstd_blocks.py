"""Zstandard's frame header and RLE blocks, written by hand.

Format: RFC 8878, sections 3.1.1 and 3.1.1.2.
"""

from __future__ import annotations

import functools
import struct

# A zstd block: at most so many bytes; bit 0 marks the last, bits 1 and 2 are the kind.
BLOCK_BYTES = 1 << 17
IS_LAST, RLE = 1, 2
# Of what `raw_frame` takes.
MAX_RAW_BYTES = 1 << 16
_BLOCK_KIND = 6


def zstd_header(num_bytes: int) -> bytes:
    """Return the zstd frame header that records of `num_bytes` pixels leave out."""
    return b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", num_bytes)


def raw_frame(data: bytes) -> bytes:
    """Return a zstd frame that holds `data` as it is: at once, of up to 64 kB.

    A call of zstd lets other threads run, which takes ten times as long as the copy.
    """
    size = len(data)
    if size > 0xFF:
        head = b"\x60" + struct.pack("<H", size - 0x100)
    else:
        head = b"\x20" + struct.pack("<B", size)
    block = (size << 3 | IS_LAST).to_bytes(3, "little")
    return b"".join((b"\x28\xb5\x2f\xfd", head, block, data))


# Of changes in the same lines of a picture, over and over.
@functools.lru_cache(maxsize=1024)
def rle_blocks(value: int, num_bytes: int, *, is_last: bool = False) -> bytes:
    """Return zstd's RLE blocks for `num_bytes` times the byte `value`."""
    if not num_bytes:
        return b""
    whole, rest = divmod(num_bytes - 1, BLOCK_BYTES)
    blocks = (BLOCK_BYTES << 3 | RLE | value << 24).to_bytes(4, "little") * whole
    last = (rest + 1) << 3 | RLE | is_last | value << 24
    return blocks + last.to_bytes(4, "little")


def unended_blocks(frame: bytes, start: int) -> bytearray:
    """Return a zstd frame's blocks, to be followed by others.

    Args:
        frame: What zstd wrote, header included.
        start: Where the first block begins.
    """
    blocks = bytearray(frame[start:])
    at = 0
    while not blocks[at] & IS_LAST:
        head = int.from_bytes(blocks[at : at + 3], "little")
        at += 3 + (1 if head & _BLOCK_KIND == RLE else head >> 3)
    blocks[at] &= ~IS_LAST
    return blocks
