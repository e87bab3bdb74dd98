"""How rows come into a live recording: of any form, like the last one, or by a buffer.

Each step of an environment comes through here. A row comes whole or not at all; the
last one of a block sends that on its way into the file. Knows the open block and the
rows that wait. Knows nothing of reading, of annotations, or of pictures that are
rendered later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.filing import FiledRecording
from rollout_viewer._recording.noted_rows import NO_STARTS
from rollout_viewer._recording.statements import episode_statement
from rollout_viewer._recording.step_row import STEP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._frames.encoder import ChunkEncoder
    from rollout_viewer._recording.many_buffer import Buffer, ManyBuffer, ManyForm
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.step_buffer import InfoForms, Listeners, StepBuffer
    from rollout_viewer._recording.step_codec import Extras
    from rollout_viewer._recording.step_row import StepRow

    Frame = npt.NDArray[np.uint8]


class AppendedRecording(FiledRecording):
    """A recording to which rows are appended, from any thread.

    Takes the arguments of `FiledRecording`.
    """

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

    def close_buffer(self) -> None:
        """Let no more rows come by a buffer."""
        with self._lock:
            self._waiting.close_buffer()

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
