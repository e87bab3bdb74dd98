"""Our loggers beside TorchRL's: what is the same, and each deliberate difference."""

import pathlib

import numpy as np
import pytest
import torch

import rollout_viewer as rv
from rollout_viewer._errors import ExportError, FrameError
from rollout_viewer._video import read_video
from rollout_viewer.loggers import CSVLogger
from rollout_viewer.testing import (
    LoggerTests,
    counting_frame,
    counting_recording,
    read_row,
)
from tests.wandb_files import config, history, records

pytest.importorskip("torchrl", reason="the originals to compare with")
from torchrl.record.loggers.csv import CSVLogger as TorchRLCSVLogger

pytestmark = pytest.mark.slow  # beside the originals: not for every edit


def video(count=5, videos=1, channels=3):
    frames = np.stack([counting_frame(n) for n in range(count * videos)])
    chw = frames.transpose(0, 3, 1, 2)[:, :channels]
    return torch.from_numpy(np.ascontiguousarray(chw)).reshape(
        videos, count, channels, 48, 64
    )


def numbers(path):
    return [read_row(frame) for frame in read_video(path)]


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def both(folder, *args):
    theirs = TorchRLCSVLogger("run", str(folder / "theirs"), *args)
    return theirs, CSVLogger("run", str(folder / "ours"), *args)


def log_everything(logger):
    """What a training run of TorchRL logs."""
    for value in (1.0, 2.5, torch.tensor(3.0)):
        logger.log_scalar("reward", value)
    logger.log_scalar("loss/actor", 0.25, step=100)
    logger.log_scalar("loss/actor", np.float32(0.5), step=200)
    logger.log_metrics({"a": torch.tensor(1.5), "b": 2}, step=3)
    logger.log_hparams({"lr": 0.1, "env": "CartPole-v1"})
    logger.log_hparams({"lr": 0.2})
    logger.log_video("pixels", video())
    logger.log_video("pixels", video(2))
    logger.log_video("eval/pixels", video(2, videos=2), step=7)
    logger.log_video("gray", video(channels=1), step=0)
    logger.flush()


@pytest.fixture
def original():
    return TorchRLCSVLogger


class TestTorchRLCSVLogger(LoggerTests):
    """The original passes what we ask of loggers."""

    videos_follow = True

    def make_logger(self, folder):
        return TorchRLCSVLogger("run", str(folder))

    def read_scalars(self, logger, folder, name):
        lines = (folder / "run" / "scalars" / f"{name}.csv").read_text().splitlines()
        pairs = [line.split(",") for line in lines]
        return [(int(step), float(value)) for step, value in pairs]

    def read_videos(self, logger, folder, name):
        found = sorted((folder / "run" / "videos").glob(f"{name}_*.pt"))
        tensors = [torch.load(path).flatten(0, 1) for path in found]
        return [list(tensor.permute(0, 2, 3, 1).numpy()) for tensor in tensors]


# -- the same


@pytest.mark.parametrize("video_format", ["pt", "memmap"])
def test_files_are_those_of_torchrl(tmp_path, original, video_format):
    theirs = original("run", str(tmp_path / "theirs"), video_format)
    ours = CSVLogger("run", str(tmp_path / "ours"), video_format)

    log_everything(theirs)
    log_everything(ours)

    expected, found = files(tmp_path / "theirs"), files(tmp_path / "ours")
    assert list(found) == list(expected)
    assert "run/videos/eval/pixels_7." + video_format in found
    for name in expected:
        if name.endswith(".pt"):  # archives that hold their own name
            tensors = [torch.load(tmp_path / who / name) for who in ("theirs", "ours")]
            assert torch.equal(*tensors)
        else:
            assert found[name] == expected[name], name


def test_folders_stand_there_at_once_as_torchrls(tmp_path, original):
    original("run", str(tmp_path / "theirs"))
    CSVLogger("run", str(tmp_path / "ours"))

    def folders(root):
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("*"))

    assert folders(tmp_path / "ours") == folders(tmp_path / "theirs")


