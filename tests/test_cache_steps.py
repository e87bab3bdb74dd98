"""Rows without pictures: taken in by the block, and there at once for whoever reads."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache import row_checker
from rollout_viewer._frames import convert

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._recording.live import LiveRecording

ENVS = 3


def make_step(number: int, **other: Any) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    return {
        "kind": "step",
        "reward": rng.normal(size=ENVS),
        "terminated": np.zeros(ENVS, np.bool_),
        "truncated": np.zeros(ENVS, np.bool_),
        "action": rng.integers(0, 9, ENVS),
        "data": {"obs": rng.normal(size=(ENVS, 4)).astype(np.float32)},
        **other,
    }


def record(cache: rv.FrameCache, count: int, first: int = 0) -> list[dict[str, Any]]:
    steps = [make_step(number) for number in range(first, first + count)]
    for step in steps:
        cache.append(None, **step)
    return steps


def assert_holds(cache: rv.FrameCache, steps: list[dict[str, Any]]) -> None:
    assert cache.num_rows == len(steps)
    rewards = np.array([step["reward"] for step in steps])
    np.testing.assert_array_equal(cache.scalars["reward"], rewards)
    obs = np.array([step["data"]["obs"] for step in steps])
    np.testing.assert_array_equal(cache.column("obs"), obs)
    actions = np.array([step["action"] for step in steps])
    np.testing.assert_array_equal(cache.raw_column("action", 0, len(steps)), actions)
    counts = np.arange(1, len(steps) + 1)[:, None] + np.zeros(ENVS, np.int64)
    np.testing.assert_array_equal(cache.scalars["env_step"], counts)


def test_each_row_is_there_as_soon_as_it_was_appended(tmp_path):
    cache, seen = rv.FrameCache(tmp_path / "run.rollout"), []
    cache.subscribe(lambda start, stop: seen.append((start, stop, cache.num_rows)))
    steps = []
    for number in range(70):
        steps += record(cache, 1, number)
        at = cache.at(number, 1)
        assert at["obs"].tolist() == steps[-1]["data"]["obs"][1].tolist()
        assert at.reward == steps[-1]["reward"][1]
        assert cache.episodes[2].length == number + 1
    assert seen == [(row, row + 1, row + 1) for row in range(70)]
    assert_holds(cache, steps)

    steps += record(cache, 9, 70)
    copy = rv.open(cache.save(tmp_path / "copy.rollout"))
    assert_holds(copy, steps)
    cache.flush()
    assert_holds(rv.open(cache.path), steps)
    steps += record(cache, 9, 79)
    cache.close()
    assert_holds(cache, steps)
    assert_holds(rv.open(cache.path), steps)


def test_what_is_passed_is_copied():
    cache = rv.FrameCache()
    step = make_step(0)
    for number in range(40):
        step["reward"][:], step["action"][:] = number, number
        step["data"]["obs"][:] = number
        cache.append(None, **step)

    assert cache.scalars["reward"][:, 1].tolist() == list(range(40))
    assert cache.column("obs")[:, 2, 3].tolist() == list(range(40))
    assert cache.column("action")[:-1, 0].tolist() == list(range(1, 40))


# What follows rows of the usual form, and is of another.
OTHERS: dict[str, dict[str, Any]] = {
    "an end": {"terminated": np.array([True, False, False])},
    "a reset": {"kind": ["reset", "step", "idle"]},
    "a reward that is NaN": {"reward": np.array([np.nan, 1, 2])},
    "integers": {"reward": np.arange(ENVS)},
    "no action": {"action": None},
    "actions of another dtype": {"action": np.zeros(ENVS, np.float32)},
    "actions of another shape": {"action": np.zeros((ENVS, 2))},
    "no data": {"data": None},
    "data of other names": {"data": {"obs": np.zeros((ENVS, 4)), "logits": [1, 2, 3]}},
    "data of another name": {"data": {"value": np.zeros((ENVS, 4), np.float32)}},
    "several steps": {"num_transitions": np.array([1, 4, 2])},
    "what is known of an episode": {"episode_info": {1: {"seed": 3}}},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_rows_of_another_form_are_as_if_each_row_was_checked_alone(tmp_path, other):
    def make(path: Any, kind: Any) -> rv.FrameCache:
        with rv.FrameCache(path) as cache:
            for number in range(100):
                step = make_step(number, kind=kind)
                if number in (0, 1, 31, 40, 41, 63, 80):
                    step |= other
                cache.append(None, **step)
        return cache

    found = make(tmp_path / "run.rollout", "step")
    # Kinds of a list are of no usual form.
    expected = make(tmp_path / "each.rollout", ["step"] * ENVS)

    assert found.episodes == expected.episodes
    for name in found.scalars:
        np.testing.assert_array_equal(found.scalars[name], expected.scalars[name])
    assert [found.data_names(row) for row in range(100)] == [
        expected.data_names(row) for row in range(100)
    ]
    tables = []
    for cache in (found, expected):
        with sqlite3.connect(cache.path) as connection:
            rows = [
                connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
                for table in ("steps", "extras", "tail", "episodes")
            ]
        connection.close()
        tables.append(rows)
    assert tables[0] == tables[1]  # the same bytes


@pytest.mark.parametrize(
    "wrong",
    [
        {"reward": np.zeros(ENVS + 1)},
        {"terminated": np.zeros(ENVS - 1, np.bool_)},
        {"action": np.zeros(ENVS + 1)},
        {"data": {"obs": np.zeros((ENVS + 1, 4), np.float32)}},
        {"data": {"obs": np.array(["a"] * ENVS)}},
        {"data": {"action": np.zeros(ENVS)}},
    ],
)
def test_wrong_step_data_raises_at_once_and_leaves_the_cache_as_it_was(wrong):
    cache = rv.FrameCache()
    steps = record(cache, 40)

    with pytest.raises(rv.ShapeError):
        cache.append(None, **make_step(40, **wrong))

    steps += record(cache, 40, 40)
    assert_holds(cache, steps)


def test_pictures_before_and_between_are_shown_again():
    cache = rv.FrameCache()
    frames = np.arange(ENVS, dtype=np.uint8)[:, None, None, None] + np.zeros(
        (ENVS, 8, 8, 3), np.uint8
    )
    record(cache, 5)
    cache.append(frames, **make_step(5))
    record(cache, 3, 6)
    cache.append(frames + 9, **make_step(9))
    record(cache, 40, 10)

    assert not cache.is_shown(4, 1)
    assert (cache[8] == frames).all()
    assert cache.is_repeated(8, 1)
    assert (cache[49] == frames + 9).all()
    assert cache.scalars["reward"][49, 1] == make_step(49)["reward"][1]


def test_a_thread_reads_while_rows_come():
    cache, errors = rv.FrameCache(), []
    steps = record(cache, 1)
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            num_rows = cache.num_rows
            row = num_rows - 1
            if cache.at(row, 0).reward != make_step(row)["reward"][0]:
                errors.append(row)

    thread = threading.Thread(target=read)
    thread.start()
    steps += record(cache, 1500, 1)
    is_over.set()
    thread.join()

    assert not errors
    assert_holds(cache, steps)


def test_a_cleared_cache_begins_again():
    cache = rv.FrameCache()
    record(cache, 40)
    cache.clear()
    assert cache.num_rows == 0

    steps = record(cache, 40, 7)
    assert_holds(cache, steps)


class FoundHeld:
    """A recording's lock, which another thread has when it is wanted first."""

    def __init__(self, recording: LiveRecording, other: Callable[[], object]) -> None:
        self.recording, self.lock, self.other = recording, recording._lock, other

    def __enter__(self) -> None:
        self.recording._lock = self.lock
        self.other()
        self.lock.acquire()

    def __exit__(self, *_: object) -> None:
        self.lock.release()


