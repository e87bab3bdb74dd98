"""How batches of statements come into a file, and what becomes of those that do not.

A transaction is in the file whole or not at all. Where the disk takes no more, pictures
are lost and counted, and step data is kept to be written later; where SQLite refuses
one statement, all others are written. Knows SQLite's errors. Knows nothing of threads,
of queues, or of when something is written.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, NamedTuple

from rollout_viewer._errors import StorageError
from rollout_viewer._files.new_files import no_descriptor
from rollout_viewer._recording.statements import is_meta, joined_steps
from rollout_viewer._recording.wal import note_id

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rollout_viewer._recording.statements import Statement
    from rollout_viewer._recording.written_file import WrittenFile

# SQLite's result codes that a retry or another disk would change:
# https://www.sqlite.org/rescode.html
_STORAGE_FAULTS = (
    *("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM"),
    *("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_CORRUPT", "SQLITE_NOTADB"),
    *("SQLITE_PERM", "SQLITE_PROTOCOL", "SQLITE_INTERNAL", "SQLITE_INTERRUPT"),
)


class Batch(NamedTuple):
    """Statements that are executed in one transaction, or not at all."""

    steps: Sequence[Statement]
    pictures: Sequence[Statement] = ()
    num_pictures: int = 0
    nbytes: int = 0
    # Called with whether step data is in the file; after False again with True if it
    # is written later.
    on_done: Callable[[bool], None] | None = None
    # Bytes of chunks in the file afterwards; `overhead` is the rest.
    estimate: int | None = None
    # Called when the pictures are in the file. On a full disk they never are, also
    # where step data is.
    on_pictures: Callable[[], None] | None = None
    # Of actions and data, about.
    step_nbytes: int = 0


class FileTransactions:
    """Writes batches into a file; a subclass says when, and in which thread.

    Args:
        file: The file.
        path: Its name, for messages.
        free_room: Called where the disk is full still when the recording ends.

    Attributes:
        fault: What is wrong with the disk; None: nothing.
        num_lost: Pictures that were not written.
        refusal: Which error SQLite raised of statements alone, and of how many; "": of
            none.
        overhead: Bytes of the file beside chunks.
    """

    # Guards the counts, which other threads read and add to.
    _lock: threading.RLock

    def __init__(
        self, file: WrittenFile, path: Path, free_room: Callable[[], None]
    ) -> None:
        self._file = file
        self._path = path
        self._free_room = free_room
        self._unwritten: list[Statement] = []
        self._pending_callbacks: list[Callable[[bool], None]] = []
        self._is_broken = False
        self.fault: str | None = None
        self.num_lost = 0
        # Statements that SQLite would not take, and why.
        self._num_refused = 0
        self.refusal = ""
        self.overhead = 0
        # For who decides where a batch is written: bytes since the thread wrote, and
        # batches that it is to write.
        self._log_bytes = 0
        self._num_left_to_thread = 0

    def refuse(self, num_pictures: int, reason: str) -> None:
        """Count pictures that will not be written, as a fault of storage."""
        with self._lock:
            self.num_lost += num_pictures
            self.fault = self.fault or reason

    def _write(self, batches: Sequence[Batch]) -> None:
        steps = [*self._unwritten, *(s for b in batches for s in b.steps)]
        steps = joined_steps(steps)
        self._pending_callbacks += [b.on_done for b in batches if b.on_done is not None]
        are_filed = False
        try:
            change = self._file.prepare()
            is_whole = are_filed = self._transact_all(steps, batches)
            self._file.note_log()
            if self._log_bytes:
                # The log may have been emptied: the next one waits for the disk, too.
                self._num_left_to_thread = max(self._num_left_to_thread, 1)
                self._log_bytes = 0
        except Exception as error:
            self._is_broken = True
            self.fault = no_descriptor().rstrip(".") or str(error) or repr(error)
            with self._lock:
                self.num_lost += sum(b.num_pictures for b in batches)
            # Step data alone is small: it may fit where pictures did not.
            try:
                self._transact(steps)
                self._unwritten = []
            except Exception:
                self._unwritten = steps
                for callback in self._pending_callbacks:
                    callback(False)
                return
            is_whole = True
        else:
            self._unwritten = []
            self._is_broken = False
            self._measure(batches[-1].estimate)
            self.fault = change or (self.fault if self.num_lost else None)
        for callback in self._pending_callbacks:
            callback(is_whole)
        self._pending_callbacks = []
        for batch in batches if are_filed else ():
            if batch.on_pictures is not None:
                batch.on_pictures()

    def _measure(self, estimate: int | None) -> None:
        if estimate is None:
            return
        with self._file.lock:
            used, free, size = (
                int(self._file.connected().execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
            self.overhead = (used - free) * size - estimate

    def _transact_all(
        self, steps: Sequence[Statement], batches: Sequence[Batch]
    ) -> bool:
        """Execute everything; where one statement is refused, all but that.

        Returns:
            Whether none was refused.
        """
        pictures = [s for b in batches for s in b.pictures]
        try:
            self._transact([*steps, *pictures])
            return True
        except Exception as error:
            if _is_of_storage(error):
                raise
        refused = self._transact(steps, one_by_one=True)
        num_lost = 0
        for batch in batches:
            found = self._transact(batch.pictures, one_by_one=True)
            if found:
                num_lost += -(-batch.num_pictures * len(found) // len(batch.pictures))
            refused += found
        if refused:
            with self._lock:
                self.num_lost += num_lost
                self._num_refused += len(refused)
                self.refusal = f"{refused[0]!r} for {self._num_refused} statements"
        return not refused

    def _transact(
        self, statements: Sequence[Statement], *, one_by_one: bool = False
    ) -> list[Exception]:
        """Execute statements, all or none; `one_by_one`: all but those refused.

        Returns:
            Why the others were refused.
        """
        with self._file.lock:
            return self._execute(statements, one_by_one=one_by_one)

    def _execute(
        self,
        statements: Sequence[Statement],
        *,
        one_by_one: bool,
        is_patient: bool = True,
    ) -> list[Exception]:
        connection = self._file.connected(is_patient=is_patient)
        refused: list[Exception] = []
        if connection.in_transaction:  # one that was interrupted as it began
            connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        try:
            note_id(connection)
            for sql, values in statements:
                try:
                    connection.execute(sql, values)
                except Exception as error:
                    # A statement that fails alone has changed nothing.
                    if not one_by_one or _is_of_storage(error):
                        raise
                    refused.append(error)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
        return refused

    def _write_rest(self) -> None:
        """Try again what a full disk refused, with the room that was kept for it."""
        if not self._unwritten:
            return
        with contextlib.suppress(Exception):
            self._file.prepare()
            self._free_room()
            # It would take the room for what is in the log already.
            self._file.connected().execute("PRAGMA wal_autocheckpoint = 0").fetchall()
            # First how many pictures were lost, then step data, which is small.
            meta = [one for one in self._unwritten if is_meta(one)]
            rest = [one for one in self._unwritten if not is_meta(one)]
            rest = [*self._try(meta), *self._try(rest)]
            # With the room that the log had.
            self._file.complete()
            self._try(rest)
            self._unwritten = []

    def _try(self, statements: Sequence[Statement]) -> list[Statement]:
        """Execute what the disk takes; return the others."""
        with contextlib.suppress(sqlite3.Error):
            self._transact(statements)
            return []
        refused = []
        for statement in statements:
            try:
                self._transact([statement])
            except sqlite3.Error:
                refused.append(statement)
        return refused

    def _raise_fault(self) -> None:
        if self.refusal:
            raise StorageError(
                f"FrameCache: expected {str(self._path)!r} to take all that was "
                f"recorded, got {self.refusal}. Everything else is in the file. "
                "Please report this."
            )
        if self.fault:
            raise StorageError(
                f"FrameCache: expected to write {str(self._path)!r}, got {self.fault}. "
                f"{self.num_lost} pictures were lost; all others and step data can "
                "still be read: save(path) elsewhere keeps them."
            )


def _is_of_storage(error: Exception) -> bool:
    """Return whether a failure is the file's or the disk's, and not one statement's."""
    if isinstance(error, OSError):
        return True
    name = getattr(error, "sqlite_errorname", "")
    return name.startswith(_STORAGE_FAULTS)
