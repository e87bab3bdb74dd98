"""Rows of the usual form, as they come one by one: checked, and copied into arrays.

Every env takes a step of a running episode, is reset or idle, and actions and data have
the names, shapes and dtypes of the row before. The step data of such a row is copied,
and that is all; what follows from it is done once for many. Another row is refused.
Knows step data. Knows nothing of buffers, pictures, episodes or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsBytes

import numpy as np

from rollout_viewer._recording.noted_rows import (
    NO_STARTS,
    NotedRow,
    NotedRows,
    SpecialRow,
)
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import (
    BEGINS,
    IDLE,
    RESET,
    STEP,
    TERMINATED,
    TRUNCATED,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_codec import Extras

    Array = npt.NDArray[Any]

_FLOAT64, _BOOL, _UINT8 = np.dtype(np.float64), np.dtype(np.bool_), np.dtype(np.uint8)
# Among the bytes of bools, as in `noted_rows`.
_TRUE = 1
_INT64 = np.dtype(np.int64)
_MAX_INT64 = (1 << 63) - 1
_ONE_ENV = (1,)
_REWARDS = frozenset([float, np.float64, np.float32])
# That the only env does not run.
ENDED_ONE = np.array([True])


class UsualRows(NotedRows):
    """Rows that are put one by one, as long as they are of the form that is expected.

    What is put is not there yet: `stop`, which the recording sets, does not include it.
    """

    def __init__(self) -> None:
        super().__init__()
        # Of the rewards of a row; None: the next row is not of the usual form.
        self._shape: tuple[int, ...] | None = None

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
        starts: Mapping[int, bytes] = NO_STARTS,
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
        special: SpecialRow | None = None
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
        starts: Mapping[int, SupportsBytes] = NO_STARTS,
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
        # Before the row is there, as where rows come by a buffer.
        self._has_many = True
        if not self._copy(offset, action, values, None):
            return False
        self._reward[offset] = reward
        if resets is not None or ended is not None:
            # Where it is interrupted, no row is put until the next one is expected.
            self._next = -1
            self._noted.append(NotedRow(row, resets, ended, flags, starts))
            self._ended = ended
        self._next = row + 1
        return True

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
            ended = ENDED_ONE if flags & (TERMINATED | TRUNCATED) else None
            self._note(
                row,
                offset,
                SpecialRow(kind, flags, reward, ended, is_reset),
                NO_STARTS if start is None else {0: start},
            )
        if len(values) < len(self._data):
            self._note_lacks(offset, self._data.keys() - values.keys())
        self._next = row + 1
        return True

    def _copy(
        self,
        offset: int,
        action: Any,
        values: Mapping[str, Any],
        special: SpecialRow | None,
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

    def _special(
        self,
        kind: Array | None,
        reward: Any,
        terminated: Any,
        truncated: Any,
        shape: tuple[int, ...],
    ) -> SpecialRow | None:
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
        return SpecialRow(
            codes,
            flags,
            rewards,
            ended if _TRUE in ended.tobytes() else None,
            has_no_step=not num_steps,
        )


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
