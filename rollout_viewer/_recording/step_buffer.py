"""Rows of one env that are like the last one, before they are copied into arrays.

A row is a tuple in a list, and it is there, whole, from the moment when the list has
it: `list.append` is a single operation. CPython looks for signals, and lets other
threads run, after calls, at the start of functions and at the end of turns of loops
only; 3.10 also where a jump is taken. So nothing comes between the look at `is_open`
and the row, which follows it without a jump. What else follows from a row is noted
before it, so that too little is taken for usual where it does not come. Thus no lock is
taken, and there is no buffer where Python has no lock of its own.

A tracer or profiler, as of a debugger, is called between the two, and lets other
threads run: a row is lost if one of them closes the buffer just then. So where the
thread that opens it has one, there is no buffer. Not seen are one that is set while a
buffer is open, for its rows, and one of `sys.monitoring`. Knows step data. Knows no
recording.
"""

from __future__ import annotations

import struct
import sys
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsBytes

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.step_row import BEGINS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Self

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    # Its flags (`TERMINATED` and `TRUNCATED`, or `BEGINS` of a reset), reward, action
    # (a number or the bytes of an array), value and numbers of its info. Bytes: what
    # they are copied from may change.
    Row = tuple[int, Any, Any, bytes, bytes]

# Of the interpreter: since 3.13, there are builds without it.
HAS_LOCK: bool = getattr(sys, "_is_gil_enabled", lambda: True)()
# What data raise that are not of the usual form. Other exceptions are not theirs: a
# handler of signals may raise any.
ODD_DATA = (
    TypeError,
    ValueError,
    AttributeError,
    LookupError,
    OverflowError,
    MemoryError,
    struct.error,
)
_MAX_INT64 = (1 << 63) - 1
_REWARDS = frozenset([float, np.float64, np.float32])
_PYTHON_TYPES = {np.dtype(np.int64): int, np.dtype(np.float64): float}
_NAN = float("nan")


class InfoForm(NamedTuple):
    """Which numbers the info of a step has, if it is like the one before.

    Attributes:
        keys: Of the numbers; None: there are none, whatever it has.
        names: What they are called in a row's data.
        types: Of the numbers.
        others: The other keys; where there are no numbers, those that it has not.
    """

    keys: tuple[Any, ...] | None = ()
    names: tuple[str, ...] = ()
    types: tuple[type, ...] = ()
    others: Collection[Any] = ()


class InfoForms(NamedTuple):
    """Those of steps, and of resets, which may lack some of the numbers."""

    step: InfoForm
    reset: InfoForm


class Listeners(NamedTuple):
    """Who wants to know of rows.

    Attributes:
        subscribers: As long as it is empty, no one does.
        notify: Called with the numbers of a row that came and of the next one.
        segments: As long as it is not empty, more is known of episodes: none begin.
    """

    subscribers: Collection[Any]
    notify: Callable[[int, int], object]
    segments: Collection[Any]


class RowBuffer:
    """What buffers of one env and of many have in common.

    Args:
        first: The number of the first row.
        max_rows: How many there is room for.
        others: Keys of an info, see the forms.
        listeners: To rows.

    Attributes:
        first: The number of the first row.
        rows: Those that are there.
        starts: Row -> from where episodes can be replayed that begin there.
        is_open: Rows may be put. Once it is False, it stays so.
    """

    __slots__ = (
        "_listeners",
        "_max_rows",
        "_refused",
        "_segments",
        "_subscribers",
        "first",
        "is_open",
        "rows",
        "starts",
    )

    def __init__(
        self, first: int, max_rows: int, others: Collection[Any], listeners: Listeners
    ) -> None:
        self.first = first
        self._max_rows = max_rows
        self.rows: list[Any] = []
        self.starts: dict[int, Any] = {}
        self.is_open = True
        self._refused = frozenset(others)
        self._listeners = listeners
        self._subscribers, self._segments = listeners.subscribers, listeners.segments

    @property
    def is_full(self) -> bool:
        """Whether there is no room for another row."""
        return len(self.rows) >= self._max_rows

    @property
    def stop(self) -> int:
        """The number of the row after the last one."""
        return self.first + len(self.rows)

    def next(self) -> Self:
        """Return a buffer for as many rows as a block has, which follow these.

        They are put by the thread that has put these, which has put all by now.
        """
        other = object.__new__(type(self))
        for name in (*RowBuffer.__slots__, *self.__slots__):
            setattr(other, name, getattr(self, name))
        other.first, other.rows, other.starts = self.stop, [], {}
        other.is_open, other._max_rows = True, CHUNK_ROWS
        return other

    def _notify(self, number: int) -> None:
        """Notify the listeners of a row that came, by its number among these."""
        self._listeners.notify(self.first + number, self.first + number + 1)


