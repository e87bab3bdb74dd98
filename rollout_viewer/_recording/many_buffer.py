"""Rows of many envs that are like the last one, before they are copied into arrays.

As `step_buffer`, whose docstring says why no lock is taken, for arrays of all envs.
Knows step data. Knows no recording.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, SupportsBytes, TypeVar

import numpy as np

from rollout_viewer._recording.step_buffer import ODD_DATA, RowBuffer, StepBuffer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_buffer import Listeners

    Array = npt.NDArray[Any]
    # `resets`, `ended` and `flags` of `WaitingRows.put_many`.
    Special = tuple[Array | None, Array | None, Array | None]
    # What is special, if anything, and the bytes of rewards, actions, value and the
    # numbers of the info: what they are copied from may change.
    ManyRow = tuple[Special | None, bytes, bytes, bytes, tuple[bytes, ...]]

_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)
_NO_NUMBERS: tuple[bytes, ...] = ()


class NumberForm(NamedTuple):
    """One number of each env, in an info of them all.

    Attributes:
        key: Of the info.
        mask: The key of which envs have it; None: all have.
        name: What it is called in a row's data.
        dtype: Of its array.
        shape: Of its array.
    """

    key: Any
    mask: str | None
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class ManyForm(NamedTuple):
    """Which numbers the info of a call has, if it is like the one before.

    Attributes:
        numbers: That it has; None: there are none, whatever it has.
        others: The other keys; where there are no numbers, those that it has not.
    """

    numbers: tuple[NumberForm, ...] | None = ()
    others: Collection[Any] = ()


class ManyBuffer(RowBuffer):
    """The next rows of a recording, if they are of the usual form.

    One thread puts rows. Others may read those that are there.

    Args:
        first: The number of the first row.
        max_rows: How many there is room for.
        action: Actions (n, B, ...) of rows so far.
        value: Values (n, B, ...) of the rows' data, of the one that is no number of
            their info.
        form: Of the info.
        listeners: To rows.
        ended: (B,): which envs do not run; None: all do.

    Attributes:
        first: The number of the first row.
        rows: Those that are there.
        starts: Row -> env -> from where its episode can be replayed that begins there.
            Some may be of rows that did not come.
        is_open: Rows may be put. Once it is False, it stays so.
    """

    __slots__ = (
        "_action_dtype",
        "_action_shape",
        "_all_true",
        "_ended",
        "_form",
        "_num_keys",
        "_shape",
        "_value_dtype",
        "_value_shape",
    )

    def __init__(
        self,
        first: int,
        max_rows: int,
        action: Array,
        value: Array,
        form: ManyForm,
        listeners: Listeners,
        ended: Array | None,
    ) -> None:
        super().__init__(first, max_rows, form.others, listeners)
        self.rows: list[ManyRow]
        self.starts: dict[int, Mapping[int, SupportsBytes]]
        self._ended: Any = ended
        self._shape = value.shape[1:2]
        self._value_dtype, self._value_shape = value.dtype, value.shape[1:]
        self._action_dtype, self._action_shape = action.dtype, action.shape[1:]
        self._all_true = b"\1" * value.shape[1]
        self._form = form
        self._num_keys = -1
        if form.numbers is not None:
            self._num_keys = len(form.numbers) + len(self._refused)

    def put(
        self,
        resets: Array | None,
        ended: Array | None,
        flags: Array | None,
        reward: Any,
        action: Array,
        value: Array,
        info: Any,
        starts: Mapping[int, SupportsBytes],
    ) -> bool:
        """Append a call, if it is like the last one; return whether it is.

        Args:
            resets: Of `WaitingRows.put_many`; the very array that was `ended` of the
                call before.
            ended: The same.
            flags: The same.
            reward: An array (B,).
            action: (B, ...)
            value: (B, ...) of the row's data.
            info: One dict of all envs.
            starts: Of `resets`.
        """
        rows = self.rows
        num_rows = len(rows)
        try:
            if (
                num_rows >= self._max_rows
                or resets is not self._ended
                or reward.dtype is not _FLOAT64
                or reward.shape != self._shape
                or value.dtype is not self._value_dtype
                or value.shape != self._value_shape
                or action.dtype is not self._action_dtype
                or action.shape != self._action_shape
            ):
                return False
            numbers = _NO_NUMBERS
            if info or self._num_keys > 0:
                found = self._numbers(info)
                if found is None:
                    return False
                numbers = found
            bits = reward.tobytes(), action.tobytes(), value.tobytes()
            if resets is None and ended is None:
                row: ManyRow = None, *bits, numbers
                if self.is_open:
                    rows.append(row)
                else:
                    return False
            else:
                if resets is not None:
                    if self._segments:
                        return False  # more is known of episodes that begin
                    self.starts[self.first + num_rows] = starts
                row = (resets, ended, flags), *bits, numbers
                self._ended = self  # no array is that one
                if self.is_open:
                    rows.append(row)
                    self._ended = ended
                else:
                    return False
        except ODD_DATA:  # something unusual, which is looked at elsewhere
            if len(rows) == num_rows:
                return False
        if self._subscribers:
            self._notify(num_rows)
        return True

    def _numbers(self, info: Any) -> tuple[bytes, ...] | None:
        """Return the numbers of an info; None: it is another one than before."""
        if type(info) is not dict:
            return None
        forms, others = self._form.numbers, self._refused
        if forms is None:
            return _NO_NUMBERS if others.isdisjoint(info) else None
        if len(info) != self._num_keys or not others <= info.keys():
            return None
        found = []
        for key, mask, _, dtype, shape in forms:
            value = info[key]
            if (
                type(value) is not np.ndarray
                or value.dtype is not dtype
                or value.shape != shape
            ):
                return None
            if mask is not None:
                has_it = info[mask]
                if has_it.dtype is not _BOOL or has_it.tobytes() != self._all_true:
                    return None
            found.append(value.tobytes())
        return tuple(found)


Buffer = TypeVar("Buffer", StepBuffer, ManyBuffer)


class ManyColumns(NamedTuple):
    """Rows of a buffer by column.

    Attributes:
        rewards: Shape (n, B)
        actions: Shape (n, B, ...)
        values: Shape (n, B, ...)
        numbers: Name -> shape (n, B, ...)
    """

    rewards: Array
    actions: Array
    values: Array
    numbers: dict[str, Array]


def columns_of_many(
    rows: list[ManyRow], action: Array, value: Array, form: ManyForm
) -> ManyColumns:
    """Return rows of a buffer by column.

    Args:
        rows: One or more.
        action: As of `ManyBuffer`.
        value: The same.
        form: The same.
    """
    n = len(rows)
    _, rewards, actions, values, numbers = zip(*rows, strict=True)
    each = zip(form.numbers or (), zip(*numbers, strict=True), strict=True)
    return ManyColumns(
        np.frombuffer(b"".join(rewards)).reshape(n, -1),
        np.frombuffer(b"".join(actions), action.dtype).reshape(n, *action.shape[1:]),
        np.frombuffer(b"".join(values), value.dtype).reshape(n, *value.shape[1:]),
        {
            one.name: np.frombuffer(b"".join(data), one.dtype).reshape(n, *one.shape)
            for one, data in each
        },
    )
