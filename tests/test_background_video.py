"""The thread that encodes a video while its segment is recorded."""

import threading
from pathlib import Path

import pytest

import rollout_viewer as rv
from rollout_viewer._recorder import background_video
from rollout_viewer._recorder.background_video import BackgroundVideo
from rollout_viewer._recorder.video_segment import VideoSegment
from rollout_viewer._video import read_video
from rollout_viewer.testing import counting_frame, read_count
from tests.faults.interrupts import interrupted, places_of

# Rows for which the thread wakes up, before and after it knows that they are small.
FIRST, NEXT = 16, 64
# The thread has written the first rows, and knows how long the next ones took.
KNOWN = FIRST + NEXT


class Recorded:
    """A recording, and its video that is encoded meanwhile.

    Attributes:
        video: Of the recording.
        may_write: Unless it is set, the thread waits, as for a disk.
        has_written: Set when it has written what was requested.
        num_rows: Of the recording.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.may_write, self.has_written = threading.Event(), threading.Event()
        self.may_write.set()
        original = BackgroundVideo._write

        def write(video: BackgroundVideo, stop: int) -> None:
            assert self.may_write.wait(60)
            original(video, stop)
            self.has_written.set()

        monkeypatch.setattr(BackgroundVideo, "_write", write)
        # However long a row takes on this machine, unless the test says so.
        monkeypatch.setattr(background_video, "_MOST_TIMES", 1e9)
        monkeypatch.setattr(background_video, "_MOST_SECONDS", 60)
        folder.mkdir()
        self.cache = rv.FrameCache(folder / "run.rollout")
        self.video = BackgroundVideo(self.cache, VideoSegment("run", 0), folder, "test")
        self.num_rows = 0

    def record(self, count: int) -> None:
        for _ in range(count):
            self.cache.append(counting_frame(self.num_rows))
            self.num_rows += 1
            self.video.notify(self.num_rows)

    def record_known(self) -> None:
        """Record until it is known how long the thread takes."""
        for count in (FIRST, NEXT):
            self.has_written.clear()
            self.record(count)
            assert self.has_written.wait(60)

    def check(self) -> None:
        """Finish the video: it has each row."""
        path = self.video.finish(VideoSegment("run", 0, self.num_rows))
        found = [read_count(frame)[0] for frame in read_video(path)]
        assert found == list(range(self.num_rows))
        self.cache.close()


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    return Recorded(tmp_path / "run", monkeypatch)


def test_small_pictures_that_come_fast_are_encoded_in_turn_with_recording(recorded):
    recorded.record_known()
    for _ in range(300):
        recorded.record(1)
        assert recorded.num_rows - recorded.video._written < NEXT
    recorded.check()


def test_an_environment_that_is_slower_than_the_encoder_does_not_wait(
    recorded, monkeypatch
):
    monkeypatch.setattr(background_video, "_MOST_TIMES", 0)
    recorded.record_known()
    recorded.may_write.clear()
    recorded.record(2 * NEXT)
    assert recorded.video._written == KNOWN
    assert recorded.video._late == 0, "it waited, in vain"
    recorded.may_write.set()
    recorded.check()


def test_a_disk_that_hangs_is_waited_for_once_until_it_goes_on(recorded, monkeypatch):
    recorded.record_known()
    monkeypatch.setattr(background_video, "_MOST_SECONDS", 0.05)
    recorded.may_write.clear()
    recorded.record(NEXT)
    assert recorded.video._late == KNOWN + NEXT
    monkeypatch.setattr(background_video, "_MOST_SECONDS", 60)
    recorded.record(3 * NEXT)
    assert recorded.video._written == KNOWN

    recorded.may_write.set()
    while recorded.video._written < recorded.num_rows:
        recorded.has_written.clear()
        assert recorded.has_written.wait(0.1) or recorded.video._error is None
    recorded.record(NEXT)
    assert recorded.video._written == recorded.num_rows, "it waits again"
    recorded.check()


def test_an_encoder_that_fails_while_it_is_awaited_ends_the_wait(recorded, monkeypatch):
    def fail(self: BackgroundVideo, stop: int) -> None:
        raise rv.ExportError("no space left")

    recorded.record_known()
    monkeypatch.setattr(BackgroundVideo, "_write", fail)
    recorded.record(3 * NEXT)

    assert recorded.video._late == 0, "it waited in vain"
    with pytest.raises(rv.ExportError, match="no space left"):
        recorded.video.finish(VideoSegment("run", 0, recorded.num_rows))
    assert not list(recorded.cache.path.parent.glob("*.mp4"))


def test_a_cancelled_video_leaves_nothing(recorded):
    recorded.record_known()
    recorded.video.cancel()
    recorded.cache.close()
    assert [one.name for one in recorded.cache.path.parent.iterdir()] == ["run.rollout"]


def test_a_video_is_whole_wherever_the_wait_for_it_is_interrupted(
    tmp_path, monkeypatch
):
    count = 0

    def begun() -> Recorded:
        nonlocal count
        count += 1
        one = Recorded(tmp_path / str(count), monkeypatch)
        one.record_known()
        for _ in range(NEXT):
            one.cache.append(counting_frame(one.num_rows))
            one.num_rows += 1
        return one

    one = begun()
    places = places_of(lambda: one.video.notify(one.num_rows))
    assert {place.code.co_name for place in places} >= {"notify", "_await"}
    for place in places:
        one = begun()
        with interrupted(place) as interrupt:  # lets no other error than it through
            one.video.notify(one.num_rows)
        assert interrupt.where
        one.record(NEXT + 3)
        one.check()
