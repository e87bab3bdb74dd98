"""Episodes of recorders in other processes, rendered here when they have ended."""

import functools

import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv

import rollout_viewer as rv
from tests.later_envs import Steps


def make_recorded(remote, **chosen):
    return rv.record(
        Steps(), cache=remote, render="later", make_env=lambda: Steps(), **chosen
    )


@pytest.mark.parametrize(
    "chosen",
    [{"every": 1}, {"keep_episode": lambda episode: episode.index != 1}],
    ids=["every", "keep_episode"],
)
def test_episodes_of_other_processes_have_pictures_that_nobody_asked_for(chosen):
    cache = rv.FrameCache()
    make = functools.partial(make_recorded, cache.remote(), **chosen)
    envs = AsyncVectorEnv([make] * 2, context="spawn")
    for seed in range(3):
        envs.reset(seed=seed)
        for _ in range(6):
            envs.step(np.zeros(2, np.int64))
    envs.close()

    cache.close()

    assert len(cache.episodes) == (6 if "every" in chosen else 4)
    for episode in cache.episodes:
        assert episode.length == 6
        for step, row in enumerate(range(episode.start, episode.start + 7)):
            assert cache.has_picture(row, episode.env)
            assert (cache[row, episode.env] == step).all()


def test_without_a_choice_pictures_come_when_they_are_looked_at():
    cache = rv.FrameCache()
    env = make_recorded(cache.remote())
    env.reset(seed=0)
    env.step(0)
    env.close()

    cache.close()

    assert cache.num_rows == 2
    assert not cache.slots


def test_what_cannot_be_rendered_for_others_is_one_warning_here():
    cache = rv.FrameCache()
    remote = cache.remote()
    env = rv.record(
        Steps(), cache=remote, render="later", make_env=lambda: 1 / 0, every=1
    )
    env.reset(seed=0)
    env.step(0)
    env.close()

    with pytest.warns(rv.RolloutViewerWarning, match="ZeroDivisionError"):
        cache.close()

    assert cache.num_rows == 2
