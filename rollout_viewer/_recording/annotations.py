"""Annotations that users add to a recording: bookmarks of rows, labels of episodes.

A change is data. It is merged (RFC 7396: null removes) both into a recording in memory
and into its file, so that different annotations by two processes are all kept.
Bookmarks are ``meta["bookmarks"]``, row -> note; labels are
in the file's table of episodes. Knows nothing of pictures or pages.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from rollout_viewer._errors import ReadOnlyError, RecordingError, RecordingLockedError
from rollout_viewer._recording.database import amend
from rollout_viewer._recording.episode import Episode
from rollout_viewer._recording.lock import describe_writer, locked

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.statements import Statement

    AnyEpisode: TypeAlias = "Episode | tuple[int, int]"


class AnnotationChange(NamedTuple):
    """Annotations that are set, and those that are removed (None).

    Attributes:
        bookmarks: Row -> note.
        added: Rows that get a bookmark; one that has one keeps its note.
        labels: (env, episode index) -> label -> value.
    """

    bookmarks: Mapping[int, str | None] = {}
    labels: Mapping[tuple[int, int], Mapping[str, Any]] = {}
    added: Sequence[int] = ()

    def part(self, first_env: int, num_envs: int, num_rows: int) -> AnnotationChange:
        """Return the part for one of several recordings that are read as one.

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
            tuple(row for row in self.added if row < num_rows),
        )


def bookmarks_of(meta: Mapping[str, Any]) -> dict[int, str]:
    """Return row -> note, ascending."""
    notes = meta.get("bookmarks") or {}
    return {row: str(notes[str(row)]) for row in sorted(map(int, notes))}


def apply_annotations(
    change: AnnotationChange, meta: dict[str, Any], rows: Rows | None
) -> None:
    """Apply a change to metadata and rows in memory."""
    if change.bookmarks or change.added:
        added = dict.fromkeys(change.added, "")
        notes = {**added, **bookmarks_of(meta), **change.bookmarks}
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
    """Return the statements that apply a change to a file."""
    statements: list[Statement] = []
    if change.added:
        added = json.dumps({str(row): "" for row in change.added})
        statements.append(
            (
                "INSERT INTO meta VALUES ('bookmarks', json_patch('{}', ?)) "
                "ON CONFLICT DO UPDATE SET value = json_patch(?, value)",
                (added, added),
            )
        )
    if change.bookmarks:
        patch = json.dumps({str(row): note for row, note in change.bookmarks.items()})
        statements.append(
            (
                "INSERT INTO meta VALUES ('bookmarks', json_patch('{}', ?)) "
                "ON CONFLICT DO UPDATE SET value = json_patch(value, ?)",
                (patch, patch),
            )
        )
    for (env, index), labels in change.labels.items():
        patch = json.dumps({"labels": dict(labels)})
        statements.append(
            (
                "INSERT INTO episodes VALUES (?, ?, json_patch('{}', ?)) "
                "ON CONFLICT DO UPDATE SET info = json_patch(info, ?)",
                (env, index, patch, patch),
            )
        )
    return statements


def write_annotations(change: AnnotationChange, path: Path) -> None:
    """Apply a change to the file of a recording that is not being written.

    Raises:
        RecordingLockedError: Another process is writing it.
        ReadOnlyError: The file cannot be written.
    """
    write_statements(path, annotation_statements(change), "annotate")


def write_statements(path: Path, statements: Sequence[Statement], verb: str) -> None:
    """Execute statements on the file of a recording that is not being written.

    Args:
        path: The file.
        statements: All of them are executed, or none.
        verb: What they do, for messages.

    Raises:
        RecordingLockedError: Another process is writing it.
        ReadOnlyError: The file cannot be written.
    """
    try:
        with locked(path):
            amend(path, statements)
    except RecordingLockedError as error:
        raise RecordingLockedError(
            f"FrameCache: expected to {verb} {str(path)!r}, got a recording that "
            f"{describe_writer(path)} is writing. {verb.capitalize()} it there, "
            "through the cache that records, or when it is closed."
        ) from error
    except RecordingError as error:
        raise ReadOnlyError(
            f"FrameCache: expected to {verb} {str(path)!r}, got a file that can only "
            f"be read ({error.__cause__ or error}). Make it and its folder writable, "
            f"or save() a copy and {verb} that."
        ) from error


def label_texts(labels: Mapping[str, Any]) -> list[str]:
    """Return labels as text: ``["failure", "grasps=2"]``."""
    return [
        name if value is True else f"{name}={value}" for name, value in labels.items()
    ]


def episode_keys(
    episode: AnyEpisode | Iterable[AnyEpisode],
) -> Iterator[tuple[int, int]]:
    """Yield (env, index) of each episode that `episode` names."""
    if isinstance(episode, Episode):
        yield episode.env, episode.index
    elif isinstance(episode, tuple) and [*map(type, episode)] == [int, int]:
        yield episode
    else:
        for one in episode:
            assert not isinstance(one, int)
            yield from episode_keys(one)
