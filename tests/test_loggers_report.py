"""A report goes to loggers: ours, those of frameworks, and the runs of libraries."""

import pathlib

import pytest

import rollout_viewer as rv
from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer.loggers._reports import log_report
from tests.evaluations import two_policies
from tests.wandb_files import history


@pytest.fixture(scope="module")
def result():
    return rv.EvaluationResult.from_recordings(two_policies())


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text("<!doctype html><title>after against before</title>", "utf-8")
    return path


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    for name, value in {
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_CONSOLE": "off",
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        monkeypatch.setenv(name, value)


def is_page(path):
    return "after against before" in path.read_text("utf-8")


def html_below(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.html")
    )


def texts_of(folder):
    """Return TensorBoard's texts by tag, with their steps."""
    from tensorboard.backend.event_processing import event_accumulator

    read = event_accumulator.EventAccumulator(str(folder))
    read.Reload()
    return {
        tag.removesuffix("/text_summary"): [
            (one.step, one.tensor_proto.string_val[0].decode())
            for one in read.Tensors(tag)
        ]
        for tag in read.Tags()["tensors"]
    }


def test_a_result_dumps_its_report(result, tmp_path):
    logger = rv.CSVLogger("run", tmp_path)

    (path,) = result.dump(logger, "eval/policies", 7, title="Two")
    (other,) = result.dump(logger)

    assert path == tmp_path / "run/reports/eval/policies_7.html"
    assert "<h1>Two</h1>" in path.read_text("utf-8")
    assert is_page(other)
    assert other.name == "evaluation_0.html"


def test_tensorboard_has_a_text_that_leads_to_the_file(page, tmp_path):
    pytest.importorskip("tensorboard", reason="what the logger writes with")

    with rv.TensorboardLogger("run", tmp_path) as logger:
        (path,) = log_report(logger, "eval", page, 3)

    assert is_page(path)
    ((step, text),) = texts_of(tmp_path / "run")["eval"]
    assert (step, path.as_uri() in text) == (3, True)


def test_wandb_has_the_page_as_it_is(page, tmp_path):
    pytest.importorskip("wandb", reason="what the logger writes with")

    with rv.WandbLogger(
        "run", offline=True, save_dir=tmp_path, log_env_packages=False
    ) as logger:
        logger.log_report("eval/report", page, step=5)
        folder = pathlib.Path(logger.experiment.dir)

    (path,) = folder.rglob("*.html")
    assert path.read_bytes() == page.read_bytes()
    (line,) = [one for one in history(tmp_path) if "eval/report" in one]
    assert line["eval/report"]["_type"] == "html-file"
    assert line["eval/step"] == 5


def test_mlflow_has_an_artifact(page, tmp_path):
    pytest.importorskip("mlflow", reason="what the logger writes with")

    with rv.MLFlowLogger("run", (tmp_path / "mlruns").as_uri()) as logger:
        logger.log_report("eval/report", page, step=5)

    (path,) = tmp_path.rglob("*.html")
    assert is_page(path)
    assert path.as_posix().endswith("artifacts/reports/eval/report_5.html")


def test_a_tee_gives_it_to_each_and_to_those_of_others(page, tmp_path):
    class Bare:
        def __init__(self, folder):
            self.log_dir = str(folder)

        def log_video(self, name, video, step=None):
            pass

    tee = rv.TeeLogger(rv.CSVLogger("a", tmp_path), Bare(tmp_path / "b"))

    log_report(tee, "eval", page, 2)

    assert html_below(tmp_path) == ["a/reports/eval_2.html", "b/reports/eval_2.html"]
    with pytest.warns(RolloutViewerWarning, match="TypeError"):
        rv.TeeLogger(*tee.loggers, object()).log_report("again", page)


# -- loggers of frameworks


@pytest.fixture
def torchrl_loggers():
    pytest.importorskip("torchrl", reason="the extra `torchrl`")
    from torchrl.record import loggers

    return loggers


def test_torchrls_file_loggers_have_it_in_their_folders(
    torchrl_loggers, page, tmp_path
):
    pytest.importorskip("tensorboard", reason="what the logger writes with")
    csv = torchrl_loggers.csv.CSVLogger("csv", str(tmp_path))
    events = torchrl_loggers.tensorboard.TensorboardLogger("events", str(tmp_path))

    for logger in (csv, events):
        log_report(logger, "eval", page, 4)
    events.experiment.close()

    files = [f"{name}/reports/eval_4.html" for name in ("csv", "events")]
    assert html_below(tmp_path) == files
    ((_, text),) = texts_of(tmp_path / "events")["eval"]
    assert (tmp_path / files[1]).as_uri() in text


def test_torchrls_wandb_logger_has_it(torchrl_loggers, page, tmp_path):
    pytest.importorskip("wandb", reason="what the logger writes with")
    logger = torchrl_loggers.wandb.WandbLogger(
        "run", offline=True, save_dir=str(tmp_path)
    )

    log_report(logger, "eval/report", page, 5)
    logger.experiment.finish()

    (path,) = tmp_path.rglob("*.html")
    assert path.read_bytes() == page.read_bytes()
    (line,) = [one for one in history(tmp_path) if "eval/report" in one]
    assert line["eval/step"] == 5


def test_torchrls_mlflow_logger_has_it(torchrl_loggers, page, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="what the logger writes with")
    uri = (tmp_path / "mlruns").as_uri()
    logger = torchrl_loggers.mlflow.MLFlowLogger("run", uri)

    log_report(logger, "eval", page)
    mlflow.end_run()
    mlflow.set_tracking_uri("")

    (path,) = tmp_path.rglob("*.html")
    assert path.as_posix().endswith("artifacts/reports/eval.html")


def test_the_logger_of_a_model_of_sb3_has_it(page, tmp_path):
    pytest.importorskip("stable_baselines3", reason="the extra `sb3`")
    pytest.importorskip("tensorboard", reason="what the logger writes with")
    from stable_baselines3.common.logger import configure

    logger = configure(str(tmp_path), ["csv", "tensorboard"])
    log_report(logger, "eval/report", page, 2048)
    logger.close()

    assert html_below(tmp_path) == ["reports/eval/report_2048.html"]
    ((step, _),) = texts_of(tmp_path)["eval/report"]
    assert step == 2048


def test_a_writer_of_events_has_it(page, tmp_path):
    tensorboard = pytest.importorskip("torch.utils.tensorboard", reason="what it is of")
    with tensorboard.SummaryWriter(str(tmp_path)) as writer:
        log_report(writer, "eval", page, 1)

    assert html_below(tmp_path) == ["reports/eval_1.html"]
    assert list(texts_of(tmp_path)) == ["eval"]


def test_what_takes_no_report_is_refused_before_it_is_written(result, page, tmp_path):
    with pytest.raises(TypeError, match="expected a logger with log_report or log_dir"):
        result.dump(object())
    logger = rv.CSVLogger("run", tmp_path)
    for path in ("report.pdf", tmp_path / "none.html", tmp_path):
        with pytest.raises(
            (ValueError, FileNotFoundError), match=r"an \.html page, got"
        ):
            logger.log_report("eval", path)
    with pytest.raises(ValueError, match="expected max_mb > 0"):
        result.dump(logger, max_mb=0)
    assert html_below(tmp_path) == []
