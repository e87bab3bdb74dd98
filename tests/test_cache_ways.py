"""Rows of the usual form against the same rows recorded one by one, in any order."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import rollout_viewer as rv

if TYPE_CHECKING:
    from pathlib import Path

DTYPES = ["<f4", ">f8", "<i8", "u1", "?", "<f2"]
# Of the file, what differs in any two recordings.
NOT_COMPARED = "session", "writer"


class Caller:
    """A training loop that reuses its arrays, and now and then calls in another way."""

    def __init__(self, seed: int, num_envs: int) -> None:
        self.rng, self.num_envs = np.random.default_rng(seed), num_envs
        self.arrays: dict[tuple[Any, ...], Any] = {}
        self.is_pictured = seed % 4 > 1
        self.change_form()

    def change_form(self) -> None:
        rng = self.rng
        names = ["obs", "x", "y"][: rng.integers(4)]
        self.form = {
            name: (tuple(rng.integers(0, 3, rng.integers(3))), str(rng.choice(DTYPES)))
            for name in [*names, "action"][: len(names) + rng.integers(2)]
        }

    def array(self, name: str, shape: tuple[int, ...] = (), dtype: str = "?") -> Any:
        key = name, shape, dtype
        if key not in self.arrays:
            self.arrays[key] = np.zeros((self.num_envs, *shape), dtype)
        return self.arrays[key]

    def step(self) -> dict[str, Any]:
        reward, ended = self.array("reward", (), "<f8"), self.array("ended")
        reward[:], ended[:] = self.rng.normal(size=self.num_envs), False
        data = {name: self.array(name, *form) for name, form in self.form.items()}
        for value in data.values():
            value[...] = self.rng.integers(0, 99, value.shape)
        return {
            "frames": self.frames() if self.is_pictured else None,
            "kind": "step" if self.rng.random() < 0.5 else None,
            "reward": reward,
            "terminated": ended if self.rng.random() < 0.5 else None,
            "action": data.pop("action", None),
            "data": data,
        }

    def frames(self) -> Any:
        """Return pictures in the same memory as before, changed here and there."""
        frames = self.array("frames", (6, 5, 3), "u1")
        if self.rng.random() < 0.8:
            frames[self.rng.integers(self.num_envs), self.rng.integers(6)] += 1
        if self.rng.random() < 0.1:
            frames[...] = self.rng.integers(256, size=frames.shape)
        return list(frames)

    def make_odd(self, step: dict[str, Any]) -> None:
        rng, n = self.rng, self.num_envs
        wrong: Any = np.zeros(n + 1)
        match rng.integers(17):
            case 0:
                step["reward"][rng.integers(n)] = np.nan
            case 1:
                step["terminated"] = self.array("ended")
                step["terminated"][rng.integers(n)] = True
            case 2:
                step["truncated"] = np.ones(n, np.bool_)
            case 3:
                step["reward"] = None
            case 4:
                step["kind"] = rng.integers(0, 4, n).astype(np.uint8)
            case 5:
                step.update(kind=None, reset=rng.random(n) < 0.5)
            case 6:
                step["num_transitions"] = rng.integers(1, 4, n)
            case 7:
                step.update(kind="reset", episode_info={0: {"seed": 5}})
            case 8:
                step["reward"] = step["reward"].astype(np.float32).tolist()
            case 9:
                step["frames"] = [np.full((4, 5, 3), rng.integers(256), np.uint8)] * n
            case 10:
                step[str(rng.choice(["reward", "terminated", "action"]))] = wrong
            case 11:
                step["data"]["obs"] = wrong
            case 12:
                step["data"]["action"] = np.zeros(n)
            case 13:
                step["frames"] = None
            case 14:
                step["frames"] = [None] + [np.ones((6, 5, 3), np.uint8)] * (n - 1)
            case 15:
                step["frames"] = np.zeros((n, 6, 5, 3), np.float32)
            case _:
                self.change_form()

    def reuse(self) -> None:
        for array in self.arrays.values():
            array[...] = 1


def append(cache: rv.FrameCache, step: dict[str, Any]) -> Any:
    try:
        return cache.append(**step)
    except rv.RolloutViewerError as error:
        return repr(error)


def numbers_of(cache: rv.FrameCache) -> list[Any]:
    """Return all that can be read of the rows."""
    rows = [
        [sorted(cache.at(row, env).items()) for env in range(cache.num_envs)]
        for row in range(cache.num_rows)
    ]
    columns = {name: array.tolist() for name, array in cache.scalars.items()}
    pictures = [
        cache[row, env].tolist() if cache.has_picture(row, env) else None
        for row in range(cache.num_rows)
        for env in range(cache.num_envs)
    ]
    return [cache.num_rows, cache.episodes, columns, rows, pictures]


def stored(path: Path) -> dict[str, list[Any]]:
    connection = sqlite3.connect(path)
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    found = {
        name: connection.execute(f"SELECT * FROM {name}").fetchall()
        for (name,) in tables.fetchall()
    }
    connection.close()
    found["meta"] = [row for row in found["meta"] if row[0] not in NOT_COMPARED]
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


@pytest.mark.parametrize("seed", range(8))
def test_rows_of_the_usual_form_are_what_they_are_one_by_one(tmp_path, seed):
    caller = Caller(seed, num_envs=1 + seed % 3)
    rng, odd_rate = caller.rng, [0.05, 0.3][seed % 2]
    caches = [rv.FrameCache(tmp_path / f"{i}.rollout") for i in range(2)]
    opened = rv.open(caches[0].path)
    caches[1]._live.append_like_last = lambda *_: None
    kept: list[Any] = []

    for number in range(105):
        step = caller.step()
        if not kept:
            step["kind"] = "reset"
        elif rng.random() < odd_rate:
            caller.make_odd(step)
        results = [append(cache, step) for cache in caches]
        assert results[0] == results[1]
        if isinstance(results[0], int):
            assert results[0] == len(kept)
            kept.append({k: np.array(v) for k, v in step["data"].items()})
        caller.reuse()
        if rng.random() < 0.05:
            assert {cache.num_rows for cache in caches} == {len(kept)}
        if number == 50 and seed > 2:
            for cache in caches:
                cache.clear()
            kept.clear()

    for row, data in enumerate(kept):
        for name, array in data.items():
            for env in range(caller.num_envs):
                assert np.array_equal(caches[0].at(row, env)[name], array[env])
    assert repr(numbers_of(caches[0])) == repr(numbers_of(caches[1]))
    paths = [tmp_path / f"saved {i}.rollout" for i in range(2)]
    for cache, path in zip(caches, paths, strict=True):
        cache.save(path)
        cache.flush()
    assert stored(paths[0]) == stored(paths[1])
    assert repr(numbers_of(opened)) == repr(numbers_of(caches[0]))
