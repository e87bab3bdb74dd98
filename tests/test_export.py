import csv
import json
import os
import sys
import threading
import zipfile

import av
import imageio.v3 as iio
import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch
from PIL import Image

import rollout_viewer as rv
from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    ExportTooLargeError,
    MissingDependencyError,
    RecordingError,
    RolloutViewerWarning,
    RowError,
)
from rollout_viewer._export import writers
from rollout_viewer._export.dump import dump_clip
from rollout_viewer._export.html import write_html
from rollout_viewer._export.write import write_clip
from rollout_viewer._frames.text import Lettering
from rollout_viewer._video import read_video
from rollout_viewer.testing import counting_frame, counting_recording, read_row

VIDEOS = [".mp4", ".webm", ".gif"]
STREAMED = [*VIDEOS, ".npz", ".pt", ".memmap", ".csv", ".parquet"]
TABLES = (".csv", ".parquet")


def numbers(path):
    return [read_row(frame) for frame in read_video(path)]


def table_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def break_row(cache, monkeypatch, broken):
    read = cache.frames

    def frames(rows, *args):
        if broken in rows:
            raise RecordingError("block 1: expected intact bytes.")
        return read(rows, *args)

    monkeypatch.setattr(cache, "frames", frames)


# -- every frame, once, in order


@pytest.mark.parametrize("count", [1, 2, 30, 299, 300])
@pytest.mark.parametrize("suffix", VIDEOS)
def test_frame_n_of_the_file_is_frame_n_of_the_clip(tmp_path, suffix, count):
    clip = counting_recording(count).clip()

    (path,) = clip.write(tmp_path / f"a{suffix}")

    assert numbers(path) == list(range(count))


def test_a_range_and_some_envs_are_written_as_their_grid(tmp_path):
    clip = counting_recording(50, num_envs=6).clip(20, 30, envs=[4, 2, 0])

    (path,) = clip.write(tmp_path / "a.mp4")

    frames = list(read_video(path))
    assert frames[0].shape == (96, 128, 3)
    corners = [(0, 0), (0, 64), (48, 0)]
    read = [[read_row(f[y : y + 48, x : x + 64]) for y, x in corners] for f in frames]
    assert read == [[400 + row, 200 + row, row] for row in range(20, 30)]


@pytest.mark.parametrize(
    ("arguments", "fps"),
    [
        ({}, 30),
        ({"fps": 12.5}, 12.5),
        ({"speed": 2}, 60),
        ({"fps": 10, "speed": 0.5}, 5),
    ],
)
def test_fps_is_the_argument_or_the_recordings_times_speed(tmp_path, arguments, fps):
    (path,) = counting_recording(5).clip().write(tmp_path / "a.mp4", **arguments)

    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate == fps
    assert numbers(path) == list(range(5))


def comment_of(path):
    """Return what a file says of where it comes from."""
    if path.suffix == ".parquet":
        return parquet.read_schema(path).metadata[b"rollout_viewer"]
    if path.suffix == ".png":
        return iio.immeta(path)["Comment"]
    if path.suffix == ".gif":
        with Image.open(path) as picture:
            return picture.info["comment"]
    with av.open(str(path)) as container:
        # webm's writer shouts
        tags = {name.lower(): text for name, text in container.metadata.items()}
        assert tags["title"] == path.stem
        return tags["comment"]


@pytest.mark.parametrize("suffix", [*VIDEOS, ".png", ".parquet"])
def test_the_file_tells_where_it_comes_from(tmp_path, suffix):
    cache = FrameCache(metadata={"env_id": "CartPole-v1", "seed": 7})
    for row in range(4):
        cache.append(
            counting_frame(row)[None],
            reset=[row == 0],
            reward=[1.5],
            terminated=[row == 2],
            episode_info={0: {"seed": 70}} if row == 0 else None,
        )

    (path,) = cache.clip(1, 3).write(tmp_path / f"best{suffix}")

    facts = json.loads(comment_of(path))
    assert facts["env_id"] == "CartPole-v1"
    assert facts["seed"] == 7
    assert facts["tag"] == "best"
    assert facts["rollout_viewer"] == rv.__version__
    assert facts["rows"] == [1, 3]
    assert facts["episodes"] == [
        {
            "env": 0,
            "index": 0,
            "seed": 70,
            "length": 2,
            "return": 3.0,
            "terminated": True,
            "truncated": False,
        }
    ]


