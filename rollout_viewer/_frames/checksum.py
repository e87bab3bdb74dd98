"""A CRC-32 at the end of bytes: chunks end in one, and a file's lists of chunks."""

from __future__ import annotations

import struct
import zlib

CHECKSUM_BYTES = 4
_CHECKSUM = struct.Struct("<I")


def with_checksum(data: bytes) -> bytes:
    """Return `data` followed by its CRC-32, little endian."""
    return data + _CHECKSUM.pack(zlib.crc32(data))


def is_intact(data: bytes) -> bool:
    """Return whether `data` ends in the CRC-32 of everything before it."""
    checksum = zlib.crc32(memoryview(data)[:-CHECKSUM_BYTES])
    return data[-CHECKSUM_BYTES:] == _CHECKSUM.pack(checksum)
