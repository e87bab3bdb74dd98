"""Rewards of every form that environments return, in every recorder of single envs."""

import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import Kind


class Rewarding(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"
    observation_space, action_space = gym.spaces.Discrete(9), gym.spaces.Discrete(2)

    def __init__(self, reward):
        self.reward = reward

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        return 0, self.reward, False, False, {}

    def render(self):
        return np.full((8, 8, 3), 200, np.uint8)


class Bare:
    """An environment without a framework."""

    def __init__(self, reward):
        self.env = Rewarding(reward)
        self.reset, self.step, self.render = (
            self.env.reset,
            self.env.step,
            self.env.render,
        )


def record(reward, folder):
    return rv.record(Rewarding(reward))


def record_bare(reward, folder):
    return rv.record(Bare(reward))


def record_video(reward, folder):
    return rv.RecordVideo(Rewarding(reward), str(folder), lambda _: True)


def record_later(reward, folder):
    """A video from the second step on: the first is counted only."""
    trigger = (1).__eq__
    return rv.RecordVideo(Rewarding(reward), str(folder), None, trigger)


RECORDERS = [record, record_bare, record_video, record_later]


@pytest.mark.parametrize("make", RECORDERS)
@pytest.mark.parametrize(
    "reward",
    [
        2,
        2.0,
        np.float32(2),
        np.array(2),
        np.array([2.0]),
        np.array([[2.0]]),
        torch.tensor(2.0),
        torch.tensor([2.0], requires_grad=True),
        [2.0],
    ],
    ids=repr,
)
def test_a_number_in_any_form_is_the_reward(make, reward, tmp_path):
    env = make(reward, tmp_path)
    env.reset()

    given = [env.step(0)[1] for _ in range(2)]

    assert all(one is reward for one in given)
    assert [e.total_reward for e in env.cache.episodes] == [4.0]


@pytest.mark.parametrize("make", RECORDERS)
@pytest.mark.parametrize("as_array", [np.array, torch.tensor, list])
def test_of_several_objectives_the_sum_is_the_reward(make, as_array, tmp_path):
    env = make(as_array([1.0, -3.0, 5.0]), tmp_path)
    env.reset()
    for _ in range(2):
        env.step(0)

    (episode,) = env.cache.episodes
    moment = env.cache.at(-1, 0)
    assert episode.total_reward == 6.0
    assert moment["reward"] == (6.0 if make is record_later else 3.0)
    np.testing.assert_array_equal(moment["vector_reward"], [1, -3, 5])


def test_objectives_are_kept_where_the_picture_is_none():
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    recorder = Recorder(1)
    recorder.add([Kind.RESET], lambda: picture)
    with pytest.warns(rv.RolloutViewerWarning, match="picture"):
        recorder.add([Kind.STEP], lambda: "none", reward=np.array([[1.0, 2.0]]))

    np.testing.assert_array_equal(recorder.cache.at(1, 0)["vector_reward"], [1, 2])


def test_objectives_of_skipped_steps_are_summed():
    env = rv.record(Rewarding(np.array([1.0, 2.0])), skip=3)
    env.reset()
    for _ in range(3):
        env.step(0)

    moment = env.cache.at(-1, 0)
    assert moment["reward"] == 9.0
    np.testing.assert_array_equal(moment["vector_reward"], [3, 6])


@pytest.mark.parametrize("skip", [1, 2])
def test_weights_of_objectives_are_in_the_reward(skip):
    options = {"skip": skip, "reward_weights": (0.5, 2.0)}
    cache = rewards_of(*map(np.array, [[2.0, 1.0], [4.0, -1.0]]), **options)

    (episode,) = cache.episodes
    assert episode.total_reward == (1 + 2) + (2 - 2)
    assert cache.metadata["reward_weights"] == [0.5, 2.0]
    last = [4, -1] if skip == 1 else [6, 0]
    np.testing.assert_array_equal(cache.at(-1, 0)["vector_reward"], last)


def test_weights_are_those_of_each_env_and_of_copies():
    venv = TwoObjectives([lambda: Rewarding(1.0), lambda: Rewarding(10.0)])
    env = rv.record(venv, reward_weights=[1, -1])
    copied = pickle.loads(pickle.dumps(env.recorder))
    env.reset()
    env.step(np.zeros(2, int))
    copied.add([Kind.RESET] * 2, lambda: np.zeros((2, 8, 8, 3), np.uint8))
    rewards = np.array([[1.0, 2.0], [3.0, 5.0]])
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    copied.add([Kind.STEP] * 2, lambda: frames, reward=rewards)

    assert [env.cache.at(-1, n)["reward"] for n in range(2)] == [-1, -10]
    assert [copied.cache.at(-1, n)["reward"] for n in range(2)] == [-1, -2]
    env.close()


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="expected reward_weights to be two or more"):
        rv.record(Rewarding(1.0), reward_weights=[1.0])
    env = rv.record(Rewarding(np.ones(3)), reward_weights=[1.0, 1.0])
    env.reset()
    with pytest.raises(rv.ShapeError, match="of 2 objectives, .*, got 3"):
        env.step(0)
    later = rv.record(Rewarding("x"), reward_weights=[1.0, 1.0])
    later.reset()
    with pytest.warns(rv.RolloutViewerWarning, match="recorded as NaN"):
        later.step(0)