def test_a_header_names_two_hundred_episodes_and_counts_the_rest(tmp_path):
    cache = FrameCache()
    for _ in range(300):
        cache.append(counting_frame(0)[None], reset=[True])
        cache.append(None, reward=[1.0])

    (path,) = cache.clip().write(tmp_path / "a.mp4")

    facts = json.loads(comment_of(path))
    assert facts["num_episodes"] == 300
    assert len(facts["episodes"]) == 200


def test_order_by_return_puts_the_best_env_first(tmp_path):
    clip = counting_recording(3, num_envs=4).clip()  # env i gets i in each step

    (path,) = clip.write(tmp_path / "a.mp4", order="return")

    first = next(read_video(path))
    assert read_row(first) == 300
    assert read_row(first[:, 64:]) == 200


def test_labels_stand_on_each_tile_and_nowhere_else(tmp_path):
    cache = FrameCache()
    for _ in range(3):
        cache.append(np.full((2, 100, 200, 3), 255, np.uint8), reward=[1.0, 2.0])
    asked = []

    def text(moment):
        asked.append((moment.row, moment.env))
        return "x"

    (plain,) = cache.clip().write(tmp_path / "a.npz", labels=True)
    cache.clip().write(tmp_path / "b.npz", labels=text)

    frames = np.load(plain)["frames"]
    for left in (0, 200):
        tile = frames[:, :, left : left + 200]
        assert tile[:, :15, :20].min() == 0
        assert tile[:, 30:].min() == 255
    assert asked == [(row, env) for row in range(3) for env in range(2)]
    assert all((frame == 255).all() for frame in cache.clip().frames())


# -- layouts


def test_tiles_are_a_file_for_each_env(tmp_path):
    clip = counting_recording(5, num_envs=3).clip(envs=[0, 2])

    paths = clip.write(tmp_path / "a.mp4", layout="tiles")

    assert [path.name for path in paths] == ["a_env0.mp4", "a_env2.mp4"]
    assert [numbers(path) for path in paths] == [
        [0, 1, 2, 3, 4],
        [200, 201, 202, 203, 204],
    ]


def test_episodes_are_a_file_each_cut_to_the_clip(tmp_path):
    cache = FrameCache()
    for row in range(9):
        cache.append(
            np.stack([counting_frame(row), counting_frame(100 + row)]),
            reset=[row in (0, 4), row == 0],
            reward=[1.0, 1.0],
            terminated=[row == 3, False],
        )

    paths = cache.clip(2, 8).write(tmp_path / "a.mp4", layout="episodes")

    assert {path.name: numbers(path) for path in paths} == {
        "a_ep0_env0.mp4": [2, 3],
        "a_ep1_env0.mp4": [4, 5, 6, 7],
        "a_ep0_env1.mp4": [102, 103, 104, 105, 106, 107],
    }


def test_tables_have_layouts_too(tmp_path):
    clip = counting_recording(5, num_envs=2).clip()

    paths = clip.write(tmp_path / "a.csv", layout="tiles")

    assert [[line["env"] for line in table_of(path)] for path in paths] == [
        ["0"] * 5,
        ["1"] * 5,
    ]


# -- other files


def pictures_of_one_in_three():
    cache = FrameCache()
    for row in range(4):
        cache.append(
            counting_frame(row)[None],
            envs=[1],
            reward=np.arange(3.0),
            reset=[row == 0] * 3,
        )
    return cache


def test_csv_has_the_envs_without_pictures_too(tmp_path):
    clip = pictures_of_one_in_three().clip()

    (path,) = clip.write(tmp_path / "a.csv")
    tables = clip.write(tmp_path / "a.csv", layout="tiles")
    episodes = clip.write(tmp_path / "a.csv", layout="episodes")

    assert [line["env"] for line in table_of(path)] == ["0", "1", "2"] * 4
    assert [name.name for name in tables] == [f"a_env{env}.csv" for env in range(3)]
    assert len(episodes) == 3


def test_videos_are_of_the_envs_with_pictures(tmp_path):
    clip = pictures_of_one_in_three().clip()

    for layout in ("grid", "tiles", "episodes"):
        (path,) = clip.write(tmp_path / "a.mp4", layout=layout, order="return")
        assert numbers(path) == [0, 1, 2, 3]


def test_a_page_of_envs_without_pictures_is_written(tmp_path):
    cache = pictures_of_one_in_three()

    (path,) = cache.clip(envs=[0]).write(tmp_path / "a.html")

    assert path.exists()


