"""Which rows a recording file has, while another process may still write it.

It is looked at again and again. Rows that a killed process has left beside it are
stored in it, or, where that cannot be done, read where they are. What is damaged is
noted, and warned of once. Knows step data, episodes and slots. Knows nothing of how
pictures, actions and data are read, or of changes that are asked for.
"""

from __future__ import annotations

import math
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import (
    RecordingError,
    RecordingLockedError,
    RolloutViewerWarning,
)
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._recording.cells import MAX_COUNT, whole
from rollout_viewer._recording.database import amend
from rollout_viewer._recording.database_reader import DatabaseReader
from rollout_viewer._recording.late_pictures import NUM_LATE
from rollout_viewer._recording.lock import is_locked, is_running, locked, recover
from rollout_viewer._recording.opened import OpenedRecording
from rollout_viewer._recording.row_memory import (
    delete_beside,
    has_rows_beside,
    read_regions,
    side_path,
)
from rollout_viewer._recording.row_recovery import recovered_rows
from rollout_viewer._recording.slot import digest
from rollout_viewer._recording.step_codec import DecodedExtras
from rollout_viewer._recording.stored_rows import StoredRows
from rollout_viewer._recording.wal import how_to_copy, lacks_log

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_viewer._recording.statements import Tail

# Between two looks whether a process that records still does.
_LOOK_INTERVAL_S = 0.25
# Another reader stores what a killed process has left within some milliseconds.
_MAX_RECOVERY_S = 3.0
_RETRY_S = 0.02


