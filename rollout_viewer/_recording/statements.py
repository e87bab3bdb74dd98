"""The SQL statements that write a recording, as data."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.checksum import CHECKSUM_BYTES, is_intact
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.placed import is_placed, place, unplace
from rollout_viewer._recording.sealed_text import seal
from rollout_viewer._recording.step_codec import pack_core

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.step_codec import StackedExtras


# A database page for each tiny chunk costs 1.3x: chunks share a table row up to here.
_PACK_BYTES = 64 * 1024
# Opening reads all core step data, in time proportional to the number of blobs rather
# than to their size. Values of many envs fill a blob sooner.
RUN_BLOCKS = 32
_RUN_VALUES = 64 * 1024

# Rows of one statement, which is prepared once for each number of them.
_MAX_TOGETHER = 32

# Of the packs of a block, numbered with 16 bits.
_LAST_PACK = 0xFFFF

Statement = tuple[str, Sequence[Any]]

_INSERT_STEPS = "INSERT OR REPLACE INTO steps VALUES (?, ?)"
_DELETE_TAIL = "DELETE FROM tail WHERE block <= ?"


class Tail(NamedTuple):
    """Rows of the open block: step data, and a piece of a chunk for each slot."""

    block: int
    start: int
    num_rows: int
    steps: bytes
    pieces: list[tuple[int, bytes]]


def pack_statements(
    block: int, chunks: Iterable[tuple[int, bytes]], *, is_apart: bool = False
) -> list[Statement]:
    """Store the pictures of a sealed block: (slot, chunk) pairs.

    `is_apart`: each in a row of its own, whose n is the slot, for `delete_statements`.
    """
    if is_apart:
        return [
            _pack_statement(block << 16 | slot, [(slot, chunk)])
            for slot, chunk in chunks
        ]
    return [
        _pack_statement(block << 16 | n, pack) for n, pack in enumerate(_packs(chunks))
    ]


def delete_statements(chunks: Iterable[tuple[int, int]]) -> list[Statement]:
    """Delete chunks, (block, slot), that were stored apart."""
    return [
        ("DELETE FROM packs WHERE id = ?", (block << 16 | slot,))
        for block, slot in chunks
    ]


def run_blocks(num_envs: int) -> int:
    """Return how many blocks share a row of `steps` once they are full."""
    return RUN_BLOCKS if num_envs * RUN_BLOCKS * 32 <= _RUN_VALUES else 1


def step_statements(rows: Rows, first: int, block: int) -> list[Statement]:
    """Store the core step data of the sealed blocks `first` to `block`.

    Deletes what was stored of them one by one, and their rows in the tail.
    """
    merged = [("DELETE FROM steps WHERE block > ? AND block <= ?", (first, block))]
    return [
        (_INSERT_STEPS, StepValues(rows, first, block + 1)),
        *(merged if first < block else []),
        (_DELETE_TAIL, (block,)),
    ]


class StepValues(Sequence[Any]):
    """The values of a row of `steps`, packed when they are written.

    By the thread that writes them: rows that are there never change.

    Args:
        rows: The step data of all rows.
        first: Block.
        stop: The block after the last one.
    """

    def __init__(self, rows: Rows, first: int, stop: int) -> None:
        self._rows, self._first, self._stop = rows, first, stop
        self._data = b""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        if not self._data:
            core = self._rows.block(self._first * CHUNK_ROWS, self._stop * CHUNK_ROWS)
            # Until the blocks of a run are merged.
            is_brief = self._stop - self._first < run_blocks(self._rows.num_envs)
            packed = pack_core(core, is_brief=is_brief)
            self._data = place(packed, "steps", self._first)
        return (self._first, self._data)[index]

    def joined(self, later: StepValues) -> StepValues | None:
        """Return both in one row; None: they are two."""
        if self._rows is not later._rows:
            return None
        if later._first <= self._first:  # a run that is merged
            return later
        run = run_blocks(self._rows.num_envs)
        is_next = later._first == self._stop
        if is_next and self._first // run == (later._stop - 1) // run:
            return StepValues(self._rows, self._first, later._stop)
        return None


def joined_steps(statements: Sequence[Statement]) -> list[Statement]:
    """Return fewer statements that do the same in one transaction.

    Step data of blocks that follow each other becomes one row, where it may be one.
    """
    found: list[Statement | None] = [*statements]
    before: tuple[int, StepValues] | None = None
    deleted = -1
    for number, (sql, values) in enumerate(statements):
        if isinstance(values, StepValues):
            joined = None if before is None else before[1].joined(values)
            if before is not None and joined is not None:
                found[before[0]], found[number] = None, (sql, joined)
            before = number, joined or values
        elif sql == _DELETE_TAIL:  # later ones delete what earlier ones do
            if deleted >= 0:
                found[deleted] = None
            deleted = number
    return [one for one in found if one is not None]


def extras_statement(block: int, extras: bytes) -> Statement:
    """Store actions and data of a sealed block."""
    data = place(extras, "extras", block)
    return "INSERT OR REPLACE INTO extras VALUES (?, ?)", (block, data)


def late_chunk_statement(block: int, slot: int, chunk: bytes) -> Statement:
    """Store pictures of a slot that came after the others of their block.

    In a row of its own, which those recorded at once never have: they count from 0.
    """
    return _pack_statement(block << 16 | (_LAST_PACK - slot), [(slot, chunk)])


def extras_statements(
    extras: Sequence[tuple[int, bytes | StackedExtras]],
) -> list[Statement]:
    """Store actions and data of blocks, (block, bytes), in as few statements."""
    return [
        (_insert_extras(len(part)), _ExtrasValues(part))
        for at in range(0, len(extras), _MAX_TOGETHER)
        if (part := extras[at : at + _MAX_TOGETHER])
    ]


class _ExtrasValues(Sequence[Any]):
    """The values of rows of `extras`, packed by the thread that writes them."""

    def __init__(self, extras: Sequence[tuple[int, bytes | StackedExtras]]) -> None:
        self._extras = extras
        self._values: list[int | bytes] = []

    def __len__(self) -> int:
        return 2 * len(self._extras)

    def __getitem__(self, index: Any) -> Any:
        if not self._values:
            values: list[int | bytes] = []
            for block, given in self._extras:
                data = given if isinstance(given, bytes) else given.pack()
                values += [block, place(data, "extras", block)]
            self._values = values
        return self._values[index]


@functools.lru_cache(maxsize=64)
def _insert_extras(count: int) -> str:
    return "INSERT OR REPLACE INTO extras VALUES " + ", ".join(["(?, ?)"] * count)


def start_statement(number: int, start: bytes) -> Statement:
    """Store from where an episode can be replayed, by `start_number`.

    Beside actions and data, which have the blocks from 0 on.
    """
    return extras_statement(-1 - number, start)


def start_statements(starts: Iterable[tuple[int, bytes]]) -> list[Statement]:
    """Store (number, start) of episodes, in as few statements."""
    return extras_statements([(-1 - number, start) for number, start in starts])


def start_number(env: int, index: int, num_envs: int) -> int:
    """Return the number of an episode among all of its recording."""
    return index * num_envs + env


def tail_statements(tail: Tail) -> list[Statement]:
    """Store rows of the open block."""
    key = tail.block, tail.start, tail.num_rows
    directory, data = _pack(tail.pieces, "tail", *key)
    row = *key, place(tail.steps, "tail", *key), directory, data
    return [
        (
            "INSERT INTO tail (block, start, num_rows, steps, directory, data) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )
    ]


def slot_statement(slot: int, info: Slot) -> Statement:
    """Store env, camera and size of a slot."""
    return "INSERT OR REPLACE INTO slots VALUES (?, ?, ?, ?, ?, ?)", (slot, *info)


def meta_statement(key: str, value: Any) -> Statement:
    """Store a JSON value under `key`."""
    text = seal(json.dumps(value), key)
    return "INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, text)


def is_meta(statement: Statement) -> bool:
    """Whether a statement is a `meta_statement`."""
    return statement[0].startswith("INSERT OR REPLACE INTO meta")


def episode_statement(env: int, index: int, info: dict[str, Any]) -> Statement:
    """Store seed, segment, options or labels of an episode."""
    return (
        "INSERT OR REPLACE INTO episodes VALUES (?, ?, ?)",
        (env, index, seal(json.dumps(info), episode_place(env, index))),
    )


def episode_place(env: object, index: object) -> str:
    """Return where an episode's information is stored, for its checksum."""
    return f"{env}/{index}"