def test_checkpoints_are_exchanged_with_torchrl(tmp_path, original):
    theirs = original("run", str(tmp_path / "theirs"))
    ours = CSVLogger("run", str(tmp_path / "ours"))
    log_everything(theirs)
    log_everything(ours)
    fresh = CSVLogger("run", str(tmp_path / "fresh"))

    fresh.load_state_dict(theirs.state_dict())
    original("run", str(tmp_path / "fresh2")).load_state_dict(ours.state_dict())

    own = ours.state_dict()
    expected = theirs.state_dict()
    assert own.keys() == expected.keys()
    assert {k: own["local"][k] for k in expected["local"]} == expected["local"]
    assert fresh.log_video("pixels", video()).name == "pixels_2.pt"


def test_arguments_and_attributes_are_torchrls(tmp_path, original):
    theirs = original("run", str(tmp_path / "theirs"), "mp4", 12)
    ours = CSVLogger("run", str(tmp_path / "ours"), "mp4", 12)

    for name in (
        "exp_name",
        "video_format",
        "video_fps",
        "is_alive",
        "service_backend",
    ):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.experiment.log_dir == str(tmp_path / "ours" / "run")
    assert repr(ours) == repr(theirs).replace("theirs", "ours")
    missing = [
        name
        for name in dir(theirs)
        if not name.startswith("_") and not hasattr(ours, name)
    ]
    assert missing == []


@pytest.mark.parametrize(
    "shape", [(5, 3, 48, 64), (1, 5, 48, 64, 3), (1, 5, 4, 48, 64)]
)
def test_wrong_shapes_are_refused_in_torchrls_words(tmp_path, original, shape):
    tensor = torch.zeros(shape, dtype=torch.uint8)
    with pytest.raises(Exception, match=r"Should be \(\(N\), T, C, H, W\)") as theirs:
        original("run", str(tmp_path / "theirs")).log_video("a", tensor)

    with pytest.raises(FrameError) as ours:
        CSVLogger("run", tmp_path).log_video("a", tensor)

    assert str(ours.value).startswith(str(theirs.value))


def test_our_logger_serves_torchrls_own_recorder(tmp_path, original):
    from torchrl.record import VideoRecorder

    logger = CSVLogger("run", tmp_path, "mp4")
    recorder = VideoRecorder(logger, "eval", skip=1, fps=10)
    for number in range(6):
        recorder._apply_transform(torch.from_numpy(counting_frame(number)))

    recorder.dump()

    assert numbers(tmp_path / "run" / "videos" / "eval_0.mp4") == list(range(6))


@pytest.mark.parametrize("video_format", ["pt", "memmap"])
def test_clips_go_to_torchrls_logger_as_the_same_tensor(
    tmp_path, original, video_format
):
    clip = counting_recording(6, num_envs=3).clip()
    theirs = original("run", str(tmp_path / "theirs"), video_format)
    ours = CSVLogger("run", tmp_path / "ours", video_format)

    assert clip.dump(theirs, "eval", step=2) == []
    (path,) = clip.dump(ours, "eval", step=2)

    other = tmp_path / "theirs" / path.relative_to(tmp_path / "ours")
    assert path.name == f"eval_2.{video_format}"
    if video_format == "pt":
        assert torch.equal(torch.load(path), torch.load(other))
    else:
        assert path.read_bytes() == other.read_bytes()


# -- the same: lifetime and signatures


def test_signatures_begin_with_torchrls():
    import inspect

    for name in (
        "__init__",
        "log_scalar",
        "log_video",
        "log_hparams",
        "log_histogram",
        "log_metrics",
        "print_log_dir",
        "flush",
        "close",
        "shutdown",
        "state_dict",
        "load_state_dict",
        "client",
        "start",
    ):
        theirs, ours = (
            list(inspect.signature(getattr(which, name)).parameters.values())
            for which in (TorchRLCSVLogger, CSVLogger)
        )
        assert [p.name for p in ours][: len(theirs)] == [p.name for p in theirs], name
        defaults = [p.default for p in theirs]
        assert [p.default for p in ours][: len(theirs)] == defaults, name


