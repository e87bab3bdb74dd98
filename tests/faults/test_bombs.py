"""A small file never takes much memory or time, and opening a file never waits.

Each case reads a file in a process of its own, whose memory is limited: in this one,
other tests' memory would count.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import zstandard

import rollout_viewer as rv
from rollout_viewer._frames.chunk import INTRA, pack
from rollout_viewer._frames.zstd_blocks import rle_blocks
from tests.faults.recordings import (
    NUM_ENVS,
    Cell,
    editing,
    make_recording,
    write_cell,
)
from tests.faults.survival import survives

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [
    survives(
        "a file that is made to harm: of any size, with programs, a FIFO",
        kept="the process and its memory",
        lost="nothing",
        seen="`RecordingError`, before anything is allocated",
    ),
    pytest.mark.skipif(os.name != "posix", reason="resource limits"),
]

# What reading one may add, beside the interpreter and its libraries.
MAX_BYTES = 700_000_000
# Of all of them together.
TIMEOUT_S = 60
READ = """
import json, pathlib, resource, sys
import rollout_viewer as rv
from tests.faults.recordings import make_recording, read_all

read_all(make_recording(pathlib.Path(sys.argv[1])))  # imports what is needed
for name in sys.argv[2:]:
    print(json.dumps([name, "waits for ever", 0]), flush=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        if name.endswith((".mp4", ".gif")):
            rv.open(name)
        else:
            read_all(pathlib.Path(name))
        found = "read"
    except rv.RecordingError as error:
        found = f"RecordingError: {error}"
    used = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    print(json.dumps([name, found, used]), flush=True)
"""


@pytest.fixture(scope="module")
def intact(tmp_path_factory) -> pathlib.Path:
    return make_recording(tmp_path_factory.mktemp("intact") / "x.rollout")


@pytest.fixture
def path(intact, tmp_path) -> pathlib.Path:
    return pathlib.Path(shutil.copyfile(intact, tmp_path / "x.rollout"))


def zeros_as_zstd(num_bytes: int, head: bytes = b"") -> bytes:
    """Return a zstd frame of `head` and zeros, made without making the zeros."""
    header = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", num_bytes)
    raw = struct.pack("<I", len(head) << 3)[:3] + head if head else b""
    return header + raw + rle_blocks(0, num_bytes - len(head), is_last=True)


def tensors(header: dict) -> bytes:
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def step_bomb(num_envs: int, num_rows: int = 32) -> bytes:
    """Return step data of many envs: all zeros, a valid blob."""
    n, at, header = num_rows * num_envs, 0, {}
    for name, dtype, size in (
        ("kind", "U8", 1),
        ("flags", "U8", 1),
        ("reward", "F64", 8),
        ("env_step", "U32", 4),
    ):
        shape = [num_rows, num_envs]
        header[name] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [at, at + n * size],
        }
        at += n * size
    head = tensors(header)
    return zeros_as_zstd(len(head) + at, head)


def huge_chunk(path: pathlib.Path, height: int, width: int) -> None:
    records = [rle_blocks(0, 20_000 * 20_000 * 3, is_last=True)]
    chunk = pack(height, width, 0, [INTRA], records)
    write_cell(path, Cell("packs", "data", "id = 0"), chunk)


def many_rows_without_bytes(path: pathlib.Path) -> None:
    header = {"row": {"dtype": "U8", "shape": [1 << 30, 0], "data_offsets": [0, 0]}}
    bomb = zstandard.ZstdCompressor().compress(tensors(header))
    write_cell(path, Cell("extras", "data", "block = 0"), bomb)


def huge_slots(path: pathlib.Path) -> None:
    with editing(path) as connection:
        connection.execute("UPDATE slots SET height = 65535, width = 65535")


def many_large_slots(path: pathlib.Path) -> None:
    with editing(path) as connection:
        connection.executemany(
            "INSERT INTO slots VALUES (?, 0, 'c' || ?, 9000, 9000, 0)",
            [(n, n) for n in range(NUM_ENVS, 500)],
        )


def nested_json(path: pathlib.Path) -> None:
    deep = "[" * 1_000_000 + "]" * 1_000_000
    write_cell(path, Cell("meta", "value", "key = 'metadata'"), deep)


def endless_tree(path: pathlib.Path) -> None:
    """Interior pages whose children are all the same page, twelve levels deep."""
    with editing(path) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'steps'"
        ).fetchone()
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        (count,) = connection.execute("PRAGMA page_count").fetchone()
    data = bytearray(path.read_bytes())
    leaf = bytes(data[(root - 1) * page_size : root * page_size])

    def interior(child: int) -> bytes:
        cells = 300
        page = bytearray(page_size)
        page[0] = 5
        page[3:5] = struct.pack(">H", cells)
        page[5:7] = struct.pack(">H", page_size - 5 * cells)
        page[8:12] = struct.pack(">I", child)
        for i in range(cells):
            at = page_size - 5 * (i + 1)
            page[at : at + 5] = struct.pack(">IB", child, 127)
            page[12 + 2 * i : 14 + 2 * i] = struct.pack(">H", at)
        return bytes(page)

    pages = [leaf] + [interior(count + 1 + i) for i in range(12)]
    data += b"".join(pages)
    data[(root - 1) * page_size : root * page_size] = interior(count + len(pages))
    data[28:32] = struct.pack(">I", count + len(pages))
    path.write_bytes(data)


def huge_gif(path: pathlib.Path) -> None:
    # A GIF's first picture may be as large as its head says.
    head = b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0x80, 0, 0) + bytes(6)
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, 65_535, 65_535, 0)
    path.write_bytes(head + picture + b"\x02\x02\x4c\x01\x00\x3b")


def fifo_at(path: pathlib.Path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def blob_in(table: str, data: bytes) -> Callable[[pathlib.Path], None]:
    return lambda path: write_cell(path, Cell(table, "data", "block = 0"), data)


class Bomb(NamedTuple):
    """How it is made, its suffix, and what the error says."""

    make: Callable[[pathlib.Path], None]
    match: str
    suffix: str = ".rollout"


BOMBS = {
    "step data": Bomb(
        lambda path: blob_in("steps", step_bomb(5_000_000))(path), "intact step data"
    ),
    "extras": Bomb(blob_in("extras", zeros_as_zstd(3 << 30)), "intact step data"),
    "a header": Bomb(
        blob_in("steps", zeros_as_zstd(1 << 28, struct.pack("<Q", 1 << 27))),
        "intact step data",
    ),
    "rows without bytes": Bomb(many_rows_without_bytes, "intact step data"),
    "a chunk": Bomb(lambda path: huge_chunk(path, 20_000, 20_000), "intact chunk"),
    "a larger chunk": Bomb(lambda path: huge_chunk(path, 65_535, 65_535), "intact"),
    "a chunk of nothing": Bomb(lambda path: huge_chunk(path, 0, 8), "intact chunk"),
    "slots": Bomb(huge_slots, "a picture's bytes"),
    "many slots": Bomb(many_large_slots, "read"),
    "nested JSON": Bomb(nested_json, "read"),
    "a tree of pages": Bomb(endless_tree, "RecordingError"),
    "a GIF": Bomb(huge_gif, "RecordingError", ".gif"),
    "a FIFO": Bomb(fifo_at, "is a FIFO"),
    "a FIFO called video": Bomb(fifo_at, "is a FIFO", ".mp4"),
    "a FIFO beside it": Bomb(lambda path: os.mkfifo(f"{path}-wal"), "is a FIFO"),
}


@pytest.fixture(scope="module")
def results(intact, tmp_path_factory) -> dict[str, tuple[str, int]]:
    """What reading each in turn printed, and how much memory it added."""
    folder = tmp_path_factory.mktemp("bombs")
    paths = {}
    for number, (name, bomb) in enumerate(BOMBS.items()):
        paths[name] = folder / f"{number}{bomb.suffix}"
        shutil.copyfile(intact, paths[name])
        bomb.make(paths[name])
    command = [sys.executable, "-c", READ, str(folder / "warm.rollout")]
    try:
        done = subprocess.run(
            [*command, *map(str, paths.values())],
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        printed, errors = done.stdout, done.stderr.decode()[-2000:]
    except subprocess.TimeoutExpired as error:
        printed, errors = error.stdout or b"", "it took too long"
    found = {path: what for path, *what in map(json.loads, printed.splitlines())}
    return {n: found.get(str(path), (errors, 0)) for n, path in paths.items()}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_takes_little_memory_and_time(results, name):
    found, used = results[name]

    assert BOMBS[name].match in found
    assert used < MAX_BYTES, f"{used / 1e9:.2f} GB"


def test_many_blocks_of_step_data_that_unpack_to_gigabytes(path, monkeypatch):
    # As in a file of GBs, in a hundredth of the time.
    monkeypatch.setattr("rollout_viewer._recording.stored_rows._MIN_BOUND_BYTES", 10**7)
    bomb = step_bomb(20_000)
    with editing(path) as connection:
        connection.execute("DELETE FROM steps")
        connection.execute("DELETE FROM tail")
        connection.executemany(
            "INSERT INTO steps VALUES (?, ?)", [(n, bomb) for n in range(60)]
        )

    with pytest.warns(rv.RolloutViewerWarning, match="GB in a file of its size"):
        cache = rv.open(path)

    assert 0 < cache.num_rows < 10 * 32
    cache.close()


def test_many_slots_of_large_frames_are_not_drawn_in_one_poster(path):
    with editing(path) as connection:
        connection.executemany(
            "INSERT INTO slots VALUES (?, 0, 'c' || ?, 9000, 9000, 0)",
            [(n, n) for n in range(NUM_ENVS, 5)],
        )
        connection.execute("UPDATE slots SET camera = 'pixels', env = slot % 2")
        connection.execute("UPDATE slots SET height = 9000, width = 9000")

    with pytest.warns(rv.RolloutViewerWarning, match="sizes has a wrong checksum"):
        cache = rv.open(path)
    viewer = rv.view(cache)

    assert viewer._poster() is None
    viewer.close()
    cache.close()


# -- databases


VIEW = """
DROP TABLE {name};
CREATE VIEW {name} AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
SELECT {columns} FROM n;
"""
HOSTILE = {
    "view of meta": VIEW.format(name="meta", columns="i AS key, '1' AS value"),
    "view of steps": VIEW.format(name="steps", columns="i AS block, x'00' AS data"),
    "trigger": "CREATE TRIGGER t AFTER INSERT ON episodes BEGIN SELECT 1; END;",
    "another table": "CREATE TABLE more (x)",
    "another index": "CREATE INDEX more ON packs (data)",
    "a generated column": (
        "DROP TABLE slots; CREATE TABLE slots (slot INTEGER PRIMARY KEY, env INTEGER, "
        "camera TEXT, height INTEGER, width INTEGER AS (1 + env), is_shared INTEGER)"
    ),
    "a virtual table": "DROP TABLE meta; CREATE VIRTUAL TABLE meta USING fts5(key)",
    "a table that is missing": "DROP TABLE extras",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_database_of_other_tables_is_refused(path, name):
    with editing(path) as connection:
        connection.executescript(HOSTILE[name])

    with pytest.raises(rv.RecordingError, match="other tables than a recording's"):
        rv.open(path)


# -- what is no file


@pytest.mark.parametrize("link", ["x.mp4", "x.rollout"])
def test_a_device_or_a_folder_is_refused(tmp_path, link):
    (tmp_path / link).symlink_to("/dev/zero")
    with pytest.raises(rv.RecordingError, match="is a device"):
        rv.open(tmp_path / link)
    (tmp_path / f"folder.{link}").mkdir()
    with pytest.raises(rv.RecordingError, match="is a folder"):
        rv.open(tmp_path / f"folder.{link}")
    with pytest.raises(rv.RecordingError, match="does not exist|cannot be opened"):
        rv.open(str(tmp_path / "no\0thing"))


# -- videos


def test_a_list_of_other_files_is_no_video(tmp_path):
    cache = rv.FrameCache()
    cache.append(np.zeros((32, 32, 3), np.uint8))
    cache.clip().write(tmp_path / "secret.mp4")
    (tmp_path / "x.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")

    with pytest.raises(rv.RecordingError, match="expected a video"):
        rv.open(tmp_path / "x.mp4")


def test_a_vacuumed_recording_is_one(path):
    connection = sqlite3.connect(path)
    connection.execute("VACUUM")
    connection.close()

    rv.open(path).close()
