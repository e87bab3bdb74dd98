"""Where two episodes part: the first row in which what was observed of them differs.

By recorded observations; where there are none by actions, else by pictures. Reads no
further than that row, so that most pairs cost some rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._page.protocol import Message
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rollout_viewer._recording.reader import RecordingReader

    Rows = Sequence[int]
    Read = Callable[[int, int], Any]

# Pictures of a pair that are decoded at most, on the thread that sends to pages.
_MAX_PICTURES = 2048


class EpisodeKey(NamedTuple):
    """Which episode: its env, and its `Episode.index`."""

    env: int
    number: int


class Parting(NamedTuple):
    """Where two episodes part.

    Attributes:
        by: What was compared; "": nothing that both have was recorded.
        offset: Rows after their starts in which their envs were not idle, as the page
            shows them side by side; None: they are equal all along.
    """

    by: Literal["observations", "actions", "pictures", ""]
    offset: int | None


_UNKNOWN = Parting("", None)


def parting_of(cache: RecordingReader, one: EpisodeKey, other: EpisodeKey) -> Parting:
    """Return where two episodes of a recording part, if both are there."""
    if not all(_is_there(cache, key) for key in (one, other)):
        return _UNKNOWN
    rows = _rows_of(cache, one), _rows_of(cache, other)
    envs = one.env, other.env
    try:
        if _observation(cache, rows[0][0], envs[0]):
            found = _first(rows, envs, lambda row, env: _observation(cache, row, env))
            return _parting("observations", rows, found)
        # Stored with the row that it led to: the first has none.
        if min(map(len, rows)) > 1 and _action(cache, rows[0][1], envs[0]):
            found = _first(rows, envs, lambda row, env: _action(cache, row, env))
            chosen = None if found is None else max(found - 1, 0)
            return _parting("actions", rows, chosen)
        return _by_pictures(cache, envs, rows)
    except RolloutViewerError:  # damaged: reported where it is looked at
        return _UNKNOWN


def parting_message(
    cache: RecordingReader, one: EpisodeKey, other: EpisodeKey
) -> Message:
    """Return the answer to ``parting``."""
    by, offset = parting_of(cache, one, other)
    content = {"first": list(one), "other": list(other), "by": by, "offset": offset}
    return Message({"kind": "parting", **content}, [])


def with_partings(
    cache: RecordingReader, stop: int, compare: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """Return ``compare`` of a manifest for a page without kernel.

    With all partings, and without places of episodes that begin at row `stop` or later.
    """
    pairs = (compare or {}).get("pairs")
    if not pairs:
        return compare
    names = ("env_against", "episode_against", "env", "episode")
    places: list[tuple[int | None, ...]] = []
    partings: list[list[Any]] = []
    for numbers in zip(*(pairs[name] for name in names), strict=True):
        keys = _keys_before(cache, stop, numbers)
        places.append((None,) * 4 if keys is None else (*keys[0], *keys[1]))
        partings.append(list(_UNKNOWN if keys is None else parting_of(cache, *keys)))
    shown = {name: [one[n] for one in places] for n, name in enumerate(names)}
    return {**(compare or {}), "pairs": {**pairs, **shown, "parting": partings}}


def _keys_before(
    cache: RecordingReader, stop: int, numbers: Sequence[int | None]
) -> tuple[EpisodeKey, EpisodeKey] | None:
    """Return the episodes of a pair; None: one is not there, or begins too late."""
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers):
        return None
    keys = EpisodeKey(*known[:2]), EpisodeKey(*known[2:])
    rows = cache.recording.rows
    if rows is None or not all(_is_there(cache, key) for key in keys):
        return None
    return keys if all(rows.episode(*key).start < stop for key in keys) else None


def _is_there(cache: RecordingReader, key: EpisodeKey) -> bool:
    rows = cache.recording.rows
    return (
        rows is not None
        and key.env < rows.num_envs
        and key.number < rows.num_begun(key.env)
    )


def _rows_of(cache: RecordingReader, key: EpisodeKey) -> Rows:
    """Return the rows of an episode's steps."""
    rows = cache.recording.rows
    assert rows is not None
    episode = rows.episode(*key)
    kinds = rows.kinds(episode.start, episode.stop)[:, key.env]
    found: list[int] = (np.flatnonzero(kinds != IDLE) + episode.start).tolist()
    return found


def _first(rows: tuple[Rows, Rows], envs: tuple[int, int], read: Read) -> int | None:
    """Return the first step that differs, or that only one of them has."""
    for step, (one, other) in enumerate(zip(*rows, strict=False)):
        if read(one, envs[0]) != read(other, envs[1]):
            return step
    shorter, longer = sorted(map(len, rows))
    return None if shorter == longer else shorter


def _parting(
    by: Literal["observations", "actions", "pictures"],
    rows: tuple[Rows, Rows],
    step: int | None,
) -> Parting:
    if step is None:
        return Parting(by, None)
    # Of one that has ended before, its last row.
    offsets = [min(step, len(own) - 1) for own in rows]
    return Parting(by, max(offsets))


def _observation(cache: RecordingReader, row: int, env: int) -> dict[str, bytes]:
    extras = cache.recording.extras(row)
    return {
        name: values[env].tobytes()
        for name, values in extras.items()
        if name == "obs" or name.startswith("obs.")
    }


def _action(cache: RecordingReader, row: int, env: int) -> bytes | None:
    values = cache.recording.extras(row).get(ACTION)
    return None if values is None else values[env].tobytes()


def _by_pictures(
    cache: RecordingReader,
    envs: tuple[int, int],
    rows: tuple[Rows, Rows],
) -> Parting:
    if not {*envs} <= {*cache.pictured_envs}:
        return _UNKNOWN
    # What is to be rendered is not, for this.
    if not all(cache.has_picture(rows[n][0], env) for n, env in enumerate(envs)):
        return _UNKNOWN

    def picture(row: int, env: int) -> bytes:
        if not cache.has_picture(row, env):
            return b""
        return bytes(cache.frames(row, [env])[0, 0].tobytes())

    limited = rows[0][:_MAX_PICTURES], rows[1][:_MAX_PICTURES]
    return _parting("pictures", rows, _first(limited, envs, picture))
