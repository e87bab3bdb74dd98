"""Step data of rows in arrays: of a block, or of a group of them in a region of a file.

Rows of the usual form are copied into these arrays, and read out of them many at once.
Knows step data. Knows nothing of pictures, episodes or files.
"""

from __future__ import annotations

from bisect import bisect_left
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.row_memory import GROUP_ROWS, form_of
from rollout_viewer._recording.step_codec import ACTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.row_memory import Region, WaitingStart
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.step_codec import Extras, Group
    from rollout_viewer._recording.tensors import Form

    Array = npt.NDArray[Any]

_NOWHERE = -(1 << 60)
_ROW = attrgetter("row")
_NUMBERS = np.arange(GROUP_ROWS, dtype=np.int32)


class RowArrays:
    """Rows of the usual form, which follow one another.

    Attributes:
        stop: The number of the row after the last one.
        full_at: Before which row the arrays are full.
        form: Name, dtype and shape of what a row has.
        region: Where the arrays are in a file; None: they are in memory alone.
        next_region: Where arrays may be from the next block on.
    """

    def __init__(self) -> None:
        self.stop = 0
        # The arrays' first row, and from which row on all were put here.
        self._first = self.full_at = _NOWHERE
        self._since = 0
        self._reward: Array = np.empty((CHUNK_ROWS, 0))
        self._kind: Array | None = None
        self._flags: Array | None = None
        self._action: Array | None = None
        self._data: dict[str, Array] = {}
        # By their offset in the arrays.
        self._lacks_action: set[int] = set()
        self._lacks: dict[str, set[int]] = {}
        self._starts: list[WaitingStart] = []
        self.form: Form = ()
        self.region: Region | None = None
        self.next_region: Region | None = None

    @property
    def wants_region(self) -> bool:
        """Whether rows have had one form for a block, and none is found yet."""
        is_full = self.full_at > 0 and self.stop == self.full_at
        return is_full and self.next_region is None and bool(self.form)

    def _begin(self, num_envs: int, extras: Mapping[str, Array]) -> None:
        """Make arrays for rows of another form."""
        self.leave()
        self._reward = np.empty((CHUNK_ROWS, num_envs))
        arrays = {
            name: np.empty((CHUNK_ROWS, *array.shape), array.dtype)
            for name, array in extras.items()
        }
        self._action = arrays.pop(ACTION, None)
        self._data = arrays
        self.form = form_of(num_envs, extras)

    def leave(self) -> None:
        """Let the next row begin other arrays, in memory alone; all rows are taken."""
        self._since = max(self._since, self.stop)
        self._first = self.full_at = _NOWHERE
        self.region = self.next_region = None

    def part(self) -> None:
        """Go on with copies, in a forked child: its parent puts rows in the region."""
        if self.region is not None:
            arrays = {name: array.copy() for name, array in self._data.items()}
            self._reward, self._data = self._reward.copy(), arrays
            self._kind = None if self._kind is None else self._kind.copy()
            self._flags = None if self._flags is None else self._flags.copy()
            self._action = None if self._action is None else self._action.copy()
        self.region = self.next_region = None

    def _renew(self, row: int) -> None:
        """Go on in other arrays from a row on.

        Those before are left to whoever has views of them, but in a region.
        """
        # Where it is interrupted, the next call begins anew.
        self._first = self.full_at = _NOWHERE
        region, self.region = self.next_region, None
        self._lacks_action, self._lacks = set(), {}
        if region is not None and row % CHUNK_ROWS == 0:
            self._enter(region, row)
            return
        self._reward = _empty_like(self._reward)
        self._action = None if self._action is None else _empty_like(self._action)
        self._data = {name: _empty_like(array) for name, array in self._data.items()}
        self._kind = self._flags = None
        self._first = row - row % CHUNK_ROWS
        self.full_at = self._first + CHUNK_ROWS

    def _enter(self, region: Region, row: int) -> None:
        region.begin(row)
        arrays = dict(region.extras)
        self._reward, self._kind, self._flags = region.core
        self._action = arrays.pop(ACTION, None)
        self._data = arrays  # in the same order
        self.next_region, self.region = None, region
        self._first = row - row % GROUP_ROWS
        self.full_at = self._first + GROUP_ROWS

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
        # A region is used again, also while these are held.
        parts = [array[rows] for array in arrays.values()]
        values = [list(part.copy() if self.region else part) for part in parts]
        if not names:
            return [{} for _ in range(rows.start, rows.stop)]
        found = [
            dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)
        ]
        for name, offsets in self._lacking():
            for offset in offsets:
                if rows.start <= offset < rows.stop:
                    found[offset - rows.start].pop(name, None)
        return found

    def _lacking(self) -> Iterator[tuple[str, set[int]]]:
        """Return the names that some rows lack, and the offsets of these."""
        if self._lacks_action:
            yield ACTION, self._lacks_action
        yield from self._lacks.items()

    def lacks(self, start: int, stop: int) -> list[tuple[int, str]]:
        """Return (row, name) of values that rows lack."""
        rows = self._offsets(start, stop)
        return [
            (offset + self._first, name)
            for name, offsets in self._lacking()
            for offset in offsets
            if rows.start <= offset < rows.stop
        ]

    def groups(self, start: int, stop: int) -> list[Group]:
        """Return actions and data of rows, numbered from 0, for `pack_stacked`."""
        part = self._offsets(start, stop)
        arrays = {} if self._action is None else {ACTION: self._action}
        arrays |= self._data
        lacking = dict(self._lacking())
        found: list[Group] = []
        for name, array in arrays.items():
            rows, values = _NUMBERS[: stop - start], array[part]
            offsets = [
                offset - part.start
                for offset in lacking.get(name, ())
                if part.start <= offset < part.stop
            ]
            if offsets:
                has_value = np.ones(stop - start, np.bool_)
                has_value[offsets] = False
                rows, values = rows[has_value], values[has_value]
            if len(rows):
                found.append((name, rows, values))
        # In the order of the rows: last what the first of them lack.
        return sorted(found, key=lambda group: int(group[1][0]))

    def stacked(self, block: int) -> list[Group] | None:
        """Return actions and data of a block; None: not all of its rows are here."""
        start, stop = block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS
        return self.groups(start, stop) if self.has(start, stop) else None

    def starts(self, start: int, stop: int) -> list[WaitingStart]:
        """Return those of rows, in their order."""
        found = self._starts
        first = bisect_left(found, start, key=_ROW)
        return found[first : bisect_left(found, stop, first, key=_ROW)]

    def drop_starts(self, stop: int) -> None:
        """Forget those of the rows before `stop`, which are taken."""
        if self._starts:
            self._starts = [one for one in self._starts if one.row >= stop]

    def _offsets(self, start: int, stop: int) -> slice:
        return slice(start - self._first, stop - self._first)


def _empty_like(array: Array) -> Array:
    return np.empty((CHUNK_ROWS, *array.shape[1:]), array.dtype)


def numbered_starts(
    rows: Rows, starts: Sequence[WaitingStart], flags: npt.NDArray[np.uint8]
) -> dict[tuple[int, int], bytes]:
    """Return (env, episode) -> start of the episodes that begin in rows that wait.

    Args:
        rows: All rows before those that wait.
        starts: Of these.
        flags: Of these, (n, B).
    """
    if not starts:
        return {}
    first, numbers = rows.num_rows, rows.numbers_of_begun(flags)
    found: dict[tuple[int, int], bytes] = {}
    for row, env, start in starts:
        if (number := numbers.get((row - first, env))) is not None:
            found[env, number] = start
    return found
