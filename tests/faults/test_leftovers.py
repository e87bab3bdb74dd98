"""Nothing is left behind: no part of a file, no file of a dead process."""

from __future__ import annotations

import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.compact import compact
from tests.faults.interrupts import interrupted, places_of
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
    places = places_of(lambda: work(path))
    (tmp_path / "copy.rollout").unlink(missing_ok=True)
    for at in random.Random(1).choices(places, k=NUM_INTERRUPTS):
        with interrupted(at) as interrupt:
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


RECORD = """
import os, signal, sys, time
import numpy as np
import rollout_viewer as rv

cache = rv.FrameCache()
for row in range(40):
    cache.append(np.full((1, 8, 8, 3), row, np.uint8))
while cache._live._handled_rows < 40:
    time.sleep(0.01)
print(cache.path, flush=True)
if sys.argv[1] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "wait":
    sys.stdin.read()
"""


class Temporary:
    """A folder for temporary recordings, and processes that make them."""

    def __init__(self, folder):
        self.folder = folder

    def start(self, how):
        return subprocess.Popen(
            [sys.executable, "-c", RECORD, how],
            env={**os.environ, "TMPDIR": str(self.folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, how="end"):
        with self.start(how) as process:
            return pathlib.Path(process.stdout.readline().strip())

    def names(self):
        return {path.name for path in self.folder.iterdir()}

    def make_old(self, age_s=100.0):
        for path in self.folder.iterdir():
            os.utime(path, (time.time() - age_s,) * 2)


@pytest.fixture
def temporary(tmp_path):
    return Temporary(tmp_path)


def test_what_a_killed_process_left_is_deleted_by_the_next(temporary):
    temporary.run("kill")
    assert len(temporary.names()) == 4  # with log, its index and what shows it is alive
    temporary.run()
    assert len(temporary.names()) == 4  # too young
    temporary.make_old()
    temporary.run()
    assert temporary.names() == set()


def test_a_running_process_keeps_its_files(temporary):
    with temporary.start("wait") as process:
        process.stdout.readline()
        before = temporary.names()
        temporary.make_old(1e6)
        temporary.run()
        assert temporary.names() == before
        process.stdin.close()
    assert temporary.names() == set()


def test_a_number_that_another_process_has_now_protects_nothing(temporary):
    path = temporary.run("kill")
    _, pid, rest = path.name.split("-", 2)
    for left in list(temporary.folder.iterdir()):
        name = left.name.replace(f"-{pid}-", f"-{os.getppid()}-")
        left.rename(left.with_name(name))
    temporary.make_old()
    temporary.run()
    assert temporary.names() == set(), rest


def test_what_an_earlier_version_left_is_deleted_after_a_day(temporary):
    gone = temporary.run("kill").name.split("-")[1]
    for path in temporary.folder.iterdir():
        path.unlink()
    for pid in (gone, os.getpid()):
        (temporary.folder / f"rollout-{pid}-0123456789ab.rollout").touch()
        (temporary.folder / f"rollout-{pid}-0123456789ab.rollout-wal").touch()
    (temporary.folder / "rollout-1-mine.rollout").touch()
    temporary.make_old(3600)
    temporary.run()
    assert len(temporary.names()) == 5
    temporary.make_old(100_000)
    temporary.run()
    kept = f"rollout-{os.getpid()}-0123456789ab.rollout"
    assert temporary.names() == {kept, f"{kept}-wal", "rollout-1-mine.rollout"}