@pytest.mark.parametrize("module", ["tensorboard", "wandb", "mlflow"])
def test_the_other_loggers_signatures_begin_with_torchrls(module):
    import importlib
    import inspect

    names = {
        "tensorboard": "TensorboardLogger",
        "wandb": "WandbLogger",
        "mlflow": "MLFlowLogger",
    }
    home = importlib.import_module(f"torchrl.record.loggers.{module}")
    theirs, ours = getattr(home, names[module]), getattr(rv, names[module])

    for kind in (
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    ):
        expected, found = (
            [
                (p.name, p.default)
                for p in inspect.signature(which.__init__).parameters.values()
                if p.kind is kind
            ]
            for which in (theirs, ours)
        )
        assert found[: len(expected)] == expected
    methods = [name for name in dir(theirs) if not name.startswith("_")]
    assert [name for name in methods if not hasattr(ours, name)] == []


def test_both_come_back_from_start_and_client_until_they_are_shut_down(tmp_path):
    for logger in both(tmp_path):
        assert logger.start() is logger.client() is logger

        logger.close()
        logger.shutdown()

        assert not logger.is_alive
        with pytest.raises(RuntimeError, match="shut down"):
            logger.start()


def test_both_go_on_after_a_checkpoint_and_a_second_run(tmp_path):
    for logger in both(tmp_path):
        log_everything(logger)
        state = logger.state_dict()
        logger.close()
        again = type(logger)("run", logger.log_dir)
        again.load_state_dict(state)
        log_everything(again)

    theirs, ours = files(tmp_path / "theirs"), files(tmp_path / "ours")
    # What has a step is written once more, where TorchRL's overwrites.
    again_named = {"run/videos/eval/pixels_7-1.pt", "run/videos/gray_0-1.pt"}
    assert set(ours) == set(theirs) | again_named
    for name in theirs:
        if not name.endswith(".pt"):
            assert ours[name] == theirs[name], name


@pytest.mark.slow
def test_torchrls_process_service_runs_ours(tmp_path):
    from torchrl.record.loggers.process import ProcessLogger

    service = ProcessLogger(CSVLogger, "run", str(tmp_path), "mp4")
    try:
        service.client().log_scalar("reward", 1.0, step=3)
        counting_recording(4).clip().dump(service.client(), "eval", step=5)
    finally:
        service.shutdown()

    assert (tmp_path / "run/scalars/reward.csv").read_text() == "3,1.0\n"
    assert numbers(tmp_path / "run/videos/eval_5.mp4") == [0, 1, 2, 3]


def test_mp4_has_the_frames_of_torchrls(tmp_path):
    pytest.importorskip("torchcodec", reason="what the original encodes with")
    theirs, ours = both(tmp_path, "mp4", 10)

    for logger in (theirs, ours):
        logger.log_video("eval", video(6, videos=2), step=1)

    for who in ("theirs", "ours"):
        path = tmp_path / who / "run" / "videos" / "eval_1.mp4"
        assert numbers(path) == list(range(12))


# -- deliberate differences


def test_difference_a_second_run_overwrites_nothing(tmp_path):
    for _ in range(2):
        for logger in both(tmp_path):
            logger.log_video("a", video())

    assert list(files(tmp_path / "theirs")) == ["run/videos/a_0.pt"]
    assert list(files(tmp_path / "ours")) == [
        "run/videos/a_0-1.pt",
        "run/videos/a_0.pt",
    ]


def test_difference_wrong_formats_are_refused_at_construction(tmp_path):
    theirs = TorchRLCSVLogger("run", str(tmp_path / "theirs"), "avi")
    with pytest.raises(ValueError, match="Unknown video format"):
        theirs.log_video("a", video())

    with pytest.raises(ValueError, match="expected a format"):
        CSVLogger("run", tmp_path, "avi")


def test_difference_a_failed_video_takes_no_number(tmp_path):
    pytest.importorskip("torchcodec", reason="what the original encodes with")
    theirs, ours = both(tmp_path, "mp4")
    bad = torch.zeros((1, 2, 3, 0, 0), dtype=torch.uint8)

    for logger in (theirs, ours):
        with pytest.raises((RuntimeError, ValueError)):
            logger.log_video("a", bad)

    assert theirs.experiment.videos_counter["a"] == 1
    assert ours.experiment.videos_counter["a"] == 0


