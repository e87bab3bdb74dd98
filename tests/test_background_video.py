"""The thread that encodes a video while its segment is recorded."""

import threading

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recorder import background_video
from rollout_viewer._recorder.background_video import BackgroundVideo
from rollout_viewer._recorder.video_segment import VideoSegment
from rollout_viewer._video import read_video
from rollout_viewer.testing import counting_frame, read_count

NUM_ROWS = 300


def counts(path) -> list[int]:
    return [read_count(frame)[0] for frame in read_video(path)]


@pytest.fixture
def write(monkeypatch):
    """Whether the thread may write."""
    original = BackgroundVideo._write
    may_write = threading.Event()
    may_write.set()

    def write(self, stop: int) -> None:
        assert may_write.wait(60)
        original(self, stop)

    monkeypatch.setattr(BackgroundVideo, "_write", write)
    return may_write


def test_small_pictures_are_encoded_in_turn_with_recording(tmp_path, monkeypatch):
    monkeypatch.setattr(background_video, "_MOST_SECONDS", 60)
    num_awaited = 0
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        video = BackgroundVideo(cache, VideoSegment("run", 0), tmp_path, "test")
        for row in range(NUM_ROWS):
            cache.append(counting_frame(row))
            # The first pictures, whose size the thread does not know, are not awaited.
            is_awaited = video._is_awaited
            video.notify(row + 1)
            num_awaited += is_awaited
            assert not is_awaited or row + 1 - video._written < 64
            while row + 1 == 64 and not (video._is_awaited or video._error):
                pass  # until the thread has written the first
        path = video.finish(VideoSegment("run", 0, NUM_ROWS))

    assert num_awaited > NUM_ROWS // 2
    assert counts(path) == list(range(NUM_ROWS))


def test_a_disk_that_hangs_does_not_hold_up_the_environment(
    tmp_path, write, monkeypatch
):
    monkeypatch.setattr(background_video, "_MOST_SECONDS", 0.05)
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        video = BackgroundVideo(cache, VideoSegment("run", 0), tmp_path, "test")
        row = 0
        while not video._is_awaited:  # the first picture is encoded
            cache.append(counting_frame(row))
            row += 1
            video.notify(row)
        write.clear()
        for _ in range(NUM_ROWS):
            cache.append(counting_frame(row))
            row += 1
            video.notify(row)
        assert not video._is_awaited
        write.set()
        path = video.finish(VideoSegment("run", 0, row))

    assert counts(path) == list(range(row))


def test_an_encoder_that_failed_is_not_waited_for(tmp_path, monkeypatch):
    def fail(self, stop: int) -> None:
        raise rv.ExportError("no space left")

    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        video = BackgroundVideo(cache, VideoSegment("run", 0), tmp_path, "test")
        row = 0
        while not video._is_awaited:
            cache.append(counting_frame(row))
            row += 1
            video.notify(row)
        monkeypatch.setattr(BackgroundVideo, "_write", fail)
        monkeypatch.setattr(background_video, "_MOST_SECONDS", 60)
        for _ in range(200):
            cache.append(np.zeros_like(counting_frame(0)))
            row += 1
            video.notify(row)
        with pytest.raises(rv.ExportError, match="no space left"):
            video.finish(VideoSegment("run", 0, row))

    assert not list(tmp_path.glob("*.mp4"))
