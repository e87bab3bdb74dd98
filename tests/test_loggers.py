import csv
import json

import counting  # type: ignore[import-not-found] # beside this file
import numpy as np
import pytest
import torch

from rollout_viewer._clip import Clip
from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    FrameError,
    RolloutViewerWarning,
)
from rollout_viewer._video import read_video
from rollout_viewer.loggers import CSVLogger, Logger, TeeLogger

FORMATS = ["pt", "memmap", "mp4", "webm", "gif", "npz"]


def video(count=5, videos=1, channels=3):
    frames = np.stack([counting.draw(n) for n in range(count * videos)])
    chw = frames.transpose(0, 3, 1, 2)[:, :channels]
    return torch.from_numpy(np.ascontiguousarray(chw)).reshape(
        videos, count, channels, 48, 64
    )


def numbers(path):
    return [counting.read(frame) for frame in read_video(path)]


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


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


# -- CSVLogger: side by side with the original


@pytest.fixture
def original():
    pytest.importorskip("torchrl", reason="the original to compare with")
    from torchrl.record.loggers.csv import CSVLogger as TorchRLCSVLogger

    return TorchRLCSVLogger


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
        recorder._apply_transform(torch.from_numpy(counting.draw(number)))

    recorder.dump()

    assert numbers(tmp_path / "run" / "videos" / "eval_0.mp4") == list(range(6))


@pytest.mark.parametrize("video_format", ["pt", "memmap"])
def test_clips_go_to_torchrls_logger_as_the_same_tensor(
    tmp_path, original, video_format
):
    clip = counting.recording(6, num_envs=3).clip()
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


# -- CSVLogger: videos


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
    clip = counting.recording(40).clip()

    path = CSVLogger("run", tmp_path, video_format).log_video("a", clip, step=3)

    assert path == tmp_path / "run" / "videos" / f"a_3.{video_format}"
    assert path.stat().st_size


def test_fps_is_the_argument_the_clips_or_the_loggers(tmp_path):
    import av

    logger = CSVLogger("run", tmp_path, "mp4", video_fps=12)
    clip = counting.recording(3).clip()  # of 30 rows a second
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


@pytest.mark.parametrize("make", [video, lambda: counting.recording(5).clip()])
def test_the_encoders_options_get_through_as_torchrl_names_them(tmp_path, make):
    import av

    logger = CSVLogger("run", tmp_path, "mp4")

    path = logger.log_video(
        "a", make(), video_codec="libx264", options={"pixel_format": "yuv444p"}
    )

    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv444p"


def test_formats_of_a_dump_win_over_the_loggers(tmp_path):
    clip = counting.recording(3).clip()

    paths = clip.dump(
        CSVLogger("run", tmp_path, "pt"), "a", formats=["mp4", "gif", "png"]
    )

    assert [path.name for path in paths] == ["a_0.mp4", "a_1.gif", "a_2.png"]


def test_a_cancelled_video_leaves_nothing_and_the_next_is_written(tmp_path):
    logger = CSVLogger("run", tmp_path, "mp4")
    clip = counting.recording(3).clip()

    with pytest.raises(ExportCancelled):
        logger.log_video("a", clip, cancel=lambda: True)

    assert files(tmp_path) == {}
    assert logger.log_video("a", clip).exists()


@pytest.mark.parametrize("video_format", ["avi", "csv", "", None])
def test_wrong_formats_are_refused_at_construction(tmp_path, video_format):
    with pytest.raises(ValueError, match=r"\('pt', 'memmap', 'mp4', .*got "):
        CSVLogger("run", tmp_path / "logs", video_format)

    assert not (tmp_path / "logs").exists()


def test_floats_are_not_taken_for_pixels(tmp_path):
    with pytest.raises(FrameError, match=r"expected uint8 .*torch.float32"):
        CSVLogger("run", tmp_path).log_video("a", video().float())


# -- CSVLogger: runs


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
    two = logger.log_table("t", counting.recording(3, num_envs=2).clip(), step=9)

    assert one == tmp_path / "run" / "tables" / "t_0.csv"
    assert one.read_text() == "x,y\n1.0,a\n,b\n"
    assert two.name == "t_9.csv"
    with two.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


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


# -- TeeLogger


class Broken:
    def log_video(self, name, video, step=None, **kwargs):
        raise OSError("disk full")


class Foreign:
    def __init__(self):
        self.seen = []

    def log_video(self, name, video, step=None, fps=None):
        self.seen.append((name, tuple(video.shape), step, fps))

    def log_table(self, name, columns, step=None):
        self.seen.append((name, len(columns["row"]), step))


def test_tee_tells_all_of_them(tmp_path):
    loggers = [CSVLogger(name, tmp_path, "mp4") for name in "ab"]
    tee = TeeLogger(*loggers)

    tee.log_scalar("reward", 1.0, step=4)
    paths = counting.recording(3).clip().dump(tee, "eval", formats=["mp4", "csv"])

    assert len(paths) == 4
    for name in "ab":
        assert (tmp_path / name / "scalars" / "reward.csv").read_text() == "4,1.0\n"
        assert numbers(tmp_path / name / "videos" / "eval_0.mp4") == [0, 1, 2]


def test_tee_gives_tensors_and_columns_to_loggers_of_other_people(tmp_path):
    foreign = Foreign()
    tee = TeeLogger(CSVLogger("run", tmp_path, "mp4"), foreign)

    counting.recording(3).clip().dump(tee, "eval", step=2, formats=["mp4", "csv"])

    assert foreign.seen == [("eval", (1, 3, 3, 48, 64), 2, 30.0), ("eval", 3, 2)]


def test_tee_goes_on_when_one_fails_and_says_which(tmp_path):
    tee = TeeLogger(Broken(), CSVLogger("run", tmp_path, "mp4"))

    with pytest.warns(RolloutViewerWarning, match=r"Broken: OSError\('disk full'\)"):
        (path,) = counting.recording(3).clip().dump(tee, "eval")

    assert numbers(path) == [0, 1, 2]


def test_tee_raises_when_all_fail():
    with pytest.raises(ExportError, match="Broken: .*; Broken"):
        TeeLogger(Broken(), Broken()).log_video("a", video())


def test_tee_passes_over_those_that_lack_a_method(tmp_path):
    tee = TeeLogger(Broken(), CSVLogger("run", tmp_path))

    tee.log_text("note", "hello")

    assert not hasattr(tee, "log_nothing")


# -- the protocol


@pytest.mark.parametrize(
    "make",
    [lambda folder: CSVLogger("run", folder), lambda _: TeeLogger(CSVLogger("r"))],
)
def test_ours_are_loggers(tmp_path, make):
    assert isinstance(make(tmp_path), Logger)
    assert make(tmp_path).takes_clips
