import pathlib
import threading
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from rollout_viewer._errors import ExportError, FrameError, RolloutViewerWarning
from rollout_viewer._video import (
    VideoFile,
    VideoWriter,
    frame_rate,
    read_video,
    write_gif,
)
from rollout_viewer.testing import counting_frame, read_row


def write(path, frames, fps=30.0, **options):
    frames = list(frames)
    height, width = frames[0].shape[:2]
    with VideoWriter(path, width, height, fps, **options) as video:
        for frame in frames:
            video.write(frame)
    return video.path


def numbers(path, height=48, width=64):
    return [read_row(frame, height=height, width=width) for frame in read_video(path)]


def psnr(a, b):
    error = ((a.astype(float) - b) ** 2).mean()
    return np.inf if not error else 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("count", [1, 2, 30, 299, 300])
@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_frame_n_of_the_video_is_frame_n_of_what_was_written(tmp_path, suffix, count):
    path = write(tmp_path / f"a.{suffix}", map(counting_frame, range(count)))

    assert numbers(path) == list(range(count))


@pytest.mark.parametrize("fps", [24, 30, 50, 60, 0.5, 29.97, 30000 / 1001, 15.4])
def test_frames_are_shown_at_their_number_over_the_frame_rate(tmp_path, fps):
    path = write(tmp_path / "a.mp4", map(counting_frame, range(30)), fps)

    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        times = [frame.pts * stream.time_base for frame in container.decode(stream)]
        assert stream.average_rate == frame_rate(fps)
        assert stream.duration * stream.time_base == 30 / frame_rate(fps)
    assert times == [number / frame_rate(fps) for number in range(30)]
    assert numbers(path) == list(range(30))


def test_one_frame_has_a_duration(tmp_path):
    path = write(tmp_path / "a.mp4", map(counting_frame, range(1)), 10)

    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        assert stream.duration * stream.time_base == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("height", "width"), [(49, 65), (48, 65), (49, 64), (1080, 1919), (210, 160)]
)
def test_odd_sizes_are_padded_to_even_by_repeating_the_edge(tmp_path, height, width):
    noise = np.random.default_rng(0).integers(0, 4, (height, width, 1), np.uint8) * 60
    frame = np.repeat(noise.astype(np.uint8), 3, axis=2)

    path = write(tmp_path / "a.mp4", [frame], options={"crf": 1})

    (back,) = read_video(path)
    assert back.shape == (height + height % 2, width + width % 2, 3)
    assert psnr(back[:height, :width], frame) > 40
    if width % 2:
        assert psnr(back[:height, -1], frame[:, -1]) > 40


@pytest.mark.parametrize("quality", ["normal", "high", "lossless"])
@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_a_single_pixel_is_a_video(tmp_path, suffix, quality):
    frames = [np.full((1, 1, 3), level, np.uint8) for level in (0, 128, 255)]

    path = write(tmp_path / f"a.{suffix}", frames, quality=quality)

    levels = [int(frame[0, 0, 1]) for frame in read_video(path)]
    assert levels == pytest.approx([0, 128, 255], abs=3)


@pytest.mark.parametrize("quality", ["normal", "high"])
@pytest.mark.parametrize("suffix", ["mp4", "webm"])
@pytest.mark.parametrize(
    "color", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (200, 30, 60), (20, 90, 220)]
)
def test_plain_colors_come_back_within_rounding(tmp_path, suffix, quality, color):
    frame = np.full((64, 64, 3), color, np.uint8)

    path = write(tmp_path / f"a.{suffix}", [frame] * 3, quality=quality)

    for back in read_video(path):
        assert np.abs(back.astype(int) - frame).max() <= 3


@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_lossless_is_exact_even_for_noise_and_odd_sizes(tmp_path, suffix):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (5, 49, 65, 3), np.uint8)

    path = write(tmp_path / f"a.{suffix}", frames, quality="lossless")

    assert np.array_equal(np.stack(list(read_video(path))), frames)


def test_noise_is_recognizable_and_every_frame_of_it_is_there(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (30, 64, 64, 3), np.uint8)

    normal = np.stack(list(read_video(write(tmp_path / "a.mp4", frames))))
    high = np.stack(list(read_video(write(tmp_path / "b.mp4", frames, quality="high"))))

    assert normal.shape == high.shape == frames.shape
    assert psnr(high, frames) > 25
    gray, back = frames.mean(axis=3), normal.mean(axis=3)
    for index in range(30):
        errors = ((back[index] - gray) ** 2).mean(axis=(1, 2))
        assert errors.argmin() == index


