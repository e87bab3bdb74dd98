"""Reads bookmarks and labels that were saved from an exported page.

Foreign data: checked whole before any of it is used. The format is JSON::

    {"format": "rollout_viewer labels", "version": 1,
     "session": "0f3a...",                      of the recording that was exported
     "bookmarks": {"20": "first contact", "31": null},       row -> note; null: removed
     "episodes": [{"env": 0, "episode": 2,
                   "labels": {"failure": true, "late": null},       null: removed
                   "success": false}]}               may be left out; null: unknown
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rollout_viewer._errors import RecordingError, RowError
from rollout_viewer._recording.annotations import AnnotationChange
from rollout_viewer._recording.storable import storable_json, storable_text

if TYPE_CHECKING:
    import os

    from rollout_viewer._cache.cache import FrameCache

_FORMAT, _VERSION = "rollout_viewer labels", 1
# A page has some hundreds of marks; a longer file is none of its.
_MAX_BYTES = 10_000_000
_MAX_TEXT = 10_000
_MAX_NAME = 200
_FIELDS = {"format", "version", "session", "bookmarks", "episodes"}
_EPISODE_FIELDS = {"env", "episode", "labels", "success"}


class ImportedLabels(NamedTuple):
    """How much a file changed.

    Attributes:
        num_bookmarks: Bookmarks that were set or removed.
        num_episodes: Episodes that got labels, or lost some.
    """

    num_bookmarks: int
    num_episodes: int


def import_labels(cache: FrameCache, path: str | os.PathLike[str]) -> ImportedLabels:
    """Read bookmarks and labels that were saved from an exported page.

    In the page, "Save labels" writes what was changed there. That is added to the
    recording, and what was removed there is removed; other bookmarks and labels stay.

    Args:
        cache: The recording that was exported, or one opened from its file.
        path: The file.

    Returns:
        How much it changed.

    Raises:
        RecordingError: The file cannot be read, or is no such file.
        RowError: It has rows, envs or episodes that the recording does not have, or is
            of another recording. Of both errors: nothing was changed.
        RecordingLockedError: Another process records it.
        ReadOnlyError: The file of the recording cannot be written.

    Example:
        >>> import rollout_viewer as rv
        >>> cache = rv.open("run.rollout")  # doctest: +SKIP
        >>> rv.import_labels(cache, "run_labels.json")  # doctest: +SKIP
        ImportedLabels(num_bookmarks=1, num_episodes=2)
    """
    path = Path(path)
    saved = _LabelsFile(path, _read(path))
    change = saved.change(cache)
    if change.bookmarks or change.added or change.episodes:
        cache.annotate(change)
    num_bookmarks = len(change.bookmarks) + len(change.added)
    return ImportedLabels(num_bookmarks, len(set(change.episodes)))


def _read(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise _refused(path, "a file", "something else, as a folder")
        if size > _MAX_BYTES:
            raise _refused(
                path, f"a file of up to {_MAX_BYTES / 1e6:g} MB", f"{size} B"
            )
        text = path.read_bytes().decode("utf-8")
        return json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles
        )
    except RecordingError:  # an OSError too
        raise
    except OSError as error:
        raise _refused(path, "a file that can be read", str(error)) from error
    except (ValueError, RecursionError) as error:
        raise _refused(path, "JSON", f"{type(error).__name__}: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _refused(path: Path, expected: str, got: str) -> RecordingError:
    return RecordingError(
        f"import_labels: expected {expected} in {str(path)!r}, got {got[:200]}. Save "
        'it again from the exported page: "Save labels" in its menu "Save".'
    )


class _LabelsFile:
    """What a file says, checked; every fault is an error that names the place."""

    def __init__(self, path: Path, content: Any) -> None:
        self._path = path
        self._require(isinstance(content, dict), "an object", content)
        names = set(content)
        self._require(names == _FIELDS, f"the fields {sorted(_FIELDS)}", sorted(names))
        is_known = content["format"] == _FORMAT
        self._require(is_known, f"format {_FORMAT!r}", content["format"])
        version = content["version"]
        is_known = version == _VERSION and type(version) is int
        self._require(is_known, f"version {_VERSION}", version)
        session = content["session"]
        self._require(isinstance(session, str), "session as text", session)
        self._session: str = session
        self._bookmarks = self._checked_bookmarks(content["bookmarks"])
        self._labels: dict[tuple[int, int], dict[str, Any]] = {}
        self._success: dict[tuple[int, int], bool | None] = {}
        episodes = content["episodes"]
        self._require(isinstance(episodes, list), "episodes as a list", episodes)
        for episode in episodes:
            self._take_episode(episode)

    def change(self, cache: FrameCache) -> AnnotationChange:
        """Return what changes in this recording.

        Raises:
            RowError: It is another one, or has no such rows, envs or episodes.
        """
        if self._session != cache.session:
            raise RowError(
                f"import_labels: expected labels of the recording {str(cache.path)!r}, "
                f"got those of another one in {str(self._path)!r}. Pass the recording "
                "that the page was made of."
            )
        unknown = [row for row in self._bookmarks if row >= cache.num_rows]
        if unknown:
            raise RowError(
                f"import_labels: expected bookmarks of rows below {cache.num_rows}, "
                f"got {unknown[0]} in {str(self._path)!r}."
            )
        cache.check_episodes("import_labels", [*self._labels, *self._success])
        # A note that is empty takes none away that was written meanwhile.
        notes = {
            row: None if note is None else storable_text(note)
            for row, note in self._bookmarks.items()
            if note != ""
        }
        added = [row for row, note in self._bookmarks.items() if note == ""]
        labels = {key: storable_json(one) for key, one in self._labels.items() if one}
        return AnnotationChange(notes, labels, added, self._success)

    def _require(self, is_right: bool, expected: str, got: object) -> None:
        if not is_right:
            raise _refused(self._path, expected, repr(got))

    def _checked_bookmarks(self, bookmarks: Any) -> dict[int, str | None]:
        self._require(isinstance(bookmarks, dict), "bookmarks as an object", bookmarks)
        for row, note in bookmarks.items():
            is_row = row.isascii() and row.isdigit() and str(int(row[:16])) == row
            self._require(is_row, "bookmarks by row", row)
            is_note = note is None or (isinstance(note, str) and len(note) <= _MAX_TEXT)
            self._require(is_note, f"notes of up to {_MAX_TEXT} characters", note)
        return {int(row): note for row, note in bookmarks.items()}

    def _take_episode(self, episode: Any) -> None:
        self._require(isinstance(episode, dict), "an episode as an object", episode)
        names = set(episode)
        is_known = {"env", "episode"} <= names <= _EPISODE_FIELDS
        self._require(is_known, f"an episode of {sorted(_EPISODE_FIELDS)}", episode)
        env, index = episode["env"], episode["episode"]
        for number in (env, index):
            is_number = type(number) is int and 0 <= number < 2**31
            self._require(is_number, "env and episode as numbers", number)
        key = env, index
        self._require(key not in self._labels, "each episode once", key)
        labels = episode.get("labels", {})
        self._require(isinstance(labels, dict), "labels as an object", labels)
        for name, value in labels.items():
            is_name = bool(name.strip()) and len(name) <= _MAX_NAME
            self._require(is_name, f"label names of 1 to {_MAX_NAME} characters", name)
            self._require(_is_value(value), "labels as texts, numbers or true", value)
        self._labels[key] = labels
        if "success" in episode:
            success = episode["success"]
            is_known = success is None or isinstance(success, bool)
            self._require(is_known, "success as true, false or null", success)
            self._success[key] = success


def _is_value(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _MAX_TEXT
    if isinstance(value, float):
        return math.isfinite(value)
    # Beyond 64 bits a recording keeps no number.
    is_whole = isinstance(value, int) and -(2**63) <= value < 2**63
    return value is None or isinstance(value, bool) or is_whole
