"""Processes that replay go on from where they stand, and are there when needed."""

import contextlib
import functools
import gc
import os
import time
import warnings

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache import kept_workers, rendering
from rollout_viewer._replay import pool
from tests.later_envs import Steps, record_steps


def record_logged(num_steps, log):
    make_env = lambda: Steps(log=str(log))  # noqa: E731
    return record_steps(num_steps, make_env=make_env)


def counts(log):
    """Return how often each thing was done, and by how many processes."""
    lines = [line.split() for line in log.read_text().splitlines()]
    found = {what: [pid for one, pid in lines if one == what] for what, _ in lines}
    return {what: (len(pids), len(set(pids))) for what, pids in found.items()}


def rows_shown(cache, env=0):
    return [row for row in range(cache.num_rows) if cache.is_shown(row, env)]


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch):
    """How many rows come beside those that are read depends on no clock."""
    monkeypatch.setattr(rendering, "BESIDE_S", 60.0)


def test_a_replay_goes_on_to_the_blocks_that_follow(tmp_path):
    log = tmp_path / "log"
    cache = record_logged(99, log)

    for row in (5, 40, 70, 98):
        assert (cache[row, 0] == row).all()

    # One process from the first row to the last; each step once.
    assert counts(log)["step"] == (99, 1)
    assert all((cache[row, 0] == row).all() for row in range(100))


def test_of_a_block_the_episodes_that_are_read_are_replayed(tmp_path):
    log = tmp_path / "log"
    env = rv.record(Steps(), render="later", make_env=lambda: Steps(log=str(log)))
    for _ in range(4):
        env.reset(seed=0)
        for _ in range(5):
            env.step(0)

    assert (env.cache[8, 0] == 2).all()

    # Not those that its replay passes: of some, a picture takes 0.1 s.
    assert rows_shown(env.cache) == [8, 9, 10, 11]
    assert counts(log)["step"][0] == 5

    # Where it is known that they take no time, those as well.
    assert (env.cache[14, 0] == 2).all()
    assert rows_shown(env.cache) == [8, 9, 10, 11, 12, 13, 14, 15, 16, 17]
    assert counts(log)["step"][0] == 10


def test_rows_before_are_replayed_anew(tmp_path):
    log = tmp_path / "log"
    cache = record_logged(99, log)

    for row in (70, 40, 98, 3):
        assert (cache[row, 0] == row).all()

    # 0-95, 0-63, 96-99 or 0-99, 0-31
    assert counts(log)["step"][0] <= 95 + 63 + 99 + 31
    assert all((cache[row, 0] == row).all() for row in range(100))


def test_a_replay_does_not_go_on_in_rows_of_another_recording(tmp_path):
    log = tmp_path / "log"
    env = rv.record(Steps(), render="later", make_env=lambda: Steps(log=str(log)))
    for _ in range(2):
        env.cache.clear()
        env.reset(seed=0)
        for _ in range(70):
            env.step(0)
        first = 0 if log.exists() else 5
        assert (env.cache[first + 32, 0] == first + 32).all()

    assert counts(log)["step"][0] == 2 * 63


@pytest.mark.parametrize("name", ["Pendulum-v1", "InvertedPendulum-v5"])
def test_pictures_of_a_replay_that_goes_on_are_exact(name):
    if "Inverted" in name:
        pytest.importorskip("mujoco", reason="what steps it")
    small = {"width": 64, "height": 48} if "Inverted" in name else {}

    def play(**options):
        mode = None if "render" in options else "rgb_array"
        env = rv.record(gymnasium.make(name, render_mode=mode, **small), **options)
        env.action_space.seed(1)
        env.reset(seed=3)
        for _ in range(70):
            *_, terminated, _, _ = env.step(env.action_space.sample() * 0.01)
            if terminated:
                env.reset()
        return env.cache

    now, later = play(), play(render="later")

    for row in (40, 66, 3, 20, 70):
        np.testing.assert_array_equal(later[row, 0], now[row, 0])
    for row in range(71):
        np.testing.assert_array_equal(later[row, 0], now[row, 0])


def test_a_viewer_has_a_process_ready_before_a_page_asks(tmp_path):
    log = tmp_path / "log"
    cache = record_logged(5, log)
    assert not log.exists()

    viewer = rv.view(cache)
    while not log.exists():
        time.sleep(0.01)

    assert not cache.slots
    viewer.close()


def test_processes_that_are_not_used_end(monkeypatch):
    monkeypatch.setattr(kept_workers, "LINGER_S", 0.05)
    cache = record_steps(5)
    assert cache[3, 0].any()
    workers = cache._rendering._workers

    while workers.has_any:
        time.sleep(0.01)

    assert (cache[4, 0] == 4).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks")
def test_processes_are_those_of_the_process_that_started_them(tmp_path):
    log = tmp_path / "log"
    cache = record_logged(70, log)
    assert (cache[3, 0] == 3).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this one has threads
        pid = os.fork()
    if pid == 0:
        has_any = cache._rendering._workers.has_any
        del cache
        gc.collect()
        os._exit(has_any)

    assert os.waitpid(pid, 0)[1] == 0

    # They go on from where they were.
    assert (cache[40, 0] == 40).all()
    assert counts(log)["step"] == (63, 1)


def test_processes_end_with_the_cache(tmp_path):
    log = tmp_path / "log"
    cache = record_logged(5, log)
    assert cache[3, 0].any()
    pids = {int(line.split()[1]) for line in log.read_text().splitlines()}

    del cache

    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                time.sleep(0.01)


@pytest.fixture
def workers_made(monkeypatch):
    """A list with an item for each process that was started."""
    made = []

    class CountedWorker(pool.Worker):
        def __init__(self, *arguments):
            made.append(self)
            super().__init__(*arguments)

    monkeypatch.setattr(pool, "Worker", CountedWorker)
    return made


def test_episodes_of_mujoco_are_replayed_by_one_process(workers_made):
    pytest.importorskip("mujoco", reason="what steps it")
    small = {"width": 64, "height": 48, "max_episode_steps": 6}

    def play(**options):
        mode = None if "render" in options else "rgb_array"
        make = functools.partial(gymnasium.make, "Hopper-v5", render_mode=mode, **small)
        env = rv.record(make(), **options)
        env.action_space.seed(1)
        env.reset(seed=3)
        for _ in range(24):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated:
                env.reset()
        return env.cache

    now, later = play(), play(render="later")
    assert len(now.episodes) > 3

    later.render(range(14, now.num_rows), workers=1, progress=False)
    later.render(workers=1, progress=False)

    assert len(workers_made) == 2
    for row in range(now.num_rows):
        np.testing.assert_array_equal(later[row, 0], now[row, 0])


class Remembers(Steps):
    """Is another environment from its second reset on, and says that it is not."""

    is_worn = True
    _num_resets = 0

    def reset(self, *, seed=None, options=None):
        self._num_resets += 1
        return super().reset(seed=seed)

    def step(self, action):
        obs, *rest = super().step(action)
        return obs + (self._num_resets > 1), *rest


def test_what_differs_in_a_used_environment_is_replayed_in_a_new_one(workers_made):
    env = rv.record(Steps(), render="later", make_env=lambda: Remembers())
    for _ in range(3):
        env.reset(seed=0)
        for _ in range(4):
            env.step(0)

    assert env.cache.render(workers=1, progress=False) == 15

    assert len(workers_made) == 3
    values = [env.cache[row, 0][0, 0, 0] for row in range(15)]
    assert values == [0, 1, 2, 3, 4] * 3
