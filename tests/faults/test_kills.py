"""What is left of a recording whose process is killed, stopped, or misled by its clock.

Real processes record, in `recorders`. `FAULTS=long` kills 200 of them, else 6.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

import rollout_viewer as rv
from tests.faults.recorders import (
    ROOT,
    SHAPES,
    append,
    check,
    recorders,
    rows_logged,
)
from tests.faults.survival import survives

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="recorders are forked")

IS_LONG = os.environ.get("FAULTS") == "long"
NUM_KILLS = 200 if IS_LONG else 6
# Beside other tests, the writer's thread may have to wait for a core.
MAX_AGE_S = 4.0 if IS_LONG else 1.0
SEED = 20_261
KILLS = survives(
    "`kill -9`, or the kernel's out-of-memory killer",
    kept="every row but the newest, exact to the pixel; the file opens",
    lost="the rows of the last second, 32 at most",
    seen="nothing; `rv.open` shows what is there",
)


class BusyDisk:
    """Locks a recording for moments, as a disk that pauses would; a thread."""

    def __init__(self, path, seed) -> None:
        self._path, self._rng = path, random.Random(seed)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.closing(
            sqlite3.connect(self._path, isolation_level=None)
        ) as disk:
            disk.execute("PRAGMA busy_timeout = 5000")
            while not self._is_over.wait(self._rng.uniform(0, 0.05)):
                disk.execute("BEGIN IMMEDIATE")
                self._is_over.wait(self._rng.uniform(0, 0.2))
                disk.execute("ROLLBACK")

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()


@pytest.mark.serial
@KILLS
def test_what_a_killed_process_recorded_is_a_prefix_of_what_it_appended(
    tmp_path, figures
):
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    losses, ages, num_rows = [], [], 0
    with recorders() as server:
        for number in range(NUM_KILLS):
            path, log = tmp_path / f"{number}.rollout", tmp_path / f"{number}.log"
            shape = list(SHAPES)[number % len(SHAPES)]
            is_slow = number % 5 == 4
            # At 20 ms a row, blocks of 32 rows end later than half seconds do.
            pause_s = rng.choice((0.0, 0.001, 0.02, 0.05))
            pid = server.start(path, log, shape=shape, seed=number, pause_s=pause_s)
            with contextlib.ExitStack() as stack:
                if is_slow:
                    stack.callback(BusyDisk(path, number).close)
                time.sleep(rng.uniform(0, 1.2 if pause_s else 0.3))
                killed_at = time.monotonic()
                os.kill(pid, signal.SIGKILL)

            times = rows_logged(log)
            found = check(path, SHAPES[shape], number)

            # The last row may have been stored before it was logged.
            assert found <= len(times) + 1, (number, shape)
            assert len(times) - found <= 32, (number, shape)
            losses.append(len(times) - found)
            num_rows += found
            if not is_slow:
                ages += [killed_at - when for when in times[found : found + 1]]
            for one in tmp_path.glob(f"{number}.*"):
                one.unlink()

    assert max(ages, default=0) < MAX_AGE_S
    figures(
        f"seed {SEED}: {NUM_KILLS} kills, {num_rows:,} rows found: 0 wrong pixels, at "
        f"most {max(losses)} rows lost, the oldest {max(ages, default=0):.2f} s old"
    )


@KILLS
def test_appends_that_outrun_the_disk_wait_so_that_a_kill_costs_32_rows(tmp_path):
    path, log = tmp_path / "run.rollout", tmp_path / "log"
    with recorders() as server:
        pid = server.start(path, log, shape="16 envs", seed=7, pause_s=0.0)
        # Nothing is as slow as a file that another connection has locked.
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as disk:
            disk.execute("PRAGMA busy_timeout = 5000")
            while len(rows_logged(log)) < 100:
                time.sleep(0.001)
            disk.execute("BEGIN IMMEDIATE")
            before = -1
            while before != (count := len(rows_logged(log))):
                before = count
                time.sleep(0.3)
            os.kill(pid, 0)  # it waits, and has not ended
            os.kill(pid, signal.SIGKILL)
            while len(rows_logged(log)) != count:
                count = len(rows_logged(log))
            disk.execute("ROLLBACK")

    assert count - check(path, SHAPES["16 envs"], 7) == 32


@survives(
    "a writer that is stopped (`SIGSTOP`, a suspended laptop)",
    kept="everything",
    lost="nothing",
    seen="readers show the rows so far, and follow when it continues",
)
def test_a_stopped_writer_can_be_read_and_followed_when_it_continues(tmp_path):
    path, log = tmp_path / "run.rollout", tmp_path / "log"
    rng = random.Random(SEED)
    seen = []
    with recorders() as server:
        pid = server.start(path, log, shape="two cameras", seed=3, pause_s=0.001)
        try:
            for _ in range(8 if IS_LONG else 3):
                time.sleep(rng.uniform(0, 0.3))
                os.kill(pid, signal.SIGSTOP)
                with rv.open(path) as cache:
                    start_s = time.monotonic()
                    num_rows = cache.num_rows
                    rows = range(num_rows)
                    last = cache.frames(rows, camera="wrist") if rows else []
                    assert time.monotonic() - start_s < 10
                    assert len(last) == num_rows
                    os.kill(pid, signal.SIGCONT)
                    deadline_s = time.monotonic() + 30
                    while cache.num_rows < num_rows + 40:
                        assert time.monotonic() < deadline_s
                        time.sleep(0.01)
                    seen.append(cache.num_rows)
                cache.recording.release()
        finally:
            os.kill(pid, signal.SIGKILL)

    found = check(path, SHAPES["two cameras"], 3)
    assert found >= max(seen)
    assert len(rows_logged(log)) - found <= 32


CLOCK = """
import random, sys, threading, time
true_time, true_monotonic = time.time, time.monotonic
rng = random.Random(int(sys.argv[2]))
shift = [0.0]

