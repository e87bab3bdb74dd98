"""Checks what a page sends, whoever wrote it: type, range and size of each field.

`RULES` is the whole schema. A message that is let through costs bounded work; what
depends on the recording, such as whether there is such a row, is checked where it is
used. Knows messages. Knows nothing of recordings.
"""

from __future__ import annotations

import json
import math
import reprlib
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rollout_viewer._errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._page.protocol import PageMessage

# Whole numbers that JavaScript holds exactly.
_MAX_WHOLE = 2**53 - 1
# A page asks for at most 256 chunks at a time.
MAX_CHUNKS = 1024
# Selected ones; a page that wants all of them names none.
_MAX_ENVS = 4096
# In sight, and blocks of them.
_MAX_TILES, _MAX_WATCHED = 1024, 64
_MAX_JSON_CHARS = 64 * 1024
_MAX_JSON_DEPTH = 8


class Rule(NamedTuple):
    """What a value may be, for messages, and the test of it."""

    expected: str
    accepts: Callable[[Any], bool]


def whole(low: int = 0, high: int = _MAX_WHOLE) -> Rule:
    """Accept whole numbers; a bool is none."""
    return Rule(
        f"a whole number in {low}..{high}",
        lambda value: type(value) is int and low <= value <= high,
    )


def number(low: float, high: float) -> Rule:
    """Accept finite numbers; a bool is none."""
    return Rule(
        f"a number in {low}..{high}",
        lambda value: _is_finite(value) and low <= value <= high,
    )


def text(max_chars: int) -> Rule:
    """Accept text."""
    return Rule(
        f"text of at most {max_chars} characters",
        lambda value: isinstance(value, str) and len(value) <= max_chars,
    )


def optional(rule: Rule) -> Rule:
    """Accept what a rule accepts, and null."""
    return Rule(
        f"{rule.expected}, or null",
        lambda value: value is None or rule.accepts(value),
    )


def list_of(rule: Rule, max_items: int) -> Rule:
    """Accept lists of what a rule accepts."""
    return Rule(
        f"a list of at most {max_items}, each {rule.expected}",
        lambda value: (
            isinstance(value, list)
            and len(value) <= max_items
            and all(map(rule.accepts, value))
        ),
    )


def numbers(max_items: int) -> Rule:
    """Accept name -> finite number."""
    return Rule(
        f"at most {max_items} finite numbers by name",
        lambda value: (
            isinstance(value, dict)
            and len(value) <= max_items
            and all(isinstance(name, str) and len(name) <= 100 for name in value)
            and all(map(_is_finite, value.values()))
        ),
    )


def _is_finite(value: Any) -> bool:
    if type(value) is int:
        return abs(value) <= _MAX_WHOLE
    return type(value) is float and math.isfinite(value)


def _is_chunk(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(type(number) is int and 0 <= number <= _MAX_WHOLE for number in value)
        and value[2] <= 32
    )


def _is_watched(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 4 <= len(value) <= 3 + _MAX_TILES
        and all(type(number) is int and 0 <= number <= _MAX_WHOLE for number in value)
    )


def _is_episode(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(number) is int and 0 <= number <= _MAX_WHOLE for number in value)
    )


def _are_labels(value: Any) -> bool:
    """Whether this is a JSON object that may be stored."""
    if not isinstance(value, dict) or not _is_json(value, _MAX_JSON_DEPTH):
        return False
    return len(json.dumps(value)) <= _MAX_JSON_CHARS


def _is_json(value: Any, depth: int) -> bool:
    if depth == 0:
        return False
    if isinstance(value, dict):
        is_named = all(isinstance(name, str) for name in value)
        return is_named and all(_is_json(one, depth - 1) for one in value.values())
    if isinstance(value, list):
        return all(_is_json(one, depth - 1) for one in value)
    return value is None or isinstance(value, str | bool) or _is_finite(value)


_PAGE = text(100)
_FLAG = Rule("true or false", lambda value: type(value) is bool)
_JOB = whole()
_ROW = whole()
_ENVS = optional(list_of(whole(), _MAX_ENVS))
_EPISODE = Rule("[env, index]", _is_episode)
_CHUNKS = Rule("[block, slot, have]", _is_chunk)
_WATCHED = Rule("[block, number, have, slot, ...]", _is_watched)
_LABELS = Rule(
    f"labels of at most {_MAX_JSON_CHARS} characters as JSON, {_MAX_JSON_DEPTH} deep, "
    "without NaN, infinities and numbers that JavaScript does not hold",
    _are_labels,
)

RULES: dict[str, dict[str, Rule]] = {
    "hello": {
        "protocol": whole(),
        "version": text(100),
        "page": _PAGE,
        "beginning": whole(1),
        "as_text": optional(_FLAG),
    },
    "hidden": {"page": _PAGE},
    "have": {
        "page": _PAGE,
        "session": text(100),
        "manifest": whole(),
        "num_rows": _ROW,
        "about": whole(),
        "marks": whole(),
    },
    "ack": {"seq": whole()},
    "need": {
        "chunks": list_of(_CHUNKS, MAX_CHUNKS),
        "wanted": optional(list_of(_CHUNKS, MAX_CHUNKS)),
    },
    "watch": {
        "codecs": list_of(text(100), 20),
        "rate": number(0, 1e6),
        "is_resting": _FLAG,
        "num_slots": whole(0, _MAX_ENVS),
        "reduction": whole(1, 256),
        "rows": list_of(_CHUNKS, MAX_CHUNKS),
        "blocks": list_of(_WATCHED, _MAX_WATCHED),
    },
    "dump": {
        "job": _JOB,
        "formats": list_of(text(20), 20),
        "start": _ROW,
        "stop": _ROW,
        "envs": _ENVS,
    },
    "download": {
        "job": _JOB,
        "format": text(20),
        "start": _ROW,
        "stop": _ROW,
        "envs": _ENVS,
    },
    "cancel": {"job": _JOB},
    "bookmark": {"row": _ROW, "note": optional(text(100_000))},
    "unbookmark": {"row": _ROW},
    "label": {"env": whole(), "episode": whole(), "labels": _LABELS},
    "inspect": {"env": whole(), "start": _ROW},
    "column": {"name": text(1000), "index": whole(), "start": _ROW},
    "part": {"name": text(20)},
    "parting": {"first": _EPISODE, "other": _EPISODE},
    "stats": {"counts": numbers(100)},
}


def check(content: Any) -> PageMessage:
    """Return a message of the page if it is one.

    Raises:
        ProtocolError: Its kind is unknown, or a field is not what `RULES` says.
    """
    kind = content.get("kind") if isinstance(content, dict) else None
    fields = RULES.get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise ProtocolError(
            f"rollout_viewer: expected a message of kind {sorted(RULES)}, got "
            f"{_shown(content)}. Reload the page."
        )
    for name, rule in fields.items():
        if not rule.accepts(content.get(name)):
            raise ProtocolError(
                f"rollout_viewer: expected {kind}.{name} to be {rule.expected}, got "
                f"{_shown(content.get(name))}. Reload the page."
            )
    return cast("PageMessage", content)


def _shown(value: Any) -> str:
    """Return the start of its repr, at a cost that does not grow with it."""
    if type(value) is int and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    return f"{reprlib.repr(value):.200}"
