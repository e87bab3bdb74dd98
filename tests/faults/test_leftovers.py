"""Nothing is left behind: no part of a file, no file of a dead process."""

from __future__ import annotations

import os
import resource
import signal

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.compact import compact
from tests.faults.interrupts import interrupted
from tests.faults.recordings import make_recording

IS_LONG = os.environ.get("FAULTS") == "long"
NUM_INTERRUPTS = 200 if IS_LONG else 6


def noise(row, size=64):
    return np.random.default_rng(row).integers(0, 255, (1, size, size, 3), np.uint8)


def save(path):
    with rv.open(path) as cache:
        cache.save(path.with_name("copy.rollout"))


@pytest.mark.parametrize("work", [save, compact])
def test_no_part_is_left_wherever_it_is_interrupted(tmp_path, work):
    path = make_recording(tmp_path / "run.rollout", 40)
    with interrupted(0) as counted:
        work(path)
    (tmp_path / "copy.rollout").unlink(missing_ok=True)
    rng = np.random.default_rng(1)
    for at in rng.integers(1, counted.num_places, NUM_INTERRUPTS):
        with interrupted(int(at)) as interrupt:
            work(path)
        names = {p.name for p in tmp_path.iterdir() if p.name != "copy.rollout"}
        (tmp_path / "copy.rollout").unlink(missing_ok=True)
        assert names <= {path.name, f"{path.name}.lock"}, interrupt.where


def test_a_part_is_deleted_whatever_is_raised(tmp_path, monkeypatch):
    path = make_recording(tmp_path / "run.rollout", 70)
    for error in (KeyboardInterrupt, SystemExit, MemoryError, ValueError):
        with rv.open(path) as cache:

            def fail(block, slot, error=error):
                raise error

            monkeypatch.setattr(cache.recording, "chunk", fail)
            with pytest.raises(error):
                cache.save(tmp_path / "copy.rollout")
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.fixture
def max_file_bytes():
    """A function that bounds the size of files, as a disk that becomes full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(nbytes=None):
        soft = limits[0] if nbytes is None else nbytes
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, limits[1]))

    yield limit
    limit()
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.filterwarnings("ignore::rollout_viewer.RolloutViewerWarning")
def test_pictures_that_were_lost_are_counted_in_the_file(tmp_path, max_file_bytes):
    with pytest.raises(rv.StorageError), rv.FrameCache(tmp_path / "a") as cache:
        for row in range(64):
            cache.append(noise(row))
        cache.flush()
        max_file_bytes(cache.path.stat().st_size + 100_000)
        for row in range(64, 200):
            cache.append(noise(row))
    max_file_bytes()
    assert cache.num_lost > 0
    with rv.open(cache.path) as opened:
        assert opened.num_lost == cache.num_lost
        assert opened.num_rows >= 192  # of the open block, pictures are beside rows
    with rv.open(cache.save(tmp_path / "copy")) as copy:
        assert copy.num_lost == cache.num_lost
