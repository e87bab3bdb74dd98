"""Rows in which no env of a clip did anything are in none of its frames and files.

Workers' blocks are filed side by side: an env whose worker has sent nothing is idle
meanwhile, in the middle of an episode too.
"""

import csv
import json

import av
import numpy as np
import pyarrow.parquet as parquet
import pytest

import rollout_viewer as rv
from rollout_viewer._video import read_video
from rollout_viewer.testing import counting_frame, read_count, read_row

# Of two envs, by row: r reset, s step, - idle. Rows 6 and 7 are idle for both.
KINDS = ["rsss----ss", "r--s-s--ss"]
NAMES = {"r": "reset", "s": "step", "-": "idle"}
OWN = [
    [row for row, kind in enumerate(kinds) if kind != "-"] for kinds in KINDS
]  # [[0, 1, 2, 3, 8, 9], [0, 3, 5, 8, 9]]


@pytest.fixture
def cache():
    cache = rv.FrameCache()
    for row, kinds in enumerate(zip(*KINDS, strict=True)):
        is_step = [kind == "s" for kind in kinds]
        cache.append(
            np.stack([counting_frame(row, env) for env in range(2)]),
            kind=[NAMES[kind] for kind in kinds],
            reward=np.where(is_step, 1.0, np.nan),
            terminated=np.array(is_step) & (row == 9),
            action=np.full(2, row),
            data={"obs": np.full((2, 2), row, np.float32)},
        )
    return cache


def read(frames):
    return [read_row(frame[:48, :64]) for frame in frames]


@pytest.mark.parametrize("env", [0, 1])
def test_a_clip_of_an_episode_has_its_own_steps_and_no_others(cache, env):
    clip = cache.clip(episode=(env, 0))

    assert (clip.start, clip.stop) == (0, 10)
    assert clip.rows.tolist() == OWN[env]
    assert len(clip) == clip.num_rows == len(OWN[env])
    assert read(clip.frames()) == read(t[0] for t in clip.tiles()) == OWN[env]
    assert clip.to_tensor().shape[:2] == (1, len(OWN[env]))


def test_its_table_has_numbers_of_its_own_steps_alone(cache):
    table = cache.clip(episode=(0, 0)).table()

    assert table["row"].tolist() == [0, 1, 2, 3, 8, 9]
    assert table["episode_step"].tolist() == [0, 1, 2, 3, 4, 5]
    assert table["obs.0"].tolist() == [0, 1, 2, 3, 8, 9]
    # Chosen at the frame, and recorded in the row that it led to.
    np.testing.assert_array_equal(table["action"], [1, 2, 3, 8, 9, np.nan])


def test_clips_of_several_envs_lack_the_rows_that_are_idle_for_all(cache):
    clip = cache.clip()

    assert clip.rows.tolist() == [0, 1, 2, 3, 5, 8, 9]
    table = clip.table()
    assert table["row"].reshape(7, 2)[:, 0].tolist() == clip.rows.tolist()
    idle = table["kind"] == "idle"
    assert np.isnan(table["obs.0"]).tolist() == idle.tolist()
    assert table["action"][idle].tolist() == [3, 3, 8]  # chosen at the same frame
    assert "without 3 idle ones" in repr(clip)


def test_a_clip_in_which_nothing_happens_has_all_of_its_rows(cache):
    clip = cache.clip(4, 8, envs=[0])

    assert clip.rows.tolist() == [4, 5, 6, 7]
    assert len(list(clip.frames())) == 4


def test_every_row_gives_the_idle_ones_too(cache):
    clip = cache.clip(episode=(0, 0)).every_row()

    assert clip.rows.tolist() == list(range(10))
    assert len(list(clip.frames())) == len(clip.table()["row"]) == 10


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webm"])
@pytest.mark.parametrize("labels", [False, True])
def test_videos_of_an_episode_do_not_stand_still(cache, tmp_path, suffix, labels):
    done = []

    (path,) = cache.clip(episode=(0, 0)).write(
        tmp_path / f"a{suffix}",
        labels=labels,
        on_progress=lambda *numbers: done.append(numbers),
    )

    frames = list(read_video(path))
    assert len(frames) == 6
    if not labels:
        assert [read_row(frame) for frame in frames] == OWN[0]
    assert done[-1][0] == done[-1][1]


