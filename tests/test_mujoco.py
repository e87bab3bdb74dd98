"""Pictures of MuJoCo's environments, in a process of their own for its renderer."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("mujoco", reason="the extra gymnasium[mujoco] is not installed")

SCRIPT = """
import gc, sys, tempfile
import gymnasium as gym, numpy as np
import rollout_viewer as rv
from gymnasium.vector import SyncVectorEnv
from stable_baselines3.common.vec_env import DummyVecEnv

def make(name="InvertedPendulum-v5"):
    return gym.make(name, render_mode="rgb_array", width=64, height=48)

def always(n):
    return True

folder, two = tempfile.mkdtemp(), [make, make]
makers = {
    "RecordVideo": lambda: rv.RecordVideo(make(), folder, always),
    "VectorRecordVideo": lambda: rv.VectorRecordVideo(
        SyncVectorEnv(two), folder, episode_trigger=always
    ),
    "VecVideoRecorder": lambda: rv.VecVideoRecorder(DummyVecEnv(two), folder, always),
    "record(Env)": lambda: rv.record(make()),
    "record(VectorEnv)": lambda: rv.record(SyncVectorEnv(two)),
    "record(VecEnv)": lambda: rv.record(DummyVecEnv(two)),
}

def alone(seed):
    env = make()
    env.reset(seed=seed)
    pictures = [env.render()]
    for _ in range(5):
        env.step(np.zeros(1, np.float32))
        pictures.append(env.render())
    env.close()
    return np.array(pictures)

def recorded(env, disturb):
    if hasattr(env, "seed"):
        env.seed(3)
        env.reset()
    else:
        env.reset(seed=3)
    shape = (1,) if isinstance(env, gym.Env) else (env.num_envs, 1)
    for step in range(5):
        disturb(step)
        env.step(np.zeros(shape, np.float32))
    envs = range(env.cache.num_envs)
    found = [np.array([env.cache[row, e] for row in range(6)]) for e in envs]
    env.close()
    return found

class Other:
    # Renders, is closed, and is deleted, which deletes its objects in any context.
    env = None
    def __call__(self, step):
        if step in (0, 3):
            self.env = make("HalfCheetah-v5")
            self.env.reset(seed=0)
            self.env.render()
        elif step == 1:
            self.env.close()
        else:
            self.env = None
            gc.collect()

expected = [alone(3), alone(4)]
wrong = []
for name, maker in makers.items():
    for env, found in enumerate(recorded(maker(), Other())):
        if not np.array_equal(found, expected[env]):
            rows = (found != expected[env]).any(axis=-1).mean(axis=(1, 2)).round(2)
            wrong.append(f"{name}, env {env}: {rows.tolist()}")
assert not wrong, wrong
"""


def test_an_env_that_renders_closes_or_ends_changes_no_pixel_of_another():
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT],
        env={**os.environ, "MUJOCO_GL": "osmesa"},
        capture_output=True,
        text=True,
        check=False,
    )

    if "OSMesa" in found.stderr and "assert" not in found.stderr:
        pytest.skip("OSMesa is not installed")
    assert found.returncode == 0, found.stderr[-2000:]
