"""Step data of a few rows as bytes, and back: named arrays, never code.

The container is safetensors (a length, a JSON header, the buffers), compressed
with zstd. `Extras` are a row's arrays beside reward and ends: the action that led to
it, and the `data` arrays, each of shape (num_envs, ...). Shape and dtype may change
from row to row.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from rollout_viewer._errors import RecordingError, RolloutViewerWarning, ShapeError
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._frames.zstd_blocks import MAX_RAW_BYTES, raw_frame
from rollout_viewer._recording.step_row import check_stored
from rollout_viewer._recording.tensors import header_stop, read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Extras = dict[str, Array]
    # A name, the rows (n,) int32 that have it, and its values (n, num_envs, ...).
    Group = tuple[str, Array, Array]

ACTION = "action"
_LEVEL, _FAST_LEVEL = 3, -1
# What a blob from a damaged or hostile file may cause to be allocated: half a GB, or a
# thousand times its own bytes, up to what was ever written.
_MIN_BOUND_BYTES = 1 << 29
_MAX_RATIO = 1000
_MAX_BYTES = 1 << 31
# Of core step data: 32 rows of 600,000 envs.
_MAX_CORE_BYTES = 1 << 28
# Core step data of 32 blocks share a blob; actions and data are of one.
MAX_CORE_ROWS = 1024
_MAX_EXTRA_ROWS = 32
# Of actions and data, beside which core step data has room.
_MAX_GROUPS_BYTES = _MAX_BYTES - _MAX_CORE_BYTES - (1 << 24)
_EXTRA = "extra"
# No group's name, which has three parts.
_PADDING = "extra/padding"
_ROW = "row"
_DECODED_BLOCKS_KEPT = 64
# Of all of them but the newest.
_DECODED_BYTES_KEPT = 1 << 26


def pack_columns(core: Mapping[str, Array], extras: Sequence[Extras]) -> bytes:
    """Return step data as bytes.

    Args:
        core: Arrays of shape (n, num_envs), by name.
        extras: One dict for each of the n rows.
    """
    return _packed(core, groups_of(extras))


def pack_core(core: Mapping[str, Array], *, is_brief: bool = False) -> bytes:
    """Return core step data alone as bytes.

    Args:
        core: Arrays of shape (n, num_envs), by name.
        is_brief: They are replaced soon: in half the time, a third larger.
    """
    if not is_brief:
        return pack_columns(core, [])
    tensors = {name: np.ascontiguousarray(array) for name, array in core.items()}
    return _of_thread.fast_compressor.compress(write_tensors(tensors))


def groups_of(extras: Sequence[Extras]) -> list[Group]:
    """Return each name's values, together where they are of one dtype and shape."""
    groups = []
    for name, rows in _groups(extras):
        arrays = [extras[row][name] for row in rows]
        # As `np.stack` does, in a third of the time.
        stacked = np.concatenate(arrays).reshape(len(rows), *arrays[0].shape)
        groups.append((name, np.array(rows, np.int32), stacked))
    return groups


