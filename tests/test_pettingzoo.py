"""PettingZoo's parallel environments: one picture, and a reward for each agent."""

import numpy as np
import pytest

pytest.importorskip("pettingzoo", reason="in the extra pettingzoo")
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv
from pettingzoo.utils.conversions import parallel_to_aec

import rollout_viewer as rv
from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer.testing import counting_frame, read_count


class Leaving(ParallelEnv):
    """Agent n leaves after n + 2 steps; its reward is 10 n + the step."""

    metadata = {"name": "leaving_v0", "render_fps": 12}

    def __init__(self, render_mode="rgb_array"):
        self.render_mode = render_mode
        self.possible_agents = ["ada", "bob", "cy"]
        self.env_step = 0
        self.seen = {agent: Box(0, 100, (1,)) for agent in self.possible_agents}
        self.done = {agent: Discrete(3) for agent in self.possible_agents}

    def observation_space(self, agent):
        return self.seen[agent]

    def action_space(self, agent):
        return self.done[agent]

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        self.env_step = 0
        return self.observe(), {agent: {} for agent in self.agents}

    def observe(self):
        return {a: np.array([self.env_step], np.float32) for a in self.agents}

    def step(self, actions):
        self.asked = set(actions) - set(self.agents)
        self.env_step += 1
        numbers = {a: self.possible_agents.index(a) for a in self.agents}
        rewards = {a: 10.0 * n + self.env_step for a, n in numbers.items()}
        ended = {a: self.env_step >= n + 2 for a, n in numbers.items()}
        truncated = dict.fromkeys(self.agents, False)
        infos = {a: {} for a in self.agents}
        observations = self.observe()
        self.agents = [agent for agent in self.agents if not ended[agent]]
        return observations, rewards, ended, truncated, infos

    def render(self):
        return counting_frame(self.env_step)


def test_each_agents_rewards_and_end_stand_beside_the_common_picture():
    env = rv.record(Leaving())

    env.reset(seed=4)
    while env.agents:
        env.step({agent: number for number, agent in enumerate(env.agents)})

    cache = env.cache
    assert (cache.num_rows, cache.num_envs, cache.is_shared) == (5, 3, True)
    assert cache.scalars["kind"].T.tolist() == [
        ["reset", "step", "step", "idle", "idle"],
        ["reset", "step", "step", "step", "idle"],
        ["reset", "step", "step", "step", "step"],
    ]
    np.testing.assert_array_equal(cache.scalars["reward"][1], [1, 11, 21])
    assert [(e.length, e.terminated, e.seed) for e in cache.episodes] == [
        (2, True, 4),
        (3, True, 4),
        (4, True, 4),
    ]
    assert [read_count(cache[row, 0])[0] for row in range(5)] == [0, 1, 2, 3, 4]
    assert cache.at(0, 2).action == 2
    assert cache.metadata["agents"] == ["ada", "bob", "cy"]
    assert cache.fps == 12


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own environments
def test_it_stays_a_parallel_env():
    from pettingzoo.test import parallel_api_test

    parallel_api_test(rv.record(Leaving()), num_cycles=20)


def test_rollout_resets_when_nobody_is_left():
    cache = rv.rollout(Leaving(), max_steps=12, seed=0, progress=False)

    assert len(cache.episodes) == 9
    assert [e.index for e in cache.episodes if e.env == 2] == [0, 1, 2]


def test_a_policy_takes_observations_of_the_agents_that_are_there():
    env = Leaving()

    cache = rv.rollout(
        env,
        policy=lambda observations: dict.fromkeys(observations, 1),
        episodes=3,
        progress=False,
    )

    assert cache.at(0, 1).action == 1
    assert env.asked == set()


def test_pictures_are_needed():
    with pytest.raises(rv.RenderError, match="rgb_array"):
        rv.record(Leaving(render_mode=None))


def test_episodes_are_those_of_all_agents():
    cache = rv.rollout(Leaving(), episodes=2, progress=False)

    assert [e.length for e in cache.episodes if e.env == 0] == [2, 2]
    assert all(episode.is_finished for episode in cache.episodes)


@pytest.mark.parametrize("is_parallelizable", [True, False])
def test_agents_that_act_one_after_another_are_refused_with_the_way(is_parallelizable):
    env = parallel_to_aec(Leaving())
    env.metadata = {**env.metadata, "is_parallelizable": is_parallelizable}
    way = "aec_to_parallel" if is_parallelizable else "turn_based_aec_to_parallel"

    for record in (rv.record, rv.rollout):
        with pytest.raises(UnsupportedEnvError, match=f"conversions.{way}") as caught:
            record(env)
        assert "render" not in str(caught.value)


def test_a_real_environment_is_recorded():
    butterfly = pytest.importorskip(
        "pettingzoo.butterfly.cooperative_pong_v6", reason="it needs pygame"
    )
    env = butterfly.parallel_env(render_mode="rgb_array")

    cache = rv.rollout(env, max_steps=30, seed=0, progress=False)

    assert cache[0].shape == (1, 280, 480, 3)
    assert cache.num_envs == 2
    assert np.nansum(cache.scalars["reward"]) != 0
    env.close()
