"""What the numbers of ``data["info.<key>"]`` mean: numbers, truth values or texts.

All of them are stored as float64, NaN where a step had none; a text by its number in a
list of the recording's metadata, as texts repeat. Knows JSON values and arrays.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    # Name -> "number", "bool", or the texts by their numbers. In files of before there
    # was "number", those of no type are numbers.
    InfoTypes = Mapping[str, "str | list[str]"]

# Before the keys of what a step returned as its info.
PREFIX = "info."
# Where the types are in a recording's metadata.
INFO_TYPES = "info_types"
NUMBER, BOOL = "number", "bool"
_NO_TYPES: InfoTypes = {}


def info_types(meta: Mapping[str, Any]) -> InfoTypes:
    """Return the types of a recording's info, of those that are no plain numbers."""
    found = stored_types(meta)
    return {name: kind for name, kind in found.items() if kind != NUMBER}


def stored_types(meta: Mapping[str, Any]) -> InfoTypes:
    """Return the types of all of a recording's info."""
    found: InfoTypes = meta.get(INFO_TYPES, _NO_TYPES)
    return found


def are_info_types(value: Any) -> bool:
    """Whether a JSON value from a file is what `info_types` returns."""
    return isinstance(value, dict) and all(
        one in (NUMBER, BOOL)
        or (isinstance(one, list) and all(isinstance(text, str) for text in one))
        for one in value.values()
    )


def decoded(types: InfoTypes, name: str, value: Any) -> Any:
    """Return one env's value as the environment gave it; None where it gave none.

    Arrays of truth values and texts are as they are stored.
    """
    kind = types.get(name)
    if kind is None or np.ndim(value):
        return value
    if math.isnan(value):
        return None
    if kind == BOOL:
        return bool(value)
    assert isinstance(kind, list)
    return text_of(kind, value)


def text_of(texts: Sequence[str], value: float) -> str | None:
    """Return a text by its number; None: a damaged file has no such text."""
    number = int(value) if math.isfinite(value) else -1
    return texts[number] if 0 <= number < len(texts) else None


def decoded_column(
    types: InfoTypes, name: str, values: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Return many values as bool or str; what is missing is False or ""."""
    kind = types.get(name)
    if kind == BOOL:
        is_true: npt.NDArray[Any] = np.nan_to_num(values) != 0
        return is_true
    if isinstance(kind, list):
        found = [text_of(kind, value) or "" for value in values.reshape(-1).tolist()]
        return np.array(found, np.str_).reshape(values.shape)
    return values


def joined_types(each: Sequence[InfoTypes]) -> dict[str, str | list[str]]:
    """Return the types of recordings side by side: all texts, each once.

    What is numbers in one and truth values in another is numbers. Of texts and others
    under one name, those of the first recording count.
    """
    found: dict[str, str | list[str]] = {}
    for name in dict.fromkeys(name for types in each for name in types):
        kinds = [types[name] for types in each if name in types]
        texts = [kind for kind in kinds if isinstance(kind, list)]
        if isinstance(kinds[0], list):
            found[name] = list(dict.fromkeys(text for kind in texts for text in kind))
        else:
            is_bool = all(kind == BOOL for kind in kinds if isinstance(kind, str))
            found[name] = BOOL if is_bool else NUMBER
    return found


def retyped(
    values: npt.NDArray[Any],
    own: str | list[str] | None,
    joined: str | list[str] | None,
) -> npt.NDArray[Any]:
    """Return the values of one of the recordings that `joined_types` is of.

    Args:
        values: Of an info.
        own: Its type there; None: numbers, of an older file.
        joined: Its type in all of them together.
    """
    if isinstance(own, list) and isinstance(joined, list):
        return renumbered(values, own, joined)
    if isinstance(own, list) or isinstance(joined, list):
        return np.full_like(values, np.nan)
    return values


def renumbered(
    values: npt.NDArray[Any], texts: Sequence[str], known: Sequence[str]
) -> npt.NDArray[Any]:
    """Return the numbers of texts in another list of them."""
    if list(known[: len(texts)]) == list(texts):
        return values
    number_of = {text: number for number, text in enumerate(known)}
    found = [
        number_of.get(text_of(texts, value) or "", np.nan)
        for value in values.reshape(-1).tolist()
    ]
    return np.array(found, np.float64).reshape(values.shape)


def retype_info(
    known: dict[str, str | list[str]],
    own: InfoTypes,
    rows: Sequence[dict[str, npt.NDArray[Any]]],
) -> None:
    """Give the info of rows from elsewhere the types of a recording, in place.

    Args:
        known: Types of the recording; those of these rows are added. What is numbers
            in one and truth values in the other is numbers.
        own: Types of these rows.
        rows: Data by name; of texts and other values under one name, those of the
            recording stay, and what is added is missing.
    """
    names = {name for data in rows for name in data if name.startswith(PREFIX)}
    for name in sorted(names):
        mine, theirs = own.get(name, NUMBER), known.get(name)
        if theirs is None:
            known[name] = mine
        elif isinstance(mine, list) or isinstance(theirs, list):
            if isinstance(mine, list) and isinstance(theirs, list):
                known[name] = list(dict.fromkeys([*theirs, *mine]))
            for data in rows:
                if name in data:
                    data[name] = retyped(data[name], own.get(name), known[name])
        elif mine != theirs:
            known[name] = NUMBER
