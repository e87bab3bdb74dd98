"""Fuzzing guided by coverage, where atheris is installed: no dependency of ours.

python -m tests.faults.guided SECONDS SEED. The first byte of an input says what reads
the others: chunks with a right checksum, arrays, or packed step data.
"""

from __future__ import annotations

import contextlib
import pathlib
import sys
import tempfile

import zstandard

try:
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]
except ImportError as error:  # pytest looks for doctests here too
    import pytest

    pytest.skip(str(error), allow_module_level=True)

with atheris.instrument_imports(include=["rollout_viewer"]):
    import rollout_viewer as rv
    from rollout_viewer._frames.checksum import with_checksum
    from rollout_viewer._recording.cells import parse_json
    from rollout_viewer._recording.tensors import read_tensors
    from tests.faults import fuzzing

# libFuzzer's own limits, of a case.
TIMEOUT_S = 20
MEMORY_MB = 3000


def one(data: bytes) -> None:
    kind, rest = data[:1], data[1:]
    with contextlib.suppress(rv.RecordingError, ValueError):
        if kind < b"\x40":
            fuzzing.read_chunk(with_checksum(rest))
        elif kind < b"\x80":
            read_tensors(rest)
        elif kind < b"\xc0":
            fuzzing.read_blob(zstandard.ZstdCompressor().compress(rest))
        else:
            parse_json(rest.decode("utf-8", "replace"))


def seeds() -> list[bytes]:
    """Return the corpus, each with the byte that says what reads it."""
    unpack = zstandard.ZstdDecompressor().decompress
    chunks = [b"\x00" + data[:-4] for data in fuzzing.corpus("chunk")]
    blobs = [unpack(data) for data in fuzzing.corpus("blob")]
    return [
        *chunks,
        *(first + data for first in (b"\x40", b"\x80") for data in blobs),
        b'\xc0{"seed": 3, "labels": {"a": [1.5, null, true]}}',
    ]


def main(seconds: str, seed: str) -> None:
    folder = pathlib.Path(tempfile.mkdtemp())
    for number, data in enumerate(seeds()):
        (folder / str(number)).write_bytes(data)
    limits = [f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MB}"]
    limits.append(f"-artifact_prefix={folder}/")
    options = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=3000"]
    atheris.Setup([sys.argv[0], *limits, *options, str(folder)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
