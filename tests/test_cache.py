"""What goes into a cache comes out of it, whoever reads and whatever fails."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.wal import FORMAT_VERSION

NUM_ROWS = 75  # two full blocks and an open one


def film(num_rows=NUM_ROWS, num_envs=2, height=12, width=10, seed=0):
    return np.random.default_rng(seed).integers(
        0, 256, (num_rows, num_envs, height, width, 3), np.uint8
    )


def fill(cache, frames, start=0):
    """Record `frames` as one episode of each env, with numbers of the row in it."""
    for row, images in enumerate(frames, start):
        is_first = row == 0
        num_envs = len(images)
        cache.append(
            images,
            reset=[is_first] * num_envs,
            reward=None if is_first else np.full(num_envs, float(row)),
            action=None if is_first else np.arange(num_envs) + 10 * row,
            data={"obs": np.full((num_envs, 3), row, np.float32)},
        )
    return cache


def files(folder):
    return sorted(p.name for p in folder.iterdir())


# -- what comes out


def test_every_way_of_reading_gives_what_was_appended():
    frames = film()
    with fill(rv.FrameCache(), frames) as cache:
        assert (cache[:] == frames).all()
        assert (cache[40] == frames[40]).all()
        assert (cache[-1, 1] == frames[-1, 1]).all()
        assert (cache[10:50:7, 0] == frames[10:50:7, 0]).all()
        assert (
            cache.frames([70, 3, 33], envs=[1, 0]) == frames[[70, 3, 33]][:, ::-1]
        ).all()
        out = np.empty((2, 2, 12, 10, 3), np.uint8)
        assert cache.frames(range(31, 33), out=out) is out
        assert (out == frames[31:33]).all()


def test_reading_while_a_chunk_grows_sees_each_new_row():
    frames = film(40, 1)
    cache = rv.FrameCache()
    for row, images in enumerate(frames):
        cache.append(images)
        assert (cache[row] == images).all()
        assert (cache[row // 2] == frames[row // 2]).all()


def test_the_action_stands_at_the_frame_where_it_was_chosen():
    cache = fill(rv.FrameCache(), film())

    for row in (0, 30, 31, 32, 63, 73):  # blocks end at 31 and 63
        assert cache.at(row, 1).action == 1 + 10 * (row + 1)
    assert cache.at(NUM_ROWS - 1, 1).action is None
    np.testing.assert_array_equal(
        cache.column("action")[:-1], np.arange(2) + 10 * np.arange(1, NUM_ROWS)[:, None]
    )


def test_no_action_is_shown_where_the_next_row_is_a_reset():
    cache = rv.FrameCache()
    frame = film(1, 1)[0]
    cache.append(frame, reset=[True])
    cache.append(frame, reward=1.0, terminated=True, action=[3])
    cache.append(frame, reset=[True], action=[4])

    assert cache.at(0, 0).action == 3
    assert cache.at(1, 0).action is None
    np.testing.assert_array_equal(cache.column("action")[:, 0], [3, 0, 0])


def test_idle_rows_show_the_action_that_is_chosen_at_their_frame():
    cache = rv.FrameCache()
    frames = film(1, 2)[0]
    cache.append(frames, reset=[True, True])
    cache.append(frames, kind=["idle", "step"], reward=[0, 1], action=[0, 5])
    cache.append(frames, kind=["step", "step"], reward=[1, 1], action=[7, 8])

    assert cache.at(0, 0).action == cache.at(1, 0).action == 7
    assert [cache.at(row, 1).action for row in (0, 1)] == [5, 8]
    assert cache.column("action").tolist() == [[7, 5], [7, 8], [0, 0]]
    assert cache.raw_column("action", 1, 3).tolist() == [[0, 5], [7, 8]]


def test_an_action_is_found_behind_any_number_of_idle_rows():
    cache = rv.FrameCache()
    frames = film(1, 2)[0]
    cache.append(frames, reset=[True, True])
    for _ in range(100):
        cache.append(frames, kind=["idle", "step"], reward=[0, 1], action=[0, 5])
    cache.append(frames, kind=["step", "idle"], reward=[1, 0], action=[7, 0])

    assert {cache.at(row, 0).action for row in (0, 1, 50, 100)} == {7}
    assert cache.at(101, 0).action is None
    assert cache.at(100, 1).action is None
    assert (cache.column("action")[:-1, 0] == 7).all()


def test_an_idle_env_has_no_data_where_others_have():
    cache = rv.FrameCache()
    frames = film(1, 2)[0]
    data = {"obs": np.ones((2, 3), np.float32), "count": np.array([4, 5])}
    cache.append(frames, reset=[True, True], data=data)
    cache.append(frames, kind=["idle", "step"], reward=[0, 1], data=data)
    cache.append(frames, kind=["step", "step"], reward=[1, 1], data=data)

    assert cache.at(1, 0).obs is None
    assert cache.at(1, 0).count is None
    assert cache.at(1, 1).obs.tolist() == [1, 1, 1]
    assert np.isnan(cache.column("obs")[1, 0]).all()
    assert cache.column("obs")[[0, 2], 0].tolist() == [[1, 1, 1]] * 2
    assert cache.column("count")[:, 0].tolist() == [4, 0, 4]
    table = cache.clip().table()
    assert np.isnan(table["obs.1"]).tolist() == [False, False, True] + [False] * 3
    assert np.isnan(table["count"]).tolist() == [False, False, True] + [False] * 3


def test_at_tells_everything_by_key_and_by_attribute():
    cache = rv.FrameCache()
    frame = film(1, 1)[0]
    with cache.segment("eval", train_step=100):
        cache.append(frame, reset=[True], episode_info={0: {"seed": 7}})
    cache.append(frame, reward=2.5, truncated=True, action=[1], data={"value": [0.5]})

    moment = cache.at(1, 0)

    assert (moment.reward, moment["truncated"], moment.terminated) == (2.5, True, False)
    assert (moment.kind, moment.episode, moment.episode_step) == ("step", 0, 1)
    assert (moment.total_reward, moment.value, moment.seed) == (2.5, 0.5, 7)
    assert (moment.segment, moment.labels) == ("eval", {"train_step": 100})
    assert set(cache.at(0, 0)) >= {"row", "env", "action", "has_picture"}
    with pytest.raises(AttributeError):
        moment.nothing


def test_data_may_change_its_shape_from_row_to_row():
    cache = rv.FrameCache()
    for row in range(40):
        cache.append(None, data={"cloud": np.full((1, row % 5, 2), row)})

    assert cache.at(3, 0).cloud.shape == (3, 2)
    assert cache.at(39, 0).cloud.tolist() == [[39, 39]] * 4
    with pytest.raises(rv.ShapeError, match="of one shape"):
        cache.column("cloud")


def test_scalars_have_a_column_for_each_env():
    cache = fill(rv.FrameCache(), film())
    scalars = cache.scalars

    assert {name: array.shape for name, array in scalars.items()} == dict.fromkeys(
        scalars, (NUM_ROWS, 2)
    )
    assert scalars["kind"][:2, 0].tolist() == ["reset", "step"]
    assert scalars["total_reward"][3].tolist() == [6.0, 6.0]
    assert scalars["env_step"][-1].tolist() == [74, 74]


def test_pictures_of_some_envs_stand_beside_the_rewards_of_all():
    cache = rv.FrameCache()
    frames = film(3, 2)
    for images in frames:
        cache.append(images, envs=[1, 5], reward=np.arange(8.0))

    assert cache.num_envs == 8
    assert cache.pictured_envs == (1, 5)
    assert (cache[2, 5] == frames[2, 1]).all()
    assert cache.scalars["reward"][2, 7] == 7.0
    with pytest.raises(rv.RowError, match=r"a pictured env in \[1, 5\]"):
        cache[0, 0]


def test_one_picture_of_the_whole_simulation_is_shared():
    cache = rv.FrameCache()
    frames = film(3, 1)
    for images in frames:
        cache.append(images[0], reward=np.arange(4.0))

    assert cache.is_shared
    assert cache.num_envs == 4
    assert (cache[1, 3] == frames[1, 0]).all()
    assert cache[1].shape == (1, 12, 10, 3)


def test_envs_of_unequal_size_keep_theirs():
    cache = rv.FrameCache()
    small, large = film(1, 1)[0, 0], film(1, 1, 20, 30)[0, 0]
    cache.append([small, large])

    assert (cache[0, 0] == small).all()
    assert (cache[0, 1] == large).all()
    with pytest.raises(rv.FrameError, match="one by one"):
        cache[0]


def test_cameras_share_the_rows():
    cache = rv.FrameCache()
    front, top = film(40, 1), film(40, 1, 8, 8)
    for row in range(40):
        both = {"front": front[row], "top": top[row]}
        cache.append(both if row % 2 == 0 else {"front": front[row]})

    assert cache.cameras == ["front", "top"]
    assert (cache[33] == front[33]).all()
    assert (cache.frames(33, camera="top")[0] == top[32]).all()


def test_a_camera_that_was_not_delivered_repeats_and_is_marked_absent(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    front, top = film(70, 1), film(1, 1, 8, 8)[0]
    for row in range(70):
        frames = {"front": front[row], "top": top if row % 20 == 0 else None}
        cache.append(frames, kind=["idle" if row == 35 else "step"], reward=[0])
        if row == 66:
            cache.flush()
    cache.flush()

    for one in (cache, rv.open(cache.path), rv.open(cache.save(tmp_path / "copy"))):
        has_picture = [one.has_picture(row, 0, "top") for row in range(70)]
        # Nothing was due in the idle row; 32 and 64 begin a chunk.
        assert [row for row in range(70) if has_picture[row]] == [0, 20, 35, 40, 60]
        assert all(one.is_shown(row, 0, "top") for row in range(70))
        assert (one.frames(range(70), camera="top") == top).all()
    clip = cache.clip(30, 34, camera="top")
    assert all((frame == top[0]).all() for frame in clip.frames())


def test_rows_without_any_frames_repeat_their_pictures_and_say_so(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    frames = film(70)
    for row in range(70):
        has_frames = row % 3 != 2 and row != 32
        kind = "idle" if row == 40 else "step"
        cache.append(frames[row] if has_frames else None, kind=[kind] * 2)
    expected = [row % 3 == 2 or row == 32 for row in range(70)]

    for one in (cache, rv.open(cache.path), rv.open(cache.save(tmp_path / "copy"))):
        found = [one.is_repeated(row, 0) for row in range(one.num_rows)]
        assert found == expected[: one.num_rows]
        assert one.repeated(0, one.num_rows)[:, 1].tolist() == found
        assert one.repeated(30, 35, [1]).tolist() == [[x] for x in found[30:35]]
        assert (one[32] == frames[31]).all()
    now = cache.at(32, 1)
    assert (now.is_repeated, now.has_picture) == (True, False)
    now = cache.at(33, 1)
    assert (now.is_repeated, now.has_picture) == (False, True)
    # A column only where there is anything to say; all were idle in row 40.
    column = cache.clip().table()["is_repeated"].reshape(69, 2)[:, 0]
    assert column.tolist() == expected[:40] + expected[41:]
    assert "is_repeated" not in cache.clip(0, 2).table()


def test_an_env_left_out_of_the_frames_is_marked_absent():
    cache = rv.FrameCache()
    frames = film(2)
    cache.append(frames[0])
    cache.append(frames[1, :1], envs=[0], reward=[0, 0])

    assert [cache.has_picture(1, env) for env in (0, 1)] == [True, False]
    assert (cache[1, 1] == frames[0, 1]).all()


def test_idle_and_missing_rows_show_the_last_picture_and_none():
    cache = rv.FrameCache()
    frames = film(3, 2)
    cache.append(frames[0], reset=[True, True])
    cache.append(
        frames[1], kind=["idle", "terminal_missing"], terminated=[0, 1], reward=[1, 1]
    )

    assert (cache[1, 0] == frames[0, 0]).all()
    assert not cache[1, 1].any()
    assert cache.has_picture(1, 0)
    assert not cache.has_picture(1, 1)


def test_subscribers_are_notified_of_rows_until_they_unsubscribe():
    cache, notified = rv.FrameCache(), []
    unsubscribe = cache.subscribe(lambda start, stop: notified.append((start, stop)))

    cache.append(film(1, 1)[0])
    cache.append(film(1, 1)[0])
    unsubscribe()
    cache.append(film(1, 1)[0])

    assert notified == [(0, 1), (1, 2)]


def test_a_subscriber_that_fails_stops_nobody():
    cache = rv.FrameCache()
    cache.subscribe(lambda *_: 1 / 0)

    with pytest.warns(rv.RolloutViewerWarning, match="ZeroDivisionError"):
        cache.append(film(1, 1)[0])

    assert cache.num_rows == 1


# -- what is refused


def first_row(**step):
    cache = rv.FrameCache()
    cache.append(film(1, 2)[0], reward=[0, 0])
    return cache


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        (
            {"frames": film(1, 2)[0] / 255.0},
            rv.FrameError,
            "uint8 as before, got float64",
        ),
        ({"frames": film(1, 3)[0]}, rv.ShapeError, "2 frames of 'pixels'"),
        ({"frames": film(1, 2)[0], "envs": [0, 2]}, rv.ShapeError, r"envs in 0\.\.1"),
        ({"frames": film(1, 2)[0], "envs": [1, 1]}, rv.ShapeError, "for each of envs"),
        ({"frames": None, "reward": [1]}, rv.ShapeError, "reward of shape"),
        ({"frames": None, "action": [1]}, rv.ShapeError, "action of shape"),
        ({"frames": None, "data": {"x": "text"}}, rv.ShapeError, "to be numbers"),
        ({"frames": None, "data": {"action": [1, 2]}}, rv.ShapeError, "Pass action="),
    ],
)
def test_a_row_that_does_not_fit_is_refused_whole(step, error, message):
    cache = first_row()
    before = cache[:].copy()

    with pytest.raises(error, match=message):
        cache.append(**step)

    assert cache.num_rows == 1
    assert (cache[:] == before).all()
    cache.append(film(1, 2)[0], reward=[1, 1])


def test_a_closed_cache_stays_readable_and_takes_no_more():
    cache = fill(rv.FrameCache(), film())
    cache.close()
    cache.close()

    with pytest.raises(rv.CacheClosedError, match="a new FrameCache"):
        cache.append(film(1)[0])

    assert (cache[:] == film()).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "expected fps to be a number"),
        ({"memory_bytes": 5}, "memory_bytes >= 1000000"),
        ({"disk_bytes": 5}, "disk_bytes >= 1000000"),
        ({"keep": "newest"}, "'all' or 'latest', got 'newest'"),
        ({"keep": "latest"}, "expected disk_bytes with keep='latest'"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rv.FrameCache(**options)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (75, r"a row in 0\.\.74, got 75"),
        (-76, r"a row in 0\.\.74, got -76"),
        (1.5, "expected row numbers"),
        (True, "a bool for each of 75 rows, got True"),
        ("a", "expected row numbers"),
    ],
)
def test_a_row_that_is_not_there_is_named(rows, message):
    cache = fill(rv.FrameCache(), film())

    with pytest.raises(rv.RowError, match=message):
        cache[rows]


def test_a_bool_for_each_row_chooses_rows():
    cache = fill(rv.FrameCache(), film())
    is_wanted = cache.scalars["reward"][:, 0] > 70

    assert (cache[is_wanted] == film()[71:]).all()


def test_arrays_of_any_memory_order_come_back_as_they_look():
    cache = rv.FrameCache()
    values = np.arange(12.0).reshape(2, 2, 3).swapaxes(1, 2)
    for _ in range(40):
        cache.append(None, reward=[1, 1], data={"x": values}, action=values)
    cache.flush()

    for source in (cache, rv.open(cache.path)):
        for row in (0, 35):
            assert (source.at(row, 1).x == values[1]).all()
            assert (source.at(row, 1).action == values[1]).all()


def test_what_at_returns_is_the_callers_own():
    cache = fill(rv.FrameCache(), film())

    cache.at(74, 0).obs[:] = 7

    assert cache.at(74, 0).obs.tolist() == [74, 74, 74]


def test_a_camera_of_all_envs_stands_beside_one_of_each():
    cache = rv.FrameCache()
    wrist, overview = film(3, 4), film(3, 1, 20, 20)
    for row in range(3):
        cache.append(
            {"wrist": wrist[row], "overview": overview[row, 0]}, reward=np.zeros(4)
        )

    assert (cache[2] == wrist[2]).all()
    assert (cache.frames(2, envs=[3], camera="overview")[0, 0] == overview[2, 0]).all()
    assert not cache.is_shared


@pytest.mark.parametrize(("first", "then"), [(4, 1), (1, 4)])
def test_a_camera_does_not_change_whom_it_shows(first, then):
    cache = rv.FrameCache()
    frames = film(1, 4)[0]
    cache.append(frames[:first], reward=np.zeros(4))

    with pytest.raises(rv.ShapeError, match="as before"):
        cache.append(frames[:then], reward=np.zeros(4))

    assert (cache[0, 0] == frames[0]).all()
    cache.clear()
    cache.append(frames[:then], reward=np.zeros(4))
    assert cache.is_shared == (then == 1)


def test_an_open_recording_is_always_seen_as_it_is_now(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path)
    opened = rv.open(path)
    assert opened.num_envs == 0

    fill(cache, film()[:2])
    cache.flush()

    assert (opened.num_envs, opened.cameras) == (2, ["pixels"])
    assert opened.find(1, 0, 1) == 1
    cache.close()
    assert not opened.is_live


def test_what_is_read_after_a_clear_is_of_the_new_rows(tmp_path):
    first, then = film(40)[:20], film(40)[20:]
    path = tmp_path / "run.rollout"
    cache = fill(rv.FrameCache(path), first)
    cache.flush()
    opened, joined = rv.open(path), rv.open([path])
    for reader in (opened, joined):
        assert (reader[0:20] == first).all()

    cache.clear()
    fill(cache, then)
    cache.flush()

    for reader in (opened, joined, cache):
        assert (reader[0:20] == then).all()


# -- files


def test_flush_and_close_leave_one_complete_file(tmp_path):
    path = tmp_path / "run.rollout"
    cache = fill(rv.FrameCache(path), film())

    cache.flush()
    shutil.copy(path, tmp_path / "copy.rollout")
    cache.append(film()[0])
    cache.close()

    assert files(tmp_path) == ["copy.rollout", "run.rollout"]
    assert (rv.open(tmp_path / "copy.rollout")[:] == film()).all()
    reopened = rv.open(path)
    assert reopened.num_rows == NUM_ROWS + 1
    assert reopened.episodes == cache.episodes
    assert not reopened.is_live


def test_a_file_keeps_everything(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path, fps=50, metadata={"env_id": "X-v0"})
    with cache, cache.segment("eval", seed=3, train_step=7):
        fill(cache, film())

    opened = rv.open(path)

    assert (opened.fps, opened.metadata) == (50.0, {"env_id": "X-v0"})
    assert opened.episodes == cache.episodes
    assert opened.episodes[0].labels == {"train_step": 7}
    for row in (0, 31, 74):
        assert str(opened.at(row, 1)) == str(cache.at(row, 1))
    for name, column in cache.scalars.items():
        np.testing.assert_array_equal(opened.scalars[name], column)
    assert opened.nbytes == cache.nbytes


def test_step_data_of_sealed_blocks_is_merged_as_it_grows(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path)
    opened = None
    for row in range(2100):
        cache.append(None, reward=float(row), data={"obs": [row]})
        if row in (500, 1030):
            cache.flush()
            opened = opened or rv.open(path)
            assert opened.num_rows == row + 1
    cache.close()

    with sqlite3.connect(path) as connection:
        blocks = [b for (b,) in connection.execute("SELECT block FROM steps")]
    connection.close()
    assert blocks == [0, 32, 64]  # each 1024 rows; 64 is the last full block
    for one in (opened, rv.open(path), rv.open(cache.save(tmp_path / "saved"))):
        assert one.num_rows == 2100
        assert one.scalars["reward"][:, 0].tolist() == list(range(2100))
        assert [one.at(row, 0).obs for row in (0, 1023, 2099)] == [0, 1023, 2099]


def test_a_forgotten_close_loses_nothing(tmp_path):
    cache = fill(rv.FrameCache(tmp_path / "run.rollout"), film())
    del cache
    gc.collect()

    assert files(tmp_path) == ["run.rollout"]
    assert (rv.open(tmp_path / "run.rollout")[:] == film()).all()


def test_a_temporary_file_goes_with_its_cache():
    cache = fill(rv.FrameCache(), film())
    path = cache.path
    assert path.exists()

    del cache
    gc.collect()

    assert not path.exists()


def test_a_second_run_does_not_overwrite_the_first(tmp_path):
    path = tmp_path / "run.rollout"
    for _ in range(2):
        fill(rv.FrameCache(path), film()).close()

    assert files(tmp_path) == ["run-1.rollout", "run.rollout"]


def test_a_file_that_another_process_writes_is_refused_by_name(tmp_path):
    path = tmp_path / "run.rollout"
    script = f"""
        import sys, numpy as np, rollout_viewer as rv
        cache = rv.FrameCache({str(path)!r})
        cache.append(np.zeros((1, 4, 4, 3), np.uint8))
        cache.flush()
        print("ready", flush=True)
        sys.stdin.read()
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        other.stdout.readline()

        with pytest.raises(rv.RecordingLockedError, match=f"process {other.pid} on"):
            rv.FrameCache(path)

        other.stdin.close()


