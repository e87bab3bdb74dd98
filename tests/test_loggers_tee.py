"""TeeLogger: what several loggers log, and how failures are reported."""

import copy
import pickle

import numpy as np
import pytest
import torch

import rollout_viewer as rv
from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    RolloutViewerWarning,
)
from rollout_viewer._video import read_video
from rollout_viewer.loggers import CSVLogger, TeeLogger
from rollout_viewer.testing import (
    LoggerTests,
    counting_frame,
    counting_recording,
    read_row,
)


def video(count=3):
    frames = np.stack([counting_frame(n) for n in range(count)])
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None]


def numbers(path):
    return [read_row(frame) for frame in read_video(path)]


class Broken:
    """A logger whose disk is full."""

    is_closed = False

    def log_video(self, name, video, step=None, **kwargs):
        raise OSError("disk full")

    def log_scalar(self, name, value, step=None):
        raise OSError("disk full")

    def flush(self):
        raise OSError("disk full")

    def close(self):
        self.is_closed = True
        raise OSError("disk full")


class Foreign:
    """The least that a foreign logger can be."""

    def __init__(self):
        self.seen = []

    def log_video(self, name, video, step=None):
        self.seen.append((name, tuple(video.shape), step))

    def log_table(self, name, columns, step=None):
        self.seen.append((name, len(columns["row"]), step))


class TestTeeLogger(LoggerTests):
    """The first of two is looked at; the second is of another format."""

    videos_follow = True

    def make_logger(self, folder):
        return TeeLogger(
            CSVLogger("first", folder, "mp4"), CSVLogger("second", folder, "gif")
        )

    def read_scalars(self, logger, folder, name):
        first, second = (
            (folder / run / "scalars" / f"{name}.csv").read_text()
            for run in ("first", "second")
        )
        assert first == second
        pairs = [line.split(",") for line in first.splitlines()]
        return [(int(step), float(value)) for step, value in pairs]

    def read_videos(self, logger, folder, name):
        paths = sorted((folder / "first" / "videos").glob(f"{name}_*.mp4"))
        others = sorted((folder / "second" / "videos").glob(f"{name}_*.gif"))
        assert [path.stem for path in paths] == [path.stem for path in others]
        return [list(read_video(path)) for path in paths]


def test_the_front_door_has_it():
    assert rv.TeeLogger is TeeLogger


def test_it_tells_all_of_them(tmp_path):
    loggers = [CSVLogger(name, tmp_path, "mp4") for name in "ab"]
    tee = TeeLogger(*loggers)

    tee.log_scalar("reward", 1.0, step=4)
    paths = counting_recording(3).clip().dump(tee, "eval", formats=["mp4", "csv"])

    assert len(paths) == 4
    for name in "ab":
        assert (tmp_path / name / "scalars" / "reward.csv").read_text() == "4,1.0\n"
        assert numbers(tmp_path / name / "videos" / "eval_0.mp4") == [0, 1, 2]


def test_loggers_of_other_people_are_given_tensors_and_columns(tmp_path):
    foreign = Foreign()
    tee = TeeLogger(CSVLogger("run", tmp_path, "mp4"), foreign)

    counting_recording(3).clip().dump(tee, "eval", step=2, formats=["mp4", "csv"])

    assert foreign.seen == [("eval", (1, 3, 3, 48, 64), 2), ("eval", 3, 2)]