@pytest.mark.parametrize("num_new", [0, 7])
def test_a_thread_reads_while_another_one_clears(num_new):
    cache = rv.FrameCache()
    record(cache, 4)
    steps: list[dict[str, Any]] = []

    def clear() -> None:
        cache.clear()
        steps.extend(record(cache, num_new, 50))

    cache._live._lock = FoundHeld(cache._live, clear)
    assert cache.num_rows == num_new
    steps += record(cache, 40, 90)
    assert_holds(cache, steps)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_reads_the_rows_that_its_parent_had():
    cache = rv.FrameCache()
    steps = record(cache, 40)
    pid = os.fork()
    if not pid:
        is_there = cache.num_rows == 40 and cache.at(39, 1).reward == float(
            steps[39]["reward"][1]
        )
        os._exit(0 if is_there else 1)
    assert os.waitpid(pid, 0)[1] == 0
    steps += record(cache, 40, 40)
    assert_holds(cache, steps)


KILLED = """
import sys, time
import rollout_viewer as rv
from tests.test_cache_steps import record
cache = rv.FrameCache(sys.argv[1])
record(cache, 45)
time.sleep(1.2)
record(cache, 70, 45)
print("recorded", flush=True)
time.sleep(60)
"""


def test_a_kill_loses_no_more_than_a_second_or_32_rows(tmp_path):
    path = tmp_path / "run.rollout"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    cache = rv.open(path)
    assert 115 - 32 <= cache.num_rows <= 115
    steps = [make_step(number) for number in range(cache.num_rows)]
    assert_holds(cache, steps)


@pytest.mark.parametrize("camera", [None, "wrist"])
def test_pictures_like_those_of_the_last_row_are_not_converted_again(
    monkeypatch, camera
):
    looks = []
    split = convert.split_frames

    def counted(*args: Any, **options: Any) -> Any:
        looks.append(args)
        return split(*args, **options)

    monkeypatch.setattr(row_checker, "split_frames", counted)
    cache = rv.FrameCache()

    def append(number: int, size: int = 8) -> None:
        frames = [np.full((size, 9, 3), number + env, np.uint8) for env in range(ENVS)]
        pictures = frames if camera is None else {camera: frames}
        cache.append(pictures, **make_step(number))

    for number in range(40):
        append(number)
    assert len(looks) == 1
    append(40, 12)
    append(41, 12)
    assert len(looks) == 2

    assert [cache[row, 1][0, 0, 0] for row in (7, 39, 40, 41)] == [8, 40, 41, 42]
    cache.append({"other": [np.zeros((8, 8, 3), np.uint8)] * ENVS}, **make_step(42))
    assert (cache[42, 1] == 42).all()
    assert cache.is_repeated(42, 1)