def test_mp4_says_how_its_colors_are_to_be_read_and_plays_everywhere(tmp_path):
    path = write(
        tmp_path / "a.mp4", map(counting_frame, range(3)), metadata={"title": "poles"}
    )

    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert context.color_range == 1  # limited
        assert context.colorspace == context.color_primaries == context.color_trc == 1
        assert container.metadata["title"] == "poles"
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat"), "the index is in front"


def test_the_encoder_takes_options_and_another_codec(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), np.uint8)

    fine = write(tmp_path / "fine.mp4", noise, options={"crf": 5, "preset": "fast"})
    coarse = write(tmp_path / "coarse.mp4", noise, options={"crf": 40})
    other = write(tmp_path / "other.mp4", noise, options={"codec": "mpeg4"})

    assert fine.stat().st_size > 2 * coarse.stat().st_size
    with av.open(str(other)) as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"


def test_what_players_do_not_take_is_reduced_by_an_integer_and_said(tmp_path):
    frame = np.zeros((64, 4100, 3), np.uint8)
    frame[:, 2050:] = 200

    with pytest.warns(RolloutViewerWarning, match=r"4100x64 pixels .* 2 times smaller"):
        path = write(tmp_path / "a.mp4", [frame])

    (back,) = read_video(path)
    assert back.shape == (32, 2050, 3)
    assert back[:, :1020].max() < 5
    assert back[:, 1030:].min() > 195


def test_the_writer_lets_frames_be_reused(tmp_path):
    frame = np.empty((48, 64, 3), np.uint8)

    for quality in ("normal", "lossless"):
        with VideoWriter(tmp_path / f"{quality}.mp4", 64, 48, quality=quality) as video:
            for number in range(40):
                frame[...] = counting_frame(number)
                video.write(frame)

        assert numbers(video.path) == list(range(40))


def test_views_with_strange_strides_are_taken(tmp_path):
    turned = counting_frame(5)[::-1, ::-1]

    path = write(tmp_path / "a.mp4", [turned[::-1, ::-1], turned])

    first, second = read_video(path)
    assert read_row(first) == read_row(second[::-1, ::-1]) == 5


def test_the_file_appears_only_when_it_is_whole(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 64, 48) as video:
        video.write(counting_frame(0))
        assert not (tmp_path / "a.mp4").exists()

    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_an_error_in_the_middle_leaves_nothing(tmp_path):
    def interrupted():
        yield counting_frame(0)
        yield counting_frame(1)
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        VideoWriter(tmp_path / "a.mp4", 64, 48) as video,
    ):
        for frame in interrupted():
            video.write(frame)

    assert list(tmp_path.iterdir()) == []


def test_discard_leaves_nothing_and_close_after_it_is_safe(tmp_path):
    video = VideoWriter(tmp_path / "a.mp4", 64, 48)
    video.write(counting_frame(0))

    video.discard()
    video.close()

    assert list(tmp_path.iterdir()) == []


def test_closing_twice_is_safe_and_writing_after_it_raises(tmp_path):
    video = VideoWriter(tmp_path / "a.mp4", 64, 48)
    video.write(counting_frame(0))
    video.close()
    video.close()

    with pytest.raises(ExportError, match="one that is closed"):
        video.write(counting_frame(1))
    assert numbers(tmp_path / "a.mp4") == [0]


def test_a_name_that_is_taken_gets_a_number_unless_overwrite(tmp_path):
    paths = [
        write(tmp_path / "a.mp4", map(counting_frame, range(n))) for n in (1, 2, 3)
    ]
    again = write(tmp_path / "a.mp4", map(counting_frame, range(4)), overwrite=True)

    assert [path.name for path in paths] == ["a.mp4", "a-1.mp4", "a-2.mp4"]
    assert again == paths[0]
    assert [len(numbers(path)) for path in paths] == [4, 2, 3]


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 64, 48) as video:
        video.write(counting_frame(0))
        (tmp_path / "a.mp4").write_text("of another program")

    assert video.path == tmp_path / "a-1.mp4"
    assert (tmp_path / "a.mp4").read_text() == "of another program"


