"""Envs that are reset in the call that ends them, rendered later, some of them."""

import copy
import functools
import os
import pickle
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer._cache.rendering import BESIDE_S
from rollout_viewer._replay.pool import WorkerPool, default_num_workers
from rollout_viewer._replay.probe import Probe
from rollout_viewer.sources._reset_states import ResetStates

NUM_ENVS = 3


def make(name="CartPole-v1", render_mode=None, max_episode_steps=9, **options):
    return gymnasium.make(
        name,
        render_mode=render_mode,
        max_episode_steps=max_episode_steps,
        **options,
    )


def play_batch(render_mode, kind=SyncVectorEnv, name="CartPole-v1", **options):
    make_env = functools.partial(make, name, render_mode)
    envs = kind([make_env] * NUM_ENVS, autoreset_mode=AutoresetMode.SAME_STEP)
    env = rv.record(envs, **options)
    env.action_space.seed(1)
    env.reset(seed=3)
    for _ in range(50):
        env.step(env.action_space.sample())
    env.recorder.finish()
    return env


def play_venv(render_mode, name="CartPole-v1", **options):
    common = pytest.importorskip("stable_baselines3.common.vec_env")
    venv = common.DummyVecEnv([functools.partial(make, name, render_mode)] * NUM_ENVS)
    env = rv.record(venv, **options)
    rng = np.random.default_rng(1)
    env.seed(3)
    env.reset()
    for _ in range(50):
        env.step(rng.integers(2, size=NUM_ENVS))
    env.recorder.finish()
    return env


def assert_kept_are_rendered(now, later):
    """Episodes have their pictures, which are the same; none is still to come."""
    assert len(now.episodes) == len(later.episodes) > NUM_ENVS
    for episode in now.episodes:
        env = episode.env
        for row in range(episode.start, episode.stop):
            if later.at(row, env).kind == "idle":
                break  # others go on
            assert later.has_picture(row, env), (row, env)
            if now.has_picture(row, env):  # of all but the last
                np.testing.assert_array_equal(later[row, env], now[row, env])


@pytest.mark.parametrize("play", [play_batch, play_venv])
@pytest.mark.parametrize(
    "chosen",
    [{"every": 2}, {"keep_episode": lambda episode: episode.index % 2 == 1}],
    ids=["every", "keep_episode"],
)
def test_chosen_episodes_have_pictures_that_nobody_asked_for(play, chosen):
    now, later = play("rgb_array", **chosen), play(None, render="later", **chosen)

    assert_kept_are_rendered(now.cache, later.cache)
    now.close()
    later.close()


def test_each_episode_is_replayed_alone(monkeypatch):
    now, later = play_batch("rgb_array"), play_batch(None, render="later")
    episode = [one for one in later.cache.episodes if one.env == 1][-2]
    rows = range(episode.start, episode.stop - 1)

    later.cache.render(rows, [1], progress=False)

    assert episode.start > 20
    for row in rows:
        np.testing.assert_array_equal(later.cache[row, 1], now.cache[row, 1])
    starts = [later.cache.recording.start_of(1, number) for number in range(3)]
    assert None not in starts


def normalized(render_mode):
    env = make("Pendulum-v1", render_mode, max_episode_steps=6)
    return gymnasium.wrappers.NormalizeReward(
        gymnasium.wrappers.NormalizeObservation(env)
    )


@pytest.mark.parametrize("mode", ["NEXT_STEP", "SAME_STEP", "DISABLED", "SB3"])
def test_envs_that_keep_statistics_are_compared_below_them(mode):
    def play(render_mode, **options):
        make_envs = [functools.partial(normalized, render_mode)] * 2
        if mode == "SB3":
            common = pytest.importorskip("stable_baselines3.common.vec_env")
            env = rv.record(common.DummyVecEnv(make_envs), **options)
            env.seed(3)
            env.reset()
        else:
            envs = SyncVectorEnv(make_envs, autoreset_mode=AutoresetMode[mode])
            env = rv.record(envs, **options)
            env.reset(seed=3)
        rng = np.random.default_rng(0)
        for _ in range(16):
            result = env.step(rng.uniform(-2, 2, (2, 1)).astype(np.float32))
            if mode == "DISABLED" and (ended := result[2] | result[3]).any():
                env.reset(options={"reset_mask": ended})
        return env.cache

    now, later = play("rgb_array"), play(None, render="later")
    last = later.episodes[-1]

    later.render(range(last.start, last.stop), [last.env], progress=False)
    later.render(progress=False)

    for row in range(now.num_rows):
        for env in range(2):
            if now.has_picture(row, env):
                np.testing.assert_array_equal(later[row, env], now[row, env])