def test_csv_has_a_row_for_each_recorded_row_and_env(tmp_path):
    (path,) = counting_recording(600, num_envs=2).clip(1).write(tmp_path / "a.csv")

    lines = table_of(path)
    assert [(line["row"], line["env"]) for line in lines] == [
        (str(row), str(env)) for row in range(1, 600) for env in range(2)
    ]
    assert lines[5] == {
        "row": "3",
        "env": "1",
        "kind": "step",
        "episode": "0",
        "episode_step": "3",
        "reward": "1.0",
        "total_reward": "3.0",
        "terminated": "False",
        "truncated": "False",
        "action": "4",
    }
    assert lines[-1]["action"] == ""


def test_csv_leaves_out_what_is_none(tmp_path):
    (path,) = counting_recording(2).clip().write(tmp_path / "a.csv")

    assert table_of(path)[0]["reward"] == ""


def test_csv_of_a_recording_without_pictures(tmp_path):
    cache = FrameCache()
    cache.append(None, reward=[1.0, 2.0])

    (path,) = cache.clip().write(tmp_path / "a.csv")

    assert [line["reward"] for line in table_of(path)] == ["1.0", "2.0"]


def test_parquet_has_the_table_with_its_types(tmp_path):
    cache = FrameCache()
    for row in range(3):
        cache.append(
            None,
            reset=[row == 0] * 2,
            reward=[0.5, 1.5],
            terminated=[row == 2, False],
            action=np.array([row, 9]),
            data={"obs": np.ones((2, 2), np.float32)} if row else None,
        )

    (path,) = cache.clip().write(tmp_path / "a.parquet")

    table = parquet.read_table(path)
    types = {field.name: str(field.type) for field in table.schema}
    assert types["row"] == types["env"] == types["action"] == "int64"
    assert (types["kind"], types["terminated"]) == ("string", "bool")
    assert (types["reward"], types["obs.1"]) == ("double", "float")
    lines = table.to_pylist()
    assert [line["reward"] for line in lines] == [None, None, 0.5, 1.5, 0.5, 1.5]
    # the action of a row is the one chosen at it: nothing follows the last
    assert [line["action"] for line in lines] == [1, 9, 2, 9, None, None]
    assert [line["obs.0"] for line in lines] == [None, None, 1, 1, 1, 1]
    assert [line["kind"] for line in lines[::2]] == ["reset", "step", "step"]


def test_parquet_says_what_csv_says(tmp_path):
    clip = counting_recording(700, num_envs=3).clip(3)

    (lines,) = clip.write(tmp_path / "a.csv")
    (table,) = clip.write(tmp_path / "a.parquet")

    found = [
        {name: "" if value is None else str(value) for name, value in line.items()}
        for line in parquet.read_table(table).to_pylist()
    ]
    assert found == table_of(lines)


def test_a_long_parquet_file_is_written_in_groups(tmp_path, monkeypatch):
    monkeypatch.setattr("rollout_viewer._export.table_files._GROUP_LINES", 200)
    monkeypatch.setattr("rollout_viewer._export.table_files._WINDOW_ROWS", 50)

    (path,) = counting_recording(250, num_envs=2).clip().write(tmp_path / "a.parquet")

    file = parquet.ParquetFile(path)
    assert file.num_row_groups == 3
    assert file.read()["row"].to_pylist() == [row for row in range(250) for _ in (0, 1)]


def test_a_column_that_changes_its_type_is_told_and_not_truncated(tmp_path):
    cache = FrameCache()
    for value in (1, 2, 0.5):
        cache.append(None, reset=[False], data={"x": np.array([value])})

    with pytest.raises(ExportError, match="'x' to be int64 in all rows, .* got double"):
        cache.clip().write(tmp_path / "a.parquet")

    assert names(tmp_path) == []


@pytest.mark.parametrize("dtype", ["float16", "uint8", "int32", "uint64", "bool"])
def test_parquet_keeps_every_type_of_number(tmp_path, dtype):
    cache = FrameCache()
    for row in range(3):
        cache.append(None, reset=[row == 0], data={"x": np.array([row]).astype(dtype)})

    (path,) = cache.clip().write(tmp_path / "a.parquet")

    found = parquet.read_table(path)["x"].to_numpy()
    assert found.dtype == dtype
    assert found.tolist() == np.arange(3).astype(dtype).tolist()


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(MissingDependencyError, match=r"rollout-viewer\[parquet\]"):
        counting_recording(2).clip().write(tmp_path / "a.parquet")

    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", [".pt", ".npz"])
