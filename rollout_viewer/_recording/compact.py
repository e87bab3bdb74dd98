"""Make a finished recording smaller: the same pictures and format, compressed more.

While recording, encoding a frame may cost a millisecond; afterwards it may cost more.
Each record is tried as intra, previous and first at a high zstd level, and the smallest
combination with no frame over `MAX_DECODES` is chosen. A record is a zstd frame of its
own whose window is the whole picture already, so zstd's long-distance mode would find
nothing more and is not used.
"""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._files.new_files import new_file
from rollout_viewer._frames.chunk import (
    ABSENT,
    CHUNK_ROWS,
    EQUAL,
    FIRST,
    INTRA,
    PREV,
    RAW,
    Chunk,
    pack,
    parse,
)
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import MAX_DECODES
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._recording.database import checkpoint
from rollout_viewer._recording.file import FileRecording
from rollout_viewer._recording.lock import locked

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Frames = npt.NDArray[np.uint8]

# 256 frames of CartPole, Pendulum and Breakout lose 27, 17 and 48 % of their bytes
# at level 19, in 2, 7 and 0.5 s; 22 gains up to 3 % more in up to 11 times the time.
LEVEL = 19


class Compacted(NamedTuple):
    """Result of `compact`."""

    path: Path
    old_nbytes: int
    new_nbytes: int


def compact(path: str | os.PathLike[str], *, level: int = LEVEL) -> Compacted:
    """Compress a recording file more, in place; all its pictures and data stay.

    The new file replaces the old one after every picture and value was compared; if it
    is not smaller, the old one stays. 100 frames of 500x500 need one to three seconds.

    Args:
        path: A recording that is not being written.
        level: Of zstd, 1 to 22.

    Returns:
        The file, and its bytes before and after.

    Raises:
        RecordingLockedError: Another process is writing it.
        RecordingError: It is not a recording, or damaged; it is not changed.
        ExportError: The folder cannot be written.
    """
    if not 1 <= level <= 22:
        raise ValueError(f"compact: expected level in 1..22, got {level!r}.")
    path = Path(path)
    first = _Repacked(path, level)  # raises if it is not a recording
    first.release()
    if first.damage:
        # A copy would have what can be read, and the file would be gone.
        raise RecordingError(f"compact: {first.damage} The file was not changed.")
    with locked(path):
        _checkpoint(path)
        old_nbytes = path.stat().st_size
        with contextlib.ExitStack() as at_exit:
            old = FileRecording(path)
            at_exit.callback(old.release)
            repacked = _Repacked(path, level)
            at_exit.callback(repacked.release)
            new = at_exit.enter_context(new_file(path, where="compact", overwrite=True))
            repacked.save(new.part)
            _verify(old, new.part)
            if new.part.stat().st_size >= old_nbytes:
                # The old file replaces itself.
                shutil.copyfile(path, new.part)
            shutil.copymode(path, new.part)
    return Compacted(path, old_nbytes, path.stat().st_size)


class _Repacked(FileRecording):
    """A recording whose sealed chunks are compressed more as they are read."""

    def __init__(self, path: Path, level: int) -> None:
        super().__init__(path)
        self._level = level
        self._packers: dict[tuple[int, int], Scratch] = {}

    def chunk(self, block: int, slot: int, first: int = 0) -> bytes | None:
        """Return the chunk compressed more, or as it is if that is smaller."""
        old = super().chunk(block, slot, first)
        if old is None:
            return None
        parsed = parse(old, where=f"{self.path}, block {block}, slot {slot}")
        size = parsed.height, parsed.width
        if size not in self._packers:
            self._packers[size] = Scratch(*size, self._level)
        new = repack_chunk(parsed, self._packers[size])
        return new if len(new) < len(old) else old


