"""Values as a recording can store them: JSON that every reader accepts, UTF-8 text."""

from __future__ import annotations

import json
import math
from typing import Any


def storable_text(value: object) -> str:
    """Return `value` as text that UTF-8 can encode: lone surrogates become "?"."""
    return str(value).encode("utf-8", "replace").decode("utf-8")


def storable_json(value: Any) -> Any:
    """Return a copy of `value` as plain JSON.

    Arrays become lists, other objects their repr. NaN and infinities, which JSON does
    not have, become the texts "NaN", "Infinity" and "-Infinity".
    """

    def convert(other: Any) -> Any:
        return other.tolist() if hasattr(other, "tolist") else repr(other)

    return _plain(json.loads(json.dumps(value, default=convert)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {storable_text(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value
