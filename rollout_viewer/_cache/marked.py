"""Bookmarks and labels of a cache, as people read and set them.

The same for one that records, one that was opened and several that are shown as
one. What is set is in the file when these return, or half a second later while it
records.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from rollout_viewer._errors import RowError
from rollout_viewer._recording.annotations import (
    AnnotationChange,
    bookmarks_of,
    jsonable,
)
from rollout_viewer._recording.episode import Episode
from rollout_viewer._recording.reader import RecordingReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    AnyEpisode: TypeAlias = "Episode | tuple[int, int]"


class MarkedFrames(RecordingReader):
    """A recording that people write marks beside; `FrameCache` has the rest."""

    # Recordings that were copied into this one, and which env is their first here.
    _originals: list[tuple[MarkedFrames, int]]

    def _tell(self, start: int, stop: int) -> None:
        raise NotImplementedError

    @property
    def bookmarks(self) -> dict[int, str]:
        """A copy of the bookmarks, row -> note, ascending; "" where there is none."""
        return bookmarks_of(self._now.meta)

    def bookmark(self, row: int, note: str = "") -> None:
        """Mark a row, with a note; one that is marked gets this note.

        Args:
            row: Negative ones count from the end.
            note: Anything.

        Raises:
            RowError: There is no such row.
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.
        """
        self._mark(AnnotationChange(bookmarks={self._row_numbers(row)[0]: str(note)}))

    def remove_bookmark(self, row: int) -> None:
        """Take a row's bookmark away; does nothing where there is none.

        Raises:
            RowError, RecordingLockedError, ReadOnlyError: As `bookmark`.
        """
        self._mark(AnnotationChange(bookmarks={self._row_numbers(row)[0]: None}))

    def label(
        self, episode: AnyEpisode | Iterable[AnyEpisode], *words: str, **values: Any
    ) -> None:
        """Label an episode, or several: ``cache.label(episode, "failure")``.

        Labels are kept in `Episode.labels`, beside those of its segment.

        Args:
            episode: An `Episode` or (env, index), or several of them.
            *words: "success", "failure" or any others; their value is True.
            **values: Labels with a value that JSON takes, as ``grasps=2``.

        Raises:
            ValueError: No label was given, or an empty one.
            RowError: There is no such episode.
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.

        Example:
            >>> import numpy as np
            >>> from rollout_viewer import FrameCache
            >>> cache = FrameCache()
            >>> row = cache.append(np.zeros((1, 8, 8, 3), np.uint8))
            >>> cache.label(cache.episodes[0], "failure", grasps=2)
            >>> cache.episodes[0].labels
            {'failure': True, 'grasps': 2}
        """
        if None in values.values():
            raise ValueError(
                f"FrameCache.label: expected labels with values, got {values!r}. "
                "unlabel() takes a label away."
            )
        self._label(episode, {**dict.fromkeys(words, True), **jsonable(values)})

    def unlabel(self, episode: AnyEpisode | Iterable[AnyEpisode], *names: str) -> None:
        """Take labels away; those that an episode does not have are passed over.

        Raises:
            ValueError, RowError, RecordingLockedError, ReadOnlyError: As `label`.
        """
        self._label(episode, dict.fromkeys(names))

    def _label(
        self, episode: AnyEpisode | Iterable[AnyEpisode], labels: dict[str, Any]
    ) -> None:
        for name in labels:
            if not str(name).strip():
                raise ValueError(
                    f"FrameCache.label: expected labels with letters, got {name!r}. "
                    'Pass words, as in cache.label(episode, "success").'
                )
        if not labels:
            raise ValueError(
                "FrameCache.label: expected a label, got none. "
                'Pass words, as in cache.label(episode, "success").'
            )
        marked = dict.fromkeys(_keys(episode), labels)
        for env, index in marked:
            rows = self._rows(env)
            if rows.begun(env, index) is None or index < 0:
                raise RowError(
                    f"FrameCache.label: expected an episode of env {env} in "
                    f"0..{rows.num_begun(env) - 1}, got {index!r}."
                )
        self._mark(AnnotationChange(labels=marked))

    def _mark(self, change: AnnotationChange) -> None:
        self._recording.mark(change)
        for original, first_env in self._originals:
            last = first_env + original.num_envs
            num_rows = original.num_rows
            mine = AnnotationChange(
                {r: note for r, note in change.bookmarks.items() if r < num_rows},
                {
                    (env - first_env, index): labels
                    for (env, index), labels in change.labels.items()
                    if first_env <= env < last
                },
            )
            if mine != AnnotationChange():
                original._mark(mine)
        # No row came, but who shows this has something to show.
        self._tell(self.num_rows, self.num_rows)


def label_texts(labels: Mapping[str, Any]) -> list[str]:
    """Return labels as people read them: ``["failure", "grasps=2"]``."""
    return [
        name if value is True else f"{name}={value}" for name, value in labels.items()
    ]


def _keys(episode: AnyEpisode | Iterable[AnyEpisode]) -> Iterator[tuple[int, int]]:
    if isinstance(episode, Episode):
        yield episode.env, episode.index
    elif isinstance(episode, tuple) and [*map(type, episode)] == [int, int]:
        yield episode
    else:
        for one in episode:
            assert not isinstance(one, int)
            yield from _keys(one)
