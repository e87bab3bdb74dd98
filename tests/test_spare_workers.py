"""Processes that are there before they are needed: for what, and when they are lost."""

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._replay import pool


@pytest.fixture
def workers_made(monkeypatch):
    """A list with each process that was started."""
    made = []

    class KnownWorker(pool.Worker):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(pool, "Worker", KnownWorker)
    return made


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
