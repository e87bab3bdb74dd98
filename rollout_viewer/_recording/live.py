"""Rows in order, as chunks and step data: the open block in memory, the rest filed.

A `LiveRecording` is written by one cache; a `FileRecording` reads the file of
another. Both answer the same questions, always in bytes of `_codec` and arrays of
`_rows`.

A block is 32 rows. The open one lives in encoders; when it is full its chunks go
to the writer and stay in `_pending` until they are in the file.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import FrameError, RecordingError, RolloutViewerError
from rollout_viewer._frames.chunk import ABSENT, CHUNK_ROWS, kinds_of
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._recording.annotations import (
    annotation_statements,
    apply_annotations,
    write_annotations,
)
from rollout_viewer._recording.copy import write_copy
from rollout_viewer._recording.database import (
    TABLES_OF_ROWS,
    DatabaseReader,
    amend,
    checkpoint,
    create_database,
    has_side_files,
)
from rollout_viewer._recording.eviction import Budget, Stored
from rollout_viewer._recording.lock import acquire, read_only, this_process
from rollout_viewer._recording.rows import IDLE
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.statements import (
    Statement,
    Tail,
    drop_statements,
    episode_statement,
    extras_statement,
    meta_statement,
    pack_statements,
    run_blocks,
    slot_statement,
    step_statements,
    tail_statements,
)
from rollout_viewer._recording.step_codec import (
    DecodedExtras,
    pack_columns,
    pack_extras,
)
from rollout_viewer._recording.writer import Batch, WriterThread

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.rows import Rows, StepRow
    from rollout_viewer._recording.step_codec import Extras

    Frame = npt.NDArray[np.uint8]


class LiveRecording:
    """A recording that is being made. Methods may be called from any thread.

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
        self.budget = budget or Budget(None, "all")
        self.is_temporary = path is None
        self.path = _temporary_path() if path is None else path
        self.meta = {**meta, "session": uuid.uuid4().hex}
        self.rows: Rows | None = None
        self.slots: list[Slot] = []
        self._slot_of: dict[tuple[int, str], int] = {}
        self._max_stall_s = max_stall_s
        # Guards everything below; never held while user code runs.
        self._lock = threading.RLock()
        self._encoders: list[ChunkEncoder] = []
        self._scratches: dict[tuple[int, int], Scratch] = {}
        self._open_extras: list[Extras] = []
        self._pending: dict[int, tuple[bytes | None, dict[int, bytes]]] = {}
        self._decoded = DecodedExtras()
        self._tail_row = 0
        # Rows that the writer is done with: in the file, or counted as lost.
        self._handled_rows = 0
        self.is_behind = False
        self._is_full = False
        self._statements: list[Statement] = []
        self._version = -1
        self._file_lock = None if self.is_temporary else acquire(self.path)
        connection = create_database(self.path, is_temporary=self.is_temporary)
        for key, value in self.meta.items():
            self._remember(meta_statement(key, value))
        self._remember(meta_statement("writer", this_process()))
        # The owner of a recording must be known from its first moment.
        for sql, values in self._statements:
            connection.execute(sql, values)
        self._statements.clear()
        self._reader = DatabaseReader(self.path)
        self._writer = WriterThread(
            connection,
            self.path,
            queue_bytes=queue_bytes,
            make_tail=self._make_tail,
            others_closed=self._reader.closed,
        )
        self.is_closed = False

    # -- writing

    @property
    def num_lost(self) -> int:
        """Pictures that the disk or its slowness cost."""
        return self._writer.num_lost

    @property
    def fault(self) -> str | None:
        """What is wrong with the storage, if anything is."""
        return self._writer.fault

    @property
    def is_mine(self) -> bool:
        """False in a forked child: there the recording is read-only."""
        return self._writer.is_mine

    @property
    def state_nbytes(self) -> int:
        """Bytes of encoders and their buffers."""
        with self._lock:
            return sum(e.state_nbytes + e.nbytes for e in self._encoders) + sum(
                s.num_bytes for s in self._scratches.values()
            )

    @property
    def picture_nbytes(self) -> int:
        """Bytes of all chunks."""
        with self._lock:
            return self.budget.used_nbytes + sum(e.nbytes for e in self._encoders)

    @property
    def num_evicted(self) -> int:
        """Pictures that made room for newer ones."""
        return int(self.meta.get("num_evicted", 0))

    def first_row_of(self, slot: int) -> int:
        """Return the slot's first row whose picture was not evicted."""
        return self.budget.first_rows.get(slot, 0)

    def slot(self, env: int, camera: str, height: int, width: int) -> int:
        """Return the slot of an env and camera; -1 before its first picture.

        Raises:
            FrameError: Its pictures had another size before.
        """
        slot = self._slot_of.get((env, camera), -1)
        if slot >= 0 and self.slots[slot].size != (height, width):
            info = self.slots[slot]
            raise FrameError(
                f"FrameCache.append: expected {camera!r} of env {env} with "
                f"{info.height} x {info.width} pixels (height x width) as "
                f"before, got {height} x {width}. Record with resize= or "
                "crop=, or into another cache; nothing of this row was "
                "recorded."
            )
        return slot

    def has_slot(self, env: int, camera: str) -> bool:
        """Tell whether the env had a picture of this camera."""
        return (env, camera) in self._slot_of

    def append(
        self,
        row: StepRow,
        pictures: Sequence[tuple[int, str, Frame | None]],
        extras: Extras,
        shared: frozenset[str] = frozenset(),
    ) -> list[tuple[int, int]]:
        """Append one row; everything was checked before.

        Args:
            row: Its step data.
            pictures: (env, camera, frame or None where there is no picture). Slots
                that are not listed repeat their last frame, and are late unless the
                env is idle or nothing is listed.
            extras: Its action and data.
            shared: The cameras whose one picture shows all envs.

        Returns:
            The episodes that begin with it, as (env, index).
        """
        if not self.is_temporary:
            self._wait_for_disk()
        with self._lock:
            assert self.rows is not None
            offset = self.rows.num_rows % CHUNK_ROWS
            delivered: dict[int, Frame | None] = {}
            for env, camera, frame in pictures:
                slot = self._slot_of.get((env, camera), -1)
                if slot < 0 and frame is not None:
                    slot = self._new_slot(
                        env, camera, frame, offset, is_shared=camera in shared
                    )
                if slot >= 0:
                    delivered[slot] = frame
            for slot, encoder in enumerate(self._encoders):
                if slot not in delivered:
                    # Where nothing came, nothing was due: the pictures just stay.
                    is_due = bool(pictures) and self._is_due(slot, row)
                    encoder.repeat(is_due=is_due)
                elif (frame := delivered[slot]) is None:
                    encoder.skip()
                else:
                    encoder.add(frame)
            self._open_extras.append(extras)
            # Last, since readers that ask for no lock go by the number of rows.
            began = self.rows.append(row)
            if offset == CHUNK_ROWS - 1:
                self._seal()
        return began

    def _wait_for_disk(self) -> None:
        """Wait while a kill would lose more than a block; `max_stall_s` at most.

        A disk that was too slow once is not waited for until it has caught up. The
        file of a temporary recording goes with it, and promises nothing.
        """
        if self._has_caught_up():
            self.is_behind = False
        elif not self.is_behind:
            self.is_behind = not self._writer.wait_until(
                self._has_caught_up, self._max_stall_s
            )

    def _has_caught_up(self) -> bool:
        assert self.rows is not None
        return self.rows.num_rows - self._handled_rows < CHUNK_ROWS

    def _is_due(self, slot: int, row: StepRow) -> bool:
        if self.slots[slot].is_shared:
            return bool((row.kind != IDLE).any())
        return bool(row.kind[self.slots[slot].env] != IDLE)

    def _new_slot(
        self, env: int, camera: str, frame: Frame, offset: int, *, is_shared: bool
    ) -> int:
        height, width = frame.shape[:2]
        scratch = self._scratches.get((height, width))
        if scratch is None:
            scratch = self._scratches[height, width] = Scratch(height, width)
        encoder = ChunkEncoder(height, width, scratch)
        encoder.skip(offset)
        self._encoders.append(encoder)
        self.slots.append(Slot(env, camera, height, width, is_shared))
        slot = self._slot_of[env, camera] = len(self.slots) - 1
        self._remember(slot_statement(slot, self.slots[slot]))
        return slot

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value in the file."""
        with self._lock:
            self.meta[key] = value
            self._remember(meta_statement(key, value))

    def describe_episode(self, env: int, index: int, info: dict[str, Any]) -> None:
        """Keep what is known of an episode beside its rows."""
        with self._lock:
            assert self.rows is not None
            self.rows.describe_episode(env, index, **info)
            self._remember(episode_statement(env, index, info))

    def annotate(self, change: AnnotationChange) -> None:
        """Take marks in, and into the file.

        Raises:
            ReadOnlyError: In a forked child; or the file cannot be written any more.
            RecordingLockedError: It was closed and somebody else writes it.
        """
        if not self.is_mine:
            raise read_only(self.path)
        with self._lock:
            if not self.is_closed:
                self._statements += annotation_statements(change)
            elif self.is_temporary:
                amend(self.path, annotation_statements(change))
            else:
                write_annotations(change, self.path)
            apply_annotations(change, self.meta, self.rows)

    @property
    def paths(self) -> list[Path]:
        """The file."""
        return [self.path]

    def pin(
        self, start: int, stop: int, envs: Collection[int] | None
    ) -> Callable[[], object]:
        """Keep rows of envs (None: all) from eviction until the result is called."""
        return self.budget.pin(start, stop, envs)

    @property
    def num_annotations(self) -> int:
        """How often something became known of an episode."""
        return self.rows.num_told if self.rows is not None else 0

    def _remember(self, statement: Statement) -> None:
        self._statements.append(statement)

    def _take_statements(self) -> list[Statement]:
        if self._writer.num_lost != self.meta.get("num_lost", 0):
            self.set_meta("num_lost", self._writer.num_lost)
        taken, self._statements = self._statements, []
        return taken

    def _seal(self) -> None:
        assert self.rows is not None
        block = self.rows.num_rows // CHUNK_ROWS - 1
        extras = pack_extras(self._open_extras)
        chunks: dict[int, bytes] = {}
        stored: dict[int, Stored] = {}
        for slot, encoder in enumerate(self._encoders):
            chunk = encoder.seal()
            shown = sum(1 << i for i, k in enumerate(kinds_of(chunk)) if k != ABSENT)
            if shown:
                chunks[slot] = chunk
                stored[slot] = Stored(block, len(chunk), shown)
        num_pictures = sum(one.shown.bit_count() for one in stored.values())
        nbytes = sum(one.nbytes for one in stored.values())
        if not self._make_room(block, nbytes, num_pictures):
            chunks, stored, num_pictures, nbytes = {}, {}, 0, 0
        self._open_extras = []
        self._pending[block] = extras, chunks
        statements = [*self._take_statements(), *self._step_statements(block)]
        if extras is not None:
            statements.append(extras_statement(block, extras))
        batch = Batch(
            statements,
            pack_statements(block, chunks.items(), is_apart=self.budget.evicts),
            num_pictures,
            nbytes,
            lambda is_filed: self._filed(block, is_filed=is_filed),
            self.budget.used_nbytes + nbytes,
        )
        if not self._writer.put(batch, max_stall_s=self._max_stall_s):
            # In place: the writer may be done with the block by now.
            chunks.clear()
            return
        for slot, one in stored.items():
            self.budget.add(slot, one)

    def _make_room(self, block: int, nbytes: int, num_pictures: int) -> bool:
        """Evict what has to go; return whether the block's pictures fit then."""
        assert self.rows is not None
        fits, gone = self.budget.make_room(
            nbytes,
            self._writer.overhead,
            block * CHUNK_ROWS,
            self.rows,
            self.slots,
            is_shared=any(info.is_shared for info in self.slots),
        )
        if self.budget.num_evicted != self.num_evicted:
            self._statements += drop_statements(gone)
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

    def _step_statements(self, block: int) -> list[Statement]:
        assert self.rows is not None
        run = run_blocks(self.rows.num_envs)
        first = block if (block + 1) % run else block + 1 - run
        core = self.rows.block(first * CHUNK_ROWS, (block + 1) * CHUNK_ROWS)
        return step_statements(first, block, pack_columns(core, []))

    def _filed(self, block: int, *, is_filed: bool) -> None:
        # Each is one step of a dict: the writer's thread needs no lock for it, which
        # an append that waits for the writer may hold.
        if is_filed:
            self._pending.pop(block, None)
        elif (pending := self._pending.get(block)) is not None:
            pending[1].clear()
        self._note_handled((block + 1) * CHUNK_ROWS)

    def _note_handled(self, num_rows: int) -> None:
        # Only the writer's thread comes here. A flush may bring rows of a block that
        # was sealed meanwhile.
        self._handled_rows = max(self._handled_rows, num_rows)

    def _pack_rows(self, start: int, stop: int) -> bytes:
        assert self.rows is not None
        first = stop - len(self._open_extras)
        return pack_columns(
            self.rows.block(start, stop), self._open_extras[start - first :]
        )

    def _make_tail(self) -> Batch | None:
        # An append that waits for a slow disk holds the lock: then its block is
        # about to be written anyway.
        if not self._lock.acquire(timeout=0.05):
            return None
        try:
            tail = self._open_rows(self._tail_row)
            statements = self._take_statements()
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
        stop = self.rows.num_rows
        block_start = stop - stop % CHUNK_ROWS
        start = max(since, block_start)
        if start == stop:
            return None
        first = start - block_start
        pieces = [(slot, e.piece(first)) for slot, e in enumerate(self._encoders)]
        if self._is_full:
            pieces = []
        return Tail(
            block_start // CHUNK_ROWS,
            start,
            stop - start,
            self._pack_rows(start, stop),
            pieces,
        )

    # -- reading

    def refresh(self) -> bool:
        """Take in marks that others wrote since it was closed.

        Every append is seen at once.
        """
        if not self.is_closed or self.is_temporary:
            return False
        with contextlib.suppress(RecordingError), self._lock:
            version = self._reader.version()
            if version != self._version:
                self._version = version
                self._take_marks()
                return True
        return False

    def _take_marks(self) -> None:
        if "bookmarks" in (meta := self._reader.meta()):
            self.meta["bookmarks"] = meta["bookmarks"]
        if self.rows is not None:
            for env, index, info in self._reader.episodes():
                self.rows.describe_episode(env, index, **info)

    def chunk(self, block: int, slot: int, first: int = 0) -> bytes | None:
        """Return the chunk, or of an open one the records from `first` on."""
        with self._lock:
            if self.rows is None or slot >= len(self._encoders):
                return None
            if block == self.rows.num_rows // CHUNK_ROWS:
                return self._encoders[slot].piece(first)
            pending = self._pending.get(block)
        if (block + 1) * CHUNK_ROWS <= self.first_row_of(slot):
            return None
        if pending is not None:
            return pending[1].get(slot)
        return self._reader.chunk(block, slot)

    def extras(self, row: int) -> Extras:
        """Return action and data of a row, by name."""
        block, offset = divmod(row, CHUNK_ROWS)
        with self._lock:
            assert self.rows is not None
            if block == self.rows.num_rows // CHUNK_ROWS:
                return self._open_extras[offset]
        data = self.extras_of(block)
        if data is None:
            return {}
        with self._lock:
            return self._decoded.get(
                block, data, f"{self.path}, rows of block {block}"
            )[offset]

    # -- ending

    def flush(self) -> None:
        """Write everything; a copy of the file is then complete.

        Raises:
            StorageError: Something could not be written.
        """
        if self.is_mine and not self.is_closed:
            self._writer.flush()

    def save(self, path: Path) -> None:
        """Write a complete copy to `path`, which appears whole or not at all."""
        with self._lock:
            rows = self.rows.num_rows if self.rows else 0
            tail = self._open_rows(0)
            statements = [meta_statement(k, v) for k, v in self.meta.items()]
            statements += [slot_statement(*s) for s in enumerate(self.slots)]
            if self.rows is not None:
                statements += [
                    episode_statement(env, index, info)
                    for (env, index), info in self.rows.infos().items()
                ]
            num_slots = len(self.slots)
        if tail is not None:
            statements += tail_statements(tail)
        write_copy(self, path, rows // CHUNK_ROWS, num_slots, statements)

    def extras_of(self, block: int) -> bytes | None:
        """Return the stored actions and data of a sealed block; None: it has none."""
        pending = self._pending.get(block)
        return pending[0] if pending is not None else self._reader.extras_of(block)

    def close(self) -> None:
        """End the recording; it stays readable.

        Raises:
            StorageError: Something could not be written.
        """
        if self.is_closed or not self.is_mine:
            return
        self.is_closed = True
        self.set_meta("is_closed", True)
        try:
            self._writer.close()
        finally:
            if self._file_lock is not None:
                # Unlinked while held: whoever comes now makes a lock of their own,
                # for another file name.
                with contextlib.suppress(OSError):
                    os.unlink(f"{self.path}.lock")
                self._file_lock.release()

    def release(self) -> None:
        """Close without complaint; delete a file that is temporary or has no row.

        AsyncVectorEnv makes and drops an env of its own just to look at it.
        """
        if not self.is_mine:
            return
        is_kept = not self.is_temporary and (self.is_closed or self.rows is not None)
        with contextlib.suppress(RolloutViewerError):
            self.close()
        self._reader.close()
        if not is_kept:
            for side in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(OSError):
                    os.unlink(f"{self.path}{side}")
        elif has_side_files(self.path):
            # Somebody read it when it was closed, and may be gone by now.
            checkpoint(self.path)

    def clear(self) -> None:
        """Forget all rows, here and in the file."""
        with self._lock:
            self._writer.drain()
            self.rows = None
            self.slots, self._encoders, self._open_extras = [], [], []
            self._slot_of = {}
            self._pending, self._decoded = {}, DecodedExtras()
            self._tail_row = self._handled_rows = 0
            self.budget.clear()
            self._is_full = False
            self._statements = [
                (f"DELETE FROM {table}", ()) for table in TABLES_OF_ROWS
            ]
            self.set_meta("session", uuid.uuid4().hex)
            self.set_meta("first_rows", [])
            self.set_meta("num_evicted", 0)
            if "bookmarks" in self.meta:
                self.set_meta("bookmarks", {})
            self._reader.forget()
            self._writer.put(Batch(self._take_statements()), max_stall_s=None)
        self._writer.drain()


def _temporary_path() -> Path:
    import tempfile

    folder = tempfile.gettempdir()
    return Path(folder) / f"rollout-{os.getpid()}-{uuid.uuid4().hex[:12]}.rollout"
