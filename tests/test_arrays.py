"""Recordings made of arrays."""

import numpy as np
import pytest
import torch

import rollout_viewer as rv
from rollout_viewer.sources.arrays import from_arrays
from rollout_viewer.testing import counting_frames, read_count

VIDEO = counting_frames(6, 3)


def test_a_video_of_one_env_is_a_row_a_frame():
    cache = from_arrays(VIDEO[:, 1], fps=12)

    assert (cache.num_rows, cache.num_envs, cache.fps) == (6, 1, 12)
    np.testing.assert_array_equal(cache[:, 0], VIDEO[:, 1])
    assert cache.scalars["kind"][:, 0].tolist() == ["reset", *["step"] * 5]


@pytest.mark.parametrize(
    ("frames", "options"),
    [
        (VIDEO, {}),
        (VIDEO, {"env_axis": 1}),
        (VIDEO.swapaxes(0, 1), {"env_axis": 0}),
        (torch.from_numpy(VIDEO), {}),
        (torch.from_numpy(VIDEO).permute(0, 1, 4, 2, 3), {}),
        (torch.from_numpy(VIDEO).permute(1, 0, 4, 2, 3), {"env_axis": 0}),
        (VIDEO / 255, {}),
    ],
)
def test_a_batch_is_read_by_its_axes(frames, options):
    cache = from_arrays(frames, **options)

    np.testing.assert_array_equal(cache[:], VIDEO)


def test_gray_videos_and_lists_are_taken():
    gray = VIDEO[:, 0, :, :, 0]

    for frames in (gray, list(gray), list(VIDEO[:, 0]), gray[..., None]):
        np.testing.assert_array_equal(from_arrays(frames)[:, 0], VIDEO[:, 0])


def test_episodes_follow_from_the_ends():
    reward = np.arange(18.0).reshape(6, 3)
    terminated = np.zeros((6, 3), bool)
    terminated[2, 0] = True

    cache = from_arrays(VIDEO, reward=reward, terminated=terminated)

    # Rows that begin an episode have no reward.
    found = [(e.env, e.start, e.stop, e.total_reward) for e in cache.episodes]
    assert found == [
        (0, 0, 3, 3.0 + 6.0),
        (1, 0, 6, 4.0 + 7.0 + 10.0 + 13.0 + 16.0),
        (2, 0, 6, 5.0 + 8.0 + 11.0 + 14.0 + 17.0),
        (0, 3, 6, 12.0 + 15.0),
    ]


def test_an_action_stands_at_the_frame_where_it_was_chosen():
    action = np.arange(6)

    cache = from_arrays(VIDEO[:, 0], action=action)

    assert [cache.at(row, 0).action for row in range(6)] == [0, 1, 2, 3, 4, None]


def test_data_and_step_data_follow_env_axis():
    value = np.arange(18.0).reshape(3, 6)

    cache = from_arrays(
        VIDEO.swapaxes(0, 1), reward=value, data={"value": value}, env_axis=0
    )

    assert cache.at(4, 2).value == value[2, 4]
    assert cache.at(4, 2).reward == value[2, 4]


def test_resets_may_be_told():
    cache = from_arrays(VIDEO[:, 0], reset=[False, False, True, False, False, False])

    assert [(e.start, e.stop) for e in cache.episodes] == [(0, 2), (2, 6)]


def test_rows_are_appended_to_a_cache_that_is_given():
    cache = rv.FrameCache()

    for _ in range(2):
        assert from_arrays(VIDEO, cache=cache) is cache

    assert read_count(cache[11, 2]) == (5, 2)


@pytest.mark.parametrize(
    ("frames", "options", "error", "message"),
    [
        (np.zeros((5, 4), np.uint8), {}, rv.FrameError, r"got shape \(5, 4\)"),
        (VIDEO[None], {}, rv.FrameError, r"got\s+shape \(1, 6"),
        (VIDEO[:0], {}, rv.FrameError, "got none"),
        ([], {}, rv.FrameError, "got none"),
        (VIDEO, {"reward": np.zeros(6)}, rv.ShapeError, r"reward with axes \(T, B\)"),
        (VIDEO[:, 0], {"reward": np.zeros(5)}, rv.ShapeError, r"axes \(T,\)"),
        (VIDEO, {"env_axis": 2}, ValueError, "env_axis None, 0 or 1, got 2"),
        (VIDEO.astype(int) - 1000, {}, rv.FrameError, "int64"),
    ],
)
def test_what_does_not_fit_is_refused(frames, options, error, message):
    with pytest.raises(error, match=message):
        from_arrays(frames, **options)


def test_a_path_is_a_new_recording_there(tmp_path):
    frames = np.zeros((3, 8, 8, 3), np.uint8)

    with from_arrays(frames, cache=tmp_path / "run.rollout", fps=12) as cache:
        assert cache.path == tmp_path / "run.rollout"

    assert rv.open(tmp_path / "run.rollout").num_rows == 3
    assert rv.open(str(tmp_path / "run.rollout")).fps == 12
