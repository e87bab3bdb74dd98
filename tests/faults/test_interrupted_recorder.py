"""`Recorder.add` is interrupted anywhere: its call is in one row, once, or in none.

What the rows are then is compared with those of recorders that are not interrupted: of
all calls; with that call recorded by the next row; and without it. `FAULTS=long` tries
every place, else a sample.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import Any

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer._recorder.episode_quota import EpisodeQuota
from rollout_viewer._recorder.later_videos import LaterVideos
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.usual_calls import flags_of
from rollout_viewer._recorder.video_segment import VideoSegment
from rollout_viewer._recording.step_row import Kind
from rollout_viewer._replay.recipe import Recipe
from rollout_viewer.testing import counting_frame, read_count
from tests.faults.interrupts import IS_LONG, interrupted, places_of, sample
from tests.faults.survival import survives
from tests.test_step_buffer import Counting

RESET, STEP, IDLE, MISSING = Kind

pytestmark = [
    pytest.mark.slow,  # not for every edit
    survives(
        "Ctrl-C, or a MemoryError, anywhere inside a call",
        kept="all other rows",
        lost="the row of that call",
        seen="the exception; the next call works",
    ),
]

# What each call is to two envs, and which of them end with it. Env 0 is reset while it
# runs, and env 1 is idle then.
CALLS: list[tuple[tuple[Kind, Kind], tuple[bool, bool]]] = [
    ((RESET, RESET), (False, False)),
    ((STEP, STEP), (False, False)),
    ((STEP, STEP), (False, True)),
    ((STEP, RESET), (False, False)),
    ((STEP, STEP), (False, False)),
    ((RESET, IDLE), (False, False)),
    ((STEP, STEP), (True, False)),
    ((RESET, STEP), (False, False)),
    ((STEP, STEP), (False, False)),
    ((STEP, STEP), (False, False)),
]
OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "infos without success": {},
    "filtered": {"keep_episode": lambda episode: True},
    "render later": {"recipe": Recipe(make_env=lambda: None)},
    "numbers alone": {"recipe": Recipe(make_env=lambda: None)},
    "skip": {"skip": 2},
    "objectives": {},
    "blocks": {},
}


FRAMES = [[counting_frame(number, env) for env in range(2)] for number in range(10)]


class Failing:
    """A cache to which nothing can be appended."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def append(self, *_: Any, **__: Any) -> int:
        raise MemoryError


class Loop:
    """A recorder and the calls that it is to record."""

    def __init__(self, case: str) -> None:
        self.case = case
        self.cache = rv.FrameCache()
        self.recorder = Recorder(2, cache=self.cache, **OPTIONS[case])
        if case != "numbers alone":
            self.recorder.limit_episodes(EpisodeQuota(20, 2))
        if case == "blocks":
            add = self.cache.append_block
            self.builder = BlockBuilder(lambda block: add({0: block}))
            self.recorder.redirect(self.builder)

    def add(self, number: int) -> None:
        kinds, ends = CALLS[number]
        is_step = np.array(kinds) == STEP
        reward = np.where(is_step, [10.0**number, 2.0**number], np.nan)
        if self.case == "objectives":
            reward = np.stack([reward, 2 * reward], axis=1)
        self.recorder.add(
            kinds,
            lambda: FRAMES[number],
            reward=reward,
            terminated=np.array(ends),
            truncated=np.zeros(2, np.bool_),
            action=np.full(2, number),
            data={"obs": np.full((2, 1), number)},
            infos={e: {"seed": number} for e, k in enumerate(kinds) if k == RESET},
            step_info=self.info(number),
        )

    def info(self, number: int) -> list[dict[str, Any]] | None:
        if self.case == "numbers alone":
            return None
        success = {"is_success": number % 2 == 0}
        if self.case == "infos without success":
            success = {}
        return [{**success, "speed": number}] * 2

    def fail(self, number: int) -> None:
        """Add a call where the row cannot be appended."""
        sink = self.recorder._sink
        failing: Any = Failing(sink)
        self.recorder._sink, self.recorder._is_lean = failing, False
        with contextlib.suppress(MemoryError):  # with `skip`, it needs no row
            self.add(number)
        self.recorder._sink = sink

    def finish(self) -> rv.FrameCache:
        self.recorder.finish()
        if self.case == "blocks":
            self.builder.seal()
        return self.cache


