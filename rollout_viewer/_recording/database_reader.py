"""Queries of a recording file, also while it is written."""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3
import threading
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError, RolloutViewerWarning
from rollout_viewer._files.new_files import no_descriptor, why_not_a_file
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._recording.cells import (
    MAX_SLOTS,
    Doubts,
    blob,
    read_episodes,
    read_meta,
    read_slot,
    whole,
)
from rollout_viewer._recording.database import (
    APPLICATION_ID,
    connect,
    drop_inherited,
    file_uri,
)
from rollout_viewer._recording.open_files import READERS
from rollout_viewer._recording.placed import unplace
from rollout_viewer._recording.statements import RUN_BLOCKS, Tail, unpack_directory
from rollout_viewer._recording.trust import (
    BoundedReader,
    check_files,
    check_schema,
    restrict,
)
from rollout_viewer._recording.wal import FORMAT_VERSION, set_aside_foreign_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.written_file import WrittenFile

_DIRECTORIES_KEPT = 256
# Recordings of a folder, in a message.
_NAMES_SHOWN = 5
_SHARED = "mode=ro"
# In a read-only folder no index of a log can be created, which those who write have.
# Alone, SQLite needs none. It then takes the journal of a file that another process is
# just creating for a rest, and deletes it: only where there is a log, so no new file.
_ALONE = "mode=ro&vfs=unix-none"
# Without side files.
_AS_IT_IS = "mode=ro&immutable=1"


