"""Bookmarks, labels and success: what the user notes of a recording."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RowError
from rollout_viewer._recording.annotations import AnnotationChange, episode_keys
from rollout_viewer._recording.reader import RecordingReader
from rollout_viewer._recording.storable import storable_json, storable_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_viewer._cache.subscribers import Subscribers
    from rollout_viewer._recording.annotations import AnyEpisode


class Annotator(RecordingReader):
    """Annotates a recording; `FrameCache` also records one.

    Annotations may change at any time, also of a recording that is complete.
    """

    _subscribers: Subscribers

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
        self.annotate(
            AnnotationChange(bookmarks={self._row_numbers(row)[0]: storable_text(note)})
        )

    def remove_bookmark(self, row: int) -> None:
        """Take a row's bookmark away; does nothing where there is none.

        Raises:
            RowError, RecordingLockedError, ReadOnlyError: As `bookmark`.
        """
        self.annotate(AnnotationChange(bookmarks={self._row_numbers(row)[0]: None}))

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
        labels = {**dict.fromkeys(words, True), **values}
        self._label(episode, storable_json(labels))

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
        marked = dict.fromkeys(self._begun("label", episode), labels)
        self.annotate(AnnotationChange(labels=marked))

    def mark_success(
        self, episode: AnyEpisode | Iterable[AnyEpisode], success: bool | None
    ) -> None:
        """Set `Episode.success` of an episode, or of several; None: it is not known.

        Args:
            episode: An `Episode` or (env, index), or several of them.
            success: Also in place of what a recorder has found.

        Raises:
            ValueError: `success` is something else.
            RowError, RecordingLockedError, ReadOnlyError: As `label`.
        """
        if success is not None and not isinstance(success, (bool, np.bool_)):
            raise ValueError(
                "FrameCache.mark_success: expected True, False or None, got "
                f"{success!r}."
            )
        value = None if success is None else bool(success)
        keys = self._begun("mark_success", episode)
        self.annotate(AnnotationChange(success=dict.fromkeys(keys, value)))

    def _begun(
        self, method: str, episode: AnyEpisode | Iterable[AnyEpisode]
    ) -> list[tuple[int, int]]:
        """Return (env, index) of episodes that are there."""
        keys = [*episode_keys(episode)]
        self.check_episodes(f"FrameCache.{method}", keys)
        return keys

    def check_episodes(self, where: str, episodes: Iterable[tuple[int, int]]) -> None:
        """Raise a `RowError` if an (env, index) of an episode is not there."""
        for env, index in episodes:
            rows = self._rows(env)
            if rows.begun(env, index) is None or index < 0:
                raise RowError(
                    f"{where}: expected an episode of env {env} in "
                    f"0..{rows.num_begun(env) - 1}, got {index!r}."
                )

    def annotate(self, change: AnnotationChange) -> None:
        """Apply a change of bookmarks, labels and success, as `label` makes one.

        Raises:
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.
        """
        self.recording.annotate(change)
        # No row was added, but viewers have something new to show.
        self._subscribers.notify(self.num_rows, self.num_rows)
