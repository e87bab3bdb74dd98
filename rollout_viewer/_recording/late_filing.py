"""How pictures come into a live recording whose rows are there: rendered later.

They are merged with what was rendered of a block before, kept in memory until the file
has them, and filed as far as `disk_bytes` allows; also after the recording was closed.
Knows chunks, and from where episodes can be replayed. Knows nothing of how rows come,
or of what made the pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._frames.chunk import CHUNK_ROWS, join
from rollout_viewer._recording.annotations import write_statements
from rollout_viewer._recording.database import amend
from rollout_viewer._recording.filing import FiledRecording
from rollout_viewer._recording.late_pictures import (
    NUM_LATE,
    LateChunk,
    late_statements,
    merged,
    padded,
)
from rollout_viewer._recording.lock import read_only
from rollout_viewer._recording.statements import meta_statement
from rollout_viewer._recording.transactions import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.statements import Statement


class LateFiledRecording(FiledRecording):
    """A recording that takes pictures of rows that have none. Any thread may add some.

    Takes the arguments of `FiledRecording`.
    """

    @property
    def pictures_version(self) -> int:
        """Changes when pictures were added to rows that were there."""
        return int(self.meta.get(NUM_LATE, 0))

    def start_of(self, env: int, index: int) -> bytes | None:
        """Return from where an episode can be replayed; None: from none."""
        return self._late.starts.get((env, index))

    def add_late_chunks(
        self, chunks: Sequence[LateChunk], session: str | None = None
    ) -> bool:
        """Add pictures to rows that have none, here and in the file.

        Args:
            chunks: Of rows that are there.
            session: Since which these are the rows; None: they are.

        Returns:
            Whether all were added; False: there was no room, see `late_refusal`.

        Raises:
            ReadOnlyError: In a forked child; or the file cannot be written any more.
            RecordingLockedError: It was closed, and another process is writing it.
        """
        if not self.is_mine:
            raise read_only(self.path)
        late = self._late
        with late.adding:
            with self._lock:
                self.recover()
                if session not in (None, self.meta["session"]):
                    return True  # all rows were forgotten
                keys = [(one.block, self._late_slot(one.slot)) for one in chunks]
                olds = {key: self._late_part(*key) for key in keys}
                counts = {key: self._num_rows_of(key[0]) for key in keys}
            # Without the lock, for which the thread that appends would wait.
            added: dict[tuple[int, int], bytes] = {}
            for key, one in zip(keys, chunks, strict=True):
                old = added.get(key) or olds[key]
                added[key] = merged(old, one.chunk, counts[key])
            sizes = {key: len(old or b"") for key, old in olds.items()}
            if not self.is_closed:
                self._writer.wait_for_room(sum(map(len, added.values())))
            with self._lock:
                self.recover()
                return late is not self._late or self._add_late(added, sizes)

    def _add_late(
        self, added: dict[tuple[int, int], bytes], sizes: Mapping[Any, int]
    ) -> bool:
        """Keep chunks, here and in the file, as far as there is room for them."""
        self._drop_filed()
        is_whole = True
        limit = self.budget.disk_bytes
        for key in [*added]:
            added[key] = padded(
                added[key], self.slots[key[1]].size, self._num_rows_of(key[0])
            )
            more = len(added[key]) - sizes[key]
            if limit is not None and self.budget.used_nbytes + more > limit:
                self._late.refused_nbytes = more
                del added[key]
                is_whole = False
                continue
            self._late.add(*key, added[key])
            self.budget.used_nbytes += more
        if not added:
            return is_whole
        statements = late_statements(added)
        self.change_meta(NUM_LATE, self.pictures_version + 1)
        if self.is_closed:
            self._write_closed([*self._statements, *statements])
            self._statements = []
            self._late.note_filed(added)
            self._drop_filed()
            return is_whole
        batch = Batch(
            self._due_statements(),
            statements,
            len(added) * CHUNK_ROWS,
            sum(map(len, added.values())),
            estimate=self.budget.used_nbytes,
            on_pictures=lambda: self._late.note_filed(added),
        )
        self._writer.put(batch, max_stall_s=None)
        self._statements = []
        return is_whole

    def _drop_filed(self) -> None:
        """Keep chunks that are in the file no longer in memory."""
        # A block that is pending is not read from the file.
        filed = self._late.filed(self._num_sealed)
        if keys := [key for key in filed if key[0] not in self._pending]:
            self._reader.forget()  # it may know that the file lacks them
            self._late.drop(keys)

    @property
    def late_refusal(self) -> str:
        """Why pictures that are rendered now are not kept; "": they are."""
        limit, more = self.budget.disk_bytes, self._late.refused_nbytes
        if limit is None or not more or self.budget.used_nbytes + more <= limit:
            return ""
        return f"disk_bytes={limit} is used up"

    def _num_rows_of(self, block: int) -> int:
        """Return how many rows there are of a block."""
        num_rows = 0 if self.rows is None else self.rows.num_rows
        return max(min(num_rows - block * CHUNK_ROWS, CHUNK_ROWS), 0)

    def _late_part(self, block: int, slot: int) -> bytes | None:
        """Return what was rendered of a block before."""
        if (chunk := self._late.chunk(block, slot)) is not None:
            return chunk
        return None if block >= self._num_queued else self._reader.chunk(block, slot)

    def _late_slot(self, wanted: Slot) -> int:
        number = self._late.slot_of.get(wanted)
        if number is None:
            number = self._late.slot_of[wanted] = self._open.add_slot(wanted)
        return number

    def _late_piece(self, chunk: bytes, block: int, slot: int, first: int) -> bytes:
        assert self.rows is not None
        count = min(self.rows.num_rows - block * CHUNK_ROWS, CHUNK_ROWS)
        whole = padded(chunk, self.slots[slot].size, count)
        return join([whole], first=first) if first else whole

    def change_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value, here and in the file, also after it was closed.

        Raises:
            ReadOnlyError: The file cannot be written any more.
            RecordingLockedError: It was closed, and another process is writing it.
        """
        if not self.is_closed:
            self.set_meta(key, value)
            return
        self._write_closed([meta_statement(key, value)])
        self.meta[key] = value

    def _write_closed(self, statements: list[Statement]) -> None:
        if self.is_temporary:
            amend(self._at, statements)
        else:
            write_statements(self._at, statements, self.meta.get("session"), "render")
