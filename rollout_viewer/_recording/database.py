"""The recording file: one SQLite database that holds chunks and step data.

Source of the choice: one transactional file that survives kill -9, is read while
it is written and opens in every tool (DESIGN.md "Store"). Nothing in it is code.

Tables, version 1::

    meta      key -> JSON value
    slots     the pictures of a row: env, camera, size, whether it shows all envs
    packs     id = block << 16 | n; several slots' chunks of one block of 32 rows,
              one after the other; directory: u32 slot, offset, length, ... and
              the CRC-32 of these
    steps     first block -> core step data of some blocks in a row (_columns.py):
              one while they are new, `run_blocks` once those are full
    extras    block -> actions and data of its rows, where there are any
    tail      rows of the block that is still open, written each half second
    episodes  (env, index) -> JSON: segment, seed, options, labels

Knows bytes. Knows nothing of codecs, frames or envs.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.statements import (
    RUN_BLOCKS,
    Statement,
    Tail,
    meta_statement,
    unpack_directory,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


FORMAT_VERSION = 1
_APPLICATION_ID = 0x52564653
_BUSY_TIMEOUT_S = 10.0
_DIRECTORIES_KEPT = 256
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
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
# All but meta: what a recording forgets when it is cleared.
TABLES_OF_ROWS = ("packs", "steps", "extras", "tail", "slots", "episodes")
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


def create_database(path: Path, *, is_temporary: bool) -> sqlite3.Connection:
    """Make a new recording file and return the writer's connection.

    Raises:
        RecordingError: The folder cannot be written.
    """
    try:
        connection = _connect(f"file:{_quoted(path)}?mode=rwc", uri=True)
        connection.executescript(_SCHEMA)
        set_journal(connection, path)
        # With WAL no commit waits for the disk: a kill loses nothing, a power cut
        # at most the newest rows. A temporary file need not survive either.
        connection.execute(
            f"PRAGMA synchronous = {'OFF' if is_temporary else 'NORMAL'}"
        )
    except sqlite3.Error as error:
        raise RecordingError(
            f"FrameCache: expected a path that can be written, got {str(path)!r} "
            f"({error}). Choose a folder that exists and is yours, or path=None."
        ) from error
    return connection


def checkpoint(path: Path) -> bool:
    """Bring what side files hold into the file; whether none are left."""
    try:
        connection = _connect(f"file:{_quoted(path)}?mode=rw", uri=True)
    except sqlite3.Error:
        return not has_side_files(path)
    try:
        # Somebody else may have it open for long: they settle it then.
        connection.execute("PRAGMA busy_timeout = 100")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    except sqlite3.Error:
        pass  # somebody else has it open
    finally:
        connection.close()
    return not has_side_files(path)


def has_side_files(path: Path) -> bool:
    """Tell whether SQLite's side files stand beside a recording."""
    return any(os.path.exists(f"{path}{side}") for side in ("-wal", "-journal"))


def amend_meta(path: Path, key: str, value: Any) -> None:
    """Store a JSON value in the file of a recording that nobody writes.

    Raises:
        RecordingError: The file cannot be written.
    """
    amend(path, [meta_statement(key, value)])


def amend(path: Path, statements: Sequence[Statement]) -> None:
    """Change the file of a recording that nobody writes, all of it or nothing.

    Raises:
        RecordingError: The file cannot be written.
    """
    connection = _connect(f"file:{_quoted(path)}?mode=rw", uri=True)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for sql, values in statements:
            connection.execute(sql, values)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise RecordingError(
            f"FrameCache: expected a file that can be written, got {str(path)!r} "
            f"({error}). Make it yours."
        ) from error
    finally:
        connection.close()


def set_journal(connection: sqlite3.Connection, path: Path) -> None:
    """Let others read while one writes, where the file system allows it."""
    connection.execute(f"PRAGMA journal_mode = {'WAL' if is_local(path) else 'DELETE'}")


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


def _connect(database: str, **options: Any) -> sqlite3.Connection:
    # The owner serialises; sqlite3's own check would only forbid handing over.
    connection: sqlite3.Connection = sqlite3.connect(
        database,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        **options,
    )
    return connection


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    return quote(path.resolve().as_posix())


