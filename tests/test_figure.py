import numpy as np
import pytest

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import RowError
from rollout_viewer._export.figure import exposed
from rollout_viewer.testing import counting_frame, counting_recording, read_row


def image_of(axes):
    return np.asarray(axes.images[0].get_array())


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
@pytest.mark.parametrize("kind", ["strip", "overlay", "return"])
def test_every_kind_is_saved_in_every_format(tmp_path, kind, suffix):
    figure = counting_recording(20, num_envs=2).clip().figure(n=3, kind=kind)

    figure.savefig(tmp_path / f"a.{suffix}")

    assert (tmp_path / f"a.{suffix}").stat().st_size > 1000


def test_what_moves_is_exposed_once_for_each_frame_the_later_the_stronger():
    frames = []
    for number in range(4):
        frame = np.full((20, 80, 3), 255, np.uint8)
        frame[5:10, 20 * number : 20 * number + 10] = 0
        frames.append(frame)

    picture = exposed(frames)

    levels = [int(picture[7, 20 * number + 5, 0]) for number in range(4)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] < 200
    assert levels[-1] == 0
    assert (picture[:5] == 255).all()
    assert (picture[:, 10:20] == 255).all()


def test_what_stands_in_one_place_most_of_the_time_is_no_background():
    frames = np.full((5, 20, 40, 3), 255, np.uint8)
    frames[:4, 5:10, 5:10] = 0  # four of five: the median
    frames[4, 5:10, 30:35] = 0

    picture = exposed(list(frames))

    assert picture[7, 7, 0] < 100
    assert picture[7, 32, 0] == 0
    assert picture[0, 0, 0] == 255


def test_one_frame_is_exposed_as_it_is():
    frame = counting_frame(3)

    assert np.array_equal(exposed([frame]), frame)


def test_an_overlay_says_from_where_to_where():
    figure = counting_recording(30).clip(5, 25).figure(kind="overlay", n=4)

    (axes,) = figure.axes
    assert axes.get_xlabel() == "step 5 to step 24"
    assert image_of(axes).shape == (48, 64, 3)


def test_a_return_curve_has_a_line_for_each_env_and_its_frames_above():
    cache = counting_recording(30, num_envs=3)

    figure = cache.clip(10, 30, envs=[0, 2]).figure([10, 29], kind="return")

    curve = figure.axes[0]
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in curve.lines}
    assert lines["env 2"][-1] == 2 * 29
    assert list(lines["env 0"]) == [0] * 20
    thumbnails = [image_of(axes) for axes in curve.child_axes]
    read = [[read_row(t), read_row(t[:, 64:])] for t in thumbnails]
    assert read == [[10, 210], [29, 229]]


def test_a_curve_stays_below_its_frames():
    figure = counting_recording(30, num_envs=2).clip().figure(kind="return")
    figure.canvas.draw()

    curve = figure.axes[0]
    lowest = min(axes.get_window_extent().y0 for axes in curve.child_axes)
    highest = curve.transData.transform((0, 29))[1]
    assert highest < lowest


def test_a_return_without_any_reward_is_drawn():
    cache = FrameCache()
    for row in range(3):
        cache.append(counting_frame(row)[None], kind="idle")

    cache.clip().figure(kind="return").canvas.draw()


def test_figures_are_drawn_into_given_axes():
    from matplotlib.figure import Figure

    mine = Figure()
    above, below = mine.subplots(2)
    clip = counting_recording(9).clip()

    assert clip.figure(ax=above) is mine
    assert clip.figure(ax=below, kind="overlay") is mine
    assert len(above.images) == len(below.images) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kind": "film"}, ValueError, r"\('strip', 'overlay', 'return'\), got 'film'"),
        ({"n": 0}, ValueError, "expected n >= 1 frames, got 0"),
        ({"rows": []}, RowError, r"rows in 0..8, got \[\]"),
        ({"rows": [9], "kind": "overlay"}, RowError, r"rows in 0..8, got \[9\]"),
    ],
)
def test_what_cannot_be_drawn_is_told(arguments, error, message):
    with pytest.raises(error, match=message):
        counting_recording(9).clip().figure(**arguments)


def test_a_notebook_shows_a_figure_that_is_the_last_of_a_cell():
    formatters = pytest.importorskip("IPython.core.formatters", reason="in notebooks")
    figure = counting_recording(4).clip().figure(n=2)

    shown, _ = formatters.DisplayFormatter().format(figure)

    assert shown["image/png"][:4] == b"\x89PNG"