def test_difference_odd_sizes_are_written_as_mp4(tmp_path):
    pytest.importorskip("torchcodec", reason="what the original encodes with")
    theirs, ours = both(tmp_path, "mp4")
    odd = torch.zeros((1, 3, 3, 65, 49), dtype=torch.uint8)

    with pytest.raises(RuntimeError):
        theirs.log_video("a", odd)

    assert len(list(read_video(ours.log_video("a", odd)))) == 3


def test_difference_floats_are_pictures_to_encoders(tmp_path):
    theirs, ours = both(tmp_path, "mp4")
    floats = video().float() / 255

    with pytest.raises((RuntimeError, ValueError, ImportError)):
        theirs.log_video("a", floats)

    assert numbers(ours.log_video("a", floats)) == list(range(5))


def test_difference_texts_keep_no_file_open(tmp_path):
    theirs, ours = both(tmp_path)

    for logger in (theirs, ours):
        for _ in range(3):
            logger.log_hparams({"lr": 0.1})

    assert len(theirs.experiment.files) == 3
    assert len(ours.experiment.files) == 0


def test_difference_names_do_not_lead_out_of_the_folder(tmp_path):
    theirs, ours = both(tmp_path)

    theirs.log_scalar("../../../out", 1.0)

    assert (tmp_path / "out.csv").exists()
    with pytest.raises(ValueError, match="expected a name within"):
        ours.log_scalar("../../../out", 1.0)


def test_difference_the_log_folder_is_printed_and_not_logged(tmp_path, capsys):
    theirs, ours = both(tmp_path)

    for logger in (theirs, ours):
        logger.log_scalar("reward", 1.0)
        logger.print_log_dir()

    assert "scalars/\n        reward.csv\n" in capsys.readouterr().out


def test_difference_theirs_says_no_video_with_a_bare_exception(tmp_path):
    theirs, ours = both(tmp_path)

    with pytest.raises(Exception) as bare:
        theirs.log_video("a", torch.zeros(3))
    with pytest.raises(FrameError):
        ours.log_video("a", torch.zeros(3))

    assert type(bare.value) is Exception


def test_difference_tensorboards_videos_arrive_with_moviepy_2(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="what both write with")
    moviepy = pytest.importorskip("moviepy", reason="what the original encodes with")
    if int(moviepy.__version__.split(".")[0]) < 2:
        pytest.skip("with moviepy 1 the original's videos arrive, too")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torchrl.record.loggers.tensorboard import TensorboardLogger

    found = {}
    for name, kind in (("theirs", TensorboardLogger), ("ours", rv.TensorboardLogger)):
        logger = kind(name, str(tmp_path))
        logger.log_video("eval", video(), step=1)
        logger.close()
        found[name] = EventAccumulator(str(tmp_path / name)).Reload().Tags()["images"]

    assert "can't import moviepy.editor" in capsys.readouterr().out
    assert found == {"theirs": [], "ours": ["eval"]}


# -- the other loggers, side by side


def log_numbers(logger):
    logger.log_scalar("train/loss", 1.0, step=10)
    logger.log_scalar("eval/reward", torch.tensor(2.0).item(), step=3)
    logger.log_metrics({"a": torch.tensor(1.5), "train/b": 2}, step=11)


def test_tensorboard_reads_the_same_of_both(tmp_path):
    pytest.importorskip("tensorboard", reason="what both write with")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torchrl.record.loggers.tensorboard import TensorboardLogger

    found = []
    for name, kind in (("theirs", TensorboardLogger), ("ours", rv.TensorboardLogger)):
        logger = kind(name, str(tmp_path))
        log_numbers(logger)
        logger.log_histogram("weights", torch.arange(10.0), step=1, bins="auto")
        logger.close()
        assert logger.log_dir == str(tmp_path / name)
        events = EventAccumulator(logger.log_dir).Reload()
        scalars = {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in sorted(events.Tags()["scalars"])
        }
        histograms = [event.histogram_value for event in events.Histograms("weights")]
        found.append((scalars, histograms))

    assert found[0] == found[1]
    assert found[1][0]["train/loss"] == [(10, 1.0)]