def test_what_is_loaded_whole_is_refused_above_a_size(tmp_path, monkeypatch, suffix):
    monkeypatch.setattr("rollout_viewer._export.writers.MAX_TENSOR_BYTES", 10_000)

    with pytest.raises(ExportTooLargeError, match=r"got .* GB \(3 frames of 64x48\)"):
        counting_recording(3).clip().write(tmp_path / f"a{suffix}")

    assert names(tmp_path) == []


def test_npz_has_the_frames_and_the_table(tmp_path):
    clip = counting_recording(40, num_envs=2).clip()

    (path,) = clip.write(tmp_path / "a.npz")

    with np.load(path) as arrays:
        assert np.array_equal(arrays["frames"], np.stack(list(clip.frames())))
        assert np.array_equal(arrays["row"], clip.table()["row"])
        assert arrays["kind"][0] == "reset"


def test_pt_and_memmap_hold_the_tensor_of_the_clip(tmp_path):
    clip = counting_recording(40, num_envs=2).clip()

    (saved,) = clip.write(tmp_path / "a.pt")
    (mapped,) = clip.write(tmp_path / "a.memmap")

    expected = clip.to_tensor()
    assert torch.equal(torch.load(saved), expected)
    assert mapped.read_bytes() == expected.numpy().tobytes()
    assert names(tmp_path) == ["a.memmap", "a.pt"]


def test_memmap_is_read_by_tensordict(tmp_path):
    tensordict = pytest.importorskip("tensordict", reason="reads memmaps")
    clip = counting_recording(5).clip()

    (path,) = clip.write(tmp_path / "a.memmap")

    expected = clip.to_tensor()
    found = tensordict.MemoryMappedTensor.from_filename(
        path, dtype=torch.uint8, shape=expected.shape
    )
    assert torch.equal(torch.as_tensor(found), expected)


def test_png_is_a_frame_or_a_strip(tmp_path):
    import imageio.v3 as iio

    cache = counting_recording(30)

    (one,) = cache.clip(7, 8).write(tmp_path / "one.png")
    (strip,) = cache.clip().write(tmp_path / "strip.png")

    assert np.array_equal(iio.imread(one), counting_frame(7))
    tiles = np.split(iio.imread(strip), 8, axis=1)
    assert [read_row(tile) for tile in tiles] == [0, 4, 8, 12, 17, 21, 25, 29]


def test_a_strip_of_a_large_grid_is_reduced_and_said(tmp_path):
    cache = FrameCache()
    for row in range(9):
        cache.append(np.full((4, 400, 600, 3), 20 * row, np.uint8))

    with pytest.warns(RolloutViewerWarning, match=r"7680000 pixels .* 2 times smaller"):
        (path,) = cache.clip().write(tmp_path / "a.png")
    (one,) = cache.clip(3, 4).write(tmp_path / "one.png")

    strip = iio.imread(path)
    assert strip.shape == (400, 8 * 600, 3)
    assert strip[0, 300::600, 0].tolist() == [0, 20, 40, 60, 100, 120, 140, 160]
    assert iio.imread(one).shape == (800, 1200, 3)


def test_a_contact_sheet_shows_an_episode_with_its_returns(tmp_path):
    cache = counting_recording(100, num_envs=2)

    paths = cache.clip().write(tmp_path / "a.png", layout="episodes")

    assert [path.name for path in paths] == ["a_ep0_env0.png", "a_ep0_env1.png"]
    sheet = iio.imread(paths[1])
    title = Lettering(10).draw("env 1  ep 0  99 steps  return 99  unfinished")
    caption = Lettering(10).draw("step 7  return 7")[:, :64]
    height, line = title.shape[0], caption.shape[0]
    assert sheet.shape == (height + 4 * (48 + line), max(4 * 64, title.shape[1]), 3)
    assert np.array_equal(sheet[:height, : title.shape[1]], title)
    tiles = [
        sheet[height + i * (48 + line) :, j * 64 : (j + 1) * 64]
        for i in range(4)
        for j in range(4)
    ]
    rows = [read_row(tile) - 100 for tile in tiles]
    assert rows == np.linspace(0, 99, 16).round().astype(int).tolist()
    assert rows[1] == 7
    assert np.array_equal(tiles[1][48 : 48 + line, : caption.shape[1]], caption)