def _packed(core: Mapping[str, Array], groups: Sequence[Group]) -> bytes:
    tensors = _named(core, _that_are_read(groups))
    whole = write_tensors(tensors)
    packed = _of_thread.compressor.compress(whole)
    if len(whole) <= _max_bytes(packed):
        return packed
    # So much longer, that it is read: bytes that do not compress.
    padding = np.random.default_rng(0).bytes(len(whole) // (_MAX_RATIO - 1) + 1024)
    tensors[_PADDING] = np.frombuffer(padding, np.uint8)
    return _of_thread.compressor.compress(write_tensors(tensors))


def _named(core: Mapping[str, Array], groups: Sequence[Group]) -> dict[str, Array]:
    tensors = dict(core)
    for number, (name, rows, stacked) in enumerate(groups):
        tensors[f"{_EXTRA}/{number}/{name}"] = stacked
        tensors[f"{_EXTRA}/{number}"] = rows
    return tensors


def pack_raw(core: Mapping[str, Array], groups: Sequence[Group]) -> bytes:
    """Return what `pack_columns` does, not compressed: of a few rows, for a moment."""
    whole = write_tensors(_named(core, groups))
    if len(whole) <= MAX_RAW_BYTES:
        return raw_frame(whole)
    return _of_thread.compressor.compress(whole)


def _that_are_read(groups: Sequence[Group]) -> Sequence[Group]:
    """Return groups without the largest, where a reader refuses all of them."""
    if sum(stacked.nbytes for _, _, stacked in groups) <= _MAX_GROUPS_BYTES:
        return groups
    found: list[Group] = []
    total = 0
    for group in sorted(groups, key=lambda one: one[2].nbytes):
        total += group[2].nbytes
        if total <= _MAX_GROUPS_BYTES:
            found.append(group)
    names = {name for name, _, _ in groups} - {name for name, _, _ in found}
    warnings.warn(
        f"FrameCache.append: expected at most {_MAX_GROUPS_BYTES} bytes of data in "
        f"{_MAX_EXTRA_ROWS} rows, got more. {', '.join(sorted(names)):.300} of them is "
        "not recorded. Record fewer envs, or less of each.",
        RolloutViewerWarning,
        stacklevel=2,
    )
    return found


class _OfThread(threading.local):
    """What one thread uses at a time, and what takes longer to make than to use."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self.fast_compressor = zstandard.ZstdCompressor(
            level=_FAST_LEVEL, write_checksum=True
        )
        self.decompressor = zstandard.ZstdDecompressor()


_of_thread = _OfThread()


def _groups(extras: Sequence[Extras]) -> list[tuple[str, list[int]]]:
    """Return each name with the rows whose array of it has one dtype and shape."""
    if extras and _is_of_one_form(extras):
        return [(name, list(range(len(extras)))) for name in extras[0]]
    groups: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
    for row, extra in enumerate(extras):
        for name, array in extra.items():
            groups.setdefault((name, array.dtype.str, array.shape), []).append(row)
    return [(name, rows) for (name, _, _), rows in groups.items()]


def _is_of_one_form(extras: Sequence[Extras]) -> bool:
    """Whether all rows have the same arrays, as nearly all blocks do."""
    first = extras[0]
    names = first.keys()
    forms = [(name, array.dtype, array.shape) for name, array in first.items()]
    for extra in extras:
        if extra.keys() != names:
            return False
        for name, dtype, shape in forms:
            array = extra[name]
            if array.dtype is not dtype or array.shape != shape:
                return False
    return True


def unpack_columns(
    data: bytes, *, where: str, num_envs: int | None = None
) -> tuple[dict[str, Array], list[Extras]]:
    """Return the arguments of `pack_columns`; extras are of `num_envs` if it is given.

    Raises:
        RecordingError: The bytes are damaged.
    """
    core, groups = unpack_groups(data, where=where, num_envs=num_envs)
    return core, rows_of(groups, len(next(iter(core.values()))))


def unpack_groups(
    data: bytes, *, where: str, num_envs: int | None = None
) -> tuple[dict[str, Array], list[Group]]:
    """Return the same, in a third of the time: extras of many rows stay together.

    Raises:
        RecordingError: The bytes are damaged.
    """
    tensors = _tensors(data, where, _max_bytes(data))
    core = _core(tensors)
    groups: list[Group] = []
    try:
        num_rows = len(next(iter(core.values())))
        if num_rows > _MAX_EXTRA_ROWS:
            raise ValueError(f"{num_rows} rows")
        for name, own_name, rows_name in names_of_groups(tuple(tensors)):
            array, rows = tensors[name], tensors[rows_name]
            if num_envs is not None and array.shape[1:2] != (num_envs,):
                raise ValueError(f"{name!r:.50} of shape {array.shape}")
            if rows.ndim != 1 or rows.dtype.kind != "i" or len(rows) != len(array):
                raise ValueError(f"{name!r:.50} of no rows")
            if not are_rows(rows.tobytes(), rows.dtype, num_rows):
                raise ValueError(f"{name!r:.50} of other rows")
            groups.append((own_name, rows, array))
    except (ValueError, LookupError, TypeError, StopIteration) as error:
        raise _damaged(where, error) from error
    return core, groups


# Nearly all blocks have the same names and rows.
@functools.lru_cache(maxsize=64)
def names_of_groups(names: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """Return where the values of each group are, its name, and where its rows are."""
    parts = ((name, name.split("/", 2)) for name in names)
    return [
        (name, part[2], f"{_EXTRA}/{part[1]}")
        for name, part in parts
        if part[0] == _EXTRA and len(part) == 3
    ]


@functools.lru_cache(maxsize=256)
def are_rows(data: bytes, dtype: np.dtype[Any], num_rows: int) -> bool:
    """Whether integers, as bytes, are rows of a block."""
    rows = np.frombuffer(data, dtype)
    return not len(rows) or bool(0 <= rows.min() <= rows.max() < num_rows)


def rows_of(groups: Sequence[Group], num_rows: int) -> list[Extras]:
    """Return the extras of each row."""
    extras: list[Extras] = [{} for _ in range(num_rows)]
    for name, rows, stacked in groups:
        for row, value in zip(rows.tolist(), stacked, strict=True):
            extras[row][name] = value
    return extras


def unpack_core(
    data: bytes,
    *,
    where: str,
    num_envs: int | None = None,
    num_rows: int | None = None,
) -> dict[str, Array]:
    """Return the first argument of `pack_columns`, in a third of the time.

    Args:
        data: The bytes.
        where: What they are, for messages.
        num_envs: How many there are; None: any number.
        num_rows: How many there are; None: whole blocks.

    Raises:
        RecordingError: The bytes are damaged, or are of others.
    """
    is_tail = num_rows is not None
    core = _core(
        _tensors(data, where, _max_bytes(data) if is_tail else _MAX_CORE_BYTES)
    )
    try:
        shape = check_stored(core, MAX_CORE_ROWS)
        is_whole = shape[0] == num_rows if is_tail else shape[0] % 32 == 0
        if not is_whole or num_envs not in (None, shape[1]):
            raise ValueError(f"step data of shape {shape}")
    except ValueError as error:
        raise _damaged(where, error) from error
    return core


def _core(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array for name, array in tensors.items() if not is_extra(name)}


def is_extra(name: str) -> bool:
    """Whether an array is of actions or data, or stands beside them."""
    return name.startswith(_EXTRA + "/")


def _max_bytes(data: bytes) -> int:
    return min(max(_MIN_BOUND_BYTES, _MAX_RATIO * len(data)), _MAX_BYTES)


def _tensors(data: bytes, where: str, max_bytes: int) -> dict[str, Array]:
    try:
        return read_tensors(_decompressed(data, max_bytes))
    except (zstandard.ZstdError, ValueError) as error:
        raise _damaged(where, error) from error


def unpacked(data: bytes) -> tuple[bytes, int]:
    """Return what `read_tensors` reads of packed bytes, and where its header ends.

    Raises:
        ValueError: They are damaged; also zstd's own error.
    """
    found = _decompressed(data, _max_bytes(data))
    return found, header_stop(found)


def _decompressed(data: bytes, max_bytes: int) -> bytes:
    # Before anything is allocated: zstd would allocate what the frame says.
    size = zstandard.get_frame_parameters(data).content_size
    if not 0 < size <= max_bytes:
        raise ValueError(f"{size} bytes")
    return _of_thread.decompressor.decompress(data, allow_extra_data=False)


def _damaged(where: str, error: Exception) -> RecordingError:
    return RecordingError(
        f"{where}: expected intact step data, got {type(error).__name__}: "
        f"{error!s:.100}. The rows around it are still readable."
    )


def as_extra(name: str, value: Any, num_envs: int) -> Array:
    """Return a copy of `value` as an array (num_envs, ...) that can be stored.

    Raises:
        ShapeError: It is not an array of numbers, or its first axis is not the envs.
    """
    value = as_numpy(value)
    # In C order: the file stores the bytes in memory order.
    array = np.array(value, order="C")
    if array.dtype.kind not in "biuf":
        raise ShapeError(
            f"FrameCache.append: expected {name} to be numbers, got dtype "
            f"{array.dtype}. Pass arrays, one entry for each env."
        )
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    if array.ndim == 0 and num_envs == 1:
        array = array.reshape(1)
    if array.ndim == 0 or array.shape[0] != num_envs:
        raise ShapeError(
            f"FrameCache.append: expected {name} of shape ({num_envs}, ...), got "
            f"{array.shape}. Pass one entry for each env."
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def pack_extras(extras: Sequence[Extras]) -> bytes | None:
    """Return extras alone as bytes; None if no row has any."""
    if not any(extras):
        return None
    return pack_columns({_ROW: np.zeros((len(extras), 0), np.uint8)}, extras)


def pack_stacked(num_rows: int, groups: Sequence[Group]) -> bytes | None:
    """Return what `pack_extras` does of rows whose values are stacked already.

    Args:
        num_rows: Of the block.
        groups: In the order in which the rows have them.
    """
    if not groups:
        return None
    return _packed({_ROW: np.zeros((num_rows, 0), np.uint8)}, groups)


class StackedExtras:
    """What `pack_stacked` returns of a block, packed when it is asked for.

    The values must not change before. Asked for by two threads, it may be packed twice.

    Attributes:
        nbytes: Of the values.
    """

    def __init__(self, num_rows: int, groups: Sequence[Group]) -> None:
        self._num_rows = num_rows
        self._groups: Sequence[Group] | None = groups
        self._data: bytes | None = None
        # Of the values: rarely fewer than those that are written.
        self.nbytes = sum(stacked.nbytes for _, _, stacked in groups)

    def pack(self) -> bytes:
        """Return the bytes."""
        if (groups := self._groups) is not None:
            self._data = pack_stacked(self._num_rows, groups)
            self._groups = None
        assert self._data is not None
        return self._data


class DecodedExtras:
    """A bounded cache of decoded extras."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, tuple[list[Extras], int]] = OrderedDict()
        self._nbytes = 0

    def get(
        self, block: int, data: bytes, where: str, num_envs: int | None = None
    ) -> list[Extras]:
        """Return the extras of each row in the block's step data."""
        if block not in self._blocks:
            extras = unpack_columns(data, where=where, num_envs=num_envs)[1]
            nbytes = sum(array.nbytes for row in extras for array in row.values())
            self._blocks[block] = extras, nbytes
            self._nbytes += nbytes
            while len(self._blocks) > 1 and (
                len(self._blocks) > _DECODED_BLOCKS_KEPT
                or self._nbytes - nbytes > _DECODED_BYTES_KEPT
            ):
                self._nbytes -= self._blocks.popitem(last=False)[1][1]
        return self._blocks[block][0]
