"""Steps of a single env that are like the last one, which come by a buffer."""

from __future__ import annotations

import collections
import dis
import os
import signal
import sys
import threading
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording import step_buffer
from rollout_viewer._recording.many_buffer import ManyBuffer
from rollout_viewer._recording.row_memory import GROUP_ROWS
from rollout_viewer._recording.step_buffer import StepBuffer
from rollout_viewer._recording.step_row import RESET, STEP
from rollout_viewer._replay.episode_start import unpack_start
from rollout_viewer._replay.recipe import Recipe
from tests.test_cache_ways import numbers_of, stored


class Counting(gym.Env[Any, Any]):
    """Returns numbers that count its steps, in the same array each time."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Discrete(1000)

    def __init__(self, length: int = 10**9) -> None:
        self._length, self._obs = length, np.zeros(2, np.float32)
        self.count = self._step = 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._step = 0
        return self._obs, {}

    def step(self, action: Any) -> Any:
        self.count += 1
        self._step += 1
        self._obs[:] = self.count
        return self._obs, float(self.count), self._step == self._length, False, {}


def recorded(cache: rv.FrameCache | None = None, length: int = 10**9) -> Any:
    return rv.record(
        Counting(length),
        make_env=lambda: Counting(length),
        render="later",
        cache=rv.FrameCache() if cache is None else cache,
    )


def count_calls(monkeypatch: pytest.MonkeyPatch, cache: rv.FrameCache) -> list[str]:
    """Return a list that gets the name of each method that appends a row."""
    found: list[str] = []
    for name in ("append", "append_step", "append_one"):
        method = getattr(cache, name)

        def call(
            *args: Any, name: str = name, method: Any = method, **more: Any
        ) -> Any:
            found.append(name)
            return method(*args, **more)

        monkeypatch.setattr(cache, name, call)
    return found


def test_nearly_all_steps_and_resets_come_by_a_buffer(monkeypatch):
    env = recorded(length=11)
    calls = count_calls(monkeypatch, env.cache)
    env.reset(seed=0)
    for _ in range(320):
        *_, terminated, _, _ = env.step(1)
        if terminated:
            env.reset()

    num_rows = env.cache.num_rows
    assert num_rows == 321 + 320 // 11
    assert env.recorder.num_calls == num_rows
    # At length the first two; then the last of each block, and the third.
    assert calls.count("append") == 2
    assert len(calls) == 3 + num_rows // 32


@pytest.mark.skipif(sys.platform != "linux", reason="rows beside a file need Linux")
def test_one_buffer_follows_another_until_a_group_of_blocks_is_full(
    tmp_path, monkeypatch
):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    env = recorded(cache, length=11)
    env.reset(seed=0)
    for _ in range(30):
        *_, terminated, _, _ = env.step(1)
        if terminated:
            env.reset()
    calls = count_calls(monkeypatch, cache)
    for number in range(31, 2001):
        *_, terminated, _, _ = env.step(number % 1000)
        # All but those of one block would survive a kill.
        recording: Any = cache.recording
        assert recording.num_appended - recording._handled_rows <= 32
        if terminated:
            env.reset()

    # One more where the first block ends; then the first of each group.
    assert len(calls) <= 2 + cache.num_rows // GROUP_ROWS
    assert env.recorder.num_calls == cache.num_rows == 2001 + 2000 // 11
    is_step = ~np.isnan(rewards := cache.scalars["reward"][:, 0])
    assert rewards[is_step].tolist() == [*range(1, 2001)]
    actions = cache.raw_column("action", 0, cache.num_rows)[is_step, 0]
    assert actions[30:].tolist() == [*range(31, 1000), *range(1000), 0]
    assert len(cache.episodes) == 1 + 2000 // 11
    env.close()
    opened = rv.open(tmp_path / "run.rollout")
    assert opened.episodes == cache.episodes
    np.testing.assert_equal(opened.scalars["reward"], cache.scalars["reward"])
    np.testing.assert_equal(opened.column("obs"), cache.column("obs"))


def test_each_row_is_there_at_once_as_it_was_whatever_reads_it():
    env = recorded()
    told: list[tuple[int, int]] = []
    env.reset(seed=0)
    for number in range(1, 140):
        if number == 70:
            env.cache.subscribe(lambda *rows: told.append(rows))
        env.step(number)  # its observation is in the same array each time
        if number % 7 == 0:
            assert env.cache.num_rows == number + 1
            assert env.cache.at(-1, 0)["obs"].tolist() == [number, number]
        if number % 9 == 0:
            env.cache.flush()
            assert rv.open(env.cache.path).scalars["reward"][-1, 0] == number

    assert told == [(row, row + 1) for row in range(70, 140)]
    assert env.cache.column("obs")[:, 0, 0].tolist() == [*range(140)]
    assert env.cache.raw_column("action", 1, 140)[:, 0].tolist() == [*range(1, 140)]


ACTIONS: list[Any] = [1, np.int64(2), True, np.int32(3), 2**63, -(2**63), np.array(4)]
ACTIONS += [np.array([5]), np.uint8(6), 7.0]
REWARDS: list[Any] = [1, 2.0, np.float32(3), np.float64("nan"), np.array(4.0), True]
REWARDS += [float("inf"), 10**400]
VALUES: list[Any] = [
    np.zeros(2, np.float32),
    np.zeros(2, ">f4"),
    np.zeros((4, 2), np.float32)[::2, 0],
    np.zeros(2),
    np.zeros(3, np.float32),
    [0.0, 0.0],
]
INFOS: list[Any] = [{}, {"x": 1}, {"x": 1.5}, {"x": np.float32(2)}, {"y": 1.0}, [1]]
INFOS += [{"x": True}, {"x": "text"}, {"x": 10**400}, {"x": 1.0, "y": 2.0}, None]
INFOS += [{"x": np.array(3.0)}, {"x": np.array([3.0])}, {"success": True}]
INFOS += [collections.defaultdict(float, z=1.0), collections.Counter(hits=2)]


class Odd(Counting):
    """Returns something unusual in every third step or so."""

    def __init__(self, seed: int) -> None:
        super().__init__(23)
        self._seed = seed
        self._rng = np.random.default_rng(seed)

    def any_of(self, found: list[Any], usual: Any) -> Any:
        is_odd = self._rng.random() < 0.1
        return found[self._rng.integers(len(found))] if is_odd else usual

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        obs, _ = super().reset(seed=seed)
        return obs, self.any_of(INFOS, {"x": 0.0})

    def step(self, action: Any) -> Any:
        obs, reward, terminated, truncated, _ = super().step(action)
        return (
            self.any_of(VALUES, obs),
            self.any_of(REWARDS, reward),
            self.any_of([np.bool_(terminated)], terminated),
            truncated,
            self.any_of(INFOS, {"x": reward / 2}),
        )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(12))
def test_whatever_an_env_returns_is_recorded_as_at_length(seed):
    found = []
    for is_at_length in (False, True):
        env = rv.record(
            Odd(seed),
            make_env=lambda: Odd(seed),
            render="later",
            info=[False, True, "x"][seed % 3],
        )
        cache: Any = env.cache
        if is_at_length:
            cache.append_step = cache.append_one = lambda *_: None
        problems = []
        env.reset(seed=0)
        for number in range(150):
            action = env.unwrapped.any_of(ACTIONS, number)
            try:
                *_, terminated, _, _ = env.step(action)
            except Exception as error:
                problems.append((number, repr(error)))
                continue
            if terminated:
                env.reset()
        env.close()
        found.append(repr((problems, numbers_of(cache), env.recorder.num_calls)))

    assert found[0] == found[1]


def test_episodes_that_begin_in_a_segment_are_of_it():
    env = recorded(length=5)
    env.reset(seed=0)
    for number in range(40):
        env.step(1)
        if number % 5 == 4:
            if 10 < number < 20:
                with env.cache.segment("eval"):
                    env.reset()
            else:
                env.reset()

    names = [one.segment for one in env.cache.episodes]
    assert (
        names
        == [None, None, None, "eval", "eval", None, None, None, None][: len(names)]
    )


def test_rows_of_others_come_between():
    """Of another env, and of a loop; and all of them are forgotten."""
    cache = rv.FrameCache()
    first, second = recorded(cache), recorded(cache)
    first.reset(seed=0)
    expected = [np.nan]
    for env, num_steps in ((first, 5), (second, 2), (first, 40), (second, 33)):
        for _ in range(num_steps):
            env.step(0)
            expected.append(env.unwrapped.count)
        cache.append(None, reward=-1.0, action=0, data={"obs": np.zeros((1, 2), "f4")})
        expected.append(-1)
    rewards = cache.scalars["reward"][:, 0]
    np.testing.assert_array_equal(rewards, expected)
    assert first.recorder.num_calls == 46

    second.step(0)
    second.step(0)
    cache.clear()
    second.step(0)
    second.step(0)
    assert cache.scalars["reward"][:, 0].tolist() == [38, 39]


def test_calls_are_counted_where_rows_of_others_come_before_a_buffer_is_opened(
    monkeypatch,
):
    cache = rv.FrameCache()
    first, second = recorded(cache), recorded(cache)
    for env in (second, first):
        env.reset(seed=0)
        env.step(0)
        env.step(0)
    open_buffer, num_others = cache.open_buffer, 2

    def open_late(forms: Any) -> Any:
        nonlocal num_others
        if threading.current_thread() is not threading.main_thread():
            return None
        other = threading.Thread(target=second.step, args=(0,))
        other.start()
        other.join()
        num_others += 1
        return open_buffer(forms)

    monkeypatch.setattr(cache, "open_buffer", open_late)
    for number in range(3, 80):
        first.step(0)
        assert first.recorder.num_calls == number + 1
    assert second.recorder.num_calls == num_others + 1 > 6

    rewards = cache.scalars["reward"][:, 0]
    expected = sorted([*range(1, 80), *range(1, num_others + 1)])
    assert sorted(rewards[rewards > 0].tolist()) == expected


def test_an_info_that_invents_what_it_lacks_stays_as_it_was():
    env = recorded()
    usual, odd = {"x": 1.0}, collections.defaultdict(float, y=2.0)
    env.unwrapped.step = lambda _: (np.zeros(2, np.float32), 1.0, False, False, usual)
    env.reset(seed=0)
    for _ in range(8):
        env.step(0)
    usual = odd
    env.step(0)

    assert odd == {"y": 2.0}
    assert env.cache.at(-1, 0)["info.y"] == 2


def test_no_row_comes_once_the_cache_was_closed():
    env = recorded()
    env.reset(seed=0)
    for _ in range(6):
        env.step(1)
    env.cache.close()

    with pytest.raises(rv.CacheClosedError):
        env.step(1)

    assert env.cache.num_rows == 7
    assert rv.open(env.cache.path).num_rows == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_the_rows_so_far_and_records_into_another_file(tmp_path):
    env = recorded(rv.FrameCache(tmp_path / "run.rollout"))
    env.reset(seed=0)
    for _ in range(6):
        env.step(1)
    parent = env.cache
    pid = os.fork()
    if not pid:
        is_right = False
        try:
            for _ in range(3):
                env.step(1)
            rewards = env.cache.scalars["reward"][:, 0].tolist()
            is_right = parent.num_rows == 7 and rewards == [7, 8, 9]
        finally:
            os._exit(0 if is_right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    env.step(1)
    env.close()
    assert parent.scalars["reward"][1:, 0].tolist() == [*range(1, 8)]
    assert parent.path.exists()


def test_rows_are_read_and_appended_in_other_threads_while_they_come():
    cache = rv.FrameCache()
    env = recorded(cache, length=50)
    env.reset(seed=0)
    env.step(1)
    is_over, wrong = threading.Event(), []
    num_others = 0

    def read() -> None:
        while not is_over.is_set():
            if (count := cache.num_rows) and count < 2:
                wrong.append(count)
            own = [x for x in cache.scalars["reward"][:, 0].tolist() if x >= 0]
            if own != [*range(1, len(own) + 1)]:
                wrong.append(own)
            last = cache.at(-1, 0)
            if last["reward"] is not None and last["reward"] > 0:
                assert last["obs"][0] == last["reward"]

    def add() -> None:
        nonlocal num_others
        while not is_over.wait(0.002):
            cache.append(
                None, reward=-1.0, action=0, data={"obs": np.zeros((1, 2), "f4")}
            )
            num_others += 1

    threads = [threading.Thread(target=one) for one in (read, read, add)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for one in threads:
            one.start()
        for _ in range(6000):
            *_, terminated, _, _ = env.step(1)
            if terminated:
                env.reset()
    finally:
        is_over.set()
        for one in threads:
            one.join()
        sys.setswitchinterval(interval)

    rewards = cache.scalars["reward"][:, 0]
    assert not wrong
    assert rewards[rewards >= 0].tolist() == [*range(1, 6002)]
    assert np.count_nonzero(rewards == -1) == num_others > 0
    assert sum(np.isnan(rewards)) == 1 + 6001 // 50


def test_a_row_is_there_or_not_where_the_list_fails():
    recorder = Recorder(1, recipe=Recipe(make_env=lambda: None))
    obs = np.zeros(2)
    recorder.add([RESET], list, data={"obs": obs[None]})
    recorder.add([STEP], list, reward=[1.0], action=[0], data={"obs": obs[None]})
    assert recorder.add_one(1, 0, 2.0, 0, {"obs": obs})
    buffer: Any = recorder.buffer

    class Full(list):
        def append(self, row: Any) -> None:
            raise MemoryError

    buffer.rows = Full()
    assert not buffer.put(0, obs, 3.0, 0, {})
    assert recorder.add_one(1, 0, 3.0, 0, {"obs": obs})

    assert recorder.cache.scalars["reward"][1:, 0].tolist() == [1, 2, 3]


def test_how_episodes_begin_is_packed_as_it_was():
    env = rv.record(gym.make("CartPole-v1"), render="later")
    states = []
    env.reset(seed=0)
    for _ in range(25):
        *_, terminated, _, _ = env.step(1)
        if terminated:
            states.append(env.np_random.bit_generator.state)
            env.reset()

    found = [env.cache.recording.start_of(0, one.index) for one in env.cache.episodes]

    assert len(states) == len(found) - 1 == 2
    starts = [unpack_start(one) for one in found]
    assert [one.state["np_random"] for one in starts[1:]] == states
    assert [len(one) for one in found[1:]] == [43, 43]


class Informed(Counting):
    """Has more in the info of steps than in that of resets, as MuJoCo's have."""

    def __init__(self) -> None:
        super().__init__(7)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        obs, _ = super().reset(seed=seed)
        return obs, {"x": self.count / 2}

    def step(self, action: Any) -> Any:
        *result, _ = super().step(action)
        return *result, {"y": float(action), "x": self.count / 2, "no": [1, "a"]}


