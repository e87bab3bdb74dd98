"""The file that a writer has open, and SQLite's log of it.

SQLite writes on into a file that was deleted, renamed or replaced, without an error.
Here that is noticed, by inodes. What is written can then be read here, and completes a
file that was renamed; nothing is done to a file that has the name since.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError
from rollout_viewer._files.new_files import no_descriptor
from rollout_viewer._recording.database import (
    drop_inherited,
    open_database,
    set_journal,
    set_patience,
)
from rollout_viewer._recording.named_file import NamedFile
from rollout_viewer._recording.open_files import READERS, WRITERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path


class WrittenFile:
    """The writing connection, which is opened again where it was closed meanwhile.

    `lock` is held while anything is executed; no other lock but a reader's is taken
    then.

    Args:
        connection: From `create_database`.
        path: The file.
        is_temporary: It need not survive a power cut.
        others_closed: Context in which this process has no other connection to the
            file, which would keep side files alive.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        is_temporary: bool,
        others_closed: Callable[[], AbstractContextManager[None]],
    ) -> None:
        # None: closed, because others were used since. The next use opens it.
        self._connection: sqlite3.Connection | None = connection
        self._path = path
        self._is_temporary = is_temporary
        self._others_closed = others_closed
        self._name = NamedFile(path)
        # Known once the log was written.
        self._log: NamedFile | None = None
        self._is_wal = True
        self._is_patient: bool | None = True
        self._is_to_shed = False
        self.lock = threading.RLock()
        WRITERS.use(self)

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew and drop the connection, in a forked child."""
        self.lock = threading.RLock()
        if self._connection is not None:
            drop_inherited(self._connection, is_whole=is_whole)
            self._connection = None

    def change(self) -> str:
        """Return what its name means now; "": this file."""
        return self._name.change()

    def connected(self, *, is_patient: bool = True) -> sqlite3.Connection:
        """Return the connection, opened again if it was closed.

        Args:
            is_patient: What is executed may wait for other processes, and moves the log
                into the file where it is long.
        """
        WRITERS.use(self)
        if self._connection is None:
            if change := self.change():
                raise OSError(change)
            if no_descriptor():
                READERS.shed_all()  # what is read can be read later
            self._connection = open_database(
                self._path, is_temporary=self._is_temporary
            )
            self._is_patient = True
        if is_patient is not self._is_patient:
            # Where that is interrupted, it is set anew, whichever is asked for next.
            self._is_patient = None
            set_patience(self._connection, is_patient=is_patient)
            self._is_patient = is_patient
        return self._connection

    def is_as_noted(self) -> bool:
        """Whether file and log are those that were written last; False: `prepare` it.

        Also False where there is no log: there each transaction waits for the disk.
        """
        log = self._log
        return not (log is None or not self._is_wal or log.change() or self.change())

    def query(self, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return all rows of a query, where the file has no name any more.

        Raises:
            RecordingError: It is not open here.
            sqlite3.Error: The query failed.
        """
        with self.lock:
            if self._connection is None:
                raise RecordingError(
                    f"FrameCache: expected to read {str(self._path)!r}, got "
                    f"{self.change() or 'a file that was closed'}. What is in memory "
                    "can still be read."
                )
            return self._connection.execute(sql, values).fetchall()

    # -- writing

    def prepare(self) -> str:
        """Have SQLite write to a log that others find; return `change`."""
        with self.lock:
            change = self.change()
            connection = self.connected()
            if change:
                # A log that is open goes on. A journal would be beside another file.
                if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                    connection.execute("PRAGMA journal_mode = MEMORY")
                    self._is_wal = False
                return change
            if self._log is not None and self._log.change():
                # What is in the deleted log is not lost yet: it goes into the file.
                self.complete()
            if not self._is_wal:
                set_journal(connection, self._path)
                self._is_wal = True
            return ""

    def note_log(self) -> None:
        """Note that there is a log, after something was written."""
        if self._log is None and os.path.exists(log := f"{self._path}-wal"):
            self._log = NamedFile(log)

    def complete(self) -> None:
        """Leave nothing in side files: a copy of the file alone is then complete.

        Where readers in other processes keep the log alive, its content is at least in
        the file too.
        """
        if self.change():
            return
        self._log = None
        with self.lock, self._others_closed():
            try:
                execute = self.connected().execute
                execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                mode = execute("PRAGMA journal_mode = DELETE").fetchone()
                self._is_wal = mode[0] != "delete"
            except sqlite3.Error:
                self._is_wal = True

    # -- closing

    def shed(self) -> None:
        """Let the writer's thread close the connection when it has nothing to write."""
        # No lock: whoever calls may have another writer's.
        self._is_to_shed = True

    def close_if_shed(self) -> None:
        """Close the connection until its next use, if that was asked for."""
        if not self._is_to_shed:
            return
        self._is_to_shed = False
        if self._connection is None or self.change():  # it cannot be opened again
            return
        with self.lock, contextlib.suppress(sqlite3.Error, OSError):
            if self._is_wal:  # else it is complete
                self.prepare()
            self._connection.close()
            self._connection = self._log = None
            self._is_wal = False

    def finish(self) -> None:
        """Close the connection, unless only it can still read what was written."""
        if not self.change():
            self.close()
            return
        with self.lock, contextlib.suppress(sqlite3.Error, OSError):
            if self._connection is not None and self._is_wal:
                self._move_log_into_file(self._connection)

    def _move_log_into_file(self, connection: sqlite3.Connection) -> None:
        """Complete a file that was renamed, as SQLite would not when it is closed."""
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        if self._log is not None and not self._log.change():
            for side in ("-wal", "-shm"):
                os.unlink(f"{self._path}{side}")

    def close(self) -> None:
        """Close the connection; nothing can be read through it afterwards."""
        WRITERS.close(self)
        with self.lock, contextlib.suppress(sqlite3.Error):
            if self._connection is not None:
                self._connection.close()
                self._connection = None
