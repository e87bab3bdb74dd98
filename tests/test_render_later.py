"""Pictures that are rendered after the episodes were recorded, by replaying them."""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import (
    FrameStackObservation,
    NormalizeObservation,
    NormalizeReward,
    RescaleAction,
)

import rollout_viewer as rv
from rollout_viewer._recording.file import FileRecording
from tests.killed import record_and_kill

STEPS = 70


def play(env, steps=STEPS, *, restart_after=25, seed=3, **options):
    """Return the recording of a few episodes of random actions; leave it open."""
    recorded = rv.record(env, **options)
    recorded.action_space.seed(1)
    recorded.reset(seed=seed)
    for step in range(1, steps + 1):
        *_, terminated, truncated, _ = recorded.step(recorded.action_space.sample())
        if terminated or truncated or step % restart_after == 0:
            recorded.reset()
    return recorded.cache


def pictures(cache, env=0):
    return [
        cache[row, env] if cache.is_shown(row, env) else None
        for row in range(cache.num_rows)
    ]


def assert_same_pictures(later, now):
    assert later.num_rows == now.num_rows
    for env in range(now.num_envs):
        for row, picture in enumerate(pictures(now, env)):
            if picture is not None:
                assert later.has_picture(row, env), (row, env)
                np.testing.assert_array_equal(later[row, env], picture)


def make(name, **options):
    if name == "ALE/Pong-v5":
        pytest.importorskip("ale_py")
    if name.startswith("MiniGrid"):
        pytest.importorskip("minigrid")
    if name.startswith("LunarLander"):
        # An error in its import, as warnings are here, ends the process.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip("Box2D")
    return gymnasium.make(name, **options)


