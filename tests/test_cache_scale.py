"""Recordings of very many envs: within the memory budget, and exact."""

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.decoder_cache import DecoderCache

MEMORY_BYTES = 64_000_000


def balls(row, num_envs, size=84):
    """Return a frame for each env: a ground of its own and a square that moves."""
    frames = np.empty((num_envs, size, size, 3), np.uint8)
    frames[:] = (np.arange(num_envs) % 251)[:, None, None, None]
    for env in range(0, num_envs, 3):
        top = (row + env) % (size - 8)
        frames[env, top : top + 8, 20:28] = 255 - env % 100
    return frames


def test_a_thousand_envs_are_recorded_within_the_memory_budget(tmp_path):
    path = tmp_path / "run.rollout"
    num_envs = 1024

    with rv.FrameCache(path, memory_bytes=MEMORY_BYTES) as cache:
        for row in range(40):
            cache.append(balls(row, num_envs), reward=np.arange(num_envs) + row)
            assert cache.recording.state_nbytes <= MEMORY_BYTES
        assert (cache[39] == balls(39, num_envs)).all()

    opened = rv.open(path)
    assert (opened.num_rows, opened.num_envs) == (40, num_envs)
    assert (opened[5, 999] == balls(5, num_envs)[999]).all()
    assert opened.scalars["reward"][7, 1023] == 1030
    assert opened.raw_nbytes > 50 * opened.nbytes


def test_thousands_of_envs_give_rewards_while_sixteen_give_pictures(tmp_path):
    path = tmp_path / "run.rollout"
    num_envs, pictured = 4096, list(range(0, 4096, 256))

    with rv.FrameCache(path) as cache:
        for row in range(70):
            cache.append(
                balls(row, 16),
                envs=pictured,
                reward=np.arange(num_envs) * 0.5,
                terminated=(np.arange(num_envs) + row) % 50 == 0,
                reset=(np.arange(num_envs) + row) % 50 == 1,
            )

    opened = rv.open(path)
    assert opened.pictured_envs == tuple(pictured)
    assert (opened[69, 256] == balls(69, 16)[1]).all()
    assert opened.scalars["reward"].shape == (70, num_envs)
    assert opened.at(3, 4095).reward == 2047.5
    assert len({episode.env for episode in opened.episodes}) == num_envs


@pytest.mark.slow
def test_many_thousand_rows_open_with_their_ends(tmp_path):
    path = tmp_path / "run.rollout"
    frames = balls(0, 64, size=16)
    num_rows = 40_000  # more than the 32,766 values of a statement of SQLite

    # Beside other tests, the writer's thread may have to wait for a core.
    with rv.FrameCache(path, max_stall_s=60) as cache:
        for row in range(num_rows):
            cache.append(frames[row % 64], reward=1.0, terminated=row % 1000 == 999)

    opened = rv.open(path)
    assert opened.num_rows == num_rows
    assert [episode.length for episode in opened.episodes] == [1000] * 40
    assert (opened[39_999, 0] == frames[39_999 % 64]).all()
    assert opened.find(0, 27, 500) == 27_499


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


@pytest.mark.serial
@pytest.mark.skipif(
    not pathlib.Path("/proc/self/status").exists(),
    reason="only Linux reports the peak memory of a process",
)
def test_a_thousand_pictured_envs_stay_within_the_memory_budget(tmp_path):
    path = tmp_path / "run.rollout"
    arguments = ["1024", str(256_000_000), str(path)]

    done = subprocess.run(
        [sys.executable, "-c", GROW, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )

    # 70 rows are 1.5 GB of pixels.
    assert int(done.stdout) < 256_000_000
    cache = rv.open(path)
    assert (cache.num_rows, cache.num_envs) == (70, 1024)
    assert len(cache.pictured_envs) == 1024


def test_blocks_without_pictures_take_their_share_of_the_readers_budget():
    cache = rv.FrameCache()
    cache.append(np.zeros((1, 8, 8, 3), np.uint8), kind="step", reward=[0])
    for _ in range(40 * CHUNK_ROWS):
        cache.append([None], kind="step", reward=[0])
    readers = DecoderCache(memory_bytes=4 * 4096)

    shown = [
        readers.is_shown(cache.recording, block * CHUNK_ROWS, 0) for block in range(40)
    ]

    assert shown == [True, *[False] * 39]
    assert 1 < len(readers._entries) < 20


def test_a_call_looks_once_at_what_another_process_has_added(tmp_path):
    with rv.FrameCache(tmp_path / "run.rollout") as writer:
        for row in range(40):
            writer.append(balls(row, 16, 32), reward=np.zeros(16))
        writer.flush()
        reader = rv.open(writer.path)
        asked: list[bool] = []
        recording: Any = reader.recording
        connection = recording._reader._connection.connection
        connection.set_trace_callback(lambda sql: asked.append("data_version" in sql))

        def looks(call):
            asked.clear()
            call()
            return sum(asked)

        assert looks(lambda: reader[7]) == 1
        assert looks(lambda: reader.frames(range(30), [3, 4])) == 1
        assert looks(lambda: reader.is_repeated(7, 3)) == 1
        assert looks(lambda: reader.at(7, 3)) == 1
        clip = reader.clip()
        # Not for each of its 640 pictures: twice for 32 rows, and to begin with.
        assert looks(lambda: list(clip.frames())) < 40

        # What came since is seen by the next call, whichever it is.
        for row in range(40, 44):
            writer.append(balls(row, 16, 32), reward=np.zeros(16))
            writer.flush()
            assert (reader[row] == balls(row, 16, 32)).all()
            assert reader.at(row, 3).has_picture
