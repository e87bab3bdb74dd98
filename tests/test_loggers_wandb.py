"""WandbLogger: real offline runs, whose files are read again. Nothing is sent."""

import builtins
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

import rollout_viewer as rv
from rollout_viewer._export.selection import Selection
from rollout_viewer._video import read_video
from rollout_viewer.loggers import WandbLogger
from rollout_viewer.testing import (
    LoggerTests,
    counting_frame,
    counting_recording,
    read_row,
)
from tests.wandb_files import config, history, records

pytest.importorskip("wandb", reason="what the logger writes with")


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    # Belt and braces: each test passes offline=True as well.
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    yield
    import wandb

    # wandb.init goes on with a run that is open, also in the next test.
    if wandb.run is not None:
        wandb.run.finish()


def make(folder, **options):
    options = {"log_env_packages": False, **options}
    return WandbLogger("run", offline=True, save_dir=folder, **options)


def files_of(logger):
    return pathlib.Path(logger.experiment.dir)


def numbers(path):
    return [read_row(frame) for frame in read_video(path)]


def video(count):
    frames = np.stack([counting_frame(n) for n in range(count)])
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None]


class TestWandbLogger(LoggerTests):
    def make_logger(self, folder):
        return make(folder)

    def read_scalars(self, logger, folder, name):
        step = f"{name.rpartition('/')[0]}/step".lstrip("/")
        return [(line[step], line[name]) for line in history(folder) if name in line]

    def read_videos(self, logger, folder, name):
        lines = [line[name] for line in history(folder) if name in line]
        return [list(read_video(files_of(logger) / line["path"])) for line in lines]


def test_the_front_door_has_it():
    assert rv.WandbLogger is WandbLogger


def test_offline_leaves_the_environment_alone(tmp_path, monkeypatch):
    import os

    monkeypatch.delenv("WANDB_MODE")

    logger = make(tmp_path)
    logger.close()

    assert "WANDB_MODE" not in os.environ
    assert logger.experiment.settings.mode == "offline"
    (folder,) = tmp_path.glob("wandb/offline-run-*")
    assert folder.name.endswith(logger.experiment.id)


