"""The suite that loggers have to pass fails where a logger does."""

import subprocess
import sys

import pytest

from rollout_viewer._cache.clip import Clip
from rollout_viewer.testing import LoggerTests


class Good:
    """A logger that remembers; the clips as what they are."""

    takes_clips = True
    is_alive = True

    def __init__(self):
        self.scalars = {}
        self.videos = {}

    def log_scalar(self, name, value, step=None):
        logged = self.scalars.setdefault(name, [])
        logged.append((len(logged) if step is None else step, float(value)))

    def log_metrics(self, metrics, step=None):
        found = {name: float(value) for name, value in metrics.items()}
        for name, value in found.items():
            self.log_scalar(name, value, step)
        return found

    def log_video(self, name, video, step=None, **kwargs):
        logged = self.videos.setdefault(name, [])
        if isinstance(video, Clip):
            logged.append(list(video.frames()))
            return
        if video.ndim != 5 or video.shape[2] not in (1, 3):
            raise ValueError(video.shape)
        frames = video.flatten(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
        logged.append(list(frames.numpy()))

    def log_hparams(self, cfg):
        pass

    def flush(self):
        pass

    def close(self):
        self.is_alive = False

    def client(self):
        return self

    def state_dict(self):
        return {"scalars": self.scalars}

    def load_state_dict(self, state):
        pass


def suite(logger):
    class Suite(LoggerTests):
        videos_follow = True

        def make_logger(self, folder):
            return logger()

        def read_scalars(self, logger, folder, name):
            return logger.scalars.get(name, [])

        def read_videos(self, logger, folder, name):
            return logger.videos.get(name, [])

    return Suite


TestGood = suite(Good)


class LosesSteps(Good):
    def log_scalar(self, name, value, step=None):
        super().log_scalar(name, value)


class LosesAFrame(Good):
    def log_video(self, name, video, step=None, **kwargs):
        super().log_video(name, video, step)
        self.videos[name][-1].pop()


class Overwrites(Good):
    def log_video(self, name, video, step=None, **kwargs):
        self.videos.pop(name, None)
        super().log_video(name, video, step)


class ShowsOneOfSeveral(Good):
    def log_video(self, name, video, step=None, **kwargs):
        super().log_video(name, video if isinstance(video, Clip) else video[-1:])


class Stacks(Good):
    def log_video(self, name, video, step=None, **kwargs):
        video = video.to_tensor() if isinstance(video, Clip) else video
        super().log_video(name, video)


class TakesAnything(Good):
    def log_video(self, name, video, step=None, **kwargs):
        pass


class HasAnotherKeyword(Good):
    def log_video(  # type: ignore[override] # which is its fault
        self, name, frames, step=None, **kwargs
    ):
        super().log_video(name, frames)


class GivesTensorsBack(Good):
    def log_metrics(self, metrics, step=None):
        super().log_metrics(metrics, step)
        return metrics


class ForgetsAfterACheckpoint(Good):
    def load_state_dict(self, state):
        self.scalars = {}


class StaysOpen(Good):
    def close(self):
        pass


@pytest.mark.parametrize(
    ("logger", "test"),
    [
        (LosesSteps, "test_scalars_arrive_with_their_steps"),
        (LosesAFrame, "test_every_frame_of_a_tensor_arrives"),
        (LosesAFrame, "test_every_frame_of_a_clip_arrives"),
        (LosesAFrame, "test_a_recorders_dumps_arrive_one_after_the_other"),
        (Overwrites, "test_the_second_video_does_not_replace_the_first"),
        (ShowsOneOfSeveral, "test_several_videos_of_a_tensor_are_all_shown"),
        (HasAnotherKeyword, "test_keywords_are_those_of_torchrls_recorder"),
        (GivesTensorsBack, "test_metrics_come_back_as_python_numbers"),
        (ForgetsAfterACheckpoint, "test_a_checkpoint_goes_through_json_and_back"),
        (StaysOpen, "test_it_may_be_flushed_and_closed_twice"),
    ],
)
def test_a_faulty_logger_fails(tmp_path, logger, test):
    with pytest.raises((AssertionError, TypeError)):
        getattr(suite(logger)(), test)(tmp_path)


def test_one_that_stacks_clips_fails(tmp_path, monkeypatch):
    with pytest.raises(AssertionError, match="the whole clip became one tensor"):
        suite(Stacks)().test_a_clip_is_read_as_it_is_written(tmp_path, monkeypatch)


def test_one_that_takes_what_is_no_video_fails(tmp_path):
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        suite(TakesAnything)().test_what_is_no_video_is_refused(tmp_path, (5, 3, 8))


def test_what_cannot_be_read_is_skipped_with_the_reason(tmp_path):
    class Unread(LoggerTests):
        def make_logger(self, folder):
            return Good()

    with pytest.raises(pytest.skip.Exception, match="read_videos is not written"):
        Unread().test_every_frame_of_a_tensor_arrives(tmp_path)


def test_the_front_door_of_testing_needs_no_pytest():
    code = "import sys, rollout_viewer.testing; print('pytest' in sys.modules)"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip() == "False"
