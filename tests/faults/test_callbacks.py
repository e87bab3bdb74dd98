"""Functions of the user's and the environment's that fail cost no row."""

from __future__ import annotations

import itertools

import pytest

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv, read_count
from tests.faults.survival import survives


@survives(
    "a `keep_episode` that raises",
    kept="everything; the episode is recorded",
    lost="nothing",
    seen="one `RolloutViewerWarning`",
)
def test_an_episode_for_which_the_choice_fails_is_recorded_with_one_warning():
    def keep(episode):
        if episode.index % 2:
            raise KeyError("score")
        return False

    env = rv.record(CountingEnv([2, 4, 1, 3]), keep_episode=keep)

    with pytest.warns(rv.RolloutViewerWarning, match=r"KeyError\('score'\)") as caught:
        for num_steps in (2, 4, 1, 3):
            env.reset(seed=num_steps)
            for action in range(num_steps):
                env.step(action)

    assert len(caught) == 1
    assert [(e.length, e.seed) for e in env.cache.episodes] == [(4, 4), (3, 3)]


@survives(
    "a `render` that raises, or returns no picture, in the middle of a run",
    kept="every row, with rewards, ends, actions and data",
    lost="that picture; of `RecordVideo` and `VecVideoRecorder` the rest of that video",
    seen="one `RolloutViewerWarning` that names row and env",
)
def test_a_run_goes_on_where_pictures_cannot_be_rendered():
    bare = CountingEnv([5, 5, 5])
    env, render, num_renders = rv.record(bare), bare.render, itertools.count()

    def sometimes():
        number = next(num_renders)
        if number % 3 == 1:
            raise OSError("lost the display")
        return "no picture" if number % 3 == 2 else render()

    bare.render = sometimes
    with pytest.warns(
        rv.RolloutViewerWarning, match="lost the display.*Row 1 .*env 0"
    ) as said:
        for _ in range(3):
            env.reset()
            for _ in range(5):
                env.step(0)

    assert len(said) == 1
    assert [(e.length, e.total_reward) for e in env.cache.episodes] == [(5, 15.0)] * 3
    rows = [row for row in range(18) if env.cache.has_picture(row, 0)]
    assert rows == list(range(0, 18, 3))
    assert [read_count(env.cache[row, 0])[0] % 256 for row in rows] == [0, 3] * 3


def test_an_episode_whose_choice_or_copy_is_interrupted_is_recorded_once(monkeypatch):
    interrupts = iter(["1st", "", "3rd"])

    def keep(episode):
        if next(interrupts, ""):
            raise KeyboardInterrupt
        return True

    env = rv.record(CountingEnv([2, 4, 1, 3]), keep_episode=keep)
    append, num_appended = env.cache.append, itertools.count(1)

    def append_sometimes(*arguments, **options):
        if next(num_appended) == 6:
            raise KeyboardInterrupt
        return append(*arguments, **options)

    monkeypatch.setattr(env.cache, "append", append_sometimes)
    num_interrupts = 0
    for num_steps in (2, 4, 1, 3):
        calls = [lambda n=num_steps: env.reset(seed=n)]
        for call in calls + [lambda: env.step(0)] * num_steps:
            try:
                call()
            except KeyboardInterrupt:
                num_interrupts += 1
    env.recorder.finish()

    assert num_interrupts == 3
    found = [(e.length, e.total_reward, e.seed) for e in env.cache.episodes]
    assert found == [(2, 3.0, 2), (4, 10.0, 4), (1, 1.0, 1), (3, 6.0, 3)]
    shown = [read_count(env.cache[row, 0])[0] % 256 for row in range(14)]
    assert shown == [0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3]
