"""Entries of tensordicts, also of different environments in one batch.

Knows tensordicts. Knows nothing of environments and recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensordict import LazyStackedTensorDict

if TYPE_CHECKING:
    from tensordict import TensorDictBase

    Key = str | tuple[str, ...]


def entry_of(td: TensorDictBase | None, key: Any) -> Any:
    """Return an entry; None without it.

    Returns:
        What the tensordict returns; or a list with the entry of each env, where their
        shapes differ or some have none.
    """
    if td is None:
        return None
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
