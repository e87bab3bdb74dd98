"""Several named recordings on one clock: joined side by side, as they are now.

Row n of one is shown beside row n of the others, and a shorter one ends. One that is
still being recorded is copied first, so that a comparison never waits for it.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rollout_viewer._cache.cache import FrameCache, open_recording
from rollout_viewer._errors import RowError
from rollout_viewer._recording.statements import meta_statement

if TYPE_CHECKING:
    from collections.abc import Mapping


class Group(NamedTuple):
    """The envs of one recording among those of all."""

    name: str
    first_env: int
    num_envs: int


class Compared(NamedTuple):
    """Recordings as one.

    Attributes:
        cache: All of them, envs numbered on in their order.
        groups: Which envs are whose.
        columns: Tiles across, so that each recording has a line and equal envs are
            above each other; None: one of them has too many pictures for a line.
    """

    cache: FrameCache
    groups: list[Group]
    columns: int | None


# More tiles across than this are too small to be compared with those below.
_MAX_COLUMNS = 16


def compare(caches: Mapping[str, FrameCache]) -> Compared:
    """Return recordings side by side.

    Raises:
        ValueError: There are none.
        RowError: One of them is empty.
    """
    if not caches:
        raise ValueError("rv.view: expected recordings by name, got an empty dict.")
    for name, cache in caches.items():
        if not cache.num_rows:
            raise RowError(
                f"rv.view: expected rows in {str(name)!r}, got an empty recording. "
                "Compare recordings when something was recorded."
            )
    groups, first, originals = [], 0, {}
    for name, cache in caches.items():
        groups.append(Group(str(name), first, cache.num_envs))
        if _is_copied(cache):
            originals[first] = cache
        first += cache.num_envs
    folder = Path(tempfile.mkdtemp("-rollout_viewer"))
    try:
        joined = open_recording(
            [
                _ended_file(cache, folder / f"{number}.rollout")
                for number, cache in enumerate(caches.values())
            ],
            originals=originals,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(joined, shutil.rmtree, folder, ignore_errors=True)
    across = max(len(cache.tiles) for cache in caches.values())
    return Compared(joined, groups, across if 0 < across <= _MAX_COLUMNS else None)


def _ended_file(cache: FrameCache, path: Path) -> Path:
    """Return a recording's file, or a copy at `path` where it may change or be deleted.

    The copy is marked as ended: else the longer ones would wait for its rows.
    """
    if not _is_copied(cache):
        return cache.path
    copy = cache.save(path)
    with contextlib.closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute(*meta_statement("is_closed", True))
    return copy


def _is_copied(cache: FrameCache) -> bool:
    recording = cache.recording
    return cache.is_live or recording.is_temporary or len(recording.paths) > 1