def test_a_logger_of_torchrl_takes_part(tmp_path):
    pytest.importorskip("torchrl", reason="the logger that takes part")
    from torchrl.record.loggers.csv import CSVLogger as TorchRLCSVLogger

    ours = CSVLogger("ours", tmp_path)
    tee = TeeLogger(ours, TorchRLCSVLogger("theirs", str(tmp_path)))

    counting_recording(3).clip().dump(tee, "eval", step=2)

    one, other = (
        torch.load(tmp_path / who / "videos" / "eval_2.pt")
        for who in ("ours", "theirs")
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize("order", [1, -1])
def test_one_that_fails_does_not_stop_the_others_and_is_named(tmp_path, order):
    loggers = [Broken(), CSVLogger("run", tmp_path, "mp4")][::order]

    with pytest.warns(RolloutViewerWarning, match=r"Broken: OSError\('disk full'\)"):
        (path,) = counting_recording(3).clip().dump(TeeLogger(*loggers), "eval")

    assert numbers(path) == [0, 1, 2]


def test_the_warning_points_to_the_line_that_logged(tmp_path):
    tee = TeeLogger(Broken(), CSVLogger("run", tmp_path))

    with pytest.warns(RolloutViewerWarning) as caught:
        tee.log_scalar("reward", 1.0)

    assert caught[0].filename == __file__


def test_when_all_fail_that_is_an_error():
    with pytest.raises(ExportError, match="Broken: .*; Broken"):
        TeeLogger(Broken(), Broken()).log_video("a", video())


def test_all_are_closed_although_one_fails(tmp_path):
    broken, good = Broken(), CSVLogger("run", tmp_path)

    with pytest.warns(RolloutViewerWarning, match="TeeLogger.close"):
        TeeLogger(broken, good).close()

    assert broken.is_closed
    assert not good.is_alive


def test_those_that_lack_or_refuse_a_method_are_passed_over(tmp_path):
    tee = TeeLogger(Foreign(), CSVLogger("run", tmp_path))

    tee.log_text("note", "hello")

    assert (tmp_path / "run" / "texts" / "note0.txt").read_text() == "hello"
    with pytest.raises(NotImplementedError, match="Foreign, CSVLogger"):
        tee.log_histogram("weights", [1.0])


def test_a_method_that_none_has_is_no_attribute(tmp_path):
    tee = TeeLogger(CSVLogger("run", tmp_path))

    assert hasattr(tee, "print_log_dir")
    assert not hasattr(tee, "log_nothing")


def test_cancelling_stops_all_of_them(tmp_path):
    loggers = [CSVLogger(name, tmp_path, "mp4") for name in "ab"]

    with pytest.raises(ExportCancelled):
        TeeLogger(*loggers).log_video(
            "a", counting_recording(3).clip(), cancel=lambda: True
        )

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_progress_only_goes_on(tmp_path):
    reported: list[tuple[int, int]] = []
    tee = TeeLogger(*(CSVLogger(name, tmp_path, "mp4") for name in "ab"))

    tee.log_video(
        "a",
        counting_recording(5).clip(),
        on_progress=lambda *progress: reported.append(progress),
    )

    assert reported == sorted(reported)
    assert reported[-1] == (10, 10)


def test_each_gets_its_own_checkpoint(tmp_path):
    tee = TeeLogger(CSVLogger("a", tmp_path), Foreign(), CSVLogger("b", tmp_path))
    tee.loggers[0].log_scalar("only", 1.0)

    state = tee.state_dict()
    again = TeeLogger(CSVLogger("a", tmp_path), Foreign(), CSVLogger("b", tmp_path))
    again.load_state_dict(state)

    assert [logger.experiment.scalars for logger in again.loggers[::2]] == [
        {"only": [(0, 1.0)]},
        {},
    ]
    with pytest.raises(ValueError, match="expected 1 states, got 3"):
        TeeLogger(CSVLogger("a", tmp_path)).load_state_dict(state)


@pytest.mark.parametrize("copied", [copy.copy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_logs_to_the_same_places(tmp_path, copied):
    tee = TeeLogger(CSVLogger("run", tmp_path))
    tee.log_scalar("reward", 1.0)

    copied(tee).log_scalar("reward", 2.0, step=1)

    assert (tmp_path / "run/scalars/reward.csv").read_text() == "0,1.0\n1,2.0\n"


def test_without_loggers_it_is_refused():
    with pytest.raises(ValueError, match="got none"):
        TeeLogger()
