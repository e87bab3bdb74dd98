"""Pictures that change their size while they are recorded: each keeps its own."""

from __future__ import annotations

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.open_block import MAX_SIZES


def picture(row: int, size: tuple[int, int], env: int = 0) -> np.ndarray:
    """Return a picture of a size, from which row and env can be read."""
    frame = np.full((*size, 3), 50 + 10 * env, np.uint8)
    frame[0, 0] = [row % 256, env, size[0] % 256]
    return frame


SMALL, LARGE, WIDE = (8, 8), (12, 16), (6, 20)


def sizes_of(row: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the sizes of two envs in a row; they change at different rows."""
    return [SMALL, LARGE, WIDE][row // 7 % 3], [LARGE, SMALL][row // 40 % 2]


def record(cache: rv.FrameCache, start: int, stop: int) -> None:
    for row in range(start, stop):
        frames = [picture(row, size, env) for env, size in enumerate(sizes_of(row))]
        ends = [(row + 1) % 7 == 0, (row + 1) % 40 == 0]
        reset = [row % 7 == 0, row % 40 == 0]
        cache.append(frames, reward=[1, 1], terminated=ends, reset=reset)


def assert_holds(cache: rv.FrameCache, num_rows: int, first_env: int = 0) -> None:
    assert cache.num_rows == num_rows
    order = np.random.default_rng(0).permutation(num_rows).tolist()
    for row in [*range(num_rows), *order]:
        for env, size in enumerate(sizes_of(row)):
            expected = picture(row, size, env)
            assert np.array_equal(cache[row, first_env + env], expected), row
            assert cache.frame_size(first_env + env, row=row) == size
            assert cache.has_picture(row, first_env + env)


def test_each_picture_keeps_its_size(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    record(cache, 0, 100)
    assert_holds(cache, 100)
    cache.flush()
    assert_holds(rv.open(cache.path), 100)
    saved = cache.save(tmp_path / "saved.rollout")
    cache.close()

    assert_holds(cache, 100)
    assert_holds(rv.open(saved), 100)
    with rv.open(cache.path) as opened:
        assert_holds(opened, 100)
        assert len(opened.slots) == 5
        assert opened.pictured_envs == (0, 1)
        assert opened.frame_size(0) == (12, 20)  # what holds all of them


def test_a_file_is_followed_while_sizes_change(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    record(cache, 0, 1)
    cache.flush()
    opened = rv.open(cache.path)
    for row in range(1, 110, 3):
        record(cache, row, row + 3)
        cache.flush()
        for known in range(max(0, row - 20), row + 3):
            size = sizes_of(known)[0]
            assert np.array_equal(opened[known, 0], picture(known, size)), known

    assert_holds(opened, cache.num_rows)


def test_recordings_side_by_side_have_their_own_sizes(tmp_path):
    paths = [tmp_path / "a.rollout", tmp_path / "b.rollout"]
    for path, num_rows in zip(paths, (90, 45), strict=True):
        with rv.FrameCache(path) as cache:
            record(cache, 0, num_rows)

    joined = rv.open(paths)

    assert_holds(joined, 90)
    for row in range(45):
        size = sizes_of(row)[1]
        assert np.array_equal(joined[row, 3], picture(row, size, 1))
    assert not joined.is_shown(50, 2)
    saved = joined.save(tmp_path / "joined.rollout")
    assert_holds(rv.open(saved), 90)


def test_rows_of_several_sizes_are_read_one_by_one():
    cache = rv.FrameCache()
    record(cache, 0, 20)

    assert cache[0:7, 0].shape == (7, *SMALL, 3)
    assert cache[7:14, 0].shape == (7, *LARGE, 3)
    with pytest.raises(rv.FrameError, match=r"pictures of one size.*\(8, 8\), \(12"):
        cache[5:9, 0]
    assert [frame.shape[:2] for frame in (cache[6, 0], cache[7, 0])] == [SMALL, LARGE]


def test_a_row_without_a_picture_is_of_its_episodes_size():
    cache = rv.FrameCache()
    cache.append([picture(0, SMALL)], kind="reset")
    cache.append([None], kind="terminal_missing", reward=[1], terminated=[True])
    cache.append([picture(2, LARGE)], kind="reset")
    cache.append([picture(3, LARGE)], kind="step", reward=[1])

    assert cache[0:2, 0].shape == (2, *SMALL, 3)
    assert not cache[1, 0].any()
    assert not cache.is_shown(1, 0)
    assert cache.frame_size(0, row=1) == SMALL
    assert cache.at(2, 0).has_picture


def test_an_idle_env_shows_its_last_picture_again():
    cache = rv.FrameCache()
    cache.append([picture(0, SMALL)], kind="reset")
    cache.append([picture(1, LARGE)], kind="step", reward=[1])
    for _ in range(40):
        cache.append([picture(9, WIDE)], kind="idle")

    assert np.array_equal(cache[41, 0], picture(1, LARGE))


def test_one_picture_of_all_envs_may_change_its_size():
    cache = rv.FrameCache()
    for row in range(40):
        size = [SMALL, LARGE][row // 10 % 2]
        cache.append(picture(row, size), reward=[0, 0, 0])

    assert cache.is_shared
    for row in range(40):
        size = [SMALL, LARGE][row // 10 % 2]
        assert np.array_equal(cache[row, 2], picture(row, size))


def test_a_row_may_be_recorded_again_in_another_recording():
    cache, copy = rv.FrameCache(), rv.FrameCache()
    record(cache, 0, 80)
    for row in range(80):
        copy.append(**cache.row_of(row))

    assert_holds(copy, 80)


def test_sizes_that_are_not_current_take_no_memory():
    cache = rv.FrameCache()
    cache.append([picture(0, (400, 400))])
    for height in range(300, 364):
        for row in range(33):
            cache.append([picture(row, (height, 300))])

    # A frame of each would be 65 times 300 kB.
    assert cache.recording.state_nbytes < 12 * 364 * 300 * 3


def test_a_picture_has_many_sizes_but_not_endless_ones():
    cache = rv.FrameCache()
    for height in range(1, MAX_SIZES + 1):
        cache.append([picture(0, (height, 2))])
    with pytest.raises(rv.FrameError, match="at most 256 sizes of 'pixels' of env 0"):
        cache.append([picture(0, (MAX_SIZES + 1, 2))])
    cache.append([picture(0, (5, 2))])  # a known one

    assert cache.num_rows == MAX_SIZES + 1
    assert [cache[row, 0].shape[0] for row in (0, 100, 256)] == [1, 101, 5]


def test_evicted_rows_of_several_sizes_are_gone_and_the_others_stay(tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path, disk_bytes=1_000_000, keep="latest")
    frames = []
    for row in range(400):
        height = 40 + row // 20 % 7
        frames.append(rng.integers(0, 256, (height, 40, 3), dtype=np.uint8))
        cache.append(
            [frames[-1]], reset=[row % 20 == 0], terminated=[row % 20 == 19], reward=[1]
        )
    cache.close()

    opened = rv.open(path)
    assert 0 < cache.first_row == opened.first_row < 400
    for row in range(400):
        is_there = row >= cache.first_row
        assert opened.is_shown(row, 0) == is_there
        if is_there:
            assert np.array_equal(opened[row, 0], frames[row])


# -- clips


def episodes_of_sizes(*sizes: tuple[int, int], length: int = 5) -> rv.FrameCache:
    """Return a recording of one env with an episode of each size."""
    cache = rv.FrameCache()
    for number, size in enumerate(sizes):
        for step in range(length):
            cache.append(
                [picture(number * length + step, size)],
                kind=["step" if step else "reset"],
                reward=[1.0],
                terminated=[step == length - 1],
            )
    return cache


def test_a_clip_of_an_episode_has_its_size_and_a_longer_one_the_largest():
    cache = episodes_of_sizes(SMALL, LARGE, WIDE)

    for episode, size in zip(cache.episodes, (SMALL, LARGE, WIDE), strict=True):
        clip = cache.clip(episode=episode)
        assert clip.frame_size == size
        for row, frame in enumerate(clip.frames(), episode.start):
            assert np.array_equal(frame, picture(row, size))
    whole = cache.clip()
    assert whole.frame_size == (12, 20)
    frames = list(whole.frames())
    assert np.array_equal(frames[0][2:10, 6:14], picture(0, SMALL))
    assert np.array_equal(frames[7][:, 2:18], picture(7, LARGE))
    assert not frames[0][:2].any()
    assert not frames[0][:, :6].any()
    tiles = np.concatenate(list(whole.tiles()))
    assert np.array_equal(tiles, frames)
    assert cache.clip(0, 5).frame_size == SMALL
    assert cache.clip(4, 6).frame_size == LARGE


def test_a_grid_has_cells_of_the_largest_picture_in_its_rows():
    cache = rv.FrameCache()
    record(cache, 0, 100)

    clip = cache.clip(35, 45)

    assert clip.tile_size == (LARGE[0], WIDE[1])
    for row, frame in enumerate(clip.frames(copy=False), 35):
        for env, size in enumerate(sizes_of(row)):
            top, left = (12 - size[0]) // 2, (20 - size[1]) // 2 + 20 * env
            inside = frame[top : top + size[0], left : left + size[1]]
            assert np.array_equal(inside, picture(row, size, env))
    assert cache.clip(49, 56).tile_size == LARGE
    assert cache.clip(42, 49, envs=[1]).tile_size == SMALL


def test_large_grids_are_drawn_alike(monkeypatch):
    cache = rv.FrameCache()
    record(cache, 0, 60)
    expected = list(cache.clip().frames())

    monkeypatch.setattr("rollout_viewer._export.selection._LARGE_BYTES", 1)

    assert np.array_equal(list(cache.clip().frames()), expected)
    copies = [frame.copy() for frame in cache.clip().frames(copy=False)]
    assert np.array_equal(copies, expected)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".npz", ".png", ".html", ".csv"])
def test_every_format_takes_a_clip_of_several_sizes(tmp_path, suffix):
    cache = episodes_of_sizes(SMALL, LARGE, WIDE)

    for layout in ("grid", "episodes"):
        folder = tmp_path / layout
        folder.mkdir()
        paths = cache.clip().write(folder / f"clip{suffix}", layout=layout, labels=True)
        assert paths
        assert all(path.stat().st_size for path in paths)
    assert cache.clip().figure(n=4) is not None


def test_a_strip_has_cells_of_one_size(tmp_path):
    import imageio.v3 as iio

    cache = episodes_of_sizes(SMALL, LARGE, length=4)

    (path,) = cache.clip().write(tmp_path / "strip.png")

    strip = iio.imread(path)
    assert strip.shape[:2] == (12, 8 * 16)
    assert np.array_equal(strip[2:10, 4:12, :3], picture(0, SMALL))
    assert np.array_equal(strip[:, 7 * 16 :, :3], picture(7, LARGE))
