"""RolloutViewerCallback's numbers are those of SB3's own evaluation, at its steps."""

import csv
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.logger import configure
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecFrameStack, VecNormalize

import rollout_viewer as rv


class Walk(gym.Env):
    """Episodes of `length` steps, each with this reward."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"
    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length=4, reward=1.0):
        self.length, self.reward, self.num_steps = length, reward, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.num_steps = 0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.num_steps += 1
        is_end = self.num_steps == self.length
        info = {"is_success": self.length > 4} if is_end else {}
        return np.ones(2, np.float32), self.reward, is_end, False, info

    def render(self):
        return np.full((8, 8, 3), self.num_steps, np.uint8)


class Lives(gym.Wrapper[Any, Any, Any, Any]):
    """Ends an episode with each lost life, as Atari's `EpisodicLifeEnv` does."""

    def __init__(self, env):
        super().__init__(env)
        self.is_over = True

    def reset(self, **options):
        if self.is_over:
            return self.env.reset(**options)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        obs, reward, self.is_over, truncated, info = self.env.step(action)
        walk: Any = self.env.unwrapped
        is_lost = walk.num_steps % 3 == 0
        return obs, np.sign(float(reward)), self.is_over or is_lost, truncated, info


def vec(*lengths, reward=1.0, wrap=lambda env: env):
    def maker(length):
        return lambda: wrap(Walk(length, reward))

    return DummyVecEnv([maker(length) for length in lengths])


def model_of(env):
    return PPO("MlpPolicy", env, n_steps=8, batch_size=8, n_epochs=1, device="cpu")


def learn(model, folder, num_steps, callback):
    """Return the rows of SB3's log."""
    model.set_logger(configure(str(folder), ["csv"]))
    try:
        model.learn(num_steps, callback=callback)
    finally:
        model.logger.close()
    with (folder / "progress.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: float(v) for name, v in row.items() if v} for row in rows]


def evaluated(folder, env, training=None, **options):
    """Return the callback after one evaluation, what it logged, and the model."""
    model = model_of(vec(4) if training is None else training)
    watch = rv.RolloutViewerCallback(env, every=100, **options)
    return watch, learn(model, folder, 8, watch)[0], model


@pytest.mark.parametrize("num_episodes", [1, 3, 4, 6])
def test_the_means_are_those_of_evaluate_policy(tmp_path, num_episodes):
    lengths = (5, 50, 50, 50)

    watch, log, model = evaluated(tmp_path, vec(*lengths), episodes=num_episodes)

    returns, sizes = evaluate_policy(
        model,
        vec(*lengths),
        num_episodes,
        return_episode_rewards=True,
        warn=False,
    )
    assert log["eval/mean_reward"] == np.mean(returns)
    assert log["eval/mean_ep_length"] == np.mean(sizes)
    assert log["eval/success_rate"] == 1
    if num_episodes == 4:
        assert log["eval/mean_reward"] == 38.75
    episodes = watch.cache.episodes
    assert all(episode.is_finished for episode in episodes)
    assert sorted(e.length for e in episodes) == sorted(sizes)


def test_returns_are_those_before_normalization(tmp_path):
    training = VecNormalize(vec(5, reward=4.0))
    training.ret_rms.var = np.array(100.0)
    env = VecNormalize(vec(5, reward=4.0), training=False)

    watch, log, _ = evaluated(tmp_path, env, training, episodes=2)

    assert log["eval/mean_reward"] == 20
    assert [e.total_reward for e in watch.cache.episodes] == [20, 20]


def test_recorded_rewards_are_those_before_normalization():
    env = VecNormalize(vec(5, reward=4.0))

    cache = rv.rollout(env, episodes=2, progress=False)

    assert [e.total_reward for e in cache.episodes] == [20, 20]


def test_a_monitors_returns_and_ends_take_precedence(tmp_path):
    def make():
        return vec(7, 9, reward=5.0, wrap=lambda env: Lives(Monitor(env)))

    _, log, model = evaluated(tmp_path, make(), episodes=3)

    assert log["eval/mean_reward"] == evaluate_policy(model, make(), 3)[0]
    assert log["eval/mean_reward"] == pytest.approx((35 + 45 + 45) / 3)


def test_statistics_are_found_within_other_wrappers(tmp_path):
    training = VecFrameStack(VecNormalize(vec(5)), 2)
    normalized = VecNormalize(vec(5), training=False)

    evaluated(tmp_path, VecFrameStack(normalized, 2), training, episodes=1)

    assert vars(normalized.obs_rms)["count"] > 1


def test_an_evaluation_without_the_trainings_normalization_is_reported(tmp_path):
    with pytest.warns(rv.RolloutViewerWarning, match="VecNormalize"):
        evaluated(tmp_path, vec(5), VecNormalize(vec(5)), episodes=1)


def test_each_evaluation_is_logged_at_its_step(tmp_path):
    watch = rv.RolloutViewerCallback(vec(4), every=4, episodes=1)

    log = learn(model_of(vec(4)), tmp_path, 32, watch)

    rows = [row for row in log if "eval/mean_reward" in row]
    assert [row["time/total_timesteps"] for row in rows] == list(range(0, 33, 4))


def test_beside_others_its_names_are_its_own(tmp_path):
    first, second = (
        rv.RolloutViewerCallback(vec(length), every=16, episodes=1) for length in (6, 7)
    )
    theirs = EvalCallback(vec(5), eval_freq=8, n_eval_episodes=1, warn=False, verbose=0)

    log = learn(model_of(vec(4)), tmp_path, 16, [first, theirs, second])

    means = {}
    for row in log:
        means.update({k: v for k, v in row.items() if k.endswith("mean_reward")})
    assert means == {
        "eval/mean_reward": 5,
        "rollout_viewer/mean_reward": 6,
        "rollout_viewer_2/mean_reward": 7,
    }


def test_a_logger_gets_each_evaluation(tmp_path):
    logger = rv.CSVLogger("runs", str(tmp_path), video_format="mp4")

    evaluated(tmp_path / "sb3", vec(4), episodes=1, logger=logger)

    assert [path.name for path in tmp_path.rglob("*.mp4")] == ["eval_0.mp4"]


class Broken(rv.CSVLogger):
    def log_video(self, *args, **options):
        raise OSError("disk full")


def test_a_logger_that_fails_does_not_end_the_training(tmp_path):
    logger = Broken("runs", str(tmp_path), video_format="mp4")

    with pytest.warns(rv.RolloutViewerWarning, match="disk full"):
        watch, log, _ = evaluated(tmp_path, vec(4), episodes=1, logger=logger)

    assert log["eval/mean_reward"] == 4
    assert len(watch.cache.episodes) == 1


def test_without_a_logger_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    evaluated(tmp_path / "sb3", vec(4), episodes=1)

    assert [path.name for path in tmp_path.iterdir()] == ["sb3"]


@pytest.mark.parametrize(
    "make_env",
    [
        lambda: "Acrobot-v1",
        lambda: None,
        lambda: lambda: gym.make("CartPole-v1"),
        lambda: gym.make_vec("CartPole-v1", num_envs=2, render_mode="rgb_array"),
    ],
)
def test_what_is_no_environment_of_its_kind_is_refused(make_env):
    with pytest.raises(TypeError, match=r"expected eval_env .*make_vec_env\('") as no:
        rv.RolloutViewerCallback(make_env())

    assert isinstance(no.value, rv.UnsupportedEnvError)
    if make_env() == "Acrobot-v1":
        assert "make_vec_env('Acrobot-v1'" in str(no.value)
