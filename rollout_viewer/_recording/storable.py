"""Values as a recording can store them: JSON that every reader accepts, UTF-8 text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

# What is stored beside pictures describes them: more is data, and would be written
# again beside each video.
MAX_CHARACTERS = 200_000
_MAX_REPR = 1_000
_MAX_DEPTH = 32
_MAX_BITS = 1_024
_REST = "..."
# What code of a value may raise; not what the machine does, such as MemoryError.
CODE_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def storable_text(value: object) -> str:
    """Return `value` as text that UTF-8 can encode: lone surrogates become "?"."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def storable_json(value: Any) -> Any:
    """Return a copy of `value` as plain JSON of at most about 0.4 MB.

    Nothing that Python can hold raises. Arrays, tuples and sets become lists, keys
    texts, other objects their repr. NaN and infinities, which JSON does not have,
    become the texts "NaN", "Infinity" and "-Infinity". What is beyond the size, an
    array above it, a cycle and what is nested too deeply become a short text.

    Example:
        >>> storable_json({("a", 1): (b"x", float("nan")), 2: {3}})
        {"('a', 1)": ["b'x'", 'NaN'], '2': [3]}
    """
    return _Converter().convert(value, ())


class _Converter:
    """Converts one value; counts how much there is already."""

    def __init__(self) -> None:
        self._left = MAX_CHARACTERS

    def convert(self, value: Any, parents: tuple[int, ...]) -> Any:
        try:
            return self._convert(value, parents)
        except CODE_ERRORS:  # of the value's own code, such as a mapping's
            return self._text(_repr(value))

    def _convert(self, value: Any, parents: tuple[int, ...]) -> Any:
        self._left -= 2
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            bits = value.bit_length()
            return int(value) if bits <= _MAX_BITS else f"an integer of {bits} bits"
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else json.dumps(float(value))
        if id(value) in parents or len(parents) >= _MAX_DEPTH:
            return _REST
        within = (*parents, id(value))
        if isinstance(value, Mapping):
            return self._mapping(value, within)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._list(value, within)
        if callable(getattr(value, "tolist", None)):
            return self._array(value, within)
        return self._text(_repr(value))

    def _text(self, text: str) -> str:
        text = storable_text(text)
        if len(text) > self._left:
            text = f"{text[: max(self._left, _MAX_REPR)]}{_REST}"
        self._left -= len(text)
        return text

    def _mapping(self, value: Mapping[Any, Any], parents: tuple[int, ...]) -> Any:
        found: dict[str, Any] = {}
        for number, (key, one) in enumerate(value.items()):
            if self._left <= 0:
                found[_REST] = f"{len(value) - number} more"
                break
            found[self._text(_key(key))] = self.convert(one, parents)
        return found

    def _list(self, value: Any, parents: tuple[int, ...]) -> Any:
        found = []
        for number, one in enumerate(value):
            if self._left <= 0:
                found.append(f"{len(value) - number} more{_REST}")
                break
            found.append(self.convert(one, parents))
        return found

    def _array(self, value: Any, parents: tuple[int, ...]) -> Any:
        shape = tuple(getattr(value, "shape", ()))
        # At least ", " and a digit for each number.
        if 3 * math.prod(shape) > self._left:
            return f"{type(value).__name__} of shape {shape}, {value.dtype}"
        return self.convert(value.tolist(), parents)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return json.dumps(key) if _is_short(key) else _repr(key)
    return str(key.item()) if getattr(key, "shape", None) == () else _repr(key)


def _is_short(key: Any) -> bool:
    return not isinstance(key, int) or key.bit_length() <= _MAX_BITS


def _repr(value: Any) -> str:
    try:
        text = repr(value)
    except CODE_ERRORS:  # the object's own code; nothing depends on it
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _MAX_REPR else f"{text[:_MAX_REPR]}{_REST}"
