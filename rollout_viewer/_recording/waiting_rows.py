"""Rows of the usual form, which wait to be taken into the open block together.

They are put one by one (`usual_rows`), or come by a buffer, without a lock, and are
copied out of it when they are read.
Knows step data. Knows nothing of pictures, episodes or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._recording import step_buffer
from rollout_viewer._recording.many_buffer import (
    ManyBuffer,
    ManyForm,
    columns_of_many,
)
from rollout_viewer._recording.noted_rows import NO_STARTS, NotedRow
from rollout_viewer._recording.row_memory import WaitingStart
from rollout_viewer._recording.step_buffer import StepBuffer, can_buffer, columns_of
from rollout_viewer._recording.step_row import BEGINS, RESET
from rollout_viewer._recording.usual_rows import ENDED_ONE, UsualRows

if TYPE_CHECKING:
    from rollout_viewer._recording.many_buffer import Buffer
    from rollout_viewer._recording.step_buffer import InfoForms, Listeners

_ONE_ENV = (1,)


class WaitingRows(UsualRows):
    """The newest rows. The lock of their recording guards them.

    A row is there, whole, from the moment when `stop` includes it, which is set by the
    recording. It waits until the recording's `Rows` include it: nothing here says so
    once more.

    They may be in a buffer first. They are copied here when they are
    read, and before any other row is put: `stop` is without them.
    """

    def __init__(self) -> None:
        super().__init__()
        # Its rows from `stop` on are not here yet; and their values, and numbers.
        self._buffer: StepBuffer | ManyBuffer | None = None
        self._buffered: tuple[str, tuple[str, ...]] = "", ()
        self._form = ManyForm()

    @property
    def end(self) -> int:
        """The number of the row after the last one, with those in a buffer."""
        buffer = self._buffer
        return self.stop if buffer is None else buffer.stop

    def open_buffer(
        self, max_rows: int, forms: InfoForms, listeners: Listeners
    ) -> StepBuffer | None:
        """Return a buffer for the next rows; None: it does not take their form.

        Args:
            max_rows: How many, all of one block.
            forms: The numbers that each row has.
            listeners: To rows.
        """
        info = forms.step
        names = [name for name in self._data if name not in info.names]
        action = self._action
        if (
            self._shape != _ONE_ENV
            or self._next != self.stop
            or self._buffer is not None
            or action is None
            or not can_buffer(action)
            or len(names) != 1
            or len(info.names) + 1 != len(self._data)
            or not can_buffer(value := self._data[names[0]])
        ):
            return None
        self._buffered = names[0], info.names
        self._buffer = StepBuffer(
            self.stop,
            max_rows,
            action,
            value,
            forms,
            listeners,
            is_running=self._ended is None,
        )
        return self._buffer

    def open_many(
        self, max_rows: int, form: ManyForm, listeners: Listeners
    ) -> ManyBuffer | None:
        """Do what `open_buffer` does for rows of `put_many`."""
        names = {one.name for one in form.numbers or ()}
        left = [name for name in self._data if name not in names]
        action = self._action
        if (
            self._shape is None
            or self._next != self.stop
            or self._buffer is not None
            or action is None
            or not can_buffer(action)
            or len(left) != 1
            or len(names) + 1 != len(self._data)
            or not can_buffer(value := self._data[left[0]])
        ):
            return None
        self._buffered, self._form = (left[0], ()), form
        self._buffer = ManyBuffer(
            self.stop, max_rows, action, value, form, listeners, self._ended
        )
        return self._buffer

    def next_buffer(self, buffer: Buffer) -> Buffer | None:
        """Return a buffer for the block after that of a full one; None: for none.

        Those of that one were copied.
        """
        if buffer is not self._buffer or not buffer.is_open or buffer.stop != self.stop:
            return None
        if step_buffer.is_followed():  # since it was opened
            return None
        buffer.is_open = False
        following = buffer.next()
        self._buffer = following
        return following

    def stop_buffer(self) -> None:
        """Let no more rows come by a buffer."""
        if self._buffer is not None:
            self._buffer.is_open = False

    def close_buffer(self) -> None:
        """Do that, and copy those that came."""
        if self._buffer is not None:
            self._buffer.is_open = False
            self.collect()
            self._buffer = None

    def collect(self) -> int:
        """Copy rows out of a buffer; return `stop`.

        Where it is interrupted, they are still there, and the next call does the same.
        """
        buffer = self._buffer
        if buffer is None:
            return self.stop
        row = self.stop
        rows = buffer.rows[row - buffer.first :]
        if not rows:
            return row
        self._next = -1
        if row >= self.full_at:
            self._renew(row)
        part = slice(row - self._first, row - self._first + len(rows))
        if isinstance(buffer, ManyBuffer):
            self._collect_many(buffer, row, part)
        else:
            self._collect_one(buffer, row, part)
        self._next = self.stop = row + len(rows)
        return self.stop

    def _collect_one(self, buffer: StepBuffer, row: int, part: slice) -> None:
        """Copy rows of a single env out of a buffer.

        Args:
            buffer: It has them.
            row: The number of the first of them.
            part: Their offsets in the arrays.
        """
        assert self._action is not None
        offset, first = part.start, row - buffer.first
        rows = buffer.rows[first : first + part.stop - offset]
        name, names = self._buffered
        values = self._data[name]
        columns = columns_of(rows, self._action, values, len(names))
        self._reward[part, 0] = columns.rewards
        self._action[part, 0] = columns.actions
        values[part, 0] = columns.values
        for index, name in enumerate(names):
            self._data[name][part, 0] = columns.numbers[:, index]
        if columns.flags:
            self._collect_flags(row, offset, columns.flags, buffer)

    def _collect_many(self, buffer: ManyBuffer, row: int, part: slice) -> None:
        """Copy rows of many envs out of a buffer; see `_collect_one`."""
        assert self._action is not None
        self._has_many = True
        first = row - buffer.first
        rows = buffer.rows[first : first + part.stop - part.start]
        values = self._data[self._buffered[0]]
        columns = columns_of_many(rows, self._action, values, self._form)
        self._reward[part] = columns.rewards
        self._action[part] = columns.actions
        values[part] = columns.values
        for name, numbers in columns.numbers.items():
            self._data[name][part] = numbers
        noted = [one for one in self._noted if one.row < row]
        for number, (special, *_) in enumerate(rows, row):
            if special is not None:
                starts = buffer.starts.get(number, NO_STARTS)
                noted.append(NotedRow(number, *special, starts))
                self._ended = special[1]
        self._noted = noted

    def _collect_flags(
        self,
        row: int,
        offset: int,
        flags: tuple[int, ...],
        buffer: StepBuffer,
    ) -> None:
        """Note which rows, from `row` on, are ends and resets."""
        kinds, all_flags = self._kinds_of_block()
        found = [one for one in self._starts if one.row < row]
        last = 0
        for number, flag in enumerate(flags):
            if not flag:
                continue
            last, at = flag, offset + number
            all_flags[at, 0] = flag
            if flag == BEGINS:
                kinds[at, 0] = RESET
                self._lacks_action.add(at)
                self._note_lacks(at, buffer.lacks)
                if (start := buffer.starts.get(row + number)) is not None:
                    found.append(WaitingStart(row + number, 0, bytes(start)))
        self._starts = found
        self._ended = None if last == BEGINS else ENDED_ONE
