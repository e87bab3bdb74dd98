"""Rows of the usual form, which wait to be taken into the open block together.

Every env takes a step of a running episode, is reset or idle, and actions and data have
the names, shapes and dtypes of the row before. The step data of such a row is copied
into arrays, and that is all; what follows from it is done once for many.
Knows step data. Knows nothing of pictures, episodes or files.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsBytes

import numpy as np

from rollout_viewer._recording import step_buffer
from rollout_viewer._recording.many_buffer import (
    ManyBuffer,
    ManyForm,
    columns_of_many,
)
from rollout_viewer._recording.row_arrays import RowArrays
from rollout_viewer._recording.row_memory import WaitingStart
from rollout_viewer._recording.step_buffer import StepBuffer, can_buffer, columns_of
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import (
    BEGINS,
    IDLE,
    NAN_REWARD,
    RESET,
    STEP,
    TERMINATED,
    TRUNCATED,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.many_buffer import Buffer
    from rollout_viewer._recording.step_buffer import InfoForms, Listeners
    from rollout_viewer._recording.step_codec import Extras

    Array = npt.NDArray[Any]

_FLOAT64, _BOOL, _UINT8 = np.dtype(np.float64), np.dtype(np.bool_), np.dtype(np.uint8)
# Among the bytes of bools: finding it is faster than `np.any`, and a
# number is found faster than bytes.
_TRUE = 1
_NO_STARTS: Mapping[int, bytes] = MappingProxyType({})
_INT64 = np.dtype(np.int64)
_MAX_INT64 = (1 << 63) - 1
_ONE_ENV = (1,)
_REWARDS = frozenset([float, np.float64, np.float32])
_ENDED_ONE = np.array([True])


class _Special(NamedTuple):
    """Step data (B,) of a row in which not all envs go on; numbers, if B is 1.

    Attributes:
        ended: Which do not run after it; None: all do.
        has_no_step: None of them steps.
    """

    kind: Array | int
    flags: Array | int
    reward: Array | float
    ended: Array | None
    has_no_step: bool


class _Noted(NamedTuple):
    """What a row of `put_many` has beside what all have, until that is needed."""

    row: int
    resets: Array | None
    ended: Array | None
    flags: Array | None
    starts: Mapping[int, SupportsBytes]


class WaitingRows(RowArrays):
    """The newest rows. The lock of their recording guards them.

    A row is there, whole, from the moment when `stop` includes it, which is set by the
    recording. It waits until the recording's `Rows` include it: nothing here says so
    once more.

    They may be in a buffer first. They are copied here when they are
    read, and before any other row is put: `stop` is without them.
    """

    def __init__(self) -> None:
        super().__init__()
        # Of the rewards of a row; None: the next row is not of the usual form.
        self._shape: tuple[int, ...] | None = None
        # The row that may be put, and which envs do not run before it; None: all run.
        self._next = -1
        self._ended: Array | None = None
        # Its rows from `stop` on are not here yet; and their values, and numbers.
        self._buffer: StepBuffer | ManyBuffer | None = None
        self._buffered: tuple[str, tuple[str, ...]] = "", ()
        self._form = ManyForm()
        # Of rows by `put_many`; before which row nothing is left to be noted; and
        # whether there are such rows since.
        self._noted: list[_Noted] = []
        self._settled = 0
        self._has_many = False

    @property
    def end(self) -> int:
        """The number of the row after the last one, with those in a buffer."""
        buffer = self._buffer
        return self.stop if buffer is None else buffer.stop

    def expect_none(self) -> None:
        """Take no row for one of the usual form."""
        self._shape = None

    def expect(
        self, row: int, is_running: Array, extras: Extras, *, is_step: bool = True
    ) -> None:
        """Take the form of a row that was recorded for the usual one.

        Args:
            row: The number of the row after it.
            is_running: (B,): whether an episode runs after it.
            extras: Its action and data. Without an action, as of a reset, actions are
                expected as they were before.
            is_step: An env takes a step in it. Else data that it lacks are expected as
                they were before, too.
        """
        num_envs = len(is_running)
        if not self._knows(num_envs, extras, is_step=is_step):
            self._begin(num_envs, extras)
        elif self.region is not None or self.next_region is not None:
            self.leave()
        self._next = self._since = row
        self._noted = []
        ended = ~is_running
        self._ended = ended if _TRUE in ended.tobytes() else None
        self._shape = (num_envs,)

    def _knows(self, num_envs: int, extras: Extras, *, is_step: bool) -> bool:
        """Whether a row has the form of those before."""
        data = self._data
        if self._reward.shape[1] != num_envs:
            return False
        for name, value in extras.items():
            kept = self._action if name == ACTION else data.get(name)
            if kept is None or not _fits(value, kept):
                return False
        num_values = len(extras) - (ACTION in extras)
        return num_values == len(data) or (not is_step and num_values < len(data))

    def put(
        self,
        row: int,
        kind: Array | None,
        reward: Any,
        terminated: Any,
        truncated: Any,
        action: Any,
        data: Mapping[str, Any] | None,
        starts: Mapping[int, bytes] = _NO_STARTS,
    ) -> bool:
        """Copy a row, if it is of the usual form; return whether it is.

        It is not there yet: `stop` does not include it.

        Args:
            row: Its number: all rows before it wait here, or are taken.
            kind: Codes (B,) of `Kind`; None: all envs step.
            reward: An array (B,), as the others; None: there is none.
            terminated: None: no env did.
            truncated: None: no env was.
            action: (B, ...)
            data: Name -> (B, ...)
            starts: Env -> from where its episode can be replayed that begins here.
        """
        shape = self._shape
        if shape is None or row != self._next:
            return False
        special: _Special | None = None
        if (
            kind is None
            and self._ended is None
            and (terminated is None or _are_none(terminated, shape))
            # Often one constant
            and (
                truncated is None
                or truncated is terminated
                or _are_none(truncated, shape)
            )
        ):
            if (
                type(reward) is not np.ndarray
                or reward.shape != shape
                or reward.dtype != _FLOAT64
            ):
                return False
            if shape == _ONE_ENV:
                if (one := reward.item()) != one:  # NaN
                    return False
            elif _TRUE in (reward != reward).tobytes():
                return False
        else:
            special = self._special(kind, reward, terminated, truncated, shape)
            if special is None or (special.has_no_step and action is not None):
                return False
            reward = special.reward
        if row >= self.full_at:
            self._renew(row)
        offset = row - self._first
        if not self._copy(offset, action, data or {}, special):
            return False
        self._reward[offset] = reward
        if special is not None:
            self._note(row, offset, special, starts)
        self._next = row + 1
        return True

    def put_many(
        self,
        row: int,
        resets: Array | None,
        ended: Array | None,
        flags: Array | None,
        reward: Any,
        action: Any,
        values: Mapping[str, Any],
        starts: Mapping[int, SupportsBytes] = _NO_STARTS,
    ) -> bool:
        """Do what `put` does where all envs that do not run are reset, and others step.

        Some step: of a row in which all are reset, see `put`.

        Args:
            row: Its number: all rows before it wait here, or are taken.
            resets: Bools (B,): which envs are reset; None: none.
            ended: Bools (B,): which of the others end; None: none.
            flags: `TERMINATED` and `TRUNCATED` (B,) of `ended`, 0 of all others; None:
                they terminated.
            reward: (B,); those of `resets` are not used.
            action: (B, ...)
            values: Name -> (B, ...)
            starts: Env -> from where its episode can be replayed that begins here, for
                `bytes`: called later, perhaps in another thread.
        """
        shape, before = self._shape, self._ended
        if shape is None or row != self._next:
            return False
        if resets is not before and (
            resets is None or before is None or resets.tobytes() != before.tobytes()
        ):
            return False
        if (
            type(reward) is not np.ndarray
            or reward.shape != shape
            or reward.dtype != _FLOAT64
        ):
            return False
        if row >= self.full_at:
            self._renew(row)
        offset = row - self._first
        # Before the row is there, as in `_collect_many`.
        self._has_many = True
        if not self._copy(offset, action, values, None):
            return False
        self._reward[offset] = reward
        if resets is not None or ended is not None:
            # Where it is interrupted, no row is put until the next one is expected.
            self._next = -1
            self._noted.append(_Noted(row, resets, ended, flags, starts))
            self._ended = ended
        self._next = row + 1
        return True

    def _take_notes(self) -> None:
        """Bring what was noted of rows into kinds, flags, rewards and starts.

        May be interrupted, and called again.
        """
        if not self._has_many or self._settled >= self.stop:
            return
        first, rewards = self._first, self._reward
        noted = [one for one in self._noted if first <= one.row < self.stop]
        if noted:
            self._note_ends(noted)
        begins = [one for one in noted if one.resets is not None]
        if begins:
            kinds, flags = self._kinds_of_block()
            resets = [one.resets.tobytes() for one in begins if one.resets is not None]
            at, envs = self._stacked(resets).nonzero()
            places = np.array([one.row - first for one in begins])[at], envs
            kinds[places] = RESET
            flags[places] = BEGINS
            rewards[places] = np.nan
            self._note_starts(
                [
                    WaitingStart(one.row, env, bytes(start))
                    for one in begins
                    for env, start in one.starts.items()
                ]
            )
        rows = self._offsets(max(self._settled, first, self._since), self.stop)
        is_nan = rewards[rows] != rewards[rows]
        if _TRUE in is_nan.tobytes():
            kinds, flags = self._kinds_of_block()
            is_nan &= kinds[rows] == STEP
            if _TRUE in is_nan.tobytes():  # not only of resets
                flags[rows] |= is_nan * np.uint8(NAN_REWARD)
        self._noted = []
        self._settled = self.stop
        self._has_many = False

    def _note_ends(self, noted: Sequence[_Noted]) -> None:
        """Set the flags of ends, from the first of these rows to the last."""
        start = noted[0].row
        none = bytes(self._reward.shape[1])
        bits = [none] * (noted[-1].row + 1 - start)
        for one in noted:
            if one.ended is not None:
                found = one.ended if one.flags is None else one.flags
                bits[one.row - start] = found.tobytes()
        _, flags = self._kinds_of_block()
        flags[self._offsets(start, start + len(bits))] |= self._stacked(bits)

    def _stacked(self, found: Sequence[bytes]) -> Array:
        """Return bools, or flags, of each env and of some rows, as numbers (n, B)."""
        return np.frombuffer(b"".join(found), np.uint8).reshape(len(found), -1)

    def rewards(self, start: int, stop: int) -> Array:
        """Return the rewards of rows, (n, B)."""
        self._take_notes()
        return super().rewards(start, stop)

    def kinds(self, start: int, stop: int) -> tuple[Array, Array] | None:
        """Return kinds and flags of rows, (n, B).

        None: all envs step in all of them, nothing ends, and all rewards are numbers.
        """
        self._take_notes()
        return super().kinds(start, stop)

    def starts(self, start: int, stop: int) -> list[WaitingStart]:
        """Return those of rows, in their order."""
        self._take_notes()
        return super().starts(start, stop)

    def _kinds_of_block(self) -> tuple[Array, Array]:
        """Return kinds and flags (n, B) of the block's rows, to be changed."""
        if self._kind is None or self._flags is None:
            shape = self._reward.shape
            self._flags = np.zeros(shape, np.uint8)
            self._kind = np.full(shape, STEP, np.uint8)
        return self._kind, self._flags

    def _note_starts(self, starts: list[WaitingStart]) -> None:
        """Keep starts of the newest rows, in their order."""
        found = self._starts
        # Of rows that were interrupted.
        if starts and found and found[-1].row >= starts[0].row:
            found = [one for one in found if one.row < starts[0].row]
        self._starts = found + starts

    def put_one(
        self,
        row: int,
        kind: int,
        flags: int,
        reward: Any,
        action: Any,
        values: Mapping[str, Any],
        start: bytes | None = None,
    ) -> bool:
        """Do what `put` does for a single env, without an array for each number.

        Args:
            row: Its number: all rows before it wait here, or are taken.
            kind: `STEP`, or `RESET`, of which there are neither reward nor action.
            flags: `TERMINATED` and `TRUNCATED`, or `BEGINS`.
            reward: A number.
            action: A number or an array, without an axis of envs.
            values: Name -> the same.
            start: From where its episode can be replayed that begins here.
        """
        if row != self._next or self._shape != _ONE_ENV:
            return False
        is_reset = kind == RESET
        if is_reset:
            reward = np.nan
        elif (
            self._ended is not None
            or type(reward) not in _REWARDS
            or reward != reward  # NaN
        ):
            return False
        if row >= self.full_at:
            self._renew(row)
        offset = row - self._first
        if not self._copy_one(offset, values, is_whole=not is_reset):
            return False
        if not is_reset:
            actions = self._action
            if actions is None or not _fits_one(action, actions):
                return False
            actions[offset] = action
        self._reward[offset] = reward
        if flags:
            ended = _ENDED_ONE if flags & (TERMINATED | TRUNCATED) else None
            self._note(
                row,
                offset,
                _Special(kind, flags, reward, ended, is_reset),
                _NO_STARTS if start is None else {0: start},
            )
        if len(values) < len(self._data):
            self._note_lacks(offset, self._data.keys() - values.keys())
        self._next = row + 1
        return True

    def _copy_one(
        self, offset: int, values: Mapping[str, Any], *, is_whole: bool
    ) -> bool:
        """Copy the data of a single env; return whether they are as they were.

        Or, where they need not be whole, those that are there.
        """
        arrays = self._data
        if len(values) != len(arrays) and (is_whole or len(values) > len(arrays)):
            return False
        for name, value in values.items():
            kept = arrays.get(name)
            if kept is None or not _fits_one(value, kept):
                return False
            kept[offset] = value
        return True

    def _note_lacks(self, offset: int, names: Iterable[str]) -> None:
        for name in names:
            self._lacks.setdefault(name, set()).add(offset)

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
                starts = buffer.starts.get(number, _NO_STARTS)
                noted.append(_Noted(number, *special, starts))
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
        self._ended = None if last == BEGINS else _ENDED_ONE

    def _copy(
        self,
        offset: int,
        action: Any,
        values: Mapping[str, Any],
        special: _Special | None,
    ) -> bool:
        """Copy action and data; return whether they are as they were."""
        actions, arrays = self._action, self._data
        if len(values) != len(arrays):
            return False
        for name, value in values.items():
            # `_fits`, written out here and below: of each value of each step's info.
            if (
                (kept := arrays.get(name)) is None
                or type(value) is not np.ndarray
                or value.dtype != kept.dtype
                or value.shape != kept.shape[1:]
            ):
                return False
            kept[offset] = value
        if action is None:
            return actions is None or (special is not None and special.has_no_step)
        if (
            actions is None
            or type(action) is not np.ndarray
            or action.dtype != actions.dtype
            or action.shape != actions.shape[1:]
        ):
            return False
        actions[offset] = action
        return True

    def _special(
        self,
        kind: Array | None,
        reward: Any,
        terminated: Any,
        truncated: Any,
        shape: tuple[int, ...],
    ) -> _Special | None:
        """Return step data of a row in which envs end, are reset or idle.

        None: it is of no usual form.
        """
        flags = _flags(terminated, truncated, shape)
        if flags is None:
            return None
        if reward is None:
            rewards = np.full(shape, np.nan)
        elif type(reward) is np.ndarray and (reward.shape, reward.dtype) == (
            shape,
            _FLOAT64,
        ):
            rewards = reward
        else:
            return None
        if kind is None:
            if self._ended is not None or _TRUE in (rewards != rewards).tobytes():
                return None
            codes, ended, num_steps = np.full(shape, STEP, np.uint8), flags != 0, 1
        else:
            codes = kind
            if codes.dtype != _UINT8 or codes.shape != shape:
                return None
            text = codes.tobytes()
            num_steps, num_idle = text.count(STEP), text.count(IDLE)
            if num_steps + num_idle + text.count(RESET) != len(text):
                return None
            is_no_step = codes != STEP
            flags[is_no_step] = 0
            ended = flags != 0
            flags[codes == RESET] = BEGINS
            rewards = rewards.copy()
            rewards[is_no_step] = np.nan
            is_other = (rewards != rewards) ^ is_no_step
            if self._ended is not None:
                is_other |= self._ended & ~is_no_step
                if num_idle:
                    ended |= self._ended & (codes == IDLE)
            if _TRUE in is_other.tobytes():
                return None
        return _Special(
            codes,
            flags,
            rewards,
            ended if _TRUE in ended.tobytes() else None,
            has_no_step=not num_steps,
        )

    def _note(
        self,
        row: int,
        offset: int,
        special: _Special,
        starts: Mapping[int, bytes],
    ) -> None:
        """Keep what a row has beside what all have.

        Where it is interrupted, no row is put until the next one is expected.
        """
        self._next = -1
        self._take_notes()
        kinds, flags = self._kinds_of_block()
        kinds[offset] = special.kind
        flags[offset] = special.flags
        if special.has_no_step:
            self._lacks_action.add(offset)
        self._note_starts([WaitingStart(row, *one) for one in starts.items()])
        self._ended = special.ended


