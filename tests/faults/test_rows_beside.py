"""Rows without pictures that wait for others, in a file beside their recording."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
import time
import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording import row_memory
from rollout_viewer._recording.compact import compact
from rollout_viewer._recording.lock import locked
from rollout_viewer._recording.row_memory import side_path
from tests.faults.later_loops import assert_same, calls
from tests.faults.survival import survives
from tests.killed import record_and_kill, start

pytestmark = pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="rows wait in a mapped file"
)

RECORD = """
import sys, time
from tests.faults.later_loops import calls
for number, env in enumerate(calls("CartPole", sys.argv[1])):
    if number == 499:
        print("recorded", flush=True)
        time.sleep(60)
"""

RECORD_IN_TWO_PARTS = """
import os, signal, sys
from tests.faults.later_loops import calls
for number, env in enumerate(calls("CartPole", sys.argv[1])):
    if number == 299:
        env.cache.flush()
        print("begun", flush=True)
        last = int(sys.stdin.readline())
    if number > 299 and number == last:
        env.cache.recording._writer.drain()  # not while it writes to the file
        os.kill(os.getpid(), signal.SIGKILL)
"""


def recorded(num_rows, path=None, loop="CartPole"):
    """Return the env of a loop, so many rows long."""
    return next(itertools.islice(calls(loop, path), num_rows - 1, None))


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """Return a folder with what a killed process left, of 500 rows."""
    folder = tmp_path_factory.mktemp("killed")
    record_and_kill(RECORD, folder / "run.rollout")
    assert (folder / "run.rollout-rows").exists()
    return folder


@pytest.fixture
def left(killed, tmp_path):
    """Return a copy of it, to be opened."""
    shutil.copytree(killed, tmp_path, dirs_exist_ok=True)
    return tmp_path / "run.rollout"


@pytest.fixture(scope="module")
def truth():
    env = recorded(480)
    yield env.cache
    env.close()


def found_in(path, truth):
    """Return how many rows are found; they are right."""
    with rv.open(path) as cache:
        num_rows = cache.num_rows
        assert_same(cache, truth)
    cache.recording.release()
    return num_rows


def test_a_recording_that_ended_is_one_file(tmp_path):
    path = tmp_path / "run.rollout"
    env = recorded(500, path)
    assert os.path.exists(side_path(path))
    env.close()
    env.cache.close()
    env.cache.recording.release()
    assert [one.name for one in tmp_path.iterdir()] == ["run.rollout"]
    with rv.open(path) as cache:
        assert cache.num_rows == 500


def test_whoever_opens_it_finds_what_a_killed_process_left(left, truth):
    assert found_in(left, truth) == 480
    assert not os.path.exists(side_path(left))
    assert found_in(left, truth) == 480


def test_the_newest_episode_that_a_killed_process_left_is_rendered(left):
    with rv.open(left, render=True) as cache:
        start = cache.recording.rows.newest_of(0).start
        assert start > 256  # it began in rows that waited
        cache.render(rows=range(start, 480))
        assert all(cache.has_picture(row, 0) for row in range(start, 480))
    cache.recording.release()


def test_what_a_killed_process_left_is_copied_and_compacted(left, truth):
    with rv.open(left) as cache:
        copy = cache.save(left.with_name("copy.rollout"))
    cache.recording.release()
    compact(left)
    assert found_in(copy, truth) == found_in(left, truth) == 480


@pytest.mark.parametrize(
    ("case", "killed_after", "num_found"),
    [("just looked", 500, 480), ("more is stored", 790, 768), ("locked", 500, 480)],
)
def test_a_recording_that_others_stand_beside_has_the_rows_that_its_killed_writer_left(
    case, killed_after, num_found, tmp_path, monkeypatch
):
    """Whatever keeps the first look after the kill from taking them in."""
    interval_s = 3600.0 if case == "just looked" else 0.0
    monkeypatch.setattr(
        "rollout_viewer._recording.file_rows._LOOK_INTERVAL_S", interval_s
    )
    monkeypatch.setattr("rollout_viewer._recording.file_rows._MAX_RECOVERY_S", 0.0)
    path, other = tmp_path / "run.rollout", tmp_path / "other.rollout"
    longer = recorded(1000, other)
    longer.close()
    with start(RECORD_IN_TWO_PARTS, path) as process:
        assert process.stdout.readline() == b"begun\n"
        cache = rv.open([path, other])
        recording: Any = cache.recording
        assert cache.num_rows == 300
        process.communicate(b"%d\n" % (killed_after - 1))

    with locked(path) if case == "locked" else contextlib.nullcontext():
        for _ in range(2 if case == "locked" else 1):
            recording.refresh()
    recording._members[0]._next_look_s = 0.0  # as time passes
    recording.refresh()
    recording.refresh()

    assert cache.num_rows == 1000
    rewards, truth = cache.scalars["reward"], longer.cache.scalars["reward"][:, 0]
    np.testing.assert_array_equal(rewards[:num_found, 0], truth[:num_found])
    assert np.isnan(rewards[num_found:, 0]).all()
    np.testing.assert_array_equal(rewards[:, 1], truth)
    newest = [one for one in cache.episodes if one.env == 0][-1]
    assert newest.stop == num_found
    assert os.path.exists(side_path(path)) == (case == "locked")
    cache.recording.release()


def test_one_that_cannot_be_stored_does_not_hold_the_others_back(
    left, tmp_path, monkeypatch
):
    def refuse(path):
        raise rv.RecordingError("a folder that cannot be written")

    longer = recorded(600, tmp_path / "other.rollout")
    longer.close()
    monkeypatch.setattr("rollout_viewer._recording.file_rows.locked", refuse)
    cache = rv.open([left, tmp_path / "other.rollout"])
    assert cache.num_rows == 600
    assert np.isfinite(cache.scalars["reward"][470:480, 0]).any()
    assert os.path.exists(side_path(left))


def test_rows_of_another_recording_are_left_out(left, tmp_path):
    other = tmp_path / "other.rollout"
    shutil.copyfile(side_path(left), side_path(other))
    env = recorded(40, other)
    env.cache.flush()
    copy = tmp_path / "copy.rollout"
    shutil.copyfile(other, copy)
    shutil.copyfile(side_path(left), side_path(copy))
    env.close()
    with rv.open(copy) as cache:
        assert cache.num_rows == 40
    assert os.path.exists(side_path(copy))


def test_bytes_that_are_damaged_cost_their_rows_and_no_others(left, truth, tmp_path):
    whole = np.fromfile(side_path(left), np.uint8)
    rng = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / f"{number}.rollout"
        shutil.copyfile(left, path)
        shutil.copyfile(f"{left}-wal", f"{path}-wal")
        data = whole.copy()
        data[rng.integers(0, len(data), 4000)] ^= 1
        if number % 4 == 0:
            data = data[: rng.integers(len(data))]
        data.tofile(side_path(path))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rv.RolloutViewerWarning)
            with rv.open(path) as cache:
                num_rows = cache.num_rows
                assert num_rows <= 480
                rewards = cache.scalars["reward"]
                np.testing.assert_array_equal(
                    rewards, truth.scalars["reward"][:num_rows]
                )
                for row in range(num_rows):
                    found = cache.recording.extras(row)
                    for name, values in truth.recording.extras(row).items():
                        np.testing.assert_array_equal(found[name], values)
            cache.recording.release()


def test_readers_meanwhile_cost_no_row_and_no_start(tmp_path, truth):
    path = tmp_path / "run.rollout"
    copy = tmp_path / "copy.rollout"
    for number, env in enumerate(calls("CartPole", path)):
        if number % 37 == 5:
            env.cache.at(env.cache.num_rows - 1, 0)
        if number == 485:
            break
    env.cache.recording._writer.drain()
    for side in ("", "-wal", "-rows"):
        shutil.copyfile(f"{path}{side}", f"{copy}{side}")
    env.close()
    with rv.open(copy) as cache:
        assert cache.num_rows >= 480
        if cache.num_rows == 480:
            assert_same(cache, truth)
        for episode in cache.recording.rows.episodes():
            assert cache.recording.start_of(0, episode.index)


def test_a_file_that_cannot_be_made_costs_nothing(tmp_path, monkeypatch, truth):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    path = tmp_path / "run.rollout"
    env = recorded(480, path)
    assert not os.path.exists(side_path(path))
    env.close()
    assert found_in(path, truth) == 480


def test_rows_that_were_cleared_do_not_come_back(tmp_path):
    path, copy = tmp_path / "run.rollout", tmp_path / "copy.rollout"
    for number, env in enumerate(calls("CartPole", path)):
        if number == 300:
            env.cache.clear()
        if number == 700:
            break
    num_rows = env.cache.recording.num_appended
    env.cache.recording._writer.drain()
    for side in ("", "-wal", "-rows"):
        shutil.copyfile(f"{path}{side}", f"{copy}{side}")
    with rv.open(copy) as cache:
        assert num_rows - 32 <= cache.num_rows <= num_rows
        np.testing.assert_array_equal(
            cache.scalars["reward"],
            env.cache.scalars["reward"][: cache.num_rows],
        )
    env.close()


def test_a_forked_child_keeps_the_rows_that_its_parent_goes_on_with(tmp_path):
    path = tmp_path / "run.rollout"
    loop = calls("CartPole", path)
    for _ in range(300):
        env = next(loop)
    parent, child = os.pipe()
    pid = os.fork()
    if not pid:
        is_right = False
        try:
            os.read(parent, 1)  # its parent has recorded over what it had
            is_right = env.cache.num_rows == 300
            truth = recorded(300)
            assert_same(env.cache, truth.cache)
        except BaseException:
            is_right = False
        finally:
            os._exit(0 if is_right else 1)
    for _ in range(3000):
        next(loop)
    os.write(child, b"x")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    truth = recorded(3300)
    assert_same(env.cache, truth.cache)
    os.close(parent)
    os.close(child)
    env.close()
    truth.close()


def test_a_row_that_was_read_stays_as_it_was(tmp_path):
    path = tmp_path / "run.rollout"
    loop = calls("CartPole", path)
    for _ in range(300):
        env = next(loop)
    held = [env.cache.recording.extras(row) for row in range(290, 300)]
    before = [{name: array.copy() for name, array in row.items()} for row in held]
    for _ in range(4000):
        next(loop)
    for row, old in zip(held, before, strict=True):
        for name in row:
            np.testing.assert_array_equal(row[name], old[name])
    env.close()


@survives(
    "a recording of a killed `render='later'` that is copied without its `-rows`",
    kept="all rows but the newest",
    lost="what is in the `-rows` only, up to a thousand rows",
    seen="nothing; `rv.open` shows what is there",
)
def test_a_copy_without_the_file_beside_it_has_the_rows_before(left, truth):
    os.unlink(side_path(left))
    with rv.open(left) as cache:
        num_rows = cache.num_rows
        assert 0 < num_rows < 480
        np.testing.assert_array_equal(
            cache.scalars["reward"], truth.scalars["reward"][:num_rows]
        )


def test_starts_of_episodes_for_which_there_is_no_room_are_stored_at_once(tmp_path):
    def loop(path):
        """Record episodes of three steps, with much to know before each."""
        env = rv.record(gymnasium.make("CartPole-v1"), cache=path, render="later")
        rng = np.random.default_rng(0)
        for number in range(220):
            note = rng.bytes(3000).hex()
            seed = number if number == 0 else None
            env.reset(seed=seed, options={"note": note})
            for _ in range(3):
                env.step(int(rng.integers(2)))
            if number % 50 == 7:
                assert env.cache.num_rows == 4 * number + 4
        return env

    path, copy = tmp_path / "run.rollout", tmp_path / "copy.rollout"
    env, truth = loop(path), loop(None)
    env.cache.recording._writer.drain()
    for side in ("", "-wal", "-rows"):
        shutil.copyfile(f"{path}{side}", f"{copy}{side}")
    env.close()
    with rv.open(path) as cache:
        assert_same(cache, truth.cache)
    with rv.open(copy) as cache:
        assert cache.num_rows >= 880 - 32
        for index in range(len(cache.episodes)):
            start = cache.recording.start_of(0, index)
            assert start == truth.cache.recording.start_of(0, index)
    truth.close()


def test_a_follower_sees_rows_that_wait_for_others(tmp_path):
    path = tmp_path / "run.rollout"
    env = recorded(300, path)
    with rv.open(path) as cache:
        deadline_s = time.monotonic() + 30
        while cache.num_rows < 300:
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        assert_same(cache, env.cache)
    env.close()


def test_rows_of_large_values_do_not_wait():
    assert row_memory.form_of(1, {"obs": np.zeros((1, 400))}) == ()


@pytest.mark.parametrize(
    "content",
    [b"", b"RVROWS\x01\n", os.urandom(5000), b"RVROWS\x01\n" + bytes(200)],
)
def test_a_file_of_something_else_is_refused_or_left_out(left, content):
    with open(side_path(left), "wb") as file:
        file.write(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        with rv.open(left) as cache:
            assert 0 < cache.num_rows <= 480


def test_they_stay_beside_their_recording_wherever_the_process_goes(
    tmp_path, monkeypatch
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = elsewhere / "run.rollout-rows"
    other.write_bytes(b"of another recording")
    monkeypatch.chdir(tmp_path)
    loop = calls("CartPole", "run.rollout")
    env = next(itertools.islice(loop, 19, None))
    monkeypatch.chdir(elsewhere)
    next(itertools.islice(loop, 480, None))

    assert other.read_bytes() == b"of another recording"
    assert os.path.exists(tmp_path / "run.rollout-rows")
    assert str(env.cache.path) == "run.rollout"
    env.close()
    env.cache.close()
    env.cache.recording.release()
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "elsewhere",
        "run.rollout",
    ]


def test_a_working_directory_that_is_deleted_costs_nothing(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    loop = calls("CartPole", "run.rollout")
    env = next(itertools.islice(loop, 19, None))
    monkeypatch.chdir(folder)
    folder.rmdir()
    next(itertools.islice(loop, 480, None))
    assert env.cache.num_rows == 501
    env.close()
    env.cache.close()
    with rv.open(tmp_path / "run.rollout") as cache:
        assert cache.num_rows == 501


def test_a_recording_that_ended_keeps_no_file_in_memory(tmp_path):
    def is_mapped():
        with open("/proc/self/maps") as maps:
            return any(str(tmp_path) in line for line in maps if "-rows" in line)

    if not os.path.exists("/proc/self/maps"):
        pytest.skip("what is mapped is read in /proc")
    env = recorded(500, tmp_path / "run.rollout")
    assert is_mapped()
    cache = env.cache
    env.close()
    cache.close()
    assert not is_mapped()
    other = recorded(500)
    assert_same(cache, other.cache)
    other.close()


@pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="a mapped file takes no descriptor"
)
def test_so_many_files_are_mapped_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(row_memory, "_MAX_MAPPED", len(row_memory._mapped))
    env = recorded(500, tmp_path / "run.rollout")
    assert not os.path.exists(tmp_path / "run.rollout-rows")
    assert env.cache.num_rows == 500
    env.close()


def test_a_file_that_is_deleted_costs_the_rows_of_a_block(tmp_path):
    path, copy = tmp_path / "run.rollout", tmp_path / "copy.rollout"
    loop = calls("CartPole", path)
    env = next(itertools.islice(loop, 299, None))
    os.unlink(side_path(path))
    env.cache.recording._saved._next_look_s = 0.0  # as if time had passed
    next(itertools.islice(loop, 150, None))
    env.cache.recording._writer.drain()
    for side in ("", "-wal"):
        shutil.copyfile(f"{path}{side}", f"{copy}{side}")
    assert not os.path.exists(side_path(path))
    with rv.open(copy) as cache:
        assert cache.num_rows >= 451 - 32
    env.close()


def test_a_recording_that_was_deleted_leaves_the_next_one_at_its_path_alone(tmp_path):
    path = tmp_path / "run.rollout"
    loop = calls("CartPole", path)
    old = next(itertools.islice(loop, 199, None))
    for one in tmp_path.iterdir():
        one.unlink()
    new = recorded(300, path)
    number = os.stat(side_path(path)).st_ino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        old.cache.clear()
        for _ in range(100):
            next(loop)
        old.cache.recording.release()

    assert os.stat(side_path(path)).st_ino == number
    new.close()
