"""Calls recorded as being like the last one, against the same recorded at length."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

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


def vector(mode: str, make: Any = Walker, kind: Any = SyncVectorEnv) -> Any:
    """Return a function that records three envs of a class."""

    def made(**options: Any) -> Any:
        envs = kind([make] * 3, autoreset_mode=AutoresetMode(mode))
        return rv.record(envs, make_env=make, **options)

    return made


def stable_baselines(make: Any) -> Any:
    def made(**options: Any) -> Any:
        vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
        return rv.record(vec_env.DummyVecEnv([make] * 3), make_env=make, **options)

    return made


class Silent(Walker):
    """Returns no info."""

    def reset(self, **options: Any) -> Any:
        return super().reset(**options)[0], {}

    def step(self, action: Any) -> Any:
        *step, _ = super().step(action)
        return *step, {}


class Plain(Walker):
    """Returns an info of numbers alone, which all envs have in each call."""

    def reset(self, **options: Any) -> Any:
        return super().reset(**options)[0], {"x": 0.5, "fell": False}

    def step(self, action: Any) -> Any:
        *step, info = super().step(action)
        return *step, {name: info[name] for name in ("x", "fell")}


class Late(Plain):
    """Ends seldom, so that no episode of three envs ends in most calls."""

    def step(self, action: Any) -> Any:
        obs, reward, _, _, info = super().step(action)
        return obs, reward, self._step == 40, self._step == 40, info


class Unrewarded(Silent):
    """Has steps whose reward is not known, also where its episodes end."""

    def step(self, action: Any) -> Any:
        obs, reward, terminated, *rest = super().step(action)
        is_known = self._step % 3 and not terminated
        return obs, reward if is_known else np.nan, terminated, *rest


def play(env: Any, num_steps: int) -> None:
    is_vec_env = hasattr(env, "step_wait")
    if is_vec_env:
        env.seed(5)
    env.reset(**({} if is_vec_env else {"seed": 5}))
    rng = np.random.default_rng(0)
    shape = getattr(env.action_space, "shape", ())
    if is_vec_env:
        shape = (env.num_envs, *shape)
    env.action_space.seed(0)
    for _ in range(num_steps):
        if is_vec_env:
            env.step(rng.uniform(-1, 1, shape).astype(np.float32))
            continue
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        ended = np.logical_or(terminated, truncated)
        if np.ndim(ended) == 0 and ended:
            env.reset()
        if np.ndim(ended) and is_disabled(env) and ended.any():
            env.reset(options={"reset_mask": ended})


def is_disabled(env: Any) -> bool:
    return env.metadata.get("autoreset_mode") is AutoresetMode.DISABLED


MAKES = {
    "one": lambda **options: poles(1, **options),
    "many": lambda **options: poles(3, **options),
    # Whose resets come with an action that they ignore.
    "vector of one": lambda **options: rv.record(
        gym.make_vec("CartPole-v1", 1, vectorization_mode="sync"), **options
    ),
    "info": walker,
    "success": lambda **options: walker(env={"success_from": 20}, **options),
    **{
        f"{name}, {mode}": vector(mode, make)
        for name, make in {
            "silent": Silent,
            "plain": Plain,
            "late": Late,
            "texts": Walker,
            "unrewarded": Unrewarded,
        }.items()
        for mode in ("NextStep", "SameStep", "Disabled")
    },
    "async": vector("NextStep", Plain, AsyncVectorEnv),
    "silent, sb3": stable_baselines(Silent),
    "plain, sb3": stable_baselines(Plain),
    "huge number": lambda **options: unusual({"x": 10**400}, **options),
    "no dict": lambda **options: unusual([1], **options),
}
# The others have texts, or values of some envs alone, in many of their calls.
MAX_AT_LENGTH = {
    "one": 2,
    "many": 2,
    "vector of one": 2,
    "info": 90,
    "success": 200,
    "silent, NextStep": 2,
    "silent, SameStep": 2,
    "silent, Disabled": 2,
    "silent, sb3": 2,
    "plain, NextStep": 4,
    "late, NextStep": 4,
    "late, SameStep": 16,
    "late, Disabled": 12,
    "unrewarded, NextStep": 3,
    "async": 4,
}


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
            cache.append_many = lambda *_: None
        num_appended.append(counted(cache))
        play(env, 150)
        env.close()
        caches.append(cache)

    # Of a single environment, a row for each call: of the steps and of the resets.
    if name in ("one", "info", "success", "huge number", "no dict"):
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
    assert num_appended[0][0] <= MAX_AT_LENGTH.get(name, caches[1].num_rows)


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
