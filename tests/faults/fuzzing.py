"""Fuzzing of what reads a file: python -m tests.faults.fuzzing KIND,... SECONDS SEED

Takes a part of tests/faults/corpus, changes it as Hypothesis chooses, and reads it: it
gives values or raises RecordingError. The process has a limit of memory, each case one
of time. A case that breaks a rule is made as small as possible, and printed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import importlib
import json
import pathlib
import sys
import tempfile
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import rollout_viewer as rv
from rollout_viewer._frames.checksum import with_checksum
from rollout_viewer._frames.chunk import parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._recording.step_codec import unpack_columns, unpack_core
from tests.faults.recordings import Cell, cells_of, read_all, read_cell, write_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CORPUS = pathlib.Path(__file__).parent / "corpus"
# Beside what the process has when it begins.
MAX_BYTES = 2_000_000_000
# Of one case, on a busy machine; the slowest takes a tenth of a second.
CASE_S = 20
EXAMPLES_AT_ONCE = 100

Edit = tuple[str, int, int]
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "byte", "u32", "cut", "drop", "repeat", "splice"]),
        st.integers(0, 1 << 16),
        st.one_of(
            st.integers(0, 255),
            st.sampled_from([0, 1, 1 << 16, 1 << 24, 1 << 31, (1 << 32) - 1]),
        ),
    ),
    min_size=1,
    max_size=5,
)


def mutate(data: bytes, edits: Sequence[Edit], other: bytes = b"") -> bytes:
    """Return `data` after some edits, each (what, where, value)."""
    now = bytearray(data)
    for what, where, value in edits:
        at = where % max(len(now), 1)
        if what == "flip" and now:
            now[at] ^= 1 << value % 8
        elif what == "byte" and now:
            now[at] = value & 255
        elif what == "u32":
            now[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
        elif what == "cut":
            del now[at:]
        elif what == "drop":
            del now[at : at + value % 64]
        elif what == "repeat":
            now[at:at] = now[at : at + value % 64]
        elif what == "splice" and other:
            begin = value % len(other)
            now[at:at] = other[begin : begin + 64]
    return bytes(now)


def corpus(suffix: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(CORPUS.glob(f"*.{suffix}"))]


# -- what is fuzzed


def watched(case: Callable[..., None]) -> Callable[..., None]:
    """End the process, with a traceback, where a case takes too long."""

    @functools.wraps(case)
    def timed(*args: Any, **kwargs: Any) -> None:
        faulthandler.dump_traceback_later(CASE_S, exit=True)
        try:
            case(*args, **kwargs)
        finally:
            faulthandler.cancel_dump_traceback_later()

    return timed


def read_chunk(data: bytes) -> None:
    chunk = parse(data)
    if chunk.height * chunk.width > 1 << 20:
        return  # larger than its slot: refused before it is decoded
    decoder = ChunkDecoder(chunk)
    out = np.empty((chunk.height, chunk.width, 3), np.uint8)
    for index in [*range(len(chunk.kinds)), *range(len(chunk.kinds))[:1]]:
        decoder.has_picture(index)
        decoder.read(index, out)
        chunk.is_repeated(index)


def read_blob(data: bytes) -> None:
    for read in (
        lambda: unpack_core(data, where="fuzz"),
        lambda: unpack_core(data, where="fuzz", num_envs=2, num_rows=2),
        lambda: unpack_columns(data, where="fuzz", num_envs=2),
    ):
        with contextlib.suppress(rv.RecordingError):
            read()


def chunk_case() -> Callable[..., None]:
    parts = corpus("chunk")

    @given(st.sampled_from(parts), EDITS, st.sampled_from(parts), st.booleans())
    @watched
    def case(data: bytes, edits: list[Edit], other: bytes, is_repaired: bool) -> None:
        data = mutate(data, edits, other)
        with contextlib.suppress(rv.RecordingError):
            read_chunk(with_checksum(data[:-4]) if is_repaired else data)

    return case


def repacked(data: bytes, edits: Sequence[Edit]) -> bytes:
    """Return a blob of which what is packed in it was edited."""
    inner = zstandard.ZstdDecompressor().decompress(data)
    return zstandard.ZstdCompressor().compress(mutate(inner, edits))


def blob_case() -> Callable[..., None]:
    parts = corpus("blob")

    @given(st.sampled_from(parts), EDITS, st.sampled_from(parts), st.booleans())
    @watched
    def case(data: bytes, edits: list[Edit], other: bytes, is_repaired: bool) -> None:
        read_blob(repacked(data, edits) if is_repaired else mutate(data, edits, other))

    return case


def file_case() -> Callable[..., None]:
    (whole,) = corpus("rollout")
    folder = pathlib.Path(tempfile.mkdtemp())
    path = folder / "x.rollout"

    @given(EDITS)
    @watched
    def case(edits: list[Edit]) -> None:
        path.write_bytes(mutate(whole, edits, whole))
        read(path)

    return case


def cell_case() -> Callable[..., None]:
    (whole,) = corpus("rollout")
    path = pathlib.Path(tempfile.mkdtemp()) / "x.rollout"
    path.write_bytes(whole)
    cells = cells_of(path)
    values = {cell: read_cell(path, cell) for cell in cells}
    anything = st.one_of(
        st.none(),
        st.integers(-(1 << 62), 1 << 62),
        st.floats(),
        st.binary(max_size=40),
        st.text(max_size=20).map(lambda text: text.encode("utf-8", "ignore").decode()),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3),
                st.dictionaries(st.text(max_size=5), inner, max_size=3),
            ),
        ).map(_json),
    )

    @given(st.sampled_from(cells), EDITS, st.booleans(), st.booleans(), anything)
    @watched
    def case(
        cell: Cell, edits: list[Edit], is_other: bool, is_repaired: bool, other: Any
    ) -> None:
        path.write_bytes(whole)
        write_cell(path, cell, other if is_other else edited(cell, edits, is_repaired))
        read(path)

    def edited(cell: Cell, edits: list[Edit], is_repaired: bool) -> Any:
        value = values[cell]
        if isinstance(value, str):
            return mutate(value.encode(), edits).decode("latin-1")
        if not is_repaired:
            return mutate(value, edits)
        if cell.column == "directory":
            return with_checksum(mutate(value[:-4], edits))
        if cell.table in ("steps", "extras") or cell.column == "steps":
            return repacked(value, edits)
        return with_checksum(mutate(value, edits)[:-4])

    return case


def _json(value: Any) -> str:
    return json.dumps(value)


def read(path: pathlib.Path) -> None:
    with contextlib.suppress(rv.RecordingError):
        read_all(path)


CASES = {
    "chunk": chunk_case,
    "blob": blob_case,
    "file": file_case,
    "cell": cell_case,
}


# -- running


def limit_memory() -> None:
    import resource

    pages = int(pathlib.Path("/proc/self/statm").read_text("ascii").split()[0])
    limit = pages * resource.getpagesize() + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(kinds: str, seconds: float, first_seed: int) -> None:
    importlib.import_module("rollout_viewer._viewer.widget")
    warnings.simplefilter("ignore")
    if sys.platform == "linux":
        limit_memory()
    for kind in kinds.split(","):
        fuzz(kind, seconds, first_seed)


def fuzz(kind: str, seconds: float, first_seed: int) -> None:
    stop, number = time.monotonic() + seconds, first_seed
    options = settings(
        max_examples=EXAMPLES_AT_ONCE if seconds > 10 else 15,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    while number == first_seed or time.monotonic() < stop:
        seed(number)(options(CASES[kind]()))()
        number += 1
    print(f"{kind}: {number - first_seed} rounds")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))
