"""SB3 environments recorded row by row, and models evaluated while they learn."""

import json
import os

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv, read_count


def counting(env=0, length=3):
    return CountingEnv(lengths=[length], env=env)


def cartpole():
    # A pole that is never pushed right may be up for 500 pictures.
    return gym.make("CartPole-v1", render_mode="rgb_array", max_episode_steps=40)


def test_a_call_that_ends_an_episode_gives_two_rows():
    env = rv.record(DummyVecEnv([lambda: counting(0, 2), lambda: counting(1, 3)]))

    env.seed(7)
    env.reset()
    for _ in range(3):
        env.step(np.zeros(2, np.int64))

    scalars = env.cache.scalars
    assert scalars["kind"].T.tolist() == [
        ["reset", "step", "terminal_missing", "reset", "step", "idle"],
        ["reset", "step", "step", "idle", "terminal_missing", "reset"],
    ]
    assert scalars["terminated"].T.tolist() == [
        [False, False, True, False, False, False],
        [False, False, False, False, True, False],
    ]
    assert [(e.env, e.length, e.seed) for e in env.cache.episodes[:2]] == [
        (0, 2, 7),
        (1, 3, 8),
    ]
    assert read_count(env.cache[1, 0]) == (1, 0)
    assert not env.cache.has_picture(2, 0)
    assert env.cache.at(0, 1).action == 0


def forked(makers):
    """Return an env of processes that do not each import torch first."""
    method = "fork" if hasattr(os, "fork") else None
    return SubprocVecEnv(makers, start_method=method)


@pytest.mark.parametrize("kind", [DummyVecEnv, forked])
def test_rollout_takes_a_model_and_any_vec_env(kind):
    env = kind([cartpole] * 2)
    model = PPO("MlpPolicy", "CartPole-v1", device="cpu", seed=0)

    cache = rv.rollout(
        env, policy=model, episodes=3, seed=0, deterministic=True, progress=False
    )

    env.close()
    ended = [episode for episode in cache.episodes if episode.is_finished]
    assert len(ended) >= 3
    assert [episode.seed for episode in cache.episodes[:2]] == [0, 1]
    assert all(episode.total_reward == episode.length for episode in ended)
    assert cache.at(1, 0).obs.shape == (4,)
    assert cache.fps == 50
    assert cache.metadata["env_id"] == "CartPole-v1"


def test_random_actions_are_the_seeds():
    actions = []
    for _ in range(2):
        cache = rv.rollout(
            DummyVecEnv([cartpole] * 2), max_steps=20, seed=3, progress=False
        )
        actions.append(cache.column("action", 0, 20).tolist())

    assert actions[0] == actions[1]


def test_several_seeds_are_refused():
    env = DummyVecEnv([cartpole] * 2)

    with pytest.raises(ValueError, match="one seed"):
        rv.rollout(env, seed=[1, 2], max_steps=2, progress=False)


def test_an_env_without_pictures_is_refused():
    with pytest.raises(rv.RenderError, match="rgb_array"):
        rv.record(DummyVecEnv([lambda: gym.make("CartPole-v1")]))


def test_a_closed_env_is_not_rolled_out():
    env = rv.record(DummyVecEnv([cartpole]))
    env.close()

    with pytest.raises(rv.RenderError, match="closed"):
        rv.rollout(env, max_steps=2, progress=False)


def test_truncation_is_told_from_termination():
    venv = make_vec_env(
        lambda: gym.wrappers.TimeLimit(counting(length=50), max_episode_steps=4), 1
    )
    venv.render_mode = "rgb_array"

    cache = rv.rollout(venv, max_steps=9, progress=False)

    assert cache.scalars["truncated"].sum() == 2
    assert not cache.scalars["terminated"].any()
    assert cache.episodes[0].length == 4


