"""Arrays as bytes: what safetensors writes, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from rollout_viewer._recording.tensors import read_tensors, write_tensors

safetensors = pytest.importorskip("safetensors.numpy")

DTYPES = ["?", "u1", "i1", "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8"]
NAMES = ["kind", "extra/0", "extra/0/obs.ü", 'a "b"', "line\n\u2028\x01"]


@pytest.mark.parametrize("seed", range(50))
def test_the_bytes_are_those_of_the_library(seed):
    rng = np.random.default_rng(seed)
    tensors = {}
    for number in range(rng.integers(1, 9)):
        shape = tuple(rng.integers(0, 4, rng.integers(0, 4)).tolist())
        array = rng.integers(0, 2, shape).astype(str(rng.choice(DTYPES)))
        tensors[f"{rng.choice(NAMES)}{number}"] = array

    data = write_tensors(tensors)

    assert data == safetensors.save(tensors)
    found = read_tensors(data)
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)
