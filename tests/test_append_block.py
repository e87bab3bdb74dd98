"""Blocks that were encoded elsewhere are in a recording as if each row had been."""

from __future__ import annotations

import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer._frames.chunk import EQUAL, RAW, absent, pack
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._recording import filing
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.sealed_block import (
    BegunEpisode,
    KnownSuccess,
    SealedBlock,
)
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.step_codec import (
    pack_columns,
    pack_extras,
    unpack_core,
)
from rollout_viewer.testing import TurnedClock, counting_frame, read_count

ROOT = pathlib.Path(__file__).parents[1]


def step(row: int, num_envs: int = 1, first_env: int = 0, length: int = 20) -> dict:
    """Return the arguments of one `append`: episodes of `length` steps."""
    env_step = row % (length + 1)
    is_reset, is_last = env_step == 0, env_step == length
    return {
        "frames": [counting_frame(row, first_env + env) for env in range(num_envs)],
        "kind": ["reset" if is_reset else "step"] * num_envs,
        "reward": np.full(num_envs, float(env_step)),
        "terminated": [is_last] * num_envs,
        "action": None if is_reset else np.arange(num_envs) + row,
        "data": {"obs": np.full((num_envs, 3), row, np.float32)},
        "episode_info": {
            env: {"seed": 100 * (first_env + env) + row} for env in range(num_envs)
        }
        if is_reset
        else None,
    }


def blocks_of(
    num_rows: int, num_envs: int = 1, first_env: int = 0
) -> list[SealedBlock]:
    blocks: list[SealedBlock] = []
    builder = BlockBuilder(blocks.append)
    for row in range(num_rows):
        builder.append(**step(row, num_envs, first_env))
    builder.seal()
    return blocks


def state(cache: rv.FrameCache) -> list:
    """Return what a cache has, without what an append of blocks makes anew."""
    return [
        cache.num_rows,
        [] if not cache.num_rows else cache[:].tobytes(),
        cache.episodes,
        {name: values.tobytes() for name, values in cache.scalars.items()},
        list(cache.slots),
    ]


def test_blocks_give_what_their_rows_appended_one_by_one_give(tmp_path):
    rows, blocks = rv.FrameCache(), rv.FrameCache(tmp_path / "a.rollout")
    for row in range(64):
        rows.append(**step(row, 2))

    numbers = [blocks.append_block({0: block}) for block in blocks_of(64, 2)]

    assert numbers == [0, 32]
    rows.close()
    blocks.close()
    for cache in (blocks, rv.open(blocks.path)):
        assert state(cache) == state(rows)
        assert (cache.column("obs") == rows.column("obs")).all()
        assert (cache.column("action", 0, 63) == rows.column("action", 0, 63)).all()
        assert [(e.env, e.start, e.seed, e.length) for e in cache.episodes[:4]] == [
            (0, 0, 0, 20),
            (1, 0, 100, 20),
            (0, 21, 21, 20),
            (1, 21, 121, 20),
        ]


def test_blocks_of_different_envs_are_side_by_side():
    cache = rv.FrameCache()

    cache.append_block({0: blocks_of(32)[0], 2: blocks_of(5, 1, 2)[0]}, num_envs=4)

    assert cache.num_envs == 4
    assert cache.pictured_envs == (0, 2)
    assert read_count(cache[31, 0]) == (31, 0)
    assert [read_count(cache[row, 2]) for row in (0, 4, 5, 31)] == [
        (0, 2),
        (4, 2),
        (4, 2),
        (4, 2),
    ]
    kinds = cache.scalars["kind"]
    assert kinds[:, 2].tolist() == ["reset", *["step"] * 4, *["idle"] * 27]
    assert set(kinds[:, [1, 3]].flat) == {"idle"}
    assert cache.scalars["env_step"][:, 2].tolist() == [0, 1, 2, 3, *[4] * 28]
    assert cache.at(3, 2).obs.tolist() == [3.0] * 3
    assert [(e.env, e.length) for e in cache.episodes] == [(0, 20), (2, 4), (0, 10)]
    assert not cache.is_repeated(20, 2)