@pytest.mark.filterwarnings("ignore:record. expected info")
def test_resets_may_lack_numbers_that_steps_have(monkeypatch, tmp_path):
    found, tables, num_calls = [], [], []
    for is_at_length in (False, True):
        env = rv.record(Informed(), make_env=Informed, render="later")
        cache: Any = env.cache
        if is_at_length:
            cache.append_step = cache.append_one = lambda *_: None
        calls = count_calls(monkeypatch, cache)
        env.reset(seed=0)
        for number in range(300):
            *_, terminated, _, _ = env.step(number)
            if terminated:
                env.reset()
            if number % 50 == 0:
                cache.flush()
        num_calls.append(len(calls))
        env.close()
        found.append(repr(numbers_of(cache)))
        table = stored(cache.save(tmp_path / f"{is_at_length}.rollout"))
        table["meta"] = [row for row in table["meta"] if row[0] != "replay"]
        tables.append(table)

    assert found[0] == found[1]
    assert tables[0] == tables[1]
    # One for each block, the first reset and the two steps and resets after it.
    assert num_calls[0] <= 300 // 32 + 8


def test_without_the_lock_of_the_interpreter_there_is_no_buffer(monkeypatch):
    monkeypatch.setattr(step_buffer, "HAS_LOCK", False)
    env = recorded()
    calls = count_calls(monkeypatch, env.cache)
    env.reset(seed=0)
    for _ in range(20):
        env.step(1)

    assert calls[2:] == ["append_one"] * 19
    assert env.cache.scalars["reward"][1:, 0].tolist() == [*range(1, 21)]


