"""Step data that is written can be read again, however well it compresses."""

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording import step_codec
from rollout_viewer._recording.step_codec import pack_extras, unpack_columns


def extras(**sizes):
    return [{name: np.zeros((4, size)) for name, size in sizes.items()}] * 32


def read(packed):
    return unpack_columns(packed, where="here", num_envs=4)[1]


def test_zeros_that_compress_more_than_a_reader_allows_are_padded(monkeypatch):
    monkeypatch.setattr(step_codec, "_MIN_BOUND_BYTES", 1 << 16)

    found = read(pack_extras(extras(obs=9000, more=1)))

    assert [sorted(row) for row in found] == [["more", "obs"]] * 32
    assert found[31]["obs"].shape == (4, 9000)


def test_data_beyond_what_a_reader_takes_is_left_out_with_a_warning(monkeypatch):
    monkeypatch.setattr(step_codec, "_MAX_GROUPS_BYTES", 1 << 16)

    with pytest.warns(rv.RolloutViewerWarning, match="'?huge'? of them is not"):
        packed = pack_extras(extras(huge=9000, obs=2))

    assert [sorted(row) for row in read(packed)] == [["obs"]] * 32
