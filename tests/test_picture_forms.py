"""Every recorder takes every form of picture that `as_frames` names, exactly.

What is no picture ends no training: the classes that write videos warn, and stop the
video; `record` records the row without it.
"""

import json
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv

import rollout_viewer as rv

HEIGHT, WIDTH = 24, 40
RAMP = np.arange(HEIGHT * WIDTH * 3).reshape(HEIGHT, WIDTH, 3)
COLOR = [((RAMP * (7 + n)) % 256).astype(np.uint8) for n in range(4)]
GRAY = [picture[..., 0] for picture in COLOR]
ALPHA = np.full((HEIGHT, WIDTH, 1), 9, np.uint8)


def three(gray: Any) -> Any:
    return np.repeat(gray[..., None], 3, axis=2)


# Name -> how a colored or gray picture looks in this form, and which of the two it is.
FORMS: dict[str, tuple[Any, Any]] = {
    "HWC": (lambda p: p, COLOR),
    "CHW": (lambda p: p.transpose(2, 0, 1), COLOR),
    "HW": (lambda p: p, GRAY),
    "HW1": (lambda p: p[..., None], GRAY),
    "1HW": (lambda p: p[None], GRAY),
    "RGBA": (lambda p: np.concatenate([p, ALPHA], axis=2), COLOR),
    "int64": (lambda p: p.astype(np.int64), COLOR),
    "int8": (lambda p: p.astype(np.int8), [picture // 2 for picture in COLOR]),
    "uint16": (lambda p: p.astype(np.uint16), COLOR),
    "uint16 HW": (lambda p: p.astype(np.uint16), GRAY),
    "float32 in 0..1": (lambda p: p.astype(np.float32) / 255, COLOR),
    "float64 in 0..1": (lambda p: p / 255, GRAY),
    "float in 0..255": (lambda p: p.astype(np.float32), COLOR),
    "bool": (lambda p: p > 0, [(gray > 99) * np.uint8(255) for gray in GRAY]),
    "strided": (lambda p: p[::-1, ::-1][::-1, ::-1], COLOR),
    "fortran": (np.asfortranarray, COLOR),
    "read only": (
        lambda p: np.frombuffer(p.tobytes(), np.uint8).reshape(p.shape),
        COLOR,
    ),
}
NO_PICTURES = {
    "None": None,
    "text": "a picture",
    "dict": {"frame": COLOR[0]},
    "number": 3,
    "line": np.zeros(5, np.uint8),
    "7 channels": np.zeros((HEIGHT, WIDTH, 7), np.uint8),
    "no pixels": np.zeros((0, WIDTH, 3), np.uint8),
    "complex": np.zeros((HEIGHT, WIDTH, 3), complex),
    "objects": np.full((HEIGHT, WIDTH, 3), None, object),
    "NaN": np.full((HEIGHT, WIDTH, 3), np.nan),
    "below 0": np.full((HEIGHT, WIDTH, 3), -4),
    "above 255": np.full((HEIGHT, WIDTH, 3), 300, np.uint16),
    "floats above 255": np.full((HEIGHT, WIDTH, 3), 3e4),
}


class Shown(gym.Env):
    """Renders the pictures of a list, one for each call of reset and step."""

    metadata = {"render_modes": ["rgb_array", "rgb_array_list"], "render_fps": 20}
    observation_space, action_space = gym.spaces.Discrete(9), gym.spaces.Discrete(2)

    def __init__(self, pictures, render_mode="rgb_array"):
        self.pictures, self.render_mode, self.time = pictures, render_mode, -1

    def reset(self, *, seed=None, options=None):
        self.time += 1
        return 0, {}

    def step(self, action):
        self.time += 1
        return 0, 1.0, False, False, {}

    def render(self):
        picture = self.pictures[self.time]
        return [picture] if self.render_mode == "rgb_array_list" else picture


class Bare:
    """An environment of no framework."""

    def __init__(self, pictures):
        self.env = Shown(pictures)

    def reset(self):
        return self.env.reset()[0]

    def step(self, action):
        obs, reward, terminated, _, info = self.env.step(action)
        return obs, reward, terminated, info

    def render(self):
        return self.env.render()


def vector(pictures):
    return gym.vector.SyncVectorEnv([lambda: Shown(pictures)] * 2)


def vec_env(pictures):
    return DummyVecEnv([lambda: Shown(pictures)] * 2)


def always(_):
    return True


VIDEOS: dict[str, Any] = {
    "RecordVideo": lambda p, at: rv.RecordVideo(Shown(p), at, always),
    "RecordVideo of lists": lambda p, at: rv.RecordVideo(
        Shown(p, "rgb_array_list"), at, always
    ),
    "VectorRecordVideo": lambda p, at: rv.RecordVideo(
        vector(p), at, episode_trigger=always
    ),
    "VecVideoRecorder": lambda p, at: rv.VecVideoRecorder(
        vec_env(p), at, lambda n: not n
    ),
}
RECORDS: dict[str, Any] = {
    "record(Env)": lambda p, _: rv.record(Shown(p)),
    "record(Env) of lists": lambda p, _: rv.record(Shown(p, "rgb_array_list")),
    "record(VectorEnv)": lambda p, _: rv.record(vector(p)),
    "record(VecEnv)": lambda p, _: rv.record(vec_env(p)),
    "record(object)": lambda p, _: rv.record(Bare(p)),
}


def action_of(env):
    return [0] * env.num_envs if getattr(env, "num_envs", 1) > 1 else 0


@pytest.mark.filterwarnings("ignore:.*floats in .0, 1., got", "ignore:.*got RGBA")
@pytest.mark.parametrize("recorder", [*VIDEOS, *RECORDS])
@pytest.mark.parametrize("form", FORMS)
def test_a_form_of_picture_is_recorded_exactly(form, recorder, tmp_path):
    change, expected = FORMS[form]
    pictures = [change(picture) for picture in expected]
    env = {**VIDEOS, **RECORDS}[recorder](pictures, str(tmp_path))

    env.reset()
    for _ in pictures[1:]:
        env.step(action_of(env))

    wanted = [one if one.ndim == 3 else three(one) for one in expected]
    for number in range(env.cache.num_envs):
        np.testing.assert_array_equal(env.cache[:, number], wanted)
    env.close()
    assert len(list(tmp_path.glob("*.mp4"))) == (recorder in VIDEOS)


@pytest.mark.parametrize("recorder", VIDEOS)
@pytest.mark.parametrize("kind", NO_PICTURES)
def test_what_is_no_picture_stops_the_video_and_not_the_run(kind, recorder, tmp_path):
    pictures = [COLOR[0], COLOR[1], NO_PICTURES[kind], COLOR[2], COLOR[3]]
    env = VIDEOS[recorder](pictures, str(tmp_path))
    env.reset()
    env.step(action_of(env))

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        results = [env.step(action_of(env)) for _ in range(3)]

    assert [np.sum(result[1]) for result in results] == [env.cache.num_envs] * 3
    stopped = [str(one.message) for one in said if "stopped" in str(one.message)]
    assert len(stopped) == 1
    assert "expected" in stopped[0]
    assert not env.recording
    env.close()
    np.testing.assert_array_equal(env.cache[:2, 0], COLOR[:2])
    assert env.cache.episodes[0].total_reward == 2.0  # that of the step without one too
    (about,) = tmp_path.glob("*.json")
    assert json.loads(about.read_text())["num_frames"] == 2


@pytest.mark.parametrize("recorder", RECORDS)
@pytest.mark.parametrize("kind", [kind for kind in NO_PICTURES if kind != "None"])
def test_a_row_of_what_is_no_picture_is_recorded_without_it(kind, recorder, tmp_path):
    pictures = [COLOR[0], COLOR[1], NO_PICTURES[kind], COLOR[2]]
    env = RECORDS[recorder](pictures, tmp_path)
    env.reset()
    env.step(action := action_of(env))

    with pytest.warns(rv.RolloutViewerWarning, match="expected.*Row 2 is recorded"):
        env.step(action)
    env.step(action)

    np.testing.assert_array_equal(env.cache[[0, 1, 3], 0], COLOR[:3])
    assert not env.cache.is_shown(2, 0)
    assert env.cache.episodes[0].total_reward == 3.0
    env.close()


@pytest.mark.parametrize("recorder", VIDEOS)
def test_a_trigger_that_fails_ends_no_training(recorder, tmp_path):
    env = VIDEOS[recorder](COLOR, str(tmp_path))
    name = "record_video_trigger" if hasattr(env, "venv") else "episode_trigger"
    setattr(env, name, lambda _: 1 / 0)

    with pytest.warns(UserWarning, match="Recording stopped: ZeroDivisionError"):
        env.reset()
    setattr(env, name, lambda _: False)
    env.step(action_of(env))
    env.close()


def test_an_observation_of_unequal_lists_is_left_out(tmp_path):
    bare: Any = Shown(COLOR)
    bare.observation_space = gym.spaces.Box(-1, 1, (2,))
    bare.step = lambda action: ([[1, 2], [3]], 1.0, False, False, {})

    for make in (rv.record, lambda env: rv.RecordVideo(env, str(tmp_path), always)):
        bare.time = -1
        env = make(bare)
        env.reset()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            env.step(0)
            env.step(0)
        assert len(said) == (make is rv.record)  # once in a process
        assert all("'obs' of one shape" in str(one.message) for one in said)
        assert env.cache.num_rows == 3
        env.close()
