"""Whatever a cell of a recording holds, reading it gives values or a RecordingError."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import random
import shutil
import struct
import warnings

import numpy as np
import pytest
import zstandard
from safetensors.numpy import save

import rollout_viewer as rv
from rollout_viewer._frames.checksum import with_checksum
from rollout_viewer._frames.chunk import ABSENT, INTRA, RAW, pack, parse
from rollout_viewer._recorder.video_folder import SUFFIX
from rollout_viewer._recorder.video_recovery import finish_videos
from rollout_viewer._recorder.video_segment import PENDING_KEY
from rollout_viewer._recording.step_codec import pack_columns
from rollout_viewer._recording.tensors import read_tensors
from tests.faults.recordings import (
    NUM_ENVS,
    Cell,
    cells_of,
    editing,
    make_recording,
    read_all,
    write_cell,
)

IS_LONG = os.environ.get("FAULTS") == "long"
SEED = 5

# Of every type that SQLite has, and JSON of every type in the wrong place.
VALUES = [
    None,
    -1,
    2**62,
    1.5,
    float("inf"),
    "",
    "x",
    b"",
    b"\x00" * 64,
    b"\xff\xfe",
    with_checksum(b""),
    with_checksum(struct.pack("<III", 99, 2**31, 2**31)),
    with_checksum(struct.pack("<III", 0, 0, 4) * 50),
    "null",
    "true",
    "[]",
    "{}",
    "-5",
    "1e999",
    "NaN",
    '"text"',
    "[[0, 1, 2]]",
    '[["a", "b"]]',
    '{"a": {"b": [1]}}',
    '{"x": "note", "1": 2}',
    '{"labels": 3, "seed": [1], "segment": {}, "options": 1, "unknown": 1}',
    '{"pid": "x", "host": 3}',
    '"\\ud800"',
    "9" * 5000,
    "[" * 90 + "]" * 90,
    "[" * 500 + "]" * 500,
    "[" * 100_000,
    '{"a":' * 100_000,
]


@pytest.fixture(scope="module")
def intact(tmp_path_factory) -> pathlib.Path:
    # One sealed block and some rows: all kinds of cells.
    return make_recording(tmp_path_factory.mktemp("intact") / "x.rollout", 40)


@pytest.fixture
def path(intact, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copyfile(intact, tmp_path / "x.rollout"))


def numbers_of(path: pathlib.Path) -> list[Cell]:
    """Return the cells that hold numbers."""
    return [
        *(Cell("slots", c, "slot = 1") for c in ("slot", "env", "height", "width")),
        *(Cell("slots", c, "slot = 0") for c in ("camera", "is_shared")),
        *(Cell("tail", c, "1") for c in ("block", "start", "num_rows")),
        *(Cell("steps", "block", "block = 0"), Cell("extras", "block", "block = 0")),
        *(Cell("packs", "id", "id = 0"), Cell("meta", "key", "key = 'fps'")),
        *(Cell("episodes", c, "env = 0 AND idx = 0") for c in ("env", "idx")),
    ]


def read_forged(path: pathlib.Path, where: object) -> None:
    try:
        with contextlib.suppress(rv.RecordingError):
            read_all(path)
    except Exception as error:
        raise AssertionError(f"{where}") from error


def test_a_cell_of_another_type(intact, tmp_path):
    rng = random.Random(SEED)
    path = tmp_path / "x.rollout"
    for cell in [*cells_of(intact), *numbers_of(intact)]:
        for value in VALUES if IS_LONG else rng.sample(VALUES, 2):
            shutil.copyfile(intact, path)
            try:
                write_cell(path, cell, value)
            except Exception:
                continue  # a primary key takes whole numbers only
            read_forged(path, f"seed {SEED}: {cell} = {value!r:.80}")


@pytest.mark.parametrize(
    "key", ["fps", "metadata", "bookmarks", "session", "first_rows", "writer"]
)
def test_metadata_of_another_type(path, key):
    for value in VALUES:
        with editing(path) as connection:
            connection.execute(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value)
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rv.RolloutViewerWarning)
            with contextlib.closing(rv.open(path)) as cache:
                # It is left out, and all else is there.
                assert cache.num_rows == 40
                assert cache.fps > 0
                assert isinstance(cache.metadata, dict)
                assert isinstance(cache.bookmarks, dict)
                repr(cache)


# -- step data, packed as the real one but with other arrays


def core(num_rows: int = 32, num_envs: int = NUM_ENVS, **other: object) -> dict:
    shape = num_rows, num_envs
    return {
        "kind": np.ones(shape, np.uint8),
        "flags": np.zeros(shape, np.uint8),
        "reward": np.zeros(shape),
        "env_step": np.zeros(shape, np.uint32),
        **other,
    }


def without(name: str) -> dict:
    arrays = core()
    del arrays[name]
    return arrays


WRONG_STEPS = {
    "a kind that is none": core(kind=np.full((32, NUM_ENVS), 9, np.uint8)),
    "flags that are none": core(flags=np.full((32, NUM_ENVS), 255, np.uint8)),
    "one column less": without("reward"),
    "one column more": core(more=np.zeros((32, NUM_ENVS))),
    "another dtype": core(reward=np.zeros((32, NUM_ENVS), np.int8)),
    "columns of two shapes": core(reward=np.zeros((31, NUM_ENVS))),
    "no envs": core(num_envs=0),
    "no rows": core(num_rows=0),
    "half a block": core(num_rows=17),
    "more rows than a blob has": core(num_rows=2048),
    "a third axis": {n: a[..., None] for n, a in core().items()},
    "no axis": {n: a[0, 0] for n, a in core().items()},
}


@pytest.mark.parametrize("name", WRONG_STEPS)
def test_step_data_of_other_columns_is_damaged(path, name):
    write_cell(
        path, Cell("steps", "data", "block = 0"), pack_columns(WRONG_STEPS[name], [])
    )

    with pytest.warns(rv.RolloutViewerWarning, match="expected intact step data"):
        cache = rv.open(path)

    assert cache.at(35, 0).reward == 35
    with pytest.raises(rv.RecordingError):
        cache.at(3, 0)
    cache.close()


def packed(arrays: dict) -> bytes:
    return zstandard.ZstdCompressor().compress(save(arrays))


ROW = {"row": np.zeros((32, 0), np.uint8)}
WRONG_EXTRAS: dict[str, dict] = {
    "of other envs": {"extra/0/a": np.zeros((1, 7)), "extra/0": np.zeros(1, np.int32)},
    "of no env": {"extra/0/a": np.zeros(1), "extra/0": np.zeros(1, np.int32)},
    "of a row before 0": {
        "extra/0/a": np.zeros((1, NUM_ENVS)),
        "extra/0": np.full(1, -1, np.int32),
    },
    "of a row after the last": {
        "extra/0/a": np.zeros((1, NUM_ENVS)),
        "extra/0": np.full(1, 32, np.int32),
    },
    "without its rows": {"extra/0/a": np.zeros((1, NUM_ENVS))},
    "of rows that are no list": {
        "extra/0/a": np.zeros((1, NUM_ENVS)),
        "extra/0": np.zeros((1, 1), np.int32),
    },
    "of fewer rows": {
        "extra/0/a": np.zeros((2, NUM_ENVS)),
        "extra/0": np.zeros(1, np.int32),
    },
}


@pytest.mark.parametrize("name", WRONG_EXTRAS)
def test_data_of_other_rows_or_envs_is_damaged(path, name):
    cell = Cell("extras", "data", "block = 0")
    write_cell(path, cell, packed({**ROW, **WRONG_EXTRAS[name]}))
    cache = rv.open(path)

    with pytest.raises(rv.RecordingError, match="intact step data"):
        cache.at(3, 0)

    assert cache.at(35, 0)["obs"][0] == 35
    cache.close()


HEADERS = [
    b"",
    b"[]",
    b"3",
    b"{",
    b"[" * 10_000,
    b'{"a": 3}',
    b'{"a": {}}',
    b'{"a": {"dtype": "O", "shape": [], "data_offsets": [0, 0]}}',
    b'{"a": {"dtype": ["U8"], "shape": [], "data_offsets": [0, 1]}}',
    b'{"a": {"dtype": "U8", "shape": 3, "data_offsets": [0, 3]}}',
    b'{"a": {"dtype": "U8", "shape": [-3], "data_offsets": [0, 3]}}',
    b'{"a": {"dtype": "U8", "shape": [true], "data_offsets": [0, 1]}}',
    b'{"a": {"dtype": "U8", "shape": [1e3], "data_offsets": [0, 3]}}',
    b'{"a": {"dtype": "U8", "shape": [3], "data_offsets": [0]}}',
    b'{"a": {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]}}',
    b'{"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 900]}}',
    b'{"a": {"dtype": "U8", "shape": [0, 999999999999999], "data_offsets": [0, 0]}}',
    b'{"a": {"dtype": "U8", "shape": [0, 9999999999, 9999999999], '
    b'"data_offsets": [0, 0]}}',
    b'{"a": {"dtype": "U8", "shape": [' + b"1," * 99 + b'1], "data_offsets": [0, 1]}}',
    b'{"\xff": 1}',
]


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_of_something_else_is_named(header):
    data = struct.pack("<Q", len(header)) + header

    with pytest.raises(ValueError, match="."):
        read_tensors(data)
    with pytest.raises(ValueError, match="."):
        read_tensors(data + bytes(3))


def test_our_reader_of_arrays_reads_what_the_library_writes():
    arrays = {
        dtype: np.arange(12).astype(dtype).reshape(3, 4)
        for dtype in [
            "?",
            "u1",
            "i1",
            "u2",
            "i2",
            "u4",
            "i4",
            "u8",
            "i8",
            "f2",
            "f4",
            "f8",
        ]
    }
    arrays["empty"] = np.zeros((3, 0), np.int8)
    arrays["one"] = np.array(3.5)

    found = read_tensors(save(arrays))

    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert json.loads(json.dumps(sorted(found))) == sorted(arrays)


# -- chunks: intact, but not what the database says


PIXELS = bytes(6 * 8 * 3)
WRONG_CHUNKS = {
    "of another size": pack(5, 8, 0, [RAW] * 32, [bytes(5 * 8 * 3)] * 32),
    "of one pixel": pack(1, 1, 0, [RAW] * 32, [bytes(3)] * 32),
    "of a later piece": pack(6, 8, 3, [RAW] * 29, [PIXELS] * 29),
    "of raw records of another size": pack(6, 8, 0, [RAW] * 32, [b"abc"] * 32),
    "of records that do not decode": pack(6, 8, 0, [INTRA] * 32, [b"abc"] * 32),
    "of deltas alone": pack(6, 8, 0, [3] * 32, [b"abc"] * 32),
    "of no known kind": pack(6, 8, 0, [7] * 32, [b""] * 32),
}


@pytest.mark.parametrize("name", WRONG_CHUNKS)
def test_a_chunk_of_something_else_is_damaged(path, name):
    chunk = WRONG_CHUNKS[name]
    with editing(path) as connection:
        directory = with_checksum(struct.pack("<III", 0, 0, len(chunk)))
        connection.execute(
            "UPDATE packs SET directory = ?, data = ? WHERE id = 0", (directory, chunk)
        )
    cache = rv.open(path)

    with pytest.raises(rv.RecordingError):
        cache[5, 0]

    assert cache[35, 0].any()
    read_forged(path, name)
    cache.close()


@pytest.mark.parametrize("count", [0, 5])
def test_a_chunk_of_too_few_records_shows_no_picture(path, count):
    chunk = pack(6, 8, 0, [ABSENT] * count, [b""] * count)
    with editing(path) as connection:
        directory = with_checksum(struct.pack("<III", 0, 0, len(chunk)))
        connection.execute(
            "UPDATE packs SET directory = ?, data = ? WHERE id = 0", (directory, chunk)
        )
    cache = rv.open(path)

    assert not cache.is_shown(31, 0)
    parse(chunk)
    read_forged(path, count)
    cache.close()


@pytest.mark.parametrize(
    "takes",
    [
        "3",
        "{}",
        "[3, null, []]",
        '[{"name": "x"}]',
        '[{"start": 0}]',
        '[{"name": 3, "start": 0}]',
        '[{"name": "x", "start": "0"}]',
        '[{"name": "x", "start": 0, "stop": []}]',
        '[{"name": "x", "start": 0, "fps": -1}]',
        '[{"name": "../out", "start": 0, "stop": 9, "overwrite": true}]',
        '[{"name": "/tmp/out", "start": 0, "stop": 9}]',
        '[{"name": "", "start": 0}]',
    ],
)
def test_a_list_of_unfinished_videos_writes_none_elsewhere(path, takes):
    folder = path.parent / "videos"
    folder.mkdir()
    shutil.move(path, folder / f"x{SUFFIX}")
    sql = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
    with editing(folder / f"x{SUFFIX}") as connection:
        connection.execute(sql, (PENDING_KEY, takes))

    written = finish_videos(folder, where="test")

    assert all(one.is_relative_to(folder) for one in written)
    assert bool(written) == ("out" in takes)
    assert not list(folder.parent.glob("*.mp4"))


def test_the_end_of_a_text_that_is_no_utf8(path):
    with editing(path) as connection:
        connection.execute(
            "UPDATE slots SET camera = CAST(x'ff80' AS TEXT) WHERE slot = 0"
        )
        connection.execute(
            "UPDATE meta SET value = CAST(x'22ff22' AS TEXT) WHERE key = 'session'"
        )

    read_forged(path, "no UTF-8")
