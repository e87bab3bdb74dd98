"""Whose a write-ahead log is: the file's beside which it is, or that of one before it.

SQLite connects a database and its ``-wal`` by name alone: beside a file that was copied
over the recording of a killed process, it shows the old rows again, and a checkpoint
writes them over the new ones. So each recording has an id of its own in its first page,
as the schema's version number; the log has that page too.

Knows SQLite's file formats (https://www.sqlite.org/fileformat.html) and nothing of
recordings.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._files import free_path, why_not_a_file

if TYPE_CHECKING:
    import sqlite3

# Of recordings; what a reader must know to read them.
FORMAT_VERSION = 1
# Bytes 40 to 43 of a database's first page.
_ID_OFFSET = 40
_PAGE_HEADER_BYTES = 100
_WAL_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")
_WAL_MAGICS = (0x377F0682, 0x377F0683)
# Recordings of earlier versions have the number of their schema's changes instead.
_FIRST_ID = 1_000_000


def give_id(connection: sqlite3.Connection) -> None:
    """Give a new database its id; before anything else has it open."""
    own = secrets.randbelow(2**31 - _FIRST_ID) + _FIRST_ID
    connection.execute(f"PRAGMA schema_version = {own}")


def note_id(connection: sqlite3.Connection) -> None:
    """Write the first page, which has the id, within the transaction that is open."""
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def set_aside_foreign_wal(path: Path) -> None:
    """Rename a log that is of another recording than the file beside it, and warn.

    Raises:
        OSError: It is, and cannot be renamed.
    """
    wal = Path(f"{path}-wal")
    if not is_foreign(path):
        return
    aside = free_path(wal.with_name(f"{path.name}-wal.of-another"))
    os.rename(wal, aside)
    with contextlib.suppress(OSError):
        os.unlink(f"{path}-shm")  # an index of the log
    warnings.warn(
        f"rollout_viewer: expected {str(wal)!r} to be of {path.name!r}, got that of "
        "another recording, which was at this path before. It was renamed to "
        f"{aside.name!r}; delete it if you do not miss the newest rows of that one.",
        RolloutViewerWarning,
        stacklevel=3,
    )


def is_foreign(path: Path) -> bool:
    """Whether the log beside a database is known to be of another one."""
    own = _id_of_file(path)
    return own is not None and _id_of_wal(path) not in (None, own)


def _id_of_file(path: Path) -> int | None:
    """Return the id in a database, without its log; None: it cannot be read."""
    if why_not_a_file(path):
        return None
    try:
        return _id_of_page(_read(path, 0, _PAGE_HEADER_BYTES))
    except OSError:
        return None


def _id_of_page(page: bytes) -> int | None:
    if len(page) < _PAGE_HEADER_BYTES or not page.startswith(b"SQLite format 3\0"):
        return None
    return int.from_bytes(page[_ID_OFFSET : _ID_OFFSET + 4], "big")


def _id_of_wal(path: Path) -> int | None:
    """Return the id in a database's log; None: it has none."""
    wal = f"{path}-wal"
    # Nearly always there is none: one call, and no exception.
    if not os.path.exists(wal) or why_not_a_file(wal):
        return None
    try:
        return _id_of_frames(wal)
    except OSError:
        return None


def _id_of_frames(wal: str) -> int | None:
    """Return the id in the first frame of the log that is of the first page."""
    at = _WAL_HEADER.size
    if len(head := _read(wal, 0, at)) < at:
        return None
    magic, _, page_bytes, _, *salts, _, _ = _WAL_HEADER.unpack(head)
    if magic not in _WAL_MAGICS or not 512 <= page_bytes <= 65536:
        return None
    while len(frame := _read(wal, at, _FRAME_HEADER.size)) == _FRAME_HEADER.size:
        number, _, *frame_salts, _, _ = _FRAME_HEADER.unpack(frame)
        if frame_salts != salts:  # of the log before it was reset
            return None
        at += _FRAME_HEADER.size
        if number == 1:
            return _id_of_page(_read(wal, at, _PAGE_HEADER_BYTES))
        at += page_bytes
    return None


def _read(path: str | Path, offset: int, count: int) -> bytes:
    """Return bytes of a file; it is never left open, wherever this is interrupted."""
    return np.fromfile(path, np.uint8, count, offset=offset).tobytes()
