"""Rows in a file that is mapped into memory: a killed process leaves what it put there.

Beside a recording lies ``<file>-rows`` while rows without pictures are recorded. It has
a few regions, each with arrays of a group of rows, some bytes that say from where
episodes can be replayed, and marks: which rows are there, and their checksums. A region
is used again once its rows are in the recording.

In the file: `_HEAD`, a safetensors header, and from the next page on the regions; each
is what follows such a header.
"""

from __future__ import annotations

import contextlib
import math
import os
import struct
import sys
import weakref
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.named_file import NamedFile
from rollout_viewer._recording.statements import RUN_BLOCKS
from rollout_viewer._recording.step_row import STEP
from rollout_viewer._recording.tensors import header_of, read_tensors, views_of

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._recording.tensors import Form

    Array = npt.NDArray[Any]

# What is done for a block costs about as much as for a group of them: of as many as
# share a row of `steps`. Those of large blocks do not wait: storing them twice would
# cost more.
GROUP_ROWS = RUN_BLOCKS * CHUNK_ROWS
_MAX_BLOCK_BYTES = 48 * 1024
_NUM_REGIONS = 4
_STARTS_BYTES = 128 * 1024
# Marks: the first row, the row after the last (0: there is none), the bytes of starts
# with their checksum above, and from `_CHECKSUMS` on those of the blocks.
_START, _STOP, _STARTS, _CHECKSUMS = 0, 1, 2, 8
_NUM_MARKS = _CHECKSUMS + RUN_BLOCKS
_HEAD = struct.Struct("<8s32sIIQ")
_MAGIC = b"RVROWS\x01\n"
_PAGE = 4096
_START_HEAD = struct.Struct("<qII")
_CORE = ("reward", "kind", "flags")
_EXTRA = "extra/"
_MAX_EXTRAS = 64
# Of the largest file that is written, and more.
_MAX_BYTES = 1 << 24
# A mapping takes a descriptor before Python 3.13: of so many files at once.
_MAX_MAPPED = 64
_mapped: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()


def form_of(num_envs: int, extras: Mapping[str, Array]) -> Form:
    """Return what a region has for rows of a form; (): they do not wait for others."""
    num_bytes = sum(array.nbytes for array in extras.values()) + 14 * num_envs
    if num_bytes * CHUNK_ROWS > _MAX_BLOCK_BYTES or len(extras) > _MAX_EXTRAS:
        return ()
    n = GROUP_ROWS
    return (
        ("marks", "<u8", (_NUM_MARKS,)),
        ("reward", "<f8", (n, num_envs)),
        ("kind", "|u1", (n, num_envs)),
        ("flags", "|u1", (n, num_envs)),
        ("starts", "|u1", (_STARTS_BYTES,)),
        # Bit i: the row lacks the i-th of the following.
        ("lacks", "<u8", (n,)),
        *(
            (f"{_EXTRA}{i:02}/{name}", a.dtype.str, (n, *a.shape))
            for i, (name, a) in enumerate(extras.items())
        ),
    )


class WaitingStart(NamedTuple):
    """From where an episode can be replayed that begins with a row that waits."""

    row: int
    env: int
    start: bytes