def table(cache: rv.FrameCache) -> list[Any]:
    """Return all that can be read of the rows and of the episodes."""
    rows: list[Any] = []
    for row in range(cache.num_rows):
        for env in range(2):
            now = cache.at(row, env)
            shown = read_count(cache[row, env]) if now.has_picture else None
            numbers = {name: np.asarray(now[name]).tolist() for name in sorted(now)}
            rows.append((row, env, shown, sorted(numbers.items(), key=str)))
    return [rows, [repr(episode) for episode in cache.episodes]]


def uninterrupted(case: str, number: int, how: str) -> str:
    loop = Loop(case)
    for one in range(len(CALLS)):
        if one != number or how == "whole":
            loop.add(one)
        elif how == "in the next row":
            loop.fail(one)
    return repr(table(loop.finish()))


# An end, a reset that cuts an episode off, an end of one that began so; of numbers
# alone, steps like the one before. All others in the long form.
USUAL = [(case, number) for case in OPTIONS for number in (2, 5, 6)]
CASES = [*USUAL, *(("numbers alone", number) for number in (4, 8))]
if IS_LONG:
    CASES = [(case, n) for case in OPTIONS for n in range(1, len(CALLS) - 1)]


@pytest.mark.parametrize(("case", "number"), CASES)
def test_a_call_that_is_interrupted_anywhere_is_in_one_row_or_in_none(
    case, number, figures
):
    def begun() -> Loop:
        loop = Loop(case)
        for one in range(number):
            loop.add(one)
        return loop

    for _ in range(2):  # the first time, more is imported and cached
        places = places_of(functools.partial(begun().add, number))
    ways = ("whole", "in the next row", "nowhere")
    expected = {uninterrupted(case, number, how): how for how in ways}
    found = dict.fromkeys(ways, 0)
    tried = np.unique(np.linspace(0, len(places) - 1, 60 if IS_LONG else 6).astype(int))

    for at in (places[i] for i in tried):
        loop = begun()
        with interrupted(at) as interrupt:
            loop.add(number)
        for one in range(number + 1, len(CALLS)):
            loop.add(one)

        how = expected.get(repr(table(loop.finish())))
        assert how is not None, interrupt.where
        found[how] += 1
    figures(f"Recorder.add, {case}: {found}")


@pytest.mark.parametrize("number", range(2, len(CALLS)))
def test_a_call_whose_row_is_refused_is_in_the_next_row(monkeypatch, number):
    """Also where it resets one env, and the other one is idle."""

    def refuse(*_: Any) -> None:
        raise MemoryError

    loop = Loop("numbers alone")
    for one in range(len(CALLS)):
        with monkeypatch.context() as patched:
            if one == number:
                for name in ("append", "append_step"):
                    patched.setattr(loop.cache, name, refuse, raising=False)
            with contextlib.suppress(MemoryError):
                loop.add(one)

    expected = uninterrupted("numbers alone", number, "in the next row")
    assert repr(table(loop.finish())) == expected


# Of one env: what each call is to it, and whether it ends.
CALLS_OF_ONE = [RESET, STEP, STEP, "end", RESET, STEP, STEP, RESET, STEP, "end", RESET]
CALLS_OF_ONE += [STEP] * 30


