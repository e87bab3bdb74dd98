"""TensorboardLogger: what it writes is read by TensorBoard's own reader."""

import multiprocessing
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import torch

import rollout_viewer as rv
from rollout_viewer._export.selection import Selection
from rollout_viewer._video import read_video
from rollout_viewer.loggers import TensorBoardLogger, TensorboardLogger
from rollout_viewer.testing import (
    LoggerTests,
    counting_frame,
    counting_recording,
    read_row,
)

pytest.importorskip("tensorboard", reason="what the logger writes with")

ALL = {"images": 0, "scalars": 0, "histograms": 0, "tensors": 0}


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), ALL).Reload()


def decoded(event, folder):
    path = pathlib.Path(folder, f"decoded_{event.step}.gif")
    path.write_bytes(event.encoded_image_string)
    return list(read_video(path))


def numbers(frames):
    return [read_row(frame) for frame in frames]


def video(count):
    frames = np.stack([counting_frame(n) for n in range(count)])
    return torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None]


class TestTensorboardLogger(LoggerTests):
    def make_logger(self, folder):
        return TensorboardLogger("run", folder / "logs")

    def read_scalars(self, logger, folder, name):
        return [(e.step, e.value) for e in read(folder / "logs" / "run").Scalars(name)]

    def read_videos(self, logger, folder, name):
        events = read(folder / "logs" / "run").Images(name)
        return [decoded(event, folder) for event in events]


def test_both_spellings_are_one_class():
    assert TensorBoardLogger is TensorboardLogger is rv.TensorBoardLogger
    assert rv.TensorboardLogger is TensorboardLogger


def test_the_folder_is_torchrls(tmp_path):
    logger = TensorboardLogger("run")

    assert (tmp_path / "tb_logs" / "run").is_dir()
    assert logger.log_dir == logger.experiment.log_dir == "tb_logs/run"


@pytest.mark.parametrize("moviepy", ["installed", "absent"])
def test_videos_arrive_with_any_moviepy_or_none(tmp_path, monkeypatch, moviepy):
    if moviepy == "absent":
        monkeypatch.setitem(sys.modules, "moviepy", None)
    logger = TensorboardLogger("run", tmp_path)

    logger.log_video("eval", video(20), step=3)

    (event,) = read(tmp_path / "run").Images("eval")  # not closed, and yet there
    assert event.step == 3
    assert (event.width, event.height) == (64, 48)
    assert numbers(decoded(event, tmp_path)) == list(range(20))


@pytest.mark.parametrize(("given", "expected"), [({}, 25), ({"fps": 10}, 10)])
def test_fps_is_the_arguments_or_the_loggers(tmp_path, given, expected):
    import av

    logger = TensorboardLogger("run", tmp_path, video_fps=25)

    logger.log_video("eval", video(10), **given)

    (event,) = read(tmp_path / "run").Images("eval")
    decoded(event, tmp_path)
    with av.open(str(tmp_path / "decoded_0.gif")) as container:
        times = [picture.time for picture in container.decode(video=0)]
    assert np.allclose(np.diff(times), 1 / expected)


def test_floats_are_scaled_as_pictures(tmp_path):
    logger = TensorboardLogger("run", tmp_path)

    logger.log_video("eval", video(3).float() / 255)

    (event,) = read(tmp_path / "run").Images("eval")
    assert numbers(decoded(event, tmp_path)) == [0, 1, 2]


def test_a_failed_video_logs_nothing_and_takes_no_step(tmp_path):
    logger = TensorboardLogger("run", tmp_path)
    clip = counting_recording(3).clip()

    with pytest.raises(rv.ExportCancelled):
        logger.log_video("eval", clip, cancel=lambda: True)
    logger.log_video("eval", clip)

    assert [event.step for event in read(tmp_path / "run").Images("eval")] == [0]


def test_a_gif_that_no_event_can_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("rollout_viewer.loggers.tensorboard._MAX_GIF_BYTES", 100)

    with pytest.raises(rv.ExportTooLargeError, match=r"clip.write\('x.mp4'\)"):
        TensorboardLogger("run", tmp_path).log_video("eval", video(3))


def test_labels_are_drawn_on_a_clip(tmp_path):
    logger = TensorboardLogger("run", tmp_path)
    clip = counting_recording(2).clip()

    logger.log_video("plain", clip)
    logger.log_video("labelled", clip, labels=True)

    events = read(tmp_path / "run")
    plain, labelled = (
        decoded(events.Images(name)[0], tmp_path) for name in ("plain", "labelled")
    )
    assert not np.array_equal(plain[0], labelled[0])