def test_an_env_without_a_block_shows_its_last_picture_until_it_has_one_again():
    cache = rv.FrameCache()
    first, second = blocks_of(37, 1, 1)
    other = blocks_of(96)

    cache.append_block({0: other[0], 1: first})
    cache.append_block({0: other[1]})
    cache.append_block({0: other[2], 1: second})

    assert [read_count(cache[row, 1])[0] for row in (31, 32, 63, 64, 68, 95)] == [
        31,
        31,
        31,
        32,
        36,
        36,
    ]
    assert [e.length for e in cache.episodes if e.env == 1] == [20, 15]
    assert [e.start for e in cache.episodes if e.env == 1] == [0, 21]


def test_no_picture_is_decoded(monkeypatch):
    blocks = [blocks_of(70, 1, env) for env in range(2)]
    monkeypatch.setattr(ChunkDecoder, "__init__", None)
    cache = rv.FrameCache()

    for one, other in zip(*blocks, strict=True):
        cache.append_block({0: one, 1: other})

    assert cache.num_rows == 96


def test_rows_may_be_appended_before_and_after_a_block():
    cache = rv.FrameCache()
    for row in range(3):
        cache.append(**step(row))

    start = cache.append_block({0: blocks_of(32)[0]})
    cache.append(None, kind=["idle"])
    cache.append(**step(0))

    assert start == 32
    assert cache.scalars["kind"][[2, 3, 31, 32, 64, 65], 0].tolist() == [
        *("step", "idle", "idle"),
        *("reset", "idle", "reset"),
    ]
    shown = [read_count(cache[row, 0])[0] for row in (2, 31, 32, 63, 64, 65)]
    assert shown == [2, 2, 0, 31, 31, 0]
    assert cache.slots == [Slot(0, "pixels", 48, 64)]


def test_pictures_may_change_their_size_in_a_block():
    blocks: list[SealedBlock] = []
    builder = BlockBuilder(blocks.append)
    for row in range(40):
        size = {"height": 32} if 10 <= row < 35 else {}
        builder.append([counting_frame(row, **size)], reward=[0.0])
    builder.seal()
    cache = rv.FrameCache()

    for block in blocks:
        cache.append_block({0: block})
    cache.append(None, kind=["idle"])

    assert [cache[row, 0].shape[0] for row in (9, 10, 34, 35, 63, 64)] == [
        *(48, 32, 32),
        *(48, 48, 48),
    ]
    assert [read_count(cache[row, 0])[0] for row in range(40)] == list(range(40))
    assert read_count(cache[64, 0])[0] == 39


def test_episodes_carry_the_segment_of_the_cache_and_labels_of_their_own():
    blocks: list[SealedBlock] = []
    builder = BlockBuilder(blocks.append)
    builder.labels[0] = {"worker": 3}
    for row in range(22):
        builder.append(**step(row))
    builder.seal()
    cache = rv.FrameCache()

    with cache.segment("eval", train_step=7):
        cache.append_block({0: blocks[0]})

    assert [(e.segment, e.seed, e.labels) for e in cache.episodes] == [
        ("eval", 0, {"train_step": 7, "worker": 3}),
        ("eval", 21, {"train_step": 7}),
    ]


# -- blocks that are none


def test_actions_and_data_of_all_envs_are_filed_as_they_came(tmp_path, monkeypatch):
    def refused(*values: object) -> None:
        raise AssertionError("packed again")

    monkeypatch.setattr(filing, "pack_stacked", refused)
    monkeypatch.setattr(filing, "pack_extras", refused)
    blocks = blocks_of(64, 2)

    with rv.FrameCache(tmp_path / "a.rollout") as cache:
        assert cache.append_blocks([{0: block} for block in blocks]) == 0
        assert cache.append_blocks([{0: blocks[0]}]) == 64
    monkeypatch.undo()

    with rv.FrameCache() as rows:
        for row in [*range(64), *range(32)]:
            rows.append(**step(row, 2))
        filed = rv.open(cache.path)
        assert (filed.column("obs") == rows.column("obs")).all()
        assert filed.recording.extras_of(1) == blocks[1].extras
        assert rows.recording.extras_of(1) == blocks[1].extras


