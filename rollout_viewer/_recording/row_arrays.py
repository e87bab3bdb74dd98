"""Step data of rows in arrays: of one block, or of a few, if they are small.

Rows of the usual form are copied into these arrays, and read out of them many at once.
Knows step data. Knows nothing of pictures, episodes or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.step_codec import ACTION

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_codec import Extras, Group

    Array = npt.NDArray[Any]

# Blocks that are small wait for one another: what is done for a block costs about as
# much as for a group of them. A block of more bytes is stored at once.
_GROUP_ROWS = 8 * CHUNK_ROWS
_MAX_GROUPED_BYTES = 48 * 1024
# Of kind, flags and count of steps.
_OTHER_BYTES = 6
_NOWHERE = -(1 << 60)
_NUMBERS = np.arange(_GROUP_ROWS, dtype=np.int32)


class WaitingStart(NamedTuple):
    """From where an episode can be replayed that begins with a row that waits."""

    row: int
    env: int
    start: bytes


class RowArrays:
    """Rows of the usual form, which follow one another.

    Attributes:
        stop: The number of the row after the last one.
        num_rows: For how many rows the arrays have room: those of whole blocks, whose
            first row is a multiple of it.
    """

    def __init__(self) -> None:
        self.stop = 0
        self.num_rows = CHUNK_ROWS
        # The arrays' first row, and from which row on all were put here.
        self._first = _NOWHERE
        self._since = 0
        self._reward: Array = np.empty((CHUNK_ROWS, 0))
        self._kind: Array | None = None
        self._flags: Array | None = None
        self._action: Array | None = None
        self._data: dict[str, Array] = {}
        # By their offset in the arrays.
        self._lacks_action: set[int] = set()
        self._starts: list[WaitingStart] = []

    def _begin(self, num_envs: int, extras: Mapping[str, Array]) -> None:
        """Make arrays for rows of another form."""
        row_bytes = sum(array.nbytes for array in extras.values())
        row_bytes += (_OTHER_BYTES + 8) * num_envs
        is_small = row_bytes * CHUNK_ROWS <= _MAX_GROUPED_BYTES
        n = self.num_rows = _GROUP_ROWS if is_small else CHUNK_ROWS
        self._first = _NOWHERE
        self._reward = np.empty((n, num_envs))
        arrays = {
            name: np.empty((n, *array.shape), array.dtype)
            for name, array in extras.items()
        }
        self._action = arrays.pop(ACTION, None)
        self._data = arrays

    def _renew(self, row: int) -> int:
        """Go on in other arrays: the rows so far are views of these.

        Returns:
            The offset of a row in them.
        """
        self._reward = np.empty_like(self._reward)
        self._action = None if self._action is None else np.empty_like(self._action)
        self._data = {name: np.empty_like(a) for name, a in self._data.items()}
        self._kind = self._flags = None
        self._lacks_action = set()
        offset = row % self.num_rows
        self._first = row - offset
        return offset

    def has(self, start: int, stop: int) -> bool:
        """Whether all rows from `start` on before `stop` are here."""
        return max(self._since, self._first) <= start and stop <= self.stop

    def rewards(self, start: int, stop: int) -> Array:
        """Return the rewards of rows, (n, B)."""
        return self._reward[self._offsets(start, stop)]

    def kinds(self, start: int, stop: int) -> tuple[Array, Array] | None:
        """Return kinds and flags of rows, (n, B).

        None: all envs step in all of them, and nothing ends.
        """
        if self._kind is None or self._flags is None:
            return None
        rows = self._offsets(start, stop)
        return self._kind[rows], self._flags[rows]

    def extras(self, start: int, stop: int) -> list[Extras]:
        """Return actions and data of each row."""
        arrays = {} if self._action is None else {ACTION: self._action}
        arrays |= self._data
        rows = self._offsets(start, stop)
        names = tuple(arrays)
        values = [list(array[rows]) for array in arrays.values()]
        if not names:
            return [{} for _ in range(rows.start, rows.stop)]
        found = [
            dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)
        ]
        for offset in self._lacks_action:
            if rows.start <= offset < rows.stop:
                found[offset - rows.start].pop(ACTION, None)
        return found

    def groups(self, start: int, stop: int) -> list[Group]:
        """Return actions and data of rows, numbered from 0, for `pack_stacked`."""
        part = self._offsets(start, stop)
        rows = _NUMBERS[: stop - start]
        found = [(name, rows, array[part]) for name, array in self._data.items()]
        if self._action is None:
            return found
        actions, is_first = self._action[part], True
        lacks = [o for o in self._lacks_action if part.start <= o < part.stop]
        if lacks:
            is_first = part.start not in lacks
            has_action = np.ones(stop - start, np.bool_)
            has_action[np.array(lacks) - part.start] = False
            rows, actions = rows[has_action], actions[has_action]
        # In the order of the rows: after the data, if the first has no action.
        if len(rows):
            found.insert(0 if is_first else len(found), (ACTION, rows, actions))
        return found

    def stacked(self, block: int) -> list[Group] | None:
        """Return actions and data of a block; None: not all of its rows are here."""
        start, stop = block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS
        return self.groups(start, stop) if self.has(start, stop) else None

    def starts(self, start: int, stop: int) -> list[WaitingStart]:
        """Return those of rows, in their order."""
        return [one for one in self._starts if start <= one.row < stop]

    def drop_starts(self, stop: int) -> None:
        """Forget those of the rows before `stop`, which are taken."""
        if self._starts:
            self._starts = [one for one in self._starts if one.row >= stop]

    def _offsets(self, start: int, stop: int) -> slice:
        return slice(start - self._first, stop - self._first)
