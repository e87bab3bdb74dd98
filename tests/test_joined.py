"""Several recordings as one: side by side, followed, and nothing copied."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rollout_viewer as rv


def frames_of(number, row, num_envs=1):
    rng = np.random.default_rng([number, row])
    return rng.integers(0, 256, (num_envs, 8, 6 + number, 3), np.uint8)


def fill(cache, number, start, stop, num_envs=1):
    for row in range(start, stop):
        cache.append(
            frames_of(number, row, num_envs),
            reset=[row == 0] * num_envs,
            reward=np.full(num_envs, 100.0 * number + row),
            truncated=[row % 25 == 24] * num_envs,
            action=np.full(num_envs, row),
            data={"obs": np.full((num_envs, 2), number, np.float32)},
            episode_info={0: {"seed": number}} if row == 0 else None,
        )
    return cache


@pytest.fixture
def paths(tmp_path):
    """Three recordings of 2, 1 and 1 envs, 80, 40 and 70 rows."""
    paths = [tmp_path / f"{number}.rollout" for number in range(3)]
    for number, (num_rows, num_envs) in enumerate([(80, 2), (40, 1), (70, 1)]):
        fill(rv.FrameCache(paths[number]), number, 0, num_rows, num_envs).close()
    return paths


def check(cache):
    assert (cache.num_rows, cache.num_envs) == (80, 4)
    assert cache.pictured_envs == (0, 1, 2, 3)
    for row in range(80):
        for env, (number, index, num_envs, num_rows) in enumerate(
            [(0, 0, 2, 80), (0, 1, 2, 80), (1, 0, 1, 40), (2, 0, 1, 70)]
        ):
            moment = cache.at(row, env)
            assert moment.has_picture == (row < num_rows)
            if row < num_rows:
                frame = frames_of(number, row, num_envs)[index]
                assert (cache[row, env] == frame).all()
                assert moment.obs.tolist() == [number, number]
            else:
                assert moment.kind == "idle"
                assert not cache[row, env].any()


def test_envs_stand_side_by_side_and_shorter_recordings_end(paths):
    cache = rv.open(paths)

    check(cache)

    assert not cache.is_live
    assert cache.at(40, 2).episode is None
    assert np.isnan(cache.scalars["reward"][40:, 2]).all()
    assert cache.scalars["reward"][39].tolist() == [39, 39, 139, 239]
    found = {(e.env, e.index): e for e in cache.episodes}
    for number, env in ((0, 0), (1, 2), (2, 3)):
        for one in rv.open(paths[number]).episodes:
            if one.env == 0:
                other = found[env, one.index]
                assert (other.start, other.stop) == (one.start, one.stop)
                assert other.total_reward == one.total_reward
                assert other.seed == one.seed
    assert cache.at(5, 3).action == 6


def test_a_saved_view_is_one_recording(paths, tmp_path):
    cache = rv.open(paths)

    saved = rv.open(cache.save(tmp_path / "saved.rollout"))

    check(saved)
    assert saved.num_rows == cache.num_rows


@pytest.mark.parametrize(
    "make", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_a_copy_of_a_view_reads_the_same_files(paths, make):
    check(make(rv.open(paths)))


def test_a_clip_of_a_view_has_all_envs(paths):
    clip = rv.open(paths).clip(0, 80)

    assert clip.tile_envs == (0, 1, 2, 3)
    assert len(list(clip.frames())) == 80


def test_a_page_gets_the_chunks_of_a_view(paths):
    from rollout_viewer._page.offline import recording_messages

    cache = rv.open(paths)
    messages = list(recording_messages(cache))

    slots = messages[0].content["slots"]
    assert [slot["env"] for slot in slots] == [0, 1, 2, 3]
    assert messages[0].content["num_rows"] == 80


def test_rows_come_when_all_that_are_written_have_them(tmp_path):
    first, second = (rv.FrameCache(tmp_path / f"{n}.rollout") for n in range(2))
    fill(first, 0, 0, 50)
    first.flush()
    cache = rv.open([first.path, second.path])
    assert cache.num_rows == 0

    fill(second, 1, 0, 20)
    second.flush()
    assert (cache.num_rows, cache.num_envs, cache.is_live) == (20, 2, True)
    assert (cache[19, 1] == frames_of(1, 19)[0]).all()
    fill(second, 1, 20, 45)
    second.flush()
    assert cache.num_rows == 45
    assert (cache[44, 1] == frames_of(1, 44)[0]).all()
    assert (cache[44, 0] == frames_of(0, 44)[0]).all()
    second.close()
    fill(first, 0, 50, 70)
    first.close()

    assert (cache.num_rows, cache.is_live) == (70, False)
    assert (cache[69, 0] == frames_of(0, 69)[0]).all()
    assert not cache.has_picture(45, 1)


def test_a_killed_writer_does_not_hold_the_others_back(tmp_path):
    script = f"""
        import os, sys, numpy as np, rollout_viewer as rv
        cache = rv.FrameCache({str(tmp_path / "killed.rollout")!r})
        for row in range(10):
            cache.append(np.full((1, 4, 4, 3), row, np.uint8))
        cache.flush()
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False)
    whole = fill(rv.FrameCache(tmp_path / "whole.rollout"), 1, 0, 40)
    whole.close()

    cache = rv.open([tmp_path / "killed.rollout", whole.path])

    assert cache.num_rows == 40
    assert cache[9, 0].max() == 9
    assert cache.episodes[0].stop == 10


def test_subscribers_of_a_joined_recording_are_notified(tmp_path):
    import threading

    cache = fill(rv.FrameCache(tmp_path / "a.rollout"), 0, 0, 5)
    cache.flush()
    arrived = threading.Event()
    opened = rv.open([cache.path])
    opened.subscribe(lambda start, stop: (start, stop) == (5, 6) and arrived.set())

    fill(cache, 0, 5, 6)

    assert arrived.wait(60)


def test_a_view_is_read_only_and_needs_recordings(paths, tmp_path):
    with pytest.raises(rv.ReadOnlyError, match="opened for reading"):
        rv.open(paths).append(None)
    with pytest.raises(rv.RecordingError, match="does not exist"):
        rv.open([*paths, tmp_path / "none.rollout"])
    with pytest.raises(ValueError, match="at least one path"):
        rv.open([])


def test_data_of_other_shapes_is_refused_by_name(tmp_path):
    paths = []
    for size in (2, 3):
        cache = rv.FrameCache(tmp_path / f"{size}.rollout")
        cache.append(None, data={"obs": np.zeros((1, size))})
        cache.close()
        paths.append(cache.path)

    with pytest.raises(rv.ShapeError, match="'obs' of one shape in all recordings"):
        rv.open(paths).at(0, 0)
