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
