"""Frames a second, of any library's numbers, wherever they are passed."""

import math
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3.common.vec_env import DummyVecEnv

import rollout_viewer as rv
from rollout_viewer.loggers.tensorboard import TensorboardLogger
from rollout_viewer.sources.torchrl import VideoRecorder

NUMBERS = [
    np.int64(20),
    np.float32(20),
    np.array(20),
    torch.tensor(20),
    torch.tensor([20.0]),
    Fraction(20),
    20,
]
REFUSED = ["30", math.inf, math.nan, 0, -1, 120_000, [30], 10**400]


def cart_pole():
    # Its checker warns of render_fps that is neither int nor float.
    return gym.make("CartPole-v1", render_mode="rgb_array", disable_env_checker=True)


def venv():
    return DummyVecEnv([cart_pole])


# what is made with an fps, and where the fps is then
PLACES = {
    "FrameCache": (lambda fps, folder: rv.FrameCache(fps=fps), "fps"),
    "RecordVideo": (
        lambda fps, folder: rv.RecordVideo(cart_pole(), str(folder), fps=fps),
        "frames_per_sec",
    ),
    "VecVideoRecorder": (
        lambda fps, folder: rv.VecVideoRecorder(
            venv(), str(folder), lambda _: True, fps=fps
        ),
        "frames_per_sec",
    ),
    "VideoRecorder": (lambda fps, folder: VideoRecorder(None, None, fps=fps), None),
    "CSVLogger": (
        lambda fps, folder: rv.CSVLogger("a", str(folder), video_fps=fps),
        "video_fps",
    ),
    "TensorboardLogger": (
        lambda fps, folder: TensorboardLogger("a", str(folder), video_fps=fps),
        "video_fps",
    ),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fps", NUMBERS, ids=repr)
def test_numbers_of_any_library_are_frames_a_second(place, fps, tmp_path):
    make, name = PLACES[place]

    made = make(fps, tmp_path)

    if name is not None:
        stored = getattr(made, name)
        assert (type(stored), stored) == (float, 20.0)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("fps", REFUSED, ids=lambda fps: repr(fps)[:20])
def test_what_is_no_frames_a_second_is_refused_when_made(place, fps, tmp_path):
    with pytest.raises(ValueError, match=f"{place}: expected fps to be a number from"):
        PLACES[place][0](fps, tmp_path)


@pytest.mark.parametrize("fps", NUMBERS, ids=repr)
def test_an_environment_may_declare_any_number(fps, tmp_path):
    env = cart_pole()
    env.unwrapped.metadata = {**env.metadata, "render_fps": fps}

    with rv.RecordVideo(env, str(tmp_path), lambda _: True) as recorded:
        recorded.reset(seed=0)
        recorded.step(0)

        assert recorded.frames_per_sec == recorded.cache.fps == 20
    assert (tmp_path / "rl-video-episode-0.mp4").exists()
