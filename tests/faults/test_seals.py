"""A flipped bit in metadata, a note or a label is never shown as if it were right."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import warnings

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.sealed_text import is_broken, reseal, seal
from tests.faults.recordings import editing, make_recording

IS_LONG = os.environ.get("FAULTS") == "long"
SEED = 7
TEXTS = {"meta": ("value", "key"), "episodes": ("info", "env || '/' || idx")}


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    return make_recording(tmp_path_factory.mktemp("intact") / "x.rollout")


def known_of(path):
    """Return what is known by texts, and whether a warning came."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.closing(rv.open(path)) as cache:
            known: dict[object, object] = {"fps": cache.fps}
            known.update(cache.metadata)
            known.update(cache.bookmarks)
            for episode in cache.episodes:
                key = episode.env, episode.index
                known[key, "seed"] = episode.seed
                known.update(((key, name), v) for name, v in episode.labels.items())
            cache.recording.release()
    return {name: v for name, v in known.items() if v is not None}, bool(caught)


def texts_of(path):
    """Return (table, key, bytes) of each text."""
    with editing(path) as connection:
        return [
            (table, key, text.encode())
            for table, (column, name) in TEXTS.items()
            for key, text in connection.execute(f"SELECT {name}, {column} FROM {table}")
        ]


def write_text(path, table, key, text):
    column, name = TEXTS[table]
    sql = f"UPDATE {table} SET {column} = CAST(? AS TEXT) WHERE {name} = ?"
    with editing(path) as connection:
        connection.execute(sql, (text, key))


def test_a_flipped_bit_in_a_text_is_never_shown(intact, tmp_path):
    rng = random.Random(SEED)
    truth, _ = known_of(intact)
    assert truth[5] == "look here"
    assert truth[(0, 1), "seed"] == 40
    path = tmp_path / "x.rollout"
    for table, key, text in texts_of(intact):
        places = range(8 * len(text))
        for place in places if IS_LONG else rng.sample(places, 12):
            data = bytearray(text)
            data[place // 8] ^= 1 << place % 8
            shutil.copyfile(intact, path)
            write_text(path, table, key, bytes(data))
            known, has_warned = known_of(path)
            where = f"seed {SEED}: bit {place} of {key!r} in {table}"
            wrong = {name for name in known if known[name] != truth.get(name)}
            assert wrong <= {"fps"}, where  # the default, where it is damaged
            assert has_warned or known == truth, where


@pytest.mark.parametrize("number", [1, 8, 24, 101])
def test_a_flipped_bit_makes_no_number_longer(number):
    for place in range(8 * len(seal(str(number), "x"))):
        data = bytearray(seal(str(number), "x").encode())
        data[place // 8] ^= 1 << place % 8
        text = data.decode("latin-1")
        if not is_broken(text, "x") and text.strip().isdigit():
            assert int(text) == number


def test_a_text_of_another_episode_is_not_taken(intact, tmp_path):
    path = shutil.copyfile(intact, tmp_path / "x.rollout")
    with editing(path) as connection:  # as where the number's bits flip
        connection.execute("DELETE FROM episodes WHERE env = 0 AND idx = 2")
        connection.execute("UPDATE episodes SET idx = 2 WHERE env = 0 AND idx = 1")

    with pytest.warns(rv.RolloutViewerWarning, match="checksum"):
        cache = rv.open(path)
    assert [e.seed for e in cache.episodes if e.env == 0] == [0, None, None]


@pytest.mark.parametrize("column", ["env", "camera", "height", "width", "is_shared"])
def test_a_changed_slot_is_never_taken_without_a_warning(intact, tmp_path, column):
    path = shutil.copyfile(intact, tmp_path / "x.rollout")
    value = "'mainz'" if column == "camera" else f"{column} + 1 - 2 * ({column} & 1)"
    with editing(path) as connection:
        connection.execute(f"UPDATE slots SET {column} = {value} WHERE slot = 1")

    with pytest.warns(rv.RolloutViewerWarning, match="cameras and sizes has a wrong"):
        rv.open(path).recording.release()


def test_a_recording_that_was_cleared_is_intact(tmp_path):
    frame = np.zeros((1, 8, 8, 3), np.uint8)
    with rv.FrameCache(tmp_path / "x.rollout") as cache:
        cache.append({"left": frame, "right": frame})
        cache.flush()
        cache.clear()
        cache.flush()
        assert not known_of(cache.path)[1]
        cache.append({"top": frame})
        saved = cache.save(tmp_path / "saved.rollout")
    for path in (cache.path, saved):
        assert not known_of(path)[1]
        with contextlib.closing(sqlite3.connect(path)) as connection:
            sql = "SELECT value FROM meta WHERE key = 'slots'"
            assert connection.execute(sql).fetchone()[0].startswith("[1, ")


def test_notes_and_labels_are_sealed_too(intact, tmp_path):
    path = shutil.copyfile(intact, tmp_path / "x.rollout")
    with rv.open(path) as cache:
        cache.bookmark(7, "another")
        cache.bookmark(5, None)
        cache.label((0, 1), success=True)
        cache.label((1, 1), grasps=2)

    assert all(text[-33:-32] == b"\n" for _, _, text in texts_of(path))
    known, has_warned = known_of(path)
    assert (known[7], known[(0, 1), "success"], known[(1, 1), "grasps"]) == (
        "another",
        True,
        2,
    )
    assert not has_warned


def test_what_earlier_versions_wrote_is_read_and_sealed_when_it_is_changed(
    intact, tmp_path
):
    path = shutil.copyfile(intact, tmp_path / "x.rollout")
    for table, key, text in texts_of(intact):
        write_text(path, table, key, text[:-33])
    assert known_of(path) == known_of(intact)

    with rv.open(path) as cache:
        cache.bookmark(5, "other")
    assert known_of(path)[0][5] == "other"
    # An earlier version changes it: SQLite drops the white space.
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            'UPDATE meta SET value = json_patch(value, \'{"5": "old"}\') '
            "WHERE key = 'bookmarks'"
        )
    assert known_of(path)[0][5] == "old"


def test_a_change_of_a_damaged_text_does_not_make_it_right():
    damaged = seal('{"seed": 1}', "0/0").replace("1", "3")

    changed = reseal('{"seed":3,"labels":{}}', damaged, "0/0")

    assert is_broken(changed, "0/0")
    assert not is_broken(reseal('{"a":1}', "", "0/0"), "0/0")