class LoopOfOne:
    """A recorder of one env that renders later, and its calls."""

    calls = CALLS_OF_ONE
    # Every sum of them tells which they are, up to 53 calls.
    base = 2.0

    def __init__(self, path: Any = None) -> None:
        self.cache = rv.FrameCache(path)
        self.num_short = self.num_put = 0
        self.recorder = Recorder(
            1, cache=self.cache, recipe=Recipe(make_env=lambda: None)
        )

    def add(self, number: int, *, is_at_length: bool = False) -> None:
        call = self.calls[number]
        kind = RESET if call == RESET else STEP
        reward = None if kind == RESET else self.base**number
        obs, info = np.full(3, number, np.float32), {"speed": number / 2}
        start = b"start" if kind == RESET else None
        flags = {RESET: 4, "end": 1}.get(call, 0)
        action = None if kind == RESET else number
        if not is_at_length and (buffer := self.recorder.buffer) is not None:
            if kind == RESET:
                is_put = buffer.put_reset(obs, info, start)
            else:
                is_put = buffer.put(action, obs, reward, flags, info)
            if is_put:
                self.num_put += 1
                return
        if not is_at_length and self.recorder.add_one(
            int(kind), flags, reward, action, {"obs": obs}, info, start
        ):
            self.num_short += 1
            return
        self.recorder.add(
            [kind],
            list,
            reward=None if reward is None else np.array([reward]),
            terminated=np.array([flags == 1]),
            truncated=np.array([False]),
            action=None if action is None else np.array([action]),
            data={"obs": obs[None]},
            infos=None if start is None else {0: {"replay_start": start}},
            step_info=[info],
        )


def numbers_of_one(loop: LoopOfOne) -> tuple[Any, ...]:
    """Return what a call leaves: rewards, episodes, their steps and their starts."""
    loop.recorder.finish()
    cache = loop.cache
    return (
        np.nansum(cache.scalars["reward"]),
        [(one.length, one.total_reward, one.terminated) for one in cache.episodes],
    )


def test_calls_of_one_env_are_recorded_as_at_length():
    found = []
    for is_at_length in (False, True):
        loop = LoopOfOne()
        for number in range(len(CALLS_OF_ONE)):
            loop.add(number, is_at_length=is_at_length)
        loop.recorder.finish()
        # By the buffer all but the first two, the next one, and the last of a block.
        num_usual = 0 if is_at_length else len(CALLS_OF_ONE) - 2
        assert loop.num_short == (2 if num_usual else 0)
        assert loop.num_short + loop.num_put == num_usual
        assert loop.recorder.num_calls == len(CALLS_OF_ONE)
        cache = loop.cache
        rows = [sorted(cache.at(row, 0).items()) for row in range(cache.num_rows)]
        found.append(repr([rows, cache.episodes]))
    assert found[0] == found[1]


@pytest.mark.parametrize("number", [2, 3, 4, 7, 20])
def test_a_call_of_one_env_is_in_one_row_or_in_none_wherever_it_is_interrupted(
    number, figures
):
    def begun() -> LoopOfOne:
        loop = LoopOfOne()
        for one in range(number):
            loop.add(one)
        return loop

    def finished(loop: LoopOfOne) -> tuple[Any, ...]:
        for one in range(number + 1, len(CALLS_OF_ONE)):
            loop.add(one)
        return numbers_of_one(loop)

    for _ in range(2):  # the first time, more is imported and cached
        loop = begun()
        places = places_of(functools.partial(loop.add, number))
    loop = begun()
    loop.add(number)
    expected = [finished(loop), finished(begun())]

    found = [0, 0]
    for at in sample(places, 12):
        loop = begun()
        with interrupted(at) as interrupt:
            loop.add(number)
        assert not loop.recorder._lock.locked(), interrupt.where
        now = finished(loop)
        assert now in expected, interrupt.where
        found[expected.index(now)] += 1
    figures(f"Recorder.add_one: {found[0]} recorded, {found[1]} not")


# Of three envs, which end with each call; those are reset by the next one.
ENDS_OF_MANY: list[list[int]] = [[], [], [1], [], [0, 2], [1], [0], [], *[[]] * 30]