class DatabaseReader:
    """Reads a recording, also while another thread or process writes it.

    Any thread may call; calls are serialised.

    Attributes:
        doubts: What was left out because it is damaged.
        written: The file as this process writes it, which is read in place of a file
            that has its name since.

    Raises:
        RecordingError: The file is no recording.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._num_opened = 0
        self.doubts = Doubts()
        self.written: WrittenFile | None = None
        self._session: str | None = None
        self._connection: BoundedReader | None = None
        self._connection = self._open()
        self._directories: OrderedDict[int, list[list[int]]] = OrderedDict()
        self._num_forgotten = 0
        make_anew_in_children(self, rank=5)

    def fork_locks(self) -> list[threading.RLock]:
        """Return what a fork waits for."""
        return [self._lock]

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew and drop the connection, in a forked child."""
        self._lock = threading.RLock()
        self._directories = OrderedDict()
        if self._connection is not None:
            drop_inherited(self._connection.connection, is_whole=is_whole)
            self._connection = None

    def _open(self) -> BoundedReader:
        self._num_opened += 1
        READERS.use(self)
        if what := why_not_a_file(self.path):
            raise RecordingError(
                f"rv.open: expected a recording, got {str(self.path)!r}, which {what}. "
                f"{self._advice()}"
            )
        modes, problem = [_SHARED, _AS_IT_IS], ""
        has_log = os.path.exists(f"{self.path}-wal")
        if os.name == "posix" and has_log and not os.path.exists(f"{self.path}-shm"):
            modes.insert(1, _ALONE)
        try:
            set_aside_foreign_logs(self.path)
        except OSError:  # in a read-only folder: left where it is, and not read
            modes = [_AS_IT_IS]
        for mode in modes:
            try:
                reader = self._connect(mode)
            except sqlite3.Error as error:
                if lack := no_descriptor():
                    raise RecordingError(
                        f"rv.open: expected to open {str(self.path)!r}, got {lack}"
                    ) from error
                problem = str(error)
                if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                    break  # another way would read what is half written
                continue
            if mode == _AS_IT_IS and len(modes) > 1:
                self._warn_of_logs(problem)
            return reader
        raise RecordingError(
            f"rv.open: expected a recording of rollout_viewer, got {str(self.path)!r} "
            f"({problem}): another kind of file, damaged, or in use. Recordings are "
            "made by FrameCache(path) and `rollout-viewer record`."
        )

    def _advice(self) -> str:
        wal = Path(f"{self.path}-wal")
        if self.path.is_dir():
            return recordings_in(self.path)
        if wal.exists():
            return f"{wal.name!r} is there: copy the file of which it is beside it."
        return "Check the path."

    def _warn_of_logs(self, problem: str) -> None:
        """Warn where there is a log that cannot be used."""
        for side, harm in (
            ("-wal", "its newest rows are missing"),
            ("-journal", "rows may be missing or wrong, as a write was interrupted"),
        ):
            log = Path(f"{self.path}{side}")
            if log.exists() and log.stat().st_size:
                warnings.warn(
                    f"rv.open: expected to read {self.path.name!r} together with "
                    f"{str(log)!r}, got {problem}: {harm}. Copy both files into a "
                    "folder that can be written, and open the copy.",
                    RolloutViewerWarning,
                    stacklevel=4,
                )

    def _connect(self, mode: str) -> BoundedReader:
        check_files(self.path)
        connection = connect(file_uri(self.path, mode))
        try:
            if mode == _ALONE:
                connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
            reader = BoundedReader(self.path, connection)
            self._check(connection)
        except BaseException:
            connection.close()
            raise
        return reader

    def _check(self, connection: sqlite3.Connection) -> None:
        restrict(connection)
        self._check_kind(connection)
        check_schema(connection)
        if self._session is None:
            return
        rows = connection.execute("SELECT key, value FROM meta WHERE key = 'session'")
        found = read_meta(rows.fetchall(), self.doubts).get("session", self._session)
        if found != self._session:
            raise RecordingError(
                f"FrameCache: expected to read {str(self.path)!r}, got another "
                "recording, by which it was replaced. Open it again to read that."
            )

    def _check_kind(self, connection: sqlite3.Connection) -> None:
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
        try:
            with self._lock:
                if self._connection is not None or not self._has_lost_name():
                    self._connection = self._connection or self._open()
                    READERS.use(self)
                    return self._connection.fetch(sql, values)
            # Not with the lock, which the writer takes when it has its own.
            assert self.written is not None
            return self.written.query(sql, values)
        except (sqlite3.Error, OverflowError) as error:
            raise RecordingError(
                f"{self.path}: expected readable data, got {error}. "
                "What can be read elsewhere in the file is still there."
            ) from error

    def keep_to(self, session: str) -> None:
        """From now on, read no other recording that has the name since."""
        self._session, self.written = session, None

    def _has_lost_name(self) -> bool:
        """Whether opening the file by its name would open another one, or none."""
        return self.written is not None and bool(self.written.change())

    def close(self) -> None:
        """Close until the next query."""
        with self._lock:
            # First: where it is interrupted, a query must not find it closed.
            reader, self._connection = self._connection, None
            if reader is not None:
                reader.connection.close()
                READERS.close(self)

    def __del__(self) -> None:
        # A query after `close` opened it again. Python 3.13 warns of what is left open:
        # https://docs.python.org/3/library/sqlite3.html#sqlite3.Connection.close
        if getattr(self, "_connection", None) is not None:  # None: not made whole
            self.close()

    def shed(self) -> None:
        """Close until the next query, unless one is running."""
        if self._lock.acquire(blocking=False):
            try:
                if not self._has_lost_name():
                    self.close()
            finally:
                self._lock.release()

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
                if self._connection is None and not self._has_lost_name():
                    self._connection = self._open()

    def forget(self) -> None:
        """Drop what is cached of the file's content."""
        with self._lock:
            self._num_forgotten += 1
            self._directories.clear()

    def version(self) -> int:
        """Return a number that changes when another connection wrote."""
        number = int(self._query("PRAGMA data_version")[0][0])
        # SQLite counts from the time of opening on.
        return self._num_opened << 32 | number

    def meta(self) -> dict[str, Any]:
        """Return all metadata but what is damaged."""
        return read_meta(self._query("SELECT key, value FROM meta"), self.doubts)

    def slots(self) -> list[Slot]:
        """Return the slots by number."""
        rows = self._query(
            "SELECT slot, env, camera, height, width, is_shared FROM slots "
            "ORDER BY slot LIMIT ?",
            (MAX_SLOTS,),
        )
        return [read_slot(number, row) for number, row in enumerate(rows)]

    def episodes(self) -> list[tuple[int, int, dict[str, Any]]]:
        """Return (env, index, info) of the episodes that have information."""
        rows = self._query("SELECT env, idx, info FROM episodes")
        return read_episodes(rows, self.doubts)

    def steps(self, first_block: int) -> list[tuple[int, bytes]]:
        """Return (block, core step data) of the sealed blocks from `first_block` on.

        Blocks before it may be included: a table row of one block may have been merged
        into one of many since.
        """
        first_block -= first_block % RUN_BLOCKS
        rows = self._query(
            "SELECT block, data FROM steps WHERE block >= ? ORDER BY block",
            (first_block,),
        )
        return [(block, _intact(data, "steps", block)) for block, data in rows]

    def num_blocks(self) -> int:
        """Return how many sealed blocks there are, by their pictures and data."""
        packs = self._query("SELECT MAX(id) FROM packs")[0][0]
        extras = self._query("SELECT MAX(block) FROM extras")[0][0]
        last = -1 if packs is None else packs >> 16
        return max(last, -1 if extras is None else extras) + 1

    def extras_of(self, block: int) -> bytes | None:
        """Return actions and data of one sealed block; None if there are none."""
        found = self._query("SELECT data FROM extras WHERE block = ?", (block,))
        if not found:
            return None
        stored = blob(found[0][0], f"data of block {block}")
        return _intact(stored, "extras", block)

    def start_of(self, number: int) -> bytes | None:
        """Return from where an episode can be replayed, by `start_number`."""
        return self.extras_of(-1 - number)

    def starts(self) -> list[tuple[int, bytes]]:
        """Return (number, start) of all episodes that can be replayed."""
        rows = self._query("SELECT block, data FROM extras WHERE block < 0")
        starts = ((-1 - block, _intact(data, "extras", block)) for block, data in rows)
        return [start for start in starts if start[1]]

    def picture_nbytes(self) -> int:
        """Return the bytes of all sealed chunks."""
        (total,) = self._query("SELECT TOTAL(LENGTH(data)) FROM packs")[0]
        return int(total)

    def tails(self) -> list[Tail]:
        """Return the stored rows of the open block, in order."""
        rows = self._query(
            "SELECT block, start, num_rows, steps, directory, data FROM tail "
            "ORDER BY id"
        )
        return [_read_tail(row) for row in rows]

    def chunk(self, block: int, slot: int) -> bytes | None:
        """Return the sealed chunk of a slot; None if the block shows nothing of it."""
        # What was added later comes last.
        for pack, slot_, offset, length in reversed(self._directory(block)):
            if slot_ == slot:
                found = self._query(
                    "SELECT substr(data, ?, ?) FROM packs WHERE id = ?",
                    (offset + 1, length, pack),
                )
                if not found:
                    return None  # evicted since
                return blob(found[0][0], f"pictures of block {block}")
        return None

    def shown_slots(self, block: int) -> set[int]:
        """Return the slots that have a chunk of a sealed block."""
        return {slot for _, slot, _, _ in self._directory(block)}

    def _directory(self, block: int) -> list[list[int]]:
        with self._lock:
            if block in self._directories:
                self._directories.move_to_end(block)
                return self._directories[block]
            num_forgotten = self._num_forgotten
        rows = self._query(
            "SELECT id, directory FROM packs WHERE id >= ? AND id < ?",
            (block << 16, (block + 1) << 16),
        )
        entries = [
            [pack, *entry]
            for pack, directory in rows
            for entry in unpack_directory(
                blob(directory, "a list of chunks"), "packs", pack
            )
        ]
        with self._lock:
            if entries and num_forgotten == self._num_forgotten:
                self._directories[block] = entries
                while len(self._directories) > _DIRECTORIES_KEPT:
                    self._directories.popitem(last=False)
        return entries


