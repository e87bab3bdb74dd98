"""Processes that are there before they are needed: for what, and when they are lost."""

import os
import signal
import threading
import time

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache import background_rendering
from rollout_viewer._replay import pool
from tests.later_envs import Steps, record_steps


def record_arms(render, num_envs=2, seed=3, cache=None):
    """Return a recording of Reacher, whose renderer looks where the arm is first."""
    pytest.importorskip("mujoco", reason="what steps it")
    envs = gymnasium.make_vec(
        "Reacher-v5", num_envs, "sync", render_mode="rgb_array", width=64, height=48
    )
    env = rv.record(envs, render=render, cache=cache)
    env.reset(seed=seed)
    env.action_space.seed(0)
    for _ in range(3):
        env.step(env.action_space.sample())
    return env.cache


def test_each_env_of_mujoco_is_seen_from_where_it_was():
    now, later = record_arms("now"), record_arms("later")

    np.testing.assert_array_equal(later.frames([2, 3]), now.frames([2, 3]))


def test_an_env_is_seen_from_where_it_was_after_another_was_looked_at():
    now, later = record_arms("now"), record_arms("later")

    for env in (0, 1, 0):
        for row in (2, 3):
            np.testing.assert_array_equal(later[row, env], now[row, env])


def test_after_clear_an_env_is_seen_from_where_it_is_then():
    later = record_arms("later", 1)
    assert later[2, 0].any()
    later.clear()
    record_arms("later", 1, seed=4, cache=later)
    now = record_arms("now", 1, seed=4)

    np.testing.assert_array_equal(later[2, 0], now[2, 0])


def test_a_process_that_is_ready_serves_any_env_where_none_looks(workers_made):
    envs = gymnasium.make_vec("CartPole-v1", 3, "sync")
    env = rv.record(envs, render="later")
    env.reset(seed=3)
    env.step(env.action_space.sample())

    for number in range(3):
        assert env.cache[1, number].any()

    # The first, one that is ready, and another after each that was used.
    assert len(workers_made) <= 4


def record_rows(num_steps=300, log="", make_env=None):
    """Return a recording of which each row is of another gray."""
    make_env = make_env or (lambda: Steps(log=str(log) if log else ""))
    return record_steps(num_steps, make_env=make_env)


def spare_of(cache):
    """Return the process that is prepared for what comes."""
    return next(one for one in kept(cache) if one.prepared is not None)


def kept(cache):
    """Return the processes of a cache that are there for what comes."""
    return cache._rendering._workers._pool._workers


def end(worker):
    """Kill a process, and wait until it is known to have ended."""
    os.kill(worker.pid, signal.SIGKILL)
    worker._reader.join()


@pytest.mark.parametrize("which", ["that goes on", "that is ready", "both"])
def test_pictures_come_after_an_idle_process_was_killed(which):
    cache = record_rows()
    assert (cache[1, 0] == 1).all()
    spare = spare_of(cache)
    for worker in list(kept(cache)):
        if which in ("both", "that is ready" if worker is spare else "that goes on"):
            end(worker)

    for row in (100, 150, 40, 200):
        assert (cache[row, 0] == row % 256).all()


def test_a_task_is_begun_once_more_where_a_process_that_was_kept_ends_at_once(
    monkeypatch,
):
    cache = record_rows(70)
    assert (cache[1, 0] == 1).all()
    start = pool.Worker.start
    started = []

    def start_and_end(worker, task):
        started.append(worker)
        if len(started) == 1:
            os.kill(worker.pid, signal.SIGKILL)
        start(worker, task)

    monkeypatch.setattr(pool.Worker, "start", start_and_end)

    assert (cache[50, 0] == 50).all()
    assert len({worker.pid for worker in started}) == 2


def test_recorders_end_though_a_process_was_killed():
    env = rv.record(Steps(), render="later", every=1, make_env=lambda: Steps())
    for episode in range(3):
        env.reset(seed=episode)
        env.step(0)
        if episode == 1:
            env.cache.finish_rendering()
            for worker in list(kept(env.cache)):
                end(worker)
    env.close()

    assert [env.cache.has_picture(row, 0) for row in range(6)] == [True] * 6


def test_processes_that_end_whenever_they_are_prepared_are_not_prepared_for_ever(
    workers_made, tmp_path
):
    alone = tmp_path / "alone"

    class Alone(Steps):
        """May be made once at a time, as where a licence allows that."""

        def __init__(self):
            if alone.exists():
                os._exit(3)
            alone.touch()
            super().__init__()

    cache = record_rows(250, make_env=lambda: Alone())

    for row in range(5, 250, 32):
        assert (cache[row, 0] == row % 256).all()
        for worker in list(kept(cache)):
            if worker.position is None:
                worker._reader.join()

    assert len(workers_made) == 1 + 3


@pytest.mark.skipif(os.name != "posix", reason="has no groups of processes")
def test_ctrl_c_in_a_terminal_is_not_for_processes_that_replay():
    cache = record_rows(5)
    assert cache[1, 0].any()

    assert len(kept(cache)) == 2
    for worker in kept(cache):
        assert os.getpgid(worker.pid) == worker.pid != os.getpgid(0)


