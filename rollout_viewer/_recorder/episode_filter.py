"""A filter in front of a cache: it records whole episodes, and only those to keep.

Rows wait, compressed, in a temporary cache. At the end of an episode a function
decides; the rows of kept episodes are then appended to the real cache, one episode
after the other.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._recording.step_row import RESET
from rollout_viewer._replay.episode_start import START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rollout_viewer._cache.block_builder import BlockBuilder
    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.step_row import Mask

# Rows after which the waiting rows of finished episodes are dropped; an estimate of a
# few megabytes on disk.
_COMPACT_ROWS = 2048


class EpisodeFilter:
    """Accepts the arguments of `FrameCache.append`, and records the kept episodes.

    Args:
        cache: Where kept episodes are recorded.
        keep: Called with each episode at its end. An episode with which it raises is
            kept; the first time is a warning.
        on_kept: Called with the env, first row and row after the last of an episode
            that was recorded.
    """

    def __init__(
        self,
        cache: FrameCache | BlockBuilder,
        keep: Callable[[Episode], bool],
        on_kept: Callable[[int, int, int], object],
    ) -> None:
        self._cache = cache
        self._keep = keep
        self._on_kept = on_kept
        self._waiting = FrameCache()
        # By env: evaluated episodes in all, and those of them in `_waiting`.
        self._num_evaluated: dict[int, int] = {}
        self._num_waiting_evaluated: dict[int, int] = {}
        self._compact_at = _COMPACT_ROWS
        # The episode that is being copied, its number among all of its env, and the
        # rows of the cache before it; None: none is.
        self._copying: tuple[Episode, int, int] | None = None
        self._has_warned = False
        # Envs of which an episode has ended or begun since the last evaluation.
        self._due: Mask = np.zeros(0, np.bool_)

    def append(self, frames: Any, **step: Any) -> int:
        """Let a row wait; `evaluate` is to follow.

        Returns:
            The last row of the cache; -1: it has none.
        """
        due = np.asarray(step["kind"]) == RESET
        for name in ("terminated", "truncated"):
            if step.get(name) is not None:
                due = due | np.asarray(step[name], np.bool_)
        # Before: an evaluation for nothing does no harm.
        self._due = due | self._due if len(self._due) else due
        self._waiting.append(frames, **step)
        return self._cache.num_rows - 1

    @property
    def num_appended(self) -> int:
        """How many rows wait; see `FrameCache.num_appended`."""
        return self._waiting.num_appended

    def newest_episode(self, env: int) -> Episode | None:
        """Return the env's newest episode, as it waits; None: it has none."""
        return self._waiting.newest_episode(env)

    def annotate(self, change: AnnotationChange) -> None:
        """Apply a change to episodes that wait."""
        self._waiting.annotate(change)

    def evaluate(self) -> int:
        """Decide about the episodes that have ended, where the user may interrupt.

        Returns:
            The last row of the cache; -1: it has none.
        """
        row = self._waiting.num_rows - 1
        if self._due.any():
            envs = np.flatnonzero(self._due).tolist()
            self._evaluate(lambda e: e.is_finished or e.stop <= row, envs)
            self._due = np.zeros_like(self._due)
        if row >= self._compact_at:
            self._compact()
        return self._cache.num_rows - 1

    @property
    def is_shared(self) -> bool:
        """Whether one picture shows all envs."""
        return self._waiting.is_shared

    @property
    def slots(self) -> list[Slot]:
        """What is pictured in the waiting rows."""
        return self._waiting.slots

    def finish(self) -> None:
        """Evaluate the unfinished episodes too, and drop all waiting rows."""
        self._evaluate(lambda _: True, range(self._waiting.num_envs))
        self._waiting.clear()
        self._num_waiting_evaluated.clear()

    def _evaluate(
        self, is_over: Callable[[Episode], bool], envs: Iterable[int]
    ) -> None:
        """Decide about episodes of `envs` that are over, and record those to keep."""
        self._copy()
        for episode in self._unevaluated(envs):
            if not is_over(episode):
                continue
            number = self._num_evaluated.get(episode.env, 0)
            if self._is_kept(replace(episode, index=number)):
                self._copying = episode, number, self._cache.num_rows
                self._copy()
            else:
                self._note_evaluated(episode, number)

    def _unevaluated(self, envs: Iterable[int]) -> list[Episode]:
        """Return waiting episodes of `envs`, in the order in which they began."""
        rows = self._waiting.recording.rows
        if rows is None:
            return []
        found = [
            rows.episode(env, index)
            for env in envs
            for index in range(
                self._num_waiting_evaluated.get(env, 0), rows.num_begun(env)
            )
        ]
        return sorted(found, key=lambda episode: (episode.start, episode.env))

    def _is_kept(self, episode: Episode) -> bool:
        try:
            return bool(self._keep(episode))
        except Exception as error:
            # What cannot be decided is not lost, and does not end a training run.
            if not self._has_warned:
                self._has_warned = True
                warnings.warn(
                    "record: expected keep_episode to return whether an episode is "
                    f"recorded, got {error!r} for episode {episode.index} of env "
                    f"{episode.env}. Episodes for which it fails are recorded.",
                    RolloutViewerWarning,
                    stacklevel=2,
                )
            return True

    def _copy(self) -> None:
        """Append the episode to the cache; where it was interrupted, the rest of it."""
        if self._copying is None:
            return
        episode, number, num_rows = self._copying
        first = episode.start + self._cache.num_rows - num_rows
        for row in range(first, episode.stop):
            info = self._info_of(episode) if row == episode.start else {}
            arguments = self._waiting.row_of(row, [episode.env])
            infos = {episode.env: info} if info else None
            self._cache.append(episode_info=infos, **arguments)
        self._note_evaluated(episode, number)
        self._copying = None
        self._on_kept(episode.env, num_rows, self._cache.num_rows)

    def _note_evaluated(self, episode: Episode, number: int) -> None:
        self._num_waiting_evaluated[episode.env] = episode.index + 1
        self._num_evaluated[episode.env] = number + 1

    def _compact(self) -> None:
        """Drop the rows before the oldest episode that still runs."""
        running = self._unevaluated(range(self._waiting.num_envs))
        old, num_rows = self._waiting, self._waiting.num_rows
        first = min((episode.start for episode in running), default=num_rows)
        if 2 * first >= num_rows:
            new = FrameCache()
            for row in range(first, num_rows):
                begun = {
                    e.env: self._info_of(e, old) for e in running if e.start == row
                }
                infos = {env: info for env, info in begun.items() if info}
                envs = [e.env for e in running if e.start <= row]
                arguments = old.row_of(row, envs)
                new.append(episode_info=infos, **arguments)
            # At once: where it is interrupted before, all rows still wait.
            self._waiting, self._num_waiting_evaluated = new, {}
            old.close()
        self._compact_at = max(_COMPACT_ROWS, 2 * self._waiting.num_rows)

    def _info_of(
        self, episode: Episode, waiting: FrameCache | None = None
    ) -> dict[str, Any]:
        recording = (waiting or self._waiting).recording
        info = {
            "seed": episode.seed,
            "options": episode.options,
            "labels": dict(episode.labels),
            "success": episode.success,
            START: recording.start_of(episode.env, episode.index),
        }
        info = {name: value for name, value in info.items() if value not in (None, {})}
        # None: it is in none, whichever the cache has now.
        return {"segment": episode.segment, **info}
