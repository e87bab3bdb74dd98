"""A row read as the arguments of `append`, and recorded again."""

import numpy as np
import pytest

import rollout_viewer as rv

NUM_ENVS, NUM_ROWS = 3, 70
KINDS = ["step", "step", "step", "idle", "reset", "terminal_missing"]


def recording(cameras=("pixels",)):
    """Return a cache of random kinds, ends, actions and data."""
    random = np.random.default_rng(0)
    cache = rv.FrameCache()
    for row in range(NUM_ROWS):
        kind = random.choice(KINDS, NUM_ENVS).tolist() if row else ["reset"] * NUM_ENVS
        cache.append(
            {c: random.integers(0, 255, (NUM_ENVS, 4, 4, 3), "u1") for c in cameras},
            kind=kind,
            reward=random.random(NUM_ENVS),
            terminated=random.random(NUM_ENVS) < 0.1,
            truncated=random.random(NUM_ENVS) < 0.1,
            reset=random.random(NUM_ENVS) < 0.1,
            num_transitions=random.integers(1, 5, NUM_ENVS),
            action=random.random((NUM_ENVS, 2)) if row % 7 else None,
            data={"obs": random.random((NUM_ENVS, 2))} if row % 5 else None,
        )
    return cache


@pytest.mark.parametrize("cameras", [["pixels"], ["left", "right"]])
def test_all_rows_recorded_again_are_the_same_recording(cameras):
    cache, copy = recording(cameras), rv.FrameCache()

    for row in range(NUM_ROWS):
        copy.append(**cache.row_of(row))

    assert copy.episodes == cache.episodes
    for name, values in cache.scalars.items():
        np.testing.assert_array_equal(copy.scalars[name], values, err_msg=name)
    for name in ("action", "obs"):
        np.testing.assert_array_equal(copy.column(name), cache.column(name))
    for camera in cameras:
        before, after = (c.frames(slice(None), camera=camera) for c in (cache, copy))
        np.testing.assert_array_equal(after, before)


def test_envs_that_are_not_copied_are_idle():
    cache, copy = recording(), rv.FrameCache()
    episode = next(e for e in cache.episodes if e.env == 1 and e.stop - e.start > 3)

    for row in range(episode.start, episode.stop):
        copy.append(**cache.row_of(row, [1]))

    (copied,) = copy.episodes
    assert (copied.env, copied.length) == (1, episode.length)
    assert copied.total_reward == episode.total_reward
    assert copied.is_finished == episode.is_finished
    assert (copy.scalars["kind"][:, [0, 2]] == "idle").all()
    assert not copy.is_shown(0, 0)
    np.testing.assert_array_equal(copy[:, 1], cache[episode.start : episode.stop, 1])


def test_a_shared_picture_and_step_data_alone_are_copied():
    cache, copy = rv.FrameCache(), rv.FrameCache()
    cache.append(np.full((1, 4, 4, 3), 7, np.uint8), reward=[0.0, 1.0])
    cache.append(None, reward=[2.0, 3.0])

    for row in range(2):
        copy.append(**cache.row_of(row))

    assert copy.is_shared
    np.testing.assert_array_equal(copy[:], cache[:])
    np.testing.assert_array_equal(copy.scalars["reward"], cache.scalars["reward"])


def test_a_row_or_env_that_does_not_exist_raises():
    cache = recording()

    with pytest.raises(rv.RowError, match="expected a row in 0..69, got 70"):
        cache.row_of(70)
    with pytest.raises(rv.RowError, match="expected an env in 0..2, got 3"):
        cache.row_of(0, [3])