class StepBuffer(RowBuffer):
    """The next rows of a recording, if they are of the usual form.

    One thread puts rows. Others may read those that are there.

    Args:
        first: The number of the first row.
        max_rows: How many there is room for.
        action: Actions (n, 1, ...) of rows so far.
        value: Values (n, 1, ...) of the rows' data, of the one that is no number of
            their info.
        forms: Of the numbers.
        listeners: To rows.
        is_running: Whether an episode runs.

    Attributes:
        first: The number of the first row.
        rows: Those that are there.
        starts: Row -> from where its episode can be replayed that begins there, for
            `bytes`. Some may be of rows that did not come.
        lacks: The names of the numbers that resets have not; NaN stands for them.
        is_open: Rows may be put. Once it is False, it stays so.
    """

    __slots__ = (
        "_action_dtype",
        "_action_shape",
        "_action_types",
        "_info_types",
        "_is_running",
        "_keys",
        "_no_action",
        "_num_keys",
        "_pack",
        "_pick",
        "_picked",
        "_resets",
        "_value_dtype",
        "_value_shape",
        "lacks",
    )

    def __init__(
        self,
        first: int,
        max_rows: int,
        action: Array,
        value: Array,
        forms: InfoForms,
        listeners: Listeners,
        *,
        is_running: bool,
    ) -> None:
        info, resets = forms
        super().__init__(first, max_rows, info.others, listeners)
        self.rows: list[Row]
        self.starts: dict[int, SupportsBytes]
        self._is_running = is_running
        self._value_dtype, self._value_shape = value.dtype, value.shape[2:]
        self._action_dtype, self._action_shape = action.dtype, action.shape[2:]
        is_array = action.ndim > 2
        self._action_types = _types_of(action.dtype) if not is_array else frozenset()
        self._no_action: Any = bytes(action[0].nbytes) if is_array else 0
        self._resets = None if resets == info else resets
        self._keys = info.keys or ()
        self.lacks = tuple(name for name in info.names if name not in resets.names)
        self._info_types = info.types
        self._num_keys = -1
        if info.keys is not None:
            keys = [*info.keys, *info.others]
            self._num_keys = len(keys)
            # One more: a single one would come without a tuple around it.
            self._pick: Any = itemgetter(*keys, keys[0]) if keys else None
            self._pack = struct.Struct(f"{len(info.keys)}d").pack
            self._picked = slice(len(info.keys))

    def put(
        self, action: Any, value: Any, reward: Any, flags: int, info: Mapping[Any, Any]
    ) -> bool:
        """Append a step, if it is like the last one; return whether it is.

        Args:
            action: A number or an array.
            value: Of the row's data.
            reward: A number.
            flags: `TERMINATED` and `TRUNCATED`.
            info: What the step returned as its info.
        """
        rows = self.rows
        num_rows = len(rows)
        try:
            if (
                num_rows >= self._max_rows
                or not self._is_running
                or type(reward) not in _REWARDS
                or reward != reward  # NaN
                or type(value) is not np.ndarray
                or value.dtype is not self._value_dtype
                or value.shape != self._value_shape
            ):
                return False
            kind = type(action)
            if kind is np.ndarray:
                if (
                    action.dtype is not self._action_dtype
                    or action.shape != self._action_shape
                ):
                    return False
                # A number may be an array without axes.
                action = action.tobytes() if action.shape else action[()]
            elif kind not in self._action_types or (
                kind is int and not -_MAX_INT64 <= action <= _MAX_INT64
            ):
                return False
            numbers = b""
            if info or self._num_keys > 0:
                found = self._numbers(info)
                if found is None:
                    return False
                numbers = found
            row = flags, reward, action, value.tobytes(), numbers
            if flags:
                self._is_running = False
            if self.is_open:
                rows.append(row)
            else:
                return False
        except ODD_DATA:  # something unusual, which is looked at elsewhere
            if len(rows) == num_rows:
                return False
        if self._subscribers:
            self._notify(num_rows)
        return True

    def put_reset(
        self, value: Any, info: Mapping[Any, Any], start: SupportsBytes | None
    ) -> bool:
        """Append a reset, if it is like those before; return whether it is.

        Args:
            value: Of the row's data.
            info: What the reset returned as its info.
            start: From where the episode can be replayed, for `bytes`: called once,
                later, perhaps in another thread.
        """
        rows = self.rows
        num_rows = len(rows)
        try:
            if (
                num_rows >= self._max_rows
                or self._segments
                or type(value) is not np.ndarray
                or value.dtype is not self._value_dtype
                or value.shape != self._value_shape
            ):
                return False
            numbers = self._reset_numbers(info)
            if numbers is None:
                return False
            row = BEGINS, _NAN, self._no_action, value.tobytes(), numbers
            if start is not None:
                self.starts[self.first + num_rows] = start
            self._is_running = False
            if self.is_open:
                rows.append(row)
                self._is_running = True
            else:
                return False
        except ODD_DATA:  # something unusual, which is looked at elsewhere
            if len(rows) == num_rows:
                return False
        if self._subscribers:
            self._notify(num_rows)
        return True

    def _numbers(self, info: Mapping[Any, Any]) -> bytes | None:
        """Return the numbers of an info; None: it is another one than before."""
        num_keys = self._num_keys
        if num_keys < 0:
            return b"" if not info or self._refused.isdisjoint(info) else None
        # A `defaultdict` has keys that it lacks.
        if type(info) is not dict or len(info) != num_keys:
            return None
        if not num_keys:
            return b""
        found = self._pick(info)[self._picked]
        if tuple(map(type, found)) != self._info_types:
            return None
        return self._pack(*found)

    def _reset_numbers(self, info: Mapping[Any, Any]) -> bytes | None:
        """Return the same of a reset."""
        if (form := self._resets) is None:
            return self._numbers(info)
        keys = form.keys or ()
        if type(info) is not dict:
            return None
        if info.keys() != {*keys, *form.others} or not set(keys) <= {*self._keys}:
            return None
        if tuple(type(info[key]) for key in keys) != form.types:
            return None
        found = {key: info[key] for key in keys}
        return self._pack(*[found.get(key, _NAN) for key in self._keys])


