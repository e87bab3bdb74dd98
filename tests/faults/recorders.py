"""Processes that record without end, for tests that kill or stop them.

As a script, forks a recorder for each line it reads, so that one process alone imports
numpy: ``{"path": ..., "log": ..., "shape": ..., "seed": ..., "pause_s": ...}``. Each
recorder logs a row when `append` has returned.
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import rollout_viewer as rv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent.parent
LOG = struct.Struct("<Qd")


class Shape(NamedTuple):
    """What a recorder appends: pictures of `cameras`, and perhaps `data`."""

    num_envs: int
    height: int
    width: int
    cameras: tuple[str, ...]
    has_data: bool


SHAPES = {
    "big pictures": Shape(1, 240, 320, ("pixels",), False),
    "16 envs": Shape(16, 9, 7, ("pixels",), False),
    "two cameras": Shape(2, 30, 40, ("pixels", "wrist"), True),
    "no pictures": Shape(3, 0, 0, (), True),
}


def frames_of(shape: Shape, row: int, seed: int, camera: int = 0) -> np.ndarray:
    """Return a camera's pictures at a row: repeats, small changes and noise."""
    rng = np.random.default_rng([seed, camera, row // 3])
    size = (shape.num_envs, shape.height, shape.width, 3)
    frames = np.full(size, (row // 100 + camera) % 256, np.uint8)
    frames[0, : shape.height // 4] = rng.integers(
        0, 256, (shape.height // 4, shape.width, 3)
    )
    frames[-1, row % shape.height] = seed % 256
    return frames


def arguments_of(shape: Shape, row: int, seed: int) -> dict[str, Any]:
    """Return the arguments of `append` at a row, but the pictures."""
    envs = np.arange(shape.num_envs)
    arguments = {
        "reward": row + envs / 10,
        "reset": row % (40 + envs) == 0,
        "terminated": row % (40 + envs) == 39 + envs,
        "action": row * 10 + envs,
    }
    if shape.has_data:
        arguments["data"] = {"obs": np.full((shape.num_envs, 3), row + seed)}
    return arguments


def append(cache: rv.FrameCache, shape: Shape, row: int, seed: int) -> None:
    """Append a row as each recorder does."""
    pictures = {
        name: frames_of(shape, row, seed, camera)
        for camera, name in enumerate(shape.cameras)
    }
    cache.append(pictures or None, **arguments_of(shape, row, seed))


def record(path: str, log: str, shape: str, seed: int, pause_s: float) -> None:
    """Record until the process is killed."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    cache = rv.FrameCache(path, max_stall_s=60)
    row = 0
    while True:
        append(cache, SHAPES[shape], row, seed)
        os.write(file, LOG.pack(row, time.monotonic()))
        row += 1
        time.sleep(pause_s)


def check(path: Path, shape: Shape, seed: int) -> int:
    """Compare all that opens with what was appended; return how many rows there are."""
    cache = rv.open(path)
    num_rows = cache.num_rows
    rewards = cache.scalars["reward"]
    for row in range(num_rows):
        for camera, name in enumerate(shape.cameras):
            found = cache.frames(row, camera=name)[0]
            assert np.array_equal(found, frames_of(shape, row, seed, camera)), row
        arguments = arguments_of(shape, row, seed)
        if shape.has_data:
            assert cache.at(row, 0).obs.tolist() == [row + seed] * 3, row
        is_step = ~arguments["reset"]
        assert np.array_equal(rewards[row, is_step], arguments["reward"][is_step]), row
    if num_rows:
        actions = cache.raw_column("action", 0, num_rows)
        assert np.array_equal(actions[:, 0], 10 * np.arange(num_rows))
    cache.recording.release()
    return num_rows


class Recorders:
    """Starts recorders, one at a time; the last one is ended with it."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.recorders"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self.pid = 0

    def start(self, path: Path, log: Path, **options: Any) -> int:
        """Return the pid of a new recorder that has recorded a row."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        line = json.dumps({"path": str(path), "log": str(log), **options})
        self._server.stdin.write(f"{line}\n")
        self._server.stdin.flush()
        self.pid = int(self._server.stdout.readline())
        deadline_s = time.monotonic() + 60
        while not rows_logged(log):
            assert time.monotonic() < deadline_s, "the recorder does not record"
            time.sleep(0.001)
        return self.pid

    def close(self) -> None:
        """End the server; it waits for its recorder, which must have been killed."""
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(60)
        if self._server.stdout is not None:
            self._server.stdout.close()


@contextlib.contextmanager
def recorders() -> Iterator[Recorders]:
    """Return `Recorders`, closed at the end."""
    server = Recorders()
    try:
        yield server
    finally:
        server.close()


def rows_logged(log: Path) -> list[float]:
    """Return when each append returned, of the rows that were appended."""
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return []
    whole = len(content) - len(content) % LOG.size
    return [when for _, when in LOG.iter_unpack(content[:whole])]


def fork_for_each_line(record: Callable[..., None]) -> None:
    """Record in a child of this process with each line's arguments, until it ends.

    An empty line is answered with one.
    """
    for line in sys.stdin:
        if line == "\n":
            print(flush=True)
            continue
        child = os.fork()
        if child == 0:
            try:
                record(**json.loads(line))
            finally:
                os._exit(1)
        print(child, flush=True)
        os.waitpid(child, 0)


if __name__ == "__main__":
    fork_for_each_line(record)
