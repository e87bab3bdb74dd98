"""Tasks of dm_control as Gymnasium's environments, by Shimmy, rendered later."""

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv

pytest.importorskip("dm_control", reason="its suite of tasks")
shimmy = pytest.importorskip("shimmy", reason="what makes Gymnasium's of them")


@pytest.fixture(autouse=True, scope="module")
def registered():
    gymnasium.register_envs(shimmy)


def play(name, *, seeds=(3, None, None), steps=6, **options):
    mode = None if "render" in options else "rgb_array"
    env = rv.record(gymnasium.make(name, render_mode=mode), **options)
    env.action_space.seed(1)
    for seed in seeds:
        env.reset(seed=seed)
        for _ in range(steps):
            env.step(env.action_space.sample())
    return env.cache


@pytest.mark.parametrize("task", ["cartpole-swingup", "reacher-easy"])
def test_pictures_are_those_of_rendering_at_once(task):
    name = f"dm_control/{task}-v0"
    now, later = play(name), play(name, render="later")

    for row in (16, 3, 9, 20, 0):
        np.testing.assert_array_equal(later[row, 0], now[row, 0])
    later.render(progress=False)

    for row in range(now.num_rows):
        np.testing.assert_array_equal(later[row, 0], now[row, 0])


def test_an_episode_without_any_seed_is_replayed_from_its_random_state():
    name = "dm_control/cartpole-swingup-v0"
    later = play(name, seeds=(None, None), render="later")

    assert later.render(progress=False) == later.num_rows == 14


def test_a_function_makes_it_for_a_file(tmp_path):
    name, path = "dm_control/cartpole-swingup-v0", tmp_path / "a.rollout"
    now, later = play(name), play(name, render="later", cache=path)
    later.close()

    def make_env():
        import shimmy

        gymnasium.register_envs(shimmy)
        return gymnasium.make(name, render_mode="rgb_array").unwrapped

    with pytest.raises(rv.RolloutViewerError, match="make_env"):
        rv.open(path, render=True).render(progress=False)
    with rv.open(path, make_env=make_env) as opened:
        np.testing.assert_array_equal(opened[9, 0], now[9, 0])
