"""What people's code does with a video recorder beyond stepping it."""

import os
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from pettingzoo import ParallelEnv
from stable_baselines3.common.vec_env import DummyVecEnv

import rollout_viewer as rv
from rollout_viewer._video import read_video


class Counting(gym.Env):
    """A picture's level is the number of steps so far."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"
    observation_space, action_space = gym.spaces.Discrete(9), gym.spaces.Discrete(2)

    def __init__(self, length=5):
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return 0, {}

    def step(self, action):
        self.count += 1
        return 0, 1.0, self.count == self.length, False, {}

    def render(self):
        return np.full((16, 16, 3), 40 * self.count, np.uint8)


class Batch(gym.Env):
    """Three environments in one `gymnasium.Env`, as GPU simulations are."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"
    observation_space = gym.spaces.Box(-1, 1, (2,))
    action_space = gym.spaces.Box(-1, 1, (1,))

    def __init__(self, num_envs=3):
        self.count, self.size = 0, num_envs

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return torch.zeros(self.size, 2), {}

    def step(self, action):
        self.count += 1
        none = torch.zeros(self.size, dtype=torch.bool)
        return torch.zeros(self.size, 2), torch.arange(self.size) + 1.0, none, none, {}

    def render(self):
        levels = 5 * self.count + 60 * np.arange(self.size)
        frame = np.ones((self.size, 16, 16, 3)) * levels[:, None, None, None]
        return frame.astype(np.uint8)


class DeclaredBatch(Batch):
    def __init__(self, num_envs=3):
        super().__init__(num_envs)
        self.num_envs = num_envs


def num_frames(path):
    return sum(1 for _ in read_video(path))


@pytest.mark.parametrize("make", [Batch, DeclaredBatch])
def test_a_batch_in_one_env_is_recorded_as_a_batch(make, tmp_path):
    env = rv.RecordVideo(
        make(), str(tmp_path), step_trigger=lambda step: step % 20 == 0, video_length=8
    )
    env.reset(seed=3)
    for _ in range(45):
        obs, reward, *_ = env.step(torch.zeros(3, 1))
    env.close()

    assert isinstance(obs, torch.Tensor)
    assert torch.equal(torch.as_tensor(reward), torch.arange(3) + 1.0)
    names = [f"rl-video-step-{step}.mp4" for step in (0, 20, 40)]
    assert [num_frames(tmp_path / name) for name in names] == [9, 9, 5]
    assert env.cache.num_envs == 3
    assert env.cache[0, 2].max() == 125
    assert env.cache.at(1, 2)["reward"] == 3.0


def test_a_batch_outside_of_videos_is_counted(tmp_path):
    env = rv.RecordVideo(Batch(), str(tmp_path), step_trigger=lambda step: step == 6)
    env.reset()
    for _ in range(8):
        env.step(torch.zeros(3, 1))
    env.close()

    assert env.cache.at(0, 1)["total_reward"] == 2.0 * 7


class OneCamera(DeclaredBatch):
    """Its one picture is of env 0, while env 2 ends and is reset each second step."""

    def step(self, action):
        obs, reward, ended, truncated, info = super().step(action)
        ended[2] = self.count % 2 == 0
        return obs, reward, ended, truncated, info

    def render(self):
        return super().render()[0]


@pytest.mark.filterwarnings("ignore:.*It is recorded as that of env 0")
def test_envs_without_a_picture_add_no_frames_where_they_end(tmp_path):
    env = rv.RecordVideo(
        OneCamera(), str(tmp_path), step_trigger=lambda step: step == 0, video_length=6
    )
    env.reset()
    for _ in range(9):
        env.step(torch.zeros(3, 1))
    env.close()

    (path,) = tmp_path.glob("*.mp4")
    levels = [int(np.median(frame)) for frame in read_video(path)]
    assert np.abs(np.subtract(levels, [5, 10, 15, 20, 25, 30, 35])).max() <= 2


@pytest.mark.filterwarnings("ignore:.*same-step")
def test_the_first_env_alone_has_a_frame_a_call_where_others_end(tmp_path):
    envs = SyncVectorEnv(
        [lambda: Counting(99), lambda: Counting(2)],
        autoreset_mode=AutoresetMode.SAME_STEP,
    )
    env = rv.VectorRecordVideo(
        envs, str(tmp_path), record_first_only=True, episode_trigger=lambda _: True
    )
    env.reset()
    for _ in range(6):
        env.step(np.zeros(2, int))
    assert len(env.recorded_frames) == 7
    env.close()

    (path,) = tmp_path.glob("*.mp4")
    assert num_frames(path) == 7