def test_a_recorder_that_is_forgotten_writes_its_video(tmp_path):
    env = rv.VecVideoRecorder(
        DummyVecEnv([counting]), str(tmp_path), lambda step: step == 0, 50
    )
    env.reset()
    env.step(np.zeros(1, np.int64))

    env._videos.finish()

    assert [path.name for path in tmp_path.glob("*.mp4")] == [
        "rl-video-step-0-to-step-50.mp4"
    ]


def test_a_second_run_overwrites_nothing_unless_told(tmp_path):
    for overwrite in (False, False, True):
        env = rv.VecVideoRecorder(
            DummyVecEnv([counting]),
            str(tmp_path),
            lambda step: step == 0,
            2,
            overwrite=overwrite,
        )
        env.reset()
        for _ in range(3):
            env.step(np.zeros(1, np.int64))
        env.close()

    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == [
        "rl-video-step-0-to-step-2-1.mp4",
        "rl-video-step-0-to-step-2.mp4",
    ]


def test_each_evaluation_is_a_segment_of_one_recording():
    watch = rv.RolloutViewerCallback(cartpole(), every=128, episodes=2, seed=5)
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu", seed=0)

    model.learn(256, callback=watch)

    finished = [e for e in watch.cache.episodes if e.is_finished]
    steps = [episode.labels["train_step"] for episode in finished]
    assert steps == [0, 0, 128, 128, 256, 256]
    assert {episode.segment for episode in finished} == {"eval"}
    assert finished[0].seed == 5
    assert model.logger.name_to_value is not None


def test_a_normalized_evaluation_follows_the_trainings_statistics():
    training = VecNormalize(make_vec_env("CartPole-v1", 2))
    watched = VecNormalize(DummyVecEnv([cartpole]), training=False, norm_reward=False)
    watch = rv.RolloutViewerCallback(watched, every=64, episodes=1)
    model = PPO("MlpPolicy", training, n_steps=32, batch_size=32, device="cpu")

    model.learn(128, callback=watch)

    ours, theirs = (vars(env.obs_rms)["mean"] for env in (watched, training))
    np.testing.assert_array_equal(ours, theirs)
    assert watch.cache.num_rows > 3


def test_a_callback_that_cannot_work_is_refused():
    with pytest.raises(ValueError, match="every to be 1 or more"):
        rv.RolloutViewerCallback(cartpole(), every=0)
    with pytest.raises(rv.RenderError, match="rgb_array"):
        rv.RolloutViewerCallback(gym.make("CartPole-v1"))


def test_evaluations_leave_no_episode_without_a_step(tmp_path):
    from stable_baselines3.common.evaluation import evaluate_policy

    env = rv.record(DummyVecEnv([cartpole]), cache=tmp_path / "run.rollout")
    model = PPO("MlpPolicy", cartpole(), n_steps=8, batch_size=8, seed=0)

    for _ in range(2):
        evaluate_policy(model, env, n_eval_episodes=2, warn=False)
    *ended, newest = env.cache.episodes
    env.close()
    env.cache.close()

    # The third began at SB3's reset after the second one's end.
    assert [episode.index for episode in ended] == [0, 1, 3, 4]
    assert (newest.index, newest.length) == (5, 0)
    assert env.cache.episodes == ended
    with rv.open(tmp_path / "run.rollout") as cache:
        assert cache.episodes == ended
        table = cache.clip().table()
        assert cache.at(ended[2].start - 1, 0).episode == 2
    assert sum(table["terminated"] | table["truncated"]) == 4


def test_a_video_of_an_evaluation_has_no_episode_without_a_step(tmp_path):
    from stable_baselines3.common.evaluation import evaluate_policy

    env = rv.VecVideoRecorder(
        DummyVecEnv([cartpole]), str(tmp_path), lambda n: n == 0, 10_000
    )
    model = PPO("MlpPolicy", cartpole(), n_steps=8, batch_size=8, seed=0)

    evaluate_policy(model, env, n_eval_episodes=3, warn=False)
    env.close()

    (path,) = tmp_path.glob("*.json")
    lengths = [one["length"] for one in json.loads(path.read_text())["episodes"]]
    assert len(lengths) >= 3
    assert min(lengths) > 0
