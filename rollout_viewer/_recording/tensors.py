"""Arrays as the bytes of a safetensors file, and back as views of them.

The library's own reader copies every array twice, and believes what the header says of
its own size; its writer spends on names of dtypes what zstd takes for the bytes of a
block. Format: https://huggingface.co/docs/safetensors (a length as u64, a JSON header,
the buffers, back to back).
"""

from __future__ import annotations

import functools
import json
import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    # Name, dtype as in `np.dtype.str`, and shape of each array.
    Form = tuple[tuple[str, str, tuple[int, ...]], ...]
    # Name, dtype, shape, number of values, and where their bytes begin.
    Entry = tuple[str, np.dtype[Any], tuple[int, ...], int, int]

_LENGTH_BYTES = 8
# A hundred arrays whose shape changes in each of 32 rows take half a MB.
_MAX_HEADER_BYTES = 1 << 23
# Of those that are read once for many blocks.
MAX_KEPT_HEADER_BYTES = 1 << 12
_MAX_AXES = 32
_DTYPES = {
    "BOOL": np.dtype("?"),
    **{
        f"{kind}{8 * n}": np.dtype(f"<{kind.lower()}{n}")
        for kind in "IU"
        for n in (1, 2, 4, 8)
    },
    **{f"F{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}

# In the order of the library's own list, by which buffers are sorted.
_ORDER = ["BOOL", "U8", "I8", "I16", "U16", "F16", "I32", "U32", "F32"]
_ORDER += ["F64", "I64", "U64"]
_CODE_OF = {dtype.str: code for code, dtype in _DTYPES.items()}


def write_tensors(tensors: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return arrays in C order as bytes: those that ``safetensors.numpy.save`` returns.

    Args:
        tensors: Name -> numbers or bools.
    """
    if sys.byteorder == "big":
        tensors = {n: a.astype(a.dtype.newbyteorder("<")) for n, a in tensors.items()}
    form = tuple((name, a.dtype.str, a.shape) for name, a in tensors.items())
    header, names = header_of(form)
    return b"".join([header, *(tensors[name].tobytes() for name in names)])


# Nearly all blocks have the same form.
@functools.lru_cache(maxsize=64)
def header_of(form: Form) -> tuple[bytes, list[str]]:
    """Return all bytes before the buffers, and the names in the order of these."""
    entries: dict[str, Any] = {}
    stop = 0
    coded = [(_CODE_OF[dtype], name, dtype, shape) for name, dtype, shape in form]
    for code, name, dtype, shape in sorted(
        coded, key=lambda one: (-_ORDER.index(one[0]), one[1])
    ):
        start, stop = stop, stop + np.dtype(dtype).itemsize * math.prod(shape)
        offsets = [start, stop]
        entries[name] = {"dtype": code, "shape": shape, "data_offsets": offsets}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text, [*entries]


def read_tensors(data: bytes) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays by name.

    Raises:
        ValueError: The bytes are no safetensors file, or hold no array.
    """
    start = header_stop(data)
    is_short = start <= MAX_KEPT_HEADER_BYTES
    read = _entries if is_short else _entries.__wrapped__
    entries, num_bytes = read(data[_LENGTH_BYTES:start])
    if start + num_bytes != len(data):
        raise ValueError(f"{len(data) - start} bytes in place of {num_bytes}")
    return _views(entries, data, start)


def header_stop(data: bytes) -> int:
    """Return where the buffers begin: how long the header is, and its length.

    Raises:
        ValueError: There is no such header.
    """
    size = int.from_bytes(data[:_LENGTH_BYTES], "little")
    stop = _LENGTH_BYTES + size
    if size > _MAX_HEADER_BYTES or stop > len(data):
        raise ValueError(f"a header of {size} bytes")
    return stop


def entries_of(header: bytes) -> tuple[list[Entry], int]:
    """Return what a header says of each array, and how many bytes follow it.

    Raises:
        ValueError: It is none.
    """
    return _entries(header[_LENGTH_BYTES:])


def views_of(
    header: bytes, data: Any, at: int
) -> tuple[dict[str, npt.NDArray[Any]], int]:
    """Return the arrays of a header in a buffer from `at` on, and their bytes."""
    entries, num_bytes = entries_of(header)
    return _views(entries, data, at), num_bytes


def _views(entries: list[Entry], data: Any, start: int) -> dict[str, npt.NDArray[Any]]:
    return {
        name: np.frombuffer(data, dtype, count, start + first).reshape(shape)
        for name, dtype, shape, count, first in entries
    }


# As of `header_of`. Those that raise are not kept.
@functools.lru_cache(maxsize=256)
def _entries(header: bytes) -> tuple[list[Entry], int]:
    """Return what a header says of each array, and how many bytes follow it."""
    try:
        found = json.loads(header)
    except RecursionError as error:
        raise ValueError("a header with too many nested values") from error
    if not isinstance(found, dict):
        raise ValueError("a header that is no object")
    found.pop("__metadata__", None)
    entries: list[Entry] = []
    at = 0
    # In the order of their bytes: each begins where the one before it ends.
    for name, dtype, shape, first, stop in sorted(
        (_entry(name, entry) for name, entry in found.items()), key=lambda e: e[3:]
    ):
        count = math.prod(shape)
        num_bytes = count * dtype.itemsize
        if first != at or stop - first != num_bytes:
            raise ValueError(f"an array of {num_bytes} bytes at {first}..{stop}")
        entries.append((name, dtype, shape, count, first))
        at = stop
    if not entries:
        raise ValueError("no array")
    return entries, at


def _entry(
    name: str, entry: Any
) -> tuple[str, np.dtype[Any], tuple[int, ...], int, int]:
    """Return name, dtype, shape, and where the bytes begin and end."""
    try:
        dtype = _DTYPES[entry["dtype"]]
        shape, (first, stop) = entry["shape"], entry["data_offsets"]
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"a header without {error}") from error
    is_shape = isinstance(shape, list) and len(shape) <= _MAX_AXES
    numbers = [*shape, first, stop] if is_shape else [None]
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in numbers):
        raise ValueError(f"the shape {shape!r:.50}")
    if math.prod(n for n in shape if n) >= 1 << 48:  # also of no bytes
        raise ValueError(f"the shape {shape!r:.50}")
    return name, dtype, tuple(shape), first, stop
