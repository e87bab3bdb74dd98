"""CSVLogger: its files, read again. Beside the original: test_compat_loggers.py."""

import argparse
import copy
import csv
import dataclasses
import json
import os
import pickle

import numpy as np
import pytest
import torch

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import (
    ExportCancelled,
    FrameError,
    MissingDependencyError,
    requires,
)
from rollout_viewer._video import read_video
from rollout_viewer.loggers import CSVLogger, Logger, TeeLogger
from rollout_viewer.testing import (
    LoggerTests,
    counting_frame,
    counting_recording,
    read_row,
)

FORMATS = ["pt", "memmap", "mp4", "webm", "gif", "npz"]


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


class OfFormat(LoggerTests):
    """The conformance of one video format."""

    videos_follow = True
    video_format = ""

    def make_logger(self, folder):
        return CSVLogger("run", folder, self.video_format)

    def read_scalars(self, logger, folder, name):
        lines = (folder / "run" / "scalars" / f"{name}.csv").read_text().splitlines()
        pairs = [line.split(",") for line in lines]
        return [(int(step), float(value)) for step, value in pairs]

    def read_videos(self, logger, folder, name):
        found = (folder / "run" / "videos").glob(f"{name}_*.{self.video_format}")
        return [self.read(path) for path in sorted(found)]

    def read(self, path):
        return list(read_video(path))


class TestMp4(OfFormat):
    video_format = "mp4"


class TestWebm(OfFormat):
    video_format = "webm"


class TestGif(OfFormat):
    video_format = "gif"


class TestPt(OfFormat):
    video_format = "pt"

    def read(self, path):
        tensor = torch.load(path)
        assert tensor.ndim == 5
        return list(tensor.flatten(0, 1).permute(0, 2, 3, 1).numpy())


class TestNpz(OfFormat):
    video_format = "npz"

    def read(self, path):
        with np.load(path) as arrays:
            if "frames" in arrays:  # a clip's, with its table
                return list(arrays["frames"])
            video = arrays["video"]
        return list(video.reshape(-1, *video.shape[2:]).transpose(0, 2, 3, 1))


# -- videos


@pytest.mark.parametrize("video_format", ["mp4", "webm", "gif"])
def test_videos_of_a_tensor_follow_each_other_in_one_file(tmp_path, video_format):
    logger = CSVLogger("run", tmp_path, video_format)

    path = logger.log_video("eval", video(4, videos=3))

    assert path == tmp_path / "run" / "videos" / f"eval_0.{video_format}"
    assert numbers(path) == list(range(12))


@pytest.mark.parametrize("video_format", ["mp4", "webm", "gif"])
def test_one_channel_becomes_gray(tmp_path, video_format):
    path = CSVLogger("run", tmp_path, video_format).log_video("a", video(channels=1))

    assert numbers(path) == list(range(5))


@pytest.mark.parametrize("make", [torch.Tensor.numpy, torch.Tensor.clone])
@pytest.mark.parametrize("video_format", FORMATS)
def test_tensors_and_arrays_are_taken_in_every_format(tmp_path, video_format, make):
    path = CSVLogger("run", tmp_path, video_format).log_video("a", make(video(3)))

    expected = video(3)
    if video_format == "pt":
        assert torch.equal(torch.load(path), expected)
    elif video_format == "memmap":
        assert path.read_bytes() == expected.numpy().tobytes()
    elif video_format == "npz":
        assert np.array_equal(np.load(path)["video"], expected.numpy())
    else:
        assert numbers(path) == [0, 1, 2]


@pytest.mark.parametrize("video_format", FORMATS)
def test_a_clip_is_streamed_and_never_stacked(tmp_path, monkeypatch, video_format):
    def refuse(self, **kwargs):
        raise AssertionError("a clip was stacked")

    monkeypatch.setattr(Clip, "to_tensor", refuse)
    clip = counting_recording(40).clip()

    path = CSVLogger("run", tmp_path, video_format).log_video("a", clip, step=3)

    assert path == tmp_path / "run" / "videos" / f"a_3.{video_format}"
    assert path.stat().st_size


def test_fps_is_the_argument_the_clips_or_the_loggers(tmp_path):
    import av

    logger = CSVLogger("run", tmp_path, "mp4", video_fps=12)
    clip = counting_recording(3).clip()  # of 30 rows a second
    paths = [
        logger.log_video("a", video()),
        logger.log_video("a", video(), fps=7),
        logger.log_video("a", clip),
        logger.log_video("a", clip, fps=7),
    ]

    rates = []
    for path in paths:
        with av.open(str(path)) as container:
            rates.append(container.streams.video[0].average_rate)
    assert rates == [12, 7, 30, 7]


