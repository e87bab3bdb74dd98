"""What Gymnasium's loops, SB3 and TorchRL evaluate is compared from its recordings."""

import itertools

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import RecordEpisodeStatistics

import rollout_viewer as rv

from_recordings = rv.EvaluationResult.from_recordings


def make_pole():
    return gym.make("CartPole-v1", render_mode="rgb_array", max_episode_steps=12)


def left(observation):
    return 0


def lean(observation):
    return int(observation[2] > 0)


def test_a_loop_of_gymnasium_with_its_own_statistics(tmp_path):
    """RecordEpisodeStatistics, as Gymnasium's tutorials on evaluation have it."""
    recorded = rv.record(make_pole(), cache=tmp_path / "loop.rollout")
    env = RecordEpisodeStatistics(recorded)
    returns: dict[str, list[float]] = {}
    for name, policy in (("left", left), ("leans", lean)):
        with recorded.cache.segment(name):
            for seed in range(4):
                observation, _ = env.reset(seed=seed)
                is_over = False
                while not is_over:
                    observation, *_, terminated, truncated, info = env.step(
                        policy(observation)
                    )
                    is_over = terminated or truncated
                returns.setdefault(name, []).append(info["episode"]["r"])
    env.close()

    result = from_recordings(recorded)

    for line in result.table.lines():
        assert line["return_mean"] == np.mean(returns[line["policy"]])
    assert result.paired["return"].tolist() == returns["leans"]
    assert result.paired["return_against"].tolist() == returns["left"]
    assert repr(from_recordings(tmp_path / "loop.rollout").table) == repr(result.table)


def test_folders_of_videos_of_gymnasium_are_compared(tmp_path):
    for name, policy in (("left", left), ("leans", lean)):
        env = rv.RecordVideo(make_pole(), str(tmp_path / name), lambda _: True)
        for seed in range(3):
            observation, _ = env.reset(seed=seed)
            is_over = False
            while not is_over:
                observation, *_, terminated, truncated, _ = env.step(
                    policy(observation)
                )
                is_over = terminated or truncated
        env.close()
    files = {one.parent.name: one for one in tmp_path.rglob("*.rollout")}

    result = from_recordings({name: files[name] for name in ("left", "leans")})

    assert result.paired["seed"].tolist() == [0, 1, 2]
    assert result.paired["winner"].tolist() == ["leans"] * 3


# -- Stable-Baselines3


@pytest.fixture
def sb3():
    return pytest.importorskip("stable_baselines3", reason="the extra `sb3`")


def model_of(sb3):
    return sb3.PPO(
        "MlpPolicy", "CartPole-v1", n_steps=16, batch_size=16, n_epochs=1, device="cpu"
    )


@pytest.mark.filterwarnings("ignore:Training and eval env are not of the same type")
def test_what_an_eval_callback_evaluates(sb3, tmp_path):
    from stable_baselines3.common.callbacks import EvalCallback
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    venv = rv.record(DummyVecEnv([lambda: Monitor(make_pole())]))
    callback = EvalCallback(
        venv, eval_freq=16, n_eval_episodes=3, verbose=0, log_path=str(tmp_path)
    )
    model_of(sb3).learn(32, callback=callback)

    result = from_recordings(venv)

    returns = [one.total_reward for one in result.lines[0].episodes]
    assert returns == np.ravel(callback.evaluations_results).tolist()
    assert len(returns) == 6


def test_evaluate_policy_of_sb3_on_the_same_seeds(sb3):
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import DummyVecEnv

    venv = rv.record(DummyVecEnv([make_pole] * 3))
    means = {}
    for name, number in (("first", 1), ("second", 2)):
        model = model_of(sb3)
        model.set_random_seed(number)
        with venv.cache.segment(name):
            venv.seed(7)
            means[name] = evaluate_policy(model, venv, 3, warn=False)[0]

    result = from_recordings(venv)

    assert dict(
        zip(result.table["policy"], result.table["return_mean"], strict=True)
    ) == (pytest.approx(means))
    assert result.paired["seed"].tolist() == [7, 8, 9]


def test_the_evaluations_of_a_training_run_are_compared(sb3):
    watch = rv.RolloutViewerCallback(make_pole(), every=16, episodes=1, seed=3)
    model_of(sb3).learn(32, callback=watch)

    result = from_recordings(watch, by="train_step")

    names = [f"train_step {step}" for step in (0, 16, 32)]
    assert result.table["policy"].tolist() == names
    assert result.paired["seed"].tolist() == [3, 3]


# -- TorchRL


@pytest.mark.filterwarnings("ignore::FutureWarning:torchrl")
def test_an_evaluator_of_torchrl_is_given_its_next_seed_by_on_result():
    torchrl = pytest.importorskip("torchrl.collectors", reason="the extra `torchrl`")
    from tensordict.nn import TensorDictModule
    from torchrl.envs import GymEnv, StepCounter, TransformedEnv

    base = GymEnv(
        "CartPole-v1", render_mode="rgb_array", categorical_action_encoding=True
    )
    env = rv.record(TransformedEnv(base, StepCounter(max_steps=12)))
    rewards: dict[str, list[float]] = {"left": [], "leans": []}
    for name, direction in (("left", 0.0), ("leans", 1.0)):
        policy = TensorDictModule(
            lambda obs, direction=direction: (obs[..., 2] * direction > 0).long(),
            in_keys=["observation"],
            out_keys=["action"],
        )
        seeds = itertools.count()

        def on_result(result, name=name, seeds=seeds):
            rewards[name].append(float(result["eval/reward"]))
            env.set_seed(next(seeds))

        evaluator = torchrl.Evaluator(
            env,
            policy,
            num_trajectories=1,
            max_steps=20,
            frames_per_batch=1,
            on_result=on_result,
        )
        with env.cache.segment(name):
            for step in range(4):  # the first without a seed
                evaluator.evaluate(step=step)
        evaluator.shutdown()

    paired = from_recordings(env).paired

    assert paired["seed"].tolist() == [0, 1, 2]
    assert paired["return"].tolist() == rewards["leans"][1:]
    assert paired["return_against"].tolist() == rewards["left"][1:]
