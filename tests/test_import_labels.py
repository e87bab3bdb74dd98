"""Bookmarks and labels that come back from an exported page, as foreign data."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rollout_viewer as rv


def recorded(path=None):
    """Two episodes of each of two envs, the first of env 0 with a label."""
    cache = rv.FrameCache(path)
    for row in range(8):
        frames = np.full((2, 8, 8, 3), row, np.uint8)
        is_first = np.full(2, row % 4 == 0)
        cache.append(frames, reset=is_first, reward=np.ones(2))
    cache.label((0, 0), "late", grasps=2)
    cache.bookmark(3, "falls")
    return cache


def saved(cache, path, **fields):
    """Write a file of labels for a recording, with other fields than usual."""
    content = {
        "format": "rollout_viewer labels",
        "version": 1,
        "session": cache.session,
        "bookmarks": {},
        "episodes": [],
        **fields,
    }
    path.write_text(json.dumps(content))
    return path


def state_of(cache):
    labels = {(e.env, e.index): (dict(e.labels), e.success) for e in cache.episodes}
    return dict(cache.bookmarks), labels


def test_what_a_page_changed_is_added_and_removed(tmp_path):
    cache = recorded(tmp_path / "run.rollout")
    cache.close()
    episodes = [
        {"env": 0, "episode": 0, "labels": {"late": None, "failure": True}},
        {"env": 1, "episode": 1, "labels": {"grasps": 1.5}, "success": False},
    ]
    bookmarks = {"3": None, "5": "", "6": "stands again"}
    path = saved(cache, tmp_path / "x.json", bookmarks=bookmarks, episodes=episodes)

    opened = rv.open(tmp_path / "run.rollout")
    counts = rv.import_labels(opened, path)

    assert counts == (3, 2)
    for read in (opened, rv.open(tmp_path / "run.rollout")):
        marks, labels = state_of(read)
        assert marks == {5: "", 6: "stands again"}
        assert labels[0, 0] == ({"grasps": 2, "failure": True}, None)
        assert labels[1, 1] == ({"grasps": 1.5}, False)


def test_a_plain_bookmark_takes_no_note_away(tmp_path):
    cache = recorded()

    rv.import_labels(cache, saved(cache, tmp_path / "x.json", bookmarks={"3": ""}))

    assert cache.bookmarks == {3: "falls"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"format": "other"}, "expected format"),
        ({"version": 2}, "expected version 1"),
        ({"version": True}, "expected version 1"),
        ({"session": 3}, "session as text"),
        ({"code": "x"}, "the fields"),
        ({"bookmarks": []}, "bookmarks as an object"),
        ({"bookmarks": {"-1": ""}}, "bookmarks by row"),
        ({"bookmarks": {"01": ""}}, "bookmarks by row"),
        ({"bookmarks": {"\u0663": ""}}, "bookmarks by row"),
        ({"bookmarks": {"1": 3}}, "notes of up to"),
        ({"bookmarks": {"1": "x" * 10_001}}, "notes of up to"),
        ({"episodes": {}}, "episodes as a list"),
        ({"episodes": [[0, 0]]}, "an episode as an object"),
        ({"episodes": [{"env": 0}]}, "an episode of"),
        ({"episodes": [{"env": 0, "episode": 1.0}]}, "as numbers"),
        ({"episodes": [{"env": True, "episode": 1}]}, "as numbers"),
        ({"episodes": [{"env": 0, "episode": 1, "labels": {"": 1}}]}, "label names"),
        ({"episodes": [{"env": 0, "episode": 1, "labels": {"a": [1]}}]}, "labels as"),
        ({"episodes": [{"env": 0, "episode": 1, "labels": {"a": 1 << 64}}]}, "labels"),
        ({"episodes": [{"env": 0, "episode": 1, "success": 1}]}, "success as"),
        ({"episodes": [{"env": 0, "episode": 1}] * 2}, "each episode once"),
    ],
)
def test_a_file_of_another_form_is_refused_and_changes_nothing(
    fields, expected, tmp_path
):
    cache = recorded()
    before = state_of(cache)

    with pytest.raises(rv.RecordingError, match=expected):
        rv.import_labels(cache, saved(cache, tmp_path / "x.json", **fields))

    assert state_of(cache) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"bookmarks": {"2": "here", "8": ""}},
        {"bookmarks": {"2": ""}, "episodes": [{"env": 0, "episode": 2}]},
        {"bookmarks": {"2": ""}, "episodes": [{"env": 2, "episode": 0}]},
        {"bookmarks": {"2": ""}, "session": "another"},
    ],
)
def test_what_the_recording_does_not_have_changes_nothing(fields, tmp_path):
    cache = recorded()
    before = state_of(cache)

    with pytest.raises(rv.RowError):
        rv.import_labels(cache, saved(cache, tmp_path / "x.json", **fields))

    assert state_of(cache) == before


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": 1, "a": 2}',
        b'{"a": NaN}',
        b"1" * 5000,
        b" " * 10_000_001,
    ],
    ids=lambda text: f"{bytes(text[:8])!r}",
)
def test_bytes_that_are_no_such_file_are_refused(text, tmp_path):
    (tmp_path / "x.json").write_bytes(text)

    with pytest.raises(rv.RecordingError, match='"Save labels"'):
        rv.import_labels(recorded(), tmp_path / "x.json")


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none"):
        with pytest.raises(rv.RecordingError):
            rv.import_labels(recorded(), path)


@pytest.mark.parametrize(
    ("size", "expected"),
    [(None, "expected a file in"), (10_000_001, "a file of up to 10 MB in")],
)
def test_a_folder_and_a_file_that_is_too_large_are_said_to_be_so(
    size, expected, tmp_path
):
    path = tmp_path / "x.json"
    if size is None:
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, size)

    with pytest.raises(rv.RecordingError) as caught:
        rv.import_labels(recorded(), path)

    assert expected in str(caught.value)
    assert str(caught.value).count("import_labels") == 1
    assert str(caught.value).endswith('in its menu "Save".')


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
labels = st.fixed_dictionaries(
    {"env": st.integers(-1, 3), "episode": st.integers(-1, 3)},
    optional={"labels": st.dictionaries(st.text(), values), "success": values},
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("0379x"), values), st.lists(labels, max_size=3))
def test_any_content_is_taken_whole_or_refused(tmp_path_factory, bookmarks, episodes):
    path = tmp_path_factory.mktemp("labels") / "x.json"
    cache = recorded()
    before = state_of(cache)

    saved(cache, path, bookmarks=bookmarks, episodes=episodes)
    try:
        rv.import_labels(cache, path)
    except (rv.RecordingError, rv.RowError):
        assert state_of(cache) == before
    else:
        cache.save(path.with_suffix(".rollout"))
        copy = rv.open(path.with_suffix(".rollout"))
        assert state_of(copy) == state_of(cache)
        copy.close()
    cache.close()