@pytest.mark.parametrize("kinds", ["other processes", "one of two"])
def test_statistics_that_cannot_be_passed_by_are_refused(kinds):
    envs: Any
    if kinds == "one of two":
        plain = functools.partial(make, "Pendulum-v1")
        makers = [functools.partial(normalized, None), plain]
        envs = SyncVectorEnv(makers, observation_mode="different")
    else:
        envs = AsyncVectorEnv([functools.partial(normalized, None)] * 2)

    with pytest.raises(rv.UnsupportedEnvError, match=r"NormalizeObs.*SyncVectorEnv"):
        rv.record(envs, render="later")

    envs.close()


def test_envs_in_other_processes_are_refused_with_the_ways_out():
    with pytest.raises(ValueError, match=r"SyncVectorEnv.*cache\.render") as raised:
        play_batch(None, kind=AsyncVectorEnv, render="later", every=2)

    assert "got every=" in str(raised.value)


def test_environments_are_as_they_were_after_close():
    envs = SyncVectorEnv([make] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    env = rv.record(envs, render="later")
    env.reset(seed=0)
    assert "reset" in vars(envs.envs[0])
    kept = envs.envs[0]

    env.close()

    assert "reset" not in vars(kept)


def test_a_copy_of_an_environment_resets_itself():
    env = make()
    states = ResetStates([env])
    env.reset(seed=1)
    assert list(states.take()) == [0]
    for other in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):
        env.reset(seed=1)
        states.take()
        before = env.unwrapped.state.copy()

        obs, _ = other.reset(seed=5)

        np.testing.assert_array_equal(env.unwrapped.state, before)
        assert states.take() == {}
        np.testing.assert_array_equal(obs, make().reset(seed=5)[0])


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))]
)
def test_a_copy_notes_the_states_of_copied_environments(copied):
    env = make()
    states = ResetStates([env])

    other, its = copied([env, states])

    other.reset(seed=1)
    assert list(its.take()) == [0]
    assert list(states.take()) == []
    its.remove()
    other.reset(seed=1)
    assert list(its.take()) == []
    env.reset(seed=1)
    assert list(states.take()) == [0]


def test_two_recorders_of_an_environment_have_states_of_their_own():
    env = make()
    first, second = ResetStates([make(), env]), ResetStates([env])

    env.reset(seed=1)

    assert list(second.take()) == [0]
    assert list(first.take()) == [1]
    second.remove()
    env.reset(seed=1)
    assert list(second.take()) == []
    assert list(first.take()) == [1]


def test_what_reset_an_environment_before_still_does():
    env, calls = make(), []
    reset = env.reset

    def noted_reset(**options):
        calls.append(options)
        return reset(**options)

    env.reset = noted_reset
    states = ResetStates([env])

    env.reset(seed=1)
    states.remove()
    env.reset(seed=2)

    assert calls == [{"seed": 1}, {"seed": 2}]
    assert len(states.take()) == 1


def test_recorders_that_are_dropped_leave_nothing_in_an_environment():
    env = make()
    for _ in range(2000):
        ResetStates([env])

    env.reset(seed=1)

    assert not {"reset", "__getstate__"} & vars(env).keys()


def test_recorders_of_statistics_share_one_look_below_them():
    env = normalized(None)
    envs = SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.SAME_STEP)
    for _ in range(3):
        rv.rollout(envs, max_steps=1, render="later", progress=False)

    probes = 0
    while isinstance(env, gymnasium.Wrapper):
        probes, env = probes + isinstance(env, Probe), env.env
    assert probes == 1


class Counts(gymnasium.Env):
    def __init__(self):
        self.count = 0

    def reset(self, **_):
        self.count = 0