class Region:
    """Arrays for a group of rows. The lock of its recording guards it.

    Args:
        arrays: By name, of `form_of`.

    Attributes:
        core: Rewards, kinds and flags, (n, B).
        extras: Actions and data, (n, B, ...).
        start: The first row that was put here.
        stop: The row after the last one that survives a kill; `start`: none does.
        end: The row after the last for which there is room.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._marks, self._starts = arrays["marks"], arrays["starts"]
        self.core = tuple(arrays[name] for name in _CORE)
        self._lacks = arrays["lacks"]
        self.extras = {
            name.split("/", 2)[2]: arrays[name]
            for name in sorted(arrays)
            if name.startswith(_EXTRA)
        }
        self._bits = {name: np.uint64(1 << i) for i, name in enumerate(self.extras)}
        self.start = self.stop = self.end = 0

    def begin(self, start: int) -> None:
        """Begin anew with a row, of which all before are elsewhere."""
        self._marks[_STOP] = self._marks[_STARTS] = 0
        self._marks[_START] = start
        _, kind, flags = self.core
        kind.fill(STEP)
        flags.fill(0)
        self.start = self.stop = start
        self.end = start - start % GROUP_ROWS + GROUP_ROWS

    def save(
        self,
        stop: int,
        starts: Iterable[WaitingStart],
        lacks: Iterable[tuple[int, str]],
    ) -> bool:
        """Note that the rows before `stop`, of whole blocks, were put here.

        Args:
            stop: Of whole blocks.
            starts: From where episodes can be replayed that begin in them.
            lacks: (row, name) of what they do not have.

        Returns:
            False: there is no room for the starts.
        """
        if not self._save_starts(starts):
            return False
        first = self.end - GROUP_ROWS
        self._lacks[self.stop - first : stop - first] = 0
        for row, name in lacks:
            self._lacks[row - first] |= self._bits[name]
        for row in range(self.stop, stop, CHUNK_ROWS):
            offset = row % GROUP_ROWS
            self._marks[_CHECKSUMS + offset // CHUNK_ROWS] = self._checksum(row, offset)
        # Last: what is written before counts from here on.
        self._marks[_STOP] = stop
        self.stop = stop
        return True

    def _save_starts(self, starts: Iterable[WaitingStart]) -> bool:
        pack = _START_HEAD.pack
        parts = [
            part
            for row, env, start in starts
            for part in (pack(row, env, len(start)), start)
        ]
        if not parts:
            return True
        more = np.frombuffer(b"".join(parts), np.uint8)
        checksum, num_bytes = divmod(int(self._marks[_STARTS]), 1 << 32)
        stop = num_bytes + len(more)
        if stop > len(self._starts):
            return False
        self._starts[num_bytes:stop] = more
        # At once.
        self._marks[_STARTS] = zlib.crc32(more.data, checksum) << 32 | stop
        return True

    def _checksum(self, row: int, offset: int) -> int:
        found = row & 0xFFFFFFFF
        for array in (*self.core, self._lacks, *self.extras.values()):
            found = zlib.crc32(array[offset : offset + CHUNK_ROWS].data, found)
        return found

    def lacking(self) -> dict[str, set[int]]:
        """Return the offsets of the rows that lack an action or data, by name."""
        return {
            name: set(np.flatnonzero(self._lacks & bit).tolist())
            for name, bit in self._bits.items()
        }

    def read(self) -> list[tuple[int, int, bytes]] | None:
        """Take what a killed process has left; return (row, env, start).

        None: it is nothing, or damaged.
        """
        start, stop = int(self._marks[_START]), int(self._marks[_STOP])
        end = start - start % GROUP_ROWS + GROUP_ROWS
        if start % CHUNK_ROWS or not start < stop <= end or stop >= 1 << 31:
            return None
        for row in range(start, stop - stop % CHUNK_ROWS, CHUNK_ROWS):
            offset = row % GROUP_ROWS
            known = int(self._marks[_CHECKSUMS + offset // CHUNK_ROWS])
            if known != self._checksum(row, offset):
                break
            self.stop = row + CHUNK_ROWS
        self.start, self.end = start, end
        return self._read_starts() if self.stop > start else None

    def _read_starts(self) -> list[tuple[int, int, bytes]]:
        checksum, num_bytes = divmod(int(self._marks[_STARTS]), 1 << 32)
        data = self._starts[:num_bytes].tobytes()
        found: list[tuple[int, int, bytes]] = []
        at = 0
        while at + _START_HEAD.size <= len(data):
            row, env, size = _START_HEAD.unpack_from(data, at)
            at += _START_HEAD.size
            found.append((row, env, data[at : at + size]))
            at += size
        return found if zlib.crc32(data) == checksum else []


class RowMemory(NamedTuple):
    """The regions of one file, for rows of one form."""

    form: Form
    regions: list[Region]
    name: NamedFile

    @classmethod
    def create(cls, path: Path, session: str, form: Form) -> RowMemory | None:
        """Make the file beside a recording, on a local disk; None: it cannot be."""
        if not hasattr(os, "posix_fallocate"):
            return None
        try:
            regions = _create(side_path(path), session, form)
            return cls(form, regions, NamedFile(side_path(path)))
        except (OSError, ValueError):
            return None

    def delete(self, path: Path) -> None:
        """Delete the file beside a recording, unless its name is another's now."""
        if not self.name.change():
            delete_beside(path)

    def free_region(self, num_filed: int) -> Region | None:
        """Return a region whose rows are in the recording; None: all have others."""
        return next((one for one in self.regions if one.end <= num_filed), None)

    def is_free(self, num_filed: int) -> bool:
        """Whether all rows are in the recording."""
        return all(one.end <= num_filed for one in self.regions)


