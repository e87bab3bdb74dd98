"""A damaged byte of a recording costs the rows it belongs to, and nothing else."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import shutil
import warnings
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.compact import compact
from rollout_viewer._recording.database import amend_meta
from tests.faults.recordings import (
    NUM_ENVS,
    NUM_ROWS,
    Cell,
    cells_of,
    editing,
    make_recording,
    read_cell,
    show,
    write_cell,
)
from tests.faults.survival import survives

pytestmark = survives(
    "damaged bytes anywhere in a file",
    kept="all other rows; viewer, `to_html`, tables and videos show the rest",
    lost="the rows whose bytes are damaged",
    seen="pictures that are missing, and one `RolloutViewerWarning`",
)

FLIPS = 40 if os.environ.get("FAULTS") == "long" else 1
# Rows that are compared: all in the long form.
STEP = 1 if FLIPS > 1 else 3
SEED = 13


@pytest.fixture(scope="module")
def intact(tmp_path_factory) -> pathlib.Path:
    return make_recording(tmp_path_factory.mktemp("intact") / "x.rollout")


@pytest.fixture(scope="module")
def truth(intact) -> list[list[dict[str, Any]]]:
    """What every row and env is, with its picture."""
    with contextlib.closing(rv.open(intact)) as cache:
        return [
            [{**cache.at(row, env), "picture": cache[row, env]} for env in range(2)]
            for row in range(NUM_ROWS)
        ]


def flipped(value: Any, rng: random.Random) -> Any:
    data = bytearray(value if isinstance(value, bytes) else value.encode())
    at = rng.randrange(8 * len(data))
    data[at // 8] ^= 1 << at % 8
    return bytes(data) if isinstance(value, bytes) else data.decode("latin-1")


def rows_of(cell: Cell) -> range:
    """The rows that a cell belongs to."""
    if cell.table == "tail":
        return range(96, NUM_ROWS)
    if cell.table in ("steps", "extras", "packs"):
        number = int(cell.key.split("= ")[1])
        block = number >> 16 if cell.table == "packs" else number
        return range(32 * block, 32 * block + 32)
    return range(0)


# What follows from other rows too, or from annotations: see test_seals.py.
DERIVED = {"episode", "total_reward", "seed", "segment", "labels", "episode_step"}


def assert_right_or_damaged(cache, truth, damaged: range, derived: bool) -> None:
    skipped = DERIVED if derived else set()
    assert cache.num_rows == NUM_ROWS
    for row in range(0, NUM_ROWS, STEP):
        for env in range(NUM_ENVS):
            expected = truth[row][env]
            # An action is stored with the row that it led to.
            is_near = row in damaged or row + 1 in damaged
            try:
                found = cache.at(row, env)
            except rv.RecordingError:
                assert is_near, f"row {row}"
            else:
                for name, value in found.items():
                    is_excused = name == "action" and is_near and value is None
                    if name not in skipped and not (
                        is_excused or (name == "has_picture" and row in damaged)
                    ):
                        np.testing.assert_array_equal(value, expected[name], name)
            try:
                picture = cache[row, env]
            except rv.RecordingError:
                assert row in damaged, f"row {row}"
            else:
                assert (picture == expected["picture"]).all() or (
                    row in damaged and not cache.is_shown(row, env)
                )
    for name in ("reward", "kind", "env_step", "terminated", "truncated"):
        good = [row for row in range(NUM_ROWS) if row not in damaged]
        expected = [[truth[r][e][name] for e in range(NUM_ENVS)] for r in good]
        np.testing.assert_array_equal(cache.scalars[name][good], expected, name)


def test_a_flipped_bit_costs_its_rows_only(intact, truth, tmp_path):
    rng = random.Random(SEED)
    for cell in cells_of(intact):
        for flip in range(FLIPS):
            path = tmp_path / "y.rollout"
            shutil.copyfile(intact, path)
            write_cell(path, cell, flipped(read_cell(path, cell), rng))
            where = f"seed {SEED}, {cell}, flip {flip}"
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", rv.RolloutViewerWarning)
                try:
                    with contextlib.closing(rv.open(path)) as cache:
                        derived = cell.table in ("steps", "tail", "episodes")
                        assert_right_or_damaged(cache, truth, rows_of(cell), derived)
                        repr(cache)
                        show(cache, path)
                        cache.clip().table()
                        assert len(list(cache.clip().frames())) == NUM_ROWS
                except Exception as error:
                    raise AssertionError(where) from error


@pytest.mark.parametrize(
    ("table", "key", "keys"),
    [
        ("packs", "id", (0, 1 << 16)),
        ("steps", "block", (0, 1)),
        ("extras", "block", (0, 1)),
    ],
)
def test_blocks_under_each_others_key_are_damaged(
    intact, truth, tmp_path, table, key, keys
):
    """As a flipped bit in a key does: all that they hold is whole."""
    path = tmp_path / "y.rollout"
    shutil.copyfile(intact, path)
    with editing(path) as connection:
        for old, new in zip((*keys, 1 << 30), (1 << 30, *keys), strict=True):
            done = connection.execute(
                f"UPDATE {table} SET {key} = ? WHERE {key} = ?", (new, old)
            )
            assert done.rowcount == 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        with contextlib.closing(rv.open(path)) as cache:
            assert_right_or_damaged(cache, truth, range(64), table == "steps")


def test_a_table_whose_text_is_damaged_is_a_recording_error(intact, tmp_path):
    """SQLite quotes it in its message, which is then no UTF-8."""
    whole = intact.read_bytes()
    start = whole.index(b"CREATE TABLE episodes")
    outcomes = set()
    for at in range(start, start + 60, 3):
        path = tmp_path / f"{at}.rollout"
        path.write_bytes(whole[:at] + b"\xe5" + whole[at + 1 :])
        for use in (rv.open, lambda path: amend_meta(path, "a", 1)):
            try:
                use(path)
            except rv.RecordingError:
                outcomes.add("refused")
    assert outcomes == {"refused"}


@pytest.mark.parametrize("block", [0, 1, 2])
def test_damaged_step_data_is_shown_as_missing_rows(intact, truth, tmp_path, block):
    path = tmp_path / "x.rollout"
    shutil.copyfile(intact, path)
    write_cell(path, Cell("steps", "data", f"block = {block}"), b"damaged")

    with pytest.warns(rv.RolloutViewerWarning, match="shown as missing"):
        cache = rv.open(path)

    first = 32 * block
    assert cache.num_rows == NUM_ROWS
    assert (cache.scalars["kind"][first : first + 32] == "damaged").all()
    assert np.isnan(cache.scalars["reward"][first : first + 32]).all()
    with pytest.raises(rv.RecordingError, match=f"row {first}: .* damaged"):
        cache.at(first, 0)
    # Their pictures are stored apart.
    assert (cache[first + 1, 1] == truth[first + 1][1]["picture"]).all()
    # No episode runs through rows that are not known.
    for episode in cache.episodes:
        assert episode.stop <= first or episode.start >= first + 32
    numbers = cache.scalars["episode"]
    assert (numbers[first : first + 32] == -1).all()
    show(cache, path)
    cache.close()


def test_an_episode_after_damaged_rows_gets_no_label_of_another(intact, tmp_path):
    path = tmp_path / "x.rollout"
    shutil.copyfile(intact, path)
    # Episode 1 of env 0 began in row 40, and is the one that cannot be counted.
    with editing(path) as connection:
        connection.execute("UPDATE steps SET data = x'00' WHERE block = 1")
    with pytest.warns(rv.RolloutViewerWarning):
        cache = rv.open(path)

    later = [e for e in cache.episodes if e.env == 0 and e.start >= 64]

    assert [e.seed for e in later] == [None] * len(later)
    assert cache.episodes[0].labels == {"failure": True}
    with pytest.raises(rv.RecordingError, match="whose number is not known"):
        cache.label(later[0], success=True)
    cache.label((0, 0), seen=True)
    cache.close()


def test_a_saved_copy_of_a_damaged_recording_reads_the_same(intact, tmp_path):
    path = tmp_path / "x.rollout"
    shutil.copyfile(intact, path)
    write_cell(path, Cell("steps", "data", "block = 1"), b"damaged")
    with pytest.warns(rv.RolloutViewerWarning):
        cache = rv.open(path)

    copy = rv.open(cache.save(tmp_path / "copy.rollout"))

    for name in cache.scalars:
        np.testing.assert_array_equal(copy.scalars[name], cache.scalars[name])
    assert copy.episodes == cache.episodes
    cache.close()
    copy.close()


def test_recordings_side_by_side_show_the_damage_of_one(intact, tmp_path):
    path = tmp_path / "x.rollout"
    shutil.copyfile(intact, path)
    write_cell(path, Cell("steps", "data", "block = 0"), b"damaged")
    write_cell(path, Cell("packs", "data", "id = 65536"), b"damaged")
    with pytest.warns(rv.RolloutViewerWarning):
        cache = rv.open([intact, path])

    assert cache.at(3, 0).reward == 3
    with pytest.raises(rv.RecordingError):
        cache.at(3, 2)
    with pytest.raises(rv.RecordingError):
        cache[40, 2]
    assert cache.at(70, 2).reward == 70
    with pytest.warns(rv.RolloutViewerWarning, match="missing"):
        show(cache, path)
    cache.close()


def with_damage(intact, tmp_path, cell):
    """Return a copy of a recording in which a cell is damaged."""
    path = tmp_path / "x.rollout"
    shutil.copyfile(intact, path)
    write_cell(path, cell, b"damaged")
    return rv.open(path)


def test_an_export_shows_damaged_pictures_as_missing_and_warns_once(intact, tmp_path):
    cache = with_damage(intact, tmp_path, Cell("packs", "data", "id = 0"))

    with pytest.warns(rv.RolloutViewerWarning, match="shown as missing") as caught:
        [video] = cache.clip().write(tmp_path / "x.mp4")

    assert len(caught) == 1
    assert rv.open(video).num_rows == NUM_ROWS
    cache.close()


def test_a_table_leaves_damaged_values_out_and_warns_once(intact, tmp_path):
    cache = with_damage(intact, tmp_path, Cell("extras", "data", "block = 0"))

    with pytest.warns(rv.RolloutViewerWarning, match="missing in the table") as caught:
        table = cache.clip().table()

    assert len(caught) == 1
    assert np.isnan(table["obs.0"][: 2 * 32]).all()
    assert (table["obs.0"][2 * 32 :: 2] == np.arange(32, NUM_ROWS)).all()
    cache.close()


@pytest.mark.parametrize(
    "cell", [("steps", "data", "block = 1"), ("meta", "value", "1")]
)
def test_a_damaged_recording_is_not_compacted(intact, tmp_path, cell):
    path = tmp_path / "x.rollout"
    shutil.copyfile(intact, path)
    write_cell(path, Cell(*cell), "damaged")
    before = path.read_bytes()

    with (
        pytest.warns(rv.RolloutViewerWarning),
        pytest.raises(rv.RecordingError, match="not changed"),
    ):
        compact(path)

    assert path.read_bytes() == before


def test_damaged_metadata_is_left_out_with_a_warning(intact, tmp_path):
    path = tmp_path / "x.rollout"
    shutil.copyfile(intact, path)
    write_cell(path, Cell("meta", "value", "key = 'fps'"), "[2")

    with pytest.warns(rv.RolloutViewerWarning, match="'fps' of the metadata"):
        cache = rv.open(path)

    assert cache.fps == 30
    assert cache.metadata["env_id"] == "Faults-v0"
    cache.close()