def single(folder):
    return rv.RecordVideo(Counting(), str(folder), lambda _: True)


def vector(folder):
    envs = SyncVectorEnv([Counting, Counting])
    return rv.VectorRecordVideo(envs, str(folder), episode_trigger=lambda _: True)


def sb3(folder):
    venv = DummyVecEnv([Counting, Counting])
    return rv.VecVideoRecorder(venv, str(folder), lambda _: True, video_length=3)


def run(env, num_steps=3):
    env.reset()
    for _ in range(num_steps):
        env.step(0 if isinstance(env, rv.RecordVideo) else np.zeros(2, int))


@pytest.mark.parametrize("make", [single, vector, sb3])
@pytest.mark.filterwarnings("ignore:.*autoreset")
def test_after_close_the_recording_goes_on(make, tmp_path):
    env = make(tmp_path)
    run(env)
    env.close()
    first = env.cache
    run(env)
    env.close()

    assert len(list(tmp_path.glob("*.mp4"))) == 2
    assert first.is_closed
    assert env.cache is not first
    assert first.num_rows == env.cache.num_rows >= 4


@pytest.mark.parametrize("make", [single, vector, sb3])
@pytest.mark.filterwarnings("ignore:.*autoreset")
def test_the_folder_of_the_next_videos_may_be_set(make, tmp_path):
    env = make(tmp_path / "one")
    run(env)
    env.video_folder = str(tmp_path / "two")
    assert env.video_folder == str(tmp_path / "two")
    run(env)
    env.close()
    run(env, 1)
    env.close()

    assert len(list((tmp_path / "two").glob("*.mp4"))) >= 1
    assert len(list(tmp_path.glob("*/*.mp4"))) == 3


def test_frames_between_steps_are_added_and_the_rate_may_be_set(tmp_path):
    env = single(tmp_path)
    env.frames_per_sec = np.int64(40)
    env._capture_frame()  # nothing is recorded yet
    env.reset()
    for _ in range(2):
        env._capture_frame()
        env._capture_frame()
        env.step(0)
    env.close()

    (path,) = tmp_path.glob("*.mp4")
    levels = [int(np.median(frame)) for frame in read_video(path)]
    assert np.abs(np.subtract(levels, [0, 0, 0, 40, 40, 40, 80])).max() <= 2
    with pytest.raises(ValueError, match="expected fps"):
        env.frames_per_sec = "fast"
    (episode,) = env.cache.episodes
    assert (episode.length, episode.total_reward) == (2, 2.0)
    with rv.FrameCache() as copy:
        for row in range(env.cache.num_rows):
            copy.append(**env.cache.row_of(row))
        assert copy.episodes[0].length == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_highway_envs_documented_recording(tmp_path):
    pytest.importorskip("highway_env")
    env = gym.make(
        "highway-fast-v0",
        render_mode="rgb_array",
        config={"simulation_frequency": 15, "policy_frequency": 5},
    )
    env = rv.RecordVideo(env, str(tmp_path), lambda _: True)
    unwrapped: Any = env.unwrapped
    unwrapped.set_record_video_wrapper(env)
    env.reset(seed=0)
    for _ in range(3):
        env.step(1)
    env.close()

    (path,) = tmp_path.glob("*.mp4")
    # One of the reset, and three of each step: two within it, and its last.
    assert num_frames(path) >= 1 + 3 * 3


class TwoAgents(ParallelEnv):
    """A PettingZoo environment; a picture's level is the number of steps so far."""

    metadata = {"name": "two", "render_modes": ["rgb_array"], "render_fps": 17}
    render_mode = "rgb_array"
    possible_agents = ["a", "b"]

    def observation_space(self, agent):
        return gym.spaces.Box(0, 1, (3,), np.float32)

    def action_space(self, agent):
        return gym.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        self.agents, self.count = self.possible_agents[:], 0
        return self.each(np.zeros(3, np.float32)), self.each({})

    def step(self, actions):
        self.count += 1
        zeros = self.each(np.zeros(3, np.float32))
        never = self.each(False)
        return zeros, self.each(1.0), never, never, self.each({})

    def render(self):
        return np.full((16, 16, 3), 40 * self.count, np.uint8)

    def each(self, value):
        return dict.fromkeys(self.agents, value)


