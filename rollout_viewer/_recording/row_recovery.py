"""Rows that a killed process has left beside its recording become rows of that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.row_arrays import RowArrays, numbered_starts
from rollout_viewer._recording.row_memory import GROUP_ROWS, Region, WaitingStart
from rollout_viewer._recording.statements import (
    Statement,
    Tail,
    start_number,
    start_statements,
    tail_statements,
)
from rollout_viewer._recording.step_codec import ACTION, pack_raw
from rollout_viewer._recording.step_row import check_stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._recording.rows import Rows


class RecoveredRows(NamedTuple):
    """Rows of regions.

    Attributes:
        tails: Their step data.
        starts: From where episodes can be replayed, by `start_number`.
    """

    tails: list[Tail]
    starts: dict[int, bytes]

    def statements(self) -> list[Statement]:
        """Return how to store them."""
        found = start_statements(self.starts.items())
        for tail in self.tails:
            found += tail_statements(tail)
        return found


def recovered_rows(rows: Rows, regions: Sequence[Region]) -> RecoveredRows:
    """Return the rows in regions that come after `rows`.

    Args:
        rows: Those of the recording; those of regions are appended.
        regions: In the order of their rows.

    Raises:
        ValueError: They are not rows of this recording.
    """
    recovered = RecoveredRows([], {})
    for region in regions:
        starts = region.read()
        if starts is None or region.stop <= rows.num_rows:
            continue
        if region.start > rows.num_rows:
            break  # those between are lost
        if region.core[0].shape[1] != rows.num_envs:
            raise ValueError(f"rows of {region.core[0].shape[1]} envs")
        _append(rows, _Region(region, starts), recovered)
    return recovered


class _Region(RowArrays):
    """The rows of a region."""

    def __init__(
        self, region: Region, starts: Sequence[tuple[int, int, bytes]]
    ) -> None:
        super().__init__()
        self._first, self.full_at = region.end - GROUP_ROWS, region.end
        self._since, self.stop = region.start, region.stop
        self._reward, self._kind, self._flags = region.core
        self._data = dict(region.extras)
        self._action = self._data.pop(ACTION, None)
        self._lacks = region.lacking()
        self._lacks_action = self._lacks.pop(ACTION, set())
        self._starts = [WaitingStart(*one) for one in starts]


def _append(rows: Rows, found: RowArrays, recovered: RecoveredRows) -> None:
    """Append rows of a region."""
    first, stop = rows.num_rows, found.stop
    kinds = found.kinds(first, stop)
    assert kinds is not None
    starts = numbered_starts(rows, found.starts(first, stop), kinds[1])
    rows.extend_steps(found.rewards(first, stop), kinds)
    check_stored(rows.block(first, stop), GROUP_ROWS)
    for key, start in starts.items():
        recovered.starts[start_number(*key, rows.num_envs)] = start
    while first < stop:
        block = first // CHUNK_ROWS
        end = (block + 1) * CHUNK_ROWS
        data = pack_raw(rows.block(first, end), found.groups(first, end))
        recovered.tails.append(Tail(block, first, end - first, data, []))
        first = end
