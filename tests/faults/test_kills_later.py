"""What is left of a recording without pictures whose process is killed.

Its rows wait for one another, in a file of their own. `FAULTS=long` kills 90 processes,
else 9.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

import rollout_viewer as rv
from tests.faults.later_loops import LOOPS, assert_same, calls
from tests.faults.recorders import ROOT
from tests.faults.survival import survives

pytest.importorskip("mujoco", reason="HalfCheetah needs it")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="loops are forked")

IS_LONG = os.environ.get("FAULTS") == "long"
NUM_KILLS = 90 if IS_LONG else 9
SEED = int(time.time()) if IS_LONG else 20_262
KILLS = survives(
    "`kill -9` of a loop with `render='later'`",
    kept="every row but the newest, exact; the episodes that began in them are "
    "rendered as ever",
    lost="the last 32 rows",
    seen="nothing; `rv.open` shows what is there",
)


@pytest.fixture(scope="module")
def server():
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.later_loops"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MUJOCO_GL": "osmesa"},
    ) as process:
        yield process
        process.stdin.close()


def killed(server, folder, loop, num_calls, pause_s=0.0):
    """Record that many calls, and kill the process; return the file and the calls."""
    path, log = folder / "run.rollout", folder / "log"
    line = {"path": str(path), "log": str(log), "loop": loop, "pause_s": pause_s}
    server.stdin.write(json.dumps(line) + "\n")
    server.stdin.flush()
    pid = int(server.stdout.readline())
    deadline_s = time.monotonic() + 60
    while not log.exists() or log.stat().st_size < num_calls:
        assert time.monotonic() < deadline_s, "the loop does not record"
    os.kill(pid, signal.SIGKILL)
    # It has ended once another one can be forked.
    server.stdin.write("\n")
    server.stdin.flush()
    assert server.stdout.readline() == "\n"
    return path, log.stat().st_size


def truth(loop, num_rows):
    """Return the cache of the same loop, that many rows long."""
    for env in calls(loop, None):
        if env.cache.num_rows == num_rows:
            return env
    raise AssertionError


@pytest.mark.serial
@KILLS
def test_a_killed_loop_has_lost_32_rows_at_most(server, tmp_path, figures):
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    losses, num_rows = [], 0
    for number in range(NUM_KILLS):
        loop = list(LOOPS)[number % len(LOOPS)]
        folder = tmp_path / str(number)
        folder.mkdir()

        path, count = killed(server, folder, loop, rng.randrange(1, 1500))
        with rv.open(path) as cache:
            found = cache.num_rows
            where = f"{number} {loop}: {found} of {count}"
            # The last one may be there, and not be counted.
            assert count - 32 <= found <= count + 1, where
            env = truth(loop, found) if found else None
            if env is not None:
                assert_same(cache, env.cache)
                env.close()
            saved = cache.save(folder / "copy.rollout") if found else None
        cache.recording.release()
        if saved is not None:
            with rv.open(saved) as copy, rv.open(path) as cache:
                assert_same(copy, cache)
            cache.recording.release()

        names = {one.name for one in folder.iterdir()} - {"log"}
        assert names <= {
            path.name,
            f"{path.name}-wal",
            f"{path.name}-shm",
            "copy.rollout",
            f"{path.name}.lock",
        }
        losses.append(count - found)
        num_rows += found
    figures(
        f"seed {SEED}: {NUM_KILLS} kills, {num_rows:,} rows found, exact; at most "
        f"{max(losses)} lost"
    )
