"""Recorders of other processes, in one cache of this one: `FrameCache.remote`."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._cache.remote_rows import RemoteCache
from rollout_viewer.testing import CountingEnv

FORKS = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(),
    reason="this system cannot fork",
)
CONTEXTS = [pytest.param("fork", marks=FORKS), "spawn"]
# Python 3.12 warns of forks where threads run: pygame's and ours do.
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")

LENGTHS = (5, 40, 9)
PATIENCE_S = 120.0


class InfoEnv(CountingEnv):
    """Its last step's info says whether the episode's length is odd."""

    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        if terminated or truncated:
            info = {**info, "is_success": reward % 2 == 1}
        return obs, reward, terminated, truncated, info


def make_env(env, remote, **options):
    return rv.record(InfoEnv(LENGTHS, env=env), cache=remote, **options)


def makers(remote, count, **options):
    return [functools.partial(make_env, env, remote, **options) for env in range(count)]


def wait_until(is_true):
    """Wait for what other processes do, which they do soon, but on a busy machine."""
    until = time.monotonic() + PATIENCE_S
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.01)


def rows_of(cache, episode):
    """Return the rows of an episode in which its env is not idle."""
    kinds = cache.scalars["kind"][:, episode.env]
    return [r for r in range(episode.start, episode.stop) if kinds[r] != "idle"]


def shown(cache, episode, env_of=lambda env: env):
    """Return the numbers of steps that an episode shows, and check whose they are."""
    found = [
        CountingEnv.read(cache[row, episode.env]) for row in rows_of(cache, episode)
    ]
    assert {env for _, _, env in found} == {env_of(episode.env)}
    assert len({number for number, _, _ in found}) == 1
    return [env_step for _, env_step, _ in found]


def lengths_of(cache, env):
    return [one.length for one in cache.episodes if one.env == env]


def check_counting(cache, num_steps, num_envs):
    """Check rows of `CountingEnv`s that were stepped so often after their reset."""
    # Gymnasium resets an env in the step after its end.
    assert [lengths_of(cache, env) for env in range(num_envs)] == [
        [5, 40, 9, 9, num_steps - 67]
    ] * num_envs
    for episode in cache.episodes:
        assert shown(cache, episode) == list(range(episode.length + 1))
        rewards = cache.scalars["reward"][rows_of(cache, episode)[1:], episode.env]
        assert rewards.tolist() == list(range(1, episode.length + 1))
        is_odd = episode.length % 2 == 1
        assert episode.success == (is_odd if episode.is_finished else None)


@pytest.mark.parametrize("context", CONTEXTS)
def test_workers_of_a_vector_environment_record_into_one_cache(tmp_path, context):
    cache = rv.FrameCache(tmp_path / "run.rollout")

    envs = AsyncVectorEnv(makers(cache.remote(), 3), context=context)
    envs.reset(seed=7)
    for _ in range(72):
        envs.step(np.zeros(3, np.int64))
    envs.close()

    # As soon as the environments are closed.
    check_counting(cache, 72, 3)
    seeds = {one.env: one.seed for one in cache.episodes if one.index == 0}
    assert seeds == {0: 7, 1: 8, 2: 9}
    cache.close()
    assert os.listdir(tmp_path) == ["run.rollout"]
    check_counting(rv.open(cache.path), 72, 3)


def test_what_is_recorded_is_shown_within_a_moment_of_the_last_step():
    cache = rv.FrameCache()
    came = threading.Event()
    cache.subscribe(lambda start, stop: came.set())
    envs = SyncVectorEnv(makers(cache.remote(), 2))

    envs.reset()
    for _ in range(3):
        envs.step(np.zeros(2, np.int64))

    # No row follows, and the block is not full.
    assert came.wait(PATIENCE_S)
    wait_until(lambda: lengths_of(cache, 0) == lengths_of(cache, 1) == [3])
    envs.step(np.zeros(2, np.int64))
    envs.close()
    assert lengths_of(cache, 0) == lengths_of(cache, 1) == [4]


@pytest.mark.parametrize("method", [pytest.param("fork", marks=FORKS), "forkserver"])
def test_workers_of_stable_baselines_record_into_one_cache(method):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    cache = rv.FrameCache()

    envs = vec_env.SubprocVecEnv(makers(cache.remote(), 2), start_method=method)
    envs.reset()
    for _ in range(68):
        envs.step(np.zeros(2, np.int64))
    envs.close()

    # It resets in the same call.
    assert lengths_of(cache, 0) == lengths_of(cache, 1) == [5, 40, 9, 9, 5]
    for episode in cache.episodes:
        assert shown(cache, episode) == list(range(episode.length + 1))


def step_for_ever(env, remote, resets):
    made = make_env(env, remote)
    while True:
        made.reset()
        resets.put(env)
        has_ended = False
        while not has_ended:
            _, _, terminated, truncated, _ = made.step(0)
            has_ended = terminated or truncated
            time.sleep(0.01)


def test_a_worker_that_is_killed_loses_its_running_episode_alone():
    cache = rv.FrameCache()
    remote = cache.remote(num_envs=2)
    context = multiprocessing.get_context("spawn")
    resets = context.Queue()

    def start(env):
        process = context.Process(
            target=step_for_ever, args=(env, remote, resets), daemon=True
        )
        process.start()
        return process

    workers = [start(0), start(1)]
    wait_until(lambda: lengths_of(cache, 0)[:1] == lengths_of(cache, 1)[:1] == [5])
    # As a rule, but not where one of the processes takes long to start.
    first = next(one for one in cache.episodes if one.env == 1)
    env = CountingEnv.read(cache[first.start, 1])[2]
    wait_until(lambda: len(lengths_of(cache, 1)) == 2)  # 0.4 s of 40 steps
    os.kill(workers[env].pid, signal.SIGKILL)
    wait_until(lambda: any("lost" in one.labels for one in cache.episodes))
    lost = [one for one in cache.episodes if one.labels.get("lost")]
    before = len(lengths_of(cache, 1))
    workers[env] = start(env)  # which begins at its episode 0 again
    wait_until(lambda: len(lengths_of(cache, 1)) > before + 2)
    for worker in workers:
        worker.kill()
        worker.join()
    # Where the last block of one ends with an episode, none of its is lost.
    wait_until(lambda: not cache._intake._recorders)
    cache.close()

    assert [(one.env, one.is_finished) for one in lost] == [(1, False)]
    assert lost[0].index == before - 1
    assert cache.num_envs == 2
    for episode in cache.episodes:
        steps = shown(cache, episode, lambda place: env if place else 1 - env)
        assert steps == list(range(len(steps)))
        assert episode.is_finished or "lost" in episode.labels
    again = [e for e in cache.episodes if e.env == 1 and e.index >= before]
    assert [one.length for one in again[:2]] == [5, 40]


def test_a_recorder_that_is_stepped_in_a_forked_child_records_for_it():
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    cache = rv.FrameCache()
    env = make_env(0, cache.remote(num_envs=2))
    env.reset()
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(60)
            env.reset()
            for _ in range(5):
                env.step(0)
            env.close()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    env.step(0)
    env.close()

    ours = [one for one in cache.episodes if one.length == 1]
    theirs = [one for one in cache.episodes if one.length == 5]
    assert len(ours) == len(theirs) == 1
    assert ours[0].env != theirs[0].env
    assert CountingEnv.read(cache[theirs[0].start, theirs[0].env])[0] == 1
    assert CountingEnv.read(cache[ours[0].start, ours[0].env])[0] == 0


def test_kept_episodes_are_sent_whole():
    cache = rv.FrameCache()
    keep = functools.partial(make_env, 0, cache.remote(), keep_episode=is_long)
    env = keep()
    for _ in range(4):
        env.reset()
        has_ended = False
        while not has_ended:
            _, _, has_ended, _, _ = env.step(0)
    env.close()

    assert lengths_of(cache, 0) == [40]
    assert shown(cache, cache.episodes[0]) == list(range(41))


def is_long(episode):
    return episode.length > 20


def is_first_and_whole(episode):
    is_whole = (episode.length, episode.total_reward) == (100, 5050.0)
    return is_whole and (episode.index, episode.seed) == (0, 7)


def test_success_is_judged_by_whole_episodes_that_are_longer_than_a_block():
    cache = rv.FrameCache()
    env = CountingEnv((100,))
    env.spec = EnvSpec("Counting-v0", reward_threshold=5000)
    remote = cache.remote(num_envs=2)
    envs = [
        rv.record(env, cache=remote, success="reward_threshold"),
        rv.record(CountingEnv((100,)), cache=remote, success=is_first_and_whole),
    ]
    for recorded in envs:
        for seed in (7, 8):
            recorded.reset(seed=seed)
            for _ in range(100):
                recorded.step(0)
    for recorded in envs:
        recorded.close()
    cache.close()

    successes = [
        [one.success for one in cache.episodes if one.env == env] for env in (0, 1)
    ]
    assert successes == [[True, True], [True, False]]


def test_pictures_are_rendered_later_from_what_workers_sent():
    cache = rv.FrameCache()
    remote = cache.remote()
    make = functools.partial(CountingEnv, LENGTHS)
    envs = AsyncVectorEnv(
        [lambda: rv.record(make(), cache=remote, render="later", make_env=make)] * 2,
        context="spawn",
    )
    envs.reset(seed=1)
    for _ in range(8):
        envs.step(np.zeros(2, np.int64))
    envs.close()

    assert not cache.slots
    assert cache.render(workers=1, progress=False) > 0
    for episode in cache.episodes:
        assert shown(cache, episode, lambda env: 0) == list(range(episode.length + 1))


def test_the_running_environment_survives_a_cache_that_is_closed():
    cache = rv.FrameCache()
    env = make_env(0, cache.remote())
    env.reset()
    env.step(0)
    cache.close()
    assert lengths_of(cache, 0) == [1]

    wait_until(lambda: env.recorder._remote_rows.is_lost)
    env.step(0)
    env.reset()
    env.close()

    assert lengths_of(cache, 0) == [1]


_ENDS_WITHOUT_CLOSE = """
import sys
from gymnasium.vector import AsyncVectorEnv
import rollout_viewer as rv
from rollout_viewer._cache import intake
from rollout_viewer.testing import CountingEnv

