"""MuJoCo's free camera, which an environment's first picture of all decides."""

import itertools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._errors import RecordingError
from rollout_viewer._replay.episode_start import (
    EpisodeStart,
    as_first,
    first_of,
    pack_start,
    unpack_start,
)

pytest.importorskip("mujoco", reason="the extra gymnasium[mujoco] is not installed")

EPISODE_STEPS = 4


def make():
    """Return one that begins elsewhere each time, and has no camera of its own."""
    size = {"width": 48, "height": 48}
    options = {"max_episode_steps": EPISODE_STEPS, "render_mode": "rgb_array"}
    return gymnasium.make("Reacher-v5", **options, **size)


def play(env, num_episodes=3, seed=3, **reset):
    env.action_space.seed(0)
    for episode in range(num_episodes):
        env.reset(seed=seed if episode == 0 else None, **reset)
        for _ in range(EPISODE_STEPS):
            env.step(env.action_space.sample())
    env.recorder.finish()
    return env.cache


def assert_same_pictures(later, now):
    assert later.num_rows == now.num_rows > 0
    for row, env in itertools.product(range(now.num_rows), range(now.num_envs)):
        if now.has_picture(row, env):
            np.testing.assert_array_equal(later[row, env], now[row, env])


def is_later(episode):
    return episode.index >= 1


def test_a_first_episode_that_is_left_out_decides_all_the_same():
    now, later = (
        play(rv.record(make(), render=render, keep_episode=is_later))
        for render in ("now", "later")
    )

    assert_same_pictures(later, now)


@pytest.mark.parametrize("kind", [SyncVectorEnv, AsyncVectorEnv])
def test_the_same_of_a_batch(kind):
    def play_batch(render, kind=SyncVectorEnv):
        envs = kind([make] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
        env = rv.record(envs, render=render, keep_episode=is_later)
        cache = play(env, 1)
        for _ in range(2 * EPISODE_STEPS):
            env.step(env.action_space.sample())
        env.recorder.finish()
        return env, cache

    (now_env, now), (later_env, later) = play_batch("now"), play_batch("later", kind)

    assert_same_pictures(later, now)
    now_env.close()
    later_env.close()


@pytest.mark.parametrize("is_same", [True, False], ids=["same", "another"])
def test_each_environment_of_a_cache_is_seen_by_its_own_camera(is_same):
    caches = []
    for render in ("now", "later"):
        cache, envs = rv.FrameCache(), [make(), make()]
        for number in range(2):
            env = envs[0 if is_same else number]
            options = {"cache": cache, "render": render, "progress": False}
            rv.rollout(env, max_steps=6, seed=5 + number, **options)
        caches.append(cache)

    now, later = caches
    # In an order in which one process serves both.
    for row in (now.num_rows - 1, 0, now.num_rows - 2, 1):
        np.testing.assert_array_equal(later[row, 0], now[row, 0])
    assert_same_pictures(later, now)


def test_no_picture_is_made_where_the_first_reset_cannot_be_repeated():
    env = rv.record(make(), render="later", keep_episode=is_later)
    env.reset(seed=3, options={"what": object()})
    env.step(env.action_space.sample())

    with pytest.warns(rv.RolloutViewerWarning, match="first reset"):
        cache = play(env, 1)

    assert cache.num_rows
    assert not cache.has_picture(0, 0)
    assert cache.render(progress=False) == 0


def test_a_file_of_before_is_rendered_as_it_was(monkeypatch):
    from rollout_viewer.sources.gymnasium import _later

    now = play(rv.record(make()))
    monkeypatch.setattr(_later, "with_first", lambda start, env: start)

    later = play(rv.record(make(), render="later"))

    assert_same_pictures(later, now)
    start = unpack_start(later.recording.start_of(0, 1))
    assert start.first is None


def test_what_is_said_of_first_starts_is_read_again():
    first = EpisodeStart(2, {}, 7, {"a": 1})
    start = EpisodeStart(2, {"np_random": {}}, first=as_first(first))

    assert first_of(unpack_start(pack_start(start))) == first
    own = unpack_start(pack_start(first._replace(first={})))
    assert first_of(own) == first
    for wrong in ({"recipe": 3}, {"seed": "x"}, {"state": 1}, {"nothing": 0}, 5):
        with pytest.raises(RecordingError, match="damaged"):
            unpack_start(pack_start(start._replace(first=wrong)))
