"""A recording that is being made: rows are appended, and read at the same time.

The newest rows are in the open block, those before in the file or on their way there.
Knows how all of it is read, annotated, copied, ended and cleared; `appending` how rows
come, and `late_filing` pictures that are rendered later.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from typing import TYPE_CHECKING

from rollout_viewer._errors import RecordingError, RolloutViewerError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.annotations import (
    annotation_statements,
    apply_annotations,
    write_annotations,
)
from rollout_viewer._recording.appending import AppendedRecording
from rollout_viewer._recording.copy import write_copy
from rollout_viewer._recording.database import (
    TABLES_OF_ROWS,
    amend,
    checkpoint,
    delete_database,
    has_side_files,
)
from rollout_viewer._recording.late_filing import LateFiledRecording
from rollout_viewer._recording.late_pictures import (
    NOT_REPRODUCIBLE,
    NUM_LATE,
    LatePictures,
)
from rollout_viewer._recording.lock import read_only
from rollout_viewer._recording.slot import digest
from rollout_viewer._recording.statements import (
    copy_statements,
    late_chunk_statement,
    start_number,
    start_statement,
    tail_statements,
)
from rollout_viewer._recording.step_codec import DecodedExtras
from rollout_viewer._recording.transactions import Batch
from rollout_viewer._recording.waiting_rows import WaitingRows

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.step_codec import Extras


class LiveRecording(AppendedRecording, LateFiledRecording):
    """A recording that is being made. Methods may be called from any thread.

    Takes the arguments of `FiledRecording`.
    """

    def annotate(self, change: AnnotationChange) -> None:
        """Apply a change of annotations, here and in the file.

        Raises:
            ReadOnlyError: In a forked child; or the file cannot be written any more.
            RecordingLockedError: It was closed, and another process is writing it.
        """
        if not self.is_mine:
            raise read_only(self.path)
        with self._lock:
            try:
                self._annotate(change)
            except RolloutViewerError:
                raise
            except BaseException:
                # It may be half done. Done again, it changes nothing but the rest.
                self._annotate(change)
                raise

    def _annotate(self, change: AnnotationChange) -> None:
        if not self.is_closed:
            self._statements += annotation_statements(change)
        elif self.is_temporary:
            amend(self._at, annotation_statements(change))
        else:
            write_annotations(change, self._at, self.meta["session"])
        apply_annotations(change, self.meta, self.rows)

    # -- what is there

    @property
    def paths(self) -> list[Path]:
        """The file."""
        return [self.path]

    @property
    def state_nbytes(self) -> int:
        """Bytes of encoders and their buffers."""
        with self._lock:
            return self._open.state_nbytes

    @property
    def picture_nbytes(self) -> int:
        """Bytes of all chunks."""
        with self._lock:
            return self.budget.used_nbytes + self._open.picture_nbytes

    @property
    def num_annotations(self) -> int:
        """How often the information on an episode changed."""
        return self.rows.info_version if self.rows is not None else 0

    def first_row_of(self, slot: int) -> int:
        """Return the slot's first row whose picture was not evicted."""
        return self.budget.first_rows.get(slot, 0)

    def pin(
        self, start: int, stop: int, envs: Collection[int] | None
    ) -> Callable[[], object]:
        """Keep rows of envs (None: all) from eviction until the result is called."""
        return self.budget.pin(start, stop, envs)

    # -- reading

    def refresh(self) -> bool:
        """Read annotations that other processes wrote since it was closed.

        Rows are never added by others.
        """
        if not self.is_closed or self.is_temporary:
            return False
        with contextlib.suppress(RecordingError), self._lock:
            version = self._reader.version()
            if version != self._version:
                self._read_annotations()
                self._version = version
                return True
        return False

    def _read_annotations(self) -> None:
        if "bookmarks" in (meta := self._reader.meta()):
            self.meta["bookmarks"] = meta["bookmarks"]
        if self.rows is not None:
            for env, index, info in self._reader.episodes():
                self.rows.describe_episode(env, index, **info)

    def chunk(self, block: int, slot: int, first: int = 0) -> bytes | None:
        """Return the chunk, or of an open one the records from `first` on."""
        with self._lock:
            self.recover()
            if self.rows is None or slot >= len(self.slots):
                return None
            if (late := self._late.chunk(block, slot)) is not None:
                return self._late_piece(late, block, slot, first)
            if block == self.rows.num_rows // CHUNK_ROWS:
                return self._open.piece(slot, first)
            pending = self._pending.get(block)
        if (block + 1) * CHUNK_ROWS <= self.first_row_of(slot):
            return None
        if pending is not None:
            return pending[1].get(slot)
        return self._reader.chunk(block, slot)

    def shown_slots(self, block: int) -> Collection[int]:
        """Return the slots that may show something in a block; others do not."""
        with self._lock:
            self.recover()
            if self.rows is None:
                return []
            late = self._late.slots_in(block)
            if block == self.rows.num_rows // CHUNK_ROWS:
                return [*self._open.shown_slots(), *late]
            pending = self._pending.get(block)
        if pending is not None:
            return [*pending[1], *late]
        return self._reader.shown_slots(block).union(late)

    def extras(self, row: int) -> Extras:
        """Return action and data of a row, by name."""
        block, offset = divmod(row, CHUNK_ROWS)
        with self._lock:
            self.recover()
            assert self.rows is not None
            if block == self.rows.num_rows // CHUNK_ROWS:
                return self._open.extras[offset]
            # Another one where all rows are forgotten meanwhile.
            decoded = self._decoded
        data = self.extras_of(block)
        if data is None:
            return {}
        with self._lock:
            return decoded.get(block, data, f"{self.path}, rows of block {block}")[
                offset
            ]

    def extras_of(self, block: int) -> bytes | None:
        """Return the stored actions and data of a sealed block; None: it has none."""
        # With the lock: when they are in the file, other rows take their place.
        with self._lock:
            if (pending := self._pending.get(block)) is not None:
                data = pending[0]
                return data if isinstance(data, bytes | None) else data.pack()
        return self._reader.extras_of(block)

    # -- ending

    def flush(self) -> None:
        """Write everything; a copy of the file is then complete.

        Raises:
            StorageError: Something could not be written.
        """
        if self.is_mine and not self.is_closed:
            self.recover()
            self._take_waiting()  # else the writer would, and write them later
            self._writer.flush()

    def save(self, path: Path) -> None:
        """Write a complete copy to `path`, which appears whole or not at all."""
        with self._lock:
            self.recover()
            self._waiting.close_buffer()  # no row comes meanwhile
            rows = self.rows.num_rows if self.rows else 0
            tail = self._open_rows(0)
            infos = self.rows.infos() if self.rows is not None else {}
            slots = digest(self.slots)
            meta = {**self.meta, "num_lost": self.num_lost, "slots": slots}
            statements = copy_statements(meta, self.slots, infos)
            num_envs = self.rows.num_envs if self.rows is not None else 0
            statements += [
                start_statement(start_number(*key, num_envs), start)
                for key, start in self._late.starts.items()
            ]
            num_slots = len(self.slots)
            statements += [
                late_chunk_statement(rows // CHUNK_ROWS, slot, chunk)
                for slot in self._late.slots_in(rows // CHUNK_ROWS)
                if (chunk := self.chunk(rows // CHUNK_ROWS, slot)) is not None
            ]
        if tail is not None:
            statements += tail_statements(tail)
        write_copy(self, path, rows // CHUNK_ROWS, num_slots, statements)

    def close(self) -> None:
        """End the recording; it stays readable.

        Where it was interrupted, the next call does the rest.

        Raises:
            StorageError: Something could not be written.
        """
        if self._has_ended or not self.is_mine:
            return
        self.close_buffer()
        self.is_closed = True
        self.set_meta("is_closed", True)
        self._take_waiting()
        try:
            self._writer.close()
        except Exception:
            self._end()
            raise
        self._end()

    def _end(self) -> None:
        if not self._file.change():
            self._reader.keep_to(self.meta["session"])
        num_rows = 0 if self._rows is None else self._rows.num_rows
        is_filed = self._filed_rows > num_rows - CHUNK_ROWS
        if is_filed:
            self._drop_regions()
        if self._file_lock is not None:
            # Unlinked while held: the next writer creates a lock file of its own, for
            # another recording file.
            with contextlib.suppress(OSError):
                if not self._lock_name.change():
                    os.unlink(f"{self._at}.lock")
            self._file_lock.release()
        self._has_ended = True

    def _drop_regions(self) -> None:
        """Keep nothing mapped, which would keep a deleted file; all rows are filed."""
        with self._lock:
            if self.rows is not None:
                self.part()
            self._waiting = WaitingRows()
            self._saved.forget()

    def release(self) -> None:
        """Close without raising; delete a file that is temporary or has no row.

        AsyncVectorEnv creates and drops an env of its own to read its spaces.
        """
        if not self.is_mine:
            return
        is_kept = not self.is_temporary and (self.is_closed or self.rows is not None)
        is_elsewhere = bool(self._file.change())
        with contextlib.suppress(RolloutViewerError):
            self.close()
        self._reader.close()
        self._file.close()
        if is_elsewhere and not self.is_temporary:
            return  # what has its name now is not its own
        if not is_kept:
            delete_database(self._at)
        elif has_side_files(self._at):
            # A reader had it open when it was closed, and may have ended since.
            checkpoint(self._at)

    def clear(self) -> None:
        """Forget all rows, here and in the file."""
        with self._lock:
            self._writer.drain()
            self._waiting.close_buffer()
            self._rows, self._waiting = None, WaitingRows()
            self._open.clear()
            self.slots = self._open.slots
            self._pending, self._decoded = {}, DecodedExtras()
            self._late = LatePictures()
            self._tail_row = self._handled_rows = self._filed_rows = 0
            self._saved.forget()
            self._num_queued = self._num_sealed = 0
            self._before = None
            self.budget.clear()
            self._is_full = False
            self._num_digested = -1
            self._statements = [
                (f"DELETE FROM {table}", ()) for table in TABLES_OF_ROWS
            ]
            self.set_meta("session", uuid.uuid4().hex)
            self.set_meta("first_rows", [])
            self.set_meta("num_evicted", 0)
            for key in self.meta.keys() & {NUM_LATE, NOT_REPRODUCIBLE}:
                self.set_meta(key, {NUM_LATE: self.meta[NUM_LATE] + 1}.get(key, []))
            if "bookmarks" in self.meta:
                self.set_meta("bookmarks", {})
            self._reader.forget()
            self._writer.put(Batch(self._due_statements()), max_stall_s=None)
            self._statements = []
        self._writer.drain()
