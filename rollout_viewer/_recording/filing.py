"""The writing half of a live recording: what it brings into its file, and when.

A block is 32 rows. When it is full its chunks go to the writer's thread, and stay in
`_pending` until they are in the file. Rows of the open block follow each half second.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from typing import TYPE_CHECKING, Any

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._process.forks import (
    keep_in_child,
    make_anew_in_children,
    this_process,
)
from rollout_viewer._recording.annotations import (
    AnnotationChange,
    annotation_statements,
    apply_annotations,
)
from rollout_viewer._recording.database import (
    create_database,
    delete_database,
)
from rollout_viewer._recording.database_reader import DatabaseReader
from rollout_viewer._recording.eviction import Budget
from rollout_viewer._recording.info_types import INFO_TYPES
from rollout_viewer._recording.late_pictures import LatePictures, late_statements
from rollout_viewer._recording.lock import acquire, free_reserve, own_writer, reserve
from rollout_viewer._recording.named_file import NamedFile
from rollout_viewer._recording.open_block import OpenBlock
from rollout_viewer._recording.row_arrays import numbered_starts
from rollout_viewer._recording.saved_rows import SavedRows
from rollout_viewer._recording.slot import digest
from rollout_viewer._recording.statements import (
    Statement,
    delete_statements,
    episode_statement,
    extras_statements,
    meta_statement,
    pack_statements,
    run_blocks,
    slot_statement,
    start_number,
    start_statement,
    start_statements,
    step_statements,
    tail_statements,
)
from rollout_viewer._recording.step_codec import (
    DecodedExtras,
    StackedExtras,
    pack_extras,
    pack_stacked,
)
from rollout_viewer._recording.temporary import temporary_path
from rollout_viewer._recording.transactions import Batch
from rollout_viewer._recording.waiting_rows import WaitingRows
from rollout_viewer._recording.writer import WriterThread
from rollout_viewer._recording.written_file import WrittenFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._process.forks import Lock
    from rollout_viewer._recording.row_memory import WaitingStart
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.sealed_block import BlockRows
    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.statements import Tail
    from rollout_viewer._recording.step_codec import Group

    Frame = npt.NDArray[np.uint8]


class _ForkLock:
    """The lock of a recording, for a fork: with it, the child's rows are its own."""

    def __init__(self, recording: FiledRecording, lock: Lock) -> None:
        self._recording, self._lock = recording, lock

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take it; return whether it was taken in time."""
        if not self._lock.acquire(blocking, timeout):
            return False
        with contextlib.suppress(Exception):  # they stay where they are
            self._recording.part()
        return True

    def release(self) -> None:
        """Give it back."""
        self._lock.release()


class FiledRecording:
    """Rows, chunks and metadata on their way into a file.

    Args:
        path: A new file; None for a temporary one, deleted by `release`.
        queue_bytes: What may wait for the disk.
        max_stall_s: How long an append may wait for the disk.
        meta: First metadata.
        budget: What the file may hold.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        queue_bytes: int,
        max_stall_s: float,
        meta: dict[str, Any],
        budget: Budget | None = None,
    ) -> None:
        self._pid = this_process.pid
        self.budget = budget or Budget(None, "all")
        self.is_temporary = path is None
        self.path = temporary_path() if path is None else path
        # For what is opened later: the working directory may change.
        self._at = self.path
        with contextlib.suppress(OSError):
            self._at = self.path.absolute()
        self.meta = {**meta, "session": uuid.uuid4().hex}
        self._rows: Rows | None = None
        # Rows after those of `_rows`, until they are taken into them.
        self._waiting = WaitingRows()
        self._max_stall_s = max_stall_s
        # Guards everything below; never held while user code runs.
        self._lock = threading.RLock()
        self._open = OpenBlock(self._remember_slot)
        self.slots: list[Slot] = self._open.slots
        self._pending: dict[
            int, tuple[bytes | StackedExtras | None, dict[int, bytes]]
        ] = {}
        self._decoded = DecodedExtras()
        self._late = LatePictures()
        self._tail_row = 0
        # Blocks whose rows the writer has been given, and those that are no more open.
        self._num_queued = self._num_sealed = 0
        # Between the first change of an append and its end: how many slots and
        # statements there were before. None: no append was interrupted.
        self._before: tuple[int, int, int] | None = None
        # Rows that survive a kill, or are counted as lost; of full blocks, those that
        # are in the file.
        self._handled_rows = self._filed_rows = 0
        self._noting = threading.Lock()
        self._saved = SavedRows(
            self._at, is_possible=not self.is_temporary, has_names=self._has_names
        )
        # So many more, and an append waits. The file of a temporary recording is
        # deleted after a kill anyway.
        self._max_unsaved_rows = 1 << 62 if self.is_temporary else CHUNK_ROWS
        self.is_behind = False
        self._is_full = False
        # As many slots the file has a checksum of.
        self._num_digested = 0
        self._statements: list[Statement] = []
        self._version = -1
        self._file_lock = None if self.is_temporary else acquire(self._at)
        self._lock_name = NamedFile(f"{self._at}.lock")
        if self._file_lock is not None:
            reserve(self._at)
        is_new = not os.path.lexists(self.path)
        try:
            self._create_file(queue_bytes)
        except BaseException:
            if is_new:
                self._remove_file()
            raise
        self.is_closed = False
        # Closed, and neither the file nor its lock is open any more.
        self._has_ended = False
        make_anew_in_children(self, rank=3)

    def _create_file(self, queue_bytes: int) -> None:
        meta = {**self.meta, "writer": own_writer()}
        connection = create_database(
            self._at,
            is_temporary=self.is_temporary,
            statements=[meta_statement(key, value) for key, value in meta.items()],
        )
        self._reader = DatabaseReader(self._at)
        self._file = self._reader.written = WrittenFile(
            connection,
            self._at,
            is_temporary=self.is_temporary,
            others_closed=self._reader.closed,
        )
        self._writer = WriterThread(
            self._file,
            self.path,
            queue_bytes=queue_bytes,
            # Its file is deleted after a kill.
            is_lazy=self.is_temporary,
            make_tail=self._make_tail,
            free_room=self._free_room,
        )

    def _free_room(self) -> None:
        if self._file_lock is not None and not self._lock_name.change():
            free_reserve(self._at)

    def _has_names(self) -> bool:
        return not (self._lock_name.change() or self._file.change())

    def _remove_file(self) -> None:
        """Leave nothing of a file that could not be made."""
        with contextlib.suppress(AttributeError):
            self._reader.close()
        delete_database(self._at)
        with contextlib.suppress(OSError):
            os.unlink(f"{self._at}.lock")
        if self._file_lock is not None:
            self._file_lock.release()

    def fork_locks(self) -> list[Lock]:
        """Return what a fork waits for."""
        return [_ForkLock(self, self._lock)]

    def part(self) -> None:
        """Let no row that is read depend on a region, which this process goes on with.

        The lock is held, until the fork is done: no buffer is opened before.
        """
        if self.is_mine:
            self._waiting.close_buffer()
            self._take_waiting()
            for extras, _ in list(self._pending.values()):
                if isinstance(extras, StackedExtras):
                    extras.pack()

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child. `recover` undoes half an append."""
        del is_whole
        self._lock, self._noting = threading.RLock(), threading.Lock()
        # Whoever puts rows there looks at nothing else.
        self._waiting.stop_buffer()
        # Its destruction would free the lock, which is the parent's.
        keep_in_child(self._file_lock)
        # If the lock was not free, there are rows that it has yet to take.
        self._waiting.part()

    @property
    def num_lost(self) -> int:
        """Pictures that were dropped because the disk was full, faulty or too slow."""
        return self._writer.num_lost

    @property
    def fault(self) -> str | None:
        """What is wrong with the storage; None: nothing."""
        return self._writer.fault or self._writer.refusal or None

    @property
    def is_mine(self) -> bool:
        """False in a forked child: there the recording is read-only."""
        return self._pid == this_process.pid

    @property
    def num_evicted(self) -> int:
        """Pictures that were deleted to make room for newer ones."""
        return int(self.meta.get("num_evicted", 0))

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value in the file."""
        with self._lock:
            self.meta[key] = value
            self._remember(meta_statement(key, value))

    def _remember(self, statement: Statement) -> None:
        self._statements.append(statement)

    def _remember_slot(self, slot: int) -> None:
        self._remember(slot_statement(slot, self.slots[slot]))

    def _due_statements(self) -> list[Statement]:
        """Return what is to be written; remove it from the list when it was queued."""
        if self._writer.num_lost != self.meta.get("num_lost", 0):
            self.set_meta("num_lost", self._writer.num_lost)
        if self._num_digested != len(self.slots):
            self._remember(meta_statement("slots", digest(self.slots)))
            self._num_digested = len(self.slots)
        return list(self._statements)

    @property
    def rows(self) -> Rows | None:
        """Step data of all rows; None before the first.

        Rows that wait are taken into it first: to whoever reads they are there.
        """
        rows = self._rows
        if rows is not None and self._waiting.end > rows.num_rows:
            self._take_waiting()
            return self._rows
        return rows

    def _take_waiting(self) -> None:
        """Take the rows that wait: full blocks, and those of the open one."""
        with self._lock:
            self.recover()
            rows, stop = self._rows, self._waiting.collect()
            # Another thread may have taken them, or cleared all rows.
            if rows is None or rows.num_rows >= stop:
                return
            is_saved = self._save_waiting()
            for end in (stop - stop % CHUNK_ROWS, stop):
                if end > rows.num_rows:
                    self._take(rows, end)
            waiting = self._waiting
            saved = stop if waiting.region is None else waiting.region.stop
            waiting.drop_starts(min(stop, saved))
            if not is_saved:
                waiting.leave()
            self._find_region()

    def _take(self, rows: Rows, stop: int) -> None:
        """Take rows of full blocks, or of the open one: all or, if raised, none."""
        start, waiting = rows.num_rows, self._waiting
        self._before = start, len(self.slots), len(self._statements)
        try:
            end = min(stop, start - start % CHUNK_ROWS + CHUNK_ROWS)
            if end % CHUNK_ROWS or not waiting.has(end - CHUNK_ROWS, end):
                self._open.extras += waiting.extras(start, end)
            else:  # `_queue` takes them; here they are only counted
                self._open.extras += [{}] * (end - start)
            kinds = waiting.kinds(start, stop)
            if kinds is not None:
                self._keep_starts(rows, waiting.starts(start, stop), kinds[1])
            # Last: readers without the lock rely on the number of rows.
            rows.extend_steps(waiting.rewards(start, stop), kinds)
            if stop % CHUNK_ROWS == 0:
                self._seal()
        except BaseException:
            self.recover()
            raise
        self._before = None

    def _keep_starts(
        self,
        rows: Rows,
        starts: Sequence[WaitingStart],
        flags: npt.NDArray[np.uint8],
    ) -> None:
        """Keep from where episodes can be replayed that begin in rows that waited."""
        numbered = numbered_starts(rows, starts, flags)
        self._late.starts.update(numbered)
        self._statements += start_statements(
            (start_number(*key, rows.num_envs), start)
            for key, start in numbered.items()
        )

    def _keep_start(self, rows: Rows, env: int, index: int, start: bytes) -> None:
        self._late.starts[env, index] = start
        number = start_number(env, index, rows.num_envs)
        self._remember(start_statement(number, start))

    @property
    def _is_appending(self) -> bool:
        return self._before is not None

    def recover(self) -> None:
        """Undo an append that was interrupted before its row counted, or finish it.

        A row counts from the moment when `rows.num_rows` includes it. May itself be
        interrupted, and called again.
        """
        if not self._is_appending:
            return
        with self._lock:
            if self._before is None:  # it was an append of another thread
                return
            num_rows, num_slots, num_statements = self._before
            now = 0 if self._rows is None else self._rows.num_rows
            if now == num_rows:
                del self._statements[num_statements:]
            else:
                num_slots = len(self.slots)
            if self._rows is not None:
                self._rows.recover()
            if self._num_queued == self._num_sealed:
                first = self._num_sealed * CHUNK_ROWS
                num_pictured = max(now, self._waiting.stop) - first
                self._open.roll_back(now - first, num_slots, num_pictured)
            if now >= (self._num_sealed + 1) * CHUNK_ROWS:
                self._seal()
            self._before = None

    # -- sealed blocks

    def check_block(self, block: BlockRows) -> None:
        """Raise FrameError where the pictures have too many sizes."""
        self._open.check_slots(
            (slot.env, slot.camera, slot.height, slot.width)
            for slot, _ in block.pictures
        )

    def append_blocks(
        self,
        rows: Rows,
        blocks: Iterator[BlockRows],
        info_of: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """Append rows that were encoded elsewhere; each block whole or not at all.

        The blocks are written together.

        Args:
            rows: The step data of all rows; of the first ones, new ones.
            blocks: What to append. Each is asked for when those before it are there;
                it is checked then, and the open block has room for it.
            info_of: Returns what is known of an episode, from the block's information.
        """
        self._wait_for_disk()
        self._writer.hold()
        try:
            for block in blocks:
                self._append_block(rows, block, info_of)
        finally:
            self._writer.release()
        if rows.num_rows - self._handled_rows > CHUNK_ROWS:  # of one, the next waits
            self._wait_for_disk()

    def _append_block(
        self,
        rows: Rows,
        block: BlockRows,
        info_of: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        self.recover()
        with self._lock:
            self._waiting.expect_none()
            self._before = rows.num_rows, len(self.slots), len(self._statements)
            try:
                if block.frames is None:
                    self._open.adopt(block.pictures, block.groups, block.packed)
                else:
                    self._append_to_open(rows.num_rows % CHUNK_ROWS, block)
                self._describe(rows, block, info_of)
                if block.types != self.meta.get(INFO_TYPES, {}):
                    self.set_meta(INFO_TYPES, block.types)
                if block.successes:
                    change = AnnotationChange(success=block.successes)
                    self._statements += annotation_statements(change)
                    apply_annotations(change, self.meta, rows)
                # Last: readers without the lock rely on the number of rows.
                rows.extend(block.core)
                self._rows = rows
                if rows.num_rows % CHUNK_ROWS == 0:
                    self._seal()
            except BaseException:
                self.recover()
                raise
            self._before = None

    def _append_to_open(self, offset: int, block: BlockRows) -> None:
        shared = block.shared_cameras
        for row, frames in enumerate(block.frames or []):
            extras = block.extras[row]
            self._open.append(block.steps(row), offset + row, frames, extras, shared)

    def _describe(
        self,
        rows: Rows,
        block: BlockRows,
        info_of: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> None:
        """Keep what is known of the episodes that begin in a block."""
        known = {(one.row, one.env): one for one in block.begun}
        for place, index in rows.numbers_of_begun(block.core["flags"]).items():
            if (one := known.get(place)) is None:
                continue
            env = one.env
            if info := info_of(one.info):
                rows.describe_episode(env, index, **info)
                self._remember(episode_statement(env, index, info))
            if one.start is not None:
                self._keep_start(rows, env, index, one.start)

    def _seal(self) -> None:
        """Hand full blocks to the writer, and start the next one.

        Where an exception comes in between, the next call does the rest: what it
        queues again replaces what was queued.
        """
        assert self._rows is not None
        if self._num_queued == self._num_sealed:
            self._queue(self._num_sealed, self._rows.num_rows // CHUNK_ROWS)
        self._open.start()
        self._num_sealed = self._num_queued

    def _queue(self, block: int, stop: int) -> None:
        """Queue blocks from `block` on before `stop`; only the first has pictures."""
        packed = self._open.adopted_packed or self._packed_extras(block)
        extras = {n: self._packed_extras(n) for n in range(block + 1, stop)}
        extras = {block: packed, **extras}
        some = [(n, one) for n, one in extras.items() if one is not None]
        chunks, stored = self._open.chunks(block)
        num_pictures = sum(one.shown.bit_count() for one in stored.values())
        nbytes = sum(one.nbytes for one in stored.values())
        if not self._make_room(block, nbytes, num_pictures):
            chunks, stored, num_pictures, nbytes = {}, {}, 0, 0
        late: dict[tuple[int, int], bytes] = {}
        for number, data in extras.items():
            self._pending[number] = data, (chunks if number == block else {})
            late |= self._late.seal(number, self.slots)
        due = self._due_statements()
        batch = Batch(
            [
                *due,
                *self._step_statements(block, stop - 1),
                *late_statements(late),
                *extras_statements(some),
            ],
            pack_statements(block, chunks.items(), is_apart=self.budget.evicts),
            num_pictures,
            nbytes,
            lambda is_filed: self._filed(range(block, stop), late, is_filed=is_filed),
            self._estimate(nbytes),
            step_nbytes=sum(
                len(one) if isinstance(one, bytes) else one.nbytes for _, one in some
            ),
        )
        is_queued = self._writer.put(batch, max_stall_s=self._max_stall_s)
        self._num_queued = stop
        del self._statements[: len(due)]
        if not is_queued:
            # In place: the writer may have written the block by now.
            chunks.clear()
            return
        for slot, one in stored.items():
            self.budget.add(slot, one)

    def _packed_extras(self, block: int) -> bytes | StackedExtras | None:
        stacked: Sequence[Group] | None = self._waiting.stacked(block)
        if stacked is None:
            stacked = self._open.adopted_extras
        if stacked is None:
            return pack_extras(self._open.extras)
        if stacked and self._waiting.form:  # they are small
            return StackedExtras(CHUNK_ROWS, stacked)
        return pack_stacked(CHUNK_ROWS, stacked)

    def _make_room(self, block: int, nbytes: int, num_pictures: int) -> bool:
        """Evict what is necessary; return whether the block's pictures fit then."""
        assert self._rows is not None
        fits, evicted = self.budget.make_room(
            nbytes,
            self._writer.overhead,
            block * CHUNK_ROWS,
            self._rows,
            self.slots,
            is_shared=any(info.is_shared for info in self.slots),
        )
        if self.budget.num_evicted != self.num_evicted:
            self._statements += delete_statements(evicted)
            self.set_meta("first_rows", list(self.budget.first_rows.items()))
            self.set_meta("num_evicted", self.budget.num_evicted)
        self._is_full = self._is_full or not (fits or self.budget.evicts)
        if num_pictures and (self._is_full or not fits):
            reason = f"disk_bytes={self.budget.disk_bytes} used up"
            if self.budget.evicts:
                reason += " by clips in use, by step data or by 32 rows"
            self._writer.refuse(num_pictures, reason)
            return False
        return True

    def _estimate(self, nbytes: int) -> int | None:
        """Return the bytes of chunks with `nbytes` more; None: no one asks for them."""
        if self.budget.disk_bytes is None:
            return None
        return self.budget.used_nbytes + nbytes

    def _step_statements(self, first: int, last: int) -> list[Statement]:
        assert self._rows is not None
        run = run_blocks(self._rows.num_envs)
        if run > 1 and (last + 1) % run == 0:
            first = last + 1 - run
        return step_statements(self._rows, first, last)

    def _filed(
        self, blocks: range, late: Mapping[tuple[int, int], bytes], *, is_filed: bool
    ) -> None:
        # Single operations of a dict, which are atomic: the writer's thread must not
        # take the lock, which an append that waits for the writer may hold.
        for block in blocks:
            if is_filed:
                self._pending.pop(block, None)
            elif (pending := self._pending.get(block)) is not None:
                pending[1].clear()
        if is_filed:
            self._late.note_filed(late)
            self._filed_rows = blocks.stop * CHUNK_ROWS
        self._note_handled(blocks.stop * CHUNK_ROWS)

    def _note_handled(self, num_rows: int) -> None:
        # A flush may write rows of a block that was sealed meanwhile.
        with self._noting:
            self._handled_rows = max(self._handled_rows, num_rows)

    def _wait_for_disk(self) -> None:
        """Wait while a kill would lose more than a block; `max_stall_s` at most.

        After a wait that was in vain, appends do not wait until the disk has caught up.
        """
        if not self._has_caught_up() and not self._save_waiting():
            self._take_waiting()
        if self._has_caught_up():
            self.is_behind = False
        elif not self.is_behind:
            self.is_behind = not self._writer.wait_until(
                self._has_caught_up, self._max_stall_s
            )

    def _has_caught_up(self) -> bool:
        # Without the lock, which the writer's thread may need.
        self._note_handled(self._saved.stop(self._handled_rows))
        num_rows = 0 if self._rows is None else self._rows.num_rows
        num_rows = max(num_rows, self._waiting.end)
        return num_rows - self._handled_rows < self._max_unsaved_rows

    # -- rows that wait for their group

    def _save_waiting(self) -> bool:
        """Have full blocks of rows that wait survive a kill; see `SavedRows.save`."""
        if not self.is_mine:
            return True
        with self._lock:
            is_saved = self._saved.save(self._waiting)
            self._note_handled(self._saved.stop(self._handled_rows))
        return is_saved

    def _find_region(self) -> None:
        if self.is_mine and not self._open.is_pictured:
            session = self.meta["session"]
            self._saved.find_region(self._waiting, session, self._filed_rows)

    # -- the open block

    def _make_tail(self) -> Batch | None:
        # An append that waits for a slow disk holds the lock: then its block is
        # about to be written anyway.
        if not self._lock.acquire(timeout=0.05):
            raise BlockingIOError
        try:
            self.recover()
            tail = self._open_rows(self._tail_row)
            statements = self._due_statements()
            self._statements = []
            if tail is None and not statements:
                return None
            if tail is None:
                return Batch(statements)
            self._tail_row = stop = tail.start + tail.num_rows
            statements += tail_statements(tail)
            return Batch(statements, on_done=lambda _: self._note_handled(stop))
        finally:
            self._lock.release()

    def _open_rows(self, since: int) -> Tail | None:
        if self.rows is None:
            return None
        return self._open.tail(self.rows, since, has_pictures=not self._is_full)
