"""What people write beside a recording: bookmarks of rows, labels of episodes.

A change is data: what a recording holds and what its file keeps take it alike, as
a merge (RFC 7396: null takes away), so that two who write different marks one after
the other lose neither. Bookmarks are ``meta["bookmarks"]``, row -> note; labels are
those of the file's table of episodes. Knows no pictures and no page.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from rollout_viewer._errors import ReadOnlyError, RecordingError, RecordingLockedError
from rollout_viewer._recording.database import amend
from rollout_viewer._recording.episode import Episode
from rollout_viewer._recording.lock import describe_writer, locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.statements import Statement

    AnyEpisode: TypeAlias = "Episode | tuple[int, int]"


class AnnotationChange(NamedTuple):
    """Annotations that are set, and those that are removed (None).

    Attributes:
        bookmarks: Row -> note.
        labels: (env, episode index) -> label -> value.
    """

    bookmarks: Mapping[int, str | None] = {}
    labels: Mapping[tuple[int, int], Mapping[str, Any]] = {}

    def part(self, first_env: int, num_envs: int, num_rows: int) -> AnnotationChange:
        """Return what concerns one of several recordings that are read as one.

        Args:
            first_env: Number of its env 0 among all envs.
            num_envs: Its envs.
            num_rows: Its rows.
        """
        return AnnotationChange(
            {row: note for row, note in self.bookmarks.items() if row < num_rows},
            {
                (env - first_env, index): labels
                for (env, index), labels in self.labels.items()
                if first_env <= env < first_env + num_envs
            },
        )


def jsonable(value: Any) -> Any:
    """Return a copy of what JSON takes; arrays as lists, anything else as its repr."""

    def convert(other: Any) -> Any:
        return other.tolist() if hasattr(other, "tolist") else repr(other)

    return json.loads(json.dumps(value, default=convert))


def bookmarks_of(meta: Mapping[str, Any]) -> dict[int, str]:
    """Return row -> note, ascending."""
    kept = meta.get("bookmarks") or {}
    return {row: str(kept[str(row)]) for row in sorted(map(int, kept))}


def apply_annotations(
    change: AnnotationChange, meta: dict[str, Any], rows: Rows | None
) -> None:
    """Take a change into what a recording holds."""
    if change.bookmarks:
        notes = {**bookmarks_of(meta), **change.bookmarks}
        meta["bookmarks"] = {
            str(row): notes[row] for row in sorted(notes) if notes[row] is not None
        }
    for (env, index), labels in change.labels.items():
        assert rows is not None
        info = rows.info_of(env, index)
        merged = {**info.get("labels", {}), **labels}
        kept = {name: value for name, value in merged.items() if value is not None}
        rows.describe_episode(env, index, labels=kept)


def annotation_statements(change: AnnotationChange) -> list[Statement]:
    """Return what brings a change into a file."""
    made: list[Statement] = []
    if change.bookmarks:
        patch = json.dumps({str(row): note for row, note in change.bookmarks.items()})
        made.append(
            (
                "INSERT INTO meta VALUES ('bookmarks', json_patch('{}', ?)) "
                "ON CONFLICT DO UPDATE SET value = json_patch(value, ?)",
                (patch, patch),
            )
        )
    for (env, index), labels in change.labels.items():
        patch = json.dumps({"labels": dict(labels)})
        made.append(
            (
                "INSERT INTO episodes VALUES (?, ?, json_patch('{}', ?)) "
                "ON CONFLICT DO UPDATE SET info = json_patch(info, ?)",
                (env, index, patch, patch),
            )
        )
    return made


def write_annotations(change: AnnotationChange, path: Path) -> None:
    """Bring a change into the file of a recording that nobody writes.

    Raises:
        RecordingLockedError: Somebody writes it.
        ReadOnlyError: The file cannot be written.
    """
    try:
        with locked(path):
            amend(path, annotation_statements(change))
    except RecordingLockedError as error:
        raise RecordingLockedError(
            f"FrameCache: expected to keep marks in {str(path)!r}, got a recording "
            f"that {describe_writer(path)} is writing. Mark it there, through the "
            "cache that records, or when it is closed."
        ) from error
    except RecordingError as error:
        raise ReadOnlyError(
            f"FrameCache: expected to keep marks in {str(path)!r}, got a file that can "
            f"only be read ({error.__cause__ or error}). Make it and its folder yours, "
            "or save() a copy and mark that."
        ) from error


def label_texts(labels: Mapping[str, Any]) -> list[str]:
    """Return labels as text: ``["failure", "grasps=2"]``."""
    return [
        name if value is True else f"{name}={value}" for name, value in labels.items()
    ]


def episode_keys(
    episode: AnyEpisode | Iterable[AnyEpisode],
) -> Iterator[tuple[int, int]]:
    """Give (env, index) of each episode that `episode` names."""
    if isinstance(episode, Episode):
        yield episode.env, episode.index
    elif isinstance(episode, tuple) and [*map(type, episode)] == [int, int]:
        yield episode
    else:
        for one in episode:
            assert not isinstance(one, int)
            yield from episode_keys(one)
