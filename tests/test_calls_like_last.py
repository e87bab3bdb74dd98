"""Calls recorded as being like the last one, against the same recorded at length."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rollout_viewer as rv
from tests.test_cache_ways import numbers_of, stored


class Walker(gym.Env[Any, Any]):
    """Has numbers, truth values and now and then a text in its info."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Box(-1, 1, (3,))

    def __init__(self, success_from: int = 1_000) -> None:
        self._step, self._success_from = 0, success_from

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._step = 0
        return np.zeros(2, np.float32), {"x": 0.0}

    def step(self, action: Any) -> Any:
        self._step += 1
        rng = self.np_random
        info: dict[str, Any] = {"x": rng.normal(), "fell": bool(rng.random() < 0.5)}
        if self._step % 7 == 0:
            info["why"] = "tripped"
        if self._step % 11 == 0:
            info["x"] = np.nan
        if self._step >= self._success_from:
            info["is_success"] = True
        obs = rng.normal(size=2).astype(np.float32)
        return obs, float(rng.normal()), rng.random() < 0.1, self._step == 9, info


class Unusual(Walker):
    """Has now and then an info that cannot be recorded."""

    def __init__(self, odd: Any) -> None:
        super().__init__()
        self._odd = odd

    def step(self, action: Any) -> Any:
        *step, _ = super().step(action)
        return *step, self._odd if self._step % 4 == 0 else {"x": 1.0}


def walker(**options: Any) -> Any:
    return rv.record(Walker(**options.pop("env", {})), make_env=Walker, **options)


def unusual(odd: Any, **options: Any) -> Any:
    return rv.record(Unusual(odd), make_env=lambda: Unusual(odd), **options)


def poles(num_envs: int, **options: Any) -> Any:
    if num_envs == 1:
        return rv.record(gym.make("CartPole-v1"), **options)
    envs = gym.make_vec("CartPole-v1", num_envs, vectorization_mode="sync")
    return rv.record(envs, **options)


def play(env: Any, num_steps: int) -> None:
    env.reset(seed=5)
    env.action_space.seed(0)
    for _ in range(num_steps):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        if np.ndim(terminated) == 0 and (terminated or truncated):
            env.reset()


MAKES = {
    "one": lambda **options: poles(1, **options),
    "many": lambda **options: poles(3, **options),
    # Whose resets come with an action that they ignore.
    "vector of one": lambda **options: rv.record(
        gym.make_vec("CartPole-v1", 1, vectorization_mode="sync"), **options
    ),
    "info": walker,
    "success": lambda **options: walker(env={"success_from": 20}, **options),
    "huge number": lambda **options: unusual({"x": 10**400}, **options),
    "no dict": lambda **options: unusual([1], **options),
}
MAX_AT_LENGTH = {"one": 2, "many": 2, "vector of one": 2, "info": 90, "success": 200}


@pytest.mark.filterwarnings("ignore:record. expected info")
@pytest.mark.parametrize("name", MAKES)
def test_calls_like_the_last_one_are_recorded_as_at_length(tmp_path, name):
    caches, num_appended = [], []
    for is_at_length in (False, True):
        path = tmp_path / f"{is_at_length}.rollout"
        env = MAKES[name](cache=path, render="later")
        cache: Any = env.cache
        if is_at_length:
            cache.append_step = cache.append_one = lambda *_: None
        num_appended.append(counted(cache))
        play(env, 150)
        env.close()
        caches.append(cache)

    # Of a single environment, a row for each call: of the steps and of the resets.
    if name not in ("many", "vector of one"):
        assert caches[0].num_rows == 150 + len(caches[0].episodes)
    assert repr(numbers_of(caches[0])) == repr(numbers_of(caches[1]))
    # The newest rows are in the file as they came to it; in a copy they are together.
    tables = [
        stored(cache.save(tmp_path / f"copy {number}.rollout"))
        for number, cache in enumerate(caches)
    ]
    for table in tables:  # of which environment, and when it was recorded
        table["meta"] = [row for row in table["meta"] if row[0] != "replay"]
    assert tables[0] == tables[1]
    assert num_appended[1][0] == caches[1].num_rows
    # Without texts and success in the info, after the first two calls.
    assert num_appended[0][0] <= MAX_AT_LENGTH.get(name, 120)


def counted(cache: Any) -> list[int]:
    """Return a list whose one number counts calls of `append`."""
    append, found = cache.append, [0]

    def append_and_count(*args: Any, **kwargs: Any) -> Any:
        found[0] += 1
        return append(*args, **kwargs)

    cache.append = append_and_count
    return found


class FiveSteps(gym.Env[Any, Any]):
    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gym.spaces.Discrete(3)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self._step = 0
        return np.zeros(2, np.float32), {}

    def step(self, action: Any) -> Any:
        self._step += 1
        obs = np.full(2, self._step, np.float32)
        return obs, 1.0, self._step == 5, False, {}


def test_an_env_that_resets_itself_does_so_after_an_interrupted_last_step():
    def make() -> Any:
        return gym.wrappers.Autoreset(FiveSteps())

    cache = rv.FrameCache()
    env = rv.record(make(), make_env=make, render="later", cache=cache)

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt  # the row is there

    env.reset(seed=0)
    for number in range(1, 13):
        if number == 5:
            unsubscribe = cache.subscribe(interrupt)
            with pytest.raises(KeyboardInterrupt):
                env.step(1)
            unsubscribe()
            continue
        env.step(1)
    env.recorder.finish()

    assert [one.length for one in cache.episodes] == [5, 5, 0]