def damaged(data: bytes) -> bytes:
    return data[:-9] + bytes([data[-9] ^ 1]) + data[-8:]


def columns(block: SealedBlock, **changed) -> bytes:
    shape = block.num_rows, block.num_envs
    core = {
        "kind": np.ones(shape, np.uint8),
        "flags": np.zeros(shape, np.uint8),
        "reward": np.zeros(shape),
        "env_step": np.ones(shape, np.uint32),
        **changed,
    }
    return pack_columns(core, [])


def with_chunk(block: SealedBlock, chunk: bytes) -> SealedBlock:
    return block._replace(pictures=((block.pictures[0][0], chunk),))


HOSTILE = {
    "damaged chunk": lambda b: with_chunk(b, damaged(b.pictures[0][1])),
    "cut chunk": lambda b: with_chunk(b, b.pictures[0][1][:-1]),
    "no chunk": lambda b: with_chunk(b, b""),
    "damaged steps": lambda b: b._replace(steps=damaged(b.steps)),
    "no steps": lambda b: b._replace(steps=b""),
    "more rows than steps": lambda b: b._replace(num_rows=31),
    "no rows": lambda b: b._replace(num_rows=0),
    "more envs than steps": lambda b: b._replace(num_envs=2),
    "no envs": lambda b: b._replace(num_envs=0),
    "fewer pictures than rows": lambda b: with_chunk(b, absent(48, 64, 0, 31)),
    "a later piece": lambda b: with_chunk(b, absent(48, 64, 1, 31)),
    "another size": lambda b: with_chunk(b, absent(48, 65, 0, 32)),
    "two chunks of one slot": lambda b: b._replace(pictures=b.pictures * 2),
    "a first picture that needs another": lambda b: with_chunk(
        b, pack(48, 64, 0, [EQUAL] * 32, [b""] * 32)
    ),
    "a raw picture that is too short": lambda b: with_chunk(
        b, pack(48, 64, 0, [RAW] * 32, [b"abc"] * 32)
    ),
    "a picture of no env": lambda b: b._replace(
        pictures=((Slot(1, "pixels", 48, 64), b.pictures[0][1]),)
    ),
    "a picture of all envs": lambda b: b._replace(
        pictures=((Slot(0, "pixels", 48, 64, True), b.pictures[0][1]),)
    ),
    "huge pictures": lambda b: b._replace(
        pictures=((Slot(0, "pixels", 60000, 60000), b.pictures[0][1]),)
    ),
    "unknown kinds": lambda b: b._replace(
        steps=columns(b, kind=np.full((32, 1), 4, np.uint8))
    ),
    "unknown flags": lambda b: b._replace(
        steps=columns(b, flags=np.full((32, 1), 16, np.uint8))
    ),
    "no rewards": lambda b: b._replace(steps=columns(b, reward=np.zeros((32, 2)))),
    "an episode that does not begin": lambda b: b._replace(
        begun=(BegunEpisode(1, 0, {}),)
    ),
    "an episode of no env": lambda b: b._replace(begun=(BegunEpisode(0, -1, {}),)),
    "no information": lambda b: b._replace(begun=(BegunEpisode(0, 0, None),)),
    "the success of no row": lambda b: b._replace(
        successes=(KnownSuccess(32, 0, True),)
    ),
    "the success of an episode before": lambda b: b._replace(
        successes=(KnownSuccess(-1, 0, True),)
    ),
    "a success that is none": lambda b: b._replace(
        successes=(KnownSuccess(0, 0, "yes"),)
    ),
    "no actions and data": lambda b: b._replace(extras=b""),
    "damaged actions and data": lambda b: b._replace(extras=damaged(b.extras)),
    "actions and data of other rows": lambda b: b._replace(
        extras=pack_extras([{"action": np.zeros(1)}] * 31)
    ),
    "actions and data of other envs": lambda b: b._replace(
        extras=pack_extras([{"action": np.zeros(2)}] * 32)
    ),
    "actions and data with steps": lambda b: b._replace(extras=b.steps),
    "actions and data twice": lambda b: b._replace(
        steps=pack_columns(
            unpack_core(b.steps, where="here"), [{"action": np.zeros(1)}] * 32
        )
    ),
    "info of no type": lambda b: b._replace(types={"info.a": "text"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_block_that_is_none_raises_and_changes_nothing(name):
    block, after = blocks_of(64)
    cache = rv.FrameCache()
    cache.append_block({0: block}, num_envs=2)
    before = state(cache)

    with pytest.raises(rv.RecordingError, match="append_block"):
        cache.append_block({0: after, 1: HOSTILE[name](blocks_of(32, 1, 1)[0])})

    assert state(cache) == before
    cache.append_block({0: after})
    assert read_count(cache[40, 0]) == (40, 0)


def test_wrong_envs_raise_and_change_nothing():
    block = blocks_of(32)[0]
    cache = rv.FrameCache()

    with pytest.raises(rv.RecordingError, match=r"envs in 0\.\.1, got one of 1 from 2"):
        cache.append_block({2: block}, num_envs=2)
    with pytest.raises(rv.RecordingError, match="a block, got none"):
        cache.append_block({})
    assert cache.num_envs == 0
    cache.append_block({1: block}, num_envs=2)
    with pytest.raises(rv.ShapeError, match="expected 2 envs as before, got 3"):
        cache.append_block({0: block}, num_envs=3)
    cache.close()
    with pytest.raises(rv.CacheClosedError):
        cache.append_block({0: block})
    with pytest.raises(rv.ReadOnlyError):
        rv.open(cache.path).append_block({0: block})


def test_info_keeps_its_meaning_beside_info_of_another_type():
    cache = rv.FrameCache()

    def block(values, types):
        builder = BlockBuilder(blocks.append)
        builder.set_meta("info_types", types)
        for value in values:
            builder.append(
                None, kind="step", reward=[0], data={"info.a": np.array([float(value)])}
            )
        builder.seal()
        return blocks.pop()

    blocks: list[SealedBlock] = []
    texts = block([0, 1], {"info.a": ["yes", "no"]})
    cache.append_block({0: texts, 1: block([0, 1], {"info.a": ["no", "maybe"]})})
    cache.append_block({0: block([1, 0], {"info.a": "bool"}), 1: texts})

    found = [[cache.at(row, env).get("info.a") for env in (0, 1)] for row in (0, 1, 32)]
    assert found == [["yes", "no"], ["no", "maybe"], [None, "yes"]]

    numbers = rv.FrameCache()
    numbers.append_block({0: block([1, 0], {"info.a": "bool"}), 1: block([3, 4], {})})
    assert numbers.at(0, 0)["info.a"] == 1
    assert numbers.at(0, 1)["info.a"] == 3


def test_info_that_is_numbers_first_stays_numbers():
    blocks: list[SealedBlock] = []
    cache = rv.FrameCache()

    def add(value, types):
        builder = BlockBuilder(blocks.append)
        builder.set_meta("info_types", types)
        builder.append(
            None, kind="step", reward=[0], data={"info.a": np.array([value])}
        )
        builder.seal()
        cache.append_block({0: blocks.pop()})

    add(7.0, {"info.a": "number"})
    add(0.0, {"info.a": ["a text"]})
    add(1.0, {"info.a": "bool"})
    add(2.5, {})

    found = [cache.at(row, 0).get("info.a") for row in (0, 32, 64, 96)]
    assert found[0] == 7
    assert np.isnan(found[1])
    assert found[2:] == [1, 2.5]


# -- a few rows of slow environments


def short_blocks(num_rows, length, num_envs=1, first_env=0):
    """Return blocks of so many rows each, as of an environment that is slow."""
    clock = TurnedClock()
    blocks: list[SealedBlock] = []
    builder = BlockBuilder(blocks.append, clock)
    for row in range(num_rows):
        builder.append(**step(row, num_envs, first_env))
        if row % length == length - 1:
            clock.turn(1.0)
            builder.seal_if_old()
    builder.seal()
    return blocks


@pytest.mark.parametrize("num_envs", [1, 2])
def test_few_rows_are_as_many_rows_as_they_are(num_envs):
    one_by_one, filed = rv.FrameCache(), rv.FrameCache()
    for row in range(80):
        one_by_one.append(**step(row, num_envs))

    starts = []
    for block in short_blocks(80, 4, num_envs):
        assert block.num_rows == 4
        starts.append(filed.append_block({0: block}, fill=False))

    assert starts == list(range(0, 80, 4))
    assert state(filed) == state(one_by_one)
    assert [e.seed for e in filed.episodes] == [e.seed for e in one_by_one.episodes]
    filed.close()
    assert state(rv.open(filed.path)) == state(one_by_one)


def test_few_rows_of_two_workers_are_side_by_side():
    cache = rv.FrameCache()
    slow, slower = short_blocks(12, 6), short_blocks(12, 3, first_env=1)

    cache.append_block({0: slow[0], 1: slower[0]}, num_envs=2, fill=False)
    cache.append_block({1: slower[1]}, fill=False)
    whole = cache.append_block({0: blocks_of(32)[0]})

    assert whole == 32
    assert cache.scalars["kind"][3:9].tolist() == [
        *[["step", "idle"]] * 3,
        *[["idle", "step"]] * 3,
    ]
    assert (cache.scalars["kind"][9:32] == "idle").all()
    assert [read_count(cache[row, 0]) for row in (5, 8, 33)] == [
        (5, 0),
        (5, 0),
        (1, 0),
    ]
    assert [read_count(cache[row, 1]) for row in (2, 5, 8)] == [(2, 1), (2, 1), (5, 1)]


def test_few_rows_that_are_damaged_or_too_many_leave_nothing_or_start_a_block():
    cache = rv.FrameCache()
    _, second = blocks_of(44)
    cache.append_block({0: short_blocks(25, 25)[0]}, fill=False)
    before = state(cache)
    slot, chunk = second.pictures[0]
    broken = second._replace(pictures=((slot, chunk[:-20]),))

    with pytest.raises(rv.RecordingError):
        cache.append_block({0: broken}, fill=False)

    assert state(cache) == before
    assert cache.append_block({0: second}, fill=False) == 32
    assert cache.num_rows == 44


def test_a_block_that_was_interrupted_counts_no_episode(monkeypatch):
    """Seeds went to other episodes, where as many rows were appended then."""
    blocks = blocks_of(64)
    cache, expected = rv.FrameCache(), rv.FrameCache()
    extend = Rows.extend

    def interrupted(self, block):
        monkeypatch.setattr(Rows, "extend", extend)
        raise KeyboardInterrupt

    cache.append_block({0: blocks[0]})
    expected.append_block({0: blocks[0]})
    monkeypatch.setattr(Rows, "extend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.append_block({0: blocks[1]})
    for one in (cache, expected):
        for row in range(32):
            one.append(counting_frame(row, 0), reward=[1.0])
        one.append_block({0: blocks[1]})

    assert cache.episodes == expected.episodes
    assert cache.episodes[-1].seed == 63


_APPENDS_AND_IS_KILLED = """
import os, signal, sys
import rollout_viewer as rv
from tests.test_append_block import blocks_of

cache = rv.FrameCache(sys.argv[1])
cache.append_blocks([{0: block} for block in blocks_of(16 * 32)])
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="nothing kills so there")
def test_of_blocks_appended_together_a_kill_loses_no_more_than_one(tmp_path):
    path = tmp_path / "a.rollout"

    subprocess.run([sys.executable, "-c", _APPENDS_AND_IS_KILLED, path], cwd=ROOT)

    assert rv.open(path).num_rows >= 15 * 32


def test_rows_wait_for_others_only_a_moment():
    clock = TurnedClock()
    blocks: list[SealedBlock] = []
    builder = BlockBuilder(blocks.append, clock)

    builder.seal_if_old()
    for row in range(20):
        builder.append(**step(row))
        builder.seal_if_old()
        clock.turn(0.06)
    assert not blocks  # 16 rows and more will be 32 soon
    clock.turn(1.0)
    builder.seal_if_old()
    builder.append(**step(20))
    clock.turn(1.0)
    builder.seal_if_old()

    assert [block.num_rows for block in blocks] == [20, 1]