def copy_statements(
    meta: Mapping[str, Any],
    slots: Iterable[Slot],
    infos: Mapping[tuple[int, int], dict[str, Any]],
) -> list[Statement]:
    """Store all that a recording holds beside rows and pictures.

    Args:
        meta: JSON values by key.
        slots: By number.
        infos: Of episodes, by (env, index).
    """
    return [
        *(meta_statement(key, value) for key, value in meta.items()),
        *(slot_statement(slot, info) for slot, info in enumerate(slots)),
        *(episode_statement(*key, info) for key, info in infos.items()),
    ]


def _pack_statement(number: int, chunks: Sequence[tuple[int, bytes]]) -> Statement:
    return (
        "INSERT OR REPLACE INTO packs VALUES (?, ?, ?)",
        (number, *_pack(chunks, "packs", number)),
    )


def _packs(chunks: Iterable[tuple[int, bytes]]) -> list[list[tuple[int, bytes]]]:
    packs: list[list[tuple[int, bytes]]] = []
    size = _PACK_BYTES
    for slot, chunk in chunks:
        if size + len(chunk) > _PACK_BYTES:
            packs.append([])
            size = 0
        packs[-1].append((slot, chunk))
        size += len(chunk)
    return packs


def _pack(
    chunks: Sequence[tuple[int, bytes]], table: str, *key: int
) -> tuple[bytes, bytes]:
    if not chunks:
        return place(b"", table, *key), b""
    directory, offset = [], 0
    for slot, chunk in chunks:
        directory += [slot, offset, len(chunk)]
        offset += len(chunk)
    # Chunks have checksums of their own.
    index = np.array(directory, "<u4").tobytes()
    return place(index, table, *key), b"".join(chunk for _, chunk in chunks)


def unpack_directory(directory: bytes, table: str, *key: int) -> list[list[int]]:
    """Return [slot, offset, length] of each chunk in a pack.

    Args:
        directory: The bytes.
        table: In which they are stored.
        key: Under which they are stored.

    Raises:
        RecordingError: The bytes are damaged, or were stored elsewhere.
    """
    index = unplace(directory, table, *key)
    if index is not None and not is_placed(directory):  # of an earlier version
        index = index[:-CHECKSUM_BYTES] if is_intact(index) else None
    if index is None or len(index) % 12:
        raise RecordingError(
            "rollout_viewer: expected an intact list of chunks, got a wrong checksum. "
            "The rows around it are still readable."
        )
    entries: list[list[int]] = np.frombuffer(index, "<u4").reshape(-1, 3).tolist()
    return entries