@pytest.fixture
def offline(monkeypatch):
    wandb = pytest.importorskip("wandb", reason="what both write with")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("WANDB_CONSOLE", "off")
    yield
    if wandb.run is not None:
        wandb.run.finish()


def test_wandb_reads_the_same_of_both(tmp_path, offline):
    pytest.importorskip("moviepy", reason="what the original encodes with")
    from torchrl.record.loggers.wandb import WandbLogger

    found = []
    for name, kind in (("theirs", WandbLogger), ("ours", rv.WandbLogger)):
        logger = kind("run", True, tmp_path / name, log_env_packages=False, id="same")
        log_numbers(logger)
        logger.log_scalar("train/loss", 3.0)
        logger.log_scalar("c", 1.0, 7, override_global_step=True)
        logger.log_hparams({"lr": 0.1, "net": {"depth": 2}})
        logger.log_str("note", "hello", step=1)
        logger.log_histogram("weights", torch.arange(10.0), step=1, bins=5)
        logger.log_video("eval/pixels", video(), step=4)
        logger.close()
        assert logger.save_dir == logger.log_dir == str(tmp_path / name)
        lines = history(tmp_path / name)
        for line in lines:
            line.pop("_runtime"), line.pop("_timestamp")
        (shown,) = [line["eval/pixels"] for line in lines if "eval/pixels" in line]
        path = pathlib.Path(logger.experiment.dir, shown["path"])
        assert numbers(path) == list(range(5))
        # Names and sums of two encodings of the same frames.
        for key in ("path", "sha256", "size", "width", "height"):
            shown.pop(key, None)
        state = logger.state_dict()["local"]
        metrics = {
            record.metric.name: record.metric.step_metric
            for record in records(tmp_path / name)
            if record.HasField("metric")
        }
        options = config(tmp_path / name)
        options.pop("_wandb")
        found.append((lines, metrics, options, state))

    assert found[0] == found[1]


def test_checkpoints_of_wandb_are_exchanged(tmp_path, offline):
    from torchrl.record.loggers.wandb import WandbLogger

    theirs = WandbLogger("run", True, tmp_path, log_env_packages=False, id="same")
    theirs.log_scalar("loss", 1.0, step=41)
    state = theirs.state_dict()
    theirs.close()
    ours = rv.WandbLogger("run", True, tmp_path, log_env_packages=False, id="same")

    ours.load_state_dict(state)

    assert ours.state_dict()["local"] == state["local"]


@pytest.fixture
def local_store(monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="what both write with")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    yield
    while mlflow.active_run() is not None:
        mlflow.end_run()
    mlflow.set_tracking_uri("")


def test_mlflow_reads_the_same_of_both(tmp_path, local_store):
    pytest.importorskip("torchcodec", reason="what the original encodes with")
    import mlflow
    from torchrl.record.loggers.mlflow import MLFlowLogger

    found = []
    for name, kind in (("theirs", MLFlowLogger), ("ours", rv.MLFlowLogger)):
        uri = (tmp_path / name).as_uri()
        logger = kind("experiment", uri, {"kind": "test"})
        log_numbers(logger)
        for step in (0, 3, 12345):
            logger.log_video("eval", video(), step=step)
        run_id = logger.experiment.info.run_id
        mlflow.end_run()
        client = mlflow.MlflowClient(uri)
        metrics = {
            key: [(m.step, m.value) for m in client.get_metric_history(run_id, key)]
            for key in client.get_run(run_id).data.metrics
        }
        paths = [path for path in files(tmp_path / name) if path.endswith(".mp4")]
        tags = client.get_experiment(logger.id).tags
        for path in paths:
            assert numbers(tmp_path / name / path) == list(range(5))
        found.append(
            (
                metrics,
                [path.split("/", 1)[1].replace(run_id, "run") for path in paths],
                tags.get("kind"),
            )
        )
        assert logger.log_dir == uri

    assert found[0] == found[1]