class WithHelper(Steps):
    """Has another process, which keeps the pipes of this one open."""

    def __init__(self, is_apart=False, ends_at=-1):
        super().__init__()
        self._ends_at = ends_at
        if os.fork() == 0:
            if is_apart:
                os.setsid()
            time.sleep(30)
            os._exit(0)

    def step(self, action):
        if self._step + 1 == self._ends_at:
            os._exit(3)
        return super().step(action)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no environment forks")
def test_processes_of_environments_with_helpers_end():
    cache = record_rows(5, make_env=lambda: WithHelper())
    assert cache[1, 0].any()
    workers = list(kept(cache))

    cache._rendering._workers._pool.close()

    # Its helper, too: nobody keeps its output open.
    assert not any(worker._reader.is_alive() for worker in workers)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no environment forks")
@pytest.mark.parametrize("is_apart", [False, True])
def test_the_end_of_a_process_is_seen_though_its_helper_goes_on(is_apart, monkeypatch):
    monkeypatch.setattr(pool, "_ALIVE_POLL_S", 0.1)
    monkeypatch.setattr(pool, "_READ_S", 0.1)
    cache = record_rows(50, make_env=lambda: WithHelper(is_apart, ends_at=40))

    with pytest.raises(rv.RenderError, match="exit code 3"):
        cache.render(workers=1, progress=False)
    with pytest.raises(rv.RenderError, match="exit code 3"):
        cache.frames([45])


def test_a_viewer_renders_again_some_time_after_a_process_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(background_rendering, "RETRY_S", 0.1)
    broken = tmp_path / "broken"
    broken.touch()

    class Broken(Steps):
        def reset(self, **options):
            if broken.exists():
                os._exit(3)
            return super().reset(**options)

    cache = record_rows(5, make_env=lambda: Broken())
    while cache.rendering_error is None:
        cache.want_pictures([(3, 0)])
        time.sleep(0.01)
    assert isinstance(cache.rendering_error, rv.RenderError)
    broken.unlink()

    while not cache.has_picture(3, 0):
        cache.want_pictures([(3, 0)])
        time.sleep(0.01)

    assert (cache[3, 0] == 3).all()
    assert cache.rendering_error is None


def test_what_no_process_can_do_is_not_tried_again(monkeypatch):
    monkeypatch.setattr(background_rendering, "RETRY_S", 0.0)
    cache = record_rows(5, make_env=lambda: 1 / 0)
    while cache.rendering_error is None:
        cache.want_pictures([(3, 0)])
        time.sleep(0.01)

    assert "ZeroDivisionError" in str(cache.rendering_error)
    assert not cache.renders_pictures


class Leaks(Steps):
    """Is another environment from its 40th step on, all in all; resets as a whole."""

    is_worn = True
    _num_late = 0

    def step(self, action):
        obs, *rest = super().step(action)
        self._num_late += self._step > 40
        return obs + 1000 * self._num_late * (self._step > 40), *rest


def test_what_differs_where_a_used_environment_goes_on_is_replayed_in_a_new_one():
    env = rv.record(Leaks(), render="later", make_env=lambda: Leaks())
    env.reset(seed=0)
    for _ in range(70):
        env.step(0)

    for row in (60, 5, 64):
        assert (env.cache[row, 0] == row).all()


class FailsToClose(Steps):
    def close(self):
        raise OSError("its socket is closed")


def test_an_environment_that_cannot_be_closed_fails_no_other_episode():
    cache = record_rows(200, make_env=lambda: FailsToClose())

    for row in (180, 1, 100, 50):
        assert (cache[row, 0] == row).all()


def test_after_clear_processes_import_what_has_changed(tmp_path):
    shown, log = tmp_path / "shown", tmp_path / "log"
    log.touch()

    class Imported(Steps):
        """Knows what was there when its process began, as a module does."""

        def __init__(self):
            import builtins

            known = vars(builtins).setdefault("shown_by_a_test", shown.read_text())
            self._known = int(known)
            super().__init__(log=str(log))

        def render(self):
            return np.full((48, 64, 3), self._known, np.uint8)

    env = rv.record(Steps(), render="later", make_env=lambda: Imported())
    for number in (10, 20):
        shown.write_text(str(number))
        env.cache.clear()
        env.reset(seed=0)
        for _ in range(70):
            env.step(0)
        assert (env.cache[40, 0] == number).all()
        # Those that are ready know it as well.
        while log.read_text().count("made") < number / 5:
            time.sleep(0.01)


def test_what_is_wanted_of_rows_that_cannot_be_read_does_not_end_the_thread(
    monkeypatch,
):
    monkeypatch.setattr(background_rendering, "RETRY_S", 0.1)
    cache = record_rows(5)
    is_to_render, failed = type(cache).is_to_render, []

    def fail_first(reader, row, env):
        if not failed:
            failed.append(threading.current_thread())
            raise IndexError(row)
        return is_to_render(reader, row, env)

    monkeypatch.setattr(type(cache), "is_to_render", fail_first)
    threads = set()
    while not cache.has_picture(3, 0):
        cache.want_pictures([(3, 0)])
        threads.add(cache._rendering.background._thread)
        time.sleep(0.01)

    assert threads == set(failed)
