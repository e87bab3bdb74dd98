"""A row is appended whole or not at all, wherever an exception is raised.

Each trial records some rows, interrupts one call at the n-th place of the package that
it comes to, records on, and compares everything with a plain list: live, from the file
while it is open, and after reopening. `FAULTS=long` tries every place, else a sample.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import numpy as np
import pytest

import rollout_viewer as rv
from tests.faults.interrupts import interrupted

pytestmark = pytest.mark.slow  # not for every edit

NUM_ENVS = 3
IS_LONG = os.environ.get("FAULTS") == "long"


class Row(NamedTuple):
    """What one append was given."""

    number: int
    frames: list[np.ndarray]
    arguments: dict


def make_row(number: int, change_at: int | None = None) -> Row:
    """Return a row; from `change_at` on, two envs change their size in each row."""
    rng = np.random.default_rng(number)
    frames = []
    for env in range(NUM_ENVS):
        size = 8, 9
        if change_at is not None and number >= change_at and env != 1:
            size = 8 + (number - change_at + env) % 5, 9
        frame = np.full((*size, 3), 10 * env, np.uint8)
        frame[number % 8, (3 * number + env) % 9] = [number % 256, env, 255]
        if number % 5 == 4 and env == 1:
            frame[...] = rng.integers(0, 255, frame.shape)
        frames.append(frame)
    lengths = np.arange(7, 7 + NUM_ENVS)
    arguments = {
        "reward": np.arange(NUM_ENVS) + float(number),
        "reset": number % lengths == 0,
        "terminated": (number + 1) % lengths == 0,
        "action": np.full(NUM_ENVS, number),
        "data": {"obs": np.full((NUM_ENVS, 2), float(number))},
        "episode_info": {env: {"seed": number} for env in range(NUM_ENVS)},
    }
    return Row(number, frames, arguments)


def append(cache: rv.FrameCache, row: Row, cameras: tuple[str, ...]) -> None:
    pictures = dict.fromkeys(cameras, row.frames)
    cache.append(pictures, **row.arguments)


def assert_holds(cache: rv.FrameCache, rows: list[Row], where: str) -> None:
    """Compare a cache with the rows that it was given, bit for bit."""
    assert cache.num_rows == len(rows), where
    for index, row in enumerate(rows):
        for env in range(NUM_ENVS):
            assert np.array_equal(cache[index, env], row.frames[env]), (where, index)
        there = cache.at(index, 1)
        assert there["obs"][0] == row.number, (where, index)
        assert there.kind == ("reset" if row.arguments["reset"][1] else "step")
    rewards = [row.arguments["reward"] for row in rows]
    is_reset = np.array([row.arguments["reset"] for row in rows])
    expected = np.where(is_reset, np.nan, rewards)
    assert np.array_equal(cache.scalars["reward"], expected, equal_nan=True), where
    for episode in cache.episodes:
        if rows[episode.start].arguments["reset"][episode.env]:
            assert episode.seed == rows[episode.start].number, (where, episode)


def places_of(call) -> int:
    """Return at how many places a call may be interrupted."""
    with interrupted(10**9) as counter:
        call()
    return counter.num_places


def sample(num_places: int, count: int) -> list[int]:
    """Return places spread evenly; all of them in the long form."""
    if IS_LONG or num_places <= count:
        return list(range(1, num_places + 1))
    return np.unique(np.linspace(1, num_places, count).astype(int)).tolist()


@pytest.mark.parametrize(
    ("before", "cameras", "change_at"),
    [
        (0, ("pixels",), None),  # the first row: slots, rows and file begin
        (5, ("pixels",), None),
        (5, ("pixels", "wrist"), None),  # a camera begins in the middle of a block
        (31, ("pixels",), None),  # the row that seals a block
        (32, ("pixels",), None),  # the first of a block
        (5, ("pixels",), 5),  # pictures change their size
        (32, ("pixels",), 26),  # to a size that they had before
    ],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_append_that_is_interrupted_anywhere_is_whole_or_not_there(
    tmp_path, before, cameras, change_at, error
):
    def make(number: int) -> Row:
        return make_row(number, change_at)

    def trial(path, at: int) -> str:
        cache, rows = rv.FrameCache(path), []
        for number in range(before):
            rows.append(make(number))
            append(cache, rows[-1], ("pixels",))
        row = make(before)

        with interrupted(at, error) as interrupt:
            append(cache, row, cameras)

        assert cache.num_rows in (before, before + 1), interrupt.where
        if cache.num_rows == before + 1:
            rows.append(row)
        for number in range(before + 1, before + 40):
            rows.append(make(number))
            append(cache, rows[-1], cameras)
        assert_holds(cache, rows, f"live, {interrupt.where}")
        cache.flush()
        assert_holds(rv.open(cache.path), rows, f"file, {interrupt.where}")
        cache.close()
        with rv.open(cache.path) as reopened:
            assert_holds(reopened, rows, f"reopened, {interrupt.where}")
            assert reopened.episodes == cache.episodes, interrupt.where
        return interrupt.where

    cache = rv.FrameCache()
    for number in range(before):
        append(cache, make(number), ("pixels",))
    num_places = places_of(lambda: append(cache, make(before), cameras))

    found = [trial(tmp_path / f"{at}.rollout", at) for at in sample(num_places, 12)]

    # The last may be beyond the end: what was cached takes fewer places.
    assert all(found[:-2])


@pytest.mark.parametrize("change_at", [None, 3])
def test_every_row_may_be_interrupted_one_after_the_other(tmp_path, change_at):
    cache, rows = rv.FrameCache(tmp_path / "run.rollout"), []
    rng = np.random.default_rng(0)
    rows.append(make_row(0))
    append(cache, rows[0], ("pixels",))
    for number in range(1, 400 if IS_LONG else 150):
        row, num_rows = make_row(number, change_at), cache.num_rows
        # Half of them end before.
        with interrupted(int(rng.integers(1, 600))):
            append(cache, row, ("pixels",))
        if cache.num_rows > num_rows:
            rows.append(row)

    assert_holds(cache, rows, "live")
    cache.close()

    assert_holds(rv.open(cache.path), rows, "reopened")
    assert len(rows) > 20


@pytest.mark.parametrize("call", ["flush", "save", "clip"])
def test_other_calls_may_be_interrupted_anywhere(tmp_path, call):
    def run(cache: rv.FrameCache, path) -> None:
        if call == "flush":
            cache.flush()
        elif call == "save":
            cache.save(path)
        else:
            list(cache.clip(0, 40).frames())

    cache, rows = rv.FrameCache(tmp_path / "run.rollout"), []
    for number in range(45):
        rows.append(make_row(number))
        append(cache, rows[-1], ("pixels",))
    num_places = places_of(lambda: run(cache, tmp_path / "first.rollout"))

    for at in sample(num_places, 12):
        with interrupted(at) as interrupt:
            run(cache, tmp_path / f"{at}.rollout")
        rows.append(make_row(len(rows)))
        append(cache, rows[-1], ("pixels",))
        assert_holds(cache, rows, interrupt.where)
    cache.close()

    assert_holds(rv.open(cache.path), rows, "reopened")


def test_close_may_be_interrupted_anywhere_and_called_again(tmp_path):
    def start(path) -> tuple[rv.FrameCache, list[Row]]:
        cache, rows = rv.FrameCache(path), []
        for number in range(40):
            rows.append(make_row(number))
            append(cache, rows[-1], ("pixels",))
        return cache, rows

    num_places = places_of(start(tmp_path / "first.rollout")[0].close)

    for at in sample(num_places, 12):
        cache, rows = start(tmp_path / f"{at}.rollout")
        with interrupted(at) as interrupt:
            cache.close()
        cache.close()

        beside = [p.name for p in tmp_path.glob(f"{at}.rollout*")]
        assert beside == [f"{at}.rollout"], interrupt.where
        assert_holds(rv.open(cache.path), rows, interrupt.where)
