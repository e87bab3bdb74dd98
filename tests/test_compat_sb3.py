"""SB3's VecVideoRecorder and ours, side by side on the same environments.

Deliberate differences, each with its test here or in test_sb3.py:

- every frame is in the file once, where moviepy loses and repeats some
- the first picture after a reset in the middle of a video is a frame of it
- nothing is printed, and a file that is there is kept
- a recording and a JSON lie beside the videos
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("stable_baselines3", reason="the extra sb3 is not installed")
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecNormalize,
)
from stable_baselines3.common.vec_env import (
    VecVideoRecorder as Original,
)

import rollout_viewer as rv
from rollout_viewer._video import read_video
from rollout_viewer.testing import CountingEnv, read_count
from tests.small_poles import HEIGHT, WIDTH, small_cartpole

pytestmark = pytest.mark.slow  # beside the originals: not for every edit

BOTH = [Original, rv.VecVideoRecorder]


def cartpoles(num_envs):
    return make_vec_env(small_cartpole, num_envs, seed=0)


def play(env, num_steps, resets=()):
    env.reset()
    for step in range(num_steps):
        if step in resets:
            env.reset()
        env.step(np.full(env.num_envs, step % 2))
    env.close()


def videos(folder):
    return {
        path.name: len(list(read_video(path))) for path in sorted(folder.glob("*.mp4"))
    }


@pytest.mark.parametrize("num_envs", [1, 2, 5])
@pytest.mark.parametrize(
    ("trigger", "length", "num_steps"),
    [
        (lambda step: step == 0, 7, 20),
        (lambda step: step % 10 == 0, 4, 25),
        (lambda step: step == 3, 200, 6),  # closed before its length
        (lambda step: True, 2, 10),
        (lambda step: False, 2, 10),
    ],
)
def test_names_and_numbers_of_frames_are_the_same(
    tmp_path, capsys, trigger, length, num_steps, num_envs
):
    found = []
    for recorder in BOTH:
        folder = tmp_path / recorder.__module__
        env = recorder(cartpoles(num_envs), str(folder), trigger, video_length=length)

        play(env, num_steps)

        found.append(videos(folder))

    original, ours = found
    # moviepy may lose one at the end.
    assert list(ours) == list(original)
    assert all(abs(ours[name] - original[name]) <= 1 for name in ours)
    assert capsys.readouterr().out.count("Saving") <= len(original)


def test_pictures_are_those_of_the_original(tmp_path):
    shown = []
    for recorder in BOTH:
        folder = tmp_path / recorder.__module__
        env = recorder(cartpoles(5), str(folder), lambda step: step == 0, 6)
        play(env, 10)
        (path,) = folder.glob("*.mp4")
        shown.append(list(read_video(path)))

    original, ours = shown
    assert ours[0].shape == original[0].shape == (3 * HEIGHT, 2 * WIDTH, 3)
    for one, other in zip(ours[:6], original[:6], strict=True):
        assert np.abs(one.astype(int) - other).mean() < 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_another_render_mode_is_refused_in_the_same_words(tmp_path):
    said = []
    for recorder in BOTH:
        venv = DummyVecEnv([lambda: gym.make("CartPole-v1")])
        # The original's __del__ fails then too, where nobody can catch it.
        with pytest.raises(AssertionError) as caught:
            recorder(venv, str(tmp_path), lambda step: True)
        said.append(str(caught.value))

    assert said[0] == said[1]


def test_every_frame_is_in_the_file_once(tmp_path):
    venv = DummyVecEnv([lambda: CountingEnv(lengths=[1000])])
    env = rv.VecVideoRecorder(venv, str(tmp_path), lambda step: step == 0, 299, fps=30)

    play(env, 320)

    (path,) = tmp_path.glob("*.mp4")
    assert path.name == "rl-video-step-0-to-step-299.mp4"
    counts = [read_count(frame)[0] for frame in read_video(path)]
    assert counts == [step % 256 for step in range(300)]


def test_documented_snippet_records_a_trained_agent(tmp_path):
    # https://stable-baselines3.readthedocs.io, "Record a Video"
    from rollout_viewer import VecVideoRecorder

    env_id = "CartPole-v1"
    video_folder = str(tmp_path / "logs/videos/")
    video_length = 100
    vec_env: Any = DummyVecEnv([lambda: gym.make(env_id, render_mode="rgb_array")])
    obs = vec_env.reset()
    vec_env = VecVideoRecorder(
        vec_env,
        video_folder,
        record_video_trigger=lambda x: x == 0,
        video_length=video_length,
        name_prefix=f"random-agent-{env_id}",
    )
    vec_env.reset()
    for _ in range(video_length + 1):
        action = [vec_env.action_space.sample()]
        obs, _, _, _ = vec_env.step(action)
    vec_env.close()

    assert obs.shape == (1, 4)
    name = "random-agent-CartPole-v1-step-0-to-step-100.mp4"
    assert videos(tmp_path / "logs/videos") == {name: 101}


def test_a_model_learns_and_normalizes_through_it(tmp_path):
    env = VecNormalize(
        rv.VecVideoRecorder(cartpoles(2), str(tmp_path), lambda step: step == 16, 20)
    )
    model = PPO("MlpPolicy", env, n_steps=32, batch_size=32, device="cpu")

    model.learn(128)

    assert videos(tmp_path) == {"rl-video-step-16-to-step-36.mp4": 21}
    env.close()