def test_a_contact_sheet_of_a_short_episode_has_as_many_frames(tmp_path):
    (path,) = counting_recording(2).clip().write(tmp_path / "a.png", layout="episodes")

    sheet = iio.imread(path)
    top = sheet.shape[0] - 48 - Lettering(10).draw("0").shape[0]
    assert [read_row(sheet[top:, left:]) for left in (0, 64)] == [0, 1]


def test_exports_say_which_pictures_are_an_earlier_rows(tmp_path):
    cache = FrameCache()
    for row in range(6):
        frame = None if row in (2, 5) else counting_frame(row)
        cache.append(frame, reward=[1.0], reset=[row == 0])
    clip = cache.clip()

    (table,) = clip.write(tmp_path / "a.csv")
    (typed,) = clip.write(tmp_path / "a.parquet")
    (strip,) = clip.write(tmp_path / "a.png")
    (sheet,) = clip.write(tmp_path / "b.png", layout="episodes")
    (one,) = cache.clip(2, 3).write(tmp_path / "row.png")
    (whole,) = cache.clip(0, 2).write(tmp_path / "whole.png")

    expected = [False, False, True, False, False, True]
    assert [line["is_repeated"] for line in table_of(table)] == list(map(str, expected))
    assert parquet.read_table(typed)["is_repeated"].to_pylist() == expected
    found = []
    for path in (strip, sheet, one, whole):
        with Image.open(path) as image:
            image.load()
            found.append(image.info.get("Repeated"))
    assert found == ["2, 5", "2, 5", "2", None]


def test_npz_is_compressed_as_savez_compressed_does(tmp_path):
    clip = counting_recording(200).clip()

    (path,) = clip.write(tmp_path / "a.npz")

    with zipfile.ZipFile(path) as archive:
        (frames,) = [i for i in archive.infolist() if i.filename == "frames.npy"]
        assert frames.compress_size < frames.file_size / 20
    with np.load(path) as data:
        assert np.array_equal(data["frames"], np.stack(list(clip.frames())))
        assert len(data["reward"]) == 200


@pytest.mark.parametrize("suffix", [".npz", ".pt", ".memmap"])
def test_the_size_of_large_raw_pictures_is_said_beforehand(
    tmp_path, monkeypatch, suffix
):
    monkeypatch.setattr(writers, "_LARGE_BYTES", 100_000)
    clip = counting_recording(20).clip()

    with pytest.warns(RolloutViewerWarning, match=r"0\.000184 GB of pictures \(20"):
        clip.write(tmp_path / f"a{suffix}")


# -- names


@pytest.mark.parametrize("suffix", [*STREAMED, ".png"])
def test_a_second_run_overwrites_only_when_asked(tmp_path, suffix):
    clip = counting_recording(3).clip()

    first = clip.write(tmp_path / f"a{suffix}")
    second = clip.write(tmp_path / f"a{suffix}")
    third = clip.write(tmp_path / f"a{suffix}", overwrite=True)

    assert first == third == [tmp_path / f"a{suffix}"]
    assert second == [tmp_path / f"a-1{suffix}"]
    assert names(tmp_path) == sorted([f"a{suffix}", f"a-1{suffix}"])


def test_missing_folders_are_made(tmp_path):
    (path,) = counting_recording(2).clip().write(tmp_path / "b" / "c" / "a.mp4")

    assert path.exists()


# -- what goes wrong


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "a.avi"}, r"one of \['.csv', .*\], got 'a.avi'"),
        ({"path": "a"}, "got 'a'"),
        ({"layout": "rows"}, r"\('grid', 'tiles', 'episodes'\), got 'rows'"),
        ({"quality": "best"}, "got 'best'"),
        ({"order": "name"}, "got 'name'"),
        ({"speed": 0}, "expected speed .* got 0"),
        ({"fps": -1}, "got -1"),
    ],
)
def test_bad_arguments_are_told_before_anything_is_written(
    tmp_path, arguments, message
):
    clip = counting_recording(2).clip()

    with pytest.raises(ValueError, match=message):
        write_clip(clip, **{"path": "a.mp4", **arguments})

    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["page.pdf", "page.MP4", "run.rollout"])
def test_a_page_with_the_name_of_another_format_is_refused(tmp_path, name):
    cache = counting_recording(2)

    with pytest.raises(ValueError, match=rf"to_html: .*\.html', got '{name}'"):
        write_html(cache, tmp_path / name)

    assert names(tmp_path) == []
    assert write_html(cache, tmp_path / "run.2").exists()