@pytest.mark.parametrize("make", [video, lambda: counting_recording(5).clip()])
def test_the_encoders_options_get_through_as_torchrl_names_them(tmp_path, make):
    import av

    logger = CSVLogger("run", tmp_path, "mp4")

    path = logger.log_video(
        "a", make(), video_codec="libx264", options={"pixel_format": "yuv444p"}
    )

    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv444p"


def test_formats_of_a_dump_win_over_the_loggers(tmp_path):
    clip = counting_recording(3).clip()

    paths = clip.dump(
        CSVLogger("run", tmp_path, "pt"), "a", formats=["mp4", "gif", "png"]
    )

    assert [path.name for path in paths] == ["a_0.mp4", "a_1.gif", "a_2.png"]


def test_a_cancelled_video_leaves_nothing_and_the_next_is_written(tmp_path):
    logger = CSVLogger("run", tmp_path, "mp4")
    clip = counting_recording(3).clip()

    with pytest.raises(ExportCancelled):
        logger.log_video("a", clip, cancel=lambda: True)

    assert files(tmp_path) == {}
    assert logger.log_video("a", clip).exists()


@pytest.mark.parametrize("video_format", ["avi", "csv", "", None])
def test_wrong_formats_are_refused_at_construction(tmp_path, video_format):
    with pytest.raises(ValueError, match=r"\('pt', 'memmap', 'mp4', .*got "):
        CSVLogger("run", tmp_path / "logs", video_format)

    assert not (tmp_path / "logs").exists()


def test_floats_and_truths_are_pictures_to_encoders(tmp_path):
    logger = CSVLogger("run", tmp_path, "mp4")

    paths = [
        logger.log_video("floats", video().float() / 255),
        logger.log_video("truths", video() > 127),
    ]

    assert [numbers(path) for path in paths] == [list(range(5))] * 2


@pytest.mark.parametrize("make", [torch.Tensor.short, torch.Tensor.long])
def test_other_integers_are_pixels_where_they_may_be(tmp_path, make):
    logger = CSVLogger("run", tmp_path, "mp4")

    path = logger.log_video("a", make(video()))
    with pytest.raises(FrameError, match="in 0..255"):
        logger.log_video("b", make(video()) + 200)

    assert numbers(path) == list(range(5))
    assert not list(tmp_path.rglob("b*"))


@pytest.mark.parametrize("video_format", ["pt", "npz"])
def test_array_formats_keep_the_dtype(tmp_path, video_format):
    path = CSVLogger("run", tmp_path, video_format).log_video("a", video().float())

    kept = torch.load(path) if video_format == "pt" else np.load(path)["video"]
    assert str(kept.dtype).endswith("float32")


def test_a_layout_of_several_files_returns_them_all(tmp_path):
    clip = counting_recording(3, num_envs=2).clip()

    paths = CSVLogger("run", tmp_path, "mp4").log_video("a", clip, layout="tiles")

    assert [path.name for path in paths] == ["a_0_env0.mp4", "a_0_env1.mp4"]


def test_a_video_that_failed_takes_no_number(tmp_path):
    logger = CSVLogger("run", tmp_path, "mp4")

    with pytest.raises(ExportCancelled):
        logger.log_video("a", counting_recording(3).clip(), cancel=lambda: True)

    assert logger.log_video("a", video()).name == "a_0.mp4"


@pytest.mark.parametrize("name", ["../a", "b/../../a", "/tmp/a"])
def test_names_do_not_lead_out_of_the_folder(tmp_path, name):
    logger = CSVLogger("run", tmp_path / "logs")

    for log in (
        lambda: logger.log_scalar(name, 1.0),
        lambda: logger.log_text(name, "hello"),
        lambda: logger.log_video(name, video()),
        lambda: logger.log_table(name, {"x": [1]}),
    ):
        with pytest.raises(ValueError, match="expected a name within"):
            log()

    assert files(tmp_path) == {}


def test_steps_of_arrays_and_tensors_are_numbers(tmp_path):
    logger = CSVLogger("run", tmp_path)

    logger.log_scalar("a", 1.0, step=torch.tensor(3))
    logger.log_scalar("a", 2.0, step=np.int64(4))
    logger.log_scalar("a", 3.0, step=5.0)

    assert (tmp_path / "run/scalars/a.csv").read_text() == "3,1.0\n4,2.0\n5,3.0\n"


