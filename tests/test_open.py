import subprocess
import sys

import av
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache.open import is_video, record_video
from rollout_viewer.testing import counting_frame, counting_recording, read_row


def write(path, num_frames=9, codec=None, fps=12):
    """Write a video of counting frames with another library's choices."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec or "mpeg4", rate=fps, options={"q": "1"})
        stream.width, stream.height, stream.bit_rate = 64, 48, 4_000_000
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(counting_frame(number), format="rgb24")
            if codec == "gif":
                frame = frame.reformat(format="rgb8")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def numbers(cache):
    return [read_row(cache[row, 0]) for row in range(cache.num_rows)]


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", None),
        ("a.mkv", "libx264"),
        ("a.avi", None),
        ("a.webm", "libvpx"),
        ("a.mov", "libx264"),
        ("a.gif", "gif"),
        ("A.MP4", "libx264"),
    ],
)
def test_a_video_is_a_recording_of_its_frames(tmp_path, name, codec):
    path = write(tmp_path / name, codec=codec)

    cache = rv.open(path)

    assert numbers(cache) == list(range(9))
    assert cache.fps == pytest.approx(12, rel=0.05)
    assert cache.num_envs == 1
    assert cache.is_closed
    assert cache.metadata == {"video": name}
    assert [(episode.start, episode.stop) for episode in cache.episodes] == [(0, 9)]


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_what_was_written_is_opened_again(tmp_path, suffix):
    clip = counting_recording(40).clip()
    (path,) = clip.write(tmp_path / f"a{suffix}", fps=25)

    cache = rv.open(str(path))

    assert numbers(cache) == list(range(40))
    assert cache.fps == pytest.approx(25)


def test_a_viewer_shows_a_video(tmp_path):
    path = write(tmp_path / "a.mp4")

    viewer = rv.view(path)
    viewer.goto(5)

    assert read_row(viewer.snapshot()) == 5
    viewer.close()


def test_the_shell_converts_a_video(tmp_path, capsys):
    from rollout_viewer._cli import main

    path = write(tmp_path / "a.avi")

    assert main(["export", str(path), str(tmp_path / "b.gif")]) == 0

    assert numbers(rv.open(tmp_path / "b.gif")) == list(range(9))


def test_recordings_are_opened_as_before(tmp_path):
    with rv.FrameCache(tmp_path / "a.rollout") as cache:
        cache.append(counting_frame(3)[None])

    assert numbers(rv.open(tmp_path / "a.rollout")) == [3]
    assert rv.open([tmp_path / "a.rollout"] * 2).num_envs == 2


def test_the_recording_of_a_video_can_be_saved(tmp_path):
    cache = rv.open(write(tmp_path / "a.mp4"))

    saved = cache.save(tmp_path / "a.rollout")

    assert numbers(rv.open(saved)) == list(range(9))


# -- what goes wrong


@pytest.mark.parametrize("content", [b"", b"no video at all", b"\x00" * 5000])
def test_a_file_that_is_no_video_is_told(tmp_path, content):
    (tmp_path / "a.mp4").write_bytes(content)

    with pytest.raises(rv.RecordingError, match=r"expected a video, got '.*a\.mp4' \("):
        rv.open(tmp_path / "a.mp4")


def test_a_video_that_is_not_there_is_told():
    with pytest.raises(
        rv.RecordingError, match=r"'nowhere\.webm', which does not exist"
    ):
        rv.open("nowhere.webm")


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        samples = np.zeros((1, 800), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))

    with pytest.raises(rv.RecordingError, match="a file without a picture"):
        rv.open(tmp_path / "a.mkv")


def test_what_write_returns_is_opened_as_it_is(tmp_path):
    paths = counting_recording(5).clip().write(tmp_path / "a.mp4")

    assert numbers(rv.open(paths)) == [0, 1, 2, 3, 4]


def test_a_file_that_another_process_has_not_written_to_yet_says_so(tmp_path):
    source = (
        "import sys, numpy as np, rollout_viewer as rv\n"
        "cache = rv.FrameCache(sys.argv[1])\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    path = tmp_path / "worker.rollout"
    with subprocess.Popen(
        [sys.executable, "-c", source, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as worker:
        assert worker.stdout.readline().strip() == b"ready"
        cache = rv.open(path)

        for read in (cache.clip, lambda: cache[0], lambda: cache.at(0, 0)):
            with pytest.raises(rv.RowError, match=r"another process .*flush\(\)"):
                read()
        worker.stdin.close()
    with pytest.raises(rv.RowError, match="got none. Record something"):
        rv.FrameCache().at(0, 0)


def test_a_video_among_several_recordings_is_refused(tmp_path):
    path = write(tmp_path / "a.mp4")

    with pytest.raises(ValueError, match=r"got the video '.*a\.mp4' among them"):
        rv.open([path, path])


def test_a_video_that_breaks_off_is_shown_as_far_as_it_goes(tmp_path):
    path = counting_recording(200).clip().write(tmp_path / "a.mp4")[0]
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])

    with pytest.warns(rv.RolloutViewerWarning, match="expected 200 frames, got less"):
        cache = rv.open(path)

    assert 20 < cache.num_rows < 200
    assert numbers(cache)[:20] == list(range(20))


def test_a_video_that_is_too_large_is_shown_up_to_there(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, 1, 48, 64, 3), np.uint8)
    cache = rv.FrameCache()
    for picture in noise:
        cache.append(picture)
    (path,) = cache.clip().write(tmp_path / "a.mp4")

    with pytest.warns(rv.RolloutViewerWarning, match=r"expected at most 0.0001 GB"):
        cut = record_video(path, max_bytes=100_000)

    assert 5 < cut.num_rows < 30


def test_only_suffixes_of_videos_are_taken_for_videos(tmp_path):
    assert is_video(tmp_path / "a.MKV")
    assert not is_video(tmp_path / "a.rollout")
    assert not is_video(tmp_path / "mp4")
