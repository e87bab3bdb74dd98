"""Brax and MuJoCo Playground: their own wrappers, states and pictures.

Playground is half a GB: `make test-playground` installs it, and runs these.
"""

import functools

import jax
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._replay.kept_states import names_read

pytestmark = [
    pytest.mark.jax,
    pytest.mark.timeout(900),  # JAX compiles a simulation for a minute
    # What the libraries say of themselves and of each other.
    pytest.mark.filterwarnings("ignore"),
]


def random_policy(obs, rng):
    return jax.random.uniform(rng, (*obs.shape[:-1], 1), minval=-1, maxval=1), {}


@pytest.fixture(scope="module")
def brax_env():
    pytest.importorskip("brax", reason="the extra dev is not installed")
    from brax import envs

    return envs.create("inverted_pendulum", backend="generalized", episode_length=12)


def same_pictures(now, later):
    assert now.num_rows == later.num_rows
    for row in range(now.num_rows):
        np.testing.assert_array_equal(later[row], now[row])


def test_brax_is_rendered_later_as_at_once(brax_env):
    how = {"policy": random_policy, "max_steps": 30, "seed": 3, "progress": False}
    now = rv.rollout(brax_env, **how)

    later = rv.rollout(brax_env, **how, render="later")
    last = later[now.num_rows - 1]
    np.testing.assert_array_equal(last, now[now.num_rows - 1])
    later.render(progress=False)

    same_pictures(now, later)
    assert now.episodes == later.episodes
    assert len(now.episodes) > 2
    # Each episode has its last picture: the wrapper that resets is left out.
    assert all(e.terminated or e.truncated for e in now.episodes[:-1])
    assert later.fps == now.fps == pytest.approx(1 / float(brax_env.dt))
    names = {name for name in later.at(1, 0) if name.startswith("state.")}
    assert names == {"state.q", "state.qd", "state.crc32"}


def test_pictures_are_those_of_braxs_own_render(brax_env):
    inner = brax_env.unwrapped
    state, step = jax.jit(inner.reset)(jax.random.PRNGKey(1)), jax.jit(inner.step)
    states = [state]
    for _ in range(3):
        state = step(state, np.zeros(1))
        states.append(state)
    recorded = rv.record(inner)

    recorded.add(states)

    own = inner.render([one.pipeline_state for one in states])
    np.testing.assert_array_equal(recorded.cache[:, 0][:, :], np.array(own))


def test_braxs_batch_of_a_scan_is_recorded_by_its_marks():
    pytest.importorskip("brax", reason="the extra dev is not installed")
    from brax import envs

    env = envs.create(
        "inverted_pendulum", backend="generalized", episode_length=5, batch_size=3
    )
    first = jax.jit(env.reset)(jax.random.PRNGKey(0))

    def step(state, _):
        state = env.step(state, np.zeros((3, 1)))
        return state, state

    states = jax.jit(lambda state: jax.lax.scan(step, state, None, 12)[1])(first)
    recorded = rv.record(env, envs=[1], render="later")

    recorded.add(states, initial=first)

    lengths = [e.length for e in recorded.cache.episodes if e.env == 1]
    assert lengths == [5, 5, 2]
    assert recorded.cache.render(progress=False) > 0
    ends = [e.stop - 1 for e in recorded.cache.episodes if e.env == 1][:2]
    state_of = [recorded.cache.at(row, 1)["picture_state"] for row in ends]
    assert all("reset itself" in one for one in state_of)


def test_arguments_of_render_are_set_beforehand(brax_env):
    inner = brax_env.unwrapped
    inner.render = functools.partial(inner.render, height=48, width=64)
    try:
        assert names_read(brax_env) == names_read(inner) is not None
        cache = rv.rollout(
            brax_env, policy=random_policy, max_steps=2, seed=0, render="later"
        )
        cache.render(progress=False)
        assert cache[0, 0].shape == (48, 64, 3)
        cache.render(height=24, width=32, progress=False)
        assert cache.frames([0], camera="32x24").shape[2:] == (24, 32, 3)
    finally:
        del inner.render


def test_playground_is_rendered_later_as_at_once():
    library = pytest.importorskip("mujoco_playground", reason="half a GB")
    overrides = {"impl": "jax"}
    bare = library.registry.load("CartpoleBalance", config_overrides=overrides)
    env = library.wrapper.wrap_for_brax_training(bare, episode_length=6)
    how = {"policy": random_policy, "max_steps": 9, "seed": [0, 1]}
    now = rv.rollout(rv.record(env, envs=[1]), **how)

    later = rv.rollout(rv.record(env, envs=[1], render="later"), **how)
    later.render(progress=False)

    assert [e.length for e in later.episodes] == [6, 6, 3, 3]
    assert later.episodes == now.episodes
    for row in range(now.num_rows):
        np.testing.assert_array_equal(later.frames([row], [1]), now.frames([row], [1]))
    names = {name for name in later.at(1, 1) if name.startswith("state.")}
    assert "state.data.qpos" in names
    assert "state.obs" not in names
    later.render([1], camera="lookatcart", width=64, height=48, progress=False)
    assert later.frames([1], [1], camera="lookatcart").shape[2:] == (48, 64, 3)
