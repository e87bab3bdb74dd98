"""Episodes that `every` or `keep_episode` chose, rendered when they have ended."""

import functools
import os
import signal
import time
import warnings

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache import background_rendering
from tests.later_envs import Steps, play
from tests.test_render_later import assert_same_pictures, pictures


class HereNever(Steps):
    """Fails where it is rendered in the process that made it first."""

    def __init__(self, pid, **options):
        super().__init__(**options)
        self._pid = pid

    def render(self):
        assert os.getpid() != self._pid
        return super().render()


def play_episodes(num_episodes, steps=6, gate="", wrong_from=0, **options):
    """Return a recorder of episodes that a reset ends; `every` is 1 if not given."""
    pid = os.getpid()
    make_env = lambda: HereNever(pid, gate=gate, wrong_from=wrong_from)  # noqa: E731
    options = {"every": 1, "make_env": make_env, **options}
    env = rv.record(HereNever(pid), render="later", **options)
    for episode in range(num_episodes):
        env.reset(seed=episode)
        for _ in range(steps):
            env.step(0)
    return env


@pytest.mark.parametrize(
    "chosen",
    [{"every": 2}, {"keep_episode": lambda episode: episode.index % 2 == 1}],
    ids=["every", "keep_episode"],
)
def test_chosen_episodes_have_pictures_that_nobody_asked_for(chosen, tmp_path):
    now = play_and_close(
        gymnasium.make("CartPole-v1", render_mode="rgb_array"), **chosen
    )
    later = play_and_close(
        gymnasium.make("CartPole-v1"),
        render="later",
        cache=tmp_path / "a.rollout",
        **chosen,
    )

    assert later.num_rows > 20
    assert all(later.is_shown(row, 0) for row in range(later.num_rows))
    assert_same_pictures(later, now)


def play_and_close(env, steps=90, *, restart_after=25, **options):
    """Record while `play` does; return the recording."""
    env = rv.record(env, **options)
    play(env, steps, restart_after)
    return env.cache


def test_chosen_episodes_of_a_vector_env_have_pictures():
    kept = {"every": 2, "steps": 60}

    def envs(mode=None):
        make = lambda: gymnasium.make("CartPole-v1", render_mode=mode)  # noqa: E731
        return gymnasium.vector.SyncVectorEnv([make] * 3)

    def play_batch(envs, steps, **options):
        env = rv.record(envs, **options)
        env.action_space.seed(1)
        env.reset(seed=3)
        for _ in range(steps):
            env.step(env.action_space.sample())
        env.recorder.finish()
        return env.cache

    now = play_batch(envs("rgb_array"), **kept)
    later = play_batch(envs(), render="later", **kept)

    for episode in now.episodes:
        for row in range(episode.start, episode.stop):
            assert later.has_picture(row, episode.env), (row, episode.env)
            same = later[row, episode.env], now[row, episode.env]
            np.testing.assert_array_equal(*same)


def test_idle_rows_show_the_picture_before_them_without_a_replay(monkeypatch):
    chosen = {"keep_episode": lambda episode: episode.length > 2}

    def record(render_mode, **options):
        make = lambda: gymnasium.make("CartPole-v1", render_mode=render_mode)  # noqa: E731
        env = rv.record(gymnasium.vector.SyncVectorEnv([make] * 2), **chosen, **options)
        env.action_space.seed(1)
        env.reset(seed=3)
        for _ in range(50):
            env.step(env.action_space.sample())
        env.recorder.finish()
        return env.cache

    now, later = record("rgb_array"), record(None, render="later")
    idle = [
        (row, env)
        for row in range(later.num_rows)
        for env in range(2)
        if later.at(row, env).kind == "idle" and now.is_shown(row, env)
    ]
    assert not any(later.is_shown(*one) for one in idle)
    monkeypatch.setattr("rollout_viewer._replay.pool.Worker", None)

    assert later.render(progress=False) == len(idle) > 20

    for row, env in idle:
        np.testing.assert_array_equal(later[row, env], now[row, env])


def test_steps_do_not_wait_for_pictures(tmp_path):
    gate = tmp_path / "gate"
    env = play_episodes(4, gate=str(gate))
    assert env.cache.num_rows == 28  # while the first picture waits for the gate
    assert not env.cache.slots

    gate.touch()
    env.close()

    assert [picture[0, 0, 0] for picture in pictures(env.cache)] == [*range(7)] * 4


