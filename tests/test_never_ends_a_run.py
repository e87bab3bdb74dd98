"""Whatever an environment returns, recording it does not end the run."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import SyncVectorEnv
from pettingzoo import ParallelEnv
from PIL import Image
from stable_baselines3.common.vec_env import DummyVecEnv

import rollout_viewer as rv

LEVELS = np.kron(
    np.random.default_rng(0).integers(0, 2, (4, 5, 3)), np.ones((4, 4, 1))
).astype(np.uint8)
PICTURE = LEVELS * np.uint8(200)  # 16 x 20


class Odd(gym.Env):
    """Returns ordinary values, except in one step."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}
    render_mode = "rgb_array"
    observation_space, action_space = (
        gym.spaces.Box(-1, 1, (2,)),
        gym.spaces.Discrete(2),
    )

    def __init__(self, usual: Any = PICTURE, **odd: Any) -> None:
        self.usual, self.odd = usual, odd
        self.count = 0

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return self.odd.get("first_obs", np.zeros(2, np.float32)), {}

    def step(self, action):
        self.count += 1
        odd = self.odd if self.count == 2 else {}
        return (
            odd.get("obs", np.zeros(2, np.float32)),
            odd.get("reward", 1.0),
            odd.get("terminated", self.count == 5),
            odd.get("truncated", False),
            {},
        )

    def render(self):
        is_odd = self.count == 2 and "picture" in self.odd
        return self.odd["picture"] if is_odd else self.usual


def always(_):
    return True


def two(env):
    return SyncVectorEnv([lambda: env, lambda: copy.copy(env)])


VIDEOS = {
    "RecordVideo": lambda env, folder: rv.RecordVideo(env, folder, always),
    "VectorRecordVideo": lambda env, folder: rv.VectorRecordVideo(
        two(env), folder, episode_trigger=always
    ),
    "VecVideoRecorder": lambda env, folder: rv.VecVideoRecorder(
        DummyVecEnv([lambda: env, lambda: copy.copy(env)]), folder, always, 3
    ),
}
RECORDS = {
    "record(Env)": lambda env, _: rv.record(env),
    "record(VectorEnv)": lambda env, _: rv.record(two(env)),
    "record(VecEnv)": lambda env, _: rv.record(
        DummyVecEnv([lambda: env, lambda: copy.copy(env)])
    ),
}
MAKES = {**VIDEOS, **RECORDS}


def run(env, num_steps=8):
    """Step as a training does; SB3 and vector environments reset themselves."""
    is_one = isinstance(env, gym.Env)
    env.reset()
    for step in range(num_steps):
        env.step(0 if is_one else np.zeros(env.num_envs, int))
        if is_one and step % 5 == 4:
            env.reset()