def test_difference_mlflow_takes_slashes_and_gray_and_all_the_videos(
    tmp_path, local_store
):
    pytest.importorskip("torchcodec", reason="what the original encodes with")
    import mlflow
    from torchrl.record.loggers.mlflow import MLFlowLogger

    theirs = MLFlowLogger("experiment", (tmp_path / "theirs").as_uri())
    with pytest.raises(FileNotFoundError):
        theirs.log_video("eval/pixels", video())
    with pytest.raises(ValueError, match="3 color channels"):
        theirs.log_video("eval", video(channels=1))
    theirs.log_video("eval", video(2, videos=2))
    mlflow.end_run()
    ours = rv.MLFlowLogger("experiment", (tmp_path / "ours").as_uri())
    ours.log_video("eval/pixels", video())
    ours.log_video("gray", video(channels=1))
    ours.log_video("eval", video(2, videos=2))

    (last,) = tmp_path.glob("theirs/*/artifacts/videos/eval.mp4")
    (all_of_them,) = tmp_path.glob("ours/*/artifacts/videos/eval.mp4")
    assert numbers(last) == [2, 3]
    beside = [frame[:, 64:] for frame in read_video(all_of_them)]
    assert numbers(all_of_them) == [0, 1]
    assert [read_row(frame) for frame in beside] == [2, 3]
    assert len(list(tmp_path.glob("ours/*/artifacts/videos/eval/pixels.mp4"))) == 1


# -- loggers of TorchRL in our export


def test_a_logger_of_torchrl_that_fails_is_named(tmp_path):
    theirs = TorchRLCSVLogger("run", str(tmp_path), "avi")

    with pytest.raises(ExportError, match="CSVLogger.log_video .*Unknown video format"):
        counting_recording(3).clip().dump(theirs, "eval")


def test_the_table_of_torchrls_logger_stands_in_its_folder(tmp_path):
    theirs = TorchRLCSVLogger("run", str(tmp_path))

    (path,) = counting_recording(3).clip().dump(theirs, "eval", step=1, formats="csv")

    assert path == tmp_path / "run" / "tables" / "eval_1.csv"


def test_torchrls_wandb_logger_takes_a_clip(tmp_path, offline):
    pytest.importorskip("moviepy", reason="what the original encodes with")
    from torchrl.record.loggers.wandb import WandbLogger

    theirs = WandbLogger("run", True, tmp_path, log_env_packages=False)

    counting_recording(5).clip().dump(theirs, "eval", step=2, formats="mp4")
    theirs.close()

    (line,) = history(tmp_path)
    path = pathlib.Path(theirs.experiment.dir, line["eval"]["path"])
    assert (line["step"], numbers(path)) == (2, list(range(5)))


def test_torchrls_mlflow_logger_takes_a_clip(tmp_path, local_store):
    pytest.importorskip("torchcodec", reason="what the original encodes with")
    from torchrl.record.loggers.mlflow import MLFlowLogger

    theirs = MLFlowLogger("experiment", (tmp_path / "store").as_uri())

    counting_recording(5).clip().dump(theirs, "eval", step=2, formats="mp4")

    (path,) = tmp_path.rglob("eval_step_0002.mp4")
    assert numbers(path) == list(range(5))


def test_an_address_of_torchrls_mlflow_logger_is_no_folder(tmp_path, local_store):
    from torchrl.record.loggers.mlflow import MLFlowLogger

    theirs = MLFlowLogger("experiment", (tmp_path / "store").as_uri())

    with pytest.raises(ExportError, match="with log_table or log_dir"):
        counting_recording(3).clip().dump(theirs, "eval", formats="csv")

    assert not (tmp_path / "file:").exists()


def test_a_viewer_says_where_the_dumps_of_each_logger_go(tmp_path, offline):
    cache = counting_recording(2)
    wandb_logger = rv.WandbLogger("run", True, tmp_path, log_env_packages=False)
    places = {
        CSVLogger("run", tmp_path): tmp_path / "run",
        TorchRLCSVLogger("run", str(tmp_path)): tmp_path / "run",
        rv.TensorboardLogger("tb", tmp_path): tmp_path / "tb",
        wandb_logger: pathlib.Path(wandb_logger.experiment.dir),
    }

    for logger, place in places.items():
        assert rv.view(cache, logger=logger)._dumps.folder() == str(place)
