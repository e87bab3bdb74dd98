"""From where an episode can be replayed, as bytes."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from rollout_viewer._errors import RecordingError
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
        patched.setattr(episode_start, "pack_plain", lambda state: None)
        longer = pack_start(start)

    monkeypatch.setattr(episode_start, "_to_json", None)  # not called
    packed = pack_start(start)
    assert len(packed) == 43 < len(longer) / 4
    # Files have both.
    assert unpack_start(packed) == unpack_start(longer) == start
    generator = np.random.Generator(kind())
    generator.bit_generator.state = unpack_start(packed).state["np_random"]
    assert generator_state(generator) == start.state


@pytest.mark.parametrize(
    "data", [b"", b"\1", b"\1" * 42, b"\1" * 44, b"\1" * 5 + b"\3" * 38, b"\0" * 43]
)
def test_bytes_of_no_start_are_refused(data):
    with pytest.raises(RecordingError, match="expected the start of an episode"):
        unpack_start(data)


@pytest.mark.parametrize(
    ("recipe", "changed"),
    [
        (1 << 32, {}),
        (0, {"uinteger": 1 << 32}),
        (0, {"has_uint32": 300}),
        (0, {"state": {"state": 1 << 128, "inc": 1}}),
        (0, {"state": {"state": -1, "inc": 1}}),
    ],
)
def test_numbers_that_are_too_large_are_packed_all_the_same(recipe, changed):
    whole = state()
    start = EpisodeStart(recipe, {"np_random": {**whole["np_random"], **changed}})
    assert unpack_start(pack_start(start)) == start


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
