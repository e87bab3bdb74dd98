"""Episodes of many processes are in one cache: each once, exact, none missing."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

import rollout_viewer as rv
from rollout_viewer._cache.block_filer import BlockFiler
from rollout_viewer._cache.unfiled import MAX_UNFILED
from rollout_viewer._replay.messages import read_message, write_message
from rollout_viewer.sources._collect.messages import Filed
from rollout_viewer.sources._collect.policy import pickled
from rollout_viewer.sources._collect.runner import Setup
from rollout_viewer.sources._collect.worker import DriverLink
from rollout_viewer.sources._collect.worker_process import WorkerProcess
from rollout_viewer.testing import CountingEnv, TurnedClock
from tests.collect_envs import (
    EndsInClose,
    FirstEnvSlow,
    InfoEnv,
    SeededEnv,
    SlowFirstSeed,
    broken,
    exits,
    hooked,
    registered,
)
from tests.test_append_block import blocks_of

HAS_RAY = importlib.util.find_spec("ray") is not None


def play(seed: int, policy=None) -> tuple:
    """Return what an episode of `SeededEnv` is, by a loop without any recorder."""
    env = SeededEnv()
    obs, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    pictures, rewards, actions, has_ended = [env.render().tobytes()], [], [], False
    while not has_ended:
        action = int(env.action_space.sample() if policy is None else policy(obs))
        obs, reward, has_ended, _, _ = env.step(action)
        pictures.append(env.render().tobytes())
        rewards.append(reward)
        actions.append(action)
    return pictures, rewards, actions


def by_seed(cache: rv.FrameCache, episodes: list | None = None) -> dict:
    """Return the finished episodes of a cache as `play` does; each is there once."""
    found: dict = {}
    for e in cache.episodes if episodes is None else episodes:
        if not e.is_finished:
            continue
        kinds = cache.scalars["kind"][e.start : e.stop, e.env]
        rows = (e.start + np.flatnonzero(kinds != "idle")).tolist()
        assert e.seed == e.labels["seed"]
        assert e.seed not in found
        found[e.seed] = (
            [cache[row, e.env].tobytes() for row in rows],
            cache.scalars["reward"][rows[1:], e.env].tolist(),
            [int(cache.at(row, e.env).action) for row in rows[:-1]],
        )
    return found


def lost(cache: rv.FrameCache) -> list[rv.Episode]:
    return [e for e in cache.episodes if e.labels.get("lost")]


def kept(error: BaseException) -> rv.FrameCache:
    cache = vars(error)["cache"]
    assert isinstance(cache, rv.FrameCache)
    return cache


def collect(make_env=SeededEnv, *args, **options) -> rv.FrameCache:
    return rv.collect(make_env, *args, **{"progress": False, **options})


serial = functools.partial(collect, backend="serial")
processes = functools.partial(collect, backend="processes", num_workers=2)


# -- in this process


def assert_info(cache: rv.FrameCache) -> None:
    assert {e.success for e in cache.episodes} == {True, False}
    for e in cache.episodes:
        assert e.success == (e.seed % 2 == 1)
        for step in range(1, e.length + 1):
            at = cache.at(cache.find(e.env, e.index, step), e.env)
            assert at["info.count"] == step
            assert at["info.word"] == f"{e.seed % 3} of {step % 4}"
            end = e.success if step == e.length else None
            assert at.get("info.is_success") == end


@pytest.mark.parametrize("options", [{}, {"num_envs": 3}])
def test_info_of_steps_and_success_of_episodes_come_along(options):
    seen = []
    cache = serial(
        InfoEnv, episodes=20, on_episode=lambda e: seen.append(e.success), **options
    )

    assert_info(cache)
    assert seen.count(True) == 10
    assert seen.count(False) == 10


def test_episodes_are_those_of_a_loop_over_the_seeds():
    cache = serial(episodes=8)

    assert by_seed(cache) == {seed: play(seed) for seed in range(8)}
    assert [e.labels for e in cache.episodes[:2]] == [
        {"worker": 0, "seed": 0},
        {"worker": 0, "seed": 1},
    ]
    assert cache.fps == 20
    assert not cache.is_closed


@pytest.mark.parametrize(
    ("seeds", "episodes", "expected"),
    [
        ([7, 3, 5], None, [7, 3, 5]),
        (range(100, 200), 2, [100, 101]),
        (40, 3, [40, 41, 42]),
        (np.array([9, 8]), 2, [9, 8]),
    ],
)
def test_seeds_are_given_or_counted(seeds, episodes, expected):
    cache = serial(seeds=seeds, episodes=episodes)

    assert [e.seed for e in cache.episodes] == expected


@pytest.mark.timeout(60)
def test_seeds_may_be_endless():
    cache = serial(seeds=itertools.count(5), max_steps=60)
    few = serial(seeds=itertools.count(7), episodes=2)
    ended = serial(seeds=itertools.count(), on_episode=lambda episode: episode.seed < 2)
    whole = serial(seeds=(3 * n for n in range(3)))

    assert [e.seed for e in cache.episodes][:3] == [5, 6, 7]
    assert (cache.scalars["kind"] == "step").sum() == 60
    assert [e.seed for e in few.episodes] == [7, 8]
    assert [e.seed for e in ended.episodes][:3] == [0, 1, 2]
    assert [e.seed for e in whole.episodes] == [0, 3, 6]
    with pytest.raises(ValueError, match="expected seeds to be numbers.*got 'b'"):
        serial(seeds=iter([1, 2, "b"]))
    with pytest.raises(ValueError, match="a seed for each of 1 episodes, got 0"):
        serial(seeds=iter([]))


def test_several_envs_of_a_worker_are_a_batch_for_the_policy_and_equal_for_random():
    batches = []

    def policy(observations):
        batches.append(np.shape(observations))
        return (5 * observations[:, 0]).astype(np.int64)

    cache = serial(SeededEnv, policy, episodes=7, num_envs=3)
    random = serial(episodes=7, num_envs=3)

    assert cache.num_envs == 3
    assert set(batches) == {(3, 2)}
    assert by_seed(cache) == {s: play(s, lambda obs: 5 * obs[0]) for s in range(7)}
    assert by_seed(random) == {s: play(s) for s in range(7)}
    assert len(random.episodes) == 7


class Versioned:
    """A policy that counts what it acts on; its version is that of the episode."""

    def __init__(self):
        self.policy_version = 0
        self.states = []

    def predict(self, observation, state, episode_start):
        self.states.append((state, bool(episode_start[0])))
        self.policy_version += 1
        return 1, (state or 0) + 1


def test_a_policy_gets_its_state_back_and_its_version_is_a_label():
    policy = Versioned()

    cache = serial(SeededEnv, policy, seeds=[4, 5])

    first, second = (e.length for e in cache.episodes)
    assert policy.states == [
        *((n or None, n == 0) for n in range(first)),
        *((n or None, n == 0) for n in range(second)),
    ]
    assert [e.labels["policy_version"] for e in cache.episodes] == [0, first]


def test_max_steps_is_of_all_transitions():
    cache = serial(max_steps=50)
    with pytest.warns(rv.RolloutViewerWarning, match="expected 9 episodes, got . in"):
        both = serial(max_steps=50, episodes=9, num_envs=2)

    for found in (cache, both):
        kinds = found.scalars["kind"]
        assert (kinds == "step").sum() in (49, 50)
        assert not lost(found)
    assert sum(e.length for e in serial().episodes) == 1000


@pytest.mark.parametrize("num_envs", [1, 3])
def test_on_episode_may_clear_the_cache(num_envs):
    cache = rv.FrameCache()
    seen = []

    def clear_first(episode):
        seen.append((episode.seed, episode.labels["seed"]))
        if len(seen) == 1:
            cache.clear()

    serial(episodes=20, num_envs=num_envs, on_episode=clear_first, cache=cache)

    # Each once, those whose first rows were cleared too.
    assert sorted(label for _, label in seen) == list(range(20))
    assert {seed for seed, label in seen if seed != label} <= {None}
    whole = [one for one in cache.episodes if one.seed is not None]
    assert len(whole) >= 16 - num_envs
    plays = {one.seed: play(one.seed) for one in whole}
    assert by_seed(cache, whole) == plays


def test_on_episode_gets_each_episode_and_may_end_it():
    seen: list[rv.Episode] = []

    cache = serial(episodes=5, on_episode=seen.append)
    few = serial(episodes=50, on_episode=lambda episode: episode.seed != 2)

    assert seen == cache.episodes
    assert len(by_seed(few)) in (3, 4, 5, 6)  # those of the same block


def test_a_cache_that_is_passed_is_continued(tmp_path):
    cache = rv.FrameCache(tmp_path / "a.rollout")
    with cache.segment("early", train_step=1):
        assert serial(episodes=2, cache=cache) is cache
    with cache.segment("late", train_step=2):
        serial(seeds=[5], cache=cache)

    assert [(e.segment, e.labels["train_step"], e.seed) for e in cache.episodes] == [
        ("early", 1, 0),
        ("early", 1, 1),
        ("late", 2, 5),
    ]
    assert by_seed(cache)[5] == play(5)
    assert serial(episodes=1, cache=tmp_path / "b.rollout").path.name == "b.rollout"


def test_an_error_here_is_raised_and_what_was_collected_is_kept():
    with pytest.raises(ValueError, match="broken at seed 3") as caught:
        serial(functools.partial(SeededEnv, raising=[3]), episodes=5)

    cache = kept(caught.value)
    assert by_seed(cache) == {seed: play(seed) for seed in range(3)}
    assert "3 of 5 episodes are kept" in caught.value.__notes__[0]
    assert [e.length for e in cache.episodes if not e.is_finished] == [2]


def test_an_interrupt_keeps_what_there_is():
    def interrupt(episode):
        if episode.seed == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        serial(episodes=50, on_episode=interrupt)

    assert set(by_seed(kept(caught.value))) >= {0, 1, 2}


def test_pictures_may_be_rendered_later():
    cache = serial(registered, episodes=2, render="later")

    assert not cache.slots
    assert by_seed(cache) == {seed: play(seed) for seed in range(2)}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"episodes": 0}, ValueError, "expected episodes to be 1 or more, got 0"),
        ({"max_steps": True}, ValueError, "expected max_steps to be 1 or more"),
        ({"num_envs": 1.5}, ValueError, "expected num_envs to be 1 or more, got 1.5"),
        ({"num_workers": -1}, ValueError, "expected num_workers to be 1 or more"),
        ({"seeds": ["a"]}, ValueError, "expected seeds to be numbers"),
        ({"seeds": [-1]}, ValueError, "expected seeds of 0 or more, got -1"),
        ({"seeds": []}, ValueError, "a seed for each of 1 episodes, got 0"),
        ({"seeds": [1], "episodes": 2}, ValueError, "each of 2 episodes, got 1"),
        ({"render": "never"}, ValueError, "'now' or 'later', got 'never'"),
        ({"backend": "dask"}, ValueError, "got 'dask'"),
        pytest.param(
            {"backend": "ray"},
            rv.MissingDependencyError,
            r"collect\(backend='ray'\) needs ray, which is not installed. Run: pip",
            marks=pytest.mark.skipif(HAS_RAY, reason="the extra ray is installed"),
        ),
        ({"address": "auto"}, ValueError, "address= with backend='ray' alone"),
        ({"backend": "serial", "num_workers": 2}, ValueError, "one worker"),
        ({"cache": 5}, TypeError, "FrameCache or the path"),
    ],
)
def test_wrong_arguments_raise_before_anything_is_made(options, error, message):
    with pytest.raises(error, match=message) as caught:
        rv.collect(broken, **options)

    assert str(caught.value).startswith(("rv.collect", "record:"))


def test_make_env_must_be_a_function_that_returns_one_environment():
    with pytest.raises(TypeError, match="function that returns an environment, got"):
        serial(SeededEnv())
    with pytest.raises(rv.UnsupportedEnvError, match="got a batch of 2. Return one"):
        import gymnasium

        serial(lambda: gymnasium.vector.SyncVectorEnv([SeededEnv] * 2), episodes=1)
    with pytest.raises(rv.RenderError, match="render_mode"):
        serial(lambda: SeededEnv(render_mode=None), episodes=1)
    with pytest.raises(rv.ShapeError, match="expected a cache of 2 envs"):
        cache = rv.FrameCache()
        serial(episodes=1, cache=cache)
        serial(episodes=1, num_envs=2, cache=cache)


# -- in processes


def test_info_of_two_workers_has_the_texts_of_both(tmp_path):
    # Neither takes all seeds before the other has started.
    cache = processes(functools.partial(InfoEnv, meet=str(tmp_path)), episodes=20)

    assert {e.labels["worker"] for e in cache.episodes} == {0, 1}
    assert_info(cache)


def test_workers_use_all_of_max_steps():
    cache = processes(max_steps=60)

    assert (cache.scalars["kind"] == "step").sum() == 60
    assert len(by_seed(cache)) > 1


@pytest.mark.parametrize("max_steps", [20, 26])  # two episodes, and some more
def test_too_few_steps_for_all_episodes_are_told_whoever_collects(max_steps):
    make_env = functools.partial(CountingEnv, (10,))
    for collected in (serial, processes, functools.partial(processes, num_workers=1)):
        with pytest.warns(rv.RolloutViewerWarning, match="9 episodes, got . in max_st"):
            collected(make_env, episodes=9, max_steps=max_steps)


def test_a_killed_worker_is_replaced_and_its_episode_collected_again(tmp_path):
    make_env = functools.partial(SeededEnv, killed=11, once=str(tmp_path / "killed"))
    seen = []

    with pytest.warns(rv.RolloutViewerWarning, match="exit code -9") as warned:
        cache = processes(make_env, episodes=40, on_episode=seen.append)

    assert by_seed(cache) == {seed: play(seed) for seed in range(40)}
    assert sorted(e.seed for e in seen) == list(range(40))
    assert len(lost(cache)) <= 1  # its rows may not have been sent
    assert "All were collected again" in str(warned[0].message)
    assert all(e.labels["worker"] == e.env for e in cache.episodes)


def test_steps_that_a_worker_does_not_need_are_given_to_another(tmp_path):
    lengths = {seed: len(play(seed)[1]) for seed in range(30)}
    short = min(lengths, key=lambda seed: lengths[seed])
    long = max(lengths, key=lambda seed: lengths[seed])
    num_steps = lengths[short] + lengths[long]
    assert num_steps < 32  # that a worker asks for at once

    cache = processes(
        functools.partial(SeededEnv, meet=str(tmp_path)),
        seeds=[short, long],
        max_steps=num_steps,
    )

    assert by_seed(cache) == {seed: play(seed) for seed in (short, long)}


def test_steps_of_a_killed_worker_are_given_to_the_next(tmp_path):
    make_env = functools.partial(SeededEnv, killed=1, once=str(tmp_path / "once"))

    with pytest.warns(rv.RolloutViewerWarning, match="All were collected again"):
        cache = processes(make_env, max_steps=60, num_workers=1)

    assert (cache.scalars["kind"] == "step").sum() == 60
    assert by_seed(cache)[1] == play(1)


def test_an_env_that_raises_loses_its_episode_alone():
    make_env = functools.partial(SeededEnv, raising=[4])

    with pytest.warns(rv.RolloutViewerWarning, match="broken at seed 4") as warned:
        cache = processes(make_env, episodes=12)

    assert by_seed(cache) == {s: play(s) for s in range(12) if s != 4}
    assert [(e.seed, e.length) for e in lost(cache)] == [(4, 2)] * 3
    assert "1 are missing, since they were lost each time: seeds [4]" in str(
        warned[0].message
    )


@pytest.mark.parametrize(
    ("make_env", "policy", "error", "message"),
    [
        (broken, None, rv.RolloutViewerError, "RuntimeError: no such simulator"),
        (
            functools.partial(SeededEnv, raising=range(99)),
            None,
            rv.RolloutViewerError,
            "broken at seed",
        ),
        (exits, None, rv.RolloutViewerError, "SystemExit: no license"),
        (SeededEnv, lambda obs: [1, 2], rv.ShapeError, "an action of shape"),
    ],
)
def test_what_no_worker_can_do_is_raised(make_env, policy, error, message):
    with pytest.raises(error, match=message):
        processes(make_env, policy, episodes=9, num_workers=1)


@pytest.mark.timeout(90)
def test_what_cannot_be_sent_of_an_environment_is_raised():
    """The thread that sends it ended, and everybody waited for ever."""
    with pytest.raises(rv.RolloutViewerError, match=r"hooked.<locals>"):
        processes(hooked, episodes=2, num_workers=1, render="later")


@pytest.mark.filterwarnings("error::rollout_viewer.RolloutViewerWarning")
def test_a_process_that_ends_as_its_environment_is_closed_loses_nothing():
    cache = processes(EndsInClose, episodes=30, num_workers=1)

    assert by_seed(cache) == {seed: play(seed) for seed in range(30)}
    assert lost(cache) == []


def test_a_worker_ends_orderly():
    answers: queue.Queue = queue.Queue()
    setup = pickled("make_env", Setup(broken, None, 1, 0, "now"))
    worker = WorkerProcess(answers, 0, setup)

    while answers.get(timeout=60).message is not None:
        pass

    assert worker.why_ended() == "exit code 0"
    worker.close()


def test_an_environment_that_asks_on_the_console_gets_no_answer():
    with pytest.raises(rv.RolloutViewerError, match="EOFError"):
        processes(lambda: input("Which?"), episodes=1)

    def asks():
        if "pytest" not in sys.modules:  # in the process that replays
            input("Which?")
        return SeededEnv()

    cache = serial(asks, episodes=1, render="later")
    with pytest.raises(rv.RenderError, match="EOFError"):
        cache.render(workers=1, progress=False)


def test_functions_of_a_notebook_are_sent_by_value_and_others_are_refused():
    offset = 3

    class Local(SeededEnv):
        pass

    cache = processes(Local, lambda obs: offset, episodes=2, num_workers=1)

    assert by_seed(cache) == {s: play(s, lambda obs: 3) for s in range(2)}
    lock = threading.Lock()
    with pytest.raises(TypeError, match="expected policy to be picklable"):
        processes(SeededEnv, lambda obs: lock, episodes=1)
    with pytest.raises(TypeError, match="expected make_env to be picklable"):
        processes(lambda: lock, episodes=1)


def test_ctrl_c_keeps_the_rows_that_workers_have_not_sent_yet(request):
    others = set(psutil.Process().children())  # of tests before
    seen: list[rv.Episode] = []

    def interrupt(episode):
        seen.append(episode)
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    # Ignored in what a shell has started in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with pytest.raises(KeyboardInterrupt) as caught:
        # Some 20 episodes of 15 steps a second.
        processes(
            functools.partial(SeededEnv, pause_s=0.01),
            max_steps=10_000,
            on_episode=interrupt,
        )

    cache = kept(caught.value)
    assert by_seed(cache).items() <= {s: play(s) for s in range(60)}.items()
    assert not lost(cache)
    kinds = cache.scalars["kind"]
    # A block of each was sealed when it was full, and one by the interrupt: a few rows
    # are filed as they are, and after more than a few the env is idle.
    assert cache.num_rows % 32 or (kinds[-1] == "idle").all()
    assert "episodes are kept" in caught.value.__notes__[0]
    assert set(psutil.Process().children()) <= others


def test_a_function_that_raises_costs_no_rows_of_workers(tmp_path):
    def fail(episode):
        raise ValueError("disk is full")

    make_env = functools.partial(SlowFirstSeed, meet=tmp_path)
    with pytest.raises(ValueError, match="disk is full") as caught:
        processes(make_env, episodes=99, on_episode=fail)

    running = [e for e in kept(caught.value).episodes if e.seed == 0]
    assert [e.is_finished for e in running] == [False]


def test_envs_of_all_workers_are_side_by_side(tmp_path):
    make_env = functools.partial(SeededEnv, meet=str(tmp_path))

    cache = processes(make_env, episodes=8, num_envs=2)

    assert cache.num_envs == 4
    assert cache.pictured_envs == (0, 1, 2, 3)
    assert by_seed(cache) == {seed: play(seed) for seed in range(8)}
    assert {e.env // 2 for e in cache.episodes} == {0, 1}
    assert all(e.labels["worker"] == e.env // 2 for e in cache.episodes)


def test_a_slow_worker_holds_no_other_up():
    cache = processes(FirstEnvSlow, episodes=9, seeds=[1] * 9, max_steps=200)

    assert sum(e.env == 1 for e in cache.episodes) >= 8


def test_pictures_of_workers_may_be_rendered_later():
    # Gymnasium does not know how it is made, but `collect` does.
    cache = processes(SeededEnv, episodes=2, render="later")

    assert not cache.slots
    assert by_seed(cache) == {seed: play(seed) for seed in range(2)}


def test_a_driver_that_is_killed_leaves_a_file_and_no_worker(tmp_path):
    path = tmp_path / "a.rollout"
    code = (
        "import functools, rollout_viewer as rv;"
        "from tests.collect_envs import SeededEnv;"
        f"rv.collect(functools.partial(SeededEnv, pause_s=0.002), max_steps=10**6,"
        f" num_workers=1, cache={str(path)!r}, progress=False)"
    )
    driver = psutil.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 100

    def num_rows() -> int:
        try:
            return rv.open(path).num_rows
        except (rv.RecordingError, OSError):
            return 0

    while num_rows() < 64 and time.monotonic() < deadline:
        time.sleep(0.1)
    workers = driver.children()
    driver.kill()
    driver.wait()

    assert len(workers) == 1
    psutil.wait_procs(workers, 60)
    assert not workers[0].is_running()
    found = by_seed(rv.open(path))
    assert found
    assert found.items() <= {seed: play(seed) for seed in range(500)}.items()


# -- parts


def test_blocks_wait_for_those_of_others_a_little():
    clock = TurnedClock()
    cache = rv.FrameCache()
    filer = BlockFiler(cache, 2, clock)
    filer.add_worker(0, range(1))
    filer.add_worker(1, range(1, 2))
    first, second, third = blocks_of(96)

    filer.add(0, first)
    assert not filer.is_due([0, 1])
    assert filer.is_due([0])  # the other has ended
    filer.add(1, second)
    assert filer.is_due([0, 1])
    assert filer.file().workers == [0, 1]
    assert not filer.has_waiting
    filer.add(1, third)
    assert not filer.is_due([0, 1])
    clock.turn(0.4)
    assert filer.is_due([0, 1])
    assert filer.file().num_steps == {1: 31}

    assert cache.scalars["kind"][32:, 0].tolist() == ["idle"] * 32
    assert cache.scalars["kind"][[0, 32], 1].tolist() == ["step", "step"]


def test_rows_of_a_slow_environment_are_there_before_its_next_step():
    cache = rv.FrameCache()
    seen = []

    def policy(observation):
        seen.append(cache.num_rows)
        return 1

    serial(lambda: SeededEnv(pause_s=1.1), policy, max_steps=3, cache=cache)

    # A row waits for those of a second.
    assert seen[0] in (0, 1)
    assert seen[1] >= 1
    assert seen[2] >= 2
    assert cache.num_rows == 4


def test_few_rows_of_slow_workers_are_filed_as_they_are():
    clock = TurnedClock()
    cache = rv.FrameCache()
    filer = BlockFiler(cache, 2, clock)
    filer.add_worker(0, range(1))
    filer.add_worker(1, range(1, 2))
    (few,) = blocks_of(3)
    (full,) = blocks_of(32)

    filer.add(0, few)
    filer.add(1, few)
    assert filer.file().num_steps == {0: 2, 1: 2}
    assert cache.num_rows == 3
    filer.add(0, few)
    filer.add(1, full)
    assert filer.file().num_steps == {0: 2, 1: 30}

    assert cache.num_rows == 64


def test_a_worker_waits_until_the_driver_has_filed_its_blocks(monkeypatch):
    monkeypatch.setattr("rollout_viewer.sources._collect.worker._PATIENCE_S", 0.2)
    ends = [*os.pipe(), *os.pipe()]
    with (
        os.fdopen(ends[0], "rb") as source,
        os.fdopen(ends[3], "wb") as target,
        os.fdopen(ends[2], "rb") as blocks,
        os.fdopen(ends[1], "wb") as acks,
    ):
        is_gone = threading.Event()
        link = DriverLink(
            functools.partial(read_message, source),
            functools.partial(write_message, target),
            on_gone=is_gone.set,
        )
        num_sent = []

        def send():
            for number in range(MAX_UNFILED + 2):
                link.send_block(blocks_of(32)[0])
                num_sent.append(number)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        for _ in range(MAX_UNFILED):
            read_message(blocks)
        assert len(num_sent) <= MAX_UNFILED
        for number in range(MAX_UNFILED, MAX_UNFILED + 2):
            assert len(num_sent) <= number
            write_message(acks, Filed())
            read_message(blocks)
        thread.join(30)
        assert len(num_sent) == MAX_UNFILED + 2
        acks.close()
        assert is_gone.wait(30)


def test_a_policy_version_may_be_a_number_of_numpy():
    class Versioned:
        policy_version = np.int64(4)

        def __call__(self, observation):
            return 0

    cache = serial(SeededEnv, Versioned(), episodes=1)

    assert cache.episodes[0].labels["policy_version"] == 4


def test_success_is_what_a_function_says_of_a_whole_episode():
    """Of one that is in several blocks, too: its return is that of all its rows."""
    seen = []
    cache = rv.collect(
        functools.partial(CountingEnv, (40,)),
        seeds=[4, 7],
        backend="serial",
        success=lambda one: one.total_reward == 820 and one.seed == 7,
        on_episode=lambda one: seen.append(one.success),
    )

    assert seen == [episode.success for episode in cache.episodes] == [False, True]
    with pytest.raises(ValueError, match="^rv.collect: expected success to be a func"):
        rv.collect(CountingEnv, episodes=1, success="sometimes")
