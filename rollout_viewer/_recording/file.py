"""A recording in a file: what its rows show is read, and changes are written.

Pictures, actions and data are read of the rows that `file_rows` has found; annotations
and pictures that are rendered later are written. Another process may still add rows.
Knows chunks and the tails of the open block. Knows nothing of how rows are found.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS, absent, join, parse
from rollout_viewer._recording.annotations import (
    apply_annotations,
    write_annotations,
    write_statements,
)
from rollout_viewer._recording.copy import write_copy
from rollout_viewer._recording.database import checkpoint, has_side_files
from rollout_viewer._recording.file_rows import FileRows
from rollout_viewer._recording.late_pictures import NUM_LATE, late_slot, merged
from rollout_viewer._recording.statements import (
    Tail,
    copy_statements,
    late_chunk_statement,
    meta_statement,
    slot_statement,
    start_number,
    start_statement,
    tail_statements,
)
from rollout_viewer._recording.step_codec import pack_extras, unpack_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.late_pictures import LateChunk
    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.statements import Statement
    from rollout_viewer._recording.step_codec import Extras


class FileRecording(FileRows):
    """A recording in a file, which may still grow. Any thread may read.

    Args:
        path: The file.

    Attributes:
        damage: What step data or metadata cannot be read; "" where all can.

    Raises:
        RecordingError: It is not a recording, or one of a newer version.
    """

    @property
    def num_lost(self) -> int:
        """Pictures that the writer could not keep."""
        return int(self.meta.get("num_lost", 0))

    @property
    def num_evicted(self) -> int:
        """Pictures that were deleted to make room for newer ones."""
        return int(self.meta.get("num_evicted", 0))

    def first_row_of(self, slot: int) -> int:
        """Return the slot's first row whose picture was not evicted."""
        return self._first_rows.get(slot, 0)

    @property
    def picture_nbytes(self) -> int:
        """Bytes of all chunks."""
        return self._reader.picture_nbytes() + self.state_nbytes

    @property
    def state_nbytes(self) -> int:
        """Bytes of the open block's records."""
        return sum(len(p) for tail in self._tails for _, p in tail.pieces)

    def chunk(self, block: int, slot: int, first: int = 0) -> bytes | None:
        """Return the chunk, or of an open one the records from `first` on."""
        if (block + 1) * CHUNK_ROWS <= self.first_row_of(slot):
            return None
        with self._lock:
            pieces = [
                piece
                for tail in self._tails
                if tail.block == block
                for number, piece in tail.pieces
                if number == slot
            ]
            num_open = self._num_open(block)
        if not pieces:
            chunk = self._reader.chunk(block, slot)
            if chunk is None and num_open > first:
                # It may show something in later rows of the block.
                chunk = absent(*self.slots[slot].size, first, num_open - first)
            return chunk
        where = f"{self.path}, block {block}"
        if (missing := parse(pieces[0], where=where).first) > 0:
            # The slot's first picture came when rows of the block were stored already.
            info = self.slots[slot]
            pieces.insert(0, absent(info.height, info.width, 0, missing))
        return join(pieces, where=where, first=first)

    def _num_open(self, block: int) -> int:
        """Return the number of rows of a block that is not full; 0: it is."""
        opened, count = divmod(self.rows.num_rows if self.rows else 0, CHUNK_ROWS)
        return count if block == opened else 0

    def shown_slots(self, block: int) -> Collection[int]:
        """Return the slots that may show something in a block; others do not."""
        with self._lock:
            found = {
                number
                for tail in self._tails
                if tail.block == block
                for number, _ in tail.pieces
            }
        return found | self._reader.shown_slots(block)

    def extras(self, row: int) -> Extras:
        """Return action and data of a row, by name."""
        where = f"{self.path}, row {row}"
        num_envs = self.rows.num_envs if self.rows is not None else 0
        with self._lock:
            for tail in self._tails:
                if tail.start <= row < tail.start + tail.num_rows:
                    found = unpack_columns(tail.steps, where=where, num_envs=num_envs)
                    return found[1][row - tail.start]
            block, offset = divmod(row, CHUNK_ROWS)
            data = self._reader.extras_of(block)
            if data is None:
                return {}
            extras = self._decoded.get(block, data, where, num_envs)
        if len(extras) != CHUNK_ROWS:
            raise RecordingError(
                f"{where}: expected the data of {CHUNK_ROWS} rows, got {len(extras)}. "
                "The rows around it are still readable."
            )
        return extras[offset]

    def annotate(self, change: AnnotationChange) -> None:
        """Write a change of annotations to the file.

        Raises:
            RecordingLockedError: Another process is writing the file.
            ReadOnlyError: It cannot be written.
            RecordingError: An episode's number is not known, because rows before it
                are damaged.
        """
        for env, index in change.episodes:
            if not self._is_numbered(env, index):
                raise RecordingError(
                    f"FrameCache.label: expected an episode before the damaged rows of "
                    f"{str(self.path)!r}, got episode {index} of env {env}, whose "
                    "number is not known. Bookmark its first row."
                )
        write_annotations(change, self.path, self.meta.get("session"))
        if not self.refresh():  # closed: nothing is read
            apply_annotations(change, self.meta, self.rows)

    def start_of(self, env: int, index: int) -> bytes | None:
        """Return from where an episode can be replayed; None: from none."""
        if self.rows is None or not self._is_numbered(env, index):
            return None
        number = start_number(env, index, self.rows.num_envs)
        return self._reader.start_of(number) or self._starts_beside.get(number)

    late_refusal = ""

    def add_late_chunks(
        self, chunks: Sequence[LateChunk], session: str | None = None
    ) -> bool:
        """Add pictures to rows that have none, in the file; see `Recording`.

        Raises:
            ReadOnlyError: The file cannot be written.
            RecordingLockedError: Another process is writing it.
        """
        with self._lock:
            slots: list[Slot] = self._reader.slots()
            statements: list[Statement] = []
            added: dict[tuple[int, int], bytes] = {}
            opened = (self.rows.num_rows if self.rows else 0) // CHUNK_ROWS
            for one in chunks:
                slot = late_slot(slots, one.slot)
                if slot is None:
                    slot = len(slots)
                    slots.append(one.slot)
                    statements.append(slot_statement(slot, one.slot))
                is_open = one.block == opened
                count = self._num_open(one.block) if is_open else CHUNK_ROWS
                key = one.block, slot
                old = added.get(key) or self._reader.chunk(*key)
                added[key] = merged(old, one.chunk, count)
            statements += [late_chunk_statement(*k, one) for k, one in added.items()]
            number = self._reader.meta().get(NUM_LATE, 0) + 1
            statements.append(meta_statement(NUM_LATE, number))
            session = session or self.meta.get("session")
            write_statements(self.path, statements, session, "render")
            self._read_late()
            return True

    def change_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value in the file.

        Raises:
            ReadOnlyError: The file cannot be written.
            RecordingLockedError: Another process is writing it.
        """
        write_statements(
            self.path, [meta_statement(key, value)], self.meta.get("session"), "render"
        )
        with self._lock:
            self._read_late()

    def _read_late(self) -> None:
        """Read what this object has written, also where no more rows are read."""
        self._reader.forget()
        self.slots, self.meta = self._reader.slots(), self._reader.meta()
        self.pictures_version = self.meta.get(NUM_LATE, 0)

    @property
    def paths(self) -> list[Path]:
        """The file."""
        return [self.path]

    def save(self, path: Path) -> None:
        """Write a complete copy to `path`, which appears whole or not at all."""
        with self._lock:
            self.refresh()
            rows = self.rows.num_rows if self.rows else 0
            infos = {(env, i): info for env, i, info in self._reader.episodes()}
            statements = copy_statements(self.meta, self.slots, infos)
            for tail in self._open_tails():
                statements += tail_statements(tail)
            starts = self._starts_beside | dict(self._reader.starts())
            statements += [start_statement(*start) for start in starts.items()]
            opened = rows // CHUNK_ROWS
            statements += [
                late_chunk_statement(opened, slot, chunk)
                for slot in self._reader.shown_slots(opened)
                if (chunk := self._reader.chunk(opened, slot)) is not None
            ]
        write_copy(self, path, rows // CHUNK_ROWS, len(self.slots), statements)

    def _open_tails(self) -> list[Tail]:
        """Return the stored rows of the block that is not full."""
        opened = (self.rows.num_rows if self.rows else 0) // CHUNK_ROWS
        return [tail for tail in self._tails if tail.block == opened]

    def extras_of(self, block: int) -> bytes | None:
        """Return the stored actions and data of a full block; None: it has none."""
        with self._lock:
            waits = any(tail.block == block for tail in self._tails)
            if not waits or self._num_open(block):
                return self._reader.extras_of(block)
        rows = range(block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS)
        try:
            return pack_extras([self.extras(row) for row in rows])
        except RecordingError:
            return b""  # as of damaged ones

    def release(self) -> None:
        """Close the file; delete side files that a writer left and no one uses.

        A writer that ended while the file was read here could not delete them.
        """
        is_ended = False
        if has_side_files(self.path):
            with contextlib.suppress(RecordingError):
                is_ended = bool(self._reader.meta().get("is_closed"))
        self._reader.close()
        if is_ended:
            checkpoint(self.path)