class LoopOfMany:
    """A recorder of three envs that renders later, and its calls."""

    ends = ENDS_OF_MANY
    base = 2.0

    def __init__(self, path: Any = None) -> None:
        self.cache = rv.FrameCache(path)
        self.num_short = 0
        self.recorder = Recorder(
            3, cache=self.cache, recipe=Recipe(make_env=lambda: None)
        )
        # Which envs are reset by a call, and which of the others end: of an env that
        # ended with the call before, an end counts for nothing.
        self.masks: list[tuple[Any, Any]] = []
        resets: Any = None
        for envs in self.ends:
            ended = np.isin(np.arange(3), envs)
            if resets is not None:
                ended &= ~resets
            self.masks.append((resets, ended if ended.any() else None))
            resets = self.masks[-1][1]
        self.recorder.add([RESET] * 3, list, data=self._data(0))
        self._add_at_length(1, np.zeros(3, np.bool_), np.zeros(3, np.bool_))

    def _data(self, number: int) -> dict[str, Any]:
        return {"obs": np.full((3, 2), number, np.float32)}

    def add(self, number: int, way: str = "buffer") -> None:
        (resets, ended), values = self.masks[number], self._data(number)
        is_ended = np.zeros(3, np.bool_) if ended is None else ended
        infos = {"speed": np.full(3, number / 2)}
        begun = () if resets is None else np.flatnonzero(resets).tolist()
        starts = dict.fromkeys(begun, b"start")
        reward, action = np.array([self.base**number] * 3), np.arange(3)
        terminated = is_ended & (number != 4)
        flags = flags_of(ended, terminated, is_ended)
        buffer = self.recorder.many if way == "buffer" else None
        if buffer is not None and buffer.put(
            resets, ended, flags, reward, action, values["obs"], infos, starts
        ):
            self.num_short += 1
        elif way != "length" and self.recorder.add_many(
            resets, ended, reward, terminated, is_ended, action, values, infos, starts
        ):
            self.num_short += way == "add_many"
        else:
            is_reset = np.zeros(3, np.bool_) if resets is None else resets
            self._add_at_length(number, is_reset, is_ended)

    def _add_at_length(self, number: int, resets: Any, ended: Any) -> None:
        self.recorder.add(
            np.where(resets, RESET, STEP),
            list,
            reward=np.array([self.base**number] * 3),
            terminated=ended & (number != 4),
            truncated=ended,
            action=np.arange(3),
            data=self._data(number),
            infos={
                env: {"replay_start": b"start"}
                for env in np.flatnonzero(resets).tolist()
            },
            step_info={"speed": np.full(3, number / 2)},
        )


def numbers_of_many(loop: LoopOfMany) -> tuple[Any, ...]:
    loop.recorder.finish()
    cache = loop.cache
    return (
        np.nansum(cache.scalars["reward"], axis=0).tolist(),
        [(one.length, one.total_reward, one.truncated) for one in cache.episodes],
    )


def _refuse(*_: Any) -> None:
    raise MemoryError


def test_calls_of_many_envs_are_recorded_as_at_length():
    found = []
    for way in ("buffer", "add_many", "length"):
        loop = LoopOfMany()
        for number in range(2, len(ENDS_OF_MANY)):
            loop.add(number, way)
        loop.recorder.finish()
        # The first of a buffer, and the last of a block, come by `add_many`.
        num_short = {"buffer": -2, "add_many": 0, "length": 2 - len(ENDS_OF_MANY)}
        assert loop.num_short == len(ENDS_OF_MANY) - 2 + num_short[way]
        assert loop.recorder.num_calls == len(ENDS_OF_MANY)
        cache = loop.cache
        rows = [
            sorted(cache.at(row, env).items())
            for row in range(cache.num_rows)
            for env in range(3)
        ]
        starts = {
            (one.env, one.index): cache.recording.start_of(one.env, one.index)
            for one in cache.episodes
        }
        found.append(repr([rows, cache.episodes, starts]))
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("way", ["buffer", "add_many"])
@pytest.mark.parametrize("number", [2, 3, 4, 5, 6, 31])
def test_a_call_of_many_envs_is_in_one_row_or_in_none_wherever_it_is_interrupted(
    number, way, figures, monkeypatch
):
    def begun() -> LoopOfMany:
        loop = LoopOfMany()
        for one in range(2, number):
            loop.add(one, way)
        return loop

    def finished(loop: LoopOfMany) -> tuple[Any, ...]:
        for one in range(number + 1, len(ENDS_OF_MANY)):
            loop.add(one, way)
        return numbers_of_many(loop)

    for _ in range(2):  # the first time, more is imported and cached
        loop = begun()
        places = places_of(functools.partial(loop.add, number, way))
    whole, refused = begun(), begun()
    whole.add(number, way)
    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(refused.cache, "append_many", _refuse, raising=False)
        refused.add(number, "add_many")
    expected = [finished(loop) for loop in (whole, refused, begun())]

    found = [0, 0, 0]
    for at in sample(places, 12):
        loop = begun()
        with interrupted(at) as interrupt:
            loop.add(number, way)
        assert not loop.recorder._lock.locked(), interrupt.where
        now = finished(loop)
        assert now in expected, interrupt.where
        found[expected.index(now)] += 1
    figures(f"Recorder.{way}: {found} whole, in the next row, in none")


