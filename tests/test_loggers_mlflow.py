"""MLFlowLogger: real runs in local stores, which are read again by MLflow's client."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

import rollout_viewer as rv
from rollout_viewer._export.selection import Selection
from rollout_viewer._video import read_video
from rollout_viewer.loggers import MLFlowLogger
from rollout_viewer.testing import (
    LoggerTests,
    counting_frame,
    counting_recording,
    read_row,
)

mlflow = pytest.importorskip("mlflow", reason="what the logger writes with")


@pytest.fixture(autouse=True)
def _local(monkeypatch):
    # Since 3.10 MLflow requires this for a store in files.
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    yield
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri("")


def make(folder, name="experiment", **options):
    return MLFlowLogger(name, (folder / "mlruns").as_uri(), **options)


def scalars(logger, name):
    client = mlflow.MlflowClient(logger.log_dir)
    history = client.get_metric_history(logger.experiment.info.run_id, name)
    return [(metric.step, metric.value) for metric in history]


def root(logger):
    uri = logger.experiment.info.artifact_uri
    return pathlib.Path(uri.removeprefix("file://"))


def artifacts(logger):
    found = root(logger).rglob("*")
    return sorted(p.relative_to(root(logger)).as_posix() for p in found if p.is_file())


def numbers(path):
    return [read_row(frame) for frame in read_video(path)]


def video(count):
    frames = np.stack([counting_frame(n) for n in range(count)])
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None]


class TestMLFlowLogger(LoggerTests):
    def make_logger(self, folder):
        return make(folder)

    def read_scalars(self, logger, folder, name):
        return scalars(logger, name)

    def read_videos(self, logger, folder, name):
        paths = [root(logger) / "videos" / f"{name}.mp4"]
        paths += sorted((root(logger) / "videos").glob(f"{name}_step_*.mp4"))
        return [list(read_video(path)) for path in paths if path.exists()]


def test_the_front_door_has_it():
    assert rv.MLFlowLogger is MLFlowLogger


def test_videos_are_named_as_torchrls(tmp_path):
    logger = make(tmp_path)

    for step in (0, 7, 12345):
        logger.log_video("eval", video(3), step=step)

    assert artifacts(logger) == [
        "videos/eval.mp4",
        "videos/eval_step_0007.mp4",
        "videos/eval_step_12345.mp4",
    ]
    assert logger.video_log_counter == 3


def test_slashes_of_a_name_make_folders(tmp_path):
    logger = make(tmp_path)

    logger.log_video("eval/pixels", video(3), step=1)
    logger.log_text("notes/first", "hello")

    assert artifacts(logger) == [
        "texts/notes/first_0.txt",
        "videos/eval/pixels_step_0001.mp4",
    ]


def test_the_same_step_twice_replaces_nothing(tmp_path):
    logger = make(tmp_path)

    logger.log_video("eval", video(3), step=5)
    logger.log_video("eval", video(4), step=5)

    assert artifacts(logger) == [
        "videos/eval_step_0005-1.mp4",
        "videos/eval_step_0005.mp4",
    ]
    assert numbers(root(logger) / "videos" / "eval_step_0005.mp4") == [0, 1, 2]


@pytest.mark.parametrize("suffix", ["webm", "gif", "png", "npz"])
def test_a_dump_chooses_the_format(tmp_path, suffix):
    logger = make(tmp_path)

    counting_recording(3).clip().dump(logger, "eval", step=2, formats=suffix)

    assert artifacts(logger) == [f"videos/eval_step_0002.{suffix}"]


@pytest.mark.parametrize(("given", "expected"), [({}, 25), ({"fps": 10}, 10)])
def test_fps_is_the_arguments_or_the_loggers(tmp_path, given, expected):
    import av

    logger = make(tmp_path, video_fps=25)

    logger.log_video("eval", video(10), **given)

    with av.open(str(root(logger) / "videos" / "eval.mp4")) as container:
        assert container.streams.video[0].average_rate == expected


def test_four_dimensions_are_one_video_as_in_the_original(tmp_path):
    logger = make(tmp_path)

    logger.log_video("eval", video(3)[0])

    assert numbers(root(logger) / "videos" / "eval.mp4") == [0, 1, 2]


def test_a_failed_video_logs_nothing_and_takes_no_step(tmp_path):
    logger = make(tmp_path)
    clip = counting_recording(3).clip()

    with pytest.raises(rv.ExportCancelled):
        logger.log_video("eval", clip, cancel=lambda: True)
    logger.log_video("eval", clip)

    assert artifacts(logger) == ["videos/eval.mp4"]


def test_a_configuration_is_the_runs_parameters(tmp_path):
    logger = make(tmp_path)

    logger.log_hparams(
        {"lr": 0.1, "env": "CartPole-v1", **{f"p{n}": n for n in range(150)}}
    )

    client = mlflow.MlflowClient(logger.log_dir)
    params = client.get_run(logger.experiment.info.run_id).data.params
    assert params["lr"] == "0.1"
    assert len(params) == 152


def test_many_metrics_go_in_several_calls(tmp_path):
    logger = make(tmp_path)

    logger.log_metrics({f"m{n}": n for n in range(1001)}, step=3)

    assert scalars(logger, "m1000") == [(3, 1000.0)]


def test_texts_and_tables_are_artifacts(tmp_path):
    logger = make(tmp_path)

    logger.log_text("note", "hello", step=4)
    logger.log_table("t", {"x": [1, 2]})
    counting_recording(3).clip().dump(logger, "eval", step=9, formats="csv")

    assert artifacts(logger) == [
        "tables/eval_9.csv",
        "tables/t_0.csv",
        "texts/note_4.txt",
    ]
    assert (root(logger) / "texts" / "note_4.txt").read_text() == "hello"
    assert (root(logger) / "tables" / "t_0.csv").read_text() == "x\n1\n2\n"


def test_two_loggers_work_side_by_side(tmp_path):
    one = make(tmp_path / "a", "one")
    two = make(tmp_path / "b", "two")

    one.log_scalar("x", 1.0)
    two.log_scalar("x", 2.0)
    two.close()
    one.log_scalar("x", 3.0)
    one.close()

    assert scalars(one, "x") == [(0, 1.0), (1, 3.0)]
    assert scalars(two, "x") == [(0, 2.0)]


def test_its_run_is_the_active_one_and_ends_with_it(tmp_path):
    logger = make(tmp_path)
    run_id = logger.experiment.info.run_id

    assert mlflow.active_run().info.run_id == run_id
    logger.close()

    assert mlflow.active_run() is None
    client = mlflow.MlflowClient(logger.log_dir)
    assert client.get_run(run_id).info.status == "FINISHED"


def test_a_second_run_belongs_to_the_same_experiment(tmp_path):
    first = make(tmp_path, tags={"kind": "test"})
    first.close()

    second = make(tmp_path)

    assert second.id == first.id
    assert second.experiment.info.run_id != first.experiment.info.run_id
    tags = mlflow.MlflowClient(first.log_dir).get_experiment(first.id).tags
    assert tags["kind"] == "test"


def test_a_checkpoint_keeps_torchrls_names(tmp_path):
    logger = make(tmp_path)
    logger.log_video("eval", video(2))

    state = logger.state_dict()

    assert state["log_dir"] == logger.log_dir
    assert state["local"]["id"] == logger.id
    assert state["local"]["video_log_counter"] == 1


def test_histograms_are_refused_as_torchrl_does(tmp_path):
    with pytest.raises(NotImplementedError, match="not permitted"):
        make(tmp_path).log_histogram("a", [1, 2])


def test_a_clip_is_never_stacked(tmp_path, monkeypatch):
    monkeypatch.delattr(Selection, "to_tensor")

    counting_recording(5).clip().dump(make(tmp_path), "eval")


@pytest.mark.slow
def test_a_store_in_a_database_is_written_too(tmp_path):
    # In a process of its own: SQLAlchemy warns of what MLflow does with it.
    pytest.importorskip("sqlalchemy", reason="what MLflow's databases need")
    code = (
        "import rollout_viewer as rv, numpy as np, mlflow;"
        "logger = rv.MLFlowLogger('e', 'sqlite:///m.db', artifact_location='files');"
        "logger.log_scalar('x', 1.5, 3);"
        "logger.log_video('eval', np.zeros((1, 2, 3, 16, 16), np.uint8));"
        "logger.close();"
        "found = mlflow.MlflowClient('sqlite:///m.db').get_run("
        "logger.experiment.info.run_id);"
        "print(found.data.metrics, found.info.status)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[-1] == "{'x': 1.5} FINISHED"
    assert [p.name for p in tmp_path.rglob("*.mp4")] == ["eval.mp4"]


def test_without_mlflow_the_extra_is_named():
    code = (
        "import sys; sys.modules['mlflow'] = None;"
        "import rollout_viewer as rv\n"
        "try: rv.MLFlowLogger('run', 'file:x')\n"
        "except rv.MissingDependencyError as error: print(error)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert 'pip install "rollout-viewer[mlflow]"' in result.stdout


def test_a_dump_as_parquet_is_an_artifact(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="what writes it")
    logger = make(tmp_path)

    counting_recording(3).clip().dump(logger, "eval", formats="parquet")

    assert artifacts(logger) == ["tables/eval_0.parquet"]
    path = root(logger) / "tables" / "eval_0.parquet"
    assert parquet.read_table(path).num_rows == 3
