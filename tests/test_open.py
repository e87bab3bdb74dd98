import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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


# -- patterns and folders


def record_at(path, value):
    with rv.FrameCache(path) as cache:
        cache.append(np.full((2, 8, 8, 3), value, np.uint8), reset=[True, True])
    return path


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_pattern_is_the_recordings_that_match_it_side_by_side(tmp_path, as_path):
    for value, name in enumerate(["b", "a", "c"]):
        record_at(tmp_path / f"run-{name}.rollout", value)
    record_at(tmp_path / "other.rollout", 9)

    with rv.open(as_path(tmp_path / "run-*.rollout")) as cache:
        assert cache[0][:, 0, 0, 0].tolist() == [1, 1, 0, 0, 2, 2]
    with rv.open([tmp_path / "run-[ab].rollout", tmp_path / "oth??.rollout"]) as cache:
        assert cache[0][:, 0, 0, 0].tolist() == [1, 1, 0, 0, 9, 9]


def test_what_lies_beside_a_recording_matches_no_pattern(tmp_path):
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        cache.append(np.zeros((8, 8, 3), np.uint8))
        recording: Any = cache.recording
        recording._writer.drain()
        (tmp_path / "run.rollout.steps").touch()
        (tmp_path / "runs").mkdir()
        assert len(list(tmp_path.glob("run*"))) > 4

        with rv.open(tmp_path / "run*") as opened:
            assert opened.path == cache.path


def test_a_path_with_a_star_that_is_there_is_that_path(tmp_path):
    record_at(tmp_path / "a1.rollout", 1)
    record_at(tmp_path / "a*.rollout", 2)

    with rv.open(tmp_path / "a*.rollout") as cache:
        assert cache[0][:, 0, 0, 0].tolist() == [2, 2]


def test_a_pattern_reaches_into_folders(tmp_path):
    for folder in ("x", "x/y"):
        (tmp_path / folder).mkdir()
        record_at(tmp_path / folder / "run.rollout", 3)

    with rv.open(f"{tmp_path}/**/*.rollout") as cache:
        assert cache.num_envs == 4


def test_a_pattern_that_matches_nothing_says_so(tmp_path):
    with pytest.raises(rv.RecordingError, match=r"at '.*cl\*.rollout', got none"):
        rv.open(tmp_path / "cl*.rollout")


def test_a_pattern_of_one_video_opens_it_and_of_several_refuses(tmp_path):
    path = write(tmp_path / "clip-1.mp4")

    assert numbers(rv.open(tmp_path / "clip-*.mp4")) == list(range(9))

    shutil.copyfile(path, tmp_path / "clip-2.mp4")
    with pytest.raises(ValueError, match="the video '.*clip-1.mp4' among them"):
        rv.open(tmp_path / "clip-*.mp4")


@pytest.mark.parametrize("open_one", [rv.open, rv.view])
def test_a_folder_names_its_recordings_and_how_to_open_them(tmp_path, open_one):
    folder = tmp_path / "videos [1]"
    folder.mkdir()

    with pytest.raises(rv.RecordingError, match="has no .rollout file") as none:
        open_one(folder)
    record_at(folder / "rl-video.rollout", 1)
    with pytest.raises(rv.RecordingError, match="is a folder. It has 'rl-v") as one:
        open_one(str(folder))
    for number in range(1, 7):
        record_at(folder / f"rl-video-{number}.rollout", 1)
    with pytest.raises(rv.RecordingError, match="and 2 more. Open one") as several:
        open_one(folder)

    # What the messages tell to call works.
    calls = [re.findall(r"rv.open\('([^']*)'\)", str(e.value)) for e in (none, one)]
    assert rv.open(calls[0][0]).num_envs == 14
    assert [rv.open(path).num_envs for path in calls[1]] == [2]
    call, of_all = re.findall(r"rv.open\('([^']*)'\)", str(several.value))
    assert rv.open(call).num_envs == 2
    assert rv.open(of_all).num_envs == 14
