"""Values of a recording file, checked as they are read: any cell may hold anything.

What a recording cannot do without raises a `RecordingError`. Metadata and annotations
that are damaged are left out, with their names in `Doubts`, and the rest is read.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import MAX_FRAME_BYTES
from rollout_viewer._recording.info_types import INFO_TYPES, are_info_types
from rollout_viewer._recording.late_pictures import (
    NOT_REPRODUCIBLE,
    NUM_LATE,
    is_not_reproducible,
)
from rollout_viewer._recording.sealed_text import is_broken
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.statements import episode_place
from rollout_viewer._recording.storable import storable_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# The page numbers slots with 16 bits.
MAX_SLOTS = 1 << 16
# Numbers of rows and envs are counted in int64 and stored in 32 bits.
MAX_COUNT = (1 << 31) - 1
MAX_SIZE_PX = (1 << 16) - 1
# Values that are nested more are no metadata, and end Python's stack.
_MAX_DEPTH = 100


class Doubts:
    """Collects what was left out of a recording because it is damaged.

    Attributes:
        first: The first of it, as a sentence's end; "" where all is well.
    """

    def __init__(self) -> None:
        self.first = ""

    def add(self, what: str) -> None:
        """Note that something was left out."""
        self.first = self.first or what


# -- single values


def whole(value: Any, name: str, *, low: int = 0, high: int = MAX_COUNT) -> int:
    """Return a whole number within bounds.

    Raises:
        RecordingError: It is something else.
    """
    if type(value) is int and low <= value <= high:
        return value
    raise RecordingError(
        f"rv.open: expected {name} in {low}..{high}, got {value!r:.50}: the recording "
        "is damaged, or was not written by rollout_viewer."
    )


def blob(value: Any, name: str) -> bytes:
    """Return bytes.

    Raises:
        RecordingError: It is something else.
    """
    if isinstance(value, bytes):
        return value
    raise RecordingError(
        f"rv.open: expected {name} to be bytes, got {type(value).__name__}: the "
        "recording is damaged, or was not written by rollout_viewer."
    )


def check_seal(text: Any, place: str) -> None:
    """Raise where a text is not what was stored there.

    Raises:
        ValueError: It has another checksum.
    """
    if isinstance(text, str) and is_broken(text, place):
        raise ValueError(f"{text.strip()!r:.50}, which has a wrong checksum")


def parse_json(text: Any) -> Any:
    """Return the JSON value of a text, as `storable_json` stores one.

    Raises:
        ValueError: It is none, or nested too deeply.
    """
    if not isinstance(text, str):
        raise ValueError(f"{type(text).__name__} in place of a text")
    try:
        value = json.loads(text, parse_constant=str, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("JSON with too many nested values") from error
    if text.count("[") + text.count("{") > _MAX_DEPTH and _depth(value) > _MAX_DEPTH:
        raise ValueError(f"JSON with more than {_MAX_DEPTH} nested values")
    # An escape may be half a character, which cannot be sent.
    return storable_json(value) if "\\u" in text else value


def _finite(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else json.dumps(value)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, (dict, list))]:
        depth += 1
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


# -- rows of tables


def read_slot(number: int, row: tuple[Any, ...]) -> Slot:
    """Return slot `number` of a recording from its row of the table.

    Raises:
        RecordingError: It is damaged, or its pictures are larger than any recorded.
    """
    slot, env, camera, height, width, is_shared = row
    whole(slot, "the number of a slot", low=number, high=number)
    found = Slot(
        whole(env, "the env of a slot"),
        str(camera),
        whole(height, "the height of a picture", low=1, high=MAX_SIZE_PX),
        whole(width, "the width of a picture", low=1, high=MAX_SIZE_PX),
        bool(whole(is_shared, "is_shared of a slot", high=1)),
    )
    whole(
        found.height * found.width * 3, "a picture's bytes", low=1, high=MAX_FRAME_BYTES
    )
    return found


def read_meta(rows: Iterable[tuple[Any, ...]], doubts: Doubts) -> dict[str, Any]:
    """Return metadata by key; what is damaged is left out."""
    meta = {}
    for key, text in rows:
        try:
            check_seal(text, str(key))
            value = parse_json(text)
            if not _META.get(key, _anything)(value):
                raise ValueError(f"{value!r:.50}")
        except ValueError as error:
            doubts.add(f"{key!r} of the metadata is {error}: it is left out")
        else:
            meta[str(key)] = value
    return meta


def read_episodes(
    rows: Iterable[tuple[Any, ...]], doubts: Doubts
) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (env, index, info) of episodes; what is damaged is left out."""
    found = []
    for env, index, text in rows:
        try:
            check_seal(text, episode_place(env, index))
            info = parse_json(text)
            numbers = whole(env, "an env"), whole(index, "an episode")
            if not isinstance(info, dict):
                raise ValueError(f"{info!r:.50}")
        except (ValueError, RecordingError) as error:
            doubts.add(
                f"what is known of episode {index!r} of env {env!r} is {error}: it is "
                "left out"
            )
            continue
        known = {
            name: value
            for name, value in info.items()
            if name in _INFO and _INFO[name](value)
        }
        if len(known) < len(info.keys() & _INFO.keys()):
            doubts.add(
                f"what is known of episode {index} of env {env} is {info!r:.50}: it is "
                "left out"
            )
        found.append((*numbers, known))
    return found


# -- what metadata may be


def _anything(value: Any) -> bool:
    return True


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_rate(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 < value < 1e300)


def _is_record(value: Any) -> bool:
    return value is None or isinstance(value, dict)


def _is_notes(value: Any) -> bool:
    return _is_record(value) and all(
        _is_row(row) and isinstance(note, str) for row, note in (value or {}).items()
    )


def _is_row(text: str) -> bool:
    is_number = text.isascii() and text.isdigit() and len(text) < 11
    return is_number and text == str(int(text))


def _is_rows_by_slot(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(map(_is_count, pair))
        for pair in value
    )


def _is_digest(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))


_META: Mapping[str, Callable[[Any], bool]] = {
    "fps": _is_rate,
    "metadata": _is_record,
    "bookmarks": _is_notes,
    "session": lambda value: isinstance(value, str),
    "num_lost": _is_count,
    "num_evicted": _is_count,
    "first_rows": _is_rows_by_slot,
    "is_closed": lambda value: isinstance(value, bool),
    "writer": _is_record,
    NUM_LATE: _is_count,
    NOT_REPRODUCIBLE: is_not_reproducible,
    "slots": _is_digest,
    INFO_TYPES: are_info_types,
}
_INFO: Mapping[str, Callable[[Any], bool]] = {
    "success": lambda value: value is None or isinstance(value, bool),
    "segment": lambda value: value is None or isinstance(value, str),
    "seed": lambda value: not isinstance(value, (dict, list)),
    "options": _is_record,
    "labels": lambda value: isinstance(value, dict),
}
