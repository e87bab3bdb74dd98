"""What a constructor refuses leaves no file, also while its error is kept."""

import gymnasium as gym
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer.loggers import CSVLogger
from rollout_viewer.testing import CountingEnv


class Batch:
    """Envs whose autoreset mode is none."""

    num_envs, metadata = 2, {"autoreset_mode": "sometimes"}

    def reset(self):
        return np.zeros((2, 3))

    def step(self, action):
        raise NotImplementedError

    def render(self):
        raise NotImplementedError


def test_an_env_that_is_refused_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="autoreset_mode") as kept:
        rv.record(Batch(), cache=tmp_path / "run.rollout")

    assert kept.value is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"metadata": {1: 2}}, {"tag": "../x"}, {"tag": 3}, {"skip": 0}]
)
def test_arguments_that_are_refused_leave_no_file(tmp_path, wrong):
    with pytest.raises((TypeError, ValueError)) as kept:
        Recorder(1, cache=tmp_path / "run.rollout", **wrong)

    assert kept.value is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("part", ["WriterThread", "DatabaseReader", "create_database"])
def test_a_recording_that_cannot_be_made_leaves_no_file(tmp_path, part, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(f"rollout_viewer._recording.filing.{part}", fail)
    with pytest.raises(RuntimeError) as kept:
        rv.FrameCache(tmp_path / "run.rollout")

    assert kept.value is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", ["x", -1, float("nan"), None])
def test_a_stall_that_is_no_time_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected max_stall_s to be seconds"):
        rv.FrameCache(tmp_path / "run.rollout", max_stall_s=wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_tag_that_leads_out_is_refused_at_once():
    from rollout_viewer.sources.torchrl import VideoRecorder

    with pytest.raises(ValueError, match="VideoRecorder: expected a name within"):
        VideoRecorder(CSVLogger, tag="../x")
    with pytest.raises(ValueError, match="record: expected a name within"):
        rv.record(CountingEnv(), tag="/x")


@pytest.mark.parametrize("backend", ["process", "ray"])
def test_a_service_of_torchrl_is_refused_with_the_way(tmp_path, backend):
    with pytest.raises(TypeError, match=r"ProcessLogger\(CSVLogger, \.\.\.\)"):
        CSVLogger("run", tmp_path, service_backend=backend)
    with pytest.raises(TypeError, match="got levels=3"):
        CSVLogger("run", tmp_path, levels=3)
    assert list(tmp_path.iterdir()) == []

    CSVLogger("run", tmp_path, service_backend="direct")


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (rv.TensorboardLogger, ()),
        (rv.WandbLogger, (True,)),
        (rv.MLFlowLogger, ("sqlite:///never.db",)),
    ],
)
def test_every_logger_refuses_a_service_with_the_way(
    kind, arguments, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    way = rf"ProcessLogger\({kind.__name__}, \.\.\.\)"
    for name, value in (
        ("service_backend", "process"),
        ("ray_actor_options", {"num_cpus": 1}),
        ("service_backend_options", {"startup_timeout": 9}),
    ):
        with pytest.raises(TypeError, match=way):
            kind("run", *arguments, **{name: value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tag", ["../x", "a/../../x", "/x", "x/.."])
def test_a_viewers_tag_that_leads_out_is_refused_at_once(tag):
    with pytest.raises(ValueError, match="RolloutViewer: expected a name within"):
        rv.RolloutViewer(np.zeros((2, 8, 8, 3), np.uint8), tag=tag)
    with pytest.raises(TypeError, match="expected tag to be a str, got 3"):
        rv.RolloutViewer(np.zeros((2, 8, 8, 3), np.uint8), tag=3)


def test_classes_of_videos_can_be_forgotten_without_a_constructor():
    pytest.importorskip("stable_baselines3")
    for kind in (rv.RecordVideo, rv.VectorRecordVideo, rv.VecVideoRecorder):
        kind.__new__(kind).__del__()


class Steps:
    """A logger that shows the videos of one name over steps."""

    takes_clips, shows_steps = True, True

    def __init__(self):
        self.logged = []

    def log_video(self, name, video, step=None, **options):
        self.logged.append((name, step, video.num_rows))


def test_a_logger_that_shows_steps_gets_one_name(tmp_path):
    from stable_baselines3.common.vec_env import DummyVecEnv

    logger = Steps()
    env = rv.RecordVideo(
        gym.wrappers.TimeLimit(CountingEnv(), 3),
        str(tmp_path / "a"),
        lambda episode: True,
        logger=logger,
    )
    for _ in range(3):
        env.reset()
        for _ in range(3):
            env.step(0)
    env.close()
    venv = rv.VecVideoRecorder(
        DummyVecEnv([CountingEnv]),
        str(tmp_path / "b"),
        lambda n: n == 0,
        2,
        logger=logger,
    )
    venv.reset()
    for _ in range(3):
        venv.step([0])
    venv.close()

    names, steps, _ = zip(*logger.logged, strict=True)
    assert set(names) == {"rl-video"}
    assert steps == (0, 2, 5, 0)


class Names:
    """A logger that gives each video a name."""

    def __init__(self):
        self.names = []

    def log_video(self, name, video, step=None, **options):
        self.names.append(name)


def test_each_logger_of_a_tee_gets_its_own_name(tmp_path):
    pytest.importorskip("torch", reason="a foreign logger is given a tensor")
    steps, names = Steps(), Names()
    env = rv.RecordVideo(
        gym.wrappers.TimeLimit(CountingEnv(), 3),
        str(tmp_path),
        lambda episode: True,
        logger=rv.TeeLogger(names, rv.TeeLogger(steps, object())),
    )
    for _ in range(2):
        env.reset()
        env.step(0)
    env.close()

    assert [name for name, *_ in steps.logged] == ["rl-video", "rl-video"]
    assert names.names == ["rl-video-episode-0", "rl-video-episode-1"]