def test_another_process_reads_while_this_one_writes(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path)
    fill(cache, film()[:40])
    cache.flush()
    script = f"""
        import time, rollout_viewer as rv
        cache = rv.open({str(path)!r})
        print(cache.num_rows, flush=True)
        input()
        deadline = time.monotonic() + 60
        while cache.num_rows < {NUM_ROWS} and time.monotonic() < deadline:
            time.sleep(0.02)
        print(cache.num_rows, int(cache[:].sum()), cache.is_live, flush=True)
    """
    reader = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        assert reader.stdout.readline() == "40\n"
        fill(cache, film()[40:], start=40)
        reader.stdin.write("go\n")
        reader.stdin.flush()

        total = int(film().sum())
        assert reader.stdout.readline() == f"{NUM_ROWS} {total} True\n"


def test_an_env_first_pictured_late_in_an_open_block_is_followed(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    frames = film(2)
    cache.append([frames[0, 0], None])
    cache.flush()
    cache.append(frames[1])
    cache.flush()

    opened = rv.open(cache.path)

    assert (opened[1] == frames[1]).all()
    assert not opened.has_picture(0, 1)


def test_a_followed_file_tells_its_subscribers(tmp_path):
    path = tmp_path / "run.rollout"
    cache = fill(rv.FrameCache(path), film())
    cache.flush()
    arrived = threading.Event()
    opened = rv.open(path)
    opened.subscribe(lambda start, stop: (start, stop) == (75, 76) and arrived.set())

    cache.append(film()[0], reward=[1, 1])

    assert arrived.wait(60)


@pytest.mark.serial
def test_killing_the_process_loses_a_second_at_most(tmp_path):
    path = tmp_path / "run.rollout"
    script = f"""
        import time, numpy as np, rollout_viewer as rv
        cache = rv.FrameCache({str(path)!r})
        for row in range(70):
            cache.append(np.full((1, 8, 8, 3), row, np.uint8), reward=float(row))
        time.sleep(1.2)
        print("ready", flush=True)
        time.sleep(60)
    """
    victim = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE
    )
    with victim:
        victim.stdout.readline()
        os.kill(victim.pid, signal.SIGKILL)

    cache = rv.open(path)

    assert cache.num_rows == 70
    assert cache[:, 0][:, 0, 0, 0].tolist() == list(range(70))
    assert cache.is_live  # its end was not written
    assert rv.FrameCache(path).path.name == "run-1.rollout"