def repack_chunk(chunk: Chunk, scratch: Scratch) -> bytes:
    """Return the same chunk in the fewest bytes that `scratch` finds."""
    reader = ChunkDecoder(chunk)
    frame = np.empty((chunk.height, chunk.width, 3), np.uint8)
    now = scratch.words(frame)
    last, first, whole = np.empty_like(now), np.empty_like(now), (0, len(now))
    indices = [i for i, kind in enumerate(chunk.kinds) if kind not in (EQUAL, ABSENT)]
    options: list[dict[int, bytes]] = []
    for number, index in enumerate(indices):
        reader.read(index, frame)
        options.append({RAW: frame.tobytes(), INTRA: scratch.intra(now, *whole)})
        if number == 0:
            first[...] = now
        for kind, base in ((PREV, last), (FIRST, first)):
            # The second frame's previous one is the first: PREV costs a decode less.
            if number > (kind == FIRST):
                options[-1][kind] = scratch.delta(now, base, *whole)
        last[...] = now
    kinds, records = list(chunk.kinds), [bytes(record) for record in chunk.records]
    for index, kind, found in zip(indices, _cheapest(options), options, strict=True):
        kinds[index], records[index] = kind, found[kind]
    return pack(
        chunk.height, chunk.width, chunk.first, kinds, records, chunk.repeated_row
    )


def _cheapest(options: Sequence[Mapping[int, bytes]]) -> list[int]:
    """Return the kinds with the fewest bytes, none over `MAX_DECODES`."""
    best: dict[int, tuple[int, list[int]]] = {0: (0, [])}
    for found in options:
        after: dict[int, tuple[int, list[int]]] = {}
        for depth, (nbytes, kinds) in best.items():
            for kind, record in found.items():
                reached = {RAW: 0, INTRA: 1, FIRST: 2, PREV: depth + 1}[kind]
                total = nbytes + len(record)
                if reached <= MAX_DECODES and (
                    reached not in after or total < after[reached][0]
                ):
                    after[reached] = total, [*kinds, kind]
        best = after
    return min(best.values(), key=lambda one: one[0])[1]


def _checkpoint(path: Path) -> None:
    """Move the content of side files that a killed process left into the file.

    SQLite would apply them to the new file, and destroy it.
    """
    if not checkpoint(path):
        raise RecordingError(
            f"compact: expected a recording that is not open, got {str(path)!r} with "
            "side files in use. Close it where it is open."
        )


def _verify(old: FileRecording, path: Path) -> None:
    """Compare every picture and value.

    Raises:
        RecordingError: They are not the same.
    """
    new = FileRecording(path)
    try:
        is_same = (
            (new.meta, new.slots) == (old.meta, old.slots)
            and _same_steps(old, new)
            and all(
                _pictures(old, block, slot) == _pictures(new, block, slot)
                for slot in range(len(old.slots))
                for block in range(_num_blocks(old))
            )
        )
    finally:
        new.release()
    if not is_same:
        raise RecordingError(
            f"compact: expected the same pictures and data as in {str(old.path)!r}, "
            "got others. The recording was not changed; please report this."
        )


def _num_blocks(recording: FileRecording) -> int:
    rows = recording.rows
    return -(-rows.num_rows // CHUNK_ROWS) if rows is not None else 0


def _same_steps(old: FileRecording, new: FileRecording) -> bool:
    if old.rows is None or new.rows is None:
        return old.rows is new.rows
    before = old.rows.block(0, old.rows.num_rows)
    after = new.rows.block(0, new.rows.num_rows)
    return (
        all(before[name].tobytes() == after[name].tobytes() for name in before)
        and old.rows.infos() == new.rows.infos()
        and all(
            old.extras_of(block) == new.extras_of(block)
            for block in range(_num_blocks(old))
        )
        and old._open_tails() == new._open_tails()
    )


def _pictures(
    recording: FileRecording, block: int, slot: int
) -> list[tuple[bool, bool, bytes]]:
    """Return of each row of a block whether it is shown, repeated, and its pixels."""
    data = recording.chunk(block, slot)
    if data is None:
        return []
    chunk = parse(data, where=f"{recording.path}, block {block}, slot {slot}")
    reader = ChunkDecoder(chunk)
    frame = np.empty((chunk.height, chunk.width, 3), np.uint8)
    found = []
    for index in range(len(chunk.kinds)):
        is_shown = reader.read(index, frame)
        found.append((is_shown, chunk.is_repeated(index), frame.tobytes()))
    return found