def delete_beside(path: Path) -> None:
    """Delete the file beside a recording, if there is one."""
    with contextlib.suppress(OSError):
        os.unlink(side_path(path))


def side_path(path: Path) -> str:
    """Return the name of the file beside a recording."""
    return f"{path}-rows"


def has_rows_beside(path: Path, session: str) -> bool:
    """Whether there is a file of a recording beside it, or one that cannot be read."""
    if not os.path.isfile(side_path(path)):
        return False
    try:
        with open(side_path(path), "rb") as file:
            magic, whose, *_ = _HEAD.unpack(file.read(_HEAD.size).ljust(_HEAD.size))
    except OSError:
        return True
    return bool(magic == _MAGIC and whose == session.encode("ascii", "replace"))


def read_regions(path: Path, session: str) -> list[Region]:
    """Return what a killed process has left beside a recording, in order of rows.

    Raises:
        OSError: It cannot be read.
        ValueError: It is not what was written there.
    """
    with open(side_path(path), "rb") as file:
        data = file.read(_MAX_BYTES)
    magic, whose, count, header_bytes, region_bytes = _HEAD.unpack_from(
        data.ljust(_HEAD.size, b"\0")
    )
    if magic != _MAGIC or whose != session.encode("ascii", "replace"):
        return []
    header = data[_HEAD.size : _HEAD.size + header_bytes]
    at = _pages(_HEAD.size + header_bytes)
    regions = []
    for _ in range(min(count, _NUM_REGIONS)):
        arrays = read_tensors(header + data[at : at + region_bytes])
        regions.append(_checked(arrays))
        at += _pages(region_bytes)
    return sorted(regions, key=lambda one: int(one._marks[_START]))


def _checked(arrays: Mapping[str, Array]) -> Region:
    form = {name: (a.dtype.str, a.shape) for name, a in arrays.items()}
    shape = form.get("kind", ("", ()))[1]
    known = (
        {name: one for name, *one in form_of(shape[1], {})} if len(shape) == 2 else {}
    )
    names = [name for name in arrays if name.startswith(_EXTRA)]
    rows = [arrays[name].shape[:2] for name in names]
    is_numbered = len(names) <= _MAX_EXTRAS and all(n.count("/") > 1 for n in names)
    is_known = known and all(form.get(n) == tuple(one) for n, one in known.items())
    if not (is_known and is_numbered) or any(one != shape for one in rows):
        raise ValueError(f"arrays {list(form)!r:.60}")
    return Region(arrays)


def _create(path: str, session: str, form: Form) -> list[Region]:
    if len(_mapped) >= _MAX_MAPPED:
        raise ValueError(f"{_MAX_MAPPED} mapped files")
    header, _ = header_of(form)
    region_bytes = sum(
        np.dtype(dtype).itemsize * math.prod(shape) for _, dtype, shape in form
    )
    head = _HEAD.pack(_MAGIC, session.encode(), _NUM_REGIONS, len(header), region_bytes)
    first = _pages(len(head) + len(header))
    size = first + _NUM_REGIONS * _pages(region_bytes)
    if size > _MAX_BYTES:
        raise ValueError(f"{size} bytes")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, "x+b") as file:
        try:
            # Where a page has no room when it is written to, the process ends.
            os.posix_fallocate(file.fileno(), 0, size)
            data = _map(file.fileno(), size)
        except (OSError, ValueError):
            os.unlink(path)
            raise
    data[len(head) : len(head) + len(header)] = header
    data[: len(head)] = head
    return [
        Region(views_of(header, data, first + number * _pages(region_bytes))[0])
        for number in range(_NUM_REGIONS)
    ]


def _map(descriptor: int, size: int) -> mmap.mmap:
    import mmap

    if sys.version_info >= (3, 13):
        return mmap.mmap(descriptor, size, trackfd=False)
    data = mmap.mmap(descriptor, size)
    _mapped.add(data)
    return data


def _pages(num_bytes: int) -> int:
    return -(-num_bytes // _PAGE) * _PAGE
