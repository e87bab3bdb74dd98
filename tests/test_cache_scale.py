"""Recordings of very many envs: within the memory budget, and exact."""

import numpy as np

import rollout_viewer as rv

MEMORY_BYTES = 64_000_000


def balls(row, num_envs, size=84):
    """Return a frame for each env: a ground of its own and a square that moves."""
    frames = np.empty((num_envs, size, size, 3), np.uint8)
    frames[:] = (np.arange(num_envs) % 251)[:, None, None, None]
    for env in range(0, num_envs, 3):
        top = (row + env) % (size - 8)
        frames[env, top : top + 8, 20:28] = 255 - env % 100
    return frames


def test_a_thousand_envs_are_recorded_within_the_memory_budget(tmp_path):
    path = tmp_path / "run.rollout"
    num_envs = 1024

    with rv.FrameCache(path, memory_bytes=MEMORY_BYTES) as cache:
        for row in range(40):
            cache.append(balls(row, num_envs), reward=np.arange(num_envs) + row)
            assert cache._recording.state_nbytes <= MEMORY_BYTES
        assert (cache[39] == balls(39, num_envs)).all()

    opened = rv.open(path)
    assert (opened.num_rows, opened.num_envs) == (40, num_envs)
    assert (opened[5, 999] == balls(5, num_envs)[999]).all()
    assert opened.scalars["reward"][7, 1023] == 1030
    assert opened.raw_nbytes > 50 * opened.nbytes


def test_thousands_of_envs_give_rewards_while_sixteen_give_pictures(tmp_path):
    path = tmp_path / "run.rollout"
    num_envs, pictured = 4096, list(range(0, 4096, 256))

    with rv.FrameCache(path) as cache:
        for row in range(70):
            cache.append(
                balls(row, 16),
                envs=pictured,
                reward=np.arange(num_envs) * 0.5,
                terminated=(np.arange(num_envs) + row) % 50 == 0,
                reset=(np.arange(num_envs) + row) % 50 == 1,
            )

    opened = rv.open(path)
    assert opened.pictured_envs == tuple(pictured)
    assert (opened[69, 256] == balls(69, 16)[1]).all()
    assert opened.scalars["reward"].shape == (70, num_envs)
    assert opened.at(3, 4095).reward == 2047.5
    assert len({episode.env for episode in opened.episodes}) == num_envs


def test_a_hundred_thousand_rows_open_with_their_ends(tmp_path):
    path = tmp_path / "run.rollout"
    frames = balls(0, 64, size=16)
    num_rows = 100_000

    with rv.FrameCache(path) as cache:
        for row in range(num_rows):
            cache.append(frames[row % 64], reward=1.0, terminated=row % 1000 == 999)

    opened = rv.open(path)
    assert opened.num_rows == num_rows
    assert [episode.length for episode in opened.episodes] == [1000] * 100
    assert (opened[99_999, 0] == frames[99_999 % 64]).all()
    assert opened.find(0, 57, 500) == 57_499
