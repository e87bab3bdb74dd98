"""What is compared: lines, each a name and the finished episodes under it.

A line is a segment of a recording, or a recording among several. Knows caches.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RowError
from rollout_viewer._recording.step_row import IDLE
from rollout_viewer._viewer.as_cache import as_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recording.episode import Episode

    Success = Callable[[Episode], bool | None]


class Line(NamedTuple):
    """The episodes of one policy.

    Attributes:
        name: Of the policy: the segment, or the recording's name.
        cache: Where its episodes are.
        episodes: Those that terminated or were truncated, in the order of their rows.
        successes: Of each of them: True, False, or None where it is not known.
        num_unfinished: Episodes that were left out: a reset, or the end of the
            recording, cut them.
    """

    name: str
    cache: FrameCache
    episodes: Sequence[Episode]
    successes: Sequence[bool | None]
    num_unfinished: int


def lines_of(
    sources: Any,
    *,
    success: Success | None = None,
    segments: Sequence[str] | None = None,
    by: str | None = None,
    first_row: int = 0,
    where: str = "rv.evaluate",
) -> list[Line]:
    """Return the lines of recordings.

    Args:
        sources: Whatever `rv.view` takes: one recording, whose segments are the lines
            (without segments: it is one), or a dict of recordings by name; a list of
            paths is such a dict, by their stems.
        success: Called with each episode; None: `Episode.success`.
        segments: Which, in this order; None: all, as they began.
        by: A label: the lines are its values, as they began, of these segments.
        first_row: Of one recording: without the episodes that began before it.
        where: The function that the caller called, for messages.

    Raises:
        RowError: There is no finished episode, or no such segment or label.
        ValueError: There are segments or labels of several recordings, or equal names.
        TypeError: `success` is no function, or returns something else; `sources` holds
            no recording, or is a list of caches; `segments` is no list of names.
    """
    check_success(where, success)
    _check_segments(where, segments)
    if isinstance(sources, (list, tuple)) and any(map(_is_recording, sources)):
        if not all(map(_is_path, sources)):
            kinds = ", ".join(type(one).__name__ for one in sources)
            raise TypeError(
                f"{where}: expected recordings by name, or a list of paths, got a list "
                f"of {kinds}. Pass a dict: {{'before': one, 'after': other}}."
            )
        check_names(where, [str(Path(path)) for path in sources])
        sources = _by_name([Path(path) for path in sources])
    if isinstance(sources, Mapping):
        for name, given in (("segments", segments), ("by", by)):
            if given is not None:
                raise ValueError(
                    f"{where}: expected {name} of one recording, got it with "
                    f"{len(sources)} recordings by name. Pass one recording."
                )
        lines = [
            _line(str(name), cache, cache.episodes, success, where)
            for name, cache in ((n, as_cache(one)) for n, one in sources.items())
        ]
    else:
        cache = as_cache(sources)
        grouped = (
            _by_segment(cache, segments, first_row, where)
            if by is None
            else _by_label(cache, by, segments, first_row, where)
        )
        lines = [
            _line(name, cache, episodes, success, where)
            for name, episodes in grouped.items()
        ]
    check_names(where, [line.name for line in lines])
    if not any(line.episodes for line in lines):
        raise RowError(
            f"{where}: expected episodes that ended, got none in "
            f"{[line.name for line in lines]}. Record some until their end."
        )
    return lines


def rows_of(cache: FrameCache, episode: Episode) -> list[int]:
    """Return the rows of an episode's steps: of others, its env was idle meanwhile."""
    known = cache.recording.rows
    assert known is not None
    kinds = known.kinds(episode.start, episode.stop)[:, episode.env]
    rows: list[int] = (np.flatnonzero(kinds != IDLE) + episode.start).tolist()
    return rows


def notes_on_nan(lines: Sequence[Line]) -> list[str]:
    """Return a sentence for each line with rewards that are in no return."""
    counts = [
        (line.name, sum(one.num_nan_rewards > 0 for one in line.episodes))
        for line in lines
    ]
    return [
        f"{count} episodes of {name} have NaN among their rewards, which is left out "
        "of their returns."
        for name, count in counts
        if count
    ]