def test_frames_of_another_size_or_dtype_are_refused(tmp_path):
    with (
        pytest.raises(FrameError, match=r"expected frames of shape \(48, 64, 3\)"),
        VideoWriter(tmp_path / "a.mp4", 64, 48) as video,
    ):
        video.write(np.zeros((48, 65, 3), np.uint8))

    with (
        pytest.raises(FrameError, match="float64"),
        VideoWriter(tmp_path / "a.mp4", 64, 48) as video,
    ):
        video.write(np.zeros((48, 64, 3)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "a.avi"}, r"ending in .mp4 or .webm, got 'a.avi'"),
        ({"fps": 0}, "got 0"),
        ({"fps": float("nan")}, "got nan"),
        ({"fps": "fast"}, "got 'fast'"),
        ({"width": 0}, "got 0x48"),
        ({"quality": "best"}, "got 'best'"),
    ],
)
def test_bad_arguments_raise_before_anything_is_written(tmp_path, arguments, message):
    given: dict[str, Any] = {"path": "a.mp4", "width": 64, "height": 48, **arguments}

    with pytest.raises(ValueError, match=message):
        VideoWriter(**given)

    assert list(tmp_path.iterdir()) == []


def test_no_frame_at_all_is_an_error_and_no_file(tmp_path):
    with (
        pytest.raises(ExportError, match="at least one frame"),
        VideoWriter(tmp_path / "a.mp4", 64, 48),
    ):
        pass
    with pytest.raises(ExportError, match="at least one frame"):
        write_gif(tmp_path / "a.gif", list)

    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ExportError, match=r"expected to be able to write '.*a\.mp4'"):
        VideoWriter(tmp_path / "file" / "a.mp4", 64, 48)


@pytest.mark.parametrize("options", [{"codec": "none"}, {"pixel_format": "none"}])
def test_a_codec_that_is_not_known_raises_and_leaves_nothing(tmp_path, options):
    with pytest.raises(ValueError, match=r"that ffmpeg knows, got .*'none'"):
        VideoWriter(tmp_path / "a.mp4", 64, 48, options=options)

    assert list(tmp_path.iterdir()) == []


def test_an_option_that_the_encoder_refuses_leaves_nothing(tmp_path):
    with (
        pytest.raises(ExportError, match="expected ffmpeg to process the video"),
        VideoWriter(tmp_path / "a.mp4", 64, 48, options={"preset": "best"}) as video,
    ):
        video.write(counting_frame(0))

    assert list(tmp_path.iterdir()) == []


