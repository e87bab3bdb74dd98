"""Frame n of the file is frame n of the clip: lengths, rates, sizes and pictures."""

import av
import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._video import read_video
from rollout_viewer.testing import (
    counting_frame,
    counting_recording,
    read_count,
    read_row,
)

VIDEOS = [".mp4", ".webm", ".gif"]
LENGTHS = [1, 2, 30, 299, 300, 1000]


def sized(num_rows, height, width):
    cache = FrameCache(fps=30)
    for row in range(num_rows):
        frame = counting_frame(row, height=height, width=width)
        cache.append(frame[None], reset=[row == 0], reward=[1.0])
    return cache


def of_pictures(pictures):
    cache = FrameCache(fps=30)
    for row, picture in enumerate(pictures):
        cache.append(picture[None], reset=[row == 0])
    return cache


def frames_of(path):
    """Return the frames of a file of any format, (T, H, W, 3) or a list of them."""
    if path.suffix == ".npz":
        return np.load(path)["frames"]
    if path.suffix == ".pt":
        return torch.load(path)[0].permute(0, 2, 3, 1).numpy()
    if path.suffix == ".memmap":
        raw = np.fromfile(path, np.uint8).reshape(-1, 3, 48, 64)
        return raw.transpose(0, 2, 3, 1)
    return list(read_video(path))


@pytest.fixture(scope="module")
def long_clip():
    return counting_recording(1000)


@pytest.mark.parametrize("count", LENGTHS)
@pytest.mark.parametrize("suffix", [*VIDEOS, ".npz", ".pt", ".memmap"])
def test_every_length_comes_back_whole_and_in_order(tmp_path, long_clip, suffix, count):
    (path,) = long_clip.clip(0, count).write(tmp_path / f"a{suffix}")

    assert [read_row(frame) for frame in frames_of(path)] == list(range(count))


@pytest.mark.parametrize("count", LENGTHS)
def test_tables_of_every_length_have_a_line_for_each_row(tmp_path, long_clip, count):
    clip = long_clip.clip(0, count)

    (lines,) = clip.write(tmp_path / "a.csv")
    (table,) = clip.write(tmp_path / "a.parquet")

    found = [line.split(",")[0] for line in lines.read_text().splitlines()[1:]]
    assert found == [str(row) for row in range(count)]
    assert parquet.read_table(table)["row"].to_pylist() == list(range(count))


@pytest.mark.parametrize("fps", [24, 30, 50, 60])
@pytest.mark.parametrize("suffix", VIDEOS)
@pytest.mark.filterwarnings("ignore:.* a GIF plays at most 50:UserWarning")
def test_frames_of_every_rate_are_shown_when_it_is_their_turn(tmp_path, suffix, fps):
    (path,) = counting_recording(61).clip().write(tmp_path / f"a{suffix}", fps=fps)

    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    rate = min(fps, 50) if suffix == ".gif" else fps
    # webm counts milliseconds, GIF hundredths
    unit = {".mp4": 1e-9, ".webm": 0.00051, ".gif": 0.0051}[suffix]
    assert times == pytest.approx([n / rate for n in range(61)], abs=unit)
    assert [read_row(frame) for frame in frames_of(path)] == list(range(61))


@pytest.mark.parametrize(
    ("height", "width"), [(16, 33), (17, 32), (49, 65), (210, 160), (1081, 1919)]
)
@pytest.mark.parametrize(
    ("suffix", "quality"),
    [
        *((".mp4", quality) for quality in ("normal", "high", "lossless")),
        *((".webm", quality) for quality in ("normal", "high", "lossless")),
        (".gif", "normal"),
    ],
)
def test_every_size_comes_back(tmp_path, suffix, quality, height, width):
    count = 3 if height > 1000 else 9
    (path,) = (
        sized(count, height, width)
        .clip()
        .write(tmp_path / f"a{suffix}", quality=quality)
    )

    frames = frames_of(path)
    assert {frame.shape for frame in frames} <= {
        (height, width, 3),
        (height + height % 2, width + width % 2, 3),
    }
    read = [read_count(frame[:height, :width])[0] for frame in frames]
    assert read == list(range(count))


@pytest.mark.parametrize("suffix", VIDEOS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (2, 2)])
def test_sizes_below_anything_have_their_gray(tmp_path, suffix, height, width):
    levels = [0, 90, 180, 255]
    clip = of_pictures(
        [np.full((height, width, 3), v, np.uint8) for v in levels]
    ).clip()

    (path,) = clip.write(tmp_path / f"a{suffix}")

    found = [int(frame[0, 0, 1]) for frame in frames_of(path)]
    assert found == pytest.approx(levels, abs=3)


@pytest.mark.parametrize("suffix", [*VIDEOS, ".npz"])
def test_equal_frames_are_as_many_as_they_were(tmp_path, suffix):
    clip = of_pictures([np.full((48, 64, 3), 77, np.uint8)] * 40).clip()

    (path,) = clip.write(tmp_path / f"a{suffix}")

    levels = [int(frame.mean()) for frame in frames_of(path)]
    assert levels == pytest.approx([77] * 40, abs=2)


@pytest.mark.parametrize("suffix", VIDEOS)
def test_frames_of_noise_are_told_from_each_other(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)

    (path,) = of_pictures(noise).clip().write(tmp_path / f"a{suffix}")

    gray = noise.mean(axis=3)
    for number, frame in enumerate(frames_of(path)):
        errors = ((frame.mean(axis=2) - gray) ** 2).mean(axis=(1, 2))
        assert errors.argmin() == number


def test_what_was_drawn_onto_a_margin_is_gone_in_the_next_frame(monkeypatch):
    monkeypatch.setattr("rollout_viewer._export.selection._LARGE_BYTES", 1000)
    cache = FrameCache()
    for _ in range(3):
        cache.append([np.ones((40, 40, 3), np.uint8), np.ones((8, 8, 3), np.uint8)])

    for frame in cache.clip().frames(copy=False):
        assert not frame[0, 40:].any()
        frame[0] = 200  # as a label does


@pytest.mark.parametrize("suffix", VIDEOS)
def test_grids_that_are_drawn_tile_by_tile_are_the_same(tmp_path, suffix, monkeypatch):
    cache = counting_recording(12, num_envs=5)
    expected = np.stack(list(cache.clip().frames()))

    monkeypatch.setattr("rollout_viewer._export.selection._LARGE_BYTES", 1000)
    drawn = np.stack(list(cache.clip().frames()))
    (path,) = cache.clip().write(tmp_path / f"a{suffix}")

    assert np.array_equal(drawn, expected)
    for row, frame in enumerate(frames_of(path)):
        corners = [(0, 0), (0, 64), (0, 128), (48, 0), (48, 64)]
        read = [read_row(frame[y : y + 48, x : x + 64]) for y, x in corners]
        assert read == [100 * env + row for env in range(5)]