def test_rows_of_skipped_steps_are_completed_once_wherever_that_is_interrupted():
    def begun() -> Loop:
        loop = Loop("skip")
        for one in range(9):
            loop.add(one)
        assert loop.recorder.cache.num_rows == 6
        return loop

    reference, loop = begun(), begun()
    places = places_of(loop.recorder.complete)
    reference.add(9)
    whole = np.nansum(reference.finish().scalars["reward"], axis=0)

    for at in sample(places, 12):
        loop = begun()
        with interrupted(at) as interrupt:
            loop.recorder.complete()
        assert not loop.recorder._lock.locked(), interrupt.where
        loop.add(9)
        rewards = loop.finish().scalars["reward"]

        found = np.nansum(rewards, axis=0)
        assert found.tolist() == whole.tolist(), interrupt.where


def names_of(videos: LaterVideos) -> list[str]:
    """Wait for the videos; return the names of those that were written."""
    videos.wait()
    return [one.segment.name for one in videos.outcomes()]


def test_a_later_video_is_written_where_the_start_of_its_thread_was_interrupted(
    monkeypatch,
):
    start = threading.Thread.start

    def interrupt(thread: threading.Thread) -> None:
        if "release" in thread.name:  # of a cache that is collected just now
            start(thread)
            return
        raise KeyboardInterrupt

    alone, followed = LaterVideos(lambda _: None), LaterVideos(lambda _: None)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupt)
        for videos in (alone, followed):
            with pytest.raises(KeyboardInterrupt):
                videos.add(VideoSegment("a", 0))

    assert names_of(alone) == ["a"]
    followed.add(VideoSegment("b", 1))
    assert names_of(followed) == ["a", "b"]


def test_later_videos_are_written_wherever_the_one_before_was_interrupted():
    def begun() -> LaterVideos:
        return LaterVideos(lambda _: None)

    places = places_of(functools.partial(begun().add, VideoSegment("a", 0)))
    assert len(places) > 2
    for at in places:
        videos = begun()
        with interrupted(at) as interrupt:
            videos.add(VideoSegment("a", 0))
        videos.add(VideoSegment("b", 1))

        names = names_of(videos)
        assert names in (["a", "b"], ["b"]), interrupt.where


class Echo(Counting):
    """Returns the action as its reward, whether or not it was stepped before."""

    def step(self, action: Any) -> Any:
        obs, _, *others = super().step(action)
        obs[:] = action
        return obs, float(action), *others


@pytest.mark.parametrize("number", [4, 12, 13, 14, 31, 32, 33, 40])
def test_a_step_of_an_env_is_in_one_row_or_in_none_wherever_it_is_interrupted(number):
    """Steps of which most come by a buffer; each 13th call is a reset."""

    def call(env: Any, one: int) -> None:
        if one % 13:
            env.step(one)
        else:
            env.reset(seed=None if one else 0)

    def begun() -> Any:
        env = rv.record(Echo(12), make_env=lambda: Echo(12), render="later")
        for one in range(number):
            call(env, one)
        return env

    def finished(env: Any) -> tuple[float, int]:
        for one in range(number + 1, 80):
            call(env, one)
        env.recorder.finish()
        cache = env.cache
        rewards, obs = cache.scalars["reward"][:, 0], cache.column("obs")[:, 0, 0]
        is_step = rewards == rewards
        # The next row may have its reward, too.
        assert np.count_nonzero(obs[is_step] != rewards[is_step]) <= 1
        assert all(one.length <= 12 for one in cache.episodes)
        assert env.recorder.num_calls in (79, 80)
        lengths = sum(one.length for one in cache.episodes)
        return float(np.nansum(rewards)), lengths

    for _ in range(2):  # the first time, more is imported and cached
        places = places_of(functools.partial(call, begun(), number))
    env = begun()
    call(env, number)
    expected = [finished(env), finished(begun())]

    for at in sample(places, 16):
        env = begun()
        with interrupted(at) as interrupt:
            call(env, number)
        assert finished(env) in expected, interrupt.where


