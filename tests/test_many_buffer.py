"""Calls of many envs that are like the last one, which come by a buffer."""

from __future__ import annotations

import functools
import os
import sys
import threading
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._replay.episode_start import unpack_start
from tests.test_cache_ways import numbers_of

ENVS = 3


class Counting(gym.Env[Any, Any]):
    """Its numbers count its steps. Ends after so many."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Discrete(1000)

    def __init__(self, length: int = 10**9) -> None:
        self._length = length
        self.count = self._step = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._step = 0
        return np.full(2, self.count, np.float32), {"x": 0.0}

    def step(self, action: Any) -> Any:
        self.count += 1
        self._step += 1
        obs = np.full(2, self.count, np.float32)
        ends = self._step == self._length, self._step % 40 == 39
        return obs, float(self.count), *ends, {"x": self.count / 2}


def recorded(
    cache: rv.FrameCache | None = None,
    length: int = 10**9,
    kind: Any = SyncVectorEnv,
    **options: Any,
) -> Any:
    return rv.record(
        kind([lambda n=n: Counting(length + n) for n in range(ENVS)]),
        make_env=Counting,
        render="later",
        cache=rv.FrameCache() if cache is None else cache,
        **options,
    )


ACTIONS = np.zeros(ENVS, np.int64)


def test_nearly_all_calls_come_by_a_buffer(monkeypatch):
    env = recorded(length=11)
    calls: list[str] = []
    for name in ("append", "append_step", "append_many"):
        method = getattr(env.cache, name)

        def call(
            *args: Any, name: str = name, method: Any = method, **more: Any
        ) -> Any:
            calls.append(name)
            return method(*args, **more)

        monkeypatch.setattr(env.cache, name, call)
    env.reset(seed=0)
    for _ in range(320):
        env.step(ACTIONS)

    assert env.cache.num_rows == env.recorder.num_calls == 321
    # At length the first two; then the last of each block, and the third.
    assert calls.count("append") == 2
    assert len(calls) == 3 + 321 // 32


@pytest.mark.parametrize("length", [7, 10**9])
def test_each_row_is_there_at_once_as_it_was_whatever_reads_it(length):
    env = recorded(length=length)
    told: list[tuple[int, int]] = []
    env.reset(seed=0)
    rewards = [[np.nan] * ENVS]
    for number in range(1, 140):
        if number == 70:
            env.cache.subscribe(lambda *rows: told.append(rows))
        actions = np.full(ENVS, number)
        begun = env._has_ended
        obs, reward, *_ = env.step(actions)
        rewards.append(np.where(begun, np.nan, reward).tolist())
        expected = obs[1].tolist()
        for array in (actions, obs, reward):
            array[:] = -1
        if number % 7 == 0:
            assert env.cache.num_rows == number + 1
            assert env.cache.at(-1, 1)["obs"].tolist() == expected
        if number % 9 == 0:
            env.cache.flush()
            last = rv.open(env.cache.path).scalars["reward"][-1]
            np.testing.assert_array_equal(last, rewards[-1])

    assert told == [(row, row + 1) for row in range(70, 140)]
    np.testing.assert_array_equal(env.cache.scalars["reward"], rewards)
    found = env.cache.raw_column("action", 1, 140)[:, 2]
    is_step = ~np.isnan(env.cache.scalars["reward"][1:, 2])
    assert found[is_step].tolist() == np.arange(1, 140)[is_step].tolist()


class Odd(SyncVectorEnv):
    """Returns something unusual in every third call or so."""

    seed = 0

    def step(self, actions: Any) -> Any:
        obs, reward, terminated, truncated, info = super().step(actions)
        rng = np.random.default_rng([self.seed, int(obs[0, 0])])

        def any_of(usual: Any, *others: Any) -> Any:
            is_odd = rng.random() < 0.1
            return others[rng.integers(len(others))] if is_odd else usual

        wide = np.repeat(obs, 2, axis=1)[:, ::2]
        nan = np.where(np.arange(ENVS) == 1, np.nan, reward)
        halves = info["x"].astype(np.float32)
        some = np.arange(ENVS) > 0
        return (
            any_of(obs, wide, obs.astype(">f4"), obs.astype(float), list(obs)),
            any_of(
                reward,
                nan,
                reward.astype(np.float32),
                reward.astype(int),
                reward[:, None],
                reward.tolist(),
            ),
            any_of(terminated, terminated.tolist(), terminated.astype(int)),
            any_of(truncated, truncated[::-1][::-1], truncated[:, None]),
            any_of(
                info,
                {},
                {"x": info["x"]},
                {"x": halves, "_x": info["_x"]},
                {"x": info["x"], "_x": some},
                {"x": info["x"].tolist(), "_x": info["_x"]},
                {**info, "y": info["x"], "_y": some},
                {**info, "why": np.array(["fell"] * ENVS), "_why": some},
                {**info, "success": some},
                [{"x": 1.0}] * ENVS,
            ),
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(12))
def test_whatever_envs_return_is_recorded_as_at_length(seed):
    found = []
    for is_at_length in (False, True):
        kind = type("OddOfSeed", (Odd,), {"seed": seed})
        info = [True, False, "x"][seed % 3]
        env = recorded(length=9, kind=kind, info=info)
        cache: Any = env.cache
        if is_at_length:
            cache.append_step = cache.append_many = lambda *_: None
        problems = []
        env.reset(seed=0)
        rng = np.random.default_rng(seed)
        for number in range(150):
            actions: Any = np.full(ENVS, number)
            if rng.random() < 0.1:
                actions = actions.tolist()
            elif rng.random() < 0.1:
                actions = actions.astype(np.int32)
            try:
                env.step(actions)
            except Exception as error:
                problems.append((number, repr(error)))
        env.close()
        found.append(repr((problems, numbers_of(cache), env.recorder.num_calls)))

    assert found[0] == found[1]


def test_episodes_that_begin_in_a_segment_are_of_it():
    env = recorded(length=5)
    env.reset(seed=0)
    for number in range(40):
        if 10 < number < 20:
            with env.cache.segment("eval"):
                env.step(ACTIONS)
        else:
            env.step(ACTIONS)

    rows = range(12, 21)
    for one in env.cache.episodes:
        assert one.segment == ("eval" if one.start in rows else None)
    assert any(one.segment for one in env.cache.episodes)


def test_calls_are_counted_where_rows_of_others_come_before_a_buffer_is_opened(
    monkeypatch,
):
    cache = rv.FrameCache()
    first, second = recorded(cache), recorded(cache)
    for env in (second, first):
        env.reset(seed=0)
        env.step(ACTIONS)
        env.step(ACTIONS)
    open_many, num_others = cache.open_many, 2

    def open_late(form: Any) -> Any:
        nonlocal num_others
        if threading.current_thread() is not threading.main_thread():
            return None
        other = threading.Thread(target=second.step, args=(ACTIONS,))
        other.start()
        other.join()
        num_others += 1
        return open_many(form)

    monkeypatch.setattr(cache, "open_many", open_late)
    for number in range(3, 80):
        first.step(ACTIONS)
        assert first.recorder.num_calls == number + 1
    assert second.recorder.num_calls == num_others + 1 > 6

    rewards = cache.scalars["reward"][:, 1]
    counts = [env.env.envs[1].count for env in (first, second)]
    expected = sorted(one for count in counts for one in range(1, count + 1))
    assert sorted(rewards[rewards > 0].tolist()) == expected


def test_where_a_tracer_lets_other_threads_run_there_is_no_buffer():
    env = recorded()
    env.reset(seed=0)
    before = sys.gettrace()
    sys.settrace(lambda *_: None)
    try:
        for _ in range(20):
            env.step(ACTIONS)
            assert env.recorder.many is None
    finally:
        sys.settrace(before)
    assert env.cache.num_rows == 21


@pytest.mark.parametrize("is_late", [False, True])
def test_what_is_raised_that_is_not_of_odd_data_is_not_swallowed(is_late):
    env = recorded()
    env.reset(seed=0)
    for _ in range(8):
        env.step(ACTIONS)

    class Late(list[Any]):
        def append(self, row: Any) -> None:
            if is_late:
                super().append(row)
            raise TimeoutError  # as of a handler of signals

    buffer = env.recorder.many
    num_rows = len(buffer.rows)
    buffer.rows = Late(buffer.rows)
    values = np.zeros(ENVS), ACTIONS, np.zeros((ENVS, 2), np.float32)
    info = {"x": np.zeros(ENVS), "_x": np.ones(ENVS, np.bool_)}
    with pytest.raises(TimeoutError):
        buffer.put(None, None, None, *values, info, {})
    assert len(buffer.rows) == num_rows + is_late
    with pytest.warns(rv.RolloutViewerWarning, match="TimeoutError"):
        env.step(ACTIONS)
    env.step(ACTIONS)

    rewards = env.cache.scalars["reward"][1:, 1].tolist()
    assert rewards == [*range(1, 9), *[0] * is_late, 9, 10]
    assert env.recorder.num_calls == env.cache.num_rows == 11 + is_late


def test_no_row_comes_once_the_cache_was_closed():
    env = recorded()
    env.reset(seed=0)
    for _ in range(6):
        env.step(ACTIONS)
    env.cache.close()

    with pytest.raises(rv.CacheClosedError):
        env.step(ACTIONS)

    assert rv.open(env.cache.path).num_rows == env.cache.num_rows == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_the_rows_so_far_and_records_into_another_file(tmp_path):
    env = recorded(rv.FrameCache(tmp_path / "run.rollout"))
    env.reset(seed=0)
    for _ in range(6):
        env.step(ACTIONS)
    parent = env.cache
    pid = os.fork()
    if not pid:
        is_right = False
        try:
            for _ in range(3):
                env.step(ACTIONS)
            rewards = env.cache.scalars["reward"][:, 1].tolist()
            is_right = parent.num_rows == 7 and rewards == [7, 8, 9]
        finally:
            os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    env.step(ACTIONS)
    env.close()
    assert parent.scalars["reward"][1:, 1].tolist() == [*range(1, 8)]


def test_rows_are_read_and_appended_in_other_threads_while_they_come():
    cache = rv.FrameCache()
    env = recorded(cache, length=50)
    env.reset(seed=0)
    env.step(ACTIONS)
    is_over, wrong = threading.Event(), []
    num_others = 0

    def read() -> None:
        while not is_over.is_set():
            own = [x for x in cache.scalars["reward"][:, 1].tolist() if x >= 0]
            if own != [*range(1, len(own) + 1)]:
                wrong.append(own)
            last = cache.at(-1, 1)
            if last["reward"] is not None and last["reward"] > 0:
                assert last["obs"][0] == last["reward"]

    def add() -> None:
        nonlocal num_others
        while not is_over.wait(0.002):
            cache.append(
                None,
                reward=[-1.0] * ENVS,
                action=ACTIONS,
                data={"obs": np.zeros((ENVS, 2), "f4"), "info.x": np.zeros(ENVS)},
            )
            num_others += 1

    threads = [threading.Thread(target=one) for one in (read, add)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for one in threads:
            one.start()
        for _ in range(2000):
            env.step(ACTIONS)
    finally:
        is_over.set()
        for one in threads:
            one.join()
        sys.setswitchinterval(interval)

    assert not wrong
    rewards = cache.scalars["reward"][:, 1]
    count = env.env.envs[1].count
    assert rewards[rewards >= 0].tolist() == [*range(1, count + 1)]
    assert np.count_nonzero(rewards == -1) == num_others > 0


def starts_of(kind: Any, asked: list[str] | None = None) -> dict[Any, Any]:
    """Return from which states episodes began that ended at different times."""
    makes = [
        functools.partial(gym.make, "CartPole-v1", max_episode_steps=steps)
        for steps in (5, 7, 9)
    ]
    envs = kind(makes)
    env = rv.record(envs, render="later")
    env.reset(seed=0)
    env.action_space.seed(0)
    if asked is not None:
        get_attr = envs.get_attr

        def noted(name: str) -> Any:
            asked.append(name)
            return get_attr(name)

        envs.get_attr = noted
    for _ in range(60):
        env.step(env.action_space.sample())
    found = {}
    for one in env.cache.episodes:
        start = env.cache.recording.start_of(one.env, one.index)
        assert start is not None
        found[one.env, one.index] = unpack_start(start).state
    env.close()
    return found


def test_of_envs_in_other_processes_only_those_that_are_reset_are_asked():
    asked: list[str] = []

    found = starts_of(AsyncVectorEnv, asked)

    assert found == starts_of(SyncVectorEnv)
    assert len(found) > 12
    assert not asked


@pytest.mark.filterwarnings("ignore::UserWarning")  # how Gymnasium logs it
def test_a_generator_that_cannot_be_asked_for_is_an_error_of_its_environment():
    env = rv.record(
        AsyncVectorEnv([functools.partial(Shy, n) for n in range(2)]),
        make_env=Counting,
        render="later",
    )
    env.reset(seed=0)
    with pytest.raises(RuntimeError, match="no generator"):
        for _ in range(10):
            env.step(np.zeros(2, np.int64))
    env.recorder.finish()
    assert env.cache.num_rows > 2
    env.env.close(terminate=True)


class Shy(Counting):
    """Has no generator any more once it has ended."""

    def __init__(self, number: int) -> None:
        super().__init__(3 + number)
        self._number = number

    @property
    def np_random(self) -> Any:
        if self._number and self.count >= 3:
            raise RuntimeError("no generator")
        return super().np_random

    @np_random.setter
    def np_random(self, value: Any) -> None:
        self._np_random = value
