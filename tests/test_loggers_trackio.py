"""TrackioLogger: runs on this machine, which are read again from Trackio's storage."""

import pathlib

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._video import read_video
from rollout_viewer.loggers import TrackioLogger
from rollout_viewer.loggers._reports import log_report
from rollout_viewer.testing import LoggerTests, counting_recording, read_row

trackio = pytest.importorskip("trackio", reason="what the logger writes with")

PROJECT = "rollout-viewer-tests"


@pytest.fixture(autouse=True)
def _local(monkeypatch, tmp_path):
    """Keep runs in the test's folder, which Trackio reads once when it is imported."""
    for module in ("utils", "media.media", "media.utils", "sqlite_storage", "run"):
        for name in ("TRACKIO_DIR", "MEDIA_DIR"):
            path = tmp_path / ("media" if name == "MEDIA_DIR" else ".")
            monkeypatch.setattr(f"trackio.{module}.{name}", path, raising=False)


def logs_of(name="run"):
    from trackio.sqlite_storage import SQLiteStorage

    return SQLiteStorage.get_logs(PROJECT, name)


def make(**options):
    return TrackioLogger("run", PROJECT, auto_log_cpu=False, **options)


class TestTrackioLogger(LoggerTests):
    def make_logger(self, folder):
        return make()

    def read_scalars(self, logger, folder, name):
        return [(line["step"], line[name]) for line in logs_of() if name in line]

    def read_videos(self, logger, folder, name):
        lines = sorted(
            (line for line in logs_of() if name in line), key=lambda line: line["step"]
        )
        return [list(read_video(media(folder, line[name]))) for line in lines]


def media(folder, logged):
    (path,) = folder.rglob(pathlib.Path(logged["file_path"]).name)
    return path


def test_a_clip_is_a_video_and_a_table(tmp_path):
    with make() as logger:
        clip = counting_recording(4).clip()
        clip.dump(logger, "eval/rollout", step=7, formats=["mp4", "csv"])

    video, table = (
        next(line[name] for line in logs_of() if name in line and keep(line[name]))
        for name, keep in (
            ("eval/rollout", lambda one: one["_type"] == "trackio.video"),
            ("eval/rollout", lambda one: one["_type"] == "trackio.table"),
        )
    )
    frames = read_video(media(tmp_path, video))
    assert [read_row(frame) for frame in frames] == [0, 1, 2, 3]
    assert len(table["_value"]) == 4


def test_a_report_is_a_page(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<!doctype html><title>after</title>", "utf-8")

    with make() as logger:
        log_report(logger, "eval", page, 3)

    (line,) = [line for line in logs_of() if "eval" in line]
    assert line["step"] == 3
    assert media(tmp_path, line["eval"]).read_text("utf-8") == page.read_text("utf-8")


def test_a_run_of_trackio_is_given_a_report(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<!doctype html><title>after</title>", "utf-8")

    run = trackio.init(project=PROJECT, name="bare", auto_log_cpu=False)
    log_report(run, "eval", page, 3)
    run.finish()

    (line,) = [line for line in logs_of("bare") if "eval" in line]
    assert media(tmp_path, line["eval"]).read_text("utf-8") == page.read_text("utf-8")


def test_a_recorder_dumps_to_it(tmp_path):
    with make() as logger:
        cache = rv.FrameCache()
        for row in range(3):
            cache.append(np.full((1, 8, 8, 3), row, np.uint8), reset=[row == 0])
        cache.clip().dump(logger, "train")

    assert [line["step"] for line in logs_of() if "train" in line] == [0]
