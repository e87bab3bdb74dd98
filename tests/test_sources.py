"""Every source passes the suite of sources."""

import functools
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer.testing import SourceTests


class TestGymEnv(SourceTests):
    num_envs = 1

    def make_env(self, makers):
        return makers[0]()


class TestGymEnvThatResetsItself(SourceTests):
    num_envs = 1
    resets = "next_step"

    def make_env(self, makers):
        return gymnasium.wrappers.Autoreset(makers[0]())


class TestSyncVectorEnv(SourceTests):
    resets = "next_step"

    def make_env(self, makers):
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.NEXT_STEP)


class TestSyncVectorEnvInOneStep(SourceTests):
    resets = "same_step"

    def make_env(self, makers):
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


class TestSyncVectorEnvByHand(SourceTests):
    def make_env(self, makers):
        return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.DISABLED)


class WithProcesses(SourceTests):
    """Its environments run in processes that a fault leaves behind."""

    is_pickled = False

    @pytest.fixture(autouse=True)
    def processes(self):
        # They hold every file of this process: pipes to a browser, too.
        self.started = []
        yield
        for env in self.started:
            for process in env.processes:
                process.kill()
                process.join()

    def start(self, env):
        self.started.append(env)
        return env


@pytest.mark.filterwarnings("ignore:.*while waiting for a pending call:UserWarning")
class TestAsyncVectorEnv(WithProcesses):
    resets = "next_step"

    def make_env(self, makers):
        mode = AutoresetMode.NEXT_STEP
        return self.start(AsyncVectorEnv(makers, autoreset_mode=mode))


class Batch:
    """Environments that step together, reset in the call that ends them."""

    def __init__(self, envs):
        self.envs = envs
        self.num_envs = len(envs)

    def reset(self, *, seed=None, options=None):
        return torch.tensor(np.stack([env.reset()[0] for env in self.envs])), {}

    def step(self, action):
        results = [list(env.step(a)) for env, a in zip(self.envs, action, strict=True)]
        for env, result in zip(self.envs, results, strict=True):
            if result[2] or result[3]:
                result[0] = env.reset()[0]
        columns = zip(*results, strict=True)
        obs, reward, terminated, truncated, _ = map(list, columns)
        parts = (np.stack(obs), np.float32(reward), terminated, truncated)
        return *map(torch.tensor, parts), {}

    def render(self):
        return [env.render() for env in self.envs]


class TestPlainBatch(SourceTests):
    resets = "same_step"

    def make_env(self, makers):
        return Batch([make() for make in makers])

    def run(self, recorded, num_steps):
        rv.rollout(recorded, policy=act, max_steps=num_steps, progress=False)


class GymBatch(Batch, gymnasium.Env):
    """The same behind Gymnasium's class."""

    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"
    observation_space = Box(0, np.inf, (2,), np.float32)
    action_space = Discrete(4)


class TestBatchedGymEnv(SourceTests):
    resets = "same_step"

    def make_env(self, makers):
        return GymBatch([make() for make in makers])


class Plain:
    """No more than reset, step and render."""

    def __init__(self, env):
        self.reset, self.step, self.render = env.reset, env.step, env.render


def act(obs):
    return np.zeros(len(obs), np.int64)


class TestPlainObject(SourceTests):
    num_envs = 1

    def make_env(self, makers):
        return Plain(makers[0]())

    def run(self, recorded, num_steps):
        rv.rollout(recorded, policy=lambda obs: 0, max_steps=num_steps, progress=False)


class TestRecordVideo(SourceTests):
    num_envs = 1

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path_factory):
        self.videos = tmp_path_factory.mktemp("videos")

    def make_env(self, makers):
        return makers[0]()

    def record(self, env, *, cache=None, **options):
        if cache is None:
            cache = rv.FrameCache()
        return rv.RecordVideo(
            env, self.videos, episode_trigger=bool_of, cache=cache, **options
        )

    def run(self, recorded, num_steps):
        recorded.reset()
        for step in range(num_steps):
            *_, terminated, truncated, _ = recorded.step(0)
            if (terminated or truncated) and step < num_steps - 1:
                recorded.reset()


def bool_of(episode):
    return True


sb3 = pytest.importorskip("stable_baselines3", reason="in the extra sb3")
vec_env: Any = sb3.common.vec_env


class TestDummyVecEnv(SourceTests):
    resets = "same_step"

    def make_env(self, makers):
        return vec_env.DummyVecEnv(makers)


class TestDummyVecEnvOfOne(TestDummyVecEnv):
    num_envs = 1


class TestSubprocVecEnv(WithProcesses):
    resets = "same_step"

    def make_env(self, makers):
        return self.start(vec_env.SubprocVecEnv(makers, start_method="fork"))


pettingzoo: Any = pytest.importorskip("pettingzoo", reason="in the extra pettingzoo")


class Alone(pettingzoo.ParallelEnv):
    """One agent, who plays a counting env."""

    metadata = {"name": "alone_v0", "render_fps": 10}
    render_mode = "rgb_array"

    def __init__(self, env):
        self.env = env
        self.possible_agents = ["ada"]
        self.spaces = env.observation_space, env.action_space

    def observation_space(self, agent):
        return self.spaces[0]

    def action_space(self, agent):
        return self.spaces[1]

    def reset(self, seed=None, options=None):
        self.agents = ["ada"]
        obs, info = self.env.reset(seed=seed)
        return {"ada": obs}, {"ada": info}

    def step(self, actions):
        result = self.env.step(actions["ada"])
        if result[2] or result[3]:
            self.agents = []
        return tuple({"ada": part} for part in result)

    def render(self):
        return self.env.render()


class TestParallelEnv(SourceTests):
    num_envs = 1
    is_shared = True

    def make_env(self, makers):
        return Alone(makers[0]())


torchrl_envs: Any = pytest.importorskip("torchrl.envs", reason="in the extra torchrl")


def as_torchrl(make):
    return torchrl_envs.GymWrapper(make())


class TestTorchRLEnv(SourceTests):
    num_envs = 1

    def make_env(self, makers):
        return as_torchrl(makers[0])


class TestTorchRLSerialEnv(SourceTests):
    def make_env(self, makers):
        makes = [functools.partial(as_torchrl, make) for make in makers]
        return torchrl_envs.SerialEnv(len(makes), makes)
