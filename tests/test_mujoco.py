"""Pictures of MuJoCo's environments, in a process of their own for its renderer."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("mujoco", reason="the extra gymnasium[mujoco] is not installed")

SCRIPT = """
import sys, tempfile
import gymnasium as gym, numpy as np
import rollout_viewer as rv

def make():
    return gym.make("HalfCheetah-v5", render_mode="rgb_array", width=64, height=64)

def batch():
    return gym.vector.SyncVectorEnv([make])

env = {
    "record": lambda: rv.record(make()),
    "RecordVideo": lambda: rv.RecordVideo(make(), tempfile.mkdtemp(), lambda n: True),
    "vector": lambda: rv.RecordVideo(
        batch(), tempfile.mkdtemp(), episode_trigger=lambda n: True
    ),
}[sys.argv[1]]()
env.reset(seed=0)
other = make()
other.reset(seed=0)
other.render()
other.close()
env.reset(seed=0)
first, second = env.cache[0, 0], env.cache[env.cache.num_rows - 1, 0]
assert np.array_equal(first, second), (first != second).any(axis=-1).mean()
"""


@pytest.mark.parametrize("recorder", ["record", "RecordVideo", "vector"])
def test_another_envs_close_leaves_the_pictures_right(recorder):
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT, recorder],
        env={**os.environ, "MUJOCO_GL": "osmesa"},
        capture_output=True,
        text=True,
        check=False,
    )

    if "OSMesa" in found.stderr and "assert" not in found.stderr:
        pytest.skip("OSMesa is not installed")
    assert found.returncode == 0, found.stderr[-2000:]
