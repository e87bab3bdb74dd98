"""Vector environments that step all envs at once, rendered later."""

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from tests.test_render_later import assert_same_pictures


def make_vec(mode=None, name="CartPole-v1", **options):
    if mode is not None:
        options["render_mode"] = mode
    return gymnasium.make_vec(
        name, num_envs=5, vectorization_mode="vector_entry_point", **options
    )


def play(envs, steps=60, *, options=None, restart=40, **record):
    """Return the recording of random actions, with ends of all envs."""
    env = rv.record(envs, **record)
    env.action_space.seed(1)
    env.reset(seed=3, options=options)
    for step in range(1, steps + 1):
        env.step(env.action_space.sample())
        if step == restart:
            env.reset()
    env.close()
    return env.cache


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_episode_steps": 9, "sutton_barto_reward": True},
    ],
    ids=str,
)
def test_each_episode_is_replayed_alone_and_exact(options):
    now = play(make_vec("rgb_array", **options))
    later = play(make_vec(**options), render="later")
    assert len(now.episodes) > 10

    # the newest first: nothing is known of the others then
    newest = later.episodes[-1]
    rendered = later.render(range(newest.start, newest.stop), [newest.env])
    assert rendered == newest.stop - newest.start
    later.render(progress=False)

    assert_same_pictures(later, now)
    assert all(later.has_picture(r, e) for r in range(62) for e in range(5))


def test_a_file_has_all_that_a_replay_needs(tmp_path):
    path = tmp_path / "a.rollout"
    options = {"low": -0.01, "high": 0.2}
    now = play(make_vec("rgb_array"), options=options)
    play(make_vec(), render="later", cache=path, options=options)

    with rv.open(path, render=True) as cache:
        cache.render(progress=False)
        assert_same_pictures(cache, now)


def test_chosen_episodes_are_rendered_when_they_have_ended():
    cache = play(make_vec(), render="later", every=2)

    for episode in cache.episodes:
        rows = [
            row
            for row in range(episode.start, episode.stop)
            if cache.at(row, episode.env).kind != "idle"
        ]
        assert all(cache.has_picture(row, episode.env) for row in rows)


def test_a_state_that_is_another_gives_no_picture(tmp_path):
    cache = play(make_vec(), 5, render="later")
    starts = cache.recording._late.starts
    starts[0, 0], starts[1, 0] = starts[1, 0], starts[0, 0]

    with pytest.warns(rv.RolloutViewerWarning, match="env 0 from row 0 on"):
        cache.render(progress=False)

    assert not cache.is_shown(0, 0)
    assert not cache.is_shown(3, 1)
    assert cache.is_shown(3, 2)


class Other(gymnasium.vector.VectorEnv):
    """One that may render, of which nothing else is known."""

    num_envs = 2
    metadata = {"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP}
    single_action_space = gymnasium.spaces.Discrete(2)
    single_observation_space = gymnasium.spaces.Discrete(2)
    action_space = observation_space = gymnasium.spaces.MultiDiscrete([2, 2])

    def render(self):
        return [np.zeros((8, 8, 3), np.uint8)] * 2


def test_others_are_refused_with_the_reason(tmp_path):
    pytest.importorskip("ale_py", reason="the arcade's vector environment")
    path = tmp_path / "a.rollout"
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(make_vec())
    cases = [
        (Other(), "replayed alone"),
        (wrapped, "in a wrapper"),
        (make_vec(name="ALE/Pong-v5"), "cannot render"),
    ]
    for envs, reason in cases:
        with pytest.raises(rv.UnsupportedEnvError, match=reason):
            rv.record(envs, render="later", cache=path)
    with pytest.raises(rv.UnsupportedEnvError, match="Leave it out"):
        rv.record(make_vec(), render="later", cache=path, make_env=make_vec)
    assert not path.exists()


@pytest.mark.jax
def test_jax_environments_that_draw_one_env_only_are_refused():
    pytest.importorskip("jax", reason="Gymnasium's functional environments")
    with pytest.raises(rv.UnsupportedEnvError, match="replayed alone"):
        rv.record(make_vec(name="phys2d/CartPole-v1"), render="later")
