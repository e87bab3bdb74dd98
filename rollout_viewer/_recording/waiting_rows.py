"""Rows of the usual form, which wait to be taken into the open block together.

Every env takes a step of a running episode, nothing ends, and actions and data have the
names, shapes and dtypes of the row before. The step data of such a row is copied into
arrays of its block, and that is all; what follows from it is done once for many. Knows
step data. Knows nothing of pictures, episodes or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.step_codec import ACTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_codec import Extras

    Array = npt.NDArray[Any]

_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)
# Among the bytes of bools: finding it is faster than `np.any`.
_TRUE = b"\1"


class WaitingRows:
    """The newest rows of a block. The lock of its recording guards it.

    A row is there, whole, from the moment when `stop` includes it, which is set by the
    recording. It waits until the recording's `Rows` include it: nothing here says so
    once more.

    Attributes:
        stop: The number of the row after the last one.
    """

    def __init__(self) -> None:
        self.stop = 0
        # Of the rewards of a row; None: the next row is not of the usual form.
        self._shape: tuple[int, ...] | None = None
        # Of rows of one block, by their offset in it.
        self._block = -1
        self._reward: Array = np.empty((CHUNK_ROWS, 0))
        self._action: Array | None = None
        self._data: dict[str, Array] = {}

    @property
    def is_expecting(self) -> bool:
        """Whether the next row may be of the usual form."""
        return self._shape is not None

    def expect(self, num_envs: int | None, extras: Extras) -> None:
        """Take the form of a row that was recorded for the usual one; None: it is not.

        Args:
            num_envs: Of a row after which all envs run.
            extras: Its action and data. Without an action, as of a reset, actions are
                expected as they were before.
        """
        self._shape = None
        if num_envs is None:
            return
        if not self._knows(num_envs, extras):
            self._block = -1
            self._reward = np.empty((CHUNK_ROWS, num_envs))
            arrays = {name: _like(array) for name, array in extras.items()}
            self._action = arrays.pop(ACTION, None)
            self._data = arrays
        self._shape = (num_envs,)

    def _knows(self, num_envs: int, extras: Extras) -> bool:
        """Whether a row has the form of those before."""
        data = self._data
        if self._reward.shape[1] != num_envs:
            return False
        for name, value in extras.items():
            kept = self._action if name == ACTION else data.get(name)
            if kept is None or not _fits(value, kept):
                return False
        return len(extras) - (ACTION in extras) == len(data)

    def put(
        self,
        row: int,
        reward: Any,
        terminated: Any,
        truncated: Any,
        action: Any,
        data: Mapping[str, Any] | None,
    ) -> bool:
        """Copy a row, if it is of the usual form; return whether it is.

        It is not there yet: `stop` does not include it.

        Args:
            row: Its number: all rows before it wait here, or are taken.
            reward: An array (B,), as the others.
            terminated: None: no env did.
            truncated: None: no env was.
            action: (B, ...)
            data: Name -> (B, ...)
        """
        shape = self._shape
        if (
            shape is None
            or type(reward) is not np.ndarray
            or reward.shape != shape
            or reward.dtype != _FLOAT64
            or _TRUE in (reward != reward).tobytes()  # one is NaN
            or not (terminated is None or _are_none(terminated, shape))
            # Often one constant
            or not (
                truncated is None
                or truncated is terminated
                or _are_none(truncated, shape)
            )
        ):
            return False
        block, offset = divmod(row, CHUNK_ROWS)
        if block != self._block:
            # Others: the rows of the last block are views of its arrays.
            self._reward = np.empty_like(self._reward)
            self._action = None if self._action is None else np.empty_like(self._action)
            self._data = {name: np.empty_like(a) for name, a in self._data.items()}
            self._block = block
        values = data or {}
        actions = self._action
        if len(values) != len(self._data) or (action is None) != (actions is None):
            return False
        for name, value in values.items():
            if (kept := self._data.get(name)) is None or not _fits(value, kept):
                return False
            kept[offset] = value
        if actions is not None:
            if not _fits(action, actions):
                return False
            actions[offset] = action
        self._reward[offset] = reward
        return True

    def rewards(self, start: int) -> Array:
        """Return the rewards of the rows from `start` on, (n, B)."""
        return self._reward[self._offsets(start)]

    def extras(self, start: int) -> list[Extras]:
        """Return actions and data of the rows from `start` on."""
        arrays = {} if self._action is None else {ACTION: self._action}
        arrays |= self._data
        rows = self._offsets(start)
        names = tuple(arrays)
        values = [list(array[rows]) for array in arrays.values()]
        if not names:
            return [{} for _ in range(rows.start, rows.stop)]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    def _offsets(self, start: int) -> slice:
        first = self._block * CHUNK_ROWS
        return slice(start - first, self.stop - first)


def _like(array: Array) -> Array:
    """Return an array for the values of a block's rows."""
    return np.empty((CHUNK_ROWS, *array.shape), array.dtype)


def _are_none(ends: Any, shape: tuple[int, ...]) -> bool:
    """Whether ends are bools (B,) of which none is true."""
    return (
        type(ends) is np.ndarray
        and ends.shape == shape
        and ends.dtype == _BOOL
        and _TRUE not in ends.tobytes()
    )


def _fits(value: Any, kept: Array) -> bool:
    """Whether a value is an array of the shape and dtype of those before."""
    return (
        type(value) is np.ndarray
        and value.dtype == kept.dtype
        and value.shape == kept.shape[1:]
    )
