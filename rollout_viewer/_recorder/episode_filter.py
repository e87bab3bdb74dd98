"""Rows held back until their episode has ended and somebody wants to keep it.

They wait, compressed, in a temporary cache of their own. Kept episodes are then
appended to the real one, one after the other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._recording.step_row import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._recording.episode import Episode

# Rows after which what is no longer waited for is given up; an estimate of a few
# megabytes on disk.
_TIDY_ROWS = 2048


class EpisodeFilter:
    """Takes `FrameCache.append`'s arguments; passes on the episodes that are kept.

    Args:
        cache: Where kept episodes go.
        keep: Asked with each episode at its end.
    """

    def __init__(self, cache: FrameCache, keep: Callable[[Episode], bool]) -> None:
        self._cache = cache
        self._keep = keep
        self._waiting = FrameCache()
        self._num_asked: dict[int, int] = {}
        # Episodes of `_waiting` that were asked about, and of it alone.
        self._num_passed: dict[int, int] = {}
        self._tidy_at = _TIDY_ROWS

    def append(self, frames: Any, **step: Any) -> int:
        """Hold a row back, then pass on what it ends and is kept.

        Returns:
            The last row of the cache, -1 where it has none.
        """
        row = self._waiting.append(frames, **step)
        has_ended = np.asarray(step["terminated"]) | np.asarray(step["truncated"])
        is_reset = np.asarray(step["kind"]) == Kind.RESET
        if (has_ended | is_reset).any():
            self._ask(lambda e: e.is_finished or e.stop <= row)
        if row >= self._tidy_at:
            self._tidy()
        return self._cache.num_rows - 1

    @property
    def is_shared(self) -> bool:
        """Whether one picture shows all envs."""
        return self._waiting.is_shared

    def finish(self) -> None:
        """Ask about unfinished episodes too, and forget everything."""
        self._ask(lambda _: True)
        self._waiting.clear()
        self._num_passed.clear()

    def _ask(self, is_over: Callable[[Episode], bool]) -> None:
        for episode in self._waiting.episodes:
            env = episode.env
            if episode.index < self._num_passed.get(env, 0) or not is_over(episode):
                continue
            self._num_passed[env] = episode.index + 1
            number = self._num_asked.get(env, 0)
            self._num_asked[env] = number + 1
            if self._keep(replace(episode, index=number)):
                for row in range(episode.start, episode.stop):
                    info = _info_of(episode) if row == episode.start else None
                    _copy(self._waiting, row, [env], self._cache, {env: info})

    def _tidy(self) -> None:
        """Give up the rows before the oldest episode that is still running."""
        running = [
            episode
            for episode in self._waiting.episodes
            if episode.index >= self._num_passed.get(episode.env, 0)
        ]
        old, num_rows = self._waiting, self._waiting.num_rows
        first = min((episode.start for episode in running), default=num_rows)
        if 2 * first >= num_rows:
            self._waiting = FrameCache()
            infos = {(e.start, e.env): _info_of(e) for e in running}
            for row in range(first, num_rows):
                envs = [e.env for e in running if e.start <= row]
                found = {env: infos.get((row, env)) for env in envs}
                _copy(old, row, envs, self._waiting, found)
            old.close()
            self._num_passed.clear()
        self._tidy_at = max(_TIDY_ROWS, 2 * self._waiting.num_rows)


def _info_of(episode: Episode) -> dict[str, Any]:
    info = {
        "seed": episode.seed,
        "options": episode.options,
        "labels": dict(episode.labels),
    }
    # What is not known here may be known to the cache, from its segment.
    return {name: value for name, value in info.items() if value not in (None, {})}


def _copy(
    source: FrameCache,
    row: int,
    envs: Sequence[int],
    target: FrameCache,
    infos: dict[int, dict[str, Any] | None],
) -> None:
    """Append a row of `source` to `target`, with all but `envs` idle."""
    n = source.num_envs
    scalars = {
        name: np.zeros(n, dtype)
        for name, dtype in (("reward", "f8"), ("terminated", "?"), ("truncated", "?"))
    }
    kind = ["idle"] * n
    num_transitions = np.ones(n, np.int64)
    frames: list[Any] = []
    pictured = [] if source.is_shared else [e for e in envs if _is_shown(source, e)]
    data: dict[str, Any] = {}
    for env in envs:
        now = source.at(row, env)
        before = source.at(row - 1, env) if row else None
        kind[env] = now.kind
        for name, column in scalars.items():
            column[env] = now[name]
        is_continued = before is not None and before.episode == now.episode
        steps = now.env_step - (before.env_step if before and is_continued else 0)
        num_transitions[env] = max(steps, 1)
        if env in pictured:
            frames.append(source[row, env] if source.is_shown(row, env) else None)
        values = {name: now[name] for name in source.data_names(row) if name in now}
        if before is not None and is_continued and before.action is not None:
            values["action"] = before.action
        elif "action" in values:
            del values["action"]
        for name, value in values.items():
            array = np.asarray(value)
            data.setdefault(name, np.zeros((n, *array.shape), array.dtype))[env] = array
    action = data.pop("action", None)
    shown: Any = frames if pictured else None
    if source.is_shared and source.is_shown(row, 0):
        shown = source[row, 0]
    target.append(
        shown,
        envs=pictured or None,
        kind=kind,
        action=action,
        data=data,
        num_transitions=num_transitions,
        episode_info={env: info for env, info in infos.items() if info},
        **scalars,
    )


def _is_shown(source: FrameCache, env: int) -> bool:
    return env in source.pictured_envs
