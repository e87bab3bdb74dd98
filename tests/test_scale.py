"""Many environments at once. A million rows is `make bench FULL=1`, in minutes."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._codec import CHUNK_ROWS
from rollout_viewer._readers import Readers

# The default.
MEMORY_BYTES = 256_000_000

# Prints by how much the process grew at most: while it recorded, and with reading.
GROW = """
import pathlib, sys
import numpy as np
import rollout_viewer as rv

def peak_bytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])

num_envs, memory_bytes, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
rng = np.random.default_rng(0)
frames = rng.integers(0, 256, (num_envs, 84, 84, 3), np.uint8)
out = np.zeros((1, 1, 84, 84, 3), np.uint8)
with rv.FrameCache() as cache:  # what imports and first rows take anyway
    cache.append(frames[:1])
    cache.frames(0, out=out)
before = peak_bytes()
with rv.FrameCache(path, memory_bytes=memory_bytes) as cache:
    for row in range(70):
        frames[:, row % 84, :8] ^= 255
        cache.append(frames, reward=np.zeros(num_envs), kind="step")
    for row in (69, 3, 40):
        for env in range(num_envs):
            cache.frames(row, envs=[env], out=out)
    assert (out[0, 0, -1] == frames[-1, -1]).all()
print(peak_bytes() - before)
"""


@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(),
    reason="only Linux tells the most that a process had",
)
def test_a_thousand_pictured_envs_stay_within_the_memory_budget(tmp_path):
    path = tmp_path / "run.rollout"
    arguments = ["1024", str(MEMORY_BYTES), str(path)]

    done = subprocess.run(
        [sys.executable, "-c", GROW, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )

    # 70 rows are 1.5 GB of pixels.
    assert int(done.stdout) < MEMORY_BYTES
    cache = rv.open(path)
    assert (cache.num_rows, cache.num_envs) == (70, 1024)
    assert len(cache.pictured_envs) == 1024


def test_thousands_of_envs_give_rewards_while_a_few_give_pictures(tmp_path):
    num_envs, pictured = 4096, range(0, 4096, 256)
    rng = np.random.default_rng(0)
    rewards = rng.normal(size=(70, num_envs))
    frames = rng.integers(0, 256, (70, len(pictured), 12, 10, 3), np.uint8)
    terminated = rng.random((70, num_envs)) < 0.02
    path = tmp_path / "run.rollout"

    with rv.FrameCache(path) as cache:
        for row in range(70):
            cache.append(
                frames[row],
                envs=pictured,
                reward=rewards[row],
                terminated=terminated[row],
                kind="step",
            )
        assert len(cache._recording._encoders) == len(pictured)
    opened = rv.open(path)

    for one in (cache, opened):
        assert (one.num_rows, one.num_envs) == (70, num_envs)
        assert list(one.pictured_envs) == list(pictured)
        np.testing.assert_array_equal(one[:], frames)
        np.testing.assert_array_equal(one.scalars["reward"], rewards)
        assert not one.has_picture(3, 1)
        assert one.at(69, 4095).reward == rewards[69, 4095]
    assert opened.episodes == cache.episodes
    # An episode begins with the recording, and with the row after each end.
    begun = num_envs + int(terminated[:-1].sum())
    assert len(opened.episodes) == begun


def test_blocks_without_pictures_take_their_share_of_the_readers_budget():
    cache = rv.FrameCache()
    cache.append(np.zeros((1, 8, 8, 3), np.uint8), kind="step", reward=[0])
    for _ in range(40 * CHUNK_ROWS):
        cache.append([None], kind="step", reward=[0])
    readers = Readers(budget_bytes=4096)

    shown = [
        readers.is_shown(cache._recording, block * CHUNK_ROWS, 0) for block in range(40)
    ]

    assert shown == [True, *[False] * 39]
    assert 1 < len(readers._entries) < 20