@pytest.mark.filterwarnings("ignore:.*one. It is recorded as that of env 0")
@pytest.mark.filterwarnings("ignore:The `render_mode` attribute is not defined")
@pytest.mark.filterwarnings("ignore:PettingZoo environments do not take the `render")
def test_supersuits_vec_env_without_get_images_is_rendered(tmp_path):
    supersuit = pytest.importorskip("supersuit")
    venv = supersuit.concat_vec_envs_v1(
        supersuit.pettingzoo_env_to_vec_env_v1(TwoAgents()),
        2,
        base_class="stable_baselines3",
    )
    env = rv.VecVideoRecorder(venv, str(tmp_path), lambda n: n == 0, video_length=4)
    env.reset()
    for _ in range(4):
        env.step(np.zeros(4, int))
    env.close()

    (path,) = tmp_path.glob("*.mp4")
    levels = [int(np.median(frame)) for frame in read_video(path)]
    assert np.abs(np.subtract(levels, [0, 40, 80, 120, 160])).max() <= 2
    assert env.frames_per_sec == 17
    assert env.cache.num_envs == 4


class Wrapped(Counting):
    """Records in the process that made it, or in a fork of that."""

    def __init__(self, folder):
        super().__init__()
        self.inner = rv.RecordVideo(Counting(), str(folder), lambda _: True)

    def reset(self, *, seed=None, options=None):
        return self.inner.reset(seed=seed)

    def step(self, action):
        return self.inner.step(action)

    def close(self):
        self.inner.close()


def test_a_wrapper_made_before_a_fork_records_in_the_child(tmp_path):
    env = Wrapped(tmp_path)
    venv = AsyncVectorEnv([lambda: env, lambda: env], context="fork")
    venv.reset()
    for _ in range(3):
        venv.step(np.zeros(2, int))
    venv.close()

    assert len(list(tmp_path.glob("*.mp4"))) == 2
    assert all(num_frames(path) == 4 for path in tmp_path.glob("*.mp4"))


@pytest.mark.parametrize("kind", ["path", "cache", "temporary"])
def test_record_made_before_a_fork_records_in_the_child(kind, tmp_path):
    path = tmp_path / "run.rollout"
    cache: Any = {"path": path, "cache": None, "temporary": None}[kind]
    if kind == "cache":
        cache = rv.FrameCache(path)
    env = rv.record(Counting(), cache=cache)
    venv = AsyncVectorEnv([lambda: env], context="fork")
    venv.reset()
    for _ in range(3):
        venv.step(np.zeros(1, int))
    (child,) = venv.call("cache")
    venv.close()

    assert not env.cache.num_rows
    if kind == "temporary":
        return
    (found,) = (one for one in tmp_path.glob("run*-*.rollout") if one != env.cache.path)
    with rv.open(found) as recorded:
        assert recorded.num_rows == 4
        assert recorded.episodes[0].total_reward == 3.0
    assert child.path == found


def test_a_fork_in_the_middle_of_an_episode_is_recorded_from_there(tmp_path):
    env = rv.record(Counting(9), cache=tmp_path / "run.rollout")
    single = rv.RecordVideo(Counting(9), str(tmp_path), lambda _: True)
    for one in (env, single):
        one.reset(seed=3)
        one.step(0)

    child = os.fork()
    if not child:  # pragma: no cover - in the child
        try:
            for one in (env, single):
                for _ in range(2):
                    one.step(0)
                one.close()
                one.cache.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    for one in (env, single):
        one.step(0)
        one.close()

    assert env.cache.num_rows == single.cache.num_rows == 3
    with rv.open(tmp_path / f"run-{child}.rollout") as recorded:
        assert recorded.scalars["reward"][:, 0].tolist() == [1.0, 1.0]
    assert num_frames(tmp_path / "rl-video-episode-0.mp4") in (2, 3)
    assert num_frames(tmp_path / "rl-video-episode-0-1.mp4") in (2, 3)
