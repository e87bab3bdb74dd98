"""A block that is filed as it came is refused wherever one that is read would be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zstandard

import rollout_viewer as rv
from rollout_viewer._recording import sealed_block
from rollout_viewer._recording.checked_block import checked_core
from rollout_viewer._recording.step_codec import pack_extras, unpack_groups
from rollout_viewer._recording.tensors import read_tensors, write_tensors
from tests.test_append_block import blocks_of, state

BLOCK = blocks_of(32)[0]


def checked(block, known=None):
    known = dict(block.types) if known is None else known
    shape = block.num_rows, block.num_envs
    return checked_core(block.steps, block.extras, shape, known, block.types)


def changed(data, **arrays):
    """Return packed tensors, some of them replaced; None: left out."""
    tensors = {**read_tensors(zstandard.decompress(data)), **arrays}
    kept = {name: array for name, array in tensors.items() if array is not None}
    return zstandard.compress(write_tensors(kept))


def rows(*numbers, dtype=np.int32):
    return np.array(numbers, dtype)


KINDS = read_tensors(zstandard.decompress(BLOCK.steps))["kind"]
ROWS = read_tensors(zstandard.decompress(BLOCK.extras))["extra/0"]
FORGED: dict[str, dict[str, dict[str, Any]]] = {
    "a kind that is none": {"steps": {"kind": KINDS | 64}},
    "flags that are none": {"steps": {"flags": KINDS | 128}},
    "steps of other envs": {"steps": {"kind": np.repeat(KINDS, 2, 1)}},
    "steps of fewer rows": {"steps": {"kind": KINDS[:-1]}},
    "steps of another dtype": {"steps": {"kind": KINDS.astype(np.int32)}},
    "no kinds": {"steps": {"kind": None}},
    "more than steps": {"steps": {"other": KINDS}},
    "rows beyond the block": {"extras": {"extra/0": ROWS + 1}},
    "rows before the block": {"extras": {"extra/0": ROWS - 1}},
    "rows of floats": {"extras": {"extra/0": ROWS.astype(np.float32)}},
    "fewer rows than values": {"extras": {"extra/0": ROWS[:-1]}},
    "no rows": {"extras": {"extra/0": None}},
    "values of other envs": {"extras": {"extra/0/obs": np.zeros((32, 2, 3))}},
    "values of no env": {"extras": {"extra/0/obs": np.zeros(32)}},
    "of fewer rows": {"extras": {"row": np.zeros((31, 0), np.uint8)}},
    "of envs": {"extras": {"row": np.zeros((32, 1), np.uint8)}},
    "of two columns": {"extras": {"other": np.zeros((31, 0), np.uint8)}},
}


def forged(name):
    return BLOCK._replace(
        **{
            field: changed(getattr(BLOCK, field), **arrays)
            for field, arrays in FORGED[name].items()
        }
    )


def refusal(block):
    with rv.FrameCache() as cache:
        try:
            cache.append_block({0: block})
        except rv.RecordingError as error:
            assert not cache.num_rows
            return str(error)
        return state(cache)


def test_usual_blocks_are_not_read(monkeypatch):
    read = []
    monkeypatch.setattr(sealed_block, "unpack_groups", lambda *a, **_: read.append(a))
    with rv.FrameCache() as cache:
        for block in blocks_of(96):
            cache.append_block({0: block})
        assert cache.num_rows == 96
    assert not read


def test_what_is_checked_is_what_would_be_read():
    core, _ = unpack_groups(BLOCK.steps, where="here")
    found = checked(BLOCK)
    assert found.keys() == core.keys()
    for name, column in core.items():
        assert found[name].dtype == column.dtype
        assert (found[name] == column).all() or name == "reward"
    np.testing.assert_array_equal(found["reward"], core["reward"])


@pytest.mark.parametrize("name", FORGED)
def test_what_a_reader_would_refuse_is_refused(name, monkeypatch):
    block = forged(name)
    assert checked(block) is None

    found = refusal(block)
    monkeypatch.setattr(sealed_block, "checked_core", lambda *_: None)
    assert found == refusal(block)


@pytest.mark.parametrize("field", ["steps", "extras"])
def test_damaged_bytes_are_refused_as_by_a_reader(field, monkeypatch):
    data = getattr(BLOCK, field)
    forms = [data[:-1], data + b"\0", b"", data[:4], data[: len(data) // 2]]
    forms += [
        data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        for at in range(0, len(data), 7)
    ]
    blocks = [BLOCK._replace(**{field: form}) for form in forms]

    found = [refusal(block) for block in blocks]
    monkeypatch.setattr(sealed_block, "checked_core", lambda *_: None)
    assert found == [refusal(block) for block in blocks]


def test_bytes_after_the_last_array_are_refused():
    whole = zstandard.decompress(BLOCK.extras) + bytes(8)
    assert checked(BLOCK._replace(extras=zstandard.compress(whole))) is None
    whole = zstandard.decompress(BLOCK.steps) + bytes(8)
    assert checked(BLOCK._replace(steps=zstandard.compress(whole))) is None


def test_info_of_another_type_than_in_the_recording_is_read():
    extras = pack_extras([{"info.goal": np.zeros(1)} for _ in range(32)])
    block = BLOCK._replace(extras=extras, types={"info.goal": ["a"]})

    assert checked(block, {"info.goal": ["a"]}) is not None
    assert checked(block, {"info.goal": ["b", "a"]}) is None
    assert checked(block, {}) is None
    with rv.FrameCache() as cache:
        for texts in (["b"], ["a"]):
            cache.append_block({0: block._replace(types={"info.goal": texts})})
        assert cache.column("info.goal", 0, 64)[[0, 32], 0].tolist() == [0, 1]


def test_a_whole_block_appended_row_by_row_has_its_actions():
    with rv.FrameCache() as cache, rv.FrameCache() as whole:
        cache.append_block({0: BLOCK}, fill=False)
        whole.append_block({0: BLOCK})
        assert state(cache) == state(whole)
        assert (cache.column("obs") == whole.column("obs")).all()