def _by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Return paths by their stems, or, where two have the same, as they are."""
    stems = {path.stem for path in paths}
    if len(stems) == len(paths):
        return {path.stem: path for path in paths}
    return {str(path): path for path in paths}


def _check_segments(where: str, segments: Any) -> None:
    """Raise TypeError where `segments` is neither a list of names nor None."""
    if segments is None:
        return
    is_list = np.iterable(segments) and not isinstance(segments, (str, bytes))
    if (
        not is_list
        or not len(segments)
        or not all(isinstance(s, str) for s in segments)
    ):
        raise TypeError(
            f"{where}: expected segments to be a list of names, got {segments!r:.100}. "
            "None: all."
        )


def _is_recording(source: object) -> bool:
    return _is_path(source) or hasattr(source, "episodes") or hasattr(source, "cache")


def _is_path(source: object) -> bool:
    return isinstance(source, (str, os.PathLike))


def check_success(where: str, success: object) -> None:
    """Raise TypeError where `success` is neither a function nor None."""
    if success is not None and not callable(success):
        raise TypeError(
            f"{where}: expected success to be a function of an Episode, got "
            f"{success!r:.100}. None: what the recording says."
        )


def check_names(where: str, names: Sequence[str]) -> None:
    """Raise ValueError where two are equal: one would be in the other's place."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{where}: expected names that differ, got {twice} more than once. Give "
            "each its own."
        )


def success_said(where: str, success: Success, episode: Episode) -> bool | None:
    """Return what `success` says of an episode: NaN is not known, as None.

    Raises:
        TypeError: It is neither a bool nor a number: any text, also "no", is true.
    """
    said: Any = success(episode)
    if said is None:
        return None
    value = np.asarray(said)
    if value.ndim or value.dtype.kind not in "biuf":
        raise TypeError(
            f"{where}: expected success to return True, False or None, got "
            f"{said!r:.100} for episode {episode.index} of env {episode.env}. Compare "
            "with what counts as success."
        )
    return None if np.isnan(value) else bool(value)


def _by_segment(
    cache: FrameCache, segments: Sequence[str] | None, first_row: int, where: str
) -> dict[str, list[Episode]]:
    """Return the episodes of each segment; without any, of the recording."""
    by_segment: dict[str | None, list[Episode]] = {}
    for episode in _in_order(cache, first_row):
        by_segment.setdefault(episode.segment, []).append(episode)
    known = [name for name in by_segment if name is not None]
    if segments is None:
        if not known:
            return {cache.path.stem: by_segment.get(None, [])}
        return {name: by_segment[name] for name in known}
    missing = [name for name in segments if name not in known]
    if missing:
        raise RowError(
            f"{where}: expected segments of {known}, got {missing}. Choose some that "
            "were recorded."
        )
    check_names(where, segments)
    return {name: by_segment[name] for name in segments}


def _by_label(
    cache: FrameCache,
    by: str,
    segments: Sequence[str] | None,
    first_row: int,
    where: str,
) -> dict[str, list[Episode]]:
    """Return the episodes of each value of a label."""
    if segments is not None:
        _by_segment(cache, segments, first_row, where)  # refuses unknown ones
    found: dict[str, list[Episode]] = {}
    known: dict[str, None] = {}
    for episode in _in_order(cache, first_row):
        known.update(dict.fromkeys(episode.labels))
        is_chosen = segments is None or episode.segment in segments
        if by in episode.labels and is_chosen:
            name = f"{by} {episode.labels[by]}"
            found.setdefault(name, []).append(episode)
    if not found:
        raise RowError(
            f"{where}: expected by to be one of the labels {list(known)}, got {by!r}. "
            "Segments have labels: cache.segment('eval', train_step=1000)."
        )
    return found


def _in_order(cache: FrameCache, first_row: int) -> list[Episode]:
    ordered = sorted(cache.episodes, key=lambda one: (one.start, one.env))
    return [one for one in ordered if one.start >= first_row]


def _line(
    name: str,
    cache: FrameCache,
    episodes: Sequence[Episode],
    success: Success | None,
    where: str,
) -> Line:
    finished = [one for one in episodes if one.is_finished]
    successes = [
        one.success if success is None else success_said(where, success, one)
        for one in finished
    ]
    return Line(name, cache, finished, successes, len(episodes) - len(finished))