@pytest.mark.parametrize(
    ("mode", "rendered"),
    [("rgb_array_list", [PICTURE // 2, PICTURE]), ("rgbd_tuple", (PICTURE, None))],
)
@pytest.mark.parametrize("make", ["RecordVideo", "VectorRecordVideo", "record(Env)"])
def test_lists_and_tuples_of_pictures_are_recorded(make, mode, rendered, tmp_path):
    bare = Odd(rendered)
    bare.render_mode = mode

    env = MAKES[make](bare, str(tmp_path))
    run(env, 3)

    assert (env.cache[3, 0] == PICTURE).all()
    env.close()


ODD = {
    "no picture": {"picture": None},
    "text for a picture": {"picture": "picture"},
    "an empty list": {"picture": []},
    "a dict for a picture": {"picture": {"rgb": PICTURE}},
    "7 channels": {"picture": np.zeros((16, 20, 7), np.uint8)},
    "NaN": {"picture": np.full((16, 20, 3), np.nan)},
    "integers above 255": {"picture": np.full((16, 20, 3), 999)},
    "complex pixels": {"picture": PICTURE * 1j},
    "objects": {"picture": np.full((16, 20, 3), None)},
    "dates": {"picture": np.zeros((16, 20, 3), "datetime64[s]")},
    "another dtype": {"picture": PICTURE / 255},
    "no pixels": {"picture": PICTURE[:0]},
    "another size": {"picture": PICTURE[:8]},
    "a PIL image": {"picture": Image.fromarray(PICTURE)},
    "no reward": {"reward": None},
    "text for a reward": {"reward": "1"},
    "a reward above all floats": {"reward": 10**400},
    "a reward without an element": {"reward": np.empty(0)},
    "an object for a reward": {"reward": object()},
    "ends of two": {"terminated": np.array([True, False])},
    "ends of two, as a tensor": {"terminated": torch.tensor([True, False])},
    "no end": {"terminated": None},
    "a ragged observation": {"obs": [[1, 2], [3]]},
    "an object for an observation": {"obs": object()},
    "a ragged first observation": {"first_obs": [[1, 2], [3]]},
    "text for a first observation": {"first_obs": "start"},
    "a batch for a first observation": {"first_obs": np.zeros((3, 2))},
}


SHOWN = {"another size", "a PIL image"}


def bare_runs(make, odd):
    """Whether the run goes through without a recorder."""
    env: Any = Odd(**odd)
    if "Vec" in make:
        is_sb3 = "VecEnv" in make or make == "VecVideoRecorder"
        env = DummyVecEnv([lambda: Odd(**odd)] * 2) if is_sb3 else two(env)
    try:
        run(env)
    except Exception:
        return False
    return True


@pytest.mark.parametrize("make", MAKES)
def test_odd_values_are_survived(make, tmp_path):
    for name, odd in ODD.items():
        is_batch = name == "a batch for a first observation"  # nothing after it fits
        if not bare_runs(make, odd) or (is_batch and make == "record(Env)"):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = MAKES[make](Odd(**odd), str(tmp_path / name))
            run(env)
            env.close()

        assert env.cache.num_rows >= 4 - 3 * is_batch, name
        env.cache.close()


@pytest.mark.parametrize("make", RECORDS)
@pytest.mark.parametrize("name", [name for name in ODD if "picture" in ODD[name]])
def test_a_row_of_an_odd_picture_is_recorded_without_it(make, name, tmp_path):
    if name in SHOWN or (name, make) == ("no picture", "record(VectorEnv)"):
        return  # recorded as it is: None among pictures is a missing one
    env = MAKES[make](Odd(**ODD[name]), str(tmp_path))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(env, 15)

    texts = [str(one.message) for one in caught]
    assert len([text for text in texts if "Row 2 is recorded without" in text]) == 1
    assert not [text for text in texts if " has no row" in text]
    ended = [episode for episode in env.cache.episodes if episode.is_finished]
    assert {(episode.length, episode.total_reward) for episode in ended} == {(5, 5.0)}
    shown = [row for row in range(env.cache.num_rows) if not env.cache.is_shown(row, 0)]
    assert 2 in shown


def test_only_the_env_with_the_fault_lacks_its_picture(tmp_path):
    odd, usual = Odd(picture=PICTURE[..., :2]), Odd()
    env = rv.record(SyncVectorEnv([lambda: usual, lambda: odd]))
    env.reset()
    env.step(np.zeros(2, int))

    with pytest.warns(
        rv.RolloutViewerWarning, match="a picture of env 1; so are later"
    ):
        env.step(np.zeros(2, int))

    assert (env.cache.has_picture(2, 0), env.cache.has_picture(2, 1)) == (True, False)
    assert (env.cache[2, 0] == PICTURE).all()


@pytest.mark.parametrize("make", VIDEOS)
def test_an_odd_picture_ends_the_video_and_the_next_is_recorded(make, tmp_path):
    env = MAKES[make](Odd(picture=PICTURE[..., :2]), str(tmp_path))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run(env, 15)
    env.close()

    said = {str(one.message) for one in caught}
    assert any("Recording stopped: as_frames" in text for text in said)
    assert len(list(tmp_path.glob("*.mp4"))) >= 3


def fail(*_):
    raise ZeroDivisionError("mine")


def action_of(env):
    return 0 if isinstance(env, gym.Env) else np.zeros(2, int)


@pytest.mark.filterwarnings("ignore:.*zero frames to save")
@pytest.mark.parametrize("make", MAKES)
def test_a_render_that_fails_raises_at_first_and_warns_later(make, tmp_path):
    bare = Odd()
    env = MAKES[make](bare, str(tmp_path))
    bare.render = fail
    with pytest.raises((ZeroDivisionError, rv.RenderError)):
        env.reset()
    del bare.render
    env.reset()
    env.step(action_of(env))
    bare.render = fail

    with pytest.warns(UserWarning, match="mine"):
        env.step(action_of(env))
        env.step(action_of(env))
    del bare.render
    run(env, 6)
    env.close()


@pytest.mark.parametrize("make", MAKES)
def test_an_error_of_the_environment_itself_passes(make, tmp_path):
    bare = Odd()
    env = MAKES[make](bare, str(tmp_path))
    env.reset()
    bare.step = fail

    with pytest.raises(ZeroDivisionError, match="mine"):
        env.step(action_of(env))


@pytest.mark.parametrize("make", RECORDS)
def test_an_environment_that_cannot_be_recorded_is_refused_at_once(make, tmp_path):
    env = MAKES[make](Odd(np.zeros((16, 20, 7), np.uint8)), str(tmp_path))

    with pytest.raises(ValueError, match="as_frames"):
        env.reset()


def test_a_cache_of_another_number_of_envs_is_refused_at_the_first_reset(tmp_path):
    cache = rv.FrameCache()
    cache.append(PICTURE, reset=True)
    bare = Odd(first_obs=np.zeros((3, 2), np.float32))
    env = rv.RecordVideo(bare, str(tmp_path), always, cache=cache)

    with pytest.raises(rv.ShapeError, match="one of 1"):
        env.reset()


def test_a_cache_that_was_closed_is_reported_at_once():
    env = rv.record(Odd())
    env.reset()
    env.step(0)
    env.cache.close()

    with pytest.raises(rv.CacheClosedError):
        env.step(0)


def test_a_step_that_cannot_be_read_is_counted_without_a_reward():
    env = rv.record(Odd(terminated=torch.tensor([True, False])))
    env.reset()
    env.step(0)

    with pytest.warns(rv.RolloutViewerWarning, match="This step has no row, and is"):
        env.step(0)
    env.step(0)

    assert env.cache.scalars["env_step"][:, 0].tolist() == [0, 1, 3]
    assert env.cache.episodes[0].num_nan_rewards == 1


class Team(ParallelEnv):
    """Two agents; one picture of both. Odd in its second step."""

    metadata = {"name": "team", "render_modes": ["rgb_array"]}
    render_mode = "rgb_array"
    possible_agents = ["a", "b"]

    def __init__(self, **odd):
        self.odd = odd

    def reset(self, seed=None, options=None):
        self.agents, self.count = ["a", "b"], 0
        return dict.fromkeys("ab", 0), {key: {} for key in "ab"}

    def step(self, actions):
        self.count += 1
        odd = self.odd if self.count == 2 else {}
        if "agents" in odd:
            self.agents = odd["agents"]
        never = dict.fromkeys("ab", False)
        rewards = {"a": odd.get("reward", 1.0), "b": 1.0}
        infos = {key: {} for key in "ab"}
        return dict.fromkeys("ab", 0), rewards, never, never, infos

    def render(self):
        is_odd = self.count == 2 and "picture" in self.odd
        return self.odd["picture"] if is_odd else PICTURE

    def observation_space(self, agent):
        return gym.spaces.Discrete(2)

    def action_space(self, agent):
        return gym.spaces.Discrete(2)


@pytest.mark.parametrize(
    "odd",
    [
        {"picture": "picture"},
        {"picture": None},
        {"reward": object()},
        {"agents": ["a", "c"]},
    ],
)
def test_odd_values_of_a_parallel_env_are_survived(odd):
    env = rv.record(Team(**odd))
    env.reset()

    with pytest.warns(rv.RolloutViewerWarning):
        for _ in range(4):
            env.step(dict.fromkeys(env.agents, 0))

    assert env.cache.num_rows == 5
    assert env.cache.scalars["reward"][1:3, 1].tolist() == [1.0, 1.0]


class Plain:
    """Of no framework, with old Gym's four values."""

    def __init__(self, **odd):
        self.env = Odd(**odd)

    def reset(self):
        return self.env.reset()[0]

    def step(self, action):
        obs, reward, ended, _, info = self.env.step(action)
        return obs, reward, ended, info

    def render(self):
        return self.env.render()


def test_odd_values_of_an_object_are_survived():
    for name, odd in ODD.items():
        if name in ("no end", "ends of two", "ends of two, as a tensor"):
            continue  # the loop of old Gym's users fails without a recorder
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            env = rv.record(Plain(**odd))
            env.reset()
            for _ in range(4):
                env.step(0)

        assert env.cache.num_rows == 5, name


def test_a_rollout_goes_on_without_the_pictures_of_a_fault():
    with pytest.warns(rv.RolloutViewerWarning, match="Row 2 is recorded without"):
        cache = rv.rollout(Odd(picture="text"), episodes=2, progress=False)

    assert [episode.length for episode in cache.episodes] == [5, 5]


def test_a_waiting_episode_of_a_filter_is_recorded_without_the_picture():
    env = rv.record(Odd(picture="text"), keep_episode=lambda episode: True)

    with pytest.warns(rv.RolloutViewerWarning, match="is recorded without"):
        run(env, 10)
    env.close()

    finished = [episode for episode in env.cache.episodes if episode.is_finished]
    assert [episode.total_reward for episode in finished] == [5.0, 5.0]
    assert not env.cache.has_picture(finished[0].start + 2, 0)
