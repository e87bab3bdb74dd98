"""The recording file: one SQLite database that holds chunks and step data.

Why SQLite: one transactional file that survives kill -9, is read while it is written,
and opens in many tools. Nothing in it is code.

Tables, version 1::

    meta      key -> JSON value
    slots     the pictures of a row: env, camera, size, whether one shows all envs
    packs     id = block << 16 | n; several slots' chunks of one block of 32 rows,
              one after the other; directory: u32 slot, offset, length, ...
    steps     first block -> core step data of consecutive blocks (`step_codec`):
              one while they are new, `run_blocks` once those are full
    extras    block -> actions and data of its rows, if there are any
    tail      rows of the block that is still open, written each half second; also of
              full ones, of a process that was killed
    episodes  (env, index) -> JSON: segment, seed, options, labels

JSON is followed by its checksum, see `sealed_text`. Step data, actions and data, and
directories begin with one of themselves and of their key, see `placed`.

Knows bytes. Knows nothing of codecs, frames or envs.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError
from rollout_viewer._files import no_descriptor
from rollout_viewer._forks import keep_in_child
from rollout_viewer._recording.sealed_text import reseal
from rollout_viewer._recording.statements import meta_statement
from rollout_viewer._recording.wal import (
    FORMAT_VERSION,
    give_id,
    note_id,
    set_aside_foreign_logs,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._recording.statements import Statement


APPLICATION_ID = 0x52564653
_BUSY_TIMEOUT_S = 10.0
# Of a log, after which it is moved into the file: what SQLite does by itself.
_LOG_PAGES = 1000
SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE slots (slot INTEGER PRIMARY KEY, env INTEGER, camera TEXT,
                    height INTEGER, width INTEGER, is_shared INTEGER);
CREATE TABLE packs (id INTEGER PRIMARY KEY, directory BLOB, data BLOB);
CREATE TABLE steps (block INTEGER PRIMARY KEY, data BLOB);
CREATE TABLE extras (block INTEGER PRIMARY KEY, data BLOB);
CREATE TABLE tail (id INTEGER PRIMARY KEY, block INTEGER, start INTEGER,
                   num_rows INTEGER, steps BLOB, directory BLOB, data BLOB);
CREATE TABLE episodes (env INTEGER, idx INTEGER, info TEXT, PRIMARY KEY (env, idx))
    WITHOUT ROWID;
"""
# All but meta: these are emptied when a recording is cleared.
TABLES_OF_ROWS = ("packs", "steps", "extras", "tail", "slots", "episodes")
# What SQLite may keep beside the file, and what a recorder does: see `row_memory`.
SIDE_FILES = ("-wal", "-shm", "-journal", "-rows")
# WAL needs shared memory between the processes that have the file open.
_NETWORK_FILE_SYSTEMS = [
    "nfs",
    "cifs",
    "smb",
    "9p",
    "afs",
    "ceph",
    "gluster",
    "lustre",
    "gpfs",
    "beegfs",
    "fuse",
    "drvfs",
    "vboxsf",
    "prl_fs",
]


# -- connections


def open_database(path: Path, *, is_temporary: bool) -> sqlite3.Connection:
    """Return the writer's connection to its file once more."""
    connection = connect(file_uri(path, "mode=rw"))
    _set_synchronous(connection, is_temporary=is_temporary)
    return connection


def _set_synchronous(connection: sqlite3.Connection, *, is_temporary: bool) -> None:
    # With WAL no commit waits for the disk: a kill loses nothing, a power cut at most
    # the newest rows. A temporary file need not survive either.
    connection.execute(f"PRAGMA synchronous = {'OFF' if is_temporary else 'NORMAL'}")


def create_database(
    path: Path, *, is_temporary: bool, statements: Sequence[Statement] = ()
) -> sqlite3.Connection:
    """Create a recording file and return the writer's connection.

    Args:
        path: The file; it must not exist.
        is_temporary: It need not survive a power cut.
        statements: Executed at once: what others must find from the first moment on.

    Raises:
        RecordingError: The folder cannot be written, or no file can be opened.
    """
    connection = None
    try:
        set_aside_foreign_logs(path)
        connection = connect(file_uri(path, "mode=rwc"))
        _set_synchronous(connection, is_temporary=is_temporary)
        # At once: a kill leaves all tables or none, and the disk is waited for once.
        connection.executescript(f"BEGIN;{SCHEMA}")
        give_id(connection)
        connection.execute("COMMIT")
        set_journal(connection, path)
        for sql, values in statements:
            connection.execute(sql, values)
    except (sqlite3.Error, OSError) as error:
        if connection is not None:
            connection.close()
        if lack := no_descriptor():
            raise RecordingError(
                f"FrameCache: expected to create {str(path)!r}, got {lack}"
            ) from error
        raise RecordingError(
            f"FrameCache: expected a path that can be written, got {str(path)!r} "
            f"({error}). Choose a folder that exists and is writable, or path=None."
        ) from error
    return connection


