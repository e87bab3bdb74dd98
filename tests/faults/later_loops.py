"""Loops over environments that are recorded without pictures, for tests that kill them.

As a script, forks one for each line it reads, so that one process alone imports
Gymnasium: ``{"path": ..., "log": ..., "loop": ..., "pause_s": ...}``. Each call of an
environment that has returned is one byte in the log: it is a row of the recording.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

import rollout_viewer as rv
from tests.faults.recorders import fork_for_each_line

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Name and number of environments.
LOOPS = {
    "CartPole": ("CartPole-v1", 1),
    "HalfCheetah": ("HalfCheetah-v5", 1),
    "CartPole x16": ("CartPole-v1", 16),
}


def calls(loop: str, path: Path | str | None) -> Iterator[Any]:
    """Record a loop; yield its environment after each call. It is always the same."""
    name, num_envs = LOOPS[loop]
    # Short episodes: nearly each block has their ends.
    limit = {"max_episode_steps": 150}
    env: Any = (
        gymnasium.make(name, **limit)
        if num_envs == 1
        else gymnasium.make_vec(
            name, num_envs, vectorization_mode="sync", vector_kwargs={}, **limit
        )
    )
    env = rv.record(env, cache=path, render="later")
    rng = np.random.default_rng(0)
    space = env.action_space
    env.reset(seed=0)
    yield env
    while True:
        action = (
            rng.uniform(-1, 1, space.shape).astype(space.dtype)
            if isinstance(space, gymnasium.spaces.Box)
            else rng.integers(0, 2, num_envs)[slice(None) if num_envs > 1 else 0]
        )
        *_, terminated, truncated, _ = env.step(action)
        yield env
        if num_envs == 1 and (terminated or truncated):
            env.reset()
            yield env


def assert_same(found: rv.FrameCache, expected: rv.FrameCache) -> None:
    """Compare rows, actions and data, and from where episodes are replayed."""
    for name in ("reward", "kind", "env_step", "terminated", "truncated"):
        np.testing.assert_array_equal(found.scalars[name], expected.scalars[name], name)
    for row in range(expected.num_rows):
        one, other = found.recording.extras(row), expected.recording.extras(row)
        assert one.keys() == other.keys(), row
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], f"{row} {name}")
            assert one[name].dtype == other[name].dtype
    rows = expected.recording.rows
    for episode in rows.episodes() if rows is not None else []:
        key = episode.env, episode.index
        start = expected.recording.start_of(*key)
        assert start is not None
        assert found.recording.start_of(*key) == start, key


def record(path: str, log: str, loop: str, pause_s: float) -> None:
    """Record until the process is killed."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for _ in calls(loop, path):
        os.write(file, b"x")
        if pause_s:
            time.sleep(pause_s)


if __name__ == "__main__":
    fork_for_each_line(record)
