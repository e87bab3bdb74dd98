"""From where an episode can be replayed: a recipe, a state, and a reset, as bytes."""

from __future__ import annotations

import json
import struct
import threading
from typing import Any, NamedTuple, SupportsBytes

import zstandard

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.zstd_blocks import raw_frame
from rollout_viewer._replay.env_state import BINARY, pack_plain, unpack_plain

# Its key in what a recorder knows of an episode that begins.
START = "replay_start"
_LEVEL = 3
# Of the JSON, which bytes follow.
_LENGTH = struct.Struct("<I")
_MAX_BYTES = 1 << 24
# Little is saved of fewer bytes, as of a generator's state.
_MAX_RAW_BYTES = 400


class EpisodeStart(NamedTuple):
    """How an episode began.

    Attributes:
        recipe: The number of the recipe that makes its environment.
        state: Of `state_of`, before the reset; {}: the seed decides everything.
        seed: Of the reset, if one was given.
        options: Of the reset.
        problem: Why it cannot be replayed; "": it can.
        first: Of `as_first`: how the first recorded episode of its environment began,
            whose picture decides from where some renderers look; {}: it is this one;
            None: it does not matter, or is not known.
    """

    recipe: int
    state: dict[str, Any]
    seed: int | None = None
    options: dict[str, Any] | None = None
    problem: str = ""
    first: dict[str, Any] | None = None


_DEFAULTS = EpisodeStart._field_defaults
_OF_FIRST = ("state", "seed", "options", "problem")
# All but recipe and state, of an episode that begins without arguments.
_OF_PLAIN = tuple(_DEFAULTS.values())
# What begins one of these, whose state is only a generator's: no zstd frame does.
_PLAIN = 1
_PLAIN_FIRST = bytes([_PLAIN])
_PLAIN_HEAD = struct.Struct("<BI")
_MAX_RECIPE = (1 << 32) - 1


def pack_start(start: EpisodeStart) -> bytes:
    """Return a start as bytes; one whose options are no JSON as a problem."""
    if start[2:] == _OF_PLAIN:
        found = _pack_plain(start.recipe, start.state)
        if found is not None:
            return found
    start = storable_start(start)
    binary = start.state.get(BINARY, b"")
    state = {name: value for name, value in start.state.items() if name != BINARY}
    fields = {
        name: value
        for name, value in zip(start._fields, start, strict=True)
        if name not in _DEFAULTS or value != _DEFAULTS[name]
    }
    fields["state"] = state
    content = _packed(_to_json(fields).encode()) + binary
    if len(content) <= _MAX_RAW_BYTES:
        return raw_frame(content)
    return _of_thread.compressor.compress(content)


def _pack_plain(recipe: int, state: dict[str, Any]) -> bytes | None:
    """Return one without arguments as few bytes, in little time; None: it has more."""
    packed = pack_plain(state)
    if packed is None or not 0 <= recipe <= _MAX_RECIPE:
        return None
    return _PLAIN_HEAD.pack(_PLAIN, recipe) + packed


def _unpack_plain(data: bytes) -> EpisodeStart:
    if len(data) < _PLAIN_HEAD.size:
        raise ValueError(f"{len(data)} bytes")
    _, recipe = _PLAIN_HEAD.unpack_from(data)
    return EpisodeStart(recipe, unpack_plain(data[_PLAIN_HEAD.size :]))


def plain_start(recipe: int, state: dict[str, Any]) -> SupportsBytes:
    """Return a start without arguments, for `bytes`.

    Packed at once if it takes a microsecond: later, `state` is no more in the
    processor's cache.

    Args:
        recipe: Of `EpisodeStart`.
        state: The same. It does not change.
    """
    packed = _pack_plain(recipe, state)
    return PackedLater(EpisodeStart(recipe, state)) if packed is None else packed


class PackedLater:
    """A start as bytes: when they are asked for, many at once.

    Args:
        start: Nothing of it changes.
    """

    __slots__ = ("_start",)

    def __init__(self, start: EpisodeStart) -> None:
        self._start = start

    def __bytes__(self) -> bytes:
        return pack_start(self._start)


def _packed(text: bytes) -> bytes:
    return _LENGTH.pack(len(text)) + text


def storable_start(start: EpisodeStart) -> EpisodeStart:
    """Return a start; one whose options are no JSON as a problem."""
    options = start.options or None
    try:
        if options is not None and json.loads(json.dumps(options)) != options:
            raise ValueError
    except (TypeError, ValueError):
        problem = "the options of its reset are no JSON"
        return start._replace(options=None, problem=start.problem or problem)
    return start


def as_first(start: EpisodeStart) -> dict[str, Any]:
    """Return what later starts of the same environment say of its first one."""
    return {
        name: value
        for name, value in start._asdict().items()
        if name in _OF_FIRST and value != _DEFAULTS.get(name)
    }


def first_of(start: EpisodeStart) -> EpisodeStart | None:
    """Return the first start of an episode's environment; None: it is not known."""
    if start.first is None:
        return None
    if not start.first:
        return start._replace(first=None)
    return EpisodeStart(start.recipe, **start.first)


class _OfThread(threading.local):
    """What one thread uses at a time, and what takes longer to make than to use."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)


_of_thread = _OfThread()
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def unpack_start(data: bytes) -> EpisodeStart:
    """Return the argument of `pack_start`.

    Raises:
        RecordingError: The bytes are damaged.
    """
    try:
        if data[:1] == _PLAIN_FIRST:
            return _unpack_plain(data)
        if not 0 < zstandard.get_frame_parameters(data).content_size <= _MAX_BYTES:
            raise ValueError("too many bytes")
        content = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
        stop = _LENGTH.size + _LENGTH.unpack_from(content)[0]
        text, binary = content[_LENGTH.size : stop], content[stop:]
        start: Any = EpisodeStart(**json.loads(text))
        first = start if start.first is None else first_of(start)
        if not (_is_start(start) and _is_start(first)):
            raise ValueError(f"{text!r:.50}")
    except (
        zstandard.ZstdError,
        struct.error,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        raise RecordingError(
            f"FrameCache.render: expected the start of an episode, got {error!s:.100}. "
            "The recording is damaged; its other episodes can still be rendered."
        ) from error
    found: EpisodeStart = start
    if binary:
        found.state[BINARY] = binary
    return found


def _is_start(start: Any) -> bool:
    """Return whether what a file says is a start."""
    return (
        type(start.recipe) is int
        and start.recipe >= 0
        and isinstance(start.state, dict)
        and (start.seed is None or type(start.seed) is int)
        and (start.options is None or isinstance(start.options, dict))
        and isinstance(start.problem, str)
        and (start.first is None or isinstance(start.first, dict))
    )