def test_hyperparameters_stand_in_the_run_itself(tmp_path):
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    logger = TensorboardLogger("run", tmp_path)
    logger.log_hparams({"lr": 0.5, "env": {"id": "CartPole-v1"}, "sizes": [1, 2]})
    logger.close()

    events = read(tmp_path / "run")
    metadata = events.SummaryMetadata("_hparams_/session_start_info")
    data = HParamsPluginData.FromString(metadata.plugin_data.content)
    found = data.session_start_info.hparams
    assert found["lr"].number_value == 0.5
    assert found["env.id"].string_value == "CartPole-v1"
    assert found["sizes"].string_value == "[1, 2]"
    assert [path.name for path in (tmp_path / "run").iterdir() if path.is_dir()] == []


def test_a_second_configuration_gets_a_run_of_its_own(tmp_path):
    logger = TensorboardLogger("run", tmp_path)

    logger.log_hparams({"lr": 0.5})
    logger.log_hparams({"lr": 0.25})

    assert (tmp_path / "run" / "hparams_1").is_dir()


def test_texts_and_histograms_are_read_back(tmp_path):
    logger = TensorboardLogger("run", tmp_path)

    logger.log_text("note", "hello", step=2)
    logger.log_histogram("weights", [0.0, 1.0, 1.0], step=5)
    logger.log_histogram("weights", torch.arange(4.0), step=6, bins=4)
    logger.close()

    events = read(tmp_path / "run")
    (text,) = events.Tensors("note/text_summary")
    assert text.tensor_proto.string_val[0] == b"hello"
    histograms = events.Histograms("weights")
    assert [(e.step, e.histogram_value.num) for e in histograms] == [(5, 3), (6, 4)]


def test_unknown_keywords_of_a_histogram_are_refused_as_torchrl_does(tmp_path):
    with pytest.raises(TypeError, match="Unrecognised arguments"):
        TensorboardLogger("run", tmp_path).log_histogram("a", [1.0], colour=1)


def test_tables_stand_beside_the_events(tmp_path):
    logger = TensorboardLogger("run", tmp_path)

    (path,) = counting_recording(3).clip().dump(logger, "eval", step=4, formats="csv")

    assert path == tmp_path / "run" / "tables" / "eval_4.csv"
    assert len(path.read_text().splitlines()) == 4


def test_nothing_is_lost_when_it_is_not_closed(tmp_path):
    code = (
        "import rollout_viewer as rv;"
        f"rv.TensorboardLogger('run', {str(tmp_path)!r}).log_scalar('a', 1.0, 3);"
        f"kept = rv.TensorboardLogger('run', {str(tmp_path)!r});"
        "kept.log_scalar('b', 2.0, 4)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)

    events = read(tmp_path / "run")
    assert [(e.step, e.value) for e in events.Scalars("a")] == [(3, 1.0)]
    assert [(e.step, e.value) for e in events.Scalars("b")] == [(4, 2.0)]


def log_in_a_fork(logger, queue):
    try:
        logger.log_scalar("a", 1.0)
    except RuntimeError as error:
        queue.put(str(error))


def test_a_forked_child_gets_an_error_and_does_not_hang(tmp_path):
    context = multiprocessing.get_context("fork")
    logger = TensorboardLogger("run", tmp_path)
    queue = context.SimpleQueue()

    child = context.Process(target=log_in_a_fork, args=(logger, queue))
    child.start()
    child.join(60)

    assert child.exitcode == 0
    assert "expected the process that made it" in queue.get()


def test_a_clip_is_never_stacked_for_an_explicit_format(tmp_path, monkeypatch):
    monkeypatch.delattr(Selection, "to_tensor")
    logger = TensorboardLogger("run", tmp_path)

    counting_recording(5).clip().dump(logger, "eval", formats="mp4")

    (event,) = read(tmp_path / "run").Images("eval")
    assert numbers(decoded(event, tmp_path)) == [0, 1, 2, 3, 4]


def test_without_tensorboard_the_extra_is_named(tmp_path):
    code = (
        "import sys; sys.modules['tensorboard'] = None;"
        "import rollout_viewer as rv\n"
        "try: rv.TensorboardLogger('run')\n"
        "except rv.MissingDependencyError as error: print(error)"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert 'pip install "rollout-viewer[tensorboard]"' in result.stdout


def test_a_dump_as_parquet_is_a_table(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="what writes it")
    logger = TensorboardLogger("run", tmp_path)

    (path,) = counting_recording(3).clip().dump(logger, "eval", formats="parquet")

    assert path == tmp_path / "run" / "tables" / "eval_0.parquet"
    assert parquet.read_table(path).num_rows == 3
