"""Functional JAX environments: rolled out, handed in as states, drawn now or later."""

import pickle
import threading
import types
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rollout_viewer as rv
from tests.functional_envs import Batched, Walk, picture, scanned

# In a process of its own: nobody may fork where JAX was imported.
pytestmark = pytest.mark.jax


def ahead(obs):
    return jnp.ones((*obs.shape[:-1], 1)) + 0 * obs[..., :1]


def start_of(seed):
    return np.float32(Walk().reset(jax.random.PRNGKey(seed)).place[0])


def same_pictures(one, other):
    assert one.num_rows == other.num_rows
    assert one.num_envs == other.num_envs
    np.testing.assert_array_equal(one[:], other[:])


# -- rollouts


def test_a_rollout_is_what_the_environment_does():
    cache = rv.rollout(Walk(length=5), policy=ahead, max_steps=12, seed=3)

    assert [(e.length, e.truncated, e.seed) for e in cache.episodes] == [
        (5, True, 3),
        (5, True, None),
        (2, False, None),
    ]
    assert [e.total_reward for e in cache.episodes] == [10.0, 10.0, 4.0]
    assert cache.fps == 20
    assert cache.metadata["env_id"] == "Walk"
    for row in range(6):
        np.testing.assert_array_equal(cache[row, 0], picture(start_of(3), row, row))
    assert cache.column("obs")[:6, 0, 1].tolist() == [0, 2, 4, 6, 8, 10]
    assert cache.column("action")[:5, 0, 0].tolist() == [1] * 5
    assert cache.column("info.distance")[:6, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_an_env_that_goes_over_the_edge_has_terminated():
    cache = rv.rollout(Walk(length=9, edge=2), policy=ahead, episodes=2, seed=0)

    assert [(e.length, e.terminated, e.truncated) for e in cache.episodes] == [
        (2, True, False),
        (2, True, False),
    ]


def test_a_list_of_seeds_is_a_batch_of_envs_each_as_alone():
    many = rv.rollout(Walk(length=4), policy=ahead, max_steps=6, seed=[5, 6, 7])

    assert [e.seed for e in many.episodes if e.index == 0] == [5, 6, 7]
    for env, seed in enumerate([5, 6, 7]):
        alone = rv.rollout(Walk(length=4), policy=ahead, max_steps=4, seed=seed)
        np.testing.assert_array_equal(many[:5, env], alone[:5, 0])


@pytest.mark.parametrize("batch_size", [3, None])
def test_an_environment_may_be_a_batch_by_itself(batch_size):
    env = Batched(Walk(length=4), batch_size)
    seed = 1 if batch_size else range(3)

    cache = rv.rollout(env, policy=ahead, episodes=6, seed=seed)

    assert cache.num_envs == 3
    assert [e.length for e in cache.episodes] == [4] * 6


def test_a_batch_that_takes_a_key_for_each_env_needs_seeds():
    with pytest.raises(rv.ShapeError, match="seed=\\[0, 1, ...\\]"):
        rv.rollout(Batched(Walk()), policy=ahead, max_steps=3, seed=0)
    with pytest.raises(rv.ShapeError, match="one seed"):
        rv.rollout(Batched(Walk(), 3), policy=ahead, max_steps=3, seed=[0, 1])


def test_policies_with_a_key_and_extras_are_compiled_and_repeat():
    calls = []

    def policy(obs, rng):
        calls.append(obs)
        return jax.random.normal(rng, (1,)), {"value": obs.sum()}

    runs = [rv.rollout(Walk(), policy=policy, max_steps=80, seed=s) for s in (1, 1, 2)]

    assert len(calls) < 20  # traced, and not called for each step
    actions = [run.column("action")[:80, 0, 0] for run in runs]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert len(np.unique(actions[0])) == 80
    assert (actions[0] != actions[2]).any()


def test_a_policy_of_numpy_is_called_for_each_step():
    rng = np.random.default_rng(0)
    seen = []

    def policy(obs):
        seen.append(type(obs))
        return rng.normal(size=1)  # depends on nothing: compiled, it would be constant

    cache = rv.rollout(Walk(length=5), policy=policy, max_steps=8, seed=0)

    assert len(np.unique(cache.column("action")[:5, 0, 0])) == 5
    assert seen[-1] is np.ndarray
    assert [e.length for e in cache.episodes] == [5, 3]


def test_without_a_policy_actions_are_random():
    cache = rv.rollout(Walk(), max_steps=20, seed=range(2))

    actions = cache.column("action")[:20]
    assert actions.shape == (20, 2, 1)
    assert (np.abs(actions) <= 1).all()
    assert len(np.unique(actions)) == 40


def test_a_callback_ends_a_rollout_in_the_middle_of_a_block():
    rows = []

    def callback(cache, row):
        rows.append(row)
        return row < 7

    cache = rv.rollout(Walk(), policy=ahead, callback=callback, seed=0)

    assert rows == [1, 2, 3, 4, 5, 6, 7]
    assert cache.num_rows == 8


def test_an_environment_without_a_limit_needs_max_steps():
    env = Walk()

    def reset(rng):
        state = Walk().reset(rng)
        return state._replace(info={})

    def step(state, action):
        return Walk().step(state, action)._replace(info={})

    env.reset, env.step = reset, step
    with pytest.raises(ValueError, match="max_steps="):
        rv.rollout(env, policy=ahead, episodes=1, seed=0)
    assert rv.rollout(env, policy=ahead, max_steps=3, seed=0).num_rows == 4


def test_reset_and_step_must_return_states_of_one_form():
    env = Walk()

    def step(state, action):
        following = Walk().step(state, action)
        return following._replace(info={**following.info, "more": following.reward})

    env.step = step
    with pytest.raises(rv.UnsupportedEnvError, match=r"info\.more"):
        rv.rollout(env, policy=ahead, max_steps=3, seed=0)


def test_an_action_of_another_batch_is_refused():
    with pytest.raises(rv.ShapeError, match="each of 3 envs"):
        rv.rollout(Walk(), policy=lambda obs: jnp.ones(1), max_steps=3, seed=range(3))


# -- later


def test_pictures_of_kept_states_are_those_of_rendering_at_once(tmp_path):
    env = Walk(length=7)
    how = {"policy": ahead, "max_steps": 40, "seed": [1, 2], "progress": False}
    now = rv.rollout(env, **how)

    later = rv.rollout(env, **how, render="later")

    assert not later.has_picture(17, 1)
    newest = later[39, 1]  # any row alone
    np.testing.assert_array_equal(newest, now[39, 1])
    assert later.render(progress=False) > 0
    same_pictures(now, later)
    np.testing.assert_array_equal(later.scalars["reward"], now.scalars["reward"])


def test_only_chosen_envs_of_many_are_kept_and_drawn():
    env = rv.record(Walk(length=7), envs=[3, 90], render="later")

    cache = rv.rollout(env, policy=ahead, max_steps=20, seed=range(100))

    assert cache.num_envs == 100
    assert cache.column("obs").shape[:2] == (cache.num_rows, 100)
    assert cache.render(progress=False) == 2 * cache.num_rows
    assert [*cache.pictured_envs] == [3, 90]
    np.testing.assert_array_equal(cache[4, 90], picture(start_of(90), 4, 4))
    assert not cache.column("state.place")[:, 4].any()


def test_a_file_from_elsewhere_is_data_until_make_env_is_given(tmp_path):
    path = tmp_path / "a.rollout"
    now = rv.rollout(Walk(length=7), policy=ahead, max_steps=20, seed=1)
    cache = rv.rollout(
        Walk(length=7),
        policy=ahead,
        max_steps=20,
        seed=1,
        render="later",
        cache=path,
    )
    cache.close()

    with rv.open(path) as opened:
        assert opened.episodes[0].total_reward == 14
        with pytest.raises(rv.RenderError, match="opened for its data"):
            opened.render(progress=False)
    with (
        rv.open(path, render=True) as opened,
        pytest.raises(rv.UnsupportedEnvError, match="make_env="),
    ):
        opened.render(progress=False)
    with rv.open(path, make_env=Walk) as opened:
        same_pictures(now, opened)


def test_a_viewer_gets_pictures_of_what_it_shows():
    cache = rv.rollout(
        Walk(length=7), policy=ahead, max_steps=40, seed=1, render="later"
    )
    came = threading.Event()
    cache.subscribe(lambda *_: cache.has_picture(33, 0) and came.set())

    cache.want_pictures([(33, 0)])

    assert came.wait(120)
    now = rv.rollout(Walk(length=7), policy=ahead, max_steps=40, seed=1)
    np.testing.assert_array_equal(cache[33, 0], now[33, 0])


def test_another_camera_and_size_are_added_to_kept_states():
    cache = rv.rollout(Walk(), policy=ahead, max_steps=3, seed=1, render="later")
    cache.render(progress=False)

    cache.render(camera="dark", height=20, width=30, progress=False)

    dark = cache.frames([2], camera="dark")[0, 0]
    assert dark.shape == (20, 30, 3)
    np.testing.assert_array_equal(dark[0, 0], cache[2, 0][0, 0] // 2)


def test_a_make_env_of_another_environment_gives_no_pictures(tmp_path):
    class Other(Walk):
        def _state(self, place, *rest):
            return super()._state(jnp.zeros(3).at[:2].set(place), *rest)

    path = tmp_path / "a.rollout"
    rv.rollout(
        Walk(), policy=ahead, max_steps=3, seed=1, render="later", cache=path
    ).close()

    with (
        rv.open(path, make_env=Other) as opened,
        pytest.raises(rv.RenderError, match=r"'place' of shape \(3,\)"),
    ):
        opened.render(progress=False)


def test_an_environment_that_cannot_be_pickled_is_refused_before_it_is_recorded():
    env = Walk()
    vars(env)["lock"] = threading.Lock()
    with pytest.raises(rv.UnsupportedEnvError, match="make_env="):
        rv.record(env, render="later")

    recorded = rv.record(env, render="later", make_env=Walk)
    cache = rv.rollout(recorded, policy=ahead, max_steps=3, seed=1)

    assert cache.render(progress=False) == 4


def test_a_damaged_state_gives_no_picture():
    from rollout_viewer._replay.kept_states import RenderedStates, template_of
    from rollout_viewer._replay.plan import EpisodePart, Job, RecordedRow
    from rollout_viewer._replay.replay import NotReproducible
    from rollout_viewer._replay.state_replay import StateReplay

    cache = rv.rollout(Walk(), policy=ahead, max_steps=3, seed=1, render="later")
    rows = []
    for row in range(4):
        moment = cache.at(row, 0)
        data = {n: np.asarray(v) for n, v in moment.items() if n.startswith("state.")}
        rows.append(RecordedRow(row, 1, 0.0, (False, False), None, data))
    rows[2].data["state.place"] = rows[2].data["state.place"] + np.float32(1e-6)
    template = template_of(Walk().reset(jax.random.PRNGKey(0)), None)
    replay = StateReplay(RenderedStates(Walk(), template))
    job = Job(0, [EpisodePart(0, None, rows)], frozenset(range(4)), None)

    found = []
    with pytest.raises(NotReproducible, match="checksum"):
        found += [
            row
            for row, _ in replay.pictures(
                types.SimpleNamespace(job=job, first_rows=None)
            )
        ]

    assert found == []


# -- states of loops of one's own


def test_states_of_a_scan_are_recorded_with_the_state_before_them():
    env = Walk()
    first = env.reset(jax.random.PRNGKey(4))
    actions = jnp.ones((40, 1))
    recorded = rv.record(env)

    rows = recorded.add(scanned(env, first, actions), actions, initial=first)

    assert rows == range(41)
    (episode,) = recorded.cache.episodes
    assert (episode.length, episode.total_reward) == (40, 80.0)
    for row in (0, 1, 40):
        expected = picture(start_of(4), row, row)
        np.testing.assert_array_equal(recorded.cache[row, 0], expected)


def test_a_list_of_states_is_as_a_loop_collected_them():
    env = Walk(length=6)
    state = env.reset(jax.random.PRNGKey(4))
    states = [state]
    while not state.done:
        state = env.step(state, jnp.ones(1))
        states.append(state)
    recorded = rv.record(env)

    recorded.add(states)
    recorded.add(states)

    assert [e.length for e in recorded.cache.episodes] == [6, 6]
    np.testing.assert_array_equal(recorded.cache[9, 0], recorded.cache[2, 0])


@pytest.mark.parametrize("env_axis", [0, 1])
def test_a_trajectory_of_many_envs_has_its_envs_on_either_axis(env_axis):
    env = Batched(Walk(), 5)
    first = env.reset(jax.random.PRNGKey(4))
    actions = jnp.ones((9, 5, 1)) * jnp.arange(5)[:, None]
    states = scanned(env, first, actions)
    if env_axis == 0:
        states = jax.tree.map(lambda x: x.swapaxes(0, 1), states)
        actions = actions.swapaxes(0, 1)
    recorded = rv.record(env, envs=[4], render="later")

    recorded.add(states, actions, initial=first, env_axis=env_axis)

    cache = recorded.cache
    assert [e.total_reward for e in cache.episodes] == [9 * (1 + i) for i in range(5)]
    assert cache.column("action")[0, :, 0].tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(
        cache[5, 4], picture(first.place[4, 0], 5, np.float32(20))
    )


def test_pieces_of_a_trajectory_continue_its_episodes():
    env = Walk()
    first = env.reset(jax.random.PRNGKey(4))
    actions = jnp.ones((20, 1))
    states = scanned(env, first, actions)
    recorded = rv.record(env)

    recorded.add([first])
    for part in (slice(0, 10), slice(10, 20)):
        piece = jax.tree.map(lambda x, part=part: x[part], states)
        recorded.add(piece, actions[part], continues=True)

    (episode,) = recorded.cache.episodes
    assert (episode.length, episode.total_reward) == (20, 40.0)


def test_a_first_state_with_a_reward_is_a_step_already():
    env = Walk()
    first = env.reset(jax.random.PRNGKey(4))
    recorded = rv.record(env, render="later")

    recorded.add(scanned(env, first, jnp.ones((5, 1))), jnp.ones((5, 1)))

    (episode,) = recorded.cache.episodes
    assert (episode.length, episode.total_reward) == (5, 10.0)
    expected = picture(start_of(4), 1, 1)
    np.testing.assert_array_equal(recorded.cache[0, 0], expected)


def autoreset(env, state, actions):
    """Return the states of a loop that resets ended envs in the same step."""

    def step(state, action):
        following = env.step(state, action)
        fresh = env.reset(following.key)
        over = following.done > 0
        mixed = jax.tree.map(lambda a, b: jnp.where(over, a, b), fresh, following)
        mixed = mixed._replace(reward=following.reward, done=following.done)
        return mixed, mixed

    return jax.lax.scan(step, state, actions)[1]


@pytest.mark.parametrize("render", ["now", "later"])
def test_a_loop_that_resets_in_the_same_step_has_no_last_picture(render):
    env = Walk(length=4)
    first = env.reset(jax.random.PRNGKey(4))
    states = autoreset(env, first, jnp.ones((10, 1)))
    recorded = rv.record(env, render=render)

    with pytest.raises(rv.ShapeError, match="autoreset='same_step'"):
        recorded.add(states, initial=first)
    assert recorded.cache.num_rows == 0
    recorded.add(states, initial=first, autoreset="same_step")

    cache = recorded.cache
    assert [e.length for e in cache.episodes] == [4, 4, 2]
    assert [e.total_reward for e in cache.episodes] == [8, 8, 4]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if render == "later":
            cache.render(progress=False)
    ends = [e.stop - 1 for e in cache.episodes[:2]]
    missing = [r for r in range(cache.num_rows) if not cache.has_picture(r, 0)]
    assert missing == ends
    np.testing.assert_array_equal(cache[5, 0], picture(start_of(4), 0, 0))
    assert np.isnan(cache.at(ends[0], 0)["obs"]).all()


def test_what_follows_an_end_is_left_out_or_a_reset():
    env = Walk(edge=3)
    first = env.reset(jax.random.PRNGKey(4))
    onward = scanned(env, first, jnp.ones((6, 1)))

    disabled = rv.record(env)
    disabled.add(onward, initial=first)
    reset = rv.record(env)
    reset.add(onward, initial=first, autoreset="next_step")

    assert [(e.length, e.terminated) for e in disabled.cache.episodes] == [(3, True)]
    assert disabled.cache.num_rows == 4
    assert [e.length for e in reset.cache.episodes] == [3, 1, 0]


def test_calls_of_the_recorded_environment_are_recorded():
    env = rv.record(Walk(length=3), render="later")
    state = env.reset(jax.random.PRNGKey(4))
    while not state.done:
        state = env.step(state, jnp.ones(1))
    env.reset(jax.random.PRNGKey(5))
    env.close()

    assert [e.length for e in env.cache.episodes] == [3, 0]
    np.testing.assert_array_equal(env.cache[2, 0], picture(start_of(4), 2, 2))
    with pytest.raises(rv.RenderError, match="was closed"):
        env.reset(jax.random.PRNGKey(5))


def test_calls_within_a_compiled_function_say_where_states_go():
    env = rv.record(Walk())
    with pytest.raises(rv.UnsupportedEnvError, match=r"hand the states .* to add"):
        jax.jit(env.reset)(jax.random.PRNGKey(0))


@pytest.mark.parametrize("seed", [0, 7, 2**31 + 5, 2**32 - 1])
def test_keys_of_many_seeds_are_those_of_each(seed):
    from rollout_viewer.sources.functional._compiled_loop import functions_of

    keys = functions_of(Walk(), [seed, 1]).keys

    np.testing.assert_array_equal(keys[0], jax.random.PRNGKey(seed))


# -- what is refused


def stacked(num_rows=4, **changes):
    env = Walk()
    first = env.reset(jax.random.PRNGKey(4))
    return scanned(env, first, jnp.ones((num_rows, 1)))._replace(**changes)


@pytest.mark.parametrize(
    ("states", "options", "text"),
    [
        ([], {}, "empty list"),
        (stacked, {"action": np.ones((3, 1))}, r"action of shape \(4,\)"),
        (lambda: stacked(done=np.zeros(3)), {}, r"done of shape \(4,\)"),
        (lambda: stacked(reward=np.zeros((4, 2, 2))), {}, r"\(T,\) or \(T, B\)"),
        (lambda: Walk().reset(jax.random.PRNGKey(0)), {}, r"\(T,\) or \(T, B\)"),
    ],
    ids=["none", "actions", "ends", "rewards", "one"],
)
def test_states_of_wrong_shapes_are_refused(states, options, text):
    recorded = rv.record(Walk())
    with pytest.raises(rv.ShapeError, match=text):
        recorded.add(states() if callable(states) else states, **options)
    assert recorded.cache.num_rows == 0


def test_states_of_another_batch_are_refused():
    env = Batched(Walk(), 5)
    states = [env.reset(jax.random.PRNGKey(0))]
    recorded = rv.record(env)
    recorded.add(states)
    with pytest.raises(rv.ShapeError, match="states of 5 envs"):
        recorded.add([Walk().reset(jax.random.PRNGKey(0))])
    with pytest.raises(rv.ShapeError, match=r"0\.\.4"):
        rv.record(env, envs=[7]).add(states)


class Shy(Walk):
    def render(self, states, height=0, width=0, camera=None):
        return [np.zeros((4, 4, 3), np.uint8)]


class Closed(Walk):
    def render(self, states, height=0, width=0, camera=None):
        raise RuntimeError("render cannot be called after close.")


class Tuples(Walk):
    def reset(self, rng):
        return super().reset(rng), 1


def test_what_is_no_such_environment_is_refused():
    with pytest.raises(rv.RenderError, match="with render"):
        rv.record(types.SimpleNamespace(reset=Walk().reset, step=Walk().step))
    with pytest.raises(rv.UnsupportedEnvError, match="got tuple"):
        rv.rollout(Tuples(), policy=ahead, max_steps=3)
    with pytest.raises(rv.UnsupportedEnvError, match="reward and done"):
        rv.record(Walk()).add([1.0, 2.0])


def test_collecting_as_from_another_library_says_what_to_do():
    with pytest.raises(rv.UnsupportedEnvError, match="rv.rollout"):
        rv.collect(Walk, episodes=2, backend="serial", progress=False)


def test_what_gives_no_pictures_is_refused_at_the_first():
    with pytest.raises(rv.RenderError, match="after close"):
        rv.rollout(Closed(), policy=ahead, max_steps=3, seed=0)
    with pytest.raises(rv.RenderError, match="1 pictures"):
        rv.rollout(Shy(), policy=ahead, max_steps=3, seed=range(2))


def test_a_recorder_with_a_reader_of_too_little_gets_no_picture():
    from rollout_viewer._replay.kept_states import pictures_of, template_of

    template = template_of(Walk().reset(jax.random.PRNGKey(0)), None)
    with pytest.raises(rv.RenderError, match="'place'"):
        pictures_of(Walk(), template, [{"steps": np.array(1, np.int32)}])
    assert pickle.loads(pickle.dumps(template)) == template
