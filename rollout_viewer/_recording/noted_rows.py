"""Rows of the usual form, and what some of them have beside what all have.

In most rows all envs step and none ends. Ends, resets and from where episodes can be
replayed are noted of the others as they come, and brought into arrays when they are
read. Knows step data. Knows nothing of how rows come, of pictures, episodes or files.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, SupportsBytes

import numpy as np

from rollout_viewer._recording.row_arrays import RowArrays
from rollout_viewer._recording.row_memory import WaitingStart
from rollout_viewer._recording.step_row import BEGINS, NAN_REWARD, RESET, STEP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

# Among the bytes of bools: finding it is faster than `np.any`, and a
# number is found faster than bytes.
_TRUE = 1
NO_STARTS: Mapping[int, bytes] = MappingProxyType({})


class SpecialRow(NamedTuple):
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


class NotedRow(NamedTuple):
    """What a row of `put_many` has beside what all have, until that is needed."""

    row: int
    resets: Array | None
    ended: Array | None
    flags: Array | None
    starts: Mapping[int, SupportsBytes]


class NotedRows(RowArrays):
    """Rows of the usual form, with their ends, resets and starts.

    A subclass puts them.
    """

    def __init__(self) -> None:
        super().__init__()
        # The row that may be put, and which envs do not run before it; None: all run.
        self._next = -1
        self._ended: Array | None = None
        # Of rows of which only that was kept; before which row nothing is left to be
        # noted; and whether there are such rows since.
        self._noted: list[NotedRow] = []
        self._settled = 0
        self._has_many = False

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

    def _note(
        self,
        row: int,
        offset: int,
        special: SpecialRow,
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

    def _note_starts(self, starts: list[WaitingStart]) -> None:
        """Keep starts of the newest rows, in their order."""
        found = self._starts
        # Of rows that were interrupted.
        if starts and found and found[-1].row >= starts[0].row:
            found = [one for one in found if one.row < starts[0].row]
        self._starts = found + starts

    def _note_lacks(self, offset: int, names: Iterable[str]) -> None:
        for name in names:
            self._lacks.setdefault(name, set()).add(offset)

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

    def _note_ends(self, noted: Sequence[NotedRow]) -> None:
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

    def _kinds_of_block(self) -> tuple[Array, Array]:
        """Return kinds and flags (n, B) of the block's rows, to be changed."""
        if self._kind is None or self._flags is None:
            shape = self._reward.shape
            self._flags = np.zeros(shape, np.uint8)
            self._kind = np.full(shape, STEP, np.uint8)
        return self._kind, self._flags
