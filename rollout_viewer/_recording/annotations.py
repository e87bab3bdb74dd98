"""What is added to rows and episodes that are there: bookmarks, labels, success.

A change is data. It is merged (RFC 7396: null removes) both into a recording in memory
and into its file, so that different annotations by two processes are all kept.
Bookmarks are ``meta["bookmarks"]``, row -> note; labels and success are
in the file's table of episodes. Knows nothing of pictures or pages.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from rollout_viewer._errors import ReadOnlyError, RecordingError, RecordingLockedError
from rollout_viewer._recording.database import amend
from rollout_viewer._recording.episode import Episode
from rollout_viewer._recording.lock import describe_writer, locked, meta_of
from rollout_viewer._recording.statements import episode_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.statements import Statement

    AnyEpisode: TypeAlias = "Episode | tuple[int, int]"

T = TypeVar("T")


class AnnotationChange(NamedTuple):
    """Annotations that are set, and those that are removed (None).

    Attributes:
        bookmarks: Row -> note.
        added: Rows that get a bookmark; one that has one keeps its note.
        success: (env, episode index) -> whether it succeeded; None: not known.
        labels: (env, episode index) -> label -> value.
    """

    bookmarks: Mapping[int, str | None] = {}
    labels: Mapping[tuple[int, int], Mapping[str, Any]] = {}
    added: Sequence[int] = ()
    success: Mapping[tuple[int, int], bool | None] = {}

    @property
    def episodes(self) -> list[tuple[int, int]]:
        """The episodes that change, (env, index)."""
        return [*self.labels, *self.success]

    def part(self, first_env: int, num_envs: int, num_rows: int) -> AnnotationChange:
        """Return the part for one of several recordings that are read as one.

        Args:
            first_env: Number of its env 0 among all envs.
            num_envs: Its envs.
            num_rows: Its rows.
        """
        envs = range(first_env, first_env + num_envs)
        return AnnotationChange(
            {row: note for row, note in self.bookmarks.items() if row < num_rows},
            _of_envs(self.labels, envs),
            tuple(row for row in self.added if row < num_rows),
            _of_envs(self.success, envs),
        )


def _of_envs(values: Mapping[tuple[int, int], T], envs: range) -> dict[Any, T]:
    """Return the values of episodes of some envs, which are counted from 0 then."""
    return {
        (env - envs.start, index): value
        for (env, index), value in values.items()
        if env in envs
    }


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
    for (env, index), success in change.success.items():
        assert rows is not None
        rows.describe_episode(env, index, success=success)


def annotation_statements(change: AnnotationChange) -> list[Statement]:
    """Return the statements that apply a change to a file."""
    statements: list[Statement] = []
    if change.added:
        added = json.dumps({str(row): "" for row in change.added})
        statements.append(_bookmark_statement("json_patch(?2, value)", added))
    if change.bookmarks:
        notes = {str(row): note for row, note in change.bookmarks.items()}
        patch = json.dumps(notes)
        statements.append(_bookmark_statement("json_patch(value, ?2)", patch))
    for (env, index), labels in change.labels.items():
        patch = json.dumps({"labels": dict(labels)})
        statements.append(
            (
                "INSERT INTO episodes "
                "VALUES (?1, ?2, reseal(json_patch('{}', ?4), '', ?3)) "
                "ON CONFLICT DO UPDATE "
                "SET info = reseal(json_patch(info, ?4), info, ?3)",
                (env, index, episode_place(env, index), patch),
            )
        )
    for (env, index), success in change.success.items():
        statements.append(
            (
                "INSERT INTO episodes "
                "VALUES (?1, ?2, reseal(json_object('success', json(?4)), '', ?3)) "
                "ON CONFLICT DO UPDATE "
                "SET info = reseal(json_set(info, '$.success', json(?4)), info, ?3)",
                (env, index, episode_place(env, index), json.dumps(success)),
            )
        )
    return statements


def _bookmark_statement(patched: str, patch: str) -> Statement:
    return (
        "INSERT INTO meta "
        "VALUES ('bookmarks', reseal(json_patch('{}', ?2), '', ?1)) "
        f"ON CONFLICT DO UPDATE SET value = reseal({patched}, value, ?1)",
        ("bookmarks", patch),
    )


def write_annotations(change: AnnotationChange, path: Path, session: Any) -> None:
    """Apply a change to the file of a recording that is not being written.

    Args:
        change: What changes.
        path: The file.
        session: Of the recording that is meant.

    Raises:
        RecordingLockedError: Another process is writing it.
        ReadOnlyError: The file cannot be written, or is that of another recording.
    """
    write_statements(path, annotation_statements(change), session, "annotate")


def write_statements(
    path: Path, statements: Sequence[Statement], session: Any, verb: str
) -> None:
    """Execute statements on the file of a recording that is not being written.

    Args:
        path: The file.
        statements: All of them are executed, or none.
        session: Of the recording that is meant.
        verb: What they do, for messages.

    Raises:
        RecordingLockedError: Another process is writing it.
        ReadOnlyError: The file cannot be written, or is that of another recording.
    """
    try:
        with locked(path):
            if meta_of(path).get("session", session) != session:
                raise ReadOnlyError(
                    f"FrameCache: expected to {verb} the recording that {str(path)!r}"
                    " was when it was opened, got another one, by which it was "
                    f"replaced. Open it again and {verb} that."
                )
            amend(path, statements)
    except RecordingLockedError as error:
        raise RecordingLockedError(
            f"FrameCache: expected to {verb} {str(path)!r}, got a recording that "
            f"{describe_writer(path)} is writing. {verb.capitalize()} it there, "
            "through the cache that records, or when it is closed."
        ) from error
    except ReadOnlyError:
        raise
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


def episode_keys(episode: object) -> Iterator[tuple[int, int]]:
    """Yield (env, index) of each episode that `episode` names.

    Args:
        episode: An `Episode` or (env, index), or several of them.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(episode, Episode):
        yield episode.env, episode.index
    elif isinstance(episode, tuple) and [*map(type, episode)] == [int, int]:
        env, index = episode
        yield env, index
    elif isinstance(episode, Iterable) and not isinstance(episode, str):
        for one in episode:
            yield from episode_keys(one)
    else:
        raise TypeError(
            "FrameCache: expected an Episode or (env, index), or several of them, got "
            f"{episode!r:.100}. Pass cache.episodes[n]."
        )
