"""What is collected ends, whatever the collector runs in the middle of.

Each in a process of its own, which has to end: on a fault it would wait for ever.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import rollout_viewer as rv
from tests.faults.recorders import ROOT

BEGIN = """
import gc, sys, threading
import numpy as np
import rollout_viewer as rv

gc.disable()
cache = rv.FrameCache(sys.argv[1])
for row in range(45):
    cache.append(np.full((1, 8, 8, 3), row, np.uint8))
recording = cache._live
cycle = [cache]
cycle.append(cycle)
"""
# The collector waits for an end that has an obstacle: not for seconds, here.
HASTY = """
from rollout_viewer._process import finalizers
finalizers._WAIT_S = 0.2
"""
# Where the collector runs, when nothing but the cycle has the cache.
MIDDLES = {
    "nowhere": """
del cycle, cache
gc.collect()
""",
    "threading.enumerate": """
del cycle, cache
with threading._active_limbo_lock:
    gc.collect()
""",
    "a reader": """
del cycle, cache
with recording._lock:
    gc.collect()
""",
    "the thread of the writer": """
writer, collected = recording._writer, threading.Event()
make_tail = writer._make_tail

def collect():
    writer._make_tail = make_tail
    gc.collect()
    collected.set()
    return make_tail()

del cycle, cache
writer._make_tail = collect
assert collected.wait(60)
""",
}
IS_ENDED = "print(recording.is_closed, flush=True)"


@pytest.mark.parametrize("middle", MIDDLES)
def test_a_recording_that_is_collected_is_closed(tmp_path, middle):
    path = tmp_path / "run.rollout"

    begin = BEGIN if middle == "nowhere" else HASTY + BEGIN
    done = subprocess.run(
        [sys.executable, "-c", begin + MIDDLES[middle] + IS_ENDED, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    # Elsewhere it ends a little later.
    assert middle != "nowhere" or done.stdout == "True\n"
    assert [one.name for one in tmp_path.iterdir()] == ["run.rollout"]
    with rv.open(path) as opened:
        assert opened.num_rows == 45
        assert [
            int(
                opened[
                    row,
                    0,
                ][0, 0, 0]
            )
            for row in (0, 31, 32, 44)
        ] == [0, 31, 32, 44]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_worker_ends_when_what_it_collects_has_ended(tmp_path):
    path = tmp_path / "run.rollout"
    work = f"""
import multiprocessing, sys

BODY = {HASTY + BEGIN + MIDDLES["threading.enumerate"]!r}

def work(path):
    sys.argv[1] = path
    exec(BODY, {{}})

if __name__ == "__main__":
    worker = multiprocessing.get_context("fork").Process(target=work, args=sys.argv[1:])
    worker.start()
    worker.join(50)
    sys.exit(worker.exitcode)
"""

    done = subprocess.run(
        [sys.executable, "-c", work, str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    (found,) = tmp_path.iterdir()  # with the number of the process in its name
    assert rv.open(found).num_rows == 45
