"""What a database must be before anything in it is read: it may come from anywhere.

Its tables are the recording's own and nothing else: a view, a trigger or a generated
column is a program, which may run for ever. A query may take no more steps, and give no
more bytes, than a file of this size can hold.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from typing import TYPE_CHECKING, Any

from rollout_viewer._files.new_files import why_not_a_file
from rollout_viewer._recording.database import SCHEMA, SIDE_FILES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# SQLite's virtual machine takes some ten steps for a row, and a row ten bytes.
_STEPS_BETWEEN_CHECKS = 20_000
_MIN_STEPS = 1_000_000
_STEPS_PER_BYTE = 4
# Bytes of a value that is no text or blob; an estimate.
_NUMBER_BYTES = 8
# No statement of ours, and no table, has a longer text.
_MAX_SQL_BYTES = 10_000


class UntrustedFileError(sqlite3.DatabaseError):
    """The content of a database is not that of a recording."""


def restrict(connection: sqlite3.Connection) -> None:
    """Allow no more than reading a recording needs."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0").fetchall()
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, _MAX_SQL_BYTES)
    # A flipped bit in one text must not hide all the others.
    connection.text_factory = _as_text


def check_schema(connection: sqlite3.Connection) -> None:
    """Raise where the database has anything but a recording's tables.

    Raises:
        UntrustedFileError: It has.
    """
    select = "SELECT type, name, sql FROM sqlite_master LIMIT 100"
    with contextlib.closing(connection.execute(select)) as rows:
        found = {
            (kind, name): _normal(sql)
            for kind, name, sql in rows
            # What SQLite makes itself, for a primary key, has no text.
            if not (kind == "index" and sql is None)
        }
    if found != _own_schema():
        known = _own_schema()
        odd = sorted(
            f"{kind} {name}"
            for kind, name in {*found, *known}
            if found.get((kind, name)) != known.get((kind, name))
        )
        raise UntrustedFileError(
            f"other tables than a recording's: {', '.join(odd)[:200]}"
        )


def check_files(path: Path) -> None:
    """Raise where one of a database's files is no regular file.

    Raises:
        UntrustedFileError: One is not: opening it might wait for ever.
    """
    for side in SIDE_FILES:
        beside = f"{path}{side}"
        problem = why_not_a_file(beside) if os.path.lexists(beside) else None
        # Once more: its writer may have completed the file meanwhile.
        if problem and os.path.lexists(beside):
            raise UntrustedFileError(f"{beside!r}, which {problem}")


class BoundedReader:
    """Runs queries that take no longer, and give no more, than the file can hold.

    Args:
        path: Of the database.
        connection: To it. Queries by one thread at a time.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self.connection = connection
        self._max_bytes = self._file_bytes()
        self._num_checks = 0
        connection.set_progress_handler(self._is_too_long, _STEPS_BETWEEN_CHECKS)

    def fetch(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return all rows of a query.

        Raises:
            sqlite3.Error: It failed, or gives more than there is.
        """
        self._num_checks = 0
        rows, num_bytes = [], 0
        # Closed where it is interrupted: whoever keeps the traceback, as notebooks do,
        # has the query too, and the file cannot be written until that has ended.
        with contextlib.closing(self.connection.execute(sql, values)) as found:
            for row in found:
                rows.append(row)
                for value in row:
                    is_long = isinstance(value, (bytes, str))
                    num_bytes += len(value) if is_long else _NUMBER_BYTES
                if num_bytes > 2 * self._max_bytes:
                    self._max_bytes = self._file_bytes()  # it may have grown
                    if num_bytes > 2 * self._max_bytes:
                        raise UntrustedFileError("more rows than its size allows")
        return rows

    def _is_too_long(self) -> bool:
        self._num_checks += 1
        num_steps = self._num_checks * _STEPS_BETWEEN_CHECKS
        if num_steps <= _MIN_STEPS + _STEPS_PER_BYTE * self._max_bytes:
            return False
        self._max_bytes = self._file_bytes()
        return num_steps > _MIN_STEPS + _STEPS_PER_BYTE * self._max_bytes

    def _file_bytes(self) -> int:
        return file_bytes(self._path)


def file_bytes(path: Path) -> int:
    """Return the size of a database in bytes, side files included."""
    total = 4096
    for side in ("", "-wal"):
        try:
            total += os.stat(f"{path}{side}").st_size
        except OSError:
            continue
    return total


@functools.cache
def _own_schema() -> dict[tuple[str, str], str]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(SCHEMA)
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master")
        return {(kind, name): _normal(sql) for kind, name, sql in rows if sql}
    finally:
        connection.close()


def _normal(sql: Any) -> str:
    return " ".join(str(sql).split())


def _as_text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
