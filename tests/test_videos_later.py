"""Videos whose pictures are rendered after their episodes, by replaying them."""

import json
import textwrap
import warnings

import av
import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import rollout_viewer as rv
from rollout_viewer.sources.gymnasium.vector import RecordVideo as VectorRecordVideo
from tests.killed import record_and_kill
from tests.later_envs import play

ENV = "MountainCar-v0"


def play_batch(env, steps=50):
    env.action_space.seed(1)
    env.reset(seed=3)
    for _ in range(steps):
        *_, terminated, truncated, _ = env.step(env.action_space.sample())
        ended = terminated | truncated
        mode = env.metadata.get("autoreset_mode")
        if mode is AutoresetMode.DISABLED and ended.any():
            env.reset(options={"reset_mask": ended})
    env.close()


def frames_of(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def assert_same_videos(later, now):
    """Compare the videos of two folders, and what is said of their episodes."""
    names = sorted(path.name for path in now.glob("*.mp4"))
    assert names
    assert sorted(path.name for path in later.glob("*.mp4")) == names
    for name in names:
        frames = frames_of(later / name), frames_of(now / name)
        np.testing.assert_array_equal(*frames)
        about = [
            json.loads((folder / name).with_suffix(".json").read_text())
            for folder in (later, now)
        ]
        assert about[0]["num_frames"] == about[1]["num_frames"] == len(frames[0])
        for one in about:
            del one["recording"], one["metadata"]
        assert about[0] == about[1]


@pytest.mark.parametrize(
    "options",
    [
        {"episode_trigger": lambda episode: episode in (0, 2)},
        {"step_trigger": lambda step: step in (5, 40), "video_length": 12},
    ],
    ids=["episodes", "steps"],
)
def test_record_video(tmp_path, options):
    env = gymnasium.make(ENV, render_mode="rgb_array")
    play(rv.RecordVideo(env, tmp_path / "now", **options))
    env = gymnasium.make(ENV)
    play(rv.RecordVideo(env, tmp_path / "later", render="later", **options))

    assert_same_videos(tmp_path / "later", tmp_path / "now")


def assert_videos_show(folder, later, now, num_videos):
    """Compare the pictures of videos of a batch with those of its recording."""
    videos = sorted(folder.glob("*.mp4"))
    assert len(videos) == num_videos
    for video in videos:
        about = json.loads(video.with_suffix(".json").read_text())
        assert len(frames_of(video)) == about["num_frames"] > 5
        rows = range(*about["recording"]["rows"])
        pictured = [
            (row, env) for row in rows for env in (0, 1) if now.has_picture(row, env)
        ]
        assert len(pictured) > 10
        for row, env in pictured:
            assert later.has_picture(row, env)
            np.testing.assert_array_equal(later[row, env], now[row, env])
        # The last pictures of episodes, too, which rendering at once misses.
        ends = now.scalars["terminated"][rows.start : rows.stop]
        for row, env in np.argwhere(ends):
            assert later.has_picture(rows.start + row, env)


@pytest.mark.parametrize("mode", AutoresetMode)
def test_vector_record_video_in_every_autoreset_mode(tmp_path, mode):
    def make(render_mode=None):
        return gymnasium.make_vec(
            "CartPole-v1",
            num_envs=2,
            vectorization_mode="sync",
            render_mode=render_mode,
            vector_kwargs={"autoreset_mode": mode},
        )

    now = rv.record(make("rgb_array"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SAME_STEP
        later = VectorRecordVideo(
            make(), tmp_path, episode_trigger=lambda one: one == 1, render="later"
        )

    play_batch(now)
    play_batch(later)

    assert later.cache.num_rows == now.cache.num_rows
    assert_videos_show(tmp_path, later.cache, now.cache, 1)
    assert not later.cache.has_picture(0, 0)  # between videos


def test_vec_video_recorder(tmp_path):
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_util import make_vec_env

    def play_all(recorded):
        recorded.action_space.seed(1)
        recorded.seed(3)
        recorded.reset()
        for _ in range(60):
            recorded.step(np.array([recorded.action_space.sample() for _ in range(2)]))
        recorded.close()

    rendered = {"render_mode": "rgb_array"}
    now = rv.record(make_vec_env("CartPole-v1", n_envs=2, env_kwargs=rendered))
    later = rv.VecVideoRecorder(
        make_vec_env("CartPole-v1", n_envs=2),
        str(tmp_path),
        lambda step: step in (7, 40),
        15,
        render="later",
    )

    play_all(now)
    play_all(later)

    assert_videos_show(tmp_path, later.cache, now.cache, 2)
    names = [path.name for path in sorted(tmp_path.glob("*.mp4"))]
    assert names == [f"rl-video-step-{n}-to-step-{n + 15}.mp4" for n in (40, 7)]


def test_the_environment_is_never_rendered_and_its_loggers_get_videos(
    tmp_path, monkeypatch
):
    env = gymnasium.make(ENV, render_mode="rgb_array")
    monkeypatch.setattr(type(env.unwrapped), "render", lambda _: 1 / 0)
    logger = rv.CSVLogger("log", tmp_path, video_format="mp4")

    play(rv.RecordVideo(env, tmp_path / "a", render="later", logger=logger), 20)

    assert [*(tmp_path / "log").rglob("*.mp4")]


class StepLogger:
    """Has name and step of each video that it received."""

    def __init__(self):
        self.received = []

    def log_video(self, name, video, step=None, **_):
        self.received.append((name, step))


def test_each_video_is_logged_at_its_own_step(tmp_path):
    logger = StepLogger()
    options = {"step_trigger": lambda step: step in (5, 40), "video_length": 12}
    env = rv.RecordVideo(
        gymnasium.make(ENV), tmp_path, render="later", logger=logger, **options
    )

    play(env)

    assert logger.received == [("rl-video-step-5", 5), ("rl-video-step-40", 40)]


def test_a_video_that_failed_is_a_warning_and_the_next_is_logged(tmp_path):
    (tmp_path / "file").touch()  # no folder can have its name
    logger = StepLogger()
    options = {"step_trigger": lambda _: False, "video_length": 100}
    env = rv.RecordVideo(
        gymnasium.make(ENV), tmp_path, render="later", logger=logger, **options
    )
    env.reset(seed=0)

    with pytest.warns(rv.RolloutViewerWarning, match="file/first.mp4"):
        for name in ("file/first", "second"):  # which stops the first
            env.start_recording(name)
            env.step(0)
        env.stop_recording()

    assert [name for name, _ in logger.received] == ["second"]
    env.start_recording("file/third")
    env.step(0)
    with pytest.raises(rv.ExportError, match="file/third.mp4"):
        env.stop_recording()
    env.close()
    assert [name for name, _ in logger.received] == ["second"]


def test_a_video_may_begin_only_where_it_can_be_rendered(tmp_path):
    env = rv.RecordVideo(gymnasium.make(ENV), tmp_path, render="later")
    env.reset(seed=0)
    env.step(0)

    with pytest.raises(ValueError, match="no running episode.*step_trigger"):
        env.start_recording("mine")

    env.close()


def test_a_video_that_was_asked_for_is_there_when_the_call_returns(tmp_path):
    options = {"video_length": 100, "render": "later"}
    env = rv.RecordVideo(gymnasium.make(ENV), tmp_path, lambda _: False, **options)
    env.start_recording("mine")
    env.reset(seed=0)
    env.step(0)

    env.stop_recording()

    assert len(frames_of(tmp_path / "mine.mp4")) == 2
    env.close()


def test_what_cannot_be_made_again_is_refused_and_leaves_nothing(tmp_path):
    class Unnamed(gymnasium.Wrapper):
        pass

    folder = tmp_path / "videos"
    with pytest.raises(rv.UnsupportedEnvError, match=r"wrapper Unnamed.*make_env="):
        rv.RecordVideo(Unnamed(gymnasium.make(ENV)), folder, render="later")
    with pytest.raises(ValueError, match="'now' or 'later', got 'never'"):
        rv.RecordVideo(gymnasium.make(ENV), folder, render="never")

    assert not folder.exists()


def test_a_replay_that_differs_is_a_warning_and_the_video_says_so(tmp_path):
    def other():
        return gymnasium.make(ENV, render_mode="rgb_array", goal_velocity=-5.0)

    env = gymnasium.make("MountainCarContinuous-v0")
    with pytest.warns(rv.RolloutViewerWarning, match="env 0 from row 0 on|row 1 on"):
        play(
            rv.RecordVideo(env, tmp_path, render="later", make_env=other),
            steps=5,
        )


@pytest.mark.serial
def test_videos_of_a_process_that_was_killed_are_written_by_the_next(tmp_path):
    program = textwrap.dedent(
        """
        import sys, time, gymnasium, rollout_viewer as rv
        env = gymnasium.make("MountainCar-v0")
        env = rv.RecordVideo(env, sys.argv[1], lambda _: True, render="later")
        env.action_space.seed(1)
        env.reset(seed=3)
        for _ in range(33):
            env.step(env.action_space.sample())
        env.cache.flush()
        print("recorded", flush=True)
        time.sleep(60)
        """
    )
    folder = tmp_path / "killed"
    record_and_kill(program, folder)

    # A recorder that renders at once makes no environment that a file names.
    env = gymnasium.make(ENV, render_mode="rgb_array")
    with pytest.warns(rv.RolloutViewerWarning, match="render='later' over this folder"):
        rv.RecordVideo(env, folder, lambda _: False).close()
    rv.RecordVideo(gymnasium.make(ENV), folder, lambda _: False, render="later").close()

    env = rv.RecordVideo(env, tmp_path / "now", lambda _: True)
    play(env, 33, restart_after=100)
    [killed], [now] = (
        [frames_of(path) for path in one.glob("*.mp4")]
        for one in (folder, tmp_path / "now")
    )
    np.testing.assert_array_equal(killed, now)


# -- TorchRL


def torchrl_env(name="CartPole-v1", **options):
    """Return an environment whose transforms change observations and ends."""
    pytest.importorskip("torchrl")
    from torchrl.envs import GymEnv, StepCounter, TransformedEnv

    return TransformedEnv(GymEnv(name, **options), StepCounter(15))


def roll_out(env, steps=40):
    import torch

    env.set_seed(3)
    torch.manual_seed(0)
    env.rollout(steps, break_when_any_done=False)


@pytest.mark.parametrize(
    "options", [{}, {"frame_skip": 2}, {"name": "Pendulum-v1"}], ids=str
)
def test_torchrl_env(options):
    now = rv.record(torchrl_env(**options, render_mode="rgb_array"))
    later = rv.record(torchrl_env(**options), render="later")
    roll_out(now)
    roll_out(later)

    assert later.cache.render(progress=False) == now.cache.num_rows

    assert len(now.cache.episodes) > 2
    for row in range(now.cache.num_rows):
        np.testing.assert_array_equal(later.cache[row, 0], now.cache[row, 0])


def test_torchrl_video_recorder(tmp_path):
    def record(folder, make, **options):
        logger = rv.CSVLogger("log", tmp_path / folder, video_format="pt")
        recorder = rv.VideoRecorder(logger, "video", **options)
        roll_out(make().append_transform(recorder))
        assert len(recorder.obs) > 10
        [path] = recorder.dump()
        assert not len(recorder.obs)
        return path

    torch = pytest.importorskip("torch")
    pixels = {"from_pixels": True, "pixels_only": False}
    now = record("now", lambda: torchrl_env(**pixels))
    later = record("later", torchrl_env, render="later")

    torch.testing.assert_close(torch.load(later), torch.load(now), rtol=0, atol=0)


def test_torchrl_environments_that_cannot_be_made_again_are_refused():
    pytest.importorskip("torchrl")
    from torchrl.envs import SerialEnv
    from torchrl.testing.mocking_classes import ContinuousActionVecMockEnv

    for make in (ContinuousActionVecMockEnv, lambda: SerialEnv(2, torchrl_env)):
        with pytest.raises(rv.UnsupportedEnvError, match="GymEnv.*one environment"):
            rv.record(make(), render="later")
    with pytest.raises(ValueError, match="no in_keys"):
        rv.VideoRecorder(None, "a", in_keys=["camera"], render="later")