class FileRows(OpenedRecording):
    """The rows of a file, which may still come. Any thread may read.

    Args:
        path: The file.

    Attributes:
        damage: What step data or metadata cannot be read; "" where all can.

    Raises:
        RecordingError: It is not a recording, or one of a newer version.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._first_rows: dict[int, int] = {}
        recover(path)
        is_without_log = lacks_log(path)
        self._reader = DatabaseReader(path)
        self._lock = threading.RLock()
        self._version = -1
        self._tails: list[Tail] = []
        self._decoded = DecodedExtras()
        self._stored = StoredRows(path)
        # Whether the last `refresh` was interrupted while it read rows.
        self._is_incomplete = False
        # When to look next whether a process was killed that has left rows.
        self._next_look_s = 0.0
        # These rows are here, but cannot be in the file; and the starts of theirs.
        self._is_beside = False
        self._starts_beside: dict[int, bytes] = {}
        self.damage = ""
        self.pictures_version = 0
        try:
            self.refresh()
            self._recover_rows()
        except BaseException:
            self._reader.close()
            raise
        if is_without_log and not self.meta.get("is_closed"):
            warnings.warn(
                f"rv.open: expected {path.name + '-wal'!r} beside {str(path)!r}, got "
                f"none. {how_to_copy(path)}",
                RolloutViewerWarning,
                stacklevel=4,
            )
        make_anew_in_children(self, rank=3)

    def fork_locks(self) -> list[threading.RLock]:
        """Return what a fork waits for."""
        return [self._lock]

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child."""
        self._lock = threading.RLock()
        if not is_whole:
            self._start_again()

    @property
    def awaits_rows(self) -> bool:
        """Whether rows that lie beside the file may still be taken in."""
        return (
            self.rows is not None
            and self._next_look_s < math.inf
            and not self._is_beside
            and has_rows_beside(self.path, self.meta.get("session", ""))
        )

    def refresh(self) -> bool:
        """Read what was written since the last call; return whether anything was."""
        with self._lock:
            if self.is_closed:
                return False
            version = self._file_version()
            if version == self._version:
                return self._recover_rows()
            # All of it is read again where it is interrupted.
            self._version = -1
            meta = self._reader.meta()
            if self.meta and meta.get("session") != self.meta.get("session"):
                self._start_again()
                self._is_beside, self._next_look_s = False, 0.0
            self.meta = meta
            if meta.get(NUM_LATE, 0) != self.pictures_version:
                self._reader.forget()
                self.pictures_version = meta.get(NUM_LATE, 0)
            self.slots = self._reader.slots()
            self._check_slots(meta)
            self._first_rows = dict(meta.get("first_rows", []))
            if self._is_incomplete:
                self._stored = StoredRows(self.path)
            self._is_incomplete = True
            self._read_rows()
            self.rows = self._stored.rows
            self._check_envs()
            if self.rows is not None:
                for env, index, info in self._reader.episodes():
                    if self._is_numbered(env, index):
                        self.rows.describe_episode(env, index, **info)
            self._is_incomplete = False
            self._version = version
            self._starts_beside = {}
            if self._is_beside and self.rows is not None:
                self._take_rows_beside()
            self._warn_of_damage()
            return True

    def _file_version(self) -> int:
        try:
            return self._reader.version()
        except RecordingError:
            # Its process may have been killed within a write since it was opened: a
            # reader cannot undo that.
            recover(self.path)
            return self._reader.version()

    def _recover_rows(self) -> bool:
        """Take in rows that a killed process has left beside the file.

        Returns:
            Whether there were some.
        """
        if time.monotonic() < self._next_look_s:
            return False
        self._next_look_s = time.monotonic() + _LOOK_INTERVAL_S
        session = self.meta.get("session", "")
        if (
            self.is_closed
            or self.rows is None
            or not has_rows_beside(self.path, session)
        ):
            return False
        num_rows = self.rows.num_rows
        if self._is_beside:
            self._take_rows_beside()
            return self.rows.num_rows > num_rows
        is_recording = is_running(self.meta.get("writer"))
        if is_recording is not False and is_locked(self.path):
            return False
        problem = ""
        try:
            # While its process runs, its lock may have been deleted.
            if is_recording or not self._store_rows_beside(session):
                read_regions(self.path, session)
                self._is_beside = True
                if not is_recording:  # no more come
                    self._next_look_s = math.inf
        except FileNotFoundError:
            pass  # another reader has stored them
        except (OSError, ValueError) as error:
            problem = str(error)
            self._next_look_s = math.inf
        self._start_again()
        self.refresh()
        if problem:
            self._warn_of_rows_beside(problem)
        return self.rows.num_rows > num_rows

    def _store_rows_beside(self, session: str) -> bool:
        """Store rows that a killed process has left; return whether that is done.

        False: the file cannot be written, or a child of that process keeps its lock.

        Raises:
            OSError: They cannot be read; or another reader has stored them.
            ValueError: They are not what was written there.
        """
        deadline_s = time.monotonic() + _MAX_RECOVERY_S
        # What is read with the lock held does not look for them once more.
        look_s, self._next_look_s = self._next_look_s, math.inf
        try:
            while True:
                try:
                    self._store_locked(session)
                    return True
                except RecordingLockedError:
                    # Most likely by another reader, who does the same.
                    if time.monotonic() > deadline_s:
                        return False
                except RecordingError:
                    return False
                time.sleep(_RETRY_S)
        finally:
            self._next_look_s = look_s

    def _store_locked(self, session: str) -> None:
        with locked(self.path):
            self.refresh()  # now no one writes any more
            assert self.rows is not None
            regions = read_regions(self.path, session)
            if (found := recovered_rows(self.rows, regions)).tails:
                self._start_again()
                amend(self.path, found.statements())
            delete_beside(self.path)

    def _take_rows_beside(self) -> None:
        """Append rows beside the file, which cannot be stored, to those in it."""
        assert self.rows is not None
        # All of it is read again where this is interrupted.
        version, self._version = self._version, -1
        is_incomplete, self._is_incomplete = self._is_incomplete, True
        try:
            regions = read_regions(self.path, self.meta.get("session", ""))
            found = recovered_rows(self.rows, regions)
        except (OSError, ValueError) as error:
            self._is_beside = False
            self._start_again()
            self.refresh()
            if not isinstance(error, FileNotFoundError):  # as above
                self._next_look_s = math.inf
                self._warn_of_rows_beside(str(error))
            return
        self._tails = [*self._tails, *found.tails]
        self._starts_beside |= found.starts
        # Where there are some, what is read next begins anew.
        self._is_incomplete = is_incomplete or bool(found.tails)
        self._version = version

    def _warn_of_rows_beside(self, problem: str) -> None:
        warnings.warn(
            f"rv.open: expected to read {self.path.name!r} together with "
            f"{side_path(self.path)!r}, got {problem}: its newest rows are "
            "missing. Copy both into a folder that can be written, and open the "
            "copy.",
            RolloutViewerWarning,
            stacklevel=6,
        )

    def _start_again(self) -> None:
        """Forget all rows, which the next refresh reads."""
        self._version = -1
        self._tails, self._decoded = [], DecodedExtras()
        self._stored = StoredRows(self.path)
        self._reader.forget()

    def _read_rows(self) -> None:
        stored, self._tails = self._stored, []
        for block, data in self._reader.steps(stored.num_rows // CHUNK_ROWS):
            stored.add(block * CHUNK_ROWS, data)
        tails = self._reader.tails()
        if stored.errors and stored.is_damaged:
            # Of the last rows that are damaged, other tables have the number.
            blocks = [tail.block for tail in tails]
            intact = [tail.block for tail in tails if tail.steps]
            last = min(intact) if intact else max([self._reader.num_blocks(), *blocks])
            stored.fill(last * CHUNK_ROWS)
        for tail in tails:
            # Those of later blocks follow others that were sealed since the sealed
            # blocks were read. Those of earlier ones were read before.
            opened = stored.num_rows // CHUNK_ROWS
            is_known = stored.num_sealed_rows // CHUNK_ROWS <= tail.block <= opened
            if is_known or (stored.rows is None and stored.is_damaged):
                stored.add(tail.start, tail.steps, tail.num_rows)
                self._tails.append(tail)

    def _check_slots(self, meta: dict[str, Any]) -> None:
        known = meta.get("slots")
        if known is None or digest(self.slots[: known[0]]) == known:
            return
        # They may have been cleared since the metadata was read.
        if self._reader.meta().get("slots") == known:
            what = "the list of envs, cameras and sizes has a wrong checksum"
            self._reader.doubts.add(what)

    def _check_envs(self) -> None:
        num_envs = self.rows.num_envs if self.rows is not None else MAX_COUNT
        for info in self.slots:
            whole(info.env, "the env of a slot", high=num_envs - 1)

    def _is_numbered(self, env: int, index: int) -> bool:
        """Whether an episode has the number that it was given when it was recorded."""
        known = self._stored.num_known
        num_envs = self.rows.num_envs if self.rows is not None else 0
        return env < num_envs and (known is None or index < known[env])

    def _warn_of_damage(self) -> None:
        """Warn once of what cannot be read."""
        errors, self._stored.errors = self._stored.errors, []
        doubt = self._reader.doubts.first
        if self.damage or not (errors or doubt):
            return
        num_rows = self.rows.num_rows if self.rows else 0
        what = (
            f"{errors[0]} The others of {num_rows} rows can be read; damaged ones are "
            "shown as missing."
            if errors
            else f"{str(self.path)!r}, in which {doubt}."
        )
        self.damage = f"expected an intact recording, got {what}"
        warnings.warn(f"rv.open: {self.damage}", RolloutViewerWarning, stacklevel=2)