class CountsWithSlots(Counts):
    __slots__ = ("more",)

    def __init__(self):
        super().__init__()
        self.more = 1


@pytest.mark.parametrize("kind", [Counts, CountsWithSlots])
def test_a_shallow_copy_resets_itself(kind):
    env = kind()
    states = ResetStates([env])
    env.count = 5

    other = copy.copy(env)
    other.reset()

    assert (env.count, other.count, states.take()) == (5, 0, {})
    assert not {"reset", "__getstate__"} & vars(other).keys()
    assert getattr(other, "more", 1) == 1
    states.remove()
    assert not {"reset", "__getstate__"} & vars(env).keys()


class Bare:
    __slots__ = ()

    def reset(self):
        pass


def test_an_environment_that_takes_no_attribute_changes_none_of_the_others():
    env = make()

    with pytest.raises(TypeError):
        ResetStates([env, Bare()])

    assert "reset" not in vars(env)


def test_a_record_that_is_refused_changes_no_environment(tmp_path):
    envs = SyncVectorEnv([make] * 2, autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(ValueError, match="every"):
        rv.record(envs, render="later", every=0)
    with pytest.raises(UserWarning, match="same-step"):  # an error in tests
        rv.VectorRecordVideo(envs, str(tmp_path), episode_trigger=bool, render="later")
    assert "reset" not in vars(envs.envs[0])

    common = pytest.importorskip("stable_baselines3.common.vec_env")
    venv = common.DummyVecEnv([make] * 2)
    with pytest.raises(ValueError, match="every"):
        rv.record(venv, render="later", every=0)
    with pytest.raises(ValueError, match="fps"):
        rv.VecVideoRecorder(venv, str(tmp_path), bool, fps=-1, render="later")
    assert "reset" not in vars(venv.envs[0])


@pytest.mark.parametrize("kind", ["DummyVecEnv", "SubprocVecEnv"])
def test_statistics_are_refused_with_a_function_too(kind):
    common = pytest.importorskip("stable_baselines3.common.vec_env")
    makers = [functools.partial(normalized, None)] * 2
    if kind == "DummyVecEnv":
        makers[1] = functools.partial(make, "Pendulum-v1")
    # Processes that are not forked import torch, each.
    is_forked = kind == "SubprocVecEnv" and hasattr(os, "fork")
    venv = getattr(common, kind)(
        makers, **({"start_method": "fork"} if is_forked else {})
    )
    make_env = functools.partial(normalized, "rgb_array")

    with pytest.raises(rv.UnsupportedEnvError, match="NormalizeObs"):
        rv.record(venv, render="later", make_env=make_env)

    venv.close()


def test_a_batch_without_envs_is_not_said_to_be_in_other_processes():
    envs: Any = gymnasium.make_vec(
        "CartPole-v1", num_envs=2, vectorization_mode="vector_entry_point"
    )
    envs.metadata = {**envs.metadata, "autoreset_mode": AutoresetMode.SAME_STEP}

    with pytest.raises(ValueError, match="no env to ask in this process") as raised:
        rv.record(envs, render="later", every=2)

    assert "other processes" not in str(raised.value)


def test_a_row_that_is_read_is_all_that_is_worked_for(monkeypatch):
    # Episodes that end at different times, of which rows beside the asked are others'.
    makers = [functools.partial(make, max_episode_steps=n) for n in (7, 11, 50)]
    envs = SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)
    env = rv.record(envs, render="later")
    env.action_space.seed(1)
    env.reset(seed=3)
    for _ in range(64):
        env.step(env.action_space.sample())
    later = env.cache
    perform, asked = WorkerPool.perform, []

    def noted(self, tasks, is_cancelled=None):
        tasks = list(tasks)
        asked.extend(tasks)
        return perform(self, tasks, is_cancelled)

    monkeypatch.setattr(WorkerPool, "perform", noted)
    for row in (40, 45, 20, 22):
        later.frames([row])

    assert asked
    assert all(task.first_rows for task in asked)
    budget_s = sum(task.budget_s for task in asked[:NUM_ENVS])
    assert budget_s <= BESIDE_S * default_num_workers() * 1.01
