"""What the inspector and the timeline are told: the numbers that were recorded."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._page.details import (
    MAX_BYTES,
    FieldCatalog,
    all_details,
    column_message,
    details_message,
)

NUM_ROWS = 70


def recording(**data):
    """Two envs, an end at row 40; obs counts rows, an action is chosen at each."""
    cache = rv.FrameCache(metadata={"action_meanings": ["NOOP", "FIRE"]})
    for row in range(NUM_ROWS):
        is_reset = row in (0, 41)
        cache.append(
            np.zeros((2, 4, 4, 3), np.uint8),
            kind="reset" if is_reset else "step",
            reward=None if is_reset else [1.0, 2.0],
            truncated=[row == 40, row == 40],
            action=None if is_reset else np.array([row, -row]),
            data={
                "obs": np.array([[row, 0.5], [row + 100, 0.25]], np.float32),
                **{name: make(row) for name, make in data.items()},
            },
        )
    return cache


def values_of(message, name):
    """Return what was told of a field, by offset."""
    for field, buffer in zip(message.content["fields"], message.buffers, strict=True):
        if field["name"] == name:
            numbers = np.frombuffer(buffer, f"<{field['format']}")
            rows = field["rows"] or range(message.content["count"])
            shape = [3] if field["is_summary"] else field["shape"]
            return dict(zip(rows, numbers.reshape(len(rows), *shape), strict=True))
    return {}


def test_details_are_what_the_cache_has_at_each_row():
    cache = recording()

    message = details_message(cache, 1, 32)

    assert message.content["count"] == NUM_ROWS - 32
    obs, actions = values_of(message, "obs"), values_of(message, "action")
    for offset in range(message.content["count"]):
        at = cache.at(32 + offset, 1)
        np.testing.assert_array_equal(obs[offset], at["obs"])
        assert actions.get(offset) == at["action"]


def test_a_column_is_what_the_cache_has_of_all_envs():
    cache = recording()

    obs = np.frombuffer(column_message(cache, "obs", 0, 3).buffers[0], "<f4")
    action = np.frombuffer(column_message(cache, "action", 0, 0).buffers[0], "<f4")

    np.testing.assert_array_equal(obs.reshape(-1, 2), cache.column("obs", 3)[..., 0])
    expected = [
        [np.nan if a is None else a for a in (cache.at(r, e)["action"] for e in (0, 1))]
        for r in range(NUM_ROWS)
    ]
    np.testing.assert_array_equal(action.reshape(-1, 2), expected)


def test_large_arrays_are_told_by_three_numbers():
    cache = recording(scan=lambda row: np.full((2, 2000), row, np.int16))

    message = details_message(cache, 0, 0)

    scan = next(f for f in message.content["fields"] if f["name"] == "scan")
    assert (scan["is_summary"], scan["shape"], scan["dtype"]) == (True, [2000], "int16")
    assert values_of(message, "scan")[9].tolist() == [9, 9, 9]


def test_info_is_sent_as_truth_values_and_texts_where_a_step_had_it():
    cache = rv.FrameCache()
    cache.set_meta("info_types", {"info.won": "bool", "info.room": ["hall", "attic"]})
    for won, room, dist in ((1.0, 1, 0.5), (np.nan, np.nan, 1.5), (0.0, 0, np.nan)):
        data = {"info.won": [won], "info.room": [float(room)], "info.dist": [dist]}
        cache.append(None, reward=[1.0], data=data)

    message = details_message(cache, 0, 0)

    fields = {one["name"]: one for one in message.content["fields"]}
    assert fields["info.won"]["dtype"] == "bool"
    assert values_of(message, "info.won") == {0: 1, 2: 0}
    room = fields["info.room"]
    assert (room["dtype"], room["texts"]) == ("str", ["attic", "hall"])
    assert values_of(message, "info.room") == {0: 0, 2: 1}
    assert values_of(message, "info.dist") == {0: 0.5, 1: 1.5}


def test_info_that_only_ends_have_is_known_of_the_recording():
    cache = rv.FrameCache()
    for row in range(400):
        data = {"info.episode.r": [3.0]} if row == 37 else None
        cache.append(None, reward=[1.0], terminated=[row == 37], data=data)

    names = [one["name"] for one in FieldCatalog().describe(cache)["data"]]

    assert names == ["info.episode.r"]


def test_an_answer_stays_within_its_bytes_and_the_next_goes_on():
    cache = recording(wide=lambda row: np.full((2, 1000), row, np.float64))

    first = details_message(cache, 0, 0)
    second = details_message(cache, 0, first.content["count"])

    assert sum(map(len, first.buffers)) < MAX_BYTES + 10_000
    assert 0 < first.content["count"] < NUM_ROWS
    assert values_of(second, "wide")[0][0] == first.content["count"]


def test_large_arrays_are_read_a_few_rows_at_a_time():
    cache = recording(scan=lambda row: np.full((2, 200_000), row, np.float64))

    details = details_message(cache, 0, 0).content
    column = column_message(cache, "value", 0, 0).content
    action = column_message(cache, "action", 0, 0)

    # 3.2 MB a row
    assert details["count"] == column["count"] == 11
    assert action.content["count"] == len(action.buffers[0]) // 8 == 11


def test_values_that_change_their_shape_are_told_apart():
    cache = rv.FrameCache()
    for row in range(4):
        cache.append(
            np.zeros((1, 4, 4, 3), np.uint8), data={"x": np.zeros((1, 1 + row % 2))}
        )

    message = details_message(cache, 0, 0)

    told = [(field["shape"], field["rows"]) for field in message.content["fields"]]
    assert told == [([1], [0, 2]), ([2], [1, 3])]


def test_an_export_carries_the_numbers_of_its_envs_where_there_is_room(tmp_path):
    cache = recording(wide=lambda row: np.full((2, 500), row, np.float64))

    whole = rv.view(cache).to_html(tmp_path / "whole.html", start=5, envs=[1])
    size = whole.stat().st_size
    short = rv.view(cache).to_html(tmp_path / "short.html", (size - 1000) / 1e6)

    told = [m for m in _messages_of(whole) if m["kind"] == "details"]
    assert [(m["env"], m["start"], m["count"]) for m in told] == [(1, 5, 65)]
    assert not [m for m in _messages_of(short) if m["kind"] == "details"]
    manifest = _messages_of(short)[0]
    assert [field["name"] for field in manifest["data"]] == ["action", "obs", "wide"]


def test_a_row_is_read_once_for_the_details_of_all_envs(monkeypatch):
    cache = recording()
    read = cache.recording.extras
    rows = []

    def noted(row):
        rows.append(row)
        return read(row)

    monkeypatch.setattr(cache.recording, "extras", noted)

    messages = list(all_details(cache, 0, NUM_ROWS))

    assert [message.content["env"] for message in messages] == [0, 1]
    assert values_of(messages[1], "obs")[69].tolist() == [169, 0.25]
    assert sorted(rows) == list(range(NUM_ROWS))


def _messages_of(page):
    pattern = r'class="rollout-viewer-message">(.*?)</script>'
    texts = re.findall(pattern, page.read_text("utf-8"))
    return [json.loads(text)["message"] for text in texts]


def test_what_nobody_recorded_is_answered_with_nothing():
    cache = recording()

    for message in (
        details_message(cache, 7, 0),
        details_message(cache, 0, 999),
        details_message(cache, -1, -5),
        details_message(rv.FrameCache(), 0, 0),
    ):
        assert message.content["count"] == 0
    assert column_message(cache, "obs", 0, 999).content["count"] == 0
    unknown = np.frombuffer(column_message(cache, "no", 9, 0).buffers[0], "<f4")
    assert np.isnan(unknown).all()


def test_the_manifest_tells_data_meanings_and_segments():
    cache = rv.FrameCache(metadata={"action_meanings": ["NOOP", "FIRE"]})
    about = FieldCatalog()
    assert about.describe(cache)["data"] == []
    for name in ("before", "after"):
        with cache.segment(name):
            for row in range(3):
                cache.append(
                    np.zeros((1, 4, 4, 3), np.uint8),
                    reset=[row == 0],
                    reward=None if row == 0 else [1.0],
                    data={"obs": np.zeros((1, 2, 2), np.float32)},
                )

    told = about.describe(cache)

    assert told == {
        "data": [{"name": "obs", "dtype": "float32", "shape": [2, 2]}],
        "meanings": ["NOOP", "FIRE"],
        "segments": [["before", 0, 3], ["after", 3, 6]],
    }


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"obs": ["x", "v"]}, ["x", "v"]),
        ({"obs": ["x"]}, ["x"]),
        ({"other": ["x", "v"]}, None),
        ({"obs": ["x", 3]}, None),
        ({"obs": "xv"}, None),
        (["obs"], None),
    ],
)
def test_names_of_numbers_are_those_of_the_metadata(fields, names):
    cache = rv.FrameCache(metadata={"fields": fields})
    cache.append(None, kind=["reset"], data={"obs": np.zeros((1, 2))})

    (found,) = FieldCatalog().describe(cache)["data"]

    form = {"name": "obs", "dtype": "float64", "shape": [2]}
    assert found == (form if names is None else {**form, "names": names})


def test_meanings_of_actions_are_those_of_the_environment():
    gym = pytest.importorskip("gymnasium", reason="of Atari's actions")
    ale_py = pytest.importorskip("ale_py", reason="of Atari's actions")
    gym.register_envs(ale_py)

    with rv.record(gym.make("ALE/Pong-v5", render_mode="rgb_array")) as env:
        env.reset(seed=0)
        meanings = env.cache.metadata["action_meanings"]

    assert meanings == ["NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE"]
