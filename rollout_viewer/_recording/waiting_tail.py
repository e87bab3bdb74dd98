"""Rows that wait, as they are stored until their blocks are: raw, and soon replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.statements import Tail, tail_statements
from rollout_viewer._recording.step_codec import pack_raw
from rollout_viewer._recording.step_row import BEGINS

if TYPE_CHECKING:
    from rollout_viewer._recording.row_arrays import RowArrays
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.statements import Statement

_UINT32 = np.dtype(np.uint32)


def waiting_statements(
    rows: Rows, waiting: RowArrays, start: int, stop: int
) -> list[Statement]:
    """Return how to store rows that wait, from `start` on before `stop`.

    Args:
        rows: All rows before those that wait.
        waiting: These.
        start: Of them.
        stop: The first row of a block.
    """
    first = rows.num_rows
    steps = rows.steps(waiting.rewards(first, stop), waiting.kinds(first, stop))
    steps["env_step"] = steps["env_step"].astype(_UINT32)
    statements: list[Statement] = []
    while start < stop:
        block = start // CHUNK_ROWS
        end = (block + 1) * CHUNK_ROWS
        core = {
            name: array[start - first : end - first] for name, array in steps.items()
        }
        data = pack_raw(core, waiting.groups(start, end))
        statements += tail_statements(Tail(block, start, end - start, data, []))
        start = end
    return statements


def numbered_starts(
    rows: Rows, waiting: RowArrays, stop: int
) -> list[tuple[tuple[int, int], bytes]]:
    """Return ((env, episode), start) of the episodes that begin in rows that wait.

    Args:
        rows: All rows before those that wait.
        waiting: These.
        stop: The row before which they begin.
    """
    first = rows.num_rows
    starts = waiting.starts(first, stop)
    kinds = waiting.kinds(first, stop) if starts else None
    if kinds is None:
        return []
    begun = np.cumsum((kinds[1] & np.uint8(BEGINS)) != 0, axis=0)
    return [
        (
            (
                one.env,
                rows.num_begun(one.env) + int(begun[one.row - first, one.env]) - 1,
            ),
            one.start,
        )
        for one in starts
    ]