@pytest.mark.parametrize("make", RECORDERS)
@pytest.mark.parametrize("reward", ["x", {"a": 1}, [[1], [1, 2]]], ids=repr)
def test_what_is_no_number_is_nan_and_the_run_continues(make, reward, tmp_path):
    env = make(reward, tmp_path)
    env.reset()

    with pytest.warns(rv.RolloutViewerWarning, match="recorded as NaN") as warned:
        for _ in range(3):
            env.step(0)

    assert len(warned) == 1
    assert np.isnan(env.cache.at(-1, 0)["reward"])


@pytest.mark.filterwarnings("ignore:.*precision lowered by casting")
@pytest.mark.parametrize("is_video", [False, True])
def test_mo_gymnasiums_rewards_are_vectors(is_video, tmp_path):
    mo_gymnasium = pytest.importorskip("mo_gymnasium")
    inner = mo_gymnasium.make("deep-sea-treasure-v0", render_mode="rgb_array")
    weighted = rv.record(inner, reward_weights=[0.25, 4])
    weighted.reset(seed=0)
    reward = weighted.step(3)[1]
    assert weighted.cache.at(-1, 0)["reward"] == 0.25 * reward[0] + 4 * reward[1]
    env = (
        rv.RecordVideo(inner, str(tmp_path), lambda _: True)
        if is_video
        else rv.record(inner)
    )
    env.reset(seed=0)
    rewards = [env.step(3)[1] for _ in range(3)]  # to the right

    (episode,) = env.cache.episodes
    assert episode.total_reward == pytest.approx(np.sum(rewards))
    for row, reward in enumerate(rewards, 1):
        np.testing.assert_allclose(env.cache.at(row, 0)["vector_reward"], reward)
    env.close()


class TwoObjectives(SyncVectorEnv):
    def step(self, actions):
        obs, reward, terminated, truncated, info = super().step(actions)
        return obs, np.stack([reward, 2 * reward], 1), terminated, truncated, info


@pytest.mark.parametrize("is_video", [False, True])
def test_a_vector_env_may_have_several_objectives(is_video, tmp_path):
    venv = TwoObjectives([lambda: Rewarding(1.0), lambda: Rewarding(10.0)])
    env = (
        rv.RecordVideo(venv, str(tmp_path), episode_trigger=lambda _: True)
        if is_video
        else rv.record(venv)
    )
    env.reset()
    env.step(np.zeros(2, int))

    assert env.cache.at(-1, 1)["reward"] == 30
    np.testing.assert_array_equal(env.cache.at(-1, 1)["vector_reward"], [10, 20])
    env.close()


def test_a_batch_that_is_not_declared_is_still_refused():
    class Batch(Rewarding):
        def step(self, action):
            ends = np.zeros(3, bool)
            return 0, np.ones(3), ends, ends, {}

    env = rv.record(Batch(1.0))
    env.reset()

    with pytest.raises(rv.UnsupportedEnvError, match="set num_envs = 3"):
        env.step(0)


def rewards_of(*rewards, **options):
    """Return a recording of an env that returns these rewards, one after another."""
    env = Rewarding(0.0)
    recorded = rv.record(env, **options)
    recorded.reset()
    for env.reward in rewards:
        recorded.step(0)
    return recorded.cache


def test_a_reward_that_is_nan_is_counted_beside_the_return(tmp_path):
    cache = rewards_of(0.0, 1.0, np.nan, 1.0, 1.0)

    (episode,) = cache.episodes
    assert (episode.total_reward, episode.num_nan_rewards) == (3.0, 1)
    assert [bool(np.isnan(cache.at(row, 0)["reward"])) for row in range(1, 6)] == [
        row == 3 for row in range(1, 6)
    ]
    cache.save(tmp_path / "run.rollout")
    with rv.open(tmp_path / "run.rollout") as reopened:
        assert reopened.episodes == cache.episodes
    with rv.FrameCache() as copy:
        for row in range(cache.num_rows):
            copy.append(**cache.row_of(row))
        assert copy.episodes == cache.episodes


def test_what_is_skipped_with_a_nan_is_nan():
    cache = rewards_of(1.0, np.nan, 1.0, 1.0, skip=2)

    assert cache.episodes[0].num_nan_rewards == 1


def test_steps_without_a_reward_have_none_that_is_nan():
    cache = rv.FrameCache()
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    for kind in ("reset", "step", "step"):
        cache.append(frames, kind=kind)

    assert cache.episodes[0].num_nan_rewards == 0
    with rv.FrameCache() as copy:
        for row in range(cache.num_rows):
            copy.append(**cache.row_of(row))
        assert copy.episodes == cache.episodes
