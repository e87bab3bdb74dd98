"""The episodes that follow from rows' step data, derived when they are asked for.

An episode runs from its reset row (or from its first kept row, where the reset was
skipped) up to and with the row of its end, or up to the next reset. Knows nothing of
who appends rows, of pictures or files.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RowError
from rollout_viewer._recording.episode import Episode
from rollout_viewer._recording.step_columns import StepColumns
from rollout_viewer._recording.step_row import (
    BEGINS,
    BREAKS,
    NAN_REWARD,
    TERMINATED,
    TRUNCATED,
)

if TYPE_CHECKING:
    import numpy.typing as npt

_ENDS = TERMINATED | TRUNCATED
# Flags of rows with which an episode begins or ends.
EVENTS = np.uint8(BEGINS | BREAKS | _ENDS)
# Of rows that are searched for events at once.
MAX_VALUES = 1 << 20
# First row of an episode that runs; of an env without one.
NO_ROW = -1


class _Ended(NamedTuple):
    """An episode that ended: its rows, and the flags of its end. No one asked more."""

    start: int
    stop: int
    flags: int


class Derived(NamedTuple):
    """What follows from the first rows. Never changed: others have it, too.

    Attributes:
        num_rows: How many rows these are.
        num_begun: Of each env, the episodes that have begun.
        starts: Of each env, the first row of the episode that runs after them; -1:
            none does.
    """

    num_rows: int
    num_begun: list[int]
    starts: list[int]


class RowEpisodes(StepColumns):
    """Rows and their episodes. Any thread may read what it sees, as rows are appended.

    A caller derives what rows have brought since the last one. Nothing
    waits for that: threads that do so at the same time, or again after an interrupt,
    write the same values to the same places, and `_derived` says which of them are
    there.
    """

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._derived = Derived(0, [0] * num_envs, [NO_ROW] * num_envs)
        # (env, index) -> an episode that ended: its rows; once asked for, it.
        self._ended: dict[tuple[int, int], _Ended | Episode] = {}
        # (env, index) -> before which row it ended, of those whose rows do not say so.
        self._stopped: dict[tuple[int, int], int] = {}
        # Env -> steps without a reward of its first episode, in rows before these.
        self._num_nan_before: dict[int, int] = {}
        self._info: dict[tuple[int, int], dict[str, Any]] = {}
        # The episodes whose information changed, in that order.
        self._described: list[tuple[int, int]] = []

    # -- deriving

    def _derive(self) -> Derived:
        """Return what follows from all rows."""
        num_rows = self.num_rows  # once: others may be appended
        derived = self._derived
        while derived.num_rows < num_rows:
            at_once = max(MAX_VALUES // self.num_envs, 1)
            stop = min(derived.num_rows + at_once, num_rows)
            derived = self._followed(derived, stop)
            # Another thread may know more by now. If it is replaced, that is derived
            # once more.
            if self._derived.num_rows < stop:
                self._derived = derived
        return derived

    def _followed(self, before: Derived, stop: int) -> Derived:
        """Return what follows from rows up to `stop`."""
        events = self._flags[before.num_rows : stop] & EVENTS
        if not np.count_nonzero(events):
            return before._replace(num_rows=stop)
        num_begun, starts = [*before.num_begun], [*before.starts]
        for offset, env in np.argwhere(events).tolist():
            row, flag = before.num_rows + offset, int(events[offset, env])
            if flag & (BEGINS | BREAKS):
                self._end(env, num_begun, starts, row, 0)
            if flag & BEGINS:
                starts[env] = row
                num_begun[env] += 1
            if flag & _ENDS:
                self._end(env, num_begun, starts, row + 1, flag & _ENDS)
        return Derived(stop, num_begun, starts)

    def _end(
        self, env: int, num_begun: list[int], starts: list[int], stop: int, flags: int
    ) -> None:
        """End the env's running episode, if any, before row `stop`."""
        start, starts[env] = starts[env], NO_ROW
        if start == NO_ROW:
            return
        key = env, num_begun[env] - 1
        if (stopped := self._stopped.get(key)) is not None:
            stop, flags = stopped, 0
        self._ended[key] = _Ended(start, stop, flags)

    def _span(self, derived: Derived, env: int, index: int) -> _Ended | Episode:
        """Return where an episode that has begun is; a running one ends now."""
        start = derived.starts[env]
        if start == NO_ROW or index < derived.num_begun[env] - 1:
            return self._ended[env, index]
        stop = self._stopped.get((env, index), derived.num_rows)
        return _Ended(start, min(stop, derived.num_rows), 0)

    def _is_running(self, derived: Derived, env: int, index: int) -> bool:
        """Whether an episode that has begun has not ended."""
        return (
            derived.starts[env] != NO_ROW
            and index == derived.num_begun[env] - 1
            and (env, index) not in self._stopped
        )

    def _episode(self, derived: Derived, env: int, index: int) -> Episode:
        """Return one that has begun, with all that is known of it."""
        key = env, index
        found = self._span(derived, env, index)
        if isinstance(found, _Ended):
            episode = self._summed(env, index, *found)
            # Not of one that ran, and has ended in rows that came meanwhile.
            if self._ended.get(key) is found:
                self._ended[key] = episode
            found = episode
        info = self._info.get(key)
        return found if info is None else replace(found, **info)

    def _summed(
        self, env: int, index: int, start: int, stop: int, flags_at_end: int
    ) -> Episode:
        """Return the episode of these rows."""
        rewards = self._reward[start:stop, env]
        # Summed in order, so that a recording read again has the same total.
        totals = np.where(np.isnan(rewards), 0.0, rewards).cumsum()
        num_nan = np.count_nonzero(self._flags[start:stop, env] & np.uint8(NAN_REWARD))
        return Episode(
            int(env),
            int(index),
            start,
            stop,
            int(self._env_step[stop - 1, env]),
            float(totals[-1]),
            terminated=bool(flags_at_end & TERMINATED),
            truncated=bool(flags_at_end & TRUNCATED),
            num_nan_rewards=int(num_nan)
            + (0 if start else self._num_nan_before.get(env, 0)),
        )

    # -- what is known of episodes

    def describe_episode(self, env: int, index: int, **info: Any) -> None:
        """Attach segment, seed, options or labels to an episode that began."""
        known = self._info.get((env, index), {})
        # Called again for all episodes whenever another process has written the file.
        if not info.items() <= known.items():
            self._info[env, index] = {**known, **info}
            self._described.append((env, index))

    def infos(self) -> dict[tuple[int, int], dict[str, Any]]:
        """Return what was attached to episodes, by (env, index)."""
        return dict(self._info)

    def info_of(self, env: int, index: int) -> dict[str, Any]:
        """Return what was attached to one episode."""
        return dict(self._info.get((env, index), {}))

    @property
    def info_version(self) -> int:
        """How often the information on an episode changed; see `described`."""
        return len(self._described)

    def described(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return (env, index) of episodes described between two `info_version`s."""
        return list(dict.fromkeys(self._described[start:stop]))

    # -- reading

    def episode_numbers(self, num_rows: int) -> npt.NDArray[np.int64]:
        """Return each row's and env's episode, (num_rows, num_envs); -1: none."""
        derived = self._derive()
        numbers = np.full((num_rows, self.num_envs), -1, np.int64)
        for env, num_begun in enumerate(derived.num_begun):
            for index in range(num_begun):
                found = self._span(derived, env, index)
                numbers[found.start : found.stop, env] = index
        return numbers

    def returns(self, num_rows: int) -> npt.NDArray[np.float64]:
        """Return total rewards so far, (num_rows, num_envs); NaN outside episodes."""
        derived = self._derive()
        totals = np.full((num_rows, self.num_envs), np.nan)
        rewards = self._reward[:num_rows]
        for env, num_begun in enumerate(derived.num_begun):
            for index in range(num_begun):
                found = self._span(derived, env, index)
                rows = slice(found.start, found.stop)
                totals[rows, env] = np.nancumsum(rewards[rows, env])
        return totals

    def of_env(self, env: int) -> list[Episode]:
        """Return the env's episodes, oldest first, the running one up to now."""
        derived = self._derive()
        return [
            self._episode(derived, env, index)
            for index in range(derived.num_begun[env])
        ]

    def newest_of(self, env: int) -> Episode | None:
        """Return the env's newest episode; None: it has none."""
        derived = self._derive()
        num_begun = derived.num_begun[env]
        return self._episode(derived, env, num_begun - 1) if num_begun else None

    def episode(self, env: int, index: int) -> Episode:
        """Return one that has begun, as `of_env` does."""
        derived = self._derive()
        if not 0 <= index < derived.num_begun[env]:
            raise IndexError(f"episode {index} of {derived.num_begun[env]}")
        return self._episode(derived, env, index)

    def is_newest(self, episode: Episode) -> bool:
        """Whether no other episode of its env has begun after it."""
        return episode.index == self._derive().num_begun[episode.env] - 1

    def begun(self, env: int, index: int) -> int | None:
        """Return the first row of an episode; None if it has not begun."""
        derived = self._derive()
        if not 0 <= index < derived.num_begun[env]:
            return None
        return self._span(derived, env, index).start

    def ended(self, env: int, index: int) -> tuple[int, int] | None:
        """Return (start, stop) of an episode; None before its end."""
        derived = self._derive()
        if not 0 <= index < derived.num_begun[env]:
            return None
        if self._is_running(derived, env, index):
            return None
        found = self._span(derived, env, index)
        return found.start, found.stop

    def episodes(self) -> list[Episode]:
        """Return all episodes, in the order in which they began."""
        found = [e for env in range(self.num_envs) for e in self.of_env(env)]
        return sorted(found, key=lambda e: (e.start, e.env))

    def episode_at(self, row: int, env: int) -> Episode | None:
        """Return the episode that row and env belong to; None: none."""
        derived = self._derive()
        for index in reversed(range(derived.num_begun[env])):
            found = self._span(derived, env, index)
            if found.start <= row:
                is_in = row < found.stop
                return self._episode(derived, env, index) if is_in else None
        return None

    def find(self, env: int, episode: int, episode_step: int) -> int:
        """Return the row of a step; of a skipped one, the next that was recorded.

        Raises:
            RowError: There is no such env, episode or step.
        """
        if not 0 <= env < self.num_envs:
            raise RowError(
                f"FrameCache.find: expected an env in 0..{self.num_envs - 1}, "
                f"got {env!r}."
            )
        derived = self._derive()
        if not 0 <= episode < derived.num_begun[env]:
            raise RowError(
                f"FrameCache.find: expected an episode of env {env} in "
                f"0..{derived.num_begun[env] - 1}, got {episode!r}."
            )
        found = self._span(derived, env, episode)
        steps = self._env_step[found.start : found.stop, env]
        offset = int(np.searchsorted(steps, max(episode_step, 0)))
        if episode_step < 0 or offset == len(steps):
            last = int(steps[-1]) if len(steps) else 0
            raise RowError(
                f"FrameCache.find: expected a step in 0..{last} (episode {episode} of "
                f"env {env}), got {episode_step!r}."
            )
        return found.start + offset
