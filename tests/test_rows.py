"""The row model against tables written by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rollout_viewer import RowError, ShapeError
from rollout_viewer._recording import rows as rows_module
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.step_row import Kind

R, S, I, M = "reset", "step", "idle", "terminal_missing"  # noqa: E741 - as in the table
NAN = np.nan


def play(table, num_envs=1):
    """Append rows of (kinds, rewards, terminated, truncated)."""
    rows = Rows(num_envs)
    for kinds, rewards, terminated, truncated in table:
        row = rows.prepare(
            kind=kinds, reward=rewards, terminated=terminated, truncated=truncated
        )
        rows.append(row)
    return rows


def summary(episode):
    return (
        episode.env,
        episode.index,
        episode.start,
        episode.stop,
        episode.length,
        episode.total_reward,
        episode.terminated,
        episode.truncated,
    )


def test_two_episodes_of_one_env():
    rows = play(
        [
            ([R], [9], [0], [0]),
            ([S], [1], [0], [0]),
            ([S], [2], [1], [0]),
            ([R], [9], [0], [0]),
            ([S], [4], [0], [1]),
        ]
    )

    assert [summary(e) for e in rows.episodes()] == [
        (0, 0, 0, 3, 2, 3.0, True, False),
        (0, 1, 3, 5, 1, 4.0, False, True),
    ]
    np.testing.assert_array_equal(rows.rewards()[:, 0], [NAN, 1, 2, NAN, 4])
    np.testing.assert_array_equal(rows.env_steps()[:, 0], [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(rows.returns(5)[:, 0], [0, 1, 3, 0, 4])


def test_an_env_that_waits_has_idle_rows_that_count_nowhere():
    rows = play(
        [
            ([R, R], [0, 0], [0, 0], [0, 0]),
            ([S, S], [1, 10], [1, 0], [0, 0]),
            ([I, S], [5, 10], [1, 0], [0, 0]),
            ([R, I], [5, 7], [0, 1], [0, 0]),
            ([S, S], [1, 10], [0, 0], [0, 0]),
        ],
        num_envs=2,
    )

    assert [summary(e) for e in rows.episodes()] == [
        (0, 0, 0, 2, 1, 1.0, True, False),
        (1, 0, 0, 5, 3, 30.0, False, False),
        (0, 1, 3, 5, 1, 1.0, False, False),
    ]
    np.testing.assert_array_equal(rows.episode_numbers(5)[:, 0], [0, 0, -1, 1, 1])
    np.testing.assert_array_equal(rows.env_steps()[:, 1], [0, 1, 2, 2, 3])
    assert rows.episode_at(2, 0) is None


def test_a_reset_ends_an_unfinished_episode():
    rows = play([([R], [0], [0], [0]), ([S], [1], [0], [0]), ([R], [0], [0], [0])])

    assert [summary(e) for e in rows.episodes()] == [
        (0, 0, 0, 2, 1, 1.0, False, False),
        (0, 1, 2, 3, 0, 0.0, False, False),
    ]


def test_a_missing_terminal_picture_is_a_transition():
    rows = play([([R], [0], [0], [0]), ([M], [3], [1], [0])])

    assert summary(rows.episodes()[0]) == (0, 0, 0, 2, 1, 3.0, True, False)


def test_an_episode_whose_reset_was_skipped_starts_at_its_first_kept_row():
    rows = Rows(1)
    for reward, count, ended in ((3.0, 2, False), (2.0, 2, True), (5.0, 1, False)):
        row = rows.prepare(
            reward=reward, kind="step", num_transitions=[count], terminated=ended
        )
        rows.append(row)

    assert [summary(e) for e in rows.episodes()] == [
        (0, 0, 0, 2, 4, 5.0, True, False),
        (0, 1, 2, 3, 1, 5.0, False, False),
    ]
    assert rows.find(0, 0, 1) == 0
    assert rows.find(0, 0, 3) == 1
    assert rows.find(0, 0, 4) == 1


def test_pictures_alone_start_an_episode_at_first_and_after_an_end():
    rows = Rows(1)
    for terminated in (None, None, [True], None, None):
        rows.append(rows.prepare(terminated=terminated))

    assert [str(k) for k in rows.kinds()[:, 0]] == ["0", "1", "1", "0", "1"]
    assert [(e.start, e.stop) for e in rows.episodes()] == [(0, 3), (3, 5)]


def test_nan_rewards_do_not_count():
    rows = play([([R], [0], [0], [0]), ([S], [NAN], [0], [0]), ([S], [2], [0], [0])])

    assert rows.episodes()[0].total_reward == 2.0


def test_rows_that_went_through_storage_give_the_same_episodes():
    rng = np.random.default_rng(1)
    rows = Rows(3)
    for _ in range(200):
        kinds = rng.choice([R, S, S, S, I, M], 3)
        ended = rng.random((2, 3)) < 0.1
        rows.append(
            rows.prepare(
                kind=list(kinds),
                reward=rng.random(3),
                terminated=ended[0],
                truncated=ended[1],
                num_transitions=rng.integers(1, 4, 3),
            )
        )
    copy = Rows(3)

    copy.extend(rows.block(0, 70))
    copy.extend(rows.block(70, 200))

    assert copy.episodes() == rows.episodes()
    np.testing.assert_array_equal(copy.env_steps(), rows.env_steps())


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"reward": [1, 2, 3]}, r"reward of shape \(2,\), got \(3,\)"),
        ({"reward": 1.0}, r"reward of shape \(2,\), got \(\)"),
        ({"reward": ["a", "b"]}, "expected reward to be float64"),
        ({"kind": ["step"]}, r"kind of shape \(2,\), got \(1,\)"),
        ({"kind": ["step", "stop"]}, "got 'stop'"),
        ({"kind": [1, 7]}, "got 7"),
    ],
)
def test_step_data_that_does_not_fit_is_refused_and_changes_nothing(steps, message):
    rows = Rows(2)

    with pytest.raises(ShapeError, match=message):
        rows.prepare(**steps)

    assert rows.num_rows == 0


def test_find_names_what_is_there():
    rows = play([([R], [0], [0], [0]), ([S], [1], [0], [0])])

    with pytest.raises(RowError, match=r"an env in 0\.\.0, got 3"):
        rows.find(3, 0, 0)
    with pytest.raises(RowError, match=r"an episode of env 0 in 0\.\.0, got 1"):
        rows.find(0, 1, 0)
    with pytest.raises(RowError, match=r"a step in 0\.\.1 .* got 2"):
        rows.find(0, 0, 2)


@pytest.mark.parametrize("ends", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_the_usual_row_is_what_the_general_case_makes_of_it(ends):
    rows = play([((R, R), (0, 0), (0, 0), (0, 0))], num_envs=2)
    step = {
        "kind": (S, S),
        "reward": (1, 2.5),
        "terminated": (ends[0], 0),
        "truncated": (0, ends[1]),
    }

    usual = rows.prepare(**{**step, "kind": np.full(2, Kind.STEP, np.uint8)})

    general = rows.prepare(**step, num_transitions=(1, 1))
    for ours, theirs in zip(usual, general, strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()


@pytest.mark.parametrize("codes", [(1, 9), (1,), (1, 1, 1)])
def test_kinds_in_an_array_are_checked_as_those_in_a_list(codes):
    rows = play([((R, R), (0, 0), (0, 0), (0, 0))], num_envs=2)

    with pytest.raises(ShapeError, match="expected kind"):
        rows.prepare(kind=np.array(codes, np.uint8))


def test_episodes_are_whole_at_every_moment_of_an_append():
    rows = Rows(1)
    seen = set()

    def look(frame, event, arg):
        """See what another thread would, between any two operations."""
        frame.f_trace_opcodes = True
        num_rows = rows.num_rows
        for episode in rows.of_env(0):
            assert 0 <= episode.start < episode.stop <= num_rows
            assert episode.length == episode.stop - episode.start - 1
            assert episode.total_reward == episode.length
            seen.add((episode.index, episode.stop, episode.terminated))
        assert rows.returns(num_rows).shape == (num_rows, 1)
        return look

    before = sys.gettrace()
    for number in range(9):
        row = rows.prepare(reward=[1.0], reset=[number % 3 == 0])
        if number % 3 == 2:
            row = rows.prepare(reward=[1.0], terminated=[True])
        sys.settrace(lambda frame, *_: look(frame, *_) if is_of_rows(frame) else None)
        try:
            rows.append(row)
        finally:
            sys.settrace(before)

    assert seen >= {(0, 1, False), (0, 2, False), (0, 3, True), (2, 8, False)}


def is_of_rows(frame):
    return frame.f_code.co_filename == rows_module.__file__
