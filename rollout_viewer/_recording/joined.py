"""Several recordings read as one: their envs side by side, nothing copied.

Rows are aligned at 0, envs are numbered in the order of the recordings, and a
recording that is shorter ends. Rows that were read never change: while some recordings
are still written, the joined one is as long as the shortest of those.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rollout_viewer._errors import ReadOnlyError, ShapeError
from rollout_viewer._frames.chunk import CHUNK_ROWS, absent, join, num_records_of
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._recording.annotations import AnnotationChange, apply_annotations
from rollout_viewer._recording.copy import write_copy
from rollout_viewer._recording.file import FileRecording
from rollout_viewer._recording.info_types import (
    INFO_TYPES,
    joined_types,
    retyped,
    stored_types,
)
from rollout_viewer._recording.lock import is_running
from rollout_viewer._recording.opened import OpenedRecording
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.statements import (
    Statement,
    Tail,
    copy_statements,
    tail_statements,
)
from rollout_viewer._recording.step_codec import pack_columns, pack_extras
from rollout_viewer._recording.step_row import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from rollout_viewer._recording.late_pictures import LateChunk
    from rollout_viewer._recording.step_codec import Extras


class Annotated(Protocol):
    """Rows of envs that take annotations: a recording, or a cache over one."""

    @property
    def num_rows(self) -> int:
        """Rows so far."""
        ...

    @property
    def num_envs(self) -> int:
        """Environments."""
        ...

    def annotate(self, change: AnnotationChange) -> None:
        """Apply a change of annotations."""
        ...


class JoinedRecording(OpenedRecording):
    """Recordings in files, side by side. Any thread may read.

    One picture that all envs of a recording share is shown as that of its first.

    Args:
        paths: The files, at least one.
        originals: First env -> where a file is a copy of another recording, which is
            annotated as well.
        open_member: Opens one of them.

    Raises:
        RecordingError: One is not a recording, or one of a newer version.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        originals: Mapping[int, Annotated] | None = None,
        *,
        open_member: Callable[[Path], FileRecording] = FileRecording,
    ) -> None:
        self.paths = list(paths)
        super().__init__(self.paths[0])
        self._originals = dict(originals or {})
        self._lock = threading.RLock()
        self._members: list[FileRecording] = []
        # Of each slot: which recording's, and its number there.
        self._sources: list[tuple[int, int]] = []
        self._first_envs: list[int] = []
        try:
            for path in self.paths:
                self._members.append(open_member(path))
        except BaseException:
            self.release()
            raise
        self._is_over: list[bool] = []
        self.refresh()
        make_anew_in_children(self, rank=2)

    def fork_locks(self) -> list[threading.RLock]:
        """Return what a fork waits for."""
        return [self._lock]

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child."""
        self._lock = threading.RLock()
        if not is_whole:
            self.meta, self._is_over = {}, []  # the next refresh starts again

    @property
    def num_lost(self) -> int:
        """Pictures that the writers could not keep."""
        return sum(member.num_lost for member in self._members)

    @property
    def num_evicted(self) -> int:
        """Pictures that were deleted to make room for newer ones."""
        return sum(member.num_evicted for member in self._members)

    @property
    def picture_nbytes(self) -> int:
        """Bytes of all chunks."""
        return sum(member.picture_nbytes for member in self._members)

    @property
    def state_nbytes(self) -> int:
        """Bytes of the open blocks' records."""
        return sum(member.state_nbytes for member in self._members)

    def first_row_of(self, slot: int) -> int:
        """Return the slot's first row whose picture was not evicted."""
        member, number = self._sources[slot]
        return self._members[member].first_row_of(number)

    @property
    def pictures_version(self) -> int:
        """Changes when pictures were added to rows that were there."""
        return sum(member.pictures_version for member in self._members)

    def start_of(self, env: int, index: int) -> bytes | None:
        """Return None: each recording is rendered alone."""
        return None

    late_refusal = ""

    def add_late_chunks(
        self, chunks: Sequence[LateChunk], session: str | None = None
    ) -> bool:
        """Raise ReadOnlyError: each recording is rendered alone."""
        raise self._not_alone()

    def change_meta(self, key: str, value: Any) -> None:
        """Raise ReadOnlyError: each recording is rendered alone."""
        raise self._not_alone()

    def _not_alone(self) -> ReadOnlyError:
        return ReadOnlyError(
            f"FrameCache.render: expected one recording, got {len(self.paths)} that "
            "are shown as one. Render each: rv.open(path).render()."
        )

    def refresh(self) -> bool:
        """Read what was written since the last call; return whether anything was."""
        with self._lock:
            if self.is_closed:
                return False
            looks = [_look(member) for member in self._members]
            is_over = [over for _, over in looks]
            if is_over == self._is_over and not any(changed for changed, _ in looks):
                return False
            self._is_over = is_over
            self._read_meta()
            if not all(
                over or member.rows is not None
                for member, over in zip(self._members, is_over, strict=True)
            ):
                return True  # the number of its envs is not known yet
            self._read_rows(is_over)
            self._read_slots()
            return True

    def _read_meta(self) -> None:
        metas = [member.meta for member in self._members]
        session = "+".join(str(meta.get("session")) for meta in metas)
        if session != self.meta.get("session"):
            self.rows, self.slots, self._sources = None, [], []
        fps = next((meta["fps"] for meta in metas if meta.get("fps")), None)
        self.meta = {
            INFO_TYPES: joined_types([stored_types(meta) for meta in metas]),
            "session": session,
            "fps": fps,
            "metadata": metas[0].get("metadata") or {},
            "is_closed": all(meta.get("is_closed", False) for meta in metas),
            "bookmarks": {
                row: note
                for meta in reversed(metas)
                for row, note in (meta.get("bookmarks") or {}).items()
            },
        }

    def _read_rows(self, is_over: Sequence[bool]) -> None:
        lengths = [m.rows.num_rows if m.rows else 0 for m in self._members]
        live = [n for n, over in zip(lengths, is_over, strict=True) if not over]
        stop = min(live) if live else max(lengths)
        if self.rows is None:
            counts = [m.rows.num_envs if m.rows else 0 for m in self._members]
            self._first_envs = [sum(counts[:i]) for i in range(len(counts))]
            if not sum(counts):
                return
            self.rows = Rows(sum(counts))
        known = self.rows.num_rows
        if stop > known:
            parts = [
                _padded(member.rows, known, stop)
                for member in self._members
                if member.rows is not None
            ]
            self.rows.extend(
                {
                    name: np.concatenate([part[name] for part in parts], axis=1)
                    for name in parts[0]
                }
            )
        for first, member, length, over in zip(
            self._first_envs, self._members, lengths, is_over, strict=True
        ):
            if member.rows is None:
                continue
            if over and length < self.rows.num_rows:
                for env in range(member.rows.num_envs):
                    self.rows.stop(first + env, length)
            for (env, index), info in member.rows.infos().items():
                self.rows.describe_episode(first + env, index, **info)

    def _read_slots(self) -> None:
        known = set(self._sources)
        for number, member in enumerate(self._members):
            for slot, info in enumerate(member.slots):
                if (number, slot) not in known:
                    env = self._first_envs[number] + info.env
                    # In this order: a reader that sees the slot needs its source.
                    self._sources.append((number, slot))
                    self.slots.append(info._replace(env=env, is_shared=False))

    def chunk(self, block: int, slot: int, first: int = 0) -> bytes | None:
        """Return the chunk, or of an open one the records from `first` on."""
        with self._lock:
            if self.rows is None:
                return None
            count = min(self.rows.num_rows - block * CHUNK_ROWS, CHUNK_ROWS)
            number, source = self._sources[slot]
        chunk = self._members[number].chunk(block, source)
        if chunk is None:
            return None
        has = num_records_of(chunk)
        if has == count == CHUNK_ROWS:
            return chunk
        pieces = [chunk]
        if has < count:
            height, width = self.slots[slot].size
            pieces.append(absent(height, width, has, count - has))
        where = f"{self._members[number].path}, block {block}"
        return join(pieces, where=where, first=first, stop=count)

    def shown_slots(self, block: int) -> Collection[int]:
        """Return the slots that may show something in a block; others do not."""
        with self._lock:
            sources = dict(enumerate(self._sources))
        shown = [set(member.shown_slots(block)) for member in self._members]
        return [s for s, (number, source) in sources.items() if source in shown[number]]

    def extras(self, row: int) -> Extras:
        """Return action and data of a row, by name.

        Raises:
            ShapeError: They have different shapes in the recordings.
        """
        assert self.rows is not None
        found: Extras = {}
        known = stored_types(self.meta)
        for first, member in zip(self._first_envs, self._members, strict=True):
            if member.rows is None or row >= member.rows.num_rows:
                continue
            own = stored_types(member.meta)
            for name, values in member.extras(row).items():
                if name in known:
                    values = retyped(values, own.get(name), known[name])
                whole = found.get(name)
                if whole is None:
                    blank = np.nan if values.dtype.kind == "f" else 0
                    shape = self.rows.num_envs, *values.shape[1:]
                    found[name] = whole = np.full(shape, blank, values.dtype)
                if whole.shape[1:] != values.shape[1:]:
                    raise ShapeError(
                        f"rv.open: expected {name!r} of one shape in all recordings, "
                        f"got {whole.shape[1:]} and {values.shape[1:]} in row {row}. "
                        "Open them one by one."
                    )
                common = np.result_type(whole, values)
                found[name] = whole = whole.astype(common, copy=False)
                whole[first : first + len(values)] = values
        return found

    def extras_of(self, block: int) -> bytes | None:
        """Return actions and data of a sealed block, packed for all envs."""
        rows = range(block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS)
        return pack_extras([self.extras(row) for row in rows])

    def annotate(self, change: AnnotationChange) -> None:
        """Apply a change in each file: a label in its env's, a bookmark in all.

        Raises:
            RecordingLockedError: Another process is writing one of them.
            ReadOnlyError: One cannot be written.
        """
        for first, member in zip(self._first_envs, self._members, strict=True):
            if member.rows is None:
                continue
            num_rows, num_envs = member.rows.num_rows, member.rows.num_envs
            if (part := change.part(first, num_envs, num_rows)) != AnnotationChange():
                member.annotate(part)
        with self._lock:
            if not self.is_closed:
                self._read_meta()
            apply_annotations(change, self.meta, self.rows)
        for first, original in self._originals.items():
            part = change.part(first, original.num_envs, original.num_rows)
            if part != AnnotationChange():
                original.annotate(part)

    def save(self, path: Path) -> None:
        """Write them as one recording, which appears whole or not at all.

        In it, the unfinished last episode of a shorter recording includes the idle
        rows after it.
        """
        with self._lock:
            self.refresh()
            rows = self.rows
            num_rows = rows.num_rows if rows is not None else 0
            first_rows = {
                slot: first
                for slot in range(len(self.slots))
                if (first := self.first_row_of(slot))
            }
            meta = {
                **self.meta,
                "num_lost": self.num_lost,
                "num_evicted": self.num_evicted,
                "first_rows": list(first_rows.items()),
            }
            infos = rows.infos() if rows is not None else {}
            statements = copy_statements(meta, self.slots, infos)
            if rows is not None:
                statements += self._tail(rows)
        write_copy(self, path, num_rows // CHUNK_ROWS, len(self.slots), statements)

    def _tail(self, rows: Rows) -> list[Statement]:
        block, count = divmod(rows.num_rows, CHUNK_ROWS)
        if not count:
            return []
        start = block * CHUNK_ROWS
        extras = [self.extras(row) for row in range(start, start + count)]
        steps = pack_columns(rows.block(start, start + count), extras)
        pieces = [
            (slot, chunk)
            for slot in range(len(self.slots))
            if (chunk := self.chunk(block, slot)) is not None
        ]
        return tail_statements(Tail(block, start, count, steps, pieces))

    def release(self) -> None:
        """Close the files."""
        for member in self._members:
            member.release()


def _look(member: FileRecording) -> tuple[bool, bool]:
    """Read what was written to a recording since the last look.

    Returns:
        Whether anything was, and whether all rows were read that it will ever have.
    """
    is_changed = member.refresh()
    if not _is_over(member):
        return is_changed, False
    if member.awaits_rows:  # of a writer that was killed
        return is_changed, False
    # Again: its writer may have ended since, and have left more.
    return member.refresh() or is_changed, True


def _is_over(member: FileRecording) -> bool:
    """Whether no rows will be added: it was closed, or its writer has died."""
    if member.meta.get("is_closed", False):
        return True
    return is_running(member.meta.get("writer")) is False


def _padded(rows: Rows, start: int, stop: int) -> dict[str, Any]:
    """Return the step data of rows ``start..stop``; idle ones where it has ended."""
    block = rows.block(start, min(stop, rows.num_rows))
    count = stop - start - len(block["kind"])
    if count <= 0:
        return block
    blanks = {
        "kind": IDLE,
        "flags": 0,
        "reward": np.nan,
        "env_step": rows.env_steps(rows.num_rows - 1),
    }
    return {
        name: np.concatenate(
            [
                column,
                np.broadcast_to(
                    np.asarray(blanks[name], column.dtype), (count, rows.num_envs)
                ),
            ]
        )
        for name, column in block.items()
    }