@pytest.mark.parametrize(
    ("get", "follow"),
    [(sys.gettrace, sys.settrace), (sys.getprofile, sys.setprofile)],
    ids=["tracer", "profiler"],
)
def test_where_a_tracer_lets_other_threads_run_there_is_no_buffer(
    monkeypatch, get: Any, follow: Any
):
    env = recorded()
    calls = count_calls(monkeypatch, env.cache)
    env.reset(seed=0)
    before = get()
    follow(lambda *_: None)
    try:
        for _ in range(20):
            env.step(1)
    finally:
        follow(before)

    assert calls[2:] == ["append_one"] * 19
    assert env.cache.scalars["reward"][1:, 0].tolist() == [*range(1, 21)]


def test_a_tracer_that_is_set_meanwhile_ends_the_buffers(tmp_path):
    env = recorded(rv.FrameCache(tmp_path / "run.rollout"))
    env.reset(seed=0)
    before = sys.getprofile()
    for number in range(1, 200):
        if number == 100:
            sys.setprofile(lambda *_: None)
        env.step(1)
        if number == 99:
            assert env.recorder.buffer is not None
    sys.setprofile(before)

    assert env.recorder.buffer is None
    assert env.cache.num_rows == 200


class Alarmed(list[Any]):
    """Gets a signal as a row is appended: before it is there, or after that."""

    def __init__(self, rows: list[Any], *, is_late: bool) -> None:
        super().__init__(rows)
        self._is_late = is_late

    def append(self, row: Any) -> None:
        if self._is_late:
            super().append(row)
        signal.raise_signal(signal.SIGINT)
        super().append(row)


