"""A recording within its disk budget: what is evicted, what stays, which warnings."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import rollout_viewer as rv

BUDGET = 1_000_000
SIZE = 24, 24  # noise: 1728 bytes a picture, 55 kB a block


def noise(row, num_envs=1):
    rng = np.random.default_rng(row)
    return rng.integers(0, 256, (num_envs, *SIZE, 3), np.uint8)


def play(cache, num_rows, lengths=(50,), start=0):
    """Record noise; env i is reset each `lengths[i]` rows."""
    for row in range(start, start + num_rows):
        is_first = np.array([row % length == 0 for length in lengths])
        is_last = np.array([(row + 1) % length == 0 for length in lengths])
        cache.append(
            noise(row, len(lengths)),
            reset=is_first,
            reward=np.full(len(lengths), float(row)),
            truncated=is_last & ~is_first,
        )
        cache.recording._writer.drain()
    return cache


def latest(path=None, disk_bytes=BUDGET):
    return rv.FrameCache(path, disk_bytes=disk_bytes, keep="latest")


def check(cache, num_envs=1):
    """Every picture is the one that was appended, or gone as a whole episode."""
    evicted = 0
    for row in range(cache.num_rows):
        frames = noise(row, num_envs)
        for env in range(num_envs):
            if cache.has_picture(row, env):
                assert (cache[row, env] == frames[env]).all()
            else:
                evicted += 1
                assert not cache[row, env].any()
    assert cache.num_evicted == evicted
    return evicted


def test_the_latest_episodes_stay_within_the_budget(tmp_path):
    path = tmp_path / "run.rollout"
    cache = play(latest(path), 1500)
    first = cache.first_row

    assert 0 < first < 1500
    assert first % 50 == 0  # a whole number of episodes
    assert check(cache) == first
    assert not cache.has_picture(first - 1, 0)
    assert cache.has_picture(first, 0)
    # Two blocks are held back for the one that is open.
    assert cache.nbytes > 0.7 * BUDGET
    assert [e.start for e in cache.episodes] == list(range(0, 1500, 50))
    assert cache.scalars["reward"][1, 0] == 1.0
    assert cache.at(3, 0).has_picture is False
    assert cache.num_lost == 0
    cache.close()
    assert path.stat().st_size <= BUDGET


@pytest.mark.parametrize("size", [(6, 6), (9, 9), (13, 13), (30, 30)])
def test_the_file_stays_within_the_budget_whatever_the_size_of_pictures(tmp_path, size):
    cache = latest(tmp_path / "run.rollout")
    rng = np.random.default_rng(0)
    sizes = []
    for row in range(4_000_000 // (size[0] * size[1] * 3 * 3)):
        frames = rng.integers(0, 256, (3, *size, 3), np.uint8)
        is_last = [row % 10 == 9, row % 7 == 6, row % 40 == 39]
        cache.append(frames, reward=[0, 0, 0], terminated=is_last)
        if row % 32 == 31:
            cache.recording._writer.drain()
            sizes.append(cache.path.stat().st_size)
    cache.close()
    sizes.append(cache.path.stat().st_size)

    assert cache.num_evicted > 0
    assert cache.num_lost == 0
    # Step data of all rows stays for ever; here it is small.
    assert max(sizes) <= BUDGET


def test_envs_lose_their_own_oldest_episodes():
    cache = play(latest(), 900, lengths=(30, 200))
    cache.flush()

    check(cache, 2)

    firsts = [
        next(r for r in range(900) if cache.has_picture(r, env)) for env in (0, 1)
    ]
    assert firsts[0] % 30 == 0
    assert firsts[1] % 200 == 0
    assert min(firsts) == cache.first_row > 0


def test_a_shared_picture_stays_while_any_env_needs_it():
    cache = latest()
    for row in range(900):
        is_last = [row % 30 == 29, row % 200 == 199]
        cache.append(noise(row)[0], reward=[0, 0], terminated=is_last)
        cache.recording._writer.drain()

    first = cache.first_row

    assert first > 0
    assert first % 30 == 0 or first % 200 == 0
    assert cache.has_picture(first, 0)
    assert cache.has_picture(first, 1)
    assert not cache.has_picture(first - 1, 0)


def test_a_clip_in_use_keeps_its_rows():
    cache = play(latest(), 400)
    start = cache.first_row
    clip = cache.clip(start, start + 60)

    with pytest.warns(rv.RolloutViewerWarning, match="by clips in use"):
        play(cache, 600, start=400)

    assert all(
        (frame == noise(row)[0]).all() for row, frame in enumerate(clip.frames(), start)
    )
    assert cache.first_row <= start
    assert cache.num_lost > 0  # the budget holds: newer pictures gave way
    del clip
    gc.collect()
    play(cache, 200, start=1000)
    assert cache.first_row > start
    assert cache.has_picture(1199, 0)


def test_a_small_clip_of_another_env_costs_nothing():
    cache = play(latest(), 300, lengths=(30, 30))
    clip = cache.clip(cache.num_rows - 30, envs=[1])

    play(cache, 150, lengths=(30, 30), start=300)

    assert cache.num_lost == 0
    assert clip.num_rows == 30


def test_an_episode_over_the_budget_keeps_its_newest_rows_and_says_so_once():
    cache = latest()

    with pytest.warns(rv.RolloutViewerWarning, match="a longer one of env 0") as caught:
        play(cache, 1500, lengths=(10_000,))

    assert len(caught) == 1
    assert 0 < cache.first_row < 1500
    assert cache.first_row % 32 == 0
    assert check(cache) == cache.first_row
    assert cache.nbytes > 0.7 * BUDGET
    cache.close()


def test_one_block_over_the_budget_is_lost_and_counted():
    cache = latest()
    with pytest.warns(rv.RolloutViewerWarning, match="or by 32 rows"):
        for row in range(70):
            rng = np.random.default_rng(row)
            cache.append(rng.integers(0, 256, (1, 160, 160, 3), np.uint8))
            cache.recording._writer.drain()

    assert cache.num_lost == 64
    with pytest.raises(rv.StorageError, match="used up"):
        cache.close()


def test_keep_all_stops_pictures_and_goes_on_with_step_data(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path, disk_bytes=BUDGET)

    with pytest.warns(rv.RolloutViewerWarning, match="disk_bytes=1000000") as caught:
        play(cache, 1000)

    assert len(caught) == 1
    assert cache.num_evicted == cache.first_row == 0
    kept = sum(cache.has_picture(row, 0) for row in range(992))
    assert all((cache[row] == noise(row)).all() for row in range(kept))
    assert cache.num_lost == 992 - kept
    assert cache.scalars["reward"][999, 0] == 999
    with pytest.raises(rv.StorageError, match="pictures were lost"):
        cache.flush()
    with pytest.raises(rv.StorageError, match="disk_bytes=1000000"):
        cache.close()
    assert [p.name for p in tmp_path.iterdir()] == ["run.rollout"]
    assert path.stat().st_size <= BUDGET
    opened = rv.open(path)
    assert opened.num_rows == 1000
    assert (opened[kept - 1] == noise(kept - 1)).all()
    assert opened.num_lost == cache.num_lost


def test_who_reads_the_file_sees_what_went(tmp_path):
    path = tmp_path / "run.rollout"
    cache = play(latest(path), 320)
    cache.flush()
    opened = rv.open(path)
    assert (opened[0] == noise(0)).all()
    play(cache, 1000, start=320)
    cache.flush()

    script = f"""
        import rollout_viewer as rv
        cache = rv.open({str(path)!r})
        first = cache.first_row
        shown = [cache.has_picture(row, 0) for row in range(cache.num_rows)]
        print(first, cache.num_evicted, shown.index(True), all(shown[first:]))
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        check=True,
    )

    first = cache.first_row
    assert result.stdout.split() == [str(first), str(first), str(first), "True"]
    assert opened.num_rows == 1320
    assert opened.first_row == first
    assert check(opened) == first
    assert opened.episodes == cache.episodes