def test_two_writers_in_two_threads_do_not_disturb_each_other(tmp_path):
    def work(name: str, first: int) -> None:
        write(tmp_path / name, (counting_frame(first + n) for n in range(30)))

    threads = [
        threading.Thread(target=work, args=(f"{first}.mp4", first))
        for first in (0, 100)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert numbers(tmp_path / "0.mp4") == list(range(30))
    assert numbers(tmp_path / "100.mp4") == list(range(100, 130))


# -- gif


@pytest.mark.parametrize("count", [1, 2, 30, 299])
def test_gif_keeps_every_frame_and_is_exact_up_to_256_colors(tmp_path, count):
    frames = [counting_frame(n, height=49, width=65) for n in range(count)]
    ramp = np.arange(249, dtype=np.uint8)
    for frame in frames:
        # 249 colors, and the two of the blocks.
        frame[:4].reshape(-1, 3)[: len(ramp)] = ramp[:, None] * np.array([1, 0, 0])

    path = write_gif(tmp_path / "a.gif", lambda: frames, 30)

    assert np.array_equal(np.stack(list(read_video(path))), frames)


def test_equal_frames_of_a_gif_are_not_merged(tmp_path):
    frames = [counting_frame(7)] * 10

    path = write_gif(tmp_path / "a.gif", lambda: frames, 20)

    assert numbers(path) == [7] * 10


@pytest.mark.parametrize("fps", [10, 24, 30, 50])
def test_gif_frames_are_shown_at_the_nearest_centisecond(tmp_path, fps):
    path = write_gif(tmp_path / "a.gif", lambda: map(counting_frame, range(20)), fps)

    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([n / fps for n in range(20)], abs=0.0051)
    assert np.diff(times).min() > 0.019


@pytest.mark.parametrize("fps", [7, 10, 24, 30, 50])
@pytest.mark.parametrize("num_colors", [2, 200])
def test_the_last_frame_of_a_gif_is_shown_as_long_as_the_others(
    tmp_path, fps, num_colors
):
    frames = [counting_frame(n) for n in range(3)]
    for n, frame in enumerate(frames):  # with 200 each, each has its own table
        frame[:4].reshape(-1, 3)[:num_colors, 0] = np.arange(num_colors)
        frame[:4, :, 1] = n

    path = write_gif(tmp_path / "a.gif", lambda: frames, fps)

    with Image.open(path) as gif:
        shown = [one.info["duration"] for one in ImageSequence.Iterator(gif)]
    assert shown == pytest.approx([1000 / fps] * 3, abs=10)
    assert sum(shown) == pytest.approx(3000 / fps, abs=5)


def test_gif_says_that_it_cannot_play_faster_than_50(tmp_path):
    with pytest.warns(RolloutViewerWarning, match="at most 50 frames a second, got 60"):
        path = write_gif(tmp_path / "a.gif", lambda: map(counting_frame, range(5)), 60)

    assert numbers(path) == list(range(5))


@pytest.mark.parametrize("colors", [200, 256, 257, 5000])
def test_large_gifs_are_looked_at_in_bands(tmp_path, monkeypatch, colors):
    rng = np.random.default_rng(0)
    palette = rng.integers(0, 256, (colors, 3), np.uint8)
    frames = palette[rng.integers(0, colors, (4, 50, 64))]
    frames[0].reshape(-1, 3)[: min(colors, 3200)] = palette[:3200]
    monkeypatch.setattr("rollout_viewer._video.gif_colors._BAND_PIXELS", 64 * 16)

    path = write_gif(tmp_path / "a.gif", lambda: frames, 20)

    back = np.stack(list(read_video(path)))
    assert back.shape == frames.shape
    error = np.abs(back.astype(int) - frames).mean()
    assert error == 0 if colors <= 256 else error < 16


def test_bands_make_the_same_gif(tmp_path, monkeypatch):
    frames = [counting_frame(n, height=50, width=64) for n in range(9)]
    whole = write_gif(tmp_path / "a.gif", lambda: frames)
    monkeypatch.setattr("rollout_viewer._video.gif_colors._BAND_PIXELS", 64 * 16)

    banded = write_gif(tmp_path / "b.gif", lambda: frames)

    assert whole.read_bytes() == banded.read_bytes()


def test_colors_that_become_too_many_in_the_middle_are_all_quantized(tmp_path):
    rng = np.random.default_rng(0)
    frames = [counting_frame(n) for n in range(20)]
    for frame in frames[12:]:
        frame[:2] = rng.integers(0, 256, (2, 64, 3))

    path = write_gif(tmp_path / "a.gif", lambda: frames)

    assert numbers(path) == list(range(20))


def few_colors(count, total, each=147, step=3):
    """Yield frames of `each` colours, which move on through `total` over time."""
    palette = np.random.default_rng(0).integers(0, 256, (total, 3), np.uint8)
    for number in range(count):
        colors = palette[(np.arange(each) + number * step) % total]
        frame = np.empty((64, 96, 3), np.uint8)
        frame[:] = colors[0]
        for k, color in enumerate(colors):
            top, left = k // 12 * 5 % 60, k % 12 * 8
            frame[top : top + 4, left : left + 7] = color
        yield frame


def decoded(path):
    """Return what three readers see."""
    import imageio.v3 as iio

    with Image.open(path) as image:
        pillow = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(image)]
    return [pillow, list(iio.imread(path, plugin="pyav")), list(read_video(path))]


@pytest.mark.parametrize("band_pixels", [500_000, 96 * 16])
@pytest.mark.parametrize("total", [192, 1000])
def test_gif_is_exact_where_each_frame_has_few_colors(
    tmp_path, monkeypatch, total, band_pixels
):
    monkeypatch.setattr("rollout_viewer._video.gif_colors._BAND_PIXELS", band_pixels)
    frames = list(few_colors(60, total))
    num_passes = 0

    def passes():
        nonlocal num_passes
        num_passes += 1
        return iter(frames)

    path = write_gif(tmp_path / "a.gif", passes, 25, comment="a")

    for found in decoded(path):
        assert np.array_equal(found, frames)
    assert num_passes == 1