def _flags(terminated: Any, truncated: Any, shape: tuple[int, ...]) -> Array | None:
    """Return the flags (B,) of ends; None: these are no bools (B,)."""
    flags = None
    # The bits of the flags: 1 and 2.
    if terminated is not None:
        if not _are_bools(terminated, shape):
            return None
        flags = terminated.astype(np.uint8)
    if truncated is not None:
        if not _are_bools(truncated, shape):
            return None
        cut = truncated.astype(np.uint8)
        cut += cut
        flags = cut if flags is None else flags | cut
    return np.zeros(shape, np.uint8) if flags is None else flags


def _are_none(ends: Any, shape: tuple[int, ...]) -> bool:
    """Whether ends are bools (B,) of which none is true."""
    return (  # `_are_bools`, written out: of each row
        type(ends) is np.ndarray
        and ends.shape == shape
        and ends.dtype == _BOOL
        and _TRUE not in ends.tobytes()
    )


def _are_bools(ends: Any, shape: tuple[int, ...]) -> bool:
    return type(ends) is np.ndarray and ends.shape == shape and ends.dtype == _BOOL


def _fits_one(value: Any, kept: Array) -> bool:
    """Whether an array of one env, or a number, is as those before; see `_fits`."""
    kind = type(value)
    if kind is np.ndarray or isinstance(value, np.generic):
        return bool(value.dtype == kept.dtype and value.shape == kept.shape[2:])
    if kept.ndim != 2:
        return False
    if kind is int:
        return kept.dtype == _INT64 and -_MAX_INT64 <= value <= _MAX_INT64
    return kind is float and kept.dtype == _FLOAT64


def _fits(value: Any, kept: Array) -> bool:
    """Whether a value is an array of the shape and dtype of those before."""
    return (
        type(value) is np.ndarray
        and value.dtype == kept.dtype
        and value.shape == kept.shape[1:]
    )