def test_pictures_of_a_recording_without_any_are_refused(tmp_path):
    cache = FrameCache()
    cache.append(None, reward=[1.0])

    with pytest.raises(RowError, match="expected an env with pictures"):
        cache.clip().write(tmp_path / "a.mp4")

    assert names(tmp_path) == []


@pytest.mark.parametrize("suffix", [s for s in STREAMED if s not in TABLES])
@pytest.mark.parametrize("broken", [0, 40])
def test_an_error_in_the_middle_names_the_row_and_leaves_nothing(
    tmp_path, monkeypatch, suffix, broken
):
    cache = counting_recording(50)
    break_row(cache, monkeypatch, broken)

    with pytest.raises(ExportError, match=rf"write row {broken} of .* intact bytes"):
        cache.clip().write(tmp_path / f"a{suffix}")

    assert names(tmp_path) == []


def test_an_error_in_the_last_of_many_files_leaves_none(tmp_path, monkeypatch):
    cache = counting_recording(5, num_envs=3)
    read = cache.frames

    def frames(rows, envs, *args):
        if 2 in envs:
            raise RecordingError("block 0: expected intact bytes.")
        return read(rows, envs, *args)

    monkeypatch.setattr(cache, "frames", frames)

    with pytest.raises(ExportError, match="write row 0"):
        cache.clip().write(tmp_path / "a.mp4", layout="tiles")

    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ExportError, match=r"to write '.*file/a\.mp4', got"):
        counting_recording(2).clip().write(tmp_path / "file" / "a.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)

    with pytest.raises(ExportError, match="Permission denied"):
        counting_recording(2).clip().write(tmp_path / "a.mp4")


# -- progress and cancel


@pytest.mark.parametrize("suffix", [*STREAMED, ".png"])
@pytest.mark.parametrize("layout", ["grid", "tiles"])
def test_progress_counts_every_row_up_to_the_whole(tmp_path, suffix, layout):
    told = []

    counting_recording(40, num_envs=2).clip().write(
        tmp_path / f"a{suffix}",
        layout=layout,
        on_progress=lambda done, total: told.append((done, total)),
    )

    done, totals = zip(*told, strict=True)
    assert done[0] == 0
    assert list(done) == sorted(done)
    assert set(totals) == {done[-1]}


def test_progress_is_told_at_each_row_as_it_is_written(tmp_path):
    told = []

    counting_recording(40).clip().write(
        tmp_path / "a.mp4", on_progress=lambda done, total: told.append(done)
    )

    assert told == list(range(41))


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".csv"])
def test_a_tqdm_bar_is_moved_on(tmp_path, suffix):
    from tqdm import tqdm

    with (tmp_path / "log").open("w") as log, tqdm(file=log) as bar:
        counting_recording(40).clip().write(tmp_path / f"a{suffix}", on_progress=bar)

        assert bar.n == bar.total == (80 if suffix == ".gif" else 40)


def test_progress_of_a_gif_whose_colors_become_too_many_never_goes_back(tmp_path):
    rng = np.random.default_rng(0)
    cache = FrameCache()
    for row in range(30):
        frame = counting_frame(row)
        if row >= 20:
            frame[:, :8] = rng.integers(0, 256, (48, 8, 3))
        cache.append(frame[None])
    told = []

    cache.clip().write(tmp_path / "a.gif", on_progress=lambda *now: told.append(now))

    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (60, 60)


@pytest.mark.parametrize("suffix", [*STREAMED, ".png"])
def test_cancel_leaves_no_file(tmp_path, suffix):
    event = threading.Event()

    with pytest.raises(ExportCancelled, match="cancelled at row"):
        counting_recording(600).clip().write(
            tmp_path / f"a{suffix}",
            cancel=event,
            on_progress=lambda done, total: event.set() if done >= 3 else None,
        )

    assert names(tmp_path) == []


def test_cancel_of_the_second_of_many_files_leaves_none(tmp_path):
    rows = []

    with pytest.raises(ExportCancelled):
        counting_recording(5, num_envs=3).clip().write(
            tmp_path / "a.mp4",
            layout="tiles",
            cancel=lambda: len(rows) > 8,
            on_progress=lambda done, total: rows.append(done),
        )

    assert names(tmp_path) == []


