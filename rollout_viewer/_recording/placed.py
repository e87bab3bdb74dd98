"""Bytes with a checksum of them and of where in the file they are stored.

A bit that flips in a table's key moves what is stored there to another place, where it
is whole and wrong. Bytes without such a checksum, as earlier versions wrote them, are
taken as they are.
"""

from __future__ import annotations

import struct
import zlib

# Neither zstd nor a list of chunks begins like this: slots have 16 bits.
_START = b"\xb5RVP"
_CHECKSUM = struct.Struct("<I")
_HEAD_BYTES = len(_START) + _CHECKSUM.size


def place(data: bytes, table: str, *key: int) -> bytes:
    """Return `data` as it is stored in a table under `key`."""
    return b"".join((_START, _CHECKSUM.pack(_checksum(data, table, key)), data))


def is_placed(stored: bytes) -> bool:
    """Return whether there is a checksum."""
    return stored.startswith(_START)


def unplace(stored: bytes, table: str, *key: int) -> bytes | None:
    """Return what was stored in a table under `key`; None: damaged, or of elsewhere."""
    if not is_placed(stored):
        return stored
    data = stored[_HEAD_BYTES:]
    mark = _CHECKSUM.pack(_checksum(data, table, key))
    return data if stored[len(_START) : _HEAD_BYTES] == mark else None


def _checksum(data: bytes, table: str, key: tuple[int, ...]) -> int:
    return zlib.crc32(data, zlib.crc32(f"{table}/{key}\n".encode()))
