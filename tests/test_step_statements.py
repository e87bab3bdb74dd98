"""Step data of blocks that are written together is written as one row."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

from rollout_viewer._recording.placed import unplace
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.statements import (
    RUN_BLOCKS,
    joined_steps,
    run_blocks,
    step_statements,
)
from rollout_viewer._recording.step_codec import unpack_core

NUM_BLOCKS = 2 * RUN_BLOCKS + 5


def rows_of(num_envs):
    rows = Rows(num_envs)
    rows.append(rows.prepare(kind="reset"))
    for start in range(1, NUM_BLOCKS * 32, 64):
        count = min(64, NUM_BLOCKS * 32 - start)
        rows.extend_steps(np.arange(count * num_envs, dtype=float).reshape(count, -1))
    return rows


def statements_of(rows, block):
    """As a recording makes them when a block is full."""
    run = run_blocks(rows.num_envs)
    return step_statements(rows, block if (block + 1) % run else block + 1 - run, block)


def written(transactions):
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE steps (block INTEGER PRIMARY KEY, data BLOB)")
    connection.execute("CREATE TABLE tail (block INTEGER)")
    connection.executemany("INSERT INTO tail VALUES (?)", [(0,), (40,), (NUM_BLOCKS,)])
    for statements in transactions:
        for sql, values in statements:
            connection.execute(sql, values)
    found = {}
    for block, data in connection.execute("SELECT * FROM steps ORDER BY block"):
        core = unpack_core(unplace(data, "steps", block), where="here")
        found[block] = core
    return found, connection.execute("SELECT * FROM tail").fetchall()


@pytest.mark.parametrize("num_envs", [1, 100])
@pytest.mark.parametrize("at_once", [1, 3, 7, 40, NUM_BLOCKS])
def test_what_is_joined_is_what_each_by_itself_is(num_envs, at_once):
    rows = rows_of(num_envs)
    each = [statements_of(rows, block) for block in range(NUM_BLOCKS)]
    together = [
        joined_steps([one for block in each[at : at + at_once] for one in block])
        for at in range(0, NUM_BLOCKS, at_once)
    ]

    found, tail = written(together)
    expected, expected_tail = written(each)

    assert tail == expected_tail == [(NUM_BLOCKS,)]
    num_rows = 0
    for block, core in found.items():
        assert block * 32 == num_rows  # none twice, none missing
        num_rows += len(core["kind"])
        for name, column in rows.block(block * 32, num_rows).items():
            np.testing.assert_array_equal(core[name], column)
    assert num_rows == NUM_BLOCKS * 32
    if num_envs == 1:
        whole = [block for block in expected if block < 2 * RUN_BLOCKS]
        assert [block for block in found if block < 2 * RUN_BLOCKS] == whole
    if at_once == NUM_BLOCKS and num_envs == 1:
        assert len(found) == 3
        assert sum(len(one) for one in together) < 8


def test_step_data_of_another_recording_is_not_joined():
    first, second = rows_of(1), rows_of(1)
    statements = [*statements_of(first, 0), *statements_of(second, 1)]

    assert len(joined_steps(statements)) == 3
