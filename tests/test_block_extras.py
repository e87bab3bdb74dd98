"""Blocks side by side have the actions and data that their rows have one by one."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rollout_viewer as rv
from rollout_viewer._frames.checksum import with_checksum
from rollout_viewer._frames.chunk import CHUNK_ROWS, pack, parse_whole, whole_table
from rollout_viewer._recording.block_extras import _add, joined_groups
from rollout_viewer._recording.step_codec import groups_of, rows_of
from tests.test_append_block import blocks_of

NAMES = ("action", "info.lives", "obs")
KINDS = (np.float64, np.float32, np.int64)


@st.composite
def extras(draw):
    """Rows of one env: names come and go, and kinds and shapes may change."""
    forms = draw(
        st.lists(
            st.dictionaries(
                st.sampled_from(NAMES),
                st.tuples(st.sampled_from(KINDS), st.sampled_from([(), (2,)])),
            ),
            min_size=1,
            max_size=3,
        )
    )
    count = draw(st.integers(1, CHUNK_ROWS))
    rows = []
    for row in range(count):
        form = forms[draw(st.integers(0, len(forms) - 1)) if len(forms) > 1 else 0]
        rows.append(
            {
                name: np.full((1, *shape), row + 1, kind)
                for name, (kind, shape) in form.items()
            }
        )
    return rows


def one_by_one(rows, num_envs):
    """Return what each row has of each env, put together row by row."""
    found = [{} for _ in range(CHUNK_ROWS)]
    for env, own in rows.items():
        whole = [*own, *[{}] * (CHUNK_ROWS - len(own))]
        _add(found, whole, slice(env, env + 1), num_envs)
    return found


@given(st.dictionaries(st.integers(0, 3), extras(), min_size=1))
def test_values_are_where_they_are_row_by_row(rows):
    groups = [(slice(env, env + 1), groups_of(own)) for env, own in rows.items()]
    try:
        expected = one_by_one(rows, 4)
    except rv.RecordingError:
        with pytest.raises(rv.RecordingError, match="Append such blocks one by one"):
            joined_groups(groups, 4)
        return

    found = rows_of(joined_groups(groups, 4), CHUNK_ROWS)

    for row, known in zip(found, expected, strict=True):
        assert row.keys() == known.keys()
        for name, array in known.items():
            np.testing.assert_array_equal(row[name], array, strict=True)


def test_a_block_of_all_envs_is_taken_as_it_is():
    groups = groups_of([{"obs": np.zeros((2, 3))}] * 32)

    assert joined_groups([(slice(0, 2), groups)], 2) is groups


SIZE = (4, 6)


def chunks():
    ((_, data),) = blocks_of(32)[0].pictures
    yield data
    for first, kinds, records in (
        (0, [1], [bytes(72)]),
        (0, [1, 0, 5], [bytes(72), b"", b""]),
        (3, [1], [bytes(72)]),
        (0, [6], [b""]),
        (0, [], []),
    ):
        yield pack(*SIZE, first, kinds, records)
    full = pack(*SIZE, 0, [1] * 32, [bytes(72)] * 32)
    yield with_checksum(full[:4] + bytes([33]) + full[5:-4])


@pytest.mark.parametrize("data", [*chunks(), b"", b"RV" + bytes(40)])
def test_the_table_of_a_chunk_is_that_of_its_records_or_raises_as_they_do(data):
    for size in (SIZE, (48, 64), (0, 1)):
        for bytes_ in (data, data[:-1], data + b"\0", data[:5] + b"\1" + data[6:]):
            try:
                chunk = parse_whole(bytes_, where="here", size=size)
            except rv.RecordingError as error:
                with pytest.raises(rv.RecordingError, match=re.escape(str(error))):
                    whole_table(bytes_, where="here", size=size)
                continue
            kinds, lengths = whole_table(bytes_, where="here", size=size)
            assert list(kinds) == chunk.kinds
            assert lengths == list(map(len, chunk.records))