intake._LAST_ROWS_S = 600.0  # on a busy machine
cache = rv.FrameCache(sys.argv[1])
remote = cache.remote()
make_env = lambda: rv.record(CountingEnv((100,)), cache=remote)
envs = AsyncVectorEnv([make_env] * 2, context="fork")
envs.reset()
for _ in range(45):
    envs.step([0, 0])
"""


@FORKS
def test_all_rows_are_kept_where_python_ends_without_close(tmp_path):
    path = tmp_path / "run.rollout"

    subprocess.run([sys.executable, "-c", _ENDS_WITHOUT_CLOSE, str(path)], check=True)

    cache = rv.open(path)
    assert lengths_of(cache, 0) == lengths_of(cache, 1) == [45]


def test_interrupts_while_blocks_are_sent_lose_none_and_send_none_twice(monkeypatch):
    monkeypatch.setattr("rollout_viewer._cache.block_builder.MAX_AGE_S", 1e9)
    cache = rv.FrameCache()
    env = rv.record(CountingEnv((150,)), cache=cache.remote(num_envs=1))
    env.reset()
    sender = env.recorder._remote_rows._sender
    put, blocks = sender.put, []

    def put_interrupted(block):
        blocks.append(block)
        if len(blocks) == 1:
            raise KeyboardInterrupt
        put(block)
        if len(blocks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(sender, "put", put_interrupted)
    interrupted = []
    for step in range(1, 151):
        try:
            env.step(0)
        except KeyboardInterrupt:
            interrupted.append(step)
    env.close()
    cache.close()

    assert interrupted == [32, 64]
    assert lengths_of(cache, 0) == [150]
    assert shown(cache, cache.episodes[0]) == list(range(151))


@pytest.mark.parametrize("is_in_cache", [False, True])
@pytest.mark.filterwarnings("ignore::rollout_viewer.RolloutViewerWarning")
def test_any_error_of_a_connection_loses_its_rows_alone(monkeypatch, is_in_cache):
    cache = rv.FrameCache()
    remote = cache.remote(num_envs=2)
    first, second = make_env(0, remote), make_env(1, remote)
    sender = first.recorder._remote_rows._sender

    def send_none(block):
        garbage = functools.partial(sender.connection.send_bytes, b"no pickle")
        put(garbage if is_in_cache else Unsendable())

    put = sender.put
    monkeypatch.setattr(sender, "put", send_none)
    for env in (first, second):
        env.reset()
        for _ in range(5):
            env.step(0)
    first.close()
    wait_until(lambda: is_in_cache or sender.is_lost)
    second.close()
    cache.close()

    assert [one.length for one in cache.episodes] == [5]


class Unsendable:
    def __reduce__(self):
        raise MemoryError


def test_a_connection_that_fails_does_not_end_the_others(monkeypatch):
    cache = rv.FrameCache()
    remote = cache.remote(num_envs=1)
    failed = threading.Event()

    def fail(sock):
        monkeypatch.undo()
        failed.set()
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("rollout_viewer._cache.intake.connection_of", fail)
    with pytest.warns(rv.RolloutViewerWarning, match="Too many open files"):
        socket.create_connection(remote._address).close()
        assert failed.wait(PATIENCE_S)
        env = make_env(0, remote)
    env.reset()
    env.step(0)
    env.close()
    cache.close()

    assert lengths_of(cache, 0) == [1]


def test_a_recorder_without_a_place_is_refused_and_the_others_go_on(monkeypatch):
    monkeypatch.setattr("rollout_viewer._cache.intake._NO_ROOM_S", 0.0)
    cache = rv.FrameCache()
    remote = cache.remote(num_envs=1)
    first, second = make_env(0, remote), make_env(1, remote)
    first.reset()
    wait_until(lambda: cache.num_rows)
    second.reset()
    wait_until(lambda: second.recorder._remote_rows.is_lost)

    second.step(0)
    second.close()
    first.step(0)
    first.close()

    assert lengths_of(cache, 0) == [1]
    assert shown(cache, cache.episodes[0]) == [0, 1]


def test_what_is_closed_without_a_row_has_no_env():
    cache = rv.FrameCache()
    remote = cache.remote()
    make_env(5, remote).close()
    env = make_env(0, remote)
    del env
    env = make_env(1, remote)
    env.reset()
    env.step(0)
    env.close()

    assert cache.num_envs == 1
    assert CountingEnv.read(cache[0, 0])[2] == 1


def test_a_copy_of_the_handle_is_the_same_cache():
    cache = rv.FrameCache()
    remote = cache.remote()
    assert cache.remote() is remote

    for copied in (pickle.loads(pickle.dumps(remote)), copy.deepcopy(remote)):
        env = make_env(0, copied)
        env.reset()
        env.step(0)
        env.close()

    assert lengths_of(cache, 0) == [1, 1]


def test_only_who_has_the_key_sends_rows():
    cache = rv.FrameCache()
    host, port = cache.remote()._address

    with pytest.raises(rv.RecordingError, match="Authentication"):
        make_env(0, RemoteCache(host, port, b"another"))


def test_a_recorder_elsewhere_names_where_its_rows_are():
    cache = rv.FrameCache()
    env = make_env(0, cache.remote())
    env.reset()

    with pytest.raises(rv.RolloutViewerError, match="View or dump that cache"):
        _ = env.viewer
    with pytest.raises(
        rv.RolloutViewerError, match=r"Recorder\.cache: .* View or dump"
    ):
        _ = env.cache
    with pytest.raises(rv.RolloutViewerError, match="View or dump that cache"):
        env.dump()

    env.close()


def test_wrong_arguments_are_refused_at_once():
    cache = rv.FrameCache()
    wrong: list[Any] = [0, 2.5, "2", True]
    for num_envs in wrong:
        with pytest.raises(ValueError, match="num_envs"):
            cache.remote(num_envs=num_envs)
    for host in ("", "0.0.0.0"):
        with pytest.raises(ValueError, match="host"):
            cache.remote(host=host)
    remote = cache.remote(num_envs=2)
    with pytest.raises(ValueError, match="first call"):
        cache.remote(num_envs=3)
    cache.close()
    with pytest.raises(rv.CacheClosedError):
        cache.remote(num_envs=2)
    with pytest.raises(rv.RecordingError, match="must be running"):
        make_env(0, remote)

    other = rv.FrameCache()
    other.append(np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(rv.ShapeError, match="num_envs=2"):
        other.remote(num_envs=3)
    with pytest.raises(TypeError, match="FrameCache"):
        rv.rollout(InfoEnv(), cache=4, max_steps=1)


def test_a_cache_that_no_one_uses_ends_its_threads():
    cache = rv.FrameCache()
    before = {one.ident for one in threading.enumerate()}
    cache.remote()
    started = [one for one in threading.enumerate() if one.ident not in before]
    assert len(started) == 2

    del cache

    for thread in started:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


def test_a_rollout_of_what_is_recorded_elsewhere_is_refused_before_a_step():
    """It returned a cache without a row: its rows are in the other one."""
    cache = rv.FrameCache()
    env = rv.record(CountingEnv(), cache=cache.remote())

    with pytest.raises(rv.RolloutViewerError, match="are sent to <RemoteCache at "):
        rv.rollout(env, max_steps=5, progress=False)

    env.close()
    cache.close()
    assert not cache.num_rows
