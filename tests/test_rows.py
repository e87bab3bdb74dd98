"""The row model against tables written by hand."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
import pytest

from rollout_viewer import RowError, ShapeError
from rollout_viewer._recording import row_episodes
from rollout_viewer._recording import rows as rows_module
from rollout_viewer._recording.episode import Episode
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.step_row import BEGINS, TERMINATED, TRUNCATED, Kind

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


def random_rows(num_envs=3, num_rows=200, seed=1):
    rng = np.random.default_rng(seed)
    rows = Rows(num_envs)
    for _ in range(num_rows):
        ended = rng.random((2, num_envs)) < 0.1
        row = rows.prepare(
            kind=list(rng.choice([R, S, S, S, I, M], num_envs)),
            reward=rng.random(num_envs),
            terminated=ended[0],
            truncated=ended[1],
        )
        rows.append(row)
    return rows


def eager(rows):
    """Return the episodes of rows, derived one row after another."""
    found: list[list[Any]] = []
    running: dict[int, list[Any]] = {}
    flags, rewards = rows.block(0, rows.num_rows)["flags"], rows.rewards()
    for row, env in np.ndindex(flags.shape):
        flag = int(flags[row, env])
        if flag & BEGINS:
            number = sum(e[0] == env for e in found)
            running[env] = [env, number, row, None, 0, 0.0, False, False]
            found.append(running[env])
        if env in running:
            one = running[env]
            one[3] = row + 1
            one[4] = int(rows.env_steps()[row, env])
            one[5] += 0.0 if np.isnan(rewards[row, env]) else rewards[row, env]
            one[6:] = [bool(flag & TERMINATED), bool(flag & TRUNCATED)]
            if flag & (TERMINATED | TRUNCATED):
                del running[env]
    return [tuple(one) for one in found]


@pytest.mark.parametrize("num_envs", [1, 3])
def test_episodes_are_the_same_whenever_they_are_asked_for(num_envs):
    whole = random_rows(num_envs)
    expected = eager(whole)
    rng = np.random.default_rng(2)
    rows, stop = Rows(num_envs), 0
    while stop < whole.num_rows:
        start, stop = stop, min(stop + int(rng.integers(1, 40)), whole.num_rows)
        rows.extend(whole.block(start, stop))
        if rng.random() < 0.5:
            assert [summary(e) for e in rows.episodes()] == eager(rows)

    assert [summary(e) for e in rows.episodes()] == expected
    assert [summary(e) for e in whole.episodes()] == expected
    for env, index, start, stop, *_ in expected:
        is_over = whole.ended(env, index) is not None
        assert whole.begun(env, index) == start
        assert is_over == (stop < 200 or not whole.is_running(env))
        assert whole.episode_at(start, env) == whole.episode(env, index)
    assert [whole.num_begun(env) for env in range(num_envs)] == [
        sum(one[0] == env for one in expected) for env in range(num_envs)
    ]


def test_rows_that_no_one_looks_at_are_not_made_episodes(monkeypatch):
    made = []

    def make(*values, **named):
        made.append(values)
        return Episode(*values, **named)

    monkeypatch.setattr(row_episodes, "Episode", make)
    rows = random_rows()
    rows.extend(rows.block(0, 100))
    rows.extend_steps(np.ones((32, 3)))
    row = rows.prepare(reward=np.ones(3), reset=[True, False, True])
    begun = rows.next_episodes(row)
    rows.append(row)
    rows.recover()
    assert begun == [(env, rows.num_begun(env) - 1) for env in (0, 2)]
    assert rows.ended(0, 0) is not None
    assert not made

    rows.episodes()
    num_made = len(made)
    assert num_made >= rows.num_begun(0)
    rows.episodes()

    assert len(made) <= num_made + 3  # those that run are summed again


@pytest.mark.parametrize("num_envs", [1, 3])
def test_steps_taken_together_are_those_taken_one_by_one(num_envs):
    rng = np.random.default_rng(3)
    one_by_one, together = Rows(num_envs), Rows(num_envs)
    for rows in (one_by_one, together):
        rows.append(rows.prepare(kind="reset"))
    for count in (1, 5, 32, 32):
        kinds = np.full((count, num_envs), Kind.STEP, np.uint8)
        flags: Any = np.zeros_like(kinds)
        rewards: Any = rng.random(kinds.shape)
        if count > 5:
            where: Any = rng.random(kinds.shape) < 0.2
            flags[:-1][where[1:]] = TERMINATED
            kinds[where], flags[where], rewards[where] = Kind.RESET, BEGINS, NAN
        for row in range(count):
            one_by_one.append(
                one_by_one.prepare(
                    kind=kinds[row],
                    reward=rewards[row],
                    terminated=(flags[row] & TERMINATED) != 0,
                )
            )

        together.extend_steps(rewards, (kinds, flags) if flags.any() else None)

    for ours, theirs in zip(
        together.block(0, 71).values(), one_by_one.block(0, 71).values(), strict=True
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert together.episodes() == one_by_one.episodes()


def test_episodes_are_whole_wherever_who_asked_for_them_was_interrupted():
    expected = [summary(e) for e in random_rows().episodes()]
    whole = random_rows()
    rows = Rows(3)
    num_places = left = 0

    def interrupt(frame, event, arg):
        nonlocal num_places, left
        frame.f_trace_opcodes = True
        left -= 1
        if left == 0:
            num_places += 1
            raise KeyboardInterrupt
        return interrupt

    before = sys.gettrace()
    for turn in range(1, 2000, 7):
        if rows.num_rows < whole.num_rows and turn % 10 == 0:
            rows.extend(whole.block(rows.num_rows, rows.num_rows + 20))
        left = turn % 500
        sys.settrace(
            lambda frame, *_: interrupt(frame, *_) if is_of_episodes(frame) else None
        )
        try:
            rows.episodes()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)

    assert num_places > 100
    assert [summary(e) for e in rows.episodes()] == expected


def is_of_episodes(frame):
    return frame.f_code.co_filename == row_episodes.__file__


def test_threads_that_ask_at_once_see_whole_episodes():
    whole = random_rows(num_rows=1000)
    expected = eager(whole)
    rows, wrong = Rows(3), []
    has_all = threading.Event()

    def read():
        is_last = False
        while not is_last:
            is_last = has_all.is_set()
            num_rows = rows.num_rows
            for one in rows.episodes():
                known = expected[numbers[one.env, one.index]]
                is_whole = one.stop == known[3]
                is_right = one.start == known[2] and one.stop <= known[3]
                is_up_to_date = is_whole or one.stop >= num_rows
                is_right &= is_whole == (summary(one) == known)
                if not (is_right and is_up_to_date):
                    wrong.append(one)

    numbers = {one[:2]: i for i, one in enumerate(expected)}
    readers = [threading.Thread(target=read) for _ in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for one in readers:
            one.start()
        for row in range(0, 1000, 4):
            rows.extend(whole.block(row, row + 4))
        has_all.set()
        for one in readers:
            one.join()
    finally:
        sys.setswitchinterval(interval)

    assert not wrong
    assert [summary(e) for e in rows.episodes()] == expected


def test_an_episode_is_ended_where_rows_do_not_say_so():
    none = 0, 0
    rows = play([((R, R), none, none, none), ((S, S), (1, 1), none, none)], num_envs=2)
    rows.extend(rows.block(1, 2))

    rows.stop(1, 2)
    rows.stop(1, 1)  # it runs no more

    assert [(e.start, e.stop) for e in rows.episodes()] == [(0, 3), (0, 2)]
    assert rows.ended(1, 0) == (0, 2)
    assert rows.ended(0, 0) is None
    assert (rows.is_running(0), rows.is_running(1)) == (True, False)
    rows.append(rows.prepare(kind="reset"))
    assert [(e.start, e.stop) for e in rows.episodes()] == [
        (0, 3),
        (0, 2),
        (3, 4),
        (3, 4),
    ]
