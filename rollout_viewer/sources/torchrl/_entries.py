"""Entries of tensordicts, also of different environments in one batch.

Knows tensordicts. Knows nothing of environments and recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from tensordict import LazyStackedTensorDict, TensorDict

if TYPE_CHECKING:
    from tensordict import TensorDictBase

    Key = str | tuple[str, ...]


class PlainEntries(NamedTuple):
    """The entries of a tensordict that are tensors of this side, and nothing else.

    Asking a tensordict for one of them takes as long as ten look-ups in a dict.

    Attributes:
        values: By name.
        batch_dims: Of the tensordict.
    """

    values: dict[str, torch.Tensor]
    batch_dims: int


def plain_entries(td: TensorDictBase | None) -> PlainEntries | None:
    """Return all entries of a tensordict; None: others than `PlainEntries` has."""
    if td is None or type(td) is not TensorDict:
        return None
    values: dict[str, torch.Tensor] = dict(td.items())
    for value in values.values():
        if type(value) is not torch.Tensor or not value.is_cpu:
            return None
    return PlainEntries(values, td.batch_dims)


def entry_of(td: TensorDictBase | PlainEntries | None, key: Any) -> Any:
    """Return an entry; None without it.

    Returns:
        What the tensordict returns; or a list with the entry of each env, where their
        shapes differ or some have none.
    """
    if td is None:
        return None
    if isinstance(td, PlainEntries):
        if not isinstance(key, str):
            if len(key) != 1:  # no entry is within another
                return None
            (key,) = key
        return td.values.get(key)
    if type(td) is TensorDict and isinstance(key, str):
        value = dict(td.items()).get(key)  # in a third of the time of `get`
        if type(value) is torch.Tensor:
            return value
    try:
        return td.get(key, None)
    except (RuntimeError, KeyError):
        if not isinstance(_owner(td, key), LazyStackedTensorDict):
            raise
        return _entries(td, key)


def _entries(td: TensorDictBase, key: Key) -> list[Any] | None:
    found: list[Any] = []
    for one in td.unbind(0):
        value = entry_of(one, key)
        found += value if isinstance(value, list) else [value]
    return None if all(value is None for value in found) else found


def _owner(td: TensorDictBase, key: Key) -> Any:
    """Return the tensordict within, which may be a lazy stack where this is none."""
    if isinstance(td, LazyStackedTensorDict) or isinstance(key, str):
        return td
    return td.get(key[:-1], None)