WRAPPED = {
    "CartPole-v1": lambda env: env,
    "Pendulum-v1": lambda env: FrameStackObservation(RescaleAction(env, -2, 2), 2),
    "LunarLander-v3": lambda env: env,
    "ALE/Pong-v5": lambda env: env,
    "MiniGrid-Empty-8x8-v0": lambda env: env,
    "FrozenLake-v1": lambda env: env,
    "Acrobot-v1": lambda env: NormalizeReward(NormalizeObservation(env)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_pictures_are_those_of_rendering_at_once(name):
    now = play(WRAPPED[name](make(name, render_mode="rgb_array")))
    later = play(WRAPPED[name](make(name)), render="later")

    num_pictures = later.render(progress=False)

    assert num_pictures == later.num_rows
    assert len(later.episodes) >= 3
    assert_same_pictures(later, now)


@pytest.mark.slow
def test_mujoco_is_seen_by_the_camera_of_its_first_picture():
    pytest.importorskip("mujoco")
    options = {"width": 64, "height": 48, "max_episode_steps": 8}
    cheetah = gymnasium.make("HalfCheetah-v5", render_mode="rgb_array", **options)
    now = play(cheetah, 20)
    later = play(gymnasium.make("HalfCheetah-v5", **options), 20, render="later")

    later.render(progress=False, workers=1)

    assert_same_pictures(later, now)
    assert later.render([0, 1], width=32, height=24, progress=False) == 2
    assert later.cameras == ["pixels", "32x24"]
    assert later.frames(1, camera="32x24").shape == (1, 1, 24, 32, 3)
    later.render([1], camera="track", progress=False)
    assert later.frames(1, camera="track").shape == (1, 1, 48, 64, 3)
    with pytest.raises(rv.RenderError, match="nowhere"):
        later.render([1], camera="nowhere", progress=False)


@pytest.mark.slow
def test_a_row_of_mujoco_that_is_looked_at_first_is_seen_from_the_same_place():
    pytest.importorskip("mujoco")
    # Without a camera of its own: seen from the middle of its first picture.
    options = {"width": 64, "height": 48, "max_episode_steps": 12}
    now = play(gymnasium.make("Swimmer-v5", render_mode="rgb_array", **options), 20)
    later = play(gymnasium.make("Swimmer-v5", **options), 20, render="later")

    later.render([11], progress=False)

    np.testing.assert_array_equal(later[11, 0], now[11, 0])


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("mode", AutoresetMode)
def test_vector_envs_in_every_autoreset_mode(kind, mode):
    def play_batch(render_mode, **options):
        envs = rv.record(
            gymnasium.make_vec(
                "CartPole-v1",
                num_envs=2,
                vectorization_mode=kind,
                render_mode=render_mode,
                vector_kwargs={"autoreset_mode": mode},
            ),
            **options,
        )
        envs.action_space.seed(1)
        envs.reset(seed=3)
        for _ in range(50):
            *_, terminated, truncated, _ = envs.step(envs.action_space.sample())
            ended = terminated | truncated
            if mode is AutoresetMode.DISABLED and ended.any():
                envs.reset(options={"reset_mask": ended})
        envs.close()
        return envs.cache

    now, later = play_batch("rgb_array"), play_batch(None, render="later")

    later.render(progress=False)

    assert len(later.episodes) > 2
    assert_same_pictures(later, now)
    # the last pictures of episodes too, which rendering at once may miss
    ends = np.argwhere(later.scalars["terminated"])
    assert len(ends)
    assert all(later.has_picture(row, env) for row, env in ends)


@pytest.mark.parametrize("kind", ["DummyVecEnv", "SubprocVecEnv"])
def test_envs_of_stable_baselines3(kind):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env")
    from stable_baselines3.common.env_util import make_vec_env

    def play_batch(render_mode, **options):
        # What is compared with is forked: else each process imports torch.
        is_forked = render_mode and kind == "SubprocVecEnv" and hasattr(os, "fork")
        made = make_vec_env(
            "CartPole-v1",
            n_envs=2,
            vec_env_cls=getattr(vec_env, kind),
            vec_env_kwargs={"start_method": "fork"} if is_forked else {},
            env_kwargs={"render_mode": render_mode},
        )
        envs = rv.record(made, **options)
        envs.action_space.seed(1)
        envs.seed(3)
        envs.reset()
        for _ in range(50):
            envs.step(np.array([envs.action_space.sample() for _ in range(2)]))
        envs.close()
        return envs.cache

    now, later = play_batch("rgb_array"), play_batch(None, render="later")

    later.render(progress=False)

    assert len(later.episodes) > 2
    assert_same_pictures(later, now)


def test_nothing_is_rendered_while_it_is_recorded(monkeypatch):
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    monkeypatch.setattr(type(env.unwrapped), "render", lambda _: 1 / 0)

    cache = play(env, render="later")

    assert cache.cameras == []
    assert not cache.has_picture(0, 0)
    assert cache.at(0, 0).picture_state == "to be rendered"


def test_rollout_renders_later_too():
    cache = rv.rollout(
        gymnasium.make("CartPole-v1"),
        max_steps=20,
        seed=0,
        progress=False,
        render="later",
    )

    assert cache[3, 0].shape == (400, 600, 3)  # rendered on demand


def test_a_row_is_rendered_when_it_is_read_and_never_again(monkeypatch):
    monkeypatch.setattr("rollout_viewer._cache.rendering.BESIDE_S", 60.0)
    cache = play(gymnasium.make("CartPole-v1"), render="later")
    first = cache[40, 0]

    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: 1 / 0)

    np.testing.assert_array_equal(cache[40, 0], first)
    assert cache.has_picture(50, 0)  # of the same block and episode
    assert not cache.has_picture(33, 0)


def test_rows_of_some_episodes_are_rendered_alone():
    now = play(gymnasium.make("CartPole-v1", render_mode="rgb_array"))
    later = play(gymnasium.make("CartPole-v1"), render="later")
    episode = later.episodes[2]

    assert later.render(range(episode.start, episode.stop), progress=False) == (
        episode.stop - episode.start
    )

    assert not later.has_picture(episode.start - 1, 0)
    assert not later.has_picture(episode.stop, 0)
    np.testing.assert_array_equal(later[episode.start, 0], now[episode.start, 0])
    # the rest, around what is there
    later.render(progress=False)
    assert_same_pictures(later, now)


def test_clips_and_exports_have_pictures_that_come_later(tmp_path):
    now = play(gymnasium.make("CartPole-v1", render_mode="rgb_array"))
    later = play(gymnasium.make("CartPole-v1"), render="later")

    frames = list(later.clip(5, 50).frames())
    [path] = later.clip(5, 50).write(tmp_path / "clip.npz")

    [page] = later.clip().write(tmp_path / "page.html")
    assert later.has_picture(later.num_rows - 1, 0)
    assert page.stat().st_size > 100_000
    expected = list(now.clip(5, 50).frames())
    np.testing.assert_array_equal(frames, expected)
    assert path.stat().st_size > 1000


class Shrunk(gymnasium.Wrapper):
    """Renders every n-th pixel: a camera of one's own."""

    def __init__(self, env, height, width):
        super().__init__(env)
        self._size = height, width

    def render(self):
        picture = np.asarray(self.env.render())
        height, width = self._size
        return picture[:: len(picture) // height, :: len(picture[0]) // width]


def test_another_camera_of_any_size_is_added_to_a_file(tmp_path):
    path = tmp_path / "a.rollout"
    play(gymnasium.make("CartPole-v1"), render="later", cache=path).close()

    def make_env(height=400, width=600):
        env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
        return Shrunk(env, height, width)

    first = rv.open(path, make_env=make_env)
    first.render(progress=False)
    second = rv.open(path)
    options = {"camera": "top", "height": 40, "width": 60, "progress": False}
    assert second.render(**options, make_env=make_env) == first.num_rows

    opened = rv.open(path)
    assert opened.cameras == ["pixels", "top"]
    for row in (0, 30, opened.num_rows - 1):
        small = opened.frames(row, camera="top")[0, 0]
        np.testing.assert_array_equal(small, opened[row, 0][::10, ::10])
    with pytest.raises(ValueError, match="a make_env that takes width and height"):
        opened.render(**options, make_env=lambda: make_env())


def test_recording_goes_on_after_pictures_came():
    env = rv.record(gymnasium.make("Pendulum-v1"), render="later")
    plain = rv.record(gymnasium.make("Pendulum-v1", render_mode="rgb_array"))
    for recorded in (env, plain):
        recorded.action_space.seed(1)
        recorded.reset(seed=3)
    for _ in range(4):
        for recorded in (env, plain):
            for _ in range(13):
                recorded.step(recorded.action_space.sample())
            recorded.reset()
        env.cache.render(progress=False)

    assert_same_pictures(env.cache, plain.cache)


# -- files


def test_a_file_has_the_pictures_that_came_later(tmp_path):
    now = play(gymnasium.make("CartPole-v1", render_mode="rgb_array"))
    later = play(
        gymnasium.make("CartPole-v1"), render="later", cache=tmp_path / "a.rollout"
    )
    later.render(range(10), progress=False)
    later.close()
    later.render(range(10, 40), progress=False)
    copy = later.save(tmp_path / "copy.rollout")

    for path in (later.path, copy):
        with rv.open(path, render=True) as opened:
            assert opened.has_picture(39, 0)
            assert not opened.has_picture(60, 0)
            opened.render(progress=False)
            assert_same_pictures(opened, now)
        assert_same_pictures(rv.open(path), now)


def test_a_file_is_followed_while_its_pictures_come(tmp_path):
    cache = play(
        gymnasium.make("CartPole-v1"), render="later", cache=tmp_path / "a.rollout"
    )
    cache.close()
    follower = rv.open(cache.path)
    assert not follower.is_shown(5, 0)

    rv.open(cache.path, render=True).render(progress=False)

    np.testing.assert_array_equal(follower[5, 0], cache[5, 0])


def test_no_environment_is_made_of_a_file_unless_the_user_says_so(tmp_path):
    cache = play(
        gymnasium.make("CartPole-v1"), render="later", cache=tmp_path / "a.rollout"
    )
    cache.close()
    opened = rv.open(cache.path)

    assert opened.num_rows == cache.num_rows
    for read in (opened.render, lambda: opened[0, 0]):
        with pytest.raises(rv.RenderError, match="permission.*render=True"):
            read()

    def make_env():
        return gymnasium.make("CartPole-v1", render_mode="rgb_array")

    assert opened.render([0], make_env=make_env, progress=False) == 1
    trusted = rv.open(cache.path, make_env=make_env)
    assert trusted[20, 0].any()


def test_a_recording_that_another_process_writes_is_rendered_there(tmp_path):
    path = tmp_path / "a.rollout"
    cache = play(gymnasium.make("CartPole-v1"), render="later", cache=path)
    cache.flush()

    with pytest.raises(rv.RecordingLockedError, match="Render it there"):
        rv.open(path, render=True).render([0], progress=False)


@pytest.mark.serial
def test_what_a_kill_leaves_is_rendered(tmp_path):
    program = textwrap.dedent(
        """
        import sys, time, gymnasium, rollout_viewer as rv
        env = gymnasium.make("CartPole-v1")
        env = rv.record(env, render="later", cache=sys.argv[1])
        env.action_space.seed(1)
        env.reset(seed=3)
        for step in range(1, 10_000):
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            if terminated or truncated or step % 25 == 0:
                env.reset()
            if step == 70:
                time.sleep(1.2)
                print("recorded", flush=True)
                time.sleep(60)
        """
    )
    path = tmp_path / "a.rollout"
    record_and_kill(program, path)
    now = play(gymnasium.make("CartPole-v1", render_mode="rgb_array"))

    opened = rv.open(path, render=True)
    opened.render(progress=False)

    assert opened.num_rows >= now.num_rows - 32
    assert_same_pictures(opened, play_rows(now, opened.num_rows))


def play_rows(cache, num_rows):
    """Return a copy of the first rows of a recording."""
    copy = rv.FrameCache()
    for row in range(num_rows):
        copy.append(**cache.row_of(row))
    return copy


def test_a_kill_while_it_is_rendered_loses_no_picture_that_was_filed(tmp_path):
    path = tmp_path / "a.rollout"
    cache = play(gymnasium.make("Pendulum-v1"), 400, render="later", cache=path)
    cache.close()
    program = (
        "import sys, rollout_viewer as rv;"
        "rv.open(sys.argv[1], render=True).render(workers=1, progress=False)"
    )
    follower = rv.open(path)
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        while not follower.is_shown(0, 0) and process.poll() is None:
            pass
        process.send_signal(signal.SIGKILL)
    opened = rv.open(path, render=True)
    known = sum(opened.has_picture(row, 0) for row in range(opened.num_rows))
    assert known > 0

    num_pictures = opened.render(progress=False)

    assert num_pictures == opened.num_rows - known
    now = play(gymnasium.make("Pendulum-v1", render_mode="rgb_array"), 400)
    assert_same_pictures(opened, now)


# -- what cannot be replayed


class RandomWalk(gymnasium.Env):
    """Depends on what no generator of the environment decides."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self._step = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._step = 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self._step += 1
        noise = os.getpid() if self._step >= 10 else 0
        return np.full(1, noise, np.float32), 0.0, False, False, {}

    def render(self):
        return np.full((8, 8, 3), self._step, np.uint8)


@pytest.fixture
def random_walk():
    gymnasium.register("RandomWalk-v0", RandomWalk)
    yield "RandomWalk-v0"
    del gymnasium.registry["RandomWalk-v0"]


def test_no_picture_is_made_from_the_first_difference_on(random_walk):
    cache = play(gymnasium.make(random_walk), 20, restart_after=30, render="later")

    with pytest.warns(
        rv.RolloutViewerWarning,
        match=rf"env 0 from row 10 on: its obs was recorded as \[{os.getpid()}",
    ):
        cache.render(progress=False)

    assert [cache.has_picture(row, 0) for row in range(21)] == 10 * [True] + 11 * [
        False
    ]
    assert cache.at(10, 0).picture_state.startswith("not reproducible: its obs")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cache.render(progress=False) == 0  # and is not tried again


class OwnGenerator(RandomWalk):
    """Draws from a generator that Gymnasium does not know."""

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self._own = np.random.default_rng(seed)
        self._level = int(self._own.integers(200))
        return np.full(1, self._level, np.float32), {}

    def step(self, action):
        self._step += 1
        return np.full(1, self._level, np.float32), 0.0, False, False, {}

    def render(self):
        return np.full((8, 8, 3), self._level, np.uint8)


def test_what_no_state_decides_is_replayed_from_the_last_seed():
    make_env = OwnGenerator
    now = play(make_env("rgb_array"), 60, restart_after=9)
    later = play(
        make_env(),
        60,
        restart_after=9,
        render="later",
        make_env=lambda: make_env("rgb_array"),
    )

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        later.render(progress=False)

    assert_same_pictures(later, now)


def test_options_that_are_no_json_cannot_be_repeated():
    env = rv.record(gymnasium.make("CartPole-v1"), render="later")
    env.reset(seed=0, options={"low": np.array(-0.01)})
    env.step(0)

    with pytest.warns(
        rv.RolloutViewerWarning, match="options of its reset are no JSON"
    ):
        assert env.cache.render(progress=False) == 0


class Unnamed(gymnasium.Wrapper):
    """Keeps no arguments."""


@pytest.mark.parametrize(
    ("make_env", "problem"),
    [
        (lambda: RandomWalk(), "without a specification"),
        (lambda: Unnamed(gymnasium.make("CartPole-v1")), "the wrapper Unnamed"),
    ],
)
def test_what_cannot_be_made_again_is_refused_at_once(make_env, problem):
    with pytest.raises(rv.UnsupportedEnvError, match=rf"{problem}.*make_env=.*'now'"):
        rv.record(make_env(), render="later")


def test_a_function_makes_what_has_no_specification():
    def make_env():
        from gymnasium.envs.classic_control.cartpole import CartPoleEnv

        return CartPoleEnv(render_mode="rgb_array")

    cache = play(make_env(), 20, render="later", make_env=make_env)

    assert cache.render(progress=False) == cache.num_rows


def test_an_environment_that_gives_no_picture_is_an_error():
    cache = play(gymnasium.make("CartPole-v1"), 5, render="later")

    with pytest.raises(rv.RenderError, match="render_mode=None"):
        cache.render(make_env=lambda: gymnasium.make("CartPole-v1"), progress=False)
    with pytest.raises(rv.RenderError, match="to make the recorded environment"):
        cache.render(make_env=lambda: 1 / 0, progress=False)


def test_a_worker_that_dies_is_an_error():
    cache = play(gymnasium.make("CartPole-v1"), 5, render="later")

    def make_env():
        print("broken driver", file=sys.stderr, flush=True)
        os._exit(3)

    with pytest.raises(rv.RenderError, match="exit code 3: broken driver"):
        cache.render(make_env=make_env, progress=False)


def test_a_worker_that_can_no_longer_answer_is_ended_and_an_error(monkeypatch):
    monkeypatch.setattr("rollout_viewer._replay.pool._WAIT_S", 0.1)
    cache = play(gymnasium.make("CartPole-v1"), 5, render="later")

    def make_env():
        # What reads its tasks fails then, and would print more than is reported.
        threading.excepthook = lambda _: None
        print("closed everything", file=sys.stderr, flush=True)
        os.closerange(3, 64)  # its way to answer too
        time.sleep(600)

    with pytest.raises(rv.RenderError, match="exit code -9: closed everything"):
        cache.render(make_env=make_env, progress=False)


@pytest.mark.parametrize("make_env", [lambda: Walker(), lambda: None])
def test_what_no_adapter_can_replay_is_refused(make_env, tmp_path):
    path = tmp_path / "a.rollout"

    with pytest.raises(rv.UnsupportedEnvError):
        rv.record(make_env(), render="later", cache=path)

    assert not path.exists()


class Walker:
    """An object without a framework."""

    def reset(self):
        return np.zeros(1)

    def step(self, action):
        return np.zeros(1), 0.0, False, False, {}

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


def test_damage_of_what_a_replay_needs_is_shown_as_that(tmp_path):
    path = tmp_path / "a.rollout"
    cache = play(gymnasium.make("CartPole-v1"), render="later", cache=path)
    cache.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE extras SET data = ? WHERE block = -2", (b"no start",))
    connection.commit()
    connection.close()

    opened = rv.open(path, render=True)
    with pytest.warns(rv.RolloutViewerWarning, match="the start of an episode"):
        opened.render(progress=False)

    first, second, third = opened.episodes[:3]
    assert opened.has_picture(first.start, 0)
    assert not opened.has_picture(second.start, 0)
    assert opened.has_picture(third.start, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("replay", "[]"),
        ("replay", '[{"version": 1, "specs": "import os"}]'),
        ("replay", '[{"version": 9}]'),
        ("not_reproducible", '[[0, "x", 2, 3]]'),
        ("num_late_chunks", '"many"'),
    ],
)
def test_a_file_may_say_anything(tmp_path, key, value):
    path = tmp_path / "a.rollout"
    cache = play(gymnasium.make("CartPole-v1"), 5, render="later", cache=path)
    cache.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
    connection.commit()
    connection.close()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = rv.open(path, render=True)
    with contextlib.suppress(rv.RolloutViewerError):
        opened.render(progress=False)
    assert opened.at(0, 0).kind == "reset"


def test_wrong_arguments_are_refused():
    env = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    with pytest.raises(ValueError, match="'now' or 'later'"):
        rv.record(env, render="never")
    with pytest.raises(ValueError, match="skip=1"):
        rv.record(env, render="later", skip=2)
    with pytest.raises(ValueError, match="render='later' only"):
        rv.record(env, make_env=lambda: env)
    with pytest.raises(rv.RenderError, match="render='later'"):
        play(env, 3).render()


def test_kept_and_counted_episodes_are_rendered():
    now = play(gymnasium.make("CartPole-v1", render_mode="rgb_array"), every=2)
    later = play(gymnasium.make("CartPole-v1"), every=2, render="later")
    later.render(progress=False)
    assert_same_pictures(later, now)

    is_kept = lambda episode: episode.index % 2 == 1  # noqa: E731
    kept = {"steps": 150, "keep_episode": is_kept}
    now = play(gymnasium.make("CartPole-v1", render_mode="rgb_array"), **kept)
    later = play(gymnasium.make("CartPole-v1"), render="later", **kept)
    assert later.num_rows > 20
    later.render(progress=False)
    assert_same_pictures(later, now)


def test_pictures_are_cropped_as_the_recorder_would():
    options = {"crop": (100, 200), "resize": (50, 100)}
    now = play(gymnasium.make("CartPole-v1", render_mode="rgb_array"), 10, **options)
    later = play(gymnasium.make("CartPole-v1"), 10, render="later", **options)

    later.render(progress=False)

    assert_same_pictures(later, now)


def test_older_readers_find_tables_that_they_know(tmp_path):
    path = tmp_path / "a.rollout"
    cache = play(gymnasium.make("CartPole-v1"), render="later", cache=path)
    cache.render(progress=False)
    cache.close()

    recording = FileRecording(path)

    assert recording.damage == ""
    assert recording.slots[0].size == (400, 600)
    assert all(recording.extras(row) for row in range(1, cache.num_rows))
