"""What is left of a recording whose disk is full or slow, or that others read.

test_kills.py kills the process.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

import rollout_viewer as rv
from tests.faults.survival import survives


def frames_of(row, seed):
    """Return what is recorded at a row: repeats, small changes and noise."""
    rng = np.random.default_rng([seed, row // 3])
    frames = np.full((2, 9, 7, 3), row // 100, np.uint8)
    frames[0] = rng.integers(0, 256, (9, 7, 3))
    frames[1, row % 9] = seed
    return frames


@pytest.mark.serial
@survives(
    "a disk slower than the recording",
    kept="everything; `append` waits, `max_stall_s` at most",
    lost="after that, pictures beyond an eighth of `memory_bytes`, counted",
    seen="one `RolloutViewerWarning`",
)
def test_a_disk_that_stays_too_slow_is_waited_for_once_and_reported(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout", max_stall_s=0.2)
    with contextlib.closing(sqlite3.connect(cache.path, isolation_level=None)) as disk:
        disk.execute("PRAGMA busy_timeout = 5000")
        disk.execute("BEGIN IMMEDIATE")
        start_s = time.monotonic()
        with pytest.warns(rv.RolloutViewerWarning, match="slower") as caught:
            for row in range(200):
                cache.append(frames_of(row, 0), reward=[row, -row])
        waited_s = time.monotonic() - start_s
        disk.execute("ROLLBACK")

    cache.flush()

    assert len(caught) == 1
    assert 0.2 <= waited_s < 2
    assert cache.num_lost == 0
    cache.append(frames_of(200, 0), reward=[0, 0])
    assert not cache._live.is_behind
    cache.close()
    assert rv.open(cache.path).num_rows == 201


@pytest.fixture
def small_disk(tmp_path):
    """Return a folder on a disk of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    command = [mount or "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if mount is None or os.geteuid() != 0:
        pytest.skip("a tmpfs is mounted by root")
    if (done := subprocess.run(command, capture_output=True, text=True)).returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@survives(
    "a full disk",
    kept="rewards, ends, actions and data, written when there is room or by `save`",
    lost="pictures from then on, counted in `num_lost`",
    seen="one `RolloutViewerWarning`; `flush` and `close` raise `StorageError`",
)
def test_a_disk_that_is_really_full_costs_pictures_only(small_disk, tmp_path):
    path = small_disk / "run.rollout"
    cache = rv.FrameCache(path)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (1600, 1, 30, 30, 3), np.uint8)  # 4.3 MB

    with pytest.warns(rv.RolloutViewerWarning, match="full") as caught:
        for row, images in enumerate(frames):
            cache.append(images, reward=float(row))
            if row % 32 == 31:
                cache._live._writer.drain()

    assert len(caught) == 1
    assert 0 < cache.num_lost < 1600
    assert cache.scalars["reward"][1599, 0] == 1599
    with pytest.raises(rv.StorageError, match="full"):
        cache.flush()
    saved = rv.open(cache.save(tmp_path / "saved.rollout"))
    assert saved.num_rows == 1600
    shown = [row for row in range(1600) if saved.has_picture(row, 0)]
    assert len(shown) == 1600 - cache.num_lost
    assert all((saved[row] == frames[row]).all() for row in shown)
    with pytest.raises(rv.StorageError, match="full"):
        cache.close()
    assert 0 < rv.open(path).num_rows <= 1600


@pytest.mark.parametrize("num_rows", [1600, 1610])
def test_a_disk_that_is_full_to_the_end_has_all_numbers_and_the_count(
    small_disk, num_rows
):
    path = small_disk / "run.rollout"
    cache = rv.FrameCache(path)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (num_rows, 1, 30, 30, 3), np.uint8)
    with pytest.warns(rv.RolloutViewerWarning, match="full"):
        for row, images in enumerate(frames):
            cache.append(images, reward=float(row))
            if row % 32 == 31:
                cache._live._writer.drain()
    with contextlib.suppress(OSError), open(small_disk / "other", "wb", 0) as other:
        while True:  # no byte is free
            other.write(bytes(256))

    with pytest.raises(rv.StorageError, match="full"):
        cache.close()
    shown = [row for row in range(num_rows) if cache.has_picture(row, 0)]
    assert len(shown) + cache.num_lost == num_rows
    cache.recording.release()

    with rv.open(path) as opened:
        assert opened.num_rows == num_rows
        assert opened.scalars["reward"][:, 0].tolist() == list(range(num_rows))
        assert opened.num_lost == cache.num_lost > 0
        there = [row for row in range(num_rows) if opened.has_picture(row, 0)]
        assert there == shown
        assert all((opened[row] == frames[row]).all() for row in shown)
        assert opened.recording.meta["is_closed"]
    assert not path.with_name("run.rollout.lock").exists()


def test_step_data_of_a_disk_that_fails_stays_readable_and_is_written_later(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout", max_stall_s=0.1)
    other = sqlite3.connect(cache.path, isolation_level=None)
    cache._live._file._connection.execute("PRAGMA busy_timeout = 1")
    cache.append(np.zeros((4, 4, 3), np.uint8), data={"obs": [0.0]})
    cache.flush()
    other.execute("BEGIN IMMEDIATE")

    with pytest.warns(rv.RolloutViewerWarning, match="locked"):
        for row in range(1, 100):
            cache.append(np.full((4, 4, 3), row, np.uint8), data={"obs": [row]})
            if row % 32 == 31:
                cache._live._writer.drain()

    assert [cache.at(row, 0).obs for row in range(100)] == list(range(100))
    assert cache.num_lost > 0
    saved = rv.open(cache.save(tmp_path / "saved.rollout"))
    assert [saved.at(row, 0).obs for row in range(100)] == list(range(100))
    other.execute("ROLLBACK")
    other.close()
    with pytest.raises(rv.StorageError):
        cache.close()
    opened = rv.open(cache.path)
    assert [opened.at(row, 0).obs for row in range(100)] == list(range(100))


READER = """
import sys
import rollout_viewer as rv
cache = rv.open(sys.argv[1])
print(cache.num_rows, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("last", ["reader", "writer"])
def test_the_last_who_has_an_ended_recording_open_leaves_one_file(tmp_path, last):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path)
    for _ in range(40):
        cache.append(np.zeros((4, 4, 3), np.uint8))
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with reader:
        reader.stdout.readline()
        cache.append(np.zeros((4, 4, 3), np.uint8))
        cache.close()
        assert len(list(tmp_path.iterdir())) > 1
        if last == "reader":
            cache.recording.release()
    cache.recording.release()

    assert [one.name for one in tmp_path.iterdir()] == ["run.rollout"]
    assert rv.open(path).num_rows == 41