class DatabaseReader:
    """Reads a recording, also while another thread or process writes it.

    Any thread may call; calls are serialised. In a forked child the inherited
    connection is left alone and a new one is opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = self._open()
        self._directories: OrderedDict[int, list[list[int]]] = OrderedDict()

    def _open(self) -> sqlite3.Connection:
        if not self.path.is_file():
            what = "is a folder" if self.path.is_dir() else "does not exist"
            raise RecordingError(
                f"rv.open: expected a recording, got {str(self.path)!r}, which {what}. "
                "Check the path."
            )
        problem = ""
        # A read-only folder has no room for WAL's side files: then the file is
        # read as it is.
        for mode in ("mode=ro", "mode=ro&immutable=1"):
            try:
                connection = _connect(f"file:{_quoted(self.path)}?{mode}", uri=True)
                self._check(connection)
            except sqlite3.Error as error:
                problem = str(error)
            else:
                return connection
        raise RecordingError(
            f"rv.open: expected a recording of rollout_viewer, got {str(self.path)!r} "
            f"({problem}): something else, or damaged. Recordings are made by "
            "FrameCache(path) and `rollout-viewer record`."
        )

    def _check(self, connection: sqlite3.Connection) -> None:
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if kind != _APPLICATION_ID:
            raise sqlite3.DatabaseError("an SQLite file of something else")
        if version > FORMAT_VERSION:
            raise RecordingError(
                f"rv.open: expected a recording of format {FORMAT_VERSION} or older, "
                f"got format {version} in {str(self.path)!r}. "
                "Run: pip install --upgrade rollout-viewer"
            )

    def _query(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._connection is None or self._pid != os.getpid():
                self._pid, self._connection = os.getpid(), self._open()
            try:
                return self._connection.execute(sql, values).fetchall()
            except sqlite3.Error as error:
                raise RecordingError(
                    f"{self.path}: expected readable data, got {error}. "
                    "What can be read elsewhere in the file is still there."
                ) from error

    def close(self) -> None:
        """Close until the next question; a forked child leaves its parent's alone."""
        with self._lock:
            if self._pid == os.getpid() and self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Have no connection inside, and one again afterwards.

        It keeps a file readable that somebody deletes.
        """
        self.close()
        try:
            yield
        finally:
            with self._lock, contextlib.suppress(RecordingError):
                if self._connection is None:
                    self._connection = self._open()

    def forget(self) -> None:
        """Drop what is remembered of the file's content."""
        with self._lock:
            self._directories.clear()

    def version(self) -> int:
        """Return a number that changes when another connection wrote."""
        return int(self._query("PRAGMA data_version")[0][0])

    def meta(self) -> dict[str, Any]:
        """Return all metadata."""
        return {k: json.loads(v) for k, v in self._query("SELECT * FROM meta")}

    def slots(self) -> list[Slot]:
        """Return the slots by number."""
        rows = self._query("SELECT * FROM slots ORDER BY slot")
        return [
            Slot(env, camera, height, width, bool(is_shared))
            for _, env, camera, height, width, is_shared in rows
        ]

    def episodes(self) -> list[tuple[int, int, dict[str, Any]]]:
        """Return (env, index, info) of the episodes of which something is known."""
        rows = self._query("SELECT env, idx, info FROM episodes")
        return [(env, index, json.loads(info)) for env, index, info in rows]

    def steps(self, first_block: int) -> list[tuple[int, bytes]]:
        """Return (block, core step data) of the sealed blocks from `first_block` on.

        Blocks before it may come with them: what began as a row of one block may
        have become one of many since.
        """
        first_block -= first_block % RUN_BLOCKS
        return self._query(
            "SELECT block, data FROM steps WHERE block >= ? ORDER BY block",
            (first_block,),
        )

    def extras_of(self, block: int) -> bytes | None:
        """Return actions and data of one sealed block; None if there are none."""
        found = self._query("SELECT data FROM extras WHERE block = ?", (block,))
        return found[0][0] if found else None

    def picture_nbytes(self) -> int:
        """Return the bytes of all sealed chunks."""
        return int(self._query("SELECT TOTAL(LENGTH(data)) FROM packs")[0][0])

    def tails(self) -> list[Tail]:
        """Return what is stored of the open block, in order."""
        rows = self._query(
            "SELECT block, start, num_rows, steps, directory, data FROM tail "
            "ORDER BY id"
        )
        tails = []
        for block, start, num_rows, steps, directory, data in rows:
            pieces = [
                (slot, data[offset : offset + length])
                for slot, offset, length in unpack_directory(directory)
            ]
            tails.append(Tail(block, start, num_rows, steps, pieces))
        return tails

    def chunk(self, block: int, slot: int) -> bytes | None:
        """Return the sealed chunk of a slot; None if the block shows nothing of it."""
        for pack, slot_, offset, length in self._directory(block):
            if slot_ == slot:
                found = self._query(
                    "SELECT substr(data, ?, ?) FROM packs WHERE id = ?",
                    (offset + 1, length, pack),
                )
                return found[0][0] if found else None  # evicted since
        return None

    def _directory(self, block: int) -> list[list[int]]:
        with self._lock:
            if block in self._directories:
                self._directories.move_to_end(block)
                return self._directories[block]
        rows = self._query(
            "SELECT id, directory FROM packs WHERE id >= ? AND id < ?",
            (block << 16, (block + 1) << 16),
        )
        entries = [[pack, *e] for pack, d in rows for e in unpack_directory(d)]
        if entries:
            with self._lock:
                self._directories[block] = entries
                while len(self._directories) > _DIRECTORIES_KEPT:
                    self._directories.popitem(last=False)
        return entries