def delete_database(path: Path) -> None:
    """Delete a file and all that SQLite keeps beside it, as far as they are there."""
    # The file last: what is beside it alone would be of no use, and not be found.
    for side in (*SIDE_FILES, ""):
        with contextlib.suppress(OSError):
            os.unlink(f"{path}{side}")


def checkpoint(path: Path) -> bool:
    """Move the content of side files into the file; return whether none are left."""
    try:
        set_aside_foreign_logs(path)
    except OSError:
        return False
    try:
        connection = connect(file_uri(path, "mode=rw"))
    except sqlite3.Error:
        return not has_side_files(path)
    try:
        # Another process may have it open for long; it will do the checkpoint then.
        connection.execute("PRAGMA busy_timeout = 100")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.Error:
        pass  # another process has it open
    finally:
        connection.close()
    return not has_side_files(path)


def roll_back(path: Path) -> None:
    """Undo what a killed process had half written, as far as its journal is there.

    The connections of readers, which change nothing, cannot.
    """
    with contextlib.suppress(sqlite3.Error, OSError):
        set_aside_foreign_logs(path)
        with contextlib.closing(connect(file_uri(path, "mode=rw"))) as connection:
            connection.execute("SELECT COUNT(*) FROM meta").fetchall()


def has_side_files(path: Path) -> bool:
    """Whether SQLite's side files exist beside a recording."""
    return any(os.path.exists(f"{path}{side}") for side in ("-wal", "-journal"))


def amend_meta(path: Path, key: str, value: Any) -> None:
    """Store a JSON value in the file of a recording that is not being written.

    Raises:
        RecordingError: The file cannot be written.
    """
    amend(path, [meta_statement(key, value)])


def amend(path: Path, statements: Sequence[Statement]) -> None:
    """Execute all statements or none on a recording that is not being written.

    Raises:
        RecordingError: The file cannot be written.
    """
    connection: sqlite3.Connection | None = None
    try:
        set_aside_foreign_logs(path)
        connection = connect(file_uri(path, "mode=rw"))
        connection.execute("BEGIN IMMEDIATE")
        note_id(connection)
        for sql, values in statements:
            connection.execute(sql, values)
        connection.execute("COMMIT")
        # Nothing is left in a log, and nothing says that there is one.
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA busy_timeout = 100")
            connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except (sqlite3.Error, OSError) as error:
        raise RecordingError(
            f"FrameCache: expected a file that can be written, got {str(path)!r} "
            f"({error}). Change its permissions."
        ) from error
    finally:
        if connection is not None:
            connection.close()


def set_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Allow reading while one process writes, where the file system supports it."""
    connection.execute(f"PRAGMA journal_mode = {'WAL' if is_local(path) else 'DELETE'}")


def set_patience(connection: sqlite3.Connection, *, is_patient: bool) -> None:
    """Let a connection wait for other processes, and for the disk, or for neither.

    Not patient: where another process writes there is an error at once, and the log is
    not moved into the file, however long it is.
    """
    busy_ms = round(_BUSY_TIMEOUT_S * 1000) if is_patient else 0
    connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
    pages = _LOG_PAGES if is_patient else 0
    connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")


def is_local(path: Path) -> bool:
    """Whether `path` lies on a file system with shared memory between processes."""
    if sys.platform == "win32":
        return not str(path.resolve()).startswith("\\\\")
    try:
        mounts = Path("/proc/mounts").read_text("utf-8", "replace").splitlines()
    except OSError:
        return True
    folder, best, kind = str(path.resolve().parent) + "/", "", ""
    for line in mounts:
        _, mount, name, *_ = line.split(" ")
        if folder.startswith(mount.rstrip("/") + "/") and len(mount) >= len(best):
            best, kind = mount, name
    return not kind.startswith(tuple(_NETWORK_FILE_SYSTEMS))


class _Connection(sqlite3.Connection):
    """A connection whose errors are SQLite's, also where their text is not UTF-8."""

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except UnicodeDecodeError as error:  # it quotes what is in the file
            raise sqlite3.DatabaseError("a damaged schema") from error


def connect(uri: str) -> sqlite3.Connection:
    """Open a `file_uri`; transactions are begun and ended by the caller."""
    connection: sqlite3.Connection = sqlite3.connect(
        uri,
        factory=_Connection,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        # Its user serialises the calls; the check would only forbid handing it over.
        check_same_thread=False,
        uri=True,
    )
    # Of statements of `annotations`.
    connection.create_function("reseal", 3, reseal, deterministic=True)
    return connection


def drop_inherited(connection: sqlite3.Connection, *, is_whole: bool) -> None:
    """Close a connection of the parent in a forked child, or never if it was in use."""
    if is_whole:
        if sys.version_info >= (3, 12):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        with contextlib.suppress(sqlite3.Error):
            connection.close()
    else:
        keep_in_child(connection)


def file_uri(path: Path, query: str) -> str:
    """Return SQLite's URI of a file, such as with ``mode=ro``."""
    from urllib.parse import quote

    return f"file:{quote(path.resolve().as_posix())}?{query}"