def test_texts_keep_no_file_open(tmp_path):
    logger = CSVLogger("run", tmp_path)
    before = len(os.listdir("/proc/self/fd"))

    for number in range(50):
        logger.log_text("note", str(number))

    assert len(os.listdir("/proc/self/fd")) <= before
    assert len(files(tmp_path)) == 50


def test_a_text_of_the_same_step_is_appended(tmp_path):
    logger = CSVLogger("run", tmp_path)

    logger.log_text("note", "one ", step=3)
    logger.close()
    logger.log_text("note", "two", step=3)

    assert (tmp_path / "run/texts/note3.txt").read_text() == "one two"


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]
)
def test_a_copy_goes_on_with_the_same_files(tmp_path, copied):
    logger = CSVLogger("run", tmp_path)
    logger.log_scalar("reward", 1.0)
    logger.log_video("a", video())

    again = copied(logger)
    again.log_scalar("reward", 2.0)

    assert (tmp_path / "run/scalars/reward.csv").read_text() == "0,1.0\n1,2.0\n"
    assert again.log_video("a", video()).name == "a_1.pt"


def test_a_checkpoint_does_not_go_on_growing(tmp_path):
    logger = CSVLogger("run", tmp_path)
    logger.log_scalar("reward", 1.0)

    state = logger.state_dict()
    logger.log_scalar("reward", 2.0)

    assert state["local"]["scalars"] == {"reward": [(0, 1.0)]}


@dataclasses.dataclass
class Configuration:
    b: int = 2
    a: str = "one"


@pytest.mark.parametrize(
    "cfg",
    [{"b": 2, "a": "one"}, argparse.Namespace(b=2, a="one"), Configuration()],
)
def test_a_configuration_may_be_a_dict_a_namespace_or_a_dataclass(tmp_path, cfg):
    CSVLogger("run", tmp_path).log_hparams(cfg)

    assert (tmp_path / "run/texts/hparams0.txt").read_text() == "a: one\nb: 2"


def test_a_configuration_of_omegaconf_is_resolved(tmp_path):
    omegaconf = pytest.importorskip("omegaconf", reason="whose configuration it is")
    cfg = omegaconf.OmegaConf.create({"a": 1, "b": "${a}"})

    CSVLogger("run", tmp_path).log_hparams(cfg)

    assert (tmp_path / "run/texts/hparams0.txt").read_text() == "a: 1\nb: 1"


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (lambda x: x.log_scalar("a", None), "'a' to be one number, got None"),
        (lambda x: x.log_scalar("a", "x"), "'a' to be one number, got 'x'"),
        (lambda x: x.log_scalar("a", torch.ones(2)), r"number, got shape \(2,\)"),
        (lambda x: x.log_metrics({"a": [1, 2]}), r"'a' to be one number, got \[1, 2\]"),
        (lambda x: x.log_metrics([1]), "expected a dict or a TensorDict .* got list"),
        (lambda x: x.log_hparams(3), "expected a dict, .* got int"),
        (lambda x: x.log_video("a", None), "got NoneType"),
        (lambda x: x.log_video("a", video(), format="mp4", fps=-1), "got -1"),
    ],
)
def test_what_cannot_be_logged_is_said(tmp_path, log, message):
    with pytest.raises((TypeError, ValueError), match=message):
        log(CSVLogger("run", tmp_path))

    assert files(tmp_path) == {}


def test_a_library_that_is_broken_is_not_called_absent():
    with (
        pytest.raises(MissingDependencyError, match="not to be imported .libx.so"),
        requires("WandbLogger", "wandb"),
    ):
        raise ImportError("libx.so: cannot open shared object file")


def test_the_end_of_a_with_block_shuts_it_down(tmp_path):
    with CSVLogger("run", tmp_path) as logger:
        logger.log_scalar("reward", 1.0)

    assert not logger.is_alive


# -- runs


def run(folder, number, **options):
    logger = CSVLogger("run", folder, "npz", **options)
    logger.log_scalar("reward", number)
    logger.log_video("a", video(number))
    logger.log_hparams({"run": number})
    logger.log_table("t", {"x": [number]})
    logger.close()


def test_a_second_run_overwrites_nothing(tmp_path):
    run(tmp_path, 1)
    before = files(tmp_path)

    run(tmp_path, 2)

    after = files(tmp_path)
    assert sorted(set(after) - set(before)) == [
        "run/tables/t_0-1.csv",
        "run/texts/hparams0-1.txt",
        "run/videos/a_0-1.npz",
    ]
    scalars = "run/scalars/reward.csv"
    assert {name: after[name] for name in before if name != scalars} == {
        name: before[name] for name in before if name != scalars
    }
    assert after[scalars] == b"0,1.0\n0,2.0\n"


