import csv

import numpy as np
import pytest

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import ExportTooLargeError, RowError
from rollout_viewer._frames.grid import missing_picture
from rollout_viewer.testing import counting_frame, counting_recording, read_row


def numbers(frames, count=1):
    """Read the numbers of `count` tiles in a row of each frame."""
    return [
        [read_row(frame[:48, 64 * i : 64 * (i + 1)]) for i in range(count)]
        for frame in frames
    ]


# -- pictures


def test_frames_are_the_rows_in_order():
    cache = counting_recording(100)

    assert numbers(cache.clip().frames()) == [[row] for row in range(100)]
    assert numbers(cache.clip(33, 70).frames()) == [[row] for row in range(33, 70)]


def test_frames_are_bit_for_bit_what_was_recorded():
    cache = FrameCache()
    pictures = np.random.default_rng(0).integers(0, 256, (70, 1, 20, 30, 3), np.uint8)
    for picture in pictures:
        cache.append(picture)

    assert np.array_equal(np.stack(list(cache.clip().frames())), pictures[:, 0])


def test_grid_has_the_root_of_the_number_of_envs_as_columns_row_by_row():
    clip = counting_recording(3, num_envs=5).clip()

    frames = list(clip.frames())

    assert clip.frame_size == (96, 192)
    assert {frame.shape for frame in frames} == {(96, 192, 3)}
    assert numbers(frames, 3) == [[row, 100 + row, 200 + row] for row in range(3)]
    below = [frame[48:] for frame in frames]
    assert numbers(below, 2) == [[300 + row, 400 + row] for row in range(3)]
    assert all(not frame[48:, 128:].any() for frame in frames)


def test_envs_stand_in_the_order_in_which_they_were_chosen():
    clip = counting_recording(2, num_envs=4).clip(envs=[3, 1])

    assert numbers(clip.frames(), 2) == [[300, 100], [301, 101]]


def test_frames_belong_to_the_caller_unless_copy_is_false():
    clip = counting_recording(50, num_envs=2).clip()

    kept = list(clip.frames())
    reused = {id(frame.base if frame.base is not None else frame) for frame in kept}
    passing = [read_row(frame[:, :64]) for frame in clip.frames(copy=False)]

    assert len(reused) == 50
    assert numbers(kept, 2) == [[row, 100 + row] for row in range(50)]
    assert passing == list(range(50))


def test_tiles_are_the_envs_of_each_row():
    tiles = list(counting_recording(40, num_envs=3).clip(30).tiles())

    assert [one.shape for one in tiles] == [(3, 48, 64, 3)] * 10
    assert [[read_row(tile) for tile in one] for one in tiles] == [
        [row, 100 + row, 200 + row] for row in range(30, 40)
    ]


def test_smaller_envs_stand_in_the_middle_of_the_largest_cell():
    cache = FrameCache()
    large, small = (
        np.full((20, 30, 3), 200, np.uint8),
        np.full((10, 10, 3), 99, np.uint8),
    )
    cache.append([large, small])
    clip = cache.clip()

    (frame,), (tiles,) = clip.frames(), clip.tiles()

    assert frame.shape == (20, 60, 3)
    assert np.array_equal(frame[:, :30], large)
    assert np.array_equal(frame[5:15, 40:50], small)
    assert frame[:, 30:].sum() == small.sum()
    assert np.array_equal(np.hstack(list(tiles)), frame)


def test_a_missing_picture_is_hatched_and_not_another_one():
    cache = FrameCache()
    cache.append(np.full((2, 16, 16, 3), 9, np.uint8))
    cache.append(
        [np.full((16, 16, 3), 9, np.uint8), None],
        reward=[1.0, 1.0],
        kind=["step", "terminal_missing"],
    )

    _, frame = cache.clip().frames()

    assert (frame[:, :16] == 9).all()
    assert np.array_equal(frame[:, 16:], missing_picture(16, 16))