@pytest.mark.parametrize("band_pixels", [500_000, 96 * 16])
@pytest.mark.parametrize("noisy", [range(5), range(20, 30), [0, 7, 8, 39], range(39)])
def test_frames_with_many_colors_leave_the_others_exact(
    tmp_path, monkeypatch, noisy, band_pixels
):
    monkeypatch.setattr("rollout_viewer._video.gif_colors._BAND_PIXELS", band_pixels)
    rng = np.random.default_rng(0)
    frames = list(few_colors(40, 1000))
    for number in noisy:
        frames[number] = rng.integers(0, 256, frames[0].shape, np.uint8)

    path = write_gif(tmp_path / "a.gif", lambda: iter(frames), 25)

    for found in decoded(path):
        assert len(found) == 40
        for number, (frame, back) in enumerate(zip(frames, found, strict=True)):
            if number in noisy:
                assert np.abs(back.astype(int) - frame).mean() < 40
            else:
                assert np.array_equal(frame, back)


def test_further_tables_make_a_gif_little_larger(tmp_path):
    frames = list(few_colors(60, 1000))
    exact = write_gif(tmp_path / "a.gif", lambda: iter(frames), 25)
    few = list(few_colors(60, 192))
    plain = write_gif(tmp_path / "b.gif", lambda: iter(few), 25)

    assert exact.stat().st_size < 1.4 * plain.stat().st_size


def test_a_comment_is_in_the_gif_and_changes_no_picture(tmp_path):
    frames = [counting_frame(n) for n in range(3)]
    text = "where it comes from, " * 30

    path = write_gif(tmp_path / "a.gif", lambda: frames, comment=text)

    assert numbers(path) == [0, 1, 2]
    with Image.open(path) as picture:
        assert picture.info["comment"] == text.encode()
        assert picture.n_frames == 3


# -- large frames


@pytest.mark.parametrize("quality", ["normal", "high"])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (51, 65)])
def test_frames_are_converted_in_bands_as_they_are_whole(
    tmp_path, monkeypatch, quality, height, width
):
    noise = np.random.default_rng(0).integers(0, 256, (6, height, width, 3), np.uint8)
    whole = write(tmp_path / "a.mp4", noise, quality=quality)
    monkeypatch.setattr("rollout_viewer._video.converter._BAND_BYTES", 10 * 3 * width)

    banded = write(tmp_path / "b.mp4", noise, quality=quality)

    for one, other, frame in zip(
        read_video(whole), read_video(banded), noise, strict=True
    ):
        assert other.shape == one.shape
        in_one, in_other = (psnr(x[:height, :width], frame) for x in (one, other))
        assert in_other == pytest.approx(in_one, abs=0.3)


def test_what_is_reduced_is_converted_in_bands_too(tmp_path, monkeypatch):
    frame = np.zeros((90, 4100, 3), np.uint8)
    frame[40:, 2050:] = 200
    monkeypatch.setattr("rollout_viewer._video.converter._BAND_BYTES", 100_000)

    with pytest.warns(RolloutViewerWarning, match="2 times smaller"):
        path = write(tmp_path / "a.mp4", [frame])

    (back,) = read_video(path)
    assert back.shape == (44, 2050, 3)
    assert back[22:, 1030:].min() > 195
    assert back[:18].max() < 5


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_large_pictures_come_back_whole(tmp_path, codec):
    frames = [counting_frame(n, height=1600, width=2400) for n in range(3)]

    path = write(tmp_path / "a.mp4", frames, options={"codec": codec})

    assert numbers(path, 1600, 2400) == [0, 1, 2]


# -- reading


def test_a_video_file_says_its_rate_and_length(tmp_path):
    path = write(tmp_path / "a.mp4", map(counting_frame, range(7)), 12.5)

    with VideoFile(path) as video:
        assert (video.fps, video.num_frames) == (12.5, 7)
        assert [read_row(frame) for frame in video] == list(range(7))


def test_read_video_names_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_text("no video at all")

    with pytest.raises(ExportError, match="read_video"):
        next(read_video(tmp_path / "a.mp4"))
    with pytest.raises(FileNotFoundError):
        next(read_video(pathlib.Path("nowhere.mp4")))