def test_overwrite_is_as_the_original(tmp_path):
    run(tmp_path, 1)
    names = list(files(tmp_path))

    run(tmp_path, 2, overwrite=True)

    assert list(files(tmp_path)) == names
    assert files(tmp_path)["run/texts/hparams0.txt"] == b"run: 2"
    with np.load(tmp_path / "run" / "videos" / "a_0.npz") as arrays:
        assert arrays["video"].shape[1] == 2


def test_the_default_folder_is_csv_logs(tmp_path):
    CSVLogger("run")

    assert (tmp_path / "csv_logs" / "run" / "videos").is_dir()


def test_scalars_are_on_disk_at_once(tmp_path):
    logger = CSVLogger("run", tmp_path)

    logger.log_scalar("reward", 1)

    assert (tmp_path / "run" / "scalars" / "reward.csv").read_text() == "0,1.0\n"


def test_metrics_are_returned_as_numbers(tmp_path):
    logger = CSVLogger("run", tmp_path)

    found = logger.log_metrics({"a": torch.tensor([1.5]), "b": np.float64(2)}, step=1)

    assert json.dumps(found) == '{"a": 1.5, "b": 2.0}'


def test_metrics_of_a_tensordict_are_joined(tmp_path):
    tensordict = pytest.importorskip("tensordict", reason="what TorchRL logs")
    logger = CSVLogger("run", tmp_path)
    td = tensordict.TensorDict({"a": {"b": torch.tensor(1.0)}, "c": torch.tensor(2.0)})

    assert logger.log_metrics(td, step=5) == {"a/b": 1.0, "c": 2.0}
    assert (tmp_path / "run" / "scalars" / "a" / "b.csv").read_text() == "5,1.0\n"


def test_tables_are_written_from_columns_and_clips(tmp_path):
    logger = CSVLogger("run", tmp_path)
    assert not (tmp_path / "run" / "tables").exists()

    one = logger.log_table("t", {"x": np.array([1.0, np.nan]), "y": ["a", "b"]})
    two = logger.log_table("t", counting_recording(3, num_envs=2).clip(), step=9)

    assert one == tmp_path / "run" / "tables" / "t_0.csv"
    assert one.read_text() == "x,y\n1.0,a\n,b\n"
    assert two.name == "t_9.csv"
    with two.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_columns_are_written_as_csv_only(tmp_path):
    with pytest.raises(ValueError, match=r"expected a format in \('csv',\), got 'xls'"):
        CSVLogger("run", tmp_path).log_table("t", {"x": [1]}, format="xls")

    assert files(tmp_path) == {}


def test_columns_of_unequal_length_leave_no_table(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        CSVLogger("run", tmp_path).log_table("t", {"x": [1], "y": []})

    assert files(tmp_path) == {}


def test_histograms_are_refused(tmp_path):
    with pytest.raises(NotImplementedError):
        CSVLogger("run", tmp_path).log_histogram("a", [1, 2])


def test_shutdown_twice_is_safe(tmp_path):
    logger = CSVLogger("run", tmp_path)
    logger.log_text("note", "hello")
    assert logger.start() is logger.client() is logger

    logger.shutdown()
    logger.close()

    assert not logger.is_alive
    assert (tmp_path / "run" / "texts" / "note0.txt").read_text() == "hello"
    with pytest.raises(RuntimeError, match="shut down"):
        logger.start()


def test_print_log_dir_shows_the_files(tmp_path, capsys):
    logger = CSVLogger("run", tmp_path)
    logger.log_scalar("reward", 1)

    logger.print_log_dir()

    assert "scalars/\n        reward.csv\n" in capsys.readouterr().out


# -- the protocol


@pytest.mark.parametrize(
    "make",
    [lambda folder: CSVLogger("run", folder), lambda _: TeeLogger(CSVLogger("r"))],
)
def test_ours_are_loggers(tmp_path, make):
    assert isinstance(make(tmp_path), Logger)
    assert make(tmp_path).takes_clips


def test_a_dump_as_parquet_is_a_table(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="what writes it")
    logger = CSVLogger("run", tmp_path)

    (path,) = counting_recording(3).clip().dump(logger, "eval", formats="parquet")

    assert path == tmp_path / "run" / "tables" / "eval_0.parquet"
    assert parquet.read_table(path).num_rows == 3
