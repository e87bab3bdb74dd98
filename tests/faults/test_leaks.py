"""Files, threads and memory are given back, however often and long one records.

`FAULTS=long`: 300 recordings, and the rows of a day; else a sample.
"""

from __future__ import annotations

import gc
import os
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
import pytest

import rollout_viewer as rv
from tests.faults.interrupts import IS_LONG
from tests.faults.rows import append, assert_holds, make_row
from tests.faults.survival import survives

NUM_RECORDINGS = 300 if IS_LONG else 12
# A day at two rows a second.
NUM_ROWS = 172_800 if IS_LONG else 2_000
ROWS = [make_row(number) for number in range(40)]

pytestmark = [
    pytest.mark.serial,
    survives(
        "hundreds of recordings in one process, and one for days",
        kept="all rows; pictures within `disk_bytes`",
        lost='pictures of the oldest episodes, with `keep="latest"`',
        seen="no more memory, files or threads than at the start",
    ),
]


class Held(NamedTuple):
    """What this process holds."""

    files: int
    threads: list[str]
    temporary: list[str]


def num_files() -> int:
    """Return how many files this process has open; 0 where none can be counted."""
    return psutil.Process().num_fds() if hasattr(os, "fork") else 0


def held() -> Held:
    """Return it when threads that were asked to end have ended."""
    gc.collect()
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s and any(
        thread.name.startswith("rollout_viewer") for thread in threading.enumerate()
    ):
        time.sleep(0.01)
    folder = Path(tempfile.gettempdir())
    return Held(
        num_files(),
        sorted(thread.name for thread in threading.enumerate()),
        sorted(path.name for path in folder.glob(f"rollout-{os.getpid()}-*")),
    )


def memory_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def use(path) -> None:
    """Record, save, read, follow and show; close only half of it."""
    kept, temporary = rv.FrameCache(path), rv.FrameCache()
    for row in ROWS:
        append(kept, row, ("pixels",))
        append(temporary, row, ("pixels",))
    with rv.open(kept.path) as followed:
        followed.subscribe(lambda start, stop: None)
        assert followed.num_rows <= 40
    viewer = rv.view(temporary)
    kept.close()
    assert_holds(rv.open(path), ROWS, "reopened")
    list(temporary.clip(0, 5).frames())
    viewer.close()


def test_recordings_give_back_files_threads_and_memory(tmp_path, figures):
    for number in range(5):  # what is imported, cached and pooled once
        use(tmp_path / f"first{number}.rollout")
    before, memory_before = held(), memory_mb()

    for number in range(NUM_RECORDINGS):
        use(tmp_path / f"{number}.rollout")
        (tmp_path / f"{number}.rollout").unlink()

    after, more_mb = held(), memory_mb() - memory_before
    assert after.files <= before.files
    assert Counter(after.threads) <= Counter(before.threads)
    assert set(after.temporary) <= set(before.temporary)
    assert more_mb < 20
    figures(
        f"{NUM_RECORDINGS} recordings: {after.files} open files and "
        f"{len(after.threads)} threads as before, {more_mb:+.0f} MB"
    )


def test_a_recording_for_a_day_needs_no_more_memory_than_for_an_hour(tmp_path, figures):
    def picture(row: int) -> np.ndarray:
        return np.random.default_rng(row).integers(0, 256, (20, 20, 3), np.uint8)

    cache = rv.FrameCache(
        tmp_path / "run.rollout",
        memory_bytes=4_000_000,
        disk_bytes=1_000_000 + 60 * NUM_ROWS,
        keep="latest",
        max_stall_s=60,
    )
    files, most_mb = num_files(), []

    for row in range(NUM_ROWS):
        cache.append(
            picture(row), reward=[float(row)], reset=[row % 100 == 0], action=[row]
        )
        if row % (NUM_ROWS // 40) == 0:
            cache.frames(max(0, row - 50))
            most_mb.append(memory_mb())
    cache.flush()

    size = cache.path.stat().st_size
    grown_mb = max(most_mb) - max(most_mb[:4])
    assert cache.num_lost == 0
    assert cache.num_evicted > 0
    assert size <= 1_000_000 + 60 * NUM_ROWS
    # 18 bytes of step data, an episode every 100 rows, and room to double.
    assert grown_mb < 20 + 100 * NUM_ROWS / 1e6
    assert np.array_equal(cache[NUM_ROWS - 1, 0], picture(NUM_ROWS - 1))
    assert num_files() <= files + 3  # it was opened for the first append
    cache.close()
    with rv.open(cache.path) as reopened:
        assert reopened.num_rows == NUM_ROWS
        rewards = reopened.scalars["reward"][:, 0]
        assert np.nansum(rewards) == sum(r for r in range(NUM_ROWS) if r % 100)
        last = reopened[NUM_ROWS - 1, 0]
        assert np.array_equal(last, picture(NUM_ROWS - 1))
    reopened.recording.release()
    assert [path.name for path in tmp_path.iterdir()] == ["run.rollout"]
    figures(
        f"{NUM_ROWS:,} rows, {cache.num_evicted:,} pictures evicted: a file of "
        f"{size / 1e6:.1f} MB, {grown_mb:+.1f} MB of memory"
    )