# -- dump: loggers of other people


class Foreign:
    """What a logger of TorchRL looks like from outside."""

    def __init__(self, log_dir=None):
        self.videos = []
        self.log_dir = log_dir

    def log_video(self, name, video, step=None, **kwargs):
        self.videos.append((name, tuple(video.shape), str(video.dtype), step, kwargs))


class Plain:
    """The least that a logger can be."""

    def __init__(self):
        self.videos = []

    def log_video(self, name, video, step=None):
        self.videos.append((name, tuple(video.shape), step))


def test_a_foreign_logger_gets_a_tensor_and_the_fps():
    logger = Foreign()

    paths = counting_recording(3, num_envs=2).clip().dump(logger, "eval", step=7)

    shape = (1, 3, 3, 48, 128)
    assert logger.videos == [("eval", shape, "torch.uint8", 7, {"fps": 30.0})]
    assert paths == []


def test_a_foreign_logger_that_knows_no_fps_is_not_given_any():
    logger = Plain()

    counting_recording(3).clip().dump(logger, "eval")

    assert logger.videos == [("eval", (1, 3, 3, 48, 64), None)]


def test_a_foreign_logger_is_not_given_more_than_fits(monkeypatch):
    clip = counting_recording(3).clip()
    monkeypatch.setattr(type(clip), "frame_size", (100_000, 100_000))

    with pytest.raises(ExportTooLargeError, match="Choose fewer rows or envs"):
        clip.dump(Foreign(), "eval")


def test_the_table_of_a_foreign_logger_is_written_to_its_folder(tmp_path):
    logger = Foreign(str(tmp_path))

    paths = counting_recording(3).clip().dump(logger, "eval", formats=["csv"])

    assert paths == [tmp_path / "tables" / "eval.csv"]
    assert len(table_of(paths[0])) == 3


def test_a_foreign_logger_without_folder_says_what_to_do_for_a_table():
    with pytest.raises(ExportError, match=r"log_table or log_dir .* rv.CSVLogger"):
        counting_recording(3).clip().dump(Foreign(), "eval", formats=["csv"])


def test_a_logger_without_log_video_is_refused():
    with pytest.raises(TypeError, match=r"log_video.*, got str"):
        counting_recording(3).clip().dump("logger", "eval")


def test_formats_are_checked_before_anything_is_written():
    logger = Foreign()

    with pytest.raises(ValueError, match="got 'avi'"):
        counting_recording(3).clip().dump(logger, "eval", formats=["mp4", "avi"])

    assert logger.videos == []


def test_a_dump_of_two_formats_has_one_progress(tmp_path):
    from rollout_viewer.loggers import CSVLogger

    told = []

    paths = dump_clip(
        counting_recording(40).clip(),
        CSVLogger("run", tmp_path),
        "rollout_r0-40",
        formats=("mp4", "csv"),
        on_progress=lambda done, total: told.append((done, total)),
    )

    assert [path.relative_to(tmp_path / "run").as_posix() for path in paths] == [
        "videos/rollout_r0-40_0.mp4",
        "tables/rollout_r0-40_0.csv",
    ]
    assert numbers(paths[0]) == list(range(40))
    done = [one for one, _ in told]
    assert done == sorted(done)
    assert {total for _, total in told} == {done[-1]} == {80}


def test_a_cancelled_dump_leaves_no_file(tmp_path):
    from rollout_viewer.loggers import CSVLogger

    rows = []

    with pytest.raises(ExportCancelled):
        dump_clip(
            counting_recording(40).clip(),
            CSVLogger("run", tmp_path),
            "rollout",
            formats=("mp4", "csv"),
            on_progress=lambda done, total: rows.append(done),
            cancel=lambda: len(rows) > 20,
        )

    assert names(tmp_path) == []


def test_a_logger_that_fails_is_heard():
    class Broken(Foreign):
        def log_video(self, name, video, step=None, **kwargs):
            raise OSError("disk full")

    with pytest.raises(
        ExportError, match=r"Broken.log_video to take the clip, got OSError: disk full"
    ) as raised:
        counting_recording(3).clip().dump(Broken(), "eval")
    assert isinstance(raised.value.__cause__, OSError)


def test_one_format_may_be_named_alone(tmp_path):
    logger = Foreign(str(tmp_path))

    counting_recording(3).clip().dump(logger, "eval", formats="mp4")

    assert [name for name, *_ in logger.videos] == ["eval"]
