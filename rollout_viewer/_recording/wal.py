"""Whose a log is: the file's beside which it is, or that of one before it.

SQLite connects a database with its ``-wal`` or ``-journal`` by name alone: beside a
file that was copied over the recording of a killed process, it shows the old rows
again, and a checkpoint writes them over the new ones. So each recording has an id of
its own in its first page, as the schema's version number; the log has that page too.

Knows SQLite's file formats (https://www.sqlite.org/fileformat.html) and nothing of
recordings.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._files.new_files import free_path, why_not_a_file

if TYPE_CHECKING:
    from collections.abc import Callable

# Of recordings; what a reader must know to read them.
FORMAT_VERSION = 1
# Bytes 40 to 43 of a database's first page.
_ID_OFFSET = 40
_PAGE_HEADER_BYTES = 100
_WAL_HEADER = struct.Struct(">8I")
_FRAME_HEADER = struct.Struct(">6I")
_WAL_MAGICS = (0x377F0682, 0x377F0683)
_JOURNAL_HEADER = struct.Struct(">8s4I")
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")
# Byte 19 says how the database must be read: with its log.
_FORMAT_OFFSET, _WAL_FORMAT = 19, 2
# Recordings of earlier versions have the number of their schema's changes instead.
_FIRST_ID = 1_000_000
# VACUUM of another tool adds 1.
_MAX_STEP = 16
# Of a file that is no database, or cannot be read: SQLite says why.
_UNREADABLE = -1


def give_id(connection: sqlite3.Connection) -> None:
    """Give a new database its id; before anything else has it open."""
    own = secrets.randbelow(2**31 - _FIRST_ID) + _FIRST_ID
    connection.execute(f"PRAGMA schema_version = {own}")


def note_id(connection: sqlite3.Connection) -> None:
    """Write the first page, which has the id, within the transaction that is open."""
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")


def set_aside_foreign_logs(path: Path) -> None:
    """Rename logs that are of another recording than the file beside them, and warn.

    Raises:
        OSError: One is, and cannot be renamed.
    """
    for side, id_in in (("-wal", _id_in_wal), ("-journal", _id_in_journal)):
        log = Path(f"{path}{side}")
        # Nearly always there is none: one call, and no exception.
        if os.path.exists(log) and _is_foreign(path, log, id_in):
            aside = free_path(log.with_name(f"{log.name}.of-another"))
            os.rename(log, aside)
            with contextlib.suppress(OSError):
                os.unlink(f"{path}-shm")  # an index of the log
            warnings.warn(
                f"rollout_viewer: expected {str(log)!r} to be of {path.name!r}, got "
                "that of another recording, which was at this path before. It was "
                f"renamed to {aside.name!r}; delete it if you do not miss the newest "
                "rows of that one.",
                RolloutViewerWarning,
                stacklevel=3,
            )


def lacks_log(path: Path) -> bool:
    """Whether a recording was copied without the log that its writer left."""
    log = f"{path}-wal"
    has_log = os.path.exists(log) and os.stat(log).st_size > 0
    if has_log or os.path.exists(f"{path}.lock") or why_not_a_file(path):
        return False
    with contextlib.suppress(OSError):
        # No one writes it, so this process has no lock that closing it would end.
        page = _read(path, 0, _PAGE_HEADER_BYTES)
        return len(page) == _PAGE_HEADER_BYTES and page[_FORMAT_OFFSET] == _WAL_FORMAT
    return False


def how_to_copy(path: Path) -> str:
    """Return where the rows are that a copy without its log lacks, for messages."""
    return (
        "The recording was not closed when it was copied: it is still being recorded, "
        "or its process was killed. Its newest rows, or all of them, are in the "
        f"{path.suffix + '-wal'!r} beside the original, and in its '-rows' where there "
        "is one: copy these files, too. While it is recorded, cache.save(path) makes a "
        "complete copy, and rv.open(original).save(path) in another process one of "
        "all rows but those of the last second."
    )


def _is_foreign(path: Path, log: Path, id_in: Callable[[Path], int | None]) -> bool:
    if why_not_a_file(log):
        return False
    try:
        if (other := id_in(log)) is None:
            return False
    except OSError:
        return False
    own = _id_of_file(path)
    if own is None:  # SQLite would delete a log beside a new file
        return True
    return own != _UNREADABLE and abs(own - other) > _MAX_STEP


def _id_of_file(path: Path) -> int | None:
    """Return the id in a database, without its log; None: it does not exist.

    Opened by SQLite: a process that closes a file by another way loses all locks that
    it has on it, https://www.sqlite.org/howtocorrupt.html section 2.2.
    """
    if why_not_a_file(path):
        return _UNREADABLE if os.path.lexists(path) else None
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            (found,) = connection.execute("PRAGMA schema_version").fetchone()
            return int(found) or _UNREADABLE
    except (sqlite3.Error, UnicodeDecodeError):  # a message may quote the file
        return _UNREADABLE


def _id_of_page(page: bytes) -> int | None:
    if len(page) < _PAGE_HEADER_BYTES or not page.startswith(b"SQLite format 3\0"):
        return None
    return int.from_bytes(page[_ID_OFFSET : _ID_OFFSET + 4], "big")


def _id_in_wal(log: Path) -> int | None:
    """Return the id in the log's first frame that is of the first page."""
    at = _WAL_HEADER.size
    if len(head := _read(log, 0, at)) < at:
        return None
    magic, _, page_bytes, _, *salts, _, _ = _WAL_HEADER.unpack(head)
    if magic not in _WAL_MAGICS or not 512 <= page_bytes <= 65536:
        return None
    while len(frame := _read(log, at, _FRAME_HEADER.size)) == _FRAME_HEADER.size:
        number, _, *frame_salts, _, _ = _FRAME_HEADER.unpack(frame)
        if frame_salts != salts:  # of the log before it was reset
            return None
        at += _FRAME_HEADER.size
        if number == 1:
            return _id_of_page(_read(log, at, _PAGE_HEADER_BYTES))
        at += page_bytes
    return None


def _id_in_journal(log: Path) -> int | None:
    """Return the id in a rollback journal, whose first page a writer changes first."""
    if len(head := _read(log, 0, _JOURNAL_HEADER.size)) < _JOURNAL_HEADER.size:
        return None
    magic, _, _, _, at = _JOURNAL_HEADER.unpack(head)
    record = _read(log, at, 4 + _PAGE_HEADER_BYTES)
    if magic != _JOURNAL_MAGIC or record[:4] != (1).to_bytes(4, "big"):
        return None
    found = _id_of_page(record[4:])
    # Before it has its own, its tables are being made.
    return found if found is None or found >= _FIRST_ID else None


def _read(path: str | Path, offset: int, count: int) -> bytes:
    """Return bytes of a file; it is never left open, wherever this is interrupted."""
    return np.fromfile(path, np.uint8, count, offset=offset).tobytes()
