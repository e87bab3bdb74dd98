"""Step data of a few rows as bytes, and back: named arrays, never code.

The container is safetensors (a length, a JSON header, the buffers), compressed
with zstd. `Extras` are a row's arrays beside reward and ends: the action that led to
it, and the `data` arrays, each of shape (num_envs, ...). Shape and dtype may change
from row to row.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard
from safetensors import SafetensorError
from safetensors.numpy import load, save

from rollout_viewer._errors import RecordingError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Extras = dict[str, Array]

ACTION = "action"
_LEVEL = 3
# Bound for what a damaged or hostile file may cause to be allocated.
_MAX_BYTES = 1 << 31
_EXTRA = "extra"
_DECODED_BLOCKS_KEPT = 64


def pack_columns(core: Mapping[str, Array], extras: Sequence[Extras]) -> bytes:
    """Return step data as bytes.

    Args:
        core: Arrays of shape (n, num_envs), by name.
        extras: One dict for each of the n rows.
    """
    tensors = {name: np.ascontiguousarray(array) for name, array in core.items()}
    groups: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
    for row, extra in enumerate(extras):
        for name, array in extra.items():
            groups.setdefault((name, array.dtype.str, array.shape), []).append(row)
    for number, ((name, _, _), rows) in enumerate(groups.items()):
        stacked = np.ascontiguousarray(np.stack([extras[row][name] for row in rows]))
        tensors[f"{_EXTRA}/{number}/{name}"] = stacked
        tensors[f"{_EXTRA}/{number}"] = np.array(rows, np.int32)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    return compressor.compress(save(tensors))


def unpack_columns(data: bytes, *, where: str) -> tuple[dict[str, Array], list[Extras]]:
    """Return the arguments of `pack_columns`.

    Raises:
        RecordingError: The bytes are damaged.
    """
    tensors = _tensors(data, where)
    core = _core(tensors)
    extras: list[Extras] = [{} for _ in next(iter(core.values()))]
    try:
        for name, array in tensors.items():
            kind, *rest = name.split("/", 2)
            if kind == _EXTRA and len(rest) == 2:
                rows = tensors[f"{_EXTRA}/{rest[0]}"]
                for row, value in zip(rows.tolist(), array, strict=True):
                    extras[row][rest[1]] = value
    except (ValueError, LookupError) as error:
        raise _damaged(where, error) from error
    return core, extras


def unpack_core(data: bytes, *, where: str) -> dict[str, Array]:
    """Return the first argument of `pack_columns`, in a third of the time.

    Raises:
        RecordingError: The bytes are damaged.
    """
    return _core(_tensors(data, where))


def _core(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {n: a for n, a in tensors.items() if not n.startswith(_EXTRA + "/")}


def _tensors(data: bytes, where: str) -> dict[str, Array]:
    try:
        tensors: dict[str, Array] = load(
            zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BYTES)
        )
        if all(name.startswith(_EXTRA) for name in tensors):
            raise LookupError("no columns")
    except (
        zstandard.ZstdError,
        SafetensorError,
        ValueError,
        LookupError,
    ) as error:
        raise _damaged(where, error) from error
    return tensors


def _damaged(where: str, error: Exception) -> RecordingError:
    return RecordingError(
        f"{where}: expected intact step data, got {type(error).__name__}. "
        "The rows before it are still readable."
    )


def as_extra(name: str, value: Any, num_envs: int) -> Array:
    """Return a copy of `value` as an array (num_envs, ...) that can be stored.

    Raises:
        ShapeError: It is not an array of numbers, or its first axis is not the envs.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
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
    return pack_columns({"row": np.zeros((len(extras), 0), np.uint8)}, extras)


class DecodedExtras:
    """A bounded cache of decoded extras."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, list[Extras]] = OrderedDict()

    def get(self, block: int, data: bytes, where: str) -> list[Extras]:
        """Return the extras of each row in the block's step data."""
        if block not in self._blocks:
            self._blocks[block] = unpack_columns(data, where=where)[1]
            while len(self._blocks) > _DECODED_BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        return self._blocks[block]
