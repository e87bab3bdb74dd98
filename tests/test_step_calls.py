"""Which functions of ours a recorded step calls: each takes up to a microsecond.

An environment's step leaves nothing of them in the processor's caches. Counted, not
timed: of recorders and sources, above the cache.
"""

import contextlib
import pathlib
import sys
from collections import Counter

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv

PACKAGE = pathlib.Path(rv.__file__).parent
LAYERS = tuple(f"{PACKAGE / name}/" for name in ("_recorder", "sources"))


class WithInfo(gymnasium.Wrapper):
    """Returns numbers as info, as Atari environments do."""

    def step(self, action):
        obs, reward, terminated, truncated, _ = self.env.step(action)
        return obs, reward, terminated, truncated, {"lives": 3, "frame": 5.0}


def game():
    return WithInfo(CountingEnv([1000]))


@contextlib.contextmanager
def counting_calls(called):
    def count(frame, event, arg):
        del arg
        if event == "call" and frame.f_code.co_filename.startswith(LAYERS):
            called[frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


def calls_of(step):
    """Return how often a step calls functions of ours, once it is like others."""
    for _ in range(3):
        step()
    called = Counter()
    with counting_calls(called):
        for _ in range(4):
            step()
    return {name: count / 4 for name, count in called.items()}


def test_a_recorded_step_calls_few_functions(tmp_path):
    env = rv.record(game(), cache=tmp_path / "run.rollout")
    env.reset(seed=0)

    calls = calls_of(lambda: env.step(1))

    assert sum(calls.values()) <= 28, calls
    now = env.cache.at(env.cache.num_rows - 1, 0)
    assert (now["info.lives"], now["info.frame"]) == (3, 5)
    env.close()


def test_a_step_of_a_video_calls_few_functions(tmp_path):
    env = rv.RecordVideo(game(), str(tmp_path), lambda _: True, video_length=500)
    env.reset(seed=0)

    calls = calls_of(lambda: env.step(1))

    assert sum(calls.values()) <= 34, calls
    env.close()


def test_a_step_of_a_vec_video_calls_few_functions(tmp_path):
    sb3 = pytest.importorskip("stable_baselines3", reason="the extra sb3 is missing")
    venv = sb3.common.vec_env.DummyVecEnv([game])
    env = rv.VecVideoRecorder(venv, str(tmp_path), lambda step: step == 0, 500)
    env.reset()

    calls = calls_of(lambda: env.step(np.array([1])))

    assert sum(calls.values()) <= 42, calls
    env.close()


def test_a_step_of_torchrls_recorder_calls_few_functions():
    pytest.importorskip("torchrl", reason="the extra torchrl is not installed")
    from torchrl.envs import GymEnv, TransformedEnv

    recorder = rv.VideoRecorder(None, "video", skip=1)
    env = TransformedEnv(GymEnv("CartPole-v1", from_pixels=True), recorder)
    data = [env.rand_action(env.reset())]

    def step():
        _, data[0] = env.step_and_maybe_reset(env.rand_action(data[0]))

    calls = calls_of(step)

    assert sum(calls.values()) <= 84, calls
    assert recorder.cache.num_rows == 8
    env.close()
