"""Writes what fuzzing starts from: python -m tests.faults.make_corpus

Tiny recordings, chunks and step data, of every kind of record, in tests/faults/corpus.
Written once and kept, so that later versions read what earlier ones wrote.
"""

from __future__ import annotations

import pathlib
import sqlite3
import tempfile

import numpy as np

from rollout_viewer._frames.chunk import FIRST, INTRA, PREV, pack, parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.scratch import Scratch
from tests.faults.recordings import editing, make_recording

CORPUS = pathlib.Path(__file__).parent / "corpus"
_PAGE_BYTES = 512


def main() -> None:
    CORPUS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = make_recording(pathlib.Path(folder) / "x.rollout", 34)
        shrink(path)
        (CORPUS / "tiny.rollout").write_bytes(path.read_bytes())
        with editing(path) as connection:
            cells = {
                "steps": "SELECT data FROM steps",
                "extras": "SELECT data FROM extras",
                "tail": "SELECT steps FROM tail",
            }
            for name, sql in cells.items():
                (blob,) = connection.execute(sql).fetchone()
                (CORPUS / f"{name}.blob").write_bytes(blob)
            (chunks,) = connection.execute("SELECT data FROM packs").fetchone()
    first = chunks[: len(chunks) // 2]
    for stop in range(len(first) - 60, len(chunks)):
        try:
            parse(chunks[:stop])
        except OSError:
            continue
        (CORPUS / "recorded.chunk").write_bytes(chunks[:stop])
        break
    (CORPUS / "each_kind.chunk").write_bytes(chunk_of_each_kind())


def shrink(path: pathlib.Path) -> None:
    """Use the smallest pages: a table takes one, however little it holds."""
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
    connection.execute("VACUUM")
    connection.close()


def chunk_of_each_kind() -> bytes:
    """Return a chunk of all kinds of records, whole numbers of words or not."""
    rng = np.random.default_rng(1)
    scratch = Scratch(5, 7)
    frame = np.zeros((5, 7, 3), np.uint8)
    now = scratch.words(frame)
    before, first = np.empty_like(now), np.empty_like(now)
    whole = (0, len(now))
    kinds, records = [5], [b""]
    for number in range(12):
        before[...] = now
        frame[rng.integers(5), rng.integers(7)] = rng.integers(0, 255, 3)
        if number == 0:
            first[...] = now
        kind = (INTRA, PREV, FIRST, 1, 0)[number % 5]
        if kind == 0:
            now[...] = before
        made = {
            0: b"\0" if number == 4 else b"",
            1: frame.tobytes(),
            INTRA: scratch.intra(now, *whole),
            PREV: scratch.delta(now, before, *whole),
            FIRST: scratch.delta(now, first, *whole),
        }
        record = made[kind]
        kinds.append(kind)
        records.append(record)
    chunk = pack(5, 7, 0, kinds, records, repeated_row=1)
    decoder = ChunkDecoder(parse(chunk))
    out = np.empty((5, 7, 3), np.uint8)
    assert [decoder.read(i, out) for i in range(13)] == [False] + [True] * 12
    return chunk


if __name__ == "__main__":
    main()
