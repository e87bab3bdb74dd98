"""Observations as named arrays, their checksum, and how two of them differ."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    import numpy.typing as npt

# Name in a row's data: of the parts of an observation that are not recorded whole.
CHECKSUM = "obs.crc32"


def leaves(obs: Any, name: str = "obs") -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield the arrays of numbers in an observation, by the names in a row's data."""
    if isinstance(obs, (Mapping, tuple)):
        items = obs.items() if isinstance(obs, Mapping) else enumerate(obs)
        for key, one in sorted(items, key=lambda item: str(item[0])):
            yield from leaves(one, f"{name}.{key}")
    elif isinstance(obs, (np.ndarray, np.generic, int, float)):
        array = np.asarray(obs)
        if array.dtype.kind in "biuf":
            yield name, array


def checksum(obs: Any, recorded: Container[str]) -> int:
    """Return a checksum of the arrays that are not recorded whole."""
    crc = 0
    for name, array in leaves(obs):
        if name not in recorded:
            crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc


def difference(
    recorded: Mapping[str, npt.NDArray[Any]], obs: Any
) -> tuple[str, Any, Any] | None:
    """Return (name, recorded value, other value) of what differs; None: nothing.

    Args:
        recorded: What is known of an observation: arrays by name, or a checksum.
        obs: Another one.
    """
    found = dict(leaves(obs))
    for name, known in recorded.items():
        if name == CHECKSUM:
            crc = checksum(obs, recorded)
            if crc != int(known):
                return "observation's checksum", int(known), crc
        elif name == "obs" or name.startswith("obs."):
            array = found.get(name)
            if array is None or array.size != known.size:
                return name, known, array
            same = array.astype(known.dtype, copy=False).reshape(known.shape)
            if same.tobytes() != known.tobytes():
                return name, known, same
    return None
