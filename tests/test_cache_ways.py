"""Rows of the usual form against the same rows recorded one by one, in any order."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._replay.episode_start import START

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
        # Envs end now and then, and are reset by the next call.
        self.resets = seed % 2 > 0
        self.has_ended = np.zeros(num_envs, np.bool_)
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
        step = {
            "frames": self.frames() if self.is_pictured else None,
            "kind": "step" if self.rng.random() < 0.5 else None,
            "reward": reward,
            "terminated": ended if self.rng.random() < 0.5 else None,
            "action": data.pop("action", None),
            "data": data,
        }
        if self.resets:
            self.end_and_reset(step)
        return step

    def end_and_reset(self, step: dict[str, Any]) -> None:
        if self.has_ended.any():
            step["kind"] = np.where(self.has_ended, 0, 1).astype(np.uint8)
            step["episode_info"] = {
                env: {START: self.rng.bytes(5)} if self.rng.random() < 0.7 else {}
                for env in np.flatnonzero(self.has_ended).tolist()
            }
            if self.has_ended.all():
                step["reward"] = None
                if self.rng.random() < 0.7:
                    step["action"] = None
        ended = (self.rng.random(self.num_envs) < 0.15) & ~self.has_ended
        if ended.any():
            name = str(self.rng.choice(["terminated", "truncated"]))
            step[name] = self.array(name)
            step[name][:] = ended
        self.has_ended = ended

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
        if step["reward"] is None:
            step["reward"] = np.zeros(n)
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


def count_usual_rows(cache: rv.FrameCache) -> list[int]:
    """Return a list whose one number counts rows that were not checked at length."""
    live: Any = cache._live
    append, found = live.append_like_last, [0]

    def counted(*args: Any) -> Any:
        row = append(*args)
        found[0] += row is not None
        return row

    live.append_like_last = counted
    return found


@pytest.mark.parametrize("num_envs", [1, 3])
@pytest.mark.parametrize("is_pictured", [False, True])
def test_rows_in_which_envs_end_and_are_reset_are_of_the_usual_form(
    num_envs, is_pictured
):
    rng = np.random.default_rng(0)
    frames = [np.zeros((6, 5, 3), np.uint8) for _ in range(num_envs)]
    ended = np.ones(num_envs, np.bool_)
    with rv.FrameCache() as cache:
        num_usual = count_usual_rows(cache)
        for number in range(100):
            kind = np.where(ended, 0, 1).astype(np.uint8)
            starts = {env: {START: b"x"} for env in np.flatnonzero(ended).tolist()}
            is_step = not ended.all()
            ended = (rng.random(num_envs) < 0.1) & ~ended
            cache.append(
                frames if is_pictured else None,
                kind=kind,
                reward=rng.normal(size=num_envs) if is_step else None,
                truncated=ended,
                action=np.arange(num_envs) if is_step else None,
                data={"obs": np.full((num_envs, 2), number)},
                episode_info=starts,
            )

        # All but the first one, and the first step.
        assert num_usual[0] == 98
        assert len(cache.episodes) > 5
        assert cache.recording.start_of(num_envs - 1, 2) == b"x"
        assert np.isnan(cache.scalars["reward"][0]).all()


@pytest.mark.parametrize("is_pictured", [False, True])
def test_episodes_that_begin_in_a_segment_by_codes_alone_are_of_it(is_pictured):
    frames = list(np.zeros((2, 6, 5, 3), np.uint8)) if is_pictured else None
    reward = np.zeros(2)
    kinds = np.array([[0, 0], [1, 1], [0, 1], [1, 1], [0, 0]], np.uint8)
    with rv.FrameCache() as cache:
        cache.append(frames, kind=kinds[0])
        cache.append(frames, kind=kinds[1], reward=reward)
        with cache.segment("eval", seed=5, options={"size": 3}, train_step=100):
            for kind in kinds[2:]:
                if is_pictured:
                    cache.append(frames, kind=kind, reward=np.where(kind, 0, np.nan))
                elif cache.append_step(kind, reward, None, None, None, None) is None:
                    cache.append(frames, kind=kind, reward=reward)

        begun = [one for one in cache.episodes if one.start >= 2]
        assert [(one.env, one.start) for one in begun] == [(0, 2), (0, 4), (1, 4)]
        for one in begun:
            assert (one.segment, one.labels) == ("eval", {"train_step": 100})
            assert (one.seed, one.options) == (5, {"size": 3})


def test_an_action_that_comes_with_a_reset_of_all_is_kept():
    codes = np.zeros(2, np.uint8)
    with rv.FrameCache() as cache:
        cache.append(None, kind=codes, action=np.array([1, 2]))
        cache.append(None, reward=np.zeros(2), action=np.array([3, 4]))
        cache.append(None, kind=codes, action=np.array([5, 6]))

        actions = [cache.recording.extras(row)["action"] for row in range(3)]
        np.testing.assert_array_equal(actions, [[1, 2], [3, 4], [5, 6]])