def _read_tail(row: tuple[Any, ...]) -> Tail:
    block, start, num_rows, steps, directory, data = row
    whole(block, "the block of the newest rows")
    first = block * CHUNK_ROWS
    last = first + CHUNK_ROWS - 1
    whole(start, "the first of the newest rows", low=first, high=last)
    whole(num_rows, "the number of newest rows", low=1, high=last + 1 - start)
    data = blob(data, "the newest pictures")
    try:
        directory = blob(directory, "a list of chunks")
        entries = unpack_directory(directory, "tail", block, start, num_rows)
    except RecordingError:
        entries = []  # their pictures are missing
    if sum(length for _, _, length in entries) > len(data):
        entries = []  # one part of the data for many slots
    pieces = [(slot, data[at : at + length]) for slot, at, length in entries]
    steps = _intact(steps, "tail", block, start, num_rows)
    return Tail(block, start, num_rows, steps, pieces)


def _intact(stored: Any, table: str, *key: int) -> bytes:
    """Return what is stored in a table; none where that is damaged or of elsewhere."""
    data = unplace(stored, table, *key) if isinstance(stored, bytes) else None
    return data or b""  # which does not unpack either


def recordings_in(folder: Path) -> str:
    """Return which recordings a folder has, and how to open them, for messages."""
    names: list[str] = []
    with contextlib.suppress(OSError):  # of a folder that may not be read
        names = sorted(p.name for p in folder.glob("*.rollout") if p.is_file())
    at = glob.escape(str(folder))
    if not names:
        return (
            "It has no .rollout file. Name one elsewhere, or open those of all folders "
            f"in it, side by side: rv.open({os.path.join(at, '**', '*.rollout')!r})."
        )
    more = f" and {len(names) - _NAMES_SHOWN} more" * (len(names) > _NAMES_SHOWN)
    text = (
        f"It has {', '.join(map(repr, names[:_NAMES_SHOWN]))}{more}. Open "
        f"{'it' if len(names) == 1 else 'one'}: rv.open({str(folder / names[0])!r})"
    )
    if len(names) > 1:
        text += f"; or all, side by side: rv.open({os.path.join(at, '*.rollout')!r})"
    return f"{text}."