class Columns(NamedTuple):
    """Rows of a buffer by column.

    Attributes:
        flags: Of each row; () if all are 0.
        rewards: Of each row.
        actions: Shape (n, ...); those of resets mean nothing.
        values: Shape (n, ...)
        numbers: float64 of shape (n, number of keys).
    """

    flags: tuple[int, ...]
    rewards: tuple[float, ...]
    actions: Array
    values: Array
    numbers: Array


def columns_of(
    rows: list[Row], action: Array, value: Array, num_numbers: int
) -> Columns:
    """Return rows of a buffer by column.

    Args:
        rows: One or more.
        action: As of `StepBuffer`.
        value: The same.
        num_numbers: How many each has.
    """
    n = len(rows)
    flags, rewards, actions, values, numbers = zip(*rows, strict=True)
    if action.ndim > 2:
        found = np.frombuffer(b"".join(actions), action.dtype)
        found = found.reshape(n, *action.shape[2:])
    else:
        found = np.array(actions, action.dtype)
    table = np.empty((n, 0))
    if num_numbers:
        table = np.frombuffer(b"".join(numbers)).reshape(n, -1)
    return Columns(
        flags if any(flags) else (),
        rewards,
        found,
        np.frombuffer(b"".join(values), value.dtype).reshape(n, *value.shape[2:]),
        table[:, :num_numbers],
    )


def can_buffer(array: Array) -> bool:
    """Whether what is like an array (n, 1, ...) can be bytes, and an array again."""
    if not HAS_LOCK or is_followed():
        return False
    return not array.dtype.hasobject and array[:1].nbytes > 0


def is_followed() -> bool:
    """Whether this thread has a tracer or a profiler."""
    return sys.gettrace() is not None or sys.getprofile() is not None


def _types_of(dtype: np.dtype[Any]) -> frozenset[type]:
    """Return the types of which all numbers are of a dtype, but for the range."""
    if not dtype.isnative or dtype.kind not in "iuf":
        return frozenset()
    return frozenset({dtype.type, _PYTHON_TYPES.get(dtype, dtype.type)})
