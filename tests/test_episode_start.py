"""From where an episode can be replayed, as bytes."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from rollout_viewer._frames.zstd_blocks import raw_frame
from rollout_viewer._replay import episode_start
from rollout_viewer._replay.env_state import generator_state
from rollout_viewer._replay.episode_start import (
    EpisodeStart,
    pack_start,
    unpack_start,
)


def state(kind: type[np.random.BitGenerator] = np.random.PCG64) -> dict:
    generator = np.random.Generator(kind(7))
    generator.integers(5, dtype=np.uint32)  # half of a number is kept for the next one
    return generator_state(generator)


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.PCG64DXSM])
def test_a_reset_without_arguments_is_packed_without_an_encoder(monkeypatch, kind):
    start = EpisodeStart(3, state(kind))
    with monkeypatch.context() as patched:
        patched.setattr(episode_start, "plain_numbers", lambda state: None)
        expected = pack_start(start)

    monkeypatch.setattr(episode_start, "_to_json", None)  # not called
    assert pack_start(start) == expected
    assert unpack_start(expected) == start


@pytest.mark.parametrize(
    "start",
    [
        EpisodeStart(0, {}),
        EpisodeStart(0, {}, seed=5),
        EpisodeStart(0, state(), options={"low": 0.5}),
        EpisodeStart(0, state(), problem="why"),
        EpisodeStart(0, state(), first={}),
        EpisodeStart(0, state(), first={"state": state()}),
        EpisodeStart(0, state(np.random.Philox)),
        EpisodeStart(0, {**state(), "column": [1.0]}),
        EpisodeStart(0, {**state(), "binary": b"ale"}),
        EpisodeStart(0, {"np_random": state()["np_random"]}),
    ],
)
def test_any_start_is_unpacked_as_it_was(start):
    assert unpack_start(pack_start(start)) == start


@pytest.mark.parametrize("size", [1, 255, 256, 300, 400, 60_000])
def test_bytes_of_any_size_are_a_frame_as_they_are(size):
    data = bytes(range(256)) * (size // 256 + 1)

    frame = raw_frame(data[:size])

    assert zstandard.ZstdDecompressor().decompress(frame) == data[:size]
