"""States of functional environments: dtypes, sizes, ends, and missing pictures."""

import subprocess
import sys
import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rollout_viewer as rv
from tests.functional_envs import Batched, Walk, scanned

# In a process of its own: nobody may fork where JAX was imported.
pytestmark = pytest.mark.jax


def ahead(obs):
    return jnp.ones((*obs.shape[:-1], 1)) + 0 * obs[..., :1]


class Wide(Walk):
    def _state(self, *values):
        state = super()._state(*values)
        return state._replace(info={**state.info, "world": jnp.zeros(4096)})


def test_states_that_are_too_large_to_keep_of_a_few_envs_are_refused():
    recorded = rv.record(Wide(), envs=[0], render="later")

    with pytest.raises(rv.UnsupportedEnvError, match="1 of 1024 envs"):
        rv.rollout(recorded, policy=ahead, max_steps=3, seed=range(1024))

    assert recorded.cache.num_rows == 0
    rv.rollout(recorded, policy=ahead, max_steps=3, seed=range(4))


class Counting(NamedTuple):
    place: Any
    obs: Any
    reward: Any
    done: Any


class FromIntegers:
    """Its reset returns integers and Python's numbers, its step others."""

    def reset(self, rng):
        place = jnp.zeros(2, jnp.int32)
        return Counting(place, place, 0, False)

    def step(self, state, action):
        place = state.place + 0.5 * action[0]
        return Counting(place, place, -0.5 * place[0], False)

    def render(self, states):
        return [np.full((8, 8, 3), int(s.place[0] * 10), np.uint8) for s in states]


@pytest.mark.parametrize("seed", [0, [0, 1]])
@pytest.mark.parametrize("policy", [ahead, lambda obs: np.ones((*obs.shape[:-1], 1))])
def test_a_reset_of_narrower_dtypes_does_not_change_what_steps_do(seed, policy):
    cache = rv.rollout(FromIntegers(), policy=policy, max_steps=3, seed=seed)

    assert cache.column("obs")[:, 0, 0].tolist() == [0, 0.5, 1, 1.5]
    assert cache.scalars["reward"][1:, 0].tolist() == [-0.25, -0.5, -0.75]
    assert cache[3, 0][0, 0, 0] == 15


@pytest.mark.parametrize("seed", [0, [0]])
def test_a_step_may_return_a_constant(seed):
    env = Walk(length=2)
    env.step = lambda s, a: Walk(length=2).step(s, a)._replace(reward=1.0)

    cache = rv.rollout(env, policy=ahead, max_steps=5, seed=seed)

    assert [e.total_reward for e in cache.episodes] == [2, 2, 1]


