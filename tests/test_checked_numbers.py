"""Rows, envs and steps that are no numbers, or not recorded, are refused."""

from __future__ import annotations

from contextlib import closing

import gymnasium
import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer.testing import counting_recording

NO_ENVS = [0, np.int64(0), "01", ["0"], [0.5], [True], [None], np.array([True, False])]
NO_NUMBERS = ["3", 1.5, True, [1], np.True_]


@pytest.fixture(scope="module")
def cache():
    return counting_recording(40, num_envs=2)


@pytest.mark.parametrize("envs", NO_ENVS, ids=repr)
@pytest.mark.parametrize("call", ["clip", "frames", "to_html", "row_of", "part"])
def test_envs_are_several_whole_numbers(cache, tmp_path, call, envs):
    with closing(rv.view(cache)) as viewer:
        calls = {
            "clip": lambda: cache.clip(0, 5, envs=envs),
            "frames": lambda: cache.frames(slice(0, 2), envs=envs),
            "to_html": lambda: viewer.to_html(tmp_path / "a.html", envs=envs),
            "row_of": lambda: cache.row_of(0, envs=envs),
            "part": lambda: cache.clip().part(envs=envs),
        }

        with pytest.raises(TypeError, match=r"expected envs to be whole numbers, such"):
            calls[call]()
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("envs", "error"), [(0, TypeError), ("0", TypeError), ([2], IndexError)]
)
def test_envs_to_render_are_numbers_that_are_there(envs, error):
    env = gymnasium.make_vec(
        "CartPole-v1", 2, vectorization_mode="sync", render_mode="rgb_array"
    )
    cache = rv.rollout(env, max_steps=3, render="later", progress=False)

    with pytest.raises(error, match=r"FrameCache.render: expected envs "):
        cache.render(envs=envs)
    with pytest.raises(error, match=r"FrameCache.frames: expected envs "):
        cache.frames(0, envs=envs)
    env.close()


@pytest.mark.parametrize(
    "envs", [[1], (1,), {1}, np.array([1]), range(1, 2), iter([1])]
)
def test_envs_may_be_anything_with_numbers(cache, tmp_path, envs):
    envs = list(envs) if hasattr(envs, "__next__") else envs

    assert cache.clip(0, 5, envs=envs).envs == (1,)
    with closing(rv.view(cache)) as viewer:
        assert viewer.to_html(tmp_path / "a.html", envs=envs).exists()


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
@pytest.mark.parametrize("name", ["row", "env", "episode", "episode_step"])
def test_a_viewer_goes_to_whole_numbers(cache, name, value):
    with (
        closing(rv.view(cache)) as viewer,
        pytest.raises(TypeError, match=f"expected {name} to"),
    ):
        viewer.goto(**({"row": 1} if name == "env" else {}) | {name: value})


@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_rows_and_steps_are_whole_numbers(cache, value):
    with pytest.raises(TypeError, match="clip: expected start to be a whole number"):
        cache.clip(value)
    with pytest.raises(TypeError, match="clip: expected stop to be a whole number"):
        cache.clip(0, value)
    with pytest.raises(TypeError, match="Clip: expected stop to be a whole number"):
        cache.clip().part(0, value)
    with pytest.raises(TypeError, match="find: expected episode to be a whole number"):
        cache.find(0, value, 0)
    with pytest.raises(TypeError, match="at: expected env to be a whole number"):
        cache.at(0, value)


@pytest.mark.parametrize(("start", "stop"), [(40, None), (50, 60), (5, 5), (9, -35)])
def test_a_clip_of_no_recorded_row_is_refused(cache, start, stop):
    with pytest.raises(rv.RowError, match="0 <= start < stop <= 40"):
        cache.clip(start, stop)


@pytest.mark.parametrize(
    ("start", "stop", "rows"),
    [
        (-40, None, (0, 40)),
        (-3, -1, (37, 39)),
        (None, 40, (0, 40)),
        (2, -1, (2, 39)),
        (0, 10_000, (0, 40)),
        (-200, None, (0, 40)),
    ],
)
def test_rows_of_a_clip_are_those_of_a_slice(cache, start, stop, rows):
    clip = cache.clip(start, stop)

    assert (clip.start, clip.stop) == rows


def test_a_page_of_rows_that_are_not_recorded_is_refused(cache, tmp_path):
    with closing(rv.view(cache)) as viewer:
        for start, stop in [(40, 50), (40, None), (-1, None)]:
            with pytest.raises(rv.RowError, match=r"expected rows within 0\.\.40"):
                viewer.to_html(tmp_path / "a.html", start=start, stop=stop)
    assert not [*tmp_path.iterdir()]


def test_a_page_replaces_a_file_where_that_is_asked_for(cache, tmp_path):
    path = tmp_path / "a.html"
    path.write_text("old")
    with closing(rv.view(cache)) as viewer:
        assert viewer.to_html(path).name == "a-1.html"
        assert path.read_text() == "old"
        assert viewer.to_html(path, overwrite=True) == path
    assert path.stat().st_size > 1000
    assert len([*tmp_path.iterdir()]) == 2


def test_several_sources_are_compared_by_name_or_opened_by_path(cache, tmp_path):
    paths = [cache.save(tmp_path / f"{name}.rollout") for name in "ab"]

    with pytest.raises(TypeError, match=r"got 2\. Pass .*rv\.view\({'before': a"):
        rv.view(cache, cache)
    with pytest.raises(TypeError, match=r"rv.view\({'before': a"):
        rv.view([cache, cache])
    with pytest.raises(TypeError, match=r"got 2 arguments\. Pass rv\.open\(\[a, b\]"):
        rv.open(*paths)
    with closing(rv.view([str(paths[0]), paths[1]])) as viewer:
        assert viewer.cache.num_envs == 4