def test_arrays_and_tables_of_an_episode_have_a_line_for_each_frame(cache, tmp_path):
    clip = cache.clip(episode=(0, 0))

    npz = np.load(clip.write(tmp_path / "a.npz")[0])
    assert read(npz["frames"]) == npz["row"].tolist() == OWN[0]
    (path,) = clip.write(tmp_path / "a.csv")
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["row"]) for line in lines] == OWN[0]
    assert all(line["obs.1"] for line in lines)
    (path,) = clip.write(tmp_path / "a.parquet")
    assert parquet.read_table(path)["row"].to_pylist() == OWN[0]
    (path,) = clip.write(tmp_path / "a.memmap")
    assert path.stat().st_size == 6 * 48 * 64 * 3


def test_cells_of_an_idle_env_are_empty_beside_others(cache, tmp_path):
    (path,) = cache.clip().write(tmp_path / "a.csv")

    with path.open(newline="") as file:
        idle = [line for line in csv.DictReader(file) if line["kind"] == "idle"]
    assert len(idle) == 3
    assert {line[name] for line in idle for name in ("obs.0", "obs.1")} == {""}


def test_a_file_for_each_episode_and_tile_has_its_own_steps(cache, tmp_path):
    for layout in ("episodes", "tiles"):
        paths = cache.clip().write(tmp_path / f"{layout}.mp4", layout=layout)
        assert [len(list(read_video(path))) for path in paths] == [6, 5]


def test_strips_show_no_idle_row(cache, tmp_path):
    clip = cache.clip(episode=(0, 0))

    assert clip.spaced_rows(8) == OWN[0]
    labels = clip.figure(n=8).axes[0].get_xticklabels()
    texts = [label.get_text().splitlines()[0] for label in labels]
    assert texts == [f"step {step}" for step in range(6)]
    (path,) = clip.write(tmp_path / "a.png")
    import imageio.v3 as iio

    assert iio.imread(path).shape[1] == 6 * 64


def test_a_shared_picture_is_shown_while_any_env_moves():
    cache = rv.FrameCache()
    for row, kinds in enumerate(zip(*KINDS, strict=True)):
        cache.append(
            None if kinds == ("-", "-") else counting_frame(row)[None],
            kind=[NAMES[kind] for kind in kinds],
            reward=np.zeros(2),
        )

    assert cache.is_shared
    assert cache.clip(envs=[1]).rows.tolist() == [0, 1, 2, 3, 5, 8, 9]


def test_pages_get_no_numbers_of_an_idle_env(cache):
    from rollout_viewer._page.details import details_message

    content = details_message(cache, 0, 0).content

    rows = {field["name"]: field["rows"] for field in content["fields"]}
    assert rows["obs"] == OWN[0]
    assert rows["action"] == OWN[0][:-1]


def test_every_row_is_in_each_file_of_a_clip_and_in_its_parts(cache, tmp_path):
    clip = cache.clip().every_row()

    for options in ({"layout": "tiles"}, {"order": "return"}, {}):
        paths = clip.write(tmp_path / "a.mp4", **options)
        assert {len(list(read_video(path))) for path in paths} == {10}
    assert clip.part(2, 8).rows.tolist() == [*range(2, 8)]
    with pytest.raises(ValueError, match="read-only"):
        clip.rows[0] = 5


def test_a_clip_keeps_its_rows_when_the_recording_is_cleared(cache):
    clip = cache.clip()
    cache.clear()

    assert len(clip) == 7
    assert "rows 0..9" in repr(clip)


def test_new_pictures_of_all_envs_are_shown_where_all_are_idle():
    cache = rv.FrameCache()
    cache.append(counting_frame(0)[None], kind=["reset", "reset"])
    for row in (1, 2, 3):
        kind = "idle" if row == 2 else "step"
        cache.append(counting_frame(row)[None], kind=[kind] * 2, reward=[0, 0])
    cache.append(None, kind=["idle", "idle"])
    cache.append(counting_frame(5)[None], kind=["step", "step"], reward=[0, 0])

    found = [read_count(frame)[0] for frame in cache.clip().frames()]
    assert found == [0, 1, 2, 3, 5]


def test_a_video_says_which_rows_its_frames_are_of(cache, tmp_path):
    (path,) = cache.clip(episode=(0, 0)).write(tmp_path / "a.mp4")

    with av.open(str(path)) as video:
        facts = json.loads(video.metadata["comment"])
    assert facts["rows"] == [0, 10]
    assert facts["rows_of_frames"] == [[0, 4], [8, 10]]
