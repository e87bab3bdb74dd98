"""A recording that is being made: rows are appended, and read at the same time.

The newest rows are in the open block, those before in the file or on their way there.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError, RolloutViewerError
from rollout_viewer._frames.chunk import CHUNK_ROWS, join
from rollout_viewer._recording.annotations import (
    annotation_statements,
    apply_annotations,
    write_annotations,
    write_statements,
)
from rollout_viewer._recording.copy import write_copy
from rollout_viewer._recording.database import (
    TABLES_OF_ROWS,
    amend,
    checkpoint,
    delete_database,
    has_side_files,
)
from rollout_viewer._recording.filing import FiledRecording
from rollout_viewer._recording.late_pictures import (
    NOT_REPRODUCIBLE,
    NUM_LATE,
    LateChunk,
    LatePictures,
    late_statements,
    merged,
    padded,
)
from rollout_viewer._recording.lock import read_only
from rollout_viewer._recording.slot import digest
from rollout_viewer._recording.statements import (
    copy_statements,
    episode_statement,
    late_chunk_statement,
    meta_statement,
    start_number,
    start_statement,
    tail_statements,
)
from rollout_viewer._recording.step_codec import DecodedExtras
from rollout_viewer._recording.step_row import STEP
from rollout_viewer._recording.waiting_rows import WaitingRows
from rollout_viewer._recording.writer import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._frames.encoder import ChunkEncoder
    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.many_buffer import Buffer, ManyBuffer, ManyForm
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.statements import Statement
    from rollout_viewer._recording.step_buffer import InfoForms, Listeners, StepBuffer
    from rollout_viewer._recording.step_codec import Extras
    from rollout_viewer._recording.step_row import StepRow

    Frame = npt.NDArray[np.uint8]


NO_STARTS: Mapping[int, bytes] = MappingProxyType({})


class LiveRecording(FiledRecording):
    """A recording that is being made. Methods may be called from any thread.

    Takes the arguments of `FiledRecording`.
    """

    # -- writing

    def append(
        self,
        rows: Rows,
        row: StepRow,
        pictures: Sequence[tuple[int, str, Frame | None]],
        extras: Extras,
        shared: frozenset[str],
        info_of: Callable[[int], dict[str, Any]],
        starts: Mapping[int, bytes] = NO_STARTS,
    ) -> None:
        """Append one row, whole or, if anything is raised, not at all.

        Everything was checked before.

        Args:
            rows: The step data of all rows; of the first row, new ones.
            row: Its step data.
            pictures: (env, camera, frame or None where there is no picture). Slots
                that are not listed repeat their last frame, which does not count as a
                picture of the row unless the env is idle.
            extras: Its action and data.
            shared: The cameras whose one picture shows all envs.
            info_of: Returns what is known of an env's episode that begins with it.
            starts: Env -> from where that episode can be replayed.
        """
        self._wait_for_disk()
        self.recover()
        with self._lock:
            offset = rows.num_rows % CHUNK_ROWS
            self._waiting.expect_none()
            self._before = rows.num_rows, len(self.slots), len(self._statements)
            try:
                self._open.append(row, offset, pictures, extras, shared)
                for env, index in rows.next_episodes(row):
                    if info := info_of(env):
                        rows.describe_episode(env, index, **info)
                        self._remember(episode_statement(env, index, info))
                    if (start := starts.get(env)) is not None:
                        self._keep_start(rows, env, index, start)
                # Last: readers without the lock rely on the number of rows.
                rows.append(row)
                self._rows = rows
                if offset == CHUNK_ROWS - 1:
                    self._seal()
            except BaseException:
                self.recover()
                raise
            self._before = None
            is_step = STEP in row.kind.tobytes()
            self._waiting.expect(rows.num_rows, rows.running, extras, is_step=is_step)

    def append_like_last(
        self,
        targets: Sequence[tuple[int, str]],
        frames: Sequence[Frame],
        put: Callable[..., bool],
        *step: Any,
    ) -> int | None:
        """Append a row, if it is like the last one; return its number.

        None: it was not appended.

        Args:
            targets: The env and camera of each picture. The same list only for
                pictures of the same shapes.
            frames: These pictures.
            put: `WaitingRows.put`, or another one of its methods.
            *step: Its arguments after the number of the row.
        """
        rows, waiting = self._rows, self._waiting
        if rows is None:
            return None
        row = max(waiting.end, rows.num_rows)
        if row - self._handled_rows >= self._max_unsaved_rows or self.is_behind:
            self._save_buffered()
            self._wait_for_disk()
        with self._lock:
            if self._before is not None:
                self.recover()
            waiting.close_buffer()
            row, num_rows = waiting.stop, rows.num_rows
            if row < num_rows:
                row = num_rows
            elif row >= waiting.full_at and row > num_rows:
                self._take_waiting()  # if that was interrupted
                num_rows = rows.num_rows
            usual = self._open.usual
            if usual is not None and usual[0] is targets:
                encoders: Sequence[ChunkEncoder] | None = usual[1]
            else:
                encoders = self._open.usual_encoders(targets, frames)
            if encoders is None or not put(waiting, row, *step):
                return None
            if not encoders:
                waiting.stop = row + 1
            else:
                # All pictures or, if raised, none: with the last the row is there.
                self._before = num_rows, len(self.slots), len(self._statements)
                try:
                    for encoder, frame in zip(encoders, frames, strict=True):
                        encoder.add(frame)
                    waiting.stop = row + 1
                except BaseException:
                    self.recover()
                    raise
                self._before = None
            row_after = row + 1
            if row_after == waiting.full_at or (
                row_after % CHUNK_ROWS == 0 and not self._save_waiting()
            ):
                self._take_waiting()
        return row

    @property
    def num_appended(self) -> int:
        """How many rows there are, with those that wait."""
        rows = self._rows
        return 0 if rows is None else max(rows.num_rows, self._waiting.end)

    def open_buffer(self, forms: InfoForms, listeners: Listeners) -> StepBuffer | None:
        """Return where the next rows of a single env may be put, without a lock.

        They are there at once. The first one of a group is put by `append_like_last`,
        as is any that finds no room in a buffer. None: all are.

        Args:
            forms: The numbers that each of them has.
            listeners: To rows.
        """
        with self._lock:
            room = self._room_in_buffer()
            return self._waiting.open_buffer(room, forms, listeners) if room else None

    def open_many(self, form: ManyForm, listeners: Listeners) -> ManyBuffer | None:
        """Return the same for rows of `WaitingRows.put_many`."""
        with self._lock:
            room = self._room_in_buffer()
            return self._waiting.open_many(room, form, listeners) if room else None

    def next_buffer(self, full: Buffer) -> Buffer | None:
        """Return where the rows of the next block may be put, like those of `full`.

        Those of that one survive a kill from now on. None: the next one is put by
        `append_like_last`.
        """
        with self._lock:
            rows, waiting = self._rows, self._waiting
            if rows is None or self._before is not None or self.has_trouble:
                return None
            stop = waiting.collect()
            if stop % CHUNK_ROWS or waiting.region is None or stop >= waiting.full_at:
                return None
            if not self._save_waiting() or self._handled_rows < stop:
                return None
            return waiting.next_buffer(full)

    def _save_buffered(self) -> None:
        """Have rows of full blocks survive a kill, also those that came by a buffer."""
        with self._lock:
            if self._before is not None:
                self.recover()
            waiting = self._waiting
            waiting.close_buffer()
            if waiting.stop == waiting.full_at or not self._save_waiting():
                self._take_waiting()

    def _room_in_buffer(self) -> int:
        """Return how many rows may come by a buffer now."""
        rows, waiting = self._rows, self._waiting
        if rows is None or self._before is not None or self.has_trouble:
            return 0
        row = waiting.stop
        is_taken = row <= rows.num_rows
        if row < rows.num_rows or (row >= waiting.full_at and not is_taken):
            return 0
        if self._open.usual_encoders((), ()) is None:  # pictures are due
            return 0
        max_rows = CHUNK_ROWS - row % CHUNK_ROWS
        region = waiting.next_region if row >= waiting.full_at else waiting.region
        if region is None:
            max_rows -= 1  # with the last one, all of the block are taken
        if not self.is_temporary:
            # So many can come before one has to wait for the disk.
            max_rows = min(max_rows, self._handled_rows + CHUNK_ROWS - row)
        return max(max_rows, 0)

    def close_buffer(self) -> None:
        """Let no more rows come by a buffer."""
        with self._lock:
            self._waiting.close_buffer()

    @property
    def has_trouble(self) -> bool:
        """Whether something recorded is lost, late, or cannot be written."""
        writer = self._writer
        return bool(
            writer.num_lost
            or writer.fault
            or writer.refusal
            or self.is_behind
            or self.budget.truncated_episode is not None
        )

    def check_sizes(self, pictures: Sequence[tuple[int, str, Frame | None]]) -> None:
        """Raise FrameError where pictures have too many sizes."""
        self._open.check_sizes(pictures)

    def has_slot(self, env: int, camera: str) -> bool:
        """Whether the env had a picture of this camera."""
        return self._open.has_slot(env, camera)

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

    # -- pictures that come later

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

    def _late_piece(self, chunk: bytes, block: int, slot: int, first: int) -> bytes:
        assert self.rows is not None
        count = min(self.rows.num_rows - block * CHUNK_ROWS, CHUNK_ROWS)
        whole = padded(chunk, self.slots[slot].size, count)
        return join([whole], first=first) if first else whole

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