def test_a_row_in_which_all_pictures_are_missing_keeps_its_size():
    cache = FrameCache()
    cache.append([np.zeros((20, 30, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)])
    cache.append([None, None], reward=[0.0, 0.0], kind=["terminal_missing"] * 2)

    assert [frame.shape for frame in cache.clip().frames()] == [(20, 60, 3)] * 2


def test_one_picture_of_all_envs_is_one_tile_and_the_table_has_all_envs():
    cache = FrameCache()
    for row in range(3):
        cache.append(counting_frame(row), reward=np.arange(4.0))
    clip = cache.clip()

    assert numbers(clip.frames()) == [[0], [1], [2]]
    assert clip.envs == (0, 1, 2, 3)
    assert clip.tile_envs == (0,)
    assert len(clip.table()["row"]) == 12
    assert numbers(cache.clip(envs=[2]).frames()) == [[0], [1], [2]]


def test_cameras_are_told_apart():
    cache = FrameCache()
    cache.append({"front": counting_frame(1)[None], "top": counting_frame(2)[None]})

    assert numbers(cache.clip().frames()) == [[1]]
    assert numbers(cache.clip(camera="top").frames()) == [[2]]


def test_a_clip_reads_no_more_than_a_window_at_once(monkeypatch):
    cache = counting_recording(100)
    asked = []
    read = cache.frames

    def frames(rows, *args):
        asked.append(list(rows))
        return read(rows, *args)

    monkeypatch.setattr(cache, "frames", frames)

    next(cache.clip().frames())
    assert asked == [list(range(32))]

    asked.clear()
    assert len(list(cache.clip().frames())) == 100
    assert sum(map(len, asked)) == 100


def test_a_clip_stays_what_it_was_while_recording_goes_on():
    cache = counting_recording(3)
    clip = cache.clip()

    cache.append(counting_frame(3)[None], reward=[0.0])

    assert numbers(clip.frames()) == [[0], [1], [2]]
    with pytest.raises(AttributeError):
        clip.stop = 4  # type: ignore[misc] # it is refused


def test_tensor_is_one_video_channels_first():
    pytest.importorskip("torch", reason="a tensor is what it makes")
    clip = counting_recording(5, num_envs=2).clip()

    video = clip.to_tensor()

    assert video.shape == (1, 5, 3, 48, 128)
    assert str(video.dtype) == "torch.uint8"
    frames = video[0].permute(0, 2, 3, 1).numpy()
    assert np.array_equal(frames, np.stack(list(clip.frames())))


def test_a_tensor_that_would_be_too_large_is_refused_with_the_remedy():
    pytest.importorskip("torch", reason="a tensor is what it makes")
    clip = counting_recording(5).clip()

    with pytest.raises(ExportTooLargeError, match=r"expected at most 1e-05 GB.*\.mp4"):
        clip.to_tensor(max_bytes=10_000)


# -- what is not there


@pytest.mark.parametrize(
    "chosen",
    [
        {"start": 3, "stop": 3},
        {"start": 4, "stop": 2},
        {"start": 0, "stop": 6},
        {"start": -1, "stop": 2},
        {"envs": [0, 2]},
        {"envs": [-1]},
        {"envs": []},
        {"envs": [1, 1]},
        {"camera": "top"},
    ],
)
def test_rows_envs_and_cameras_that_are_not_there_are_told(chosen):
    cache = counting_recording(5, num_envs=2)

    with pytest.raises(RowError, match=r"Clip: expected .*, got "):
        Clip(cache, **chosen)


def test_an_empty_recording_has_no_clip():
    with pytest.raises(RowError, match=r"start < stop <= 0 .* Record first"):
        FrameCache().clip()


def test_a_clip_without_pictures_says_so_and_has_a_table():
    cache = FrameCache()
    cache.append(None, reward=[1.0, 2.0])
    clip = cache.clip()

    with pytest.raises(RowError, match="expected an env with pictures"):
        next(clip.frames())
    assert clip.table()["reward"].tolist() == [1.0, 2.0]


# -- the table


def test_table_has_a_line_for_each_row_and_env():
    nan = np.nan
    cache = FrameCache()
    cache.append(
        np.zeros((2, 4, 4, 3), np.uint8),
        reset=[True, True],
        data={"x": [[1, 2], [3, 4]]},
    )
    steps = [
        # kinds of both envs, rewards, terminated, actions
        (("step", "step"), (1.0, 2.0), (True, False), (5, 6)),
        (("reset", "idle"), (nan, nan), (False, False), (7, 8)),
        (("step", "step"), (3.0, 4.0), (False, False), (9, 10)),
    ]
    for kind, reward, terminated, action in steps:
        cache.append(
            np.zeros((2, 4, 4, 3), np.uint8),
            kind=list(kind),
            reward=list(reward),
            terminated=list(terminated),
            action=list(action),
        )

    table = cache.clip().table()

    lines = list(zip(*(column.tolist() for column in table.values()), strict=True))
    assert list(table) == [
        *("row", "env", "kind", "episode", "episode_step", "reward", "total_reward"),
        *("terminated", "truncated", "action", "x.0", "x.1"),
    ]
    expected = [
        # the action of an idle row is the one chosen at the same frame before it
        (0, 0, "reset", 0, 0, nan, 0.0, False, False, 5.0, 1.0, 2.0),
        (0, 1, "reset", 0, 0, nan, 0.0, False, False, 6.0, 3.0, 4.0),
        (1, 0, "step", 0, 1, 1.0, 1.0, True, False, nan, nan, nan),
        (1, 1, "step", 0, 1, 2.0, 2.0, False, False, 10.0, nan, nan),
        (2, 0, "reset", 1, 0, nan, 0.0, False, False, 9.0, nan, nan),
        (2, 1, "idle", 0, 1, nan, 2.0, False, False, 10.0, nan, nan),
        (3, 0, "step", 1, 1, 3.0, 3.0, False, False, nan, nan, nan),
        (3, 1, "step", 0, 2, 4.0, 6.0, False, False, nan, nan, nan),
    ]
    assert [[str(x) for x in line] for line in lines] == [
        [str(x) for x in line] for line in expected
    ]


def test_table_says_what_at_says():
    rng = np.random.default_rng(0)
    cache = FrameCache()
    kinds = ["step"] * 6 + ["idle", "reset", "terminal_missing"]
    for row in range(90):
        kind = rng.choice(kinds, 3).tolist() if row else ["reset"] * 3
        cache.append(
            np.zeros((3, 4, 4, 3), np.uint8),
            kind=kind,
            reward=rng.random(3),
            action=rng.integers(0, 9, (3, 2)),
            data={"value": rng.random(3)} if row % 3 else None,
        )
    clip = cache.clip(7, 80, envs=[2, 0])

    table = clip.table()

    for line, (row, env) in enumerate(zip(table["row"], table["env"], strict=True)):
        moment = cache.at(int(row), int(env))
        assert table["kind"][line] == moment.kind
        assert table["episode"][line] == moment.episode
        assert table["episode_step"][line] == moment.episode_step
        for name in ("reward", "total_reward"):
            assert table[name][line] == pytest.approx(moment[name], nan_ok=True)
        action = moment.action if moment.action is not None else [np.nan, np.nan]
        found = [table["action.0"][line], table["action.1"][line]]
        assert found == pytest.approx(list(action), nan_ok=True)
        value = moment.get("value")
        value = np.nan if value is None else value
        assert table["value"][line] == pytest.approx(value, nan_ok=True)


def test_long_arrays_are_no_columns():
    cache = FrameCache()
    cache.append(None, reset=[True], data={"obs": np.zeros((1, 33)), "v": [1.0]})

    assert list(cache.clip().table())[-1] == "v"


def test_data_called_like_a_column_stands_beside_it():
    cache = FrameCache()
    named = ("reward", "row", "action.0", "frames")
    for row in range(3):
        data = {name: np.full(2, 90.0 + row) for name in named}
        cache.append(
            None,
            reward=[1.0, 2.0],
            action=np.zeros((2, 2)),
            kind=["step"] * 2,
            data=data,
        )

    table = cache.clip().table()

    assert table["reward"].tolist() == [1.0, 2.0] * 3
    assert table["row"].tolist() == [0, 0, 1, 1, 2, 2]
    for name in named:
        assert table[f"data.{name}"].tolist() == [90, 90, 91, 91, 92, 92]
    assert "frames" not in table


def test_the_table_has_all_envs_where_only_some_have_pictures():
    cache = FrameCache()
    for row in range(3):
        cache.append(counting_frame(row)[None], envs=[1], reward=np.arange(4.0))

    clip = cache.clip()

    assert clip.envs == (0, 1, 2, 3)
    assert clip.tile_envs == clip.shown_envs == (1,)
    assert clip.table()["env"].tolist() == [0, 1, 2, 3] * 3
    assert cache.clip(envs=[1]).table()["env"].tolist() == [1] * 3
    assert numbers(clip.frames()) == [[0], [1], [2]]
    (label,) = clip.figure([1]).axes[0].get_xticklabels()
    assert "mean" not in label.get_text()


def test_an_array_that_changed_its_shape_has_what_fits():
    cache = FrameCache()
    for row, size in enumerate((2, 3, 2)):
        cache.append(None, reset=[row == 0], data={"x": np.full((1, size), float(row))})

    table = cache.clip().table()

    assert [str(x) for x in table["x.1"]] == ["0.0", "nan", "2.0"]


# -- leaving


def test_episode_clips_are_the_rows_of_the_episode(tmp_path):
    cache = FrameCache()
    for row in range(6):
        cache.append(
            counting_frame(row)[None],
            reset=[row in (0, 3)],
            reward=[1.0],
            terminated=[row in (2, 5)],
        )

    assert numbers(cache.clip(episode=(0, 1)).frames()) == [[3], [4], [5]]
    assert len(cache.clip(episode=cache.episodes[0])) == 3


def test_write_and_dump_are_handed_to_export(tmp_path):
    clip = counting_recording(3).clip()

    (path,) = clip.write(tmp_path / "a.csv")

    with path.open(newline="") as file:
        assert [line["row"] for line in csv.DictReader(file)] == ["0", "1", "2"]


def test_figure_is_a_strip_with_step_and_reward_under_each_frame(tmp_path):
    clip = counting_recording(30, num_envs=2).clip(envs=[1])

    figure = clip.figure(n=4)

    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == [
        *("step 0", "step 10\nreward 1", "step 19\nreward 1", "step 29\nreward 1")
    ]
    strip = axes.images[0].get_array()
    assert strip is not None
    assert read_row(np.asarray(strip)[:, :64]) == 100
    assert read_row(np.asarray(strip)[:, -64:]) == 129
    figure.savefig(tmp_path / "strip.pdf")


def test_figure_shows_chosen_rows_in_given_axes():
    from matplotlib.figure import Figure

    clip = counting_recording(30, num_envs=2).clip(5, 10)
    mine = Figure()
    axes = mine.subplots()

    assert clip.figure([5, 9], ax=axes) is mine
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["row 5\nmean return 2.5", "row 9\nmean return 4.5"]
    with pytest.raises(RowError, match=r"rows in 5..9, got \[4\]"):
        clip.figure([4])


def test_repr_tells_what_is_selected():
    cache = counting_recording(30, num_envs=2)

    assert repr(cache.clip(5, 10)).startswith("<Clip of rows 5..9, 2 envs, ")


@pytest.mark.parametrize("episode", [9, "first", [9], (0, 1.5)])
def test_what_is_no_episode_is_refused_with_what_to_pass(episode):
    cache = counting_recording(1)

    for call in (
        lambda: cache.clip(episode=episode),
        lambda: cache.label(episode, "best"),
        lambda: cache.mark_success(episode, success=True),
    ):
        with pytest.raises(TypeError, match=r"expected an Episode or \(env, index\)"):
            call()