def test_save_copies_a_recording_that_goes_on(tmp_path):
    cache = fill(rv.FrameCache(), film())

    saved = cache.save(tmp_path / "saved.rollout")
    again = cache.save(tmp_path / "saved.rollout")
    cache.append(film()[0])

    assert (saved.name, again.name) == ("saved.rollout", "saved-1.rollout")
    opened = rv.open(saved)
    assert (opened[:] == film()).all()
    assert opened.at(74, 0).obs.tolist() == [74, 74, 74]
    assert files(tmp_path) == ["saved-1.rollout", "saved.rollout"]


def test_clear_forgets_and_goes_on(tmp_path):
    path = tmp_path / "run.rollout"
    cache = fill(rv.FrameCache(path), film())
    opened = rv.open(path)
    cache.clear()
    assert cache.num_rows == 0

    cache.append(film(1, 1, 5, 5)[0])
    cache.flush()

    assert cache[0].shape == (1, 5, 5, 3)
    assert opened.num_rows == 1
    assert (opened[0] == cache[0]).all()


@pytest.mark.parametrize(
    "make", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_a_copy_reads_the_same_file(make):
    cache = fill(rv.FrameCache(), film())

    handle = make(cache)

    assert (handle[:] == film()).all()
    with pytest.raises(rv.ReadOnlyError, match="opened for reading"):
        handle.append(film()[0])


def test_a_forked_child_neither_writes_nor_deletes(tmp_path):
    script = """
        import gc, os, numpy as np, rollout_viewer as rv
        cache = rv.FrameCache()
        for row in range(40):
            cache.append(np.full((1, 4, 4, 3), row, np.uint8))
        child = os.fork()
        if child == 0:
            try:
                cache.append(np.zeros((1, 4, 4, 3), np.uint8))
            except rv.ReadOnlyError:
                print("refused", int(cache[20].max()), flush=True)
            del cache
            gc.collect()
            os._exit(0)
        os.waitpid(child, 0)
        cache.append(np.full((1, 4, 4, 3), 40, np.uint8))
        print(cache.path.exists(), int(cache[40].max()), int(cache[3].max()))
    """
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert result.stdout == "refused 20\nTrue 40 3\n"


def make_other_database(path):
    connection = sqlite3.connect(path)
    connection.execute("create table x (y)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "does not exist"),
        (lambda p: p.write_bytes(b"GIF89a" * 100), "a recording of rollout_viewer"),
        (make_other_database, "another application"),
        (lambda p: p.mkdir(), "is a folder"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path, make, message):
    path = tmp_path / "x.rollout"
    make(path)

    with pytest.raises(rv.RecordingError, match=message):
        rv.open(path)


def test_a_newer_recording_asks_for_an_upgrade(tmp_path):
    path = tmp_path / "x.rollout"
    fill(rv.FrameCache(path), film()).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    connection.close()

    with pytest.raises(rv.RecordingError, match="pip install --upgrade rollout-viewer"):
        rv.open(path)


def test_a_damaged_chunk_costs_its_rows_only(tmp_path):
    path = tmp_path / "x.rollout"
    fill(rv.FrameCache(path), film()).close()
    with sqlite3.connect(path) as connection:
        (blob,) = connection.execute("SELECT data FROM packs WHERE id = 0").fetchone()
        connection.execute(
            "UPDATE packs SET data = ? WHERE id = 0", (blob[:500] + b"x" + blob[501:],)
        )
    connection.close()
    opened = rv.open(path)

    with pytest.raises(rv.RecordingError, match="block 0, slot 0: .* wrong checksum"):
        opened[3]

    assert (opened[40] == film()[40]).all()
    assert opened.at(3, 0).reward == 3.0


@pytest.mark.parametrize("table", ["steps", "extras", "packs"])
def test_no_flipped_bit_goes_unnoticed(tmp_path, table):
    path = tmp_path / "x.rollout"
    fill(rv.FrameCache(path), film()).close()
    column = "directory" if table == "packs" else "data"
    key = "id" if table == "packs" else "block"
    with sqlite3.connect(path) as connection:
        rowid, blob = connection.execute(
            f"SELECT {key}, {column} FROM {table} ORDER BY {key} DESC"
        ).fetchone()
    connection.close()
    expected = rv.open(path)
    good = (expected.scalars["reward"], [str(expected.at(r, 0)) for r in range(75)])

    for position in range(0, len(blob), max(1, len(blob) // 40)):
        damaged = bytearray(blob)
        damaged[position] ^= 1 << position % 8
        with sqlite3.connect(path) as connection:
            connection.execute(
                f"UPDATE {table} SET {column} = ? WHERE {key} = ?",
                (bytes(damaged), rowid),
            )
        connection.close()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            opened = rv.open(path)
        if table == "steps":
            assert "rows can be read" in str(caught[0].message)
            assert (opened[:32] == film()[:32]).all()
            continue
        np.testing.assert_array_equal(opened.scalars["reward"], good[0])
        with pytest.raises(rv.RecordingError, match="intact"):
            [opened.at(row, 0) for row in range(75)] if table == "extras" else opened[:]


def test_a_path_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(rv.RecordingError, match="can be written"):
        rv.FrameCache(tmp_path / "file" / "run.rollout")


# -- faults of storage


def test_a_deleted_file_warns_once_and_recording_goes_on(tmp_path):
    path = tmp_path / "run.rollout"
    cache = fill(rv.FrameCache(path), film())
    cache.flush()
    path.unlink()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        deadline = time.monotonic() + 60
        row = NUM_ROWS
        while time.monotonic() < deadline and (not caught or row < 300):
            cache.append(film(1)[0], reward=[row, row])
            row += 1

    assert [w.category for w in caught] == [rv.RolloutViewerWarning]
    assert "a file that was deleted" in str(caught[0].message)
    # It is written on, and can be read here.
    assert cache.num_lost == 0
    assert cache.scalars["reward"][row - 1].tolist() == [row - 1, row - 1]
    with pytest.raises(rv.StorageError, match="pictures were lost"):
        cache.flush()
    saved = rv.open(cache.save(tmp_path / "saved.rollout"))
    assert (saved[:NUM_ROWS] == film()).all()
    assert (saved[row - 1] == film(1)[0]).all()
    assert saved.scalars["reward"][row - 1].tolist() == [row - 1, row - 1]
    with pytest.raises(rv.StorageError, match="pictures were lost"):
        cache.close()


def test_a_full_disk_costs_pictures_and_not_step_data(tmp_path):
    cache = fill(rv.FrameCache(tmp_path / "run.rollout"), film())
    cache.flush()
    writer = cache.recording._writer
    pages = cache.recording._file._connection.execute("PRAGMA page_count").fetchone()[0]
    # SQLite's own limit gives the same error as a full disk: SQLITE_FULL.
    cache.recording._file._connection.execute(f"PRAGMA max_page_count = {pages + 12}")

    with pytest.warns(rv.RolloutViewerWarning, match="full"):
        for row, images in enumerate(film(225, seed=1), NUM_ROWS):
            cache.append(images, reward=[row, row])
            writer.drain()

    assert cache.num_lost > 0
    assert cache.scalars["reward"][299].tolist() == [299, 299]
    assert (cache[:NUM_ROWS][:64] == film()[:64]).all()
    with pytest.raises(rv.StorageError, match="full"):
        cache.flush()
    saved = rv.open(cache.save(tmp_path / "saved.rollout"))
    assert saved.num_rows == 300
    assert saved.scalars["reward"][299].tolist() == [299, 299]
    with pytest.raises(rv.StorageError):
        cache.close()


def test_a_disk_that_stalls_drops_pictures_after_max_stall(tmp_path):
    cache = rv.FrameCache(
        tmp_path / "run.rollout", memory_bytes=1_000_000, max_stall_s=0.01
    )
    writer = cache._live._writer
    is_free, transact = threading.Event(), writer._transact
    writer._transact = lambda statements: (is_free.wait(30), transact(statements))

    with pytest.warns(rv.RolloutViewerWarning, match="slower than the recording"):
        fill(cache, film(320, 1, 40, 40))
    is_free.set()
    cache.close()

    assert 0 < cache.num_lost < 320
    assert cache.num_rows == 320
    assert cache.at(319, 0).obs.tolist() == [319, 319, 319]


def test_a_row_like_the_one_before_is_checked_as_the_first_was() -> None:
    def frame(value: int, height: int = 8) -> np.ndarray:
        return np.full((height, 9, 3), value, np.uint8)

    with rv.FrameCache() as cache:
        cache.append([frame(1), frame(2)], kind="reset")
        cache.append((frame(3), frame(4)), kind="step", reward=[0, 0])
        cache.append([frame(5), frame(6)], kind=["step", "idle"], reward=[0, 0])
        cache.append([frame(7), frame(8)], kind="step", reward=[0, 0])
        cache.append([frame(7), frame(8, 9)], kind="step", reward=[0, 0])
        with pytest.raises(rv.FrameError, match="float64"):
            cache.append([frame(7) / 255, frame(8) / 255], kind="step", reward=[0, 0])
        with pytest.raises(rv.ShapeError, match="reward"):
            cache.append([frame(7), frame(8)], kind="step", reward=[0, 0, 0])
        cache.append([frame(9), None], kind="step", reward=[0, 0])
        cache.append([frame(11), frame(12)], kind="step", reward=[0, 0], envs=[1, 0])
        shown = [
            [int(cache[row, env][0, 0, 0]) for env in (0, 1)]
            for row in range(cache.num_rows)
        ]
        heights = [cache[row, 1].shape[0] for row in range(cache.num_rows)]

    assert shown == [[1, 2], [3, 4], [5, 4], [7, 8], [7, 8], [9, 0], [12, 11]]
    assert heights == [8, 8, 8, 8, 9, 9, 8]


@pytest.mark.parametrize("fps", [-5, 0, float("nan"), float("inf"), "fast"])
def test_frames_a_second_that_cannot_be_played_are_refused(fps):
    cache = rv.FrameCache()

    with pytest.raises(ValueError, match="expected fps to be a number"):
        cache.mark_fps(fps)
    with pytest.raises(ValueError, match="expected fps to be a number"):
        rv.FrameCache(fps=fps)

    assert cache.fps == 30


def test_tensors_of_a_dtype_that_numpy_has_not_are_recorded():
    torch = pytest.importorskip("torch", reason="the extra `torch`")
    cache = rv.FrameCache()
    half = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)

    cache.append(None, reset=[True, True], data={"x": half})
    cache.append(None, reward=half, action=half)

    assert cache.scalars["reward"][1].tolist() == [1.5, -2.0]
    assert cache.column("action")[0].tolist() == [1.5, -2.0]
    assert cache.column("x")[0].tolist() == [1.5, -2.0]


def test_what_is_read_while_all_is_cleared_is_not_shown_of_the_next_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with rv.FrameCache() as cache:
        recording: Any = cache.recording

        def fill_with(number: int) -> None:
            for _ in range(40):
                cache.append(None, reward=0.0, data={"obs": [number]}, kind="step")

        def read_slowly(block: int) -> Any:
            monkeypatch.undo()
            data = recording.extras_of(block)
            thread = threading.Thread(target=cache.clear)
            thread.start()
            thread.join()
            return data

        fill_with(1)
        monkeypatch.setattr(recording, "extras_of", read_slowly)
        recording.extras(3)
        fill_with(2)

        assert cache.at(3, 0).obs == 2