@pytest.fixture
def alarm() -> Any:
    """Have signals raise an exception that no data would."""

    def raise_it(*_: Any) -> None:
        raise TimeoutError("too long")

    before = signal.signal(signal.SIGINT, raise_it)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("is_late", [False, True])
def test_an_exception_of_a_handler_of_signals_is_told_and_no_row_is_lost(is_late):
    env = recorded()
    env.reset(seed=0)
    for is_reset in (False, True):
        for _ in range(8):
            env.step(0)
        buffer = env.recorder.buffer
        usual, buffer.rows = buffer.rows, Alarmed(buffer.rows, is_late=is_late)
        with pytest.raises(TimeoutError):
            buffer.put(0, np.zeros(2, np.float32), 99.0, 0, {})
        buffer.rows = Alarmed(usual, is_late=is_late)
        env.recorder.warning._has_warned = False
        with pytest.warns(rv.RolloutViewerWarning, match="TimeoutError: too long"):
            _ = env.reset() if is_reset else env.step(0)

    rewards = env.cache.scalars["reward"][:, 0]
    assert rewards[rewards > 0].tolist() == [*range(1, 18)]
    assert np.isnan(rewards).nonzero()[0].tolist() == [0, 18]
    assert env.recorder.num_calls == env.cache.num_rows == 19


@pytest.mark.parametrize(
    "put",
    [StepBuffer.put, StepBuffer.put_reset, ManyBuffer.put],
    ids=lambda f: f.__qualname__,
)
def test_no_jump_is_taken_between_the_look_and_the_row(put: Any) -> None:
    """Python 3.10 lets other threads run where one is."""
    code = [(one.opname, one.argval) for one in dis.get_instructions(put)]
    looks = [at for at, (_, argument) in enumerate(code) if argument == "is_open"]

    assert looks
    for at in looks:
        call = next(i for i in range(at, len(code)) if code[i][0].startswith("CALL"))
        between = code[at + 1 : call]
        assert any(argument == "append" for _, argument in between)
        jumps = [name for name, _ in between if "JUMP" in name]
        assert [name for name in jumps if "IF_FALSE" not in name] == []