def test_a_saved_copy_and_a_cleared_cache_know_what_went(tmp_path):
    cache = play(latest(), 1000)

    saved = rv.open(cache.save(tmp_path / "saved.rollout"))
    again = rv.open(saved.save(tmp_path / "again.rollout"))
    cache.clear()

    assert check(saved) == saved.first_row > 0
    assert check(again) == again.first_row == saved.first_row
    assert (cache.first_row, cache.num_evicted, cache.nbytes) == (0, 0, 0)
    play(cache, 100)
    assert check(cache) == 0


def test_the_manifest_tells_the_first_row_that_is_shown():
    from rollout_viewer._page.build_messages import build_manifest

    cache = play(latest(), 1000)

    assert build_manifest(cache, title="")["first_row"] == cache.first_row > 0


@pytest.mark.parametrize("seed", range(4))
def test_random_episodes_go_whole_and_in_order(seed):
    rng = np.random.default_rng(seed)
    cache = latest()
    for row in range(700):
        cache.append(noise(row, 3), reward=[0, 0, 0], terminated=rng.random(3) < 0.03)
        if row % 32 == 31:
            cache.recording._writer.drain()

    evicted = check(cache, 3)

    assert evicted > 0
    gone, kept = [], []
    for episode in cache.episodes:
        rows = range(episode.start, episode.stop)
        shown = {cache.has_picture(row, episode.env) for row in rows}
        assert len(shown) == 1, "an episode went in part"
        (kept if shown.pop() else gone).append(episode.start)
    # An episode that still ran when older ones went may be older.
    assert np.median(gone) < np.median(kept)
