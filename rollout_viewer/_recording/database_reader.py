"""Queries of a recording file, also while it is written."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError
from rollout_viewer._recording.database import (
    APPLICATION_ID,
    FORMAT_VERSION,
    connect,
    file_uri,
)
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.statements import RUN_BLOCKS, Tail, unpack_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_DIRECTORIES_KEPT = 256


class DatabaseReader:
    """Reads a recording, also while another thread or process writes it.

    Any thread may call; calls are serialised. In a forked child the inherited
    connection is not used and a new one is opened.
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
        # WAL's side files cannot be created in a read-only folder: then the file is
        # read as it is.
        for mode in ("mode=ro", "mode=ro&immutable=1"):
            try:
                connection = connect(file_uri(self.path, mode))
                self._check(connection)
            except sqlite3.Error as error:
                problem = str(error)
            else:
                return connection
        raise RecordingError(
            f"rv.open: expected a recording of rollout_viewer, got {str(self.path)!r} "
            f"({problem}): another kind of file, or damaged. Recordings are made by "
            "FrameCache(path) and `rollout-viewer record`."
        )

    def _check(self, connection: sqlite3.Connection) -> None:
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if kind != APPLICATION_ID:
            raise sqlite3.DatabaseError("an SQLite file of another application")
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
        """Close until the next query; a forked child leaves its parent's connection."""
        with self._lock:
            if self._pid == os.getpid() and self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Close the connection, and open one again afterwards.

        It keeps a file readable that is deleted.
        """
        self.close()
        try:
            yield
        finally:
            with self._lock, contextlib.suppress(RecordingError):
                if self._connection is None:
                    self._connection = self._open()

    def forget(self) -> None:
        """Drop what is cached of the file's content."""
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
        """Return (env, index, info) of the episodes that have information."""
        rows = self._query("SELECT env, idx, info FROM episodes")
        return [(env, index, json.loads(info)) for env, index, info in rows]

    def steps(self, first_block: int) -> list[tuple[int, bytes]]:
        """Return (block, core step data) of the sealed blocks from `first_block` on.

        Blocks before it may be included: a table row of one block may have been merged
        into one of many since.
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
        """Return the stored rows of the open block, in order."""
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

    def shown_slots(self, block: int) -> set[int]:
        """Return the slots that have a chunk of a sealed block."""
        return {slot for _, slot, _, _ in self._directory(block)}

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