def test_states_with_python_numbers_are_drawn_and_leave_jax_as_it_is():
    env = Walk()
    state = env.reset(jax.random.PRNGKey(0))
    states = [state._replace(steps=0, reward=0)]
    for count in range(1, 4):
        state = env.step(state, jnp.ones(1))
        states.append(state._replace(steps=count))
    recorded = rv.record(env)

    recorded.add(states)

    assert recorded.cache[:, 0][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert not jax.config.read("jax_enable_x64")


def test_lists_of_states_of_several_forms_are_refused():
    first = Walk().reset(jax.random.PRNGKey(0))
    other = first._replace(info={**first.info, "more": first.reward})
    with pytest.raises(rv.UnsupportedEnvError, match=r"info\.more"):
        rv.record(Walk()).add([first, other])


def test_a_loop_of_calls_may_reset_ended_envs_itself():
    recorded = rv.record(Batched(Walk(edge=3), 2))
    state = recorded.reset(jax.random.PRNGKey(0))
    for number in range(8):
        state = recorded.step(state, jnp.array([[1.0], [0.5]]))
        fresh = recorded.env.reset(jax.random.PRNGKey(number))
        state = jax.tree.map(
            lambda new, old, over=state.done > 0: jnp.where(
                over.reshape(over.shape + (1,) * (old.ndim - 1)), new, old
            ),
            fresh,
            state,
        )

    found = [(e.env, e.length, e.terminated) for e in recorded.cache.episodes]
    assert sorted(found) == [
        (0, 2, False),
        (0, 3, True),
        (0, 3, True),
        (1, 2, False),
        (1, 6, True),
    ]


def test_a_first_call_that_is_refused_leaves_nothing():
    env = Walk(edge=1)
    recorded = rv.record(env)
    back = scanned(env, env.reset(jax.random.PRNGKey(0)), jnp.array([[1.0], [-1.0]]))
    many = Batched(Walk(), 3)
    with pytest.raises(rv.ShapeError, match="autoreset"):
        recorded.add(jax.tree.map(lambda x: jnp.stack([x] * 2, 1), back))

    recorded.add([many.reset(jax.random.PRNGKey(0))])

    assert recorded.cache.num_envs == 3


class Broken(Walk):
    def render(self, states, *args, **options):
        if any(int(state.steps) == 40 for state in states):
            raise ValueError("NaN in qpos")
        return super().render(states, *args, **options)


@pytest.mark.parametrize("render", ["now", "later"])
def test_a_state_that_render_refuses_is_the_only_one_without_a_picture(render):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        cache = rv.rollout(
            Broken(), policy=ahead, max_steps=70, seed=0, render=render, progress=False
        )
        if render == "later":
            cache.render(progress=False)

    (text,) = [str(one.message) for one in found]
    assert "NaN in qpos" in text
    assert [r for r in range(71) if not cache.has_picture(r, 0)] == [40]


def test_a_policy_whose_parameters_changed_acts_with_the_new_ones():
    scale = {"value": jnp.ones(3000)}

    @jax.jit
    def last(obs):
        return obs

    def policy(obs):
        table = scale["value"]
        far = jax.lax.scan(
            lambda c, _: (c + table[2000], None), jnp.zeros(()), None, 2
        )[0]
        return far * ahead(last(obs))

    recorded = rv.record(Walk())
    rv.rollout(recorded, policy=policy, max_steps=2, seed=0)
    loop = recorded._loop
    rv.rollout(recorded, policy=policy, max_steps=2, seed=0)
    assert recorded._loop is loop  # nothing was compiled again
    scale["value"] = scale["value"].at[2000].set(3)

    cache = rv.rollout(recorded, policy=policy, max_steps=2, seed=0)

    assert cache.column("action")[-3, 0, 0] == 6


def test_a_policy_that_keeps_an_array_says_what_to_do():
    class Remembering:
        past = jnp.zeros(())

        def __call__(self, obs):
            self.past = self.past + obs[1]
            return self.past[None]

    with pytest.raises(rv.UnsupportedEnvError, match="keeps nothing"):
        rv.rollout(Walk(), policy=Remembering(), max_steps=3, seed=0)


OF_64_BITS = """
import sys
import jax, jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
import rollout_viewer as rv
from tests.functional_envs import Walk
path = sys.argv[1]
options = dict(policy=lambda obs: jnp.ones(1) + 0 * obs[:1], max_steps=3, seed=1)
rv.rollout(Walk(), **options, render="later", cache=path).close()
now = rv.rollout(Walk(), **options)
with rv.open(path, make_env=Walk) as opened:
    assert opened.column("state.place").dtype == "float64"
    assert (opened[:] == now[:]).all()
"""


def test_a_recording_of_64_bits_is_drawn_by_make_env(tmp_path):
    call = [sys.executable, "-c", OF_64_BITS, str(tmp_path / "a.rollout")]
    subprocess.run(call, check=True)


def test_keys_seeds_and_policies_of_other_kinds():
    def policy(obs):
        return ahead(obs), {}

    cache = rv.rollout(Walk(), policy=policy, max_steps=2, seed=np.arange(2))
    assert cache.num_envs == 2
    with jax.default_prng_impl("rbg"):
        assert rv.rollout(Walk(), policy=ahead, max_steps=2, seed=0).num_rows == 3
    with jax.enable_custom_prng():
        assert rv.rollout(Walk(), policy=ahead, max_steps=2, seed=0).num_rows == 3


def test_metrics_of_16_bits_are_recorded():
    env = Walk()

    def half(state):
        return state._replace(metrics={"far": state.place[1].astype(jnp.bfloat16)})

    env.reset = lambda rng: half(Walk().reset(rng))
    env.step = lambda state, action: half(Walk().step(state, action))

    cache = rv.rollout(env, policy=ahead, max_steps=2, seed=0)

    assert cache.column("info.far")[:, 0].tolist() == [0, 1, 2]


def test_states_with_an_action_each_begin_with_a_step():
    recorded = rv.record(Walk(length=1))
    states = [Walk(length=1).step(Walk().reset(jax.random.PRNGKey(0)), -jnp.ones(1))]
    assert not states[0].reward

    recorded.add(states, [jnp.ones(1)])

    (episode,) = recorded.cache.episodes
    assert (episode.length, episode.truncated) == (1, True)
