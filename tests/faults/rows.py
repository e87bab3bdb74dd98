"""Rows whose pictures and numbers say which they are, and what a cache has of them."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

import rollout_viewer as rv

NUM_ENVS = 3


class Row(NamedTuple):
    """What one append was given."""

    number: int
    frames: list[np.ndarray]
    arguments: dict


@functools.lru_cache(1000)
def make_row(
    number: int, change_at: int | None = None, num_envs: int = NUM_ENVS
) -> Row:
    """Return a row; from `change_at` on, two envs change their size in each row.

    The same each time, for thousands of recordings; nobody may change it.
    """
    rng = np.random.default_rng(number)
    frames = []
    for env in range(num_envs):
        size = 8, 9
        if change_at is not None and number >= change_at and env != 1:
            size = 8 + (number - change_at + env) % 5, 9
        frame = np.full((*size, 3), 10 * env, np.uint8)
        frame[number % 8, (3 * number + env) % 9] = [number % 256, env, 255]
        if number % 5 == 4 and env == 1:
            frame[...] = rng.integers(0, 255, frame.shape)
        frames.append(frame)
    lengths = np.arange(7, 7 + num_envs)
    arguments = {
        "reward": np.arange(num_envs) + float(number),
        "reset": number % lengths == 0,
        "terminated": (number + 1) % lengths == 0,
        "action": np.full(num_envs, number),
        "data": {"obs": np.full((num_envs, 2), float(number))},
        "episode_info": {env: {"seed": number} for env in range(num_envs)},
    }
    for array in (*frames, arguments["reward"], arguments["data"]["obs"]):
        array.flags.writeable = False
    return Row(number, frames, arguments)


def append(cache: rv.FrameCache, row: Row, cameras: tuple[str, ...]) -> None:
    pictures = dict.fromkeys(cameras, row.frames)
    cache.append(pictures, **row.arguments)


def assert_holds(cache: rv.FrameCache, rows: list[Row], where: str) -> None:
    """Compare a cache with the rows that it was given, bit for bit."""
    assert cache.num_rows == len(rows), where
    if not rows:
        return
    if len({frame.shape for row in rows for frame in row.frames}) == 1:
        found = cache.frames(range(len(rows)))
        expected = np.array([row.frames for row in rows])
        assert np.array_equal(found, expected), where
    else:
        for index, row in enumerate(rows):
            for env, frame in enumerate(row.frames):
                assert np.array_equal(cache[index, env], frame), (where, index, env)
    assert np.array_equal(
        cache.column("obs")[:, -1, 0], [row.number for row in rows]
    ), where
    assert np.array_equal(
        cache.raw_column("action", 0, len(rows))[:, -1], [row.number for row in rows]
    ), where
    is_reset = np.array([row.arguments["reset"] for row in rows])
    kinds = np.where(is_reset, "reset", "step")
    assert np.array_equal(cache.scalars["kind"], kinds), where
    rewards = [row.arguments["reward"] for row in rows]
    expected_rewards = np.where(is_reset, np.nan, rewards)
    assert np.array_equal(cache.scalars["reward"], expected_rewards, equal_nan=True)
    assert cache.at(len(rows) - 1, 0)["obs"][0] == rows[-1].number, where
    for episode in cache.episodes:
        if is_reset[episode.start, episode.env]:
            assert episode.seed == rows[episode.start].number, (where, episode)