@pytest.mark.parametrize("number", [4, 5, 6, 7, 10, 31, 32, 33])
def test_a_step_of_many_envs_is_in_one_row_or_in_none_wherever_it_is_interrupted(
    number, figures
):
    """Steps of which most come by a buffer, and with which one of them ends now."""

    def begun() -> Any:
        envs = SyncVectorEnv([functools.partial(Echo, n) for n in (5, 7, 9)])
        env = rv.record(envs, make_env=lambda: Echo(5), render="later")
        env.reset(seed=0)
        for one in range(1, number):
            env.step(np.full(3, one))
        return env

    found = [0, 0]
    for _ in range(2):  # the first time, more is imported and cached
        places = places_of(functools.partial(begun().step, np.full(3, number)))
    for at in sample(places, 12):
        env = begun()
        with interrupted(at) as interrupt:
            env.step(np.full(3, number))
        assert not env.recorder._lock.locked(), interrupt.where
        for one in range(number + 1, 80):
            env.step(np.full(3, one))
        env.recorder.finish()

        cache = env.cache
        rewards, obs = cache.scalars["reward"], cache.column("obs")[..., 0]
        for one in range(3):
            is_step = ~np.isnan(rewards[:, one])
            steps = rewards[is_step, one]
            # The next row may have its reward, too.
            is_other = obs[is_step, one] != steps
            assert np.count_nonzero(is_other) <= 1, interrupt.where
            assert (np.diff(steps[~is_other]) > 0).all(), interrupt.where
        for episode in cache.episodes:
            assert episode.length <= (5, 7, 9)[episode.env], interrupt.where
            start = cache.recording.start_of(episode.env, episode.index)
            assert start or number in range(episode.start - 2, episode.start + 2)
        assert env.recorder.num_calls in (79, 80), interrupt.where
        found[env.recorder.num_calls == 80] += 1
    figures(f"step of a vector environment: {found[1]} counted, {found[0]} not")


@pytest.mark.parametrize(
    ("mode", "is_known"),
    [("NextStep", True), ("NextStep", False), ("SameStep", False)],
)
def test_episodes_that_a_lost_step_of_many_envs_ended_are_not_joined_to_the_next(
    mode, is_known, monkeypatch
):
    """Ctrl-C comes as their own step has returned; one env ended with it."""
    envs = SyncVectorEnv(
        [functools.partial(Echo, n) for n in (5, 7, 9)],
        autoreset_mode=AutoresetMode(mode),
    )
    env: Any = rv.record(envs, make_env=lambda: Echo(5), render="later")
    if not is_known:  # as of envs in other processes
        monkeypatch.setattr(type(env), "_next_resets", lambda _: None)
    step = env._step_env

    def interrupt(actions: Any) -> None:
        step(actions)
        raise KeyboardInterrupt

    env.reset(seed=0)
    for number in range(1, 40):
        with monkeypatch.context() as patched:
            if number == 5:
                patched.setattr(env, "_step_env", interrupt)
                with pytest.raises(KeyboardInterrupt):
                    env.step(np.full(3, number))
            else:
                env.step(np.full(3, number))
    env.recorder.finish()

    cache = env.cache
    found: list[list[rv.Episode]] = [[], [], []]
    for episode in cache.episodes:
        found[episode.env].append(episode)
    starts = [[one.start for one in each[:2]] for each in found]
    assert starts == [[0, 5], [0, 7], [0, 9]] if is_known else [[0, 5]] * 3
    # Where the resets of a step are not known, a reset may count as a step.
    is_next = mode == "NextStep" and not is_known
    for each, length in zip(found, (5, 7, 9), strict=True):
        assert each[0].length == (length - 1 if is_known and each[0].env else 4)
        assert all(one.length <= length + (is_next and one.start == 5) for one in each)
        for one in each:
            is_unknown = not is_known and one.start == 5
            start = cache.recording.start_of(one.env, one.index)
            assert bool(start) is not is_unknown
