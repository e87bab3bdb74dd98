"""Environments that a picture changes: the same where none is made."""

import warnings

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv

NUM_STEPS = 60
ENGINES = [2, 2, 0, 1, 2, 3]


def make_lander(render_mode="rgb_array"):
    # An error in its import, as warnings are here, ends the process.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("Box2D")
    return gymnasium.make("LunarLander-v3", render_mode=render_mode)


def fly(env):
    env.reset(seed=3)
    for step in range(NUM_STEPS):
        env.step(ENGINES[step % len(ENGINES)])
    return env.cache


def num_flames(env):
    return len(env.unwrapped.particles)


def play(name, **options):
    env = rv.record(gymnasium.make(name, render_mode="rgb_array"), **options)
    env.action_space.seed(5)
    env.reset(seed=3)
    for _ in range(30):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return env.cache


# The lidar of one is drawn in some pictures only, and the other is turned by them.
@pytest.mark.parametrize("name", ["BipedalWalker-v3", "Taxi-v4"])
@pytest.mark.parametrize("rows", [[28], [9, 21]])
def test_a_row_alone_is_what_it_is_among_all_others(name, rows):
    make_lander().close()  # or skip
    now, later = play(name), play(name, render="later")

    later.render(rows, progress=False)

    for row in rows:
        np.testing.assert_array_equal(later[row, 0], now[row, 0])


@pytest.mark.parametrize("rows", [[50], range(20, 60, 7)])
def test_a_row_alone_shows_no_flames_of_rows_before_it(rows):
    now = fly(rv.record(make_lander()))
    later = fly(rv.record(make_lander(), render="later"))

    later.render(rows, progress=False)

    for row in rows:
        np.testing.assert_array_equal(later[row, 0], now[row, 0])


def test_flames_do_not_pile_up_while_no_picture_is_made():
    now, later = make_lander(), make_lander()

    fly(rv.record(now))
    fly(rv.record(later, render="later"))

    assert num_flames(later) == num_flames(now) < 15


def test_flames_do_not_pile_up_while_a_video_is_not_rendered(tmp_path):
    lander = make_lander()
    env = rv.RecordVideo(
        lander, str(tmp_path), render="later", episode_trigger=lambda _: False
    )

    env.reset(seed=3)
    for step in range(NUM_STEPS):
        env.step(ENGINES[step % len(ENGINES)])

    assert 0 < num_flames(lander) < 15


def test_flames_do_not_pile_up_in_a_vector_env():
    envs = gymnasium.vector.SyncVectorEnv([make_lander] * 2)
    env = rv.record(envs, render="later")

    env.reset(seed=3)
    for step in range(NUM_STEPS):
        env.step(np.full(2, ENGINES[step % len(ENGINES)]))

    assert all(0 < num_flames(one) < 15 for one in envs.envs)


def test_flames_do_not_pile_up_in_a_vec_env():
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    venv = vec_env.DummyVecEnv([make_lander] * 2)
    env = rv.record(vec_env.VecMonitor(venv), render="later")

    env.seed(3)
    env.reset()
    for step in range(NUM_STEPS):
        env.step(np.full(2, ENGINES[step % len(ENGINES)]))

    assert all(0 < num_flames(one) < 15 for one in venv.envs)


def test_flames_do_not_pile_up_in_torchrl():
    envs = pytest.importorskip("torchrl.envs")
    lander = make_lander()
    env = rv.record(envs.GymWrapper(lander), render="later")

    env.set_seed(3)
    env.rollout(NUM_STEPS)

    assert 0 < num_flames(lander) < 15


def test_an_environment_with_particles_of_another_kind_is_left_alone():
    env = CountingEnv()
    vars(env)["particles"] = [object()]

    cache = rv.rollout(
        rv.record(env, render="later", make_env=CountingEnv), max_steps=3
    )

    assert cache.num_rows == 4
