"""The suite that every logger has to pass, ours and yours: subclass it in a test file.

It calls a logger as recorders, viewers, `Clip.dump` and TorchRL's VideoRecorder do,
and reads back what was logged. Needs pytest; tests of tensors are skipped where torch
is not installed.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.clip import Clip
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.testing._counting import counting_frames, read_count

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_HEIGHT, _WIDTH = 48, 64
_TITLE = "A <i>report</i> of policies"


class LoggerTests:
    """Conformance of a logger: subclass it and write ``make_logger``.

    The ``read_*`` methods let the suite read what was logged; a test that needs one
    that is not written is skipped, with that reason. A method that a logger lacks, or
    refuses with NotImplementedError, is skipped too, except for `log_scalar`,
    `log_video` and `log_hparams`, which are required.

    Attributes:
        videos_follow: Several videos in a tensor (N, T, C, H, W) become one video
            of N times T frames; False: side by side in a grid.

    Example:
        >>> from rollout_viewer.testing import LoggerTests
        >>> class TestMyLogger(LoggerTests):
        ...     def make_logger(self, folder):
        ...         return MyLogger(folder)
        ...
        ...     def read_scalars(self, logger, folder, name):
        ...         return [(step, value), ...]
    """

    videos_follow = False

    # -- what a subclass writes

    def make_logger(self, folder: Path) -> Any:
        """Return a new logger that writes into `folder`."""
        raise NotImplementedError

    def read_scalars(
        self, logger: Any, folder: Path, name: str
    ) -> list[tuple[int, float]]:
        """Return the (step, value) of a name, in order. The logger is closed."""
        pytest.skip("read_scalars is not written")

    def read_videos(self, logger: Any, folder: Path, name: str) -> list[Any]:
        """Return the videos of a name, each a list of frames uint8 (H, W, 3).

        The logger is closed. They are in the order of their steps.
        """
        pytest.skip("read_videos is not written")

    # -- its methods

    def test_it_has_the_methods_of_a_logger(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        for method in ("log_scalar", "log_video", "log_hparams"):
            assert callable(getattr(logger, method, None)), method

    # -- numbers

    def test_scalars_arrive_with_their_steps(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        for step, value in ((3, 0.5), (7, -1.25), (100, 2.0)):
            logger.log_scalar("reward", value, step=step)
        _close(logger)

        found = self.read_scalars(logger, tmp_path, "reward")
        assert found == [(3, 0.5), (7, -1.25), (100, 2.0)]

    def test_scalars_without_a_step_are_counted(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        for value in (1.0, 2.0, 3.0):
            logger.log_scalar("reward", value)
        _close(logger)

        found = self.read_scalars(logger, tmp_path, "reward")
        assert found == [(0, 1.0), (1, 2.0), (2, 3.0)]

    def test_tensors_and_numpy_scalars_are_numbers(self, tmp_path: Path) -> None:
        torch = _torch()

        logger = self.make_logger(tmp_path)

        logger.log_scalar("reward", torch.tensor(1.5), step=0)
        logger.log_scalar("reward", np.float32(2.5), step=1)
        logger.log_scalar("reward", 3, step=2)
        _close(logger)

        found = self.read_scalars(logger, tmp_path, "reward")
        assert found == [(0, 1.5), (1, 2.5), (2, 3.0)]

    def test_names_with_a_slash_are_kept_apart(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        logger.log_scalar("train/loss", 1.0, step=0)
        logger.log_scalar("eval/loss", 2.0, step=0)
        _close(logger)

        assert self.read_scalars(logger, tmp_path, "train/loss") == [(0, 1.0)]
        assert self.read_scalars(logger, tmp_path, "eval/loss") == [(0, 2.0)]

    def test_metrics_come_back_as_python_numbers(self, tmp_path: Path) -> None:
        torch = _torch()

        logger = self.make_logger(tmp_path)
        log_metrics = _method(logger, "log_metrics")

        found = log_metrics({"a": torch.tensor(1.5), "b": np.float64(2)}, step=4)
        _close(logger)

        assert json.loads(json.dumps(found)) == {"a": 1.5, "b": 2.0}
        assert self.read_scalars(logger, tmp_path, "a") == [(4, 1.5)]

    # -- videos

    def test_every_frame_of_a_tensor_arrives(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        logger.log_video("eval", _video(12), step=0)
        _close(logger)

        (video,) = self.read_videos(logger, tmp_path, "eval")
        assert _rows(video) == list(range(12))

    def test_keywords_are_those_of_torchrls_recorder(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        logger.log_video(name="eval", video=_video(5), step=3, fps=10)
        _close(logger)

        (video,) = self.read_videos(logger, tmp_path, "eval")
        assert _rows(video) == list(range(5))

    def test_one_channel_is_gray(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        logger.log_video("eval", _video(5)[:, :, :1], step=0)
        _close(logger)

        (video,) = self.read_videos(logger, tmp_path, "eval")
        assert _rows(video) == list(range(5))

    def test_several_videos_of_a_tensor_are_all_shown(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        logger.log_video("eval", _video(8).reshape(2, 4, 3, _HEIGHT, _WIDTH), step=0)
        _close(logger)

        (video,) = self.read_videos(logger, tmp_path, "eval")
        if self.videos_follow:
            assert _rows(video) == list(range(8))
        else:
            assert _rows(video) == list(range(4))
            assert _rows(frame[:, _WIDTH:] for frame in video) == list(range(4, 8))

    def test_the_second_video_does_not_replace_the_first(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        logger.log_video("eval", _video(3))
        logger.log_video("eval", _video(5))
        _close(logger)

        videos = self.read_videos(logger, tmp_path, "eval")
        assert [_rows(video) for video in videos] == [[0, 1, 2], [0, 1, 2, 3, 4]]

    @pytest.mark.parametrize(
        "shape", [(5, 3, 8), (1, 5, 8, 8, 3), (1, 5, 4, 8, 8), (1, 1, 5, 3, 8, 8)]
    )
    def test_what_is_no_video_is_refused(
        self, tmp_path: Path, shape: tuple[int, ...]
    ) -> None:
        torch = _torch()

        logger = self.make_logger(tmp_path)

        with pytest.raises(Exception):  # noqa: B017 - TorchRL's is a bare one
            logger.log_video("eval", torch.zeros(shape, dtype=torch.uint8), step=0)

    # -- clips

    def test_every_frame_of_a_clip_arrives(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        _recording(7).clip(2, 6).dump(logger, "eval", step=0)
        _close(logger)

        (video,) = self.read_videos(logger, tmp_path, "eval")
        assert _rows(video) == [2, 3, 4, 5]

    def test_a_clip_is_read_as_it_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        logger = self.make_logger(tmp_path)
        if getattr(logger, "takes_clips", False) is not True:
            pytest.skip("it has no takes_clips = True, and is given tensors")

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("the whole clip became one tensor")

        monkeypatch.setattr(Clip, "to_tensor", refuse)
        clip = _recording(7).clip()
        clip.dump(logger, "eval", step=0)

    def test_a_recorders_dumps_arrive_one_after_the_other(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)
        recorder = Recorder(1, logger=logger, tag="eval")
        pictures = counting_frames(6, 1, height=_HEIGHT, width=_WIDTH)

        for step, rows in ((0, pictures[:4]), (1, pictures[4:])):
            for row in rows:
                recorder.add([Kind.STEP], functools.partial(np.copy, row), reward=[1.0])
            recorder.dump(step=step)
        _close(logger)

        videos = self.read_videos(logger, tmp_path, "eval")
        assert [_rows(video) for video in videos] == [[0, 1, 2, 3], [4, 5]]

    def test_torchrls_recorder_dumps_into_it(self, tmp_path: Path) -> None:
        record = pytest.importorskip("torchrl.record", reason="the recorder itself")
        torch = _torch()

        logger = self.make_logger(tmp_path)
        recorder = record.VideoRecorder(logger, "eval", skip=1, fps=10)

        for frame in counting_frames(6, 1, height=_HEIGHT, width=_WIDTH)[:, 0]:
            recorder._apply_transform(torch.from_numpy(frame))
        recorder.dump()
        _close(logger)

        (video,) = self.read_videos(logger, tmp_path, "eval")
        assert _rows(video) == list(range(6))

    # -- texts, tables and the rest

    def test_a_configuration_is_taken(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        logger.log_hparams({"lr": 0.1, "env": "CartPole-v1", "is_fast": True})

        _close(logger)

    def test_a_text_is_taken(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        _method(logger, "log_text")("note", "hello", step=1)

        _close(logger)

    def test_a_histogram_is_taken(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)
        log_histogram = _method(logger, "log_histogram")

        try:
            log_histogram("weights", np.arange(10.0), step=1, bins=5)
        except NotImplementedError as error:
            pytest.skip(f"it refuses histograms: {error}")

        _close(logger)

    def test_a_table_is_taken_from_columns_and_clips(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)
        log_table = _method(logger, "log_table")

        log_table("returns", {"env": [0, 1], "total": np.array([1.0, np.nan])}, step=1)
        _recording(3).clip().dump(logger, "rollout", step=2, formats="csv")

        _close(logger)

    def test_a_report_is_kept_when_its_file_is_deleted(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path / "logs")
        log_report = _method(logger, "log_report")
        page = tmp_path / "report.html"
        page.write_text(f"<!doctype html><title>{_TITLE}</title>", encoding="utf-8")

        for step in (1, 1, None):
            log_report("eval/report", page, step=step)
        page.unlink()
        _close(logger)

        # Those that it keeps in files, and not on a server
        pages = [*(tmp_path / "logs").rglob("*.html")]
        assert len(pages) % 3 == 0
        assert all(_TITLE in one.read_text("utf-8") for one in pages)
        with pytest.raises(FileNotFoundError):
            log_report("report", page)

    # -- lifetime

    def test_its_client_logs_as_itself(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)

        client = _method(logger, "client")()
        client.log_scalar("reward", 1.0, step=2)
        _close(logger)

        assert self.read_scalars(logger, tmp_path, "reward") == [(2, 1.0)]

    def test_it_may_be_flushed_and_closed_twice(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)
        logger.log_scalar("reward", 1.0, step=0)

        for method in ("flush", "flush", "close", "close"):
            _method(logger, method)()

        assert getattr(logger, "is_alive", False) is False

    def test_a_checkpoint_goes_through_json_and_back(self, tmp_path: Path) -> None:
        logger = self.make_logger(tmp_path)
        logger.log_scalar("reward", 1.0)
        state = _method(logger, "state_dict")()

        _method(logger, "load_state_dict")(json.loads(json.dumps(state)))
        logger.log_scalar("reward", 2.0)
        _close(logger)

        found = self.read_scalars(logger, tmp_path, "reward")
        assert found == [(0, 1.0), (1, 2.0)]


def _method(logger: Any, name: str) -> Any:
    found = getattr(logger, name, None)
    if found is None:
        pytest.skip(f"it has no {name}")
    return found


def _close(logger: Any) -> None:
    if hasattr(logger, "close"):
        logger.close()


def _torch() -> Any:
    return pytest.importorskip("torch", reason="TorchRL's videos are tensors")


def _video(num_frames: int) -> Any:
    """Return a tensor (1, T, 3, H, W) of counting frames."""
    torch = _torch()
    frames = counting_frames(num_frames, 1, height=_HEIGHT, width=_WIDTH)[:, 0]
    return torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))[None]


def _recording(num_rows: int) -> FrameCache:
    cache = FrameCache(fps=30)
    for row, frames in enumerate(
        counting_frames(num_rows, 1, height=_HEIGHT, width=_WIDTH)
    ):
        cache.append(frames, reward=[1.0], reset=[row == 0])
    return cache


def _rows(video: Iterable[Any]) -> list[int]:
    """Return the rows of a video's frames, read from the top left corner."""
    return [read_count(frame[:_HEIGHT, :_WIDTH])[0] for frame in video]