def test_videos_need_no_moviepy_and_lie_in_the_runs_files(tmp_path, monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        assert not name.startswith("moviepy")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    logger = make(tmp_path)

    logger.log_video("eval/pixels", video(20), step=7)
    logger.close()

    (line,) = history(tmp_path)
    assert line["eval/step"] == 7
    assert line["eval/pixels"]["_type"] == "video-file"
    path = files_of(logger) / line["eval/pixels"]["path"]
    assert path.parent == files_of(logger) / "media" / "videos" / "eval"
    assert numbers(path) == list(range(20))


@pytest.mark.parametrize("suffix", ["mp4", "webm", "gif"])
def test_formats_that_the_page_plays(tmp_path, suffix):
    logger = make(tmp_path)

    counting_recording(4).clip().dump(logger, "eval", step=1, formats=suffix)
    logger.close()

    path = files_of(logger) / history(tmp_path)[0]["eval"]["path"]
    assert path.suffix == f".{suffix}"
    assert numbers(path) == [0, 1, 2, 3]


def test_formats_that_the_page_does_not_play_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\('mp4', 'webm', 'gif'\), got 'pt'"):
        make(tmp_path).log_video("eval", video(2), format="pt")


@pytest.mark.parametrize(("given", "expected"), [({}, 25), ({"fps": 10}, 10)])
def test_fps_is_the_arguments_or_the_loggers(tmp_path, given, expected):
    import av

    logger = make(tmp_path, video_fps=25)

    logger.log_video("eval", video(10), **given)
    logger.close()

    path = files_of(logger) / history(tmp_path)[0]["eval"]["path"]
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == expected


def test_four_dimensions_are_one_video_as_in_the_original(tmp_path):
    logger = make(tmp_path)

    logger.log_video("eval", video(3)[0])
    logger.close()

    path = files_of(logger) / history(tmp_path)[0]["eval"]["path"]
    assert numbers(path) == [0, 1, 2]


def test_a_failed_video_logs_nothing(tmp_path):
    logger = make(tmp_path)

    with pytest.raises(rv.ExportCancelled):
        logger.log_video("eval", counting_recording(3).clip(), cancel=lambda: True)
    logger.close()

    assert history(tmp_path) == []


def test_each_group_has_a_step_of_its_own(tmp_path):
    logger = make(tmp_path)

    logger.log_scalar("train/loss", 1.0, step=10)
    logger.log_scalar("eval/reward", 2.0)
    logger.log_scalar("train/loss", 3.0)
    logger.log_metrics({"a": 1, "train/b": 2, "train/step": 40})
    logger.close()

    lines = [
        {name: value for name, value in line.items() if not name.startswith("_")}
        for line in history(tmp_path)
    ]
    assert lines == [
        {"train/loss": 1.0, "train/step": 10},
        {"eval/reward": 2.0, "eval/step": 0},
        {"train/loss": 3.0, "train/step": 11},
        {"a": 1, "step": 0, "train/b": 2, "train/step": 40},
    ]
    drawn_over = {
        record.metric.name: record.metric.step_metric
        for record in records(tmp_path)
        if record.HasField("metric")
    }
    assert drawn_over["train/loss"] == "train/step"
    assert drawn_over["a"] == "step"


def test_the_step_is_wandbs_own_on_request(tmp_path):
    logger = make(tmp_path)

    logger.log_scalar("loss", 1.0, step=5, override_global_step=True)
    logger.close()

    (line,) = history(tmp_path)
    assert line["_step"] == 5
    assert "step" not in line


def test_what_is_not_committed_shares_a_line(tmp_path):
    logger = make(tmp_path)

    logger.log_scalar("a", 1.0, step=0, commit=False)
    logger.log_scalar("b", 2.0, step=0)
    logger.close()

    (line,) = history(tmp_path)
    assert (line["a"], line["b"]) == (1.0, 2.0)


def test_configuration_and_packages_are_in_the_runs_config(tmp_path):
    logger = make(tmp_path, log_env_packages=True)

    logger.log_hparams({"lr": 0.1, "net": {"depth": 2}})
    logger.log_hparams({"lr": 0.2})
    logger.close()

    found = config(tmp_path)
    assert found["lr"] == 0.2
    assert found["net"] == {"depth": 2}
    assert found["env"]["packages"]["numpy"] == np.__version__


def test_tables_are_wandbs_while_it_shows_them_whole(tmp_path):
    logger = make(tmp_path)

    logger.log_table("t", {"x": np.array([1.0, np.nan]), "y": ["a", "b"]}, step=2)
    counting_recording(3, num_envs=2).clip().dump(logger, "eval", formats="csv")
    logger.close()

    one, two = history(tmp_path)
    table = json.loads((files_of(logger) / one["t"]["path"]).read_text())
    assert table == {"columns": ["x", "y"], "data": [[1.0, "a"], [None, "b"]]}
    assert two["eval"]["nrows"] == 6


def test_a_longer_table_is_a_whole_file_of_the_run(tmp_path):
    logger = make(tmp_path)

    logger.log_table("eval/t", {"x": np.arange(10_001)}, step=3)
    logger.close()

    lines = (files_of(logger) / "tables" / "eval" / "t_3.csv").read_text().splitlines()
    assert len(lines) == 10_002
    assert history(tmp_path) == []
    saved = [
        item.path
        for record in records(tmp_path)
        if record.HasField("files")
        for item in record.files.files
    ]
    assert "tables/eval/t_3.csv" in saved


def test_texts_and_histograms_are_in_the_history(tmp_path):
    logger = make(tmp_path)

    logger.log_text("note", "hello", step=3)
    logger.log_str("note", "again")
    logger.log_histogram("weights", torch.arange(10.0), step=5, bins=5)
    logger.close()

    first, second, third = history(tmp_path)
    assert (first["note"], first["step"]) == ("hello", 3)
    assert second["note"]["_type"] == "table-file"
    assert third["weights"]["values"] == [2, 2, 2, 2, 2]


def test_checkpoints_of_another_run_are_refused_as_torchrl_does(tmp_path):
    first = make(tmp_path / "a", id="first")
    state = first.state_dict()
    first.close()
    other = make(tmp_path / "b", id="second")

    with pytest.raises(RuntimeError, match="'second', got one of 'first'"):
        other.load_state_dict(state)


def test_steps_go_on_after_a_checkpoint(tmp_path):
    logger = make(tmp_path / "a", id="same")
    logger.log_scalar("loss", 1.0, step=41)
    state = json.loads(json.dumps(logger.state_dict()))
    logger.close()
    again = make(tmp_path / "b", id="same")

    again.load_state_dict(state)
    again.log_scalar("loss", 2.0)
    again.close()

    assert history(tmp_path / "b")[0]["step"] == 42


def test_save_dir_and_log_dir_are_the_same(tmp_path):
    with pytest.raises(ValueError, match="both"):
        WandbLogger("run", offline=True, save_dir=tmp_path, log_dir=tmp_path)

    logger = WandbLogger("run", True, log_dir=tmp_path / "made", log_env_packages=False)
    logger.close()

    assert logger.log_dir == logger.save_dir == str(tmp_path / "made")
    assert len(list((tmp_path / "made").glob("wandb/offline-run-*"))) == 1


def test_a_clip_is_never_stacked(tmp_path, monkeypatch):
    monkeypatch.delattr(Selection, "to_tensor")

    counting_recording(5).clip().dump(make(tmp_path), "eval")


def test_without_wandb_the_extra_is_named():
    code = (
        "import sys; sys.modules['wandb'] = None;"
        "import rollout_viewer as rv\n"
        "try: rv.WandbLogger('run')\n"
        "except rv.MissingDependencyError as error: print(error)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert 'pip install "rollout-viewer[wandb]"' in result.stdout


def test_a_dump_as_parquet_is_a_file_of_the_run(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="what writes it")
    logger = make(tmp_path)

    counting_recording(3).clip().dump(logger, "eval", formats="parquet")

    path = files_of(logger) / "tables" / "eval_0.parquet"
    assert parquet.read_table(path).num_rows == 3
