"""Two lanes for encoding one row: the caller's, and a thread for large frames.

numpy and zstd release the GIL, so two cores encode two frames at once. It pays for
large frames where a core is free, and costs where none is: running estimates of what
a row takes either way choose, row by row. The bytes are the same.

Source: the quickest of 8 CartPoles (720 kB each) take 0.34 ms a row instead of 0.55;
with five other processes on two cores, half of the rows take 2.1 ms instead of 1.4.
8 Pongs (100 kB each) always take a little longer.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._codec import ChunkEncoder

    Frame = npt.NDArray[np.uint8]

LARGE_BYTES = 256_000
# Every so many rows the slower way is taken, so that its estimate stays true.
_PROBE_EVERY = 32


class Job(NamedTuple):
    """What one encoder takes in this row: a frame, none, or its last one again."""

    encoder: ChunkEncoder
    frame: Frame | None
    is_repeat: bool = False
    is_late: bool = False


class Lanes:
    """Encodes rows. Encoders that share buffers must be in the same lane."""

    def __init__(self) -> None:
        self._thread: ThreadPoolExecutor | None = None
        self._has_cores = _num_cores() > 1
        # What a row takes in one lane and in two; 0: not known yet.
        self._seconds = [0.0, 0.0]
        self._num_rows = 0

    def lane(self, nbytes: int, num_before: int) -> int:
        """Return the lane, 0 or 1, of the next encoder of frames of one size.

        Args:
            nbytes: Of a frame.
            num_before: Encoders of that size that there are.
        """
        return num_before % 2 if self._has_cores and nbytes >= LARGE_BYTES else 0

    def run(self, here: Sequence[Job], aside: Sequence[Job]) -> None:
        """Do all jobs; `aside` are those of lane 1."""
        if not any(job.frame is not None for job in aside):
            _do(aside)
            _do(here)
            return
        is_apart = self._seconds[1] <= self._seconds[0]
        self._num_rows += 1
        if self._num_rows % _PROBE_EVERY == 0:
            is_apart = not is_apart
        start_s = time.perf_counter()
        if not (is_apart and self._run_apart(here, aside)):
            is_apart = False
            _do(here)
            _do(aside)
        taken_s = time.perf_counter() - start_s
        before_s = self._seconds[is_apart]
        step_s = 0.25 * (taken_s - before_s) if before_s else taken_s
        self._seconds[is_apart] = before_s + step_s

    def _run_apart(self, here: Sequence[Job], aside: Sequence[Job]) -> bool:
        """Do the jobs in two threads; return whether there was one."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "rollout_viewer encoder")
        try:
            done = self._thread.submit(_do, aside)
        except RuntimeError:  # Python is about to end: no thread takes anything now
            return False
        try:
            _do(here)
        finally:
            done.result()
        return True

    def close(self) -> None:
        """End the thread, if there is one."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None


def _do(jobs: Sequence[Job]) -> None:
    for encoder, frame, is_repeat, is_late in jobs:
        if is_repeat:
            encoder.repeat(is_late=is_late)
        elif frame is None:
            encoder.skip()
        else:
            encoder.add(frame)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