def jump():
    if rng.random() < 0.2:
        shift[0] = rng.choice((0, -3600, 3600, -86400, 1e7, -1e7, 0.3))
    return shift[0]

time.time = lambda: true_time() + jump()
# The time since the start of a machine, which a virtual machine may set forward.
time.monotonic = threading._time = lambda: true_monotonic() + max(jump(), 0)

import rollout_viewer as rv
from tests.faults.recorders import SHAPES, append
shape = SHAPES["two cameras"]
cache = rv.FrameCache(sys.argv[1])
for row in range(300):
    append(cache, shape, row, 5)
    if row % 100 == 50:
        cache.flush()
        assert rv.open(sys.argv[1]).num_rows == row + 1
cache.save(sys.argv[1] + ".copy")
cache.close()
print(cache.num_rows, cache.num_lost)
"""


@survives(
    "a clock that jumps, forward or back",
    kept="everything",
    lost="nothing",
    seen="nothing",
)
def test_a_clock_that_jumps_costs_nothing(tmp_path, figures):
    num_clocks = 8 if IS_LONG else 2
    for seed in range(SEED, SEED + num_clocks):
        path = tmp_path / f"{seed}.rollout"

        done = subprocess.run(
            [sys.executable, "-c", CLOCK, str(path), str(seed)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
        )

        assert done.stdout.split() == ["300", "0"], (seed, done.stderr)
        assert check(path, SHAPES["two cameras"], 5) == 300, seed
    figures(f"seeds from {SEED}: {num_clocks} clocks, 300 rows each, all there")


SECOND = """
import sys
import rollout_viewer as rv
try:
    rv.FrameCache(sys.argv[1])
except rv.RecordingLockedError as error:
    print(error)
try:
    rv.open(sys.argv[1]).bookmark(0, "mine")
except rv.RecordingLockedError as error:
    print(error)
"""


@survives(
    "a second process that records into the same file",
    kept="everything of the first",
    lost="nothing",
    seen="`RecordingLockedError`, with the writer's pid and host",
)
def test_a_second_writer_is_refused_by_name_and_the_first_is_unharmed(tmp_path):
    path, shape = tmp_path / "run.rollout", SHAPES["two cameras"]
    cache = rv.FrameCache(path)
    for row in range(50):
        append(cache, shape, row, 1)

    second = subprocess.run(
        [sys.executable, "-c", SECOND, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    for row in range(50, 100):
        append(cache, shape, row, 1)
    cache.close()

    lines = second.stdout.splitlines()
    assert len(lines) == 2, second.stderr
    assert all(f"process {os.getpid()} on " in line for line in lines)
    assert check(path, shape, 1) == 100
    assert rv.open(path).bookmarks == {}
    assert [p.name for p in tmp_path.iterdir()] == ["run.rollout"]