def test_episodes_that_steps_end_are_rendered_as_well():
    make_env = functools.partial(
        gymnasium.make, "CartPole-v1", max_episode_steps=5, render_mode="rgb_array"
    )
    env = rv.record(
        gymnasium.make("CartPole-v1", max_episode_steps=5),
        render="later",
        every=1,
        make_env=make_env,
    )
    for _ in range(3):
        env.reset(seed=0)
        while not env.step(0)[3]:
            pass

    env.cache.finish_rendering()

    assert all(env.cache.has_picture(row, 0) for row in range(18))


def test_more_episodes_than_can_be_rendered_are_a_warning_and_come_later(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(background_rendering, "MAX_EPISODES", 2)
    gate = tmp_path / "gate"
    with pytest.warns(rv.RolloutViewerWarning, match="got 2 that wait") as caught:
        env = play_episodes(6, gate=str(gate))
    assert len(caught) == 1
    gate.touch()
    env.close()

    cache = env.cache
    assert cache.has_picture(0, 0)
    assert cache.at(30, 0).picture_state == "to be rendered"
    assert cache[30, 0][0, 0, 0] == 2


def test_ctrl_c_while_close_waits_leaves_a_whole_file(tmp_path):
    path = tmp_path / "a.rollout"
    env = play_episodes(3, gate=str(tmp_path / "gate"), cache=path)

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            env.close()
    finally:
        signal.signal(signal.SIGALRM, before)
    env.cache.close()

    with rv.open(path) as cache:
        assert cache.num_rows == 21
        assert [e.length for e in cache.episodes] == [6, 6, 6]
        assert cache.at(3, 0).picture_state == "to be rendered"


def test_environments_that_cannot_be_made_are_one_warning():
    def make_env():
        raise OSError("no driver")

    with pytest.warns(rv.RolloutViewerWarning, match="no driver") as caught:
        env = play_episodes(6, make_env=make_env)
        env.close()

    assert len(caught) == 1
    assert env.cache.num_rows == 42


def test_a_replay_that_differs_is_a_warning_that_names_the_row():
    with pytest.warns(rv.RolloutViewerWarning, match="env 0 from row 4 on") as caught:
        env = play_episodes(2, wrong_from=4, make_env=lambda: Steps(wrong_from=0))
        env.recorder.finish()
        env = play_episodes(2, make_env=lambda: Steps(wrong_from=4))
        env.close()

    assert len(caught) == 1
    assert env.cache.has_picture(3, 0)
    assert env.cache.at(4, 0).picture_state.startswith("not reproducible")


class Noise(Steps):
    """Pictures that take much room."""

    def render(self):
        return np.random.default_rng(self._step).integers(
            0, 256, (200, 200, 3), np.uint8
        )


def test_pictures_without_room_are_a_warning_and_say_so():
    cache = rv.FrameCache(disk_bytes=1_000_000)
    env = rv.record(
        Noise(), render="later", cache=cache, every=1, make_env=lambda: Noise()
    )
    with pytest.warns(rv.RolloutViewerWarning, match="disk_bytes=1000000") as caught:
        for episode in range(4):
            env.reset(seed=episode)
            for _ in range(15):
                env.step(0)
        env.close()

    assert len(caught) == 1
    assert cache.num_rows == 64
    assert len(cache.episodes) == 4
    missing = [row for row in range(64) if not cache.is_shown(row, 0)]
    assert 0 < len(missing) <= 64
    state = cache.at(missing[-1], 0).picture_state
    assert state == "not kept: disk_bytes=1000000 is used up"
    assert not cache.is_pending(missing[-1], 0)
    with pytest.warns(rv.RolloutViewerWarning, match="disk_bytes=1000000"):
        cache.render(progress=False)


def test_what_was_rendered_for_rows_that_were_cleared_is_dropped(tmp_path):
    gate = tmp_path / "gate"
    env = play_episodes(2, gate=str(gate))
    cache = env.cache
    while not (background := cache._rendering.known_background):
        time.sleep(0.01)
    cache.clear()
    env.reset(seed=0)
    for _ in range(30):
        env.step(0)
    env.reset(seed=1)  # this episode waits too when the one before `clear` is over
    gate.touch()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        env.close()

    assert not background._episodes
    shown = [picture[0, 0, 0] for picture in pictures(cache) if picture is not None]
    assert shown == [*range(31), 0]


def test_what_cannot_be_rendered_is_a_warning_where_the_disk_is_full_too(tmp_path):
    def make_env():
        raise OSError("no driver")

    with pytest.warns(rv.RolloutViewerWarning, match="no driver"):
        env = play_episodes(2, cache=tmp_path / "a.rollout", make_env=make_env)
        env.cache.flush()
        # SQLite's own limit gives the same error as a full disk.
        connection = env.cache.recording._file._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        env.cache.bookmark(0, "a long note" * 1000)
        with pytest.raises(rv.StorageError, match="full"):
            env.cache.close()
