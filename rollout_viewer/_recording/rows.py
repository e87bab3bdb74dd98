"""The row model: the step data of all rows, and the episodes that follow from it.

An episode runs from its reset row (or from its first kept row, where the reset was
skipped) up to and with the row of its end, or up to the next reset. Knows nothing of
pictures or files.
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
    RESET,
    STEP,
    TERMINAL_MISSING,
    TERMINATED,
    TRUNCATED,
    StepRow,
    as_column,
    kind_codes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Codes, Mask


_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)
# Among the bytes of bools: finding one is faster than `np.any` and `np.all`.
_TRUE, _FALSE = b"\1", b"\0"
# `Episode.stop` of one that runs; readers cannot rely on `_is_running`, which changes
# before or after the list of episodes.
_RUNNING = 0


class _Before(NamedTuple):
    """A newest row, which episodes run after it, their steps so far, and they.

    The row's rewards are the returns of these episodes so far.
    """

    row: dict[str, npt.NDArray[Any]]
    is_running: Mask
    step: npt.NDArray[np.int64]
    episodes: list[list[Episode]]


class Rows(StepColumns):
    """All rows' step data. One thread appends; any thread may read what it sees."""

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._all_step: Codes = np.full(num_envs, STEP, np.uint8)
        self._all_step.flags.writeable = False
        self._no_flags: Codes = np.zeros(num_envs, np.uint8)
        self._no_flags.flags.writeable = False
        # Of each env: whether an episode runs, its steps so far, and all that began.
        self._is_running: Mask = np.zeros(num_envs, np.bool_)
        self._step = np.zeros(num_envs, np.int64)
        self._episodes: list[list[Episode]] = [[] for _ in range(num_envs)]
        self._info: dict[tuple[int, int], dict[str, Any]] = {}
        # The episodes whose information changed, in that order.
        self._described: list[tuple[int, int]] = []
        # What these rows continue; see `successor`.
        self._before: _Before | None = None

    # -- writing

    def prepare(
        self,
        *,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        reset: Any = None,
        kind: Any = None,
        num_transitions: Any = None,
    ) -> StepRow:
        """Return the next row, checked and completed; changes nothing.

        The result may share memory with the arguments: `append` it before they change.
        With `kind`, `reset` names the steps that are the first known row of an episode.

        Raises:
            ShapeError: An argument is not one value for each env.
        """
        n = self.num_envs
        is_plain = type(kind) is str and kind == "step"
        codes = self._all_step if is_plain else self._codes(reward, reset, kind)
        ends = (
            ("terminated", terminated, TERMINATED),
            ("truncated", truncated, TRUNCATED),
        )
        has_own_begins = kind is not None and reset is not None
        is_simple = (
            num_transitions is None and reward is not None and not has_own_begins
        )
        if is_simple and self._all_continue(codes):
            # The fast path: every env takes a step of a running episode.
            rewards = as_column("reward", reward, n, _FLOAT64)
            flags = self._no_flags
            is_nan = rewards != rewards
            if _TRUE in is_nan.tobytes():
                flags = np.where(is_nan, np.uint8(NAN_REWARD), flags)
            for name, value, bit in ends:
                if value is not None:
                    has_ended = as_column(name, value, n, _BOOL)
                    if _TRUE in has_ended.tobytes():
                        flags = np.where(has_ended, flags | np.uint8(bit), flags)
            return StepRow(codes, flags, rewards, self._step + 1)
        is_step = (codes == STEP) | (codes == TERMINAL_MISSING)
        rewards = np.full(n, np.nan)
        if reward is not None:
            np.copyto(
                rewards, as_column("reward", reward, n, np.float64), where=is_step
            )
        flags = np.zeros(n, np.uint8)
        if reward is not None:
            flags[is_step & np.isnan(rewards)] = NAN_REWARD
        for name, value, bit in ends:
            if value is not None:
                ended = as_column(name, value, n, np.bool_) & is_step
                flags[ended] |= bit
        flags[(codes == RESET) | (is_step & ~self._is_running)] |= BEGINS
        if has_own_begins:
            flags[is_step & as_column("reset", reset, n, np.bool_)] |= BEGINS
        count = np.ones(n, np.int64)
        if num_transitions is not None:
            count = as_column("num_transitions", num_transitions, n, np.int64)
        step = np.where(flags & BEGINS, 0, self._step) + np.where(is_step, count, 0)
        return StepRow(codes, flags, rewards, step)

    @property
    def all_run(self) -> bool:
        """Whether an episode runs in every env."""
        return _FALSE not in self._is_running.tobytes()

    @property
    def running(self) -> Mask:
        """Bool (B,): whether an episode runs; not to be changed."""
        return self._is_running

    def steps(
        self,
        rewards: npt.NDArray[np.float64],
        kinds: tuple[Codes, Codes] | None = None,
    ) -> dict[str, npt.NDArray[Any]]:
        """Return the next rows, for `extend`, where all envs step, are reset or idle.

        Args:
            rewards: (n, num_envs); NaN of a reset, and of no step.
            kinds: Kinds and flags of the rows, as `rewards`; None: all envs step, and
                none ends.
        """
        if kinds is None:
            kind = np.full(rewards.shape, STEP, np.uint8)
            flags = np.zeros(rewards.shape, np.uint8)
            steps = self._step + np.arange(1, len(rewards) + 1)[:, None]
        else:
            kind, flags = kinds
            count = np.cumsum(kind == STEP, axis=0)
            # Of each row and env: the count at its newest reset so far; -1: none was.
            reset = np.maximum.accumulate(np.where(kind == RESET, count, -1), axis=0)
            steps = count + np.where(reset < 0, self._step, -reset)
        return {"kind": kind, "flags": flags, "reward": rewards, "env_step": steps}

    def _all_continue(self, codes: Codes) -> bool:
        """Whether every env takes a step of an episode that runs."""
        n = self.num_envs
        is_step = codes is self._all_step or codes.tobytes().count(STEP) == n
        return is_step and self.all_run

    def is_plain(self, row: StepRow) -> bool:
        """Whether every env takes a step, pictured or not."""
        return row.kind is self._all_step or row.kind.tobytes().count(STEP) == len(
            row.kind
        )

    def _codes(self, reward: Any, reset: Any, kind: Any) -> Codes:
        n = self.num_envs
        if kind is not None:
            return kind_codes(kind, n)
        codes = np.full(n, STEP, np.uint8)
        if reset is not None:
            codes[as_column("reset", reset, n, np.bool_)] = RESET
        elif reward is None:
            # Pictures alone: a first one, or one after an end, starts an episode.
            codes[~self._is_running] = RESET
        return codes

    def append(self, row: StepRow) -> list[tuple[int, int]]:
        """Append a row that `prepare` returned.

        Returns:
            The episodes that begin with it, as (env, index).
        """
        r = self.num_rows
        self._make_room(r + 1)
        self._kind[r] = row.kind
        self._flags[r] = row.flags
        self._reward[r] = row.reward
        self._env_step[r] = row.env_step
        if row.flags is not self._no_flags:
            return self._follow(r, row.flags[None])
        self.num_rows = r + 1
        self._step = row.env_step
        return []

    def recover(self) -> None:
        """Undo an `append` that was interrupted before the row counted.

        Episodes are derived again from the rows that are there.
        """
        again = Rows(self.num_envs)
        if self._before is not None:
            again._continue(self._before)
        again.extend(self.block(again.num_rows, self.num_rows))
        self._is_running, self._step = again._is_running, again._step
        self._episodes = again._episodes
        self._info = {
            (env, index): info
            for (env, index), info in self._info.items()
            if index < len(self._episodes[env])
        }

    def next_episodes(self, row: StepRow) -> list[tuple[int, int]]:
        """Return the episodes that begin with a row that `prepare` returned."""
        if row.flags is self._no_flags:
            return []
        envs = np.flatnonzero(row.flags & BEGINS).tolist()
        return [(env, len(self._episodes[env])) for env in envs]

    def extend(self, block: Mapping[str, npt.NDArray[Any]]) -> None:
        """Append many rows that `block` or `damaged_rows` returned."""
        start, count = self.num_rows, len(block["kind"])
        if not count:
            return
        self._make_room(start + count)
        rows = slice(start, start + count)
        self._kind[rows] = block["kind"]
        self._flags[rows] = block["flags"]
        self._reward[rows] = block["reward"]
        self._env_step[rows] = block["env_step"]
        self._follow(start, self._flags[rows])

    def _follow(self, start: int, flags: Codes) -> list[tuple[int, int]]:
        """Begin and end episodes by the flags of the rows from `start` on."""
        began = []
        # Most rows neither begin nor end an episode; counting is faster than searching.
        found = np.argwhere(flags).tolist() if np.count_nonzero(flags) else []
        for offset, env in found:
            row, flag = start + offset, int(flags[offset, env])
            if flag & (BEGINS | BREAKS):
                self._stop(env, row)
            if flag & BEGINS:
                episodes = self._episodes[env]
                episodes.append(Episode(env, len(episodes), row, _RUNNING, 0, 0.0))
                began.append((env, len(episodes) - 1))
                self._is_running[env] = True
            if flag & (TERMINATED | TRUNCATED):
                self._stop(env, row + 1, flag)
        self.num_rows = start + len(flags)
        self._step = self._env_step[self.num_rows - 1].astype(np.int64)
        return began

    def stop(self, env: int, stop: int) -> None:
        """End the env's running episode, if any, before row `stop`."""
        self._stop(env, stop)

    def _stop(self, env: int, stop: int, flags: int = 0) -> None:
        if self._is_running[env]:
            self._is_running[env] = False
            self._episodes[env][-1] = self._so_far(self._episodes[env][-1], stop, flags)

    def _so_far(self, episode: Episode, stop: int, flags_at_end: int = 0) -> Episode:
        """Return an episode as if it stopped before row `stop`, with these ends."""
        env = episode.env
        rewards = self._reward[episode.start : stop, env]
        # Summed in order, so that a recording read again has the same total.
        totals = np.where(np.isnan(rewards), 0.0, rewards).cumsum()
        flags = self._flags[episode.start : stop, env]
        num_nan = int(np.count_nonzero(flags & NAN_REWARD))
        if self._before is not None and not episode.start:
            num_nan += self._before.episodes[env][0].num_nan_rewards
        return replace(
            episode,
            stop=stop,
            terminated=bool(flags_at_end & TERMINATED),
            truncated=bool(flags_at_end & TRUNCATED),
            length=int(self._env_step[stop - 1, env]),
            total_reward=float(totals[-1]),
            num_nan_rewards=num_nan,
        )

    def successor(self) -> Rows:
        """Return new rows that continue these: the first of them is the newest here.

        Of the episodes so far, they know the running ones alone, each as its env's
        first.
        """
        rows = Rows(self.num_envs)
        last = self.block(self.num_rows - 1, self.num_rows)
        last = {name: column.copy() for name, column in last.items()}
        last["flags"] &= np.uint8(~NAN_REWARD & 0xFF)
        episodes: list[list[Episode]] = [[] for _ in range(self.num_envs)]
        for env in np.flatnonzero(self._is_running).tolist():
            episode = self._so_far(self._episodes[env][-1], self.num_rows)
            last["reward"][0, env] = episode.total_reward
            episodes[env] = [replace(episode, start=0, stop=_RUNNING, index=0)]
            if info := self.info_of(env, episode.index):
                rows.describe_episode(env, 0, **info)
        rows._before = _Before(last, self._is_running.copy(), self._step, episodes)
        rows._continue(rows._before)
        return rows

    def _continue(self, before: _Before) -> None:
        for name, column in before.row.items():
            getattr(self, f"_{name}")[:1] = column
        self._is_running, self._step = before.is_running.copy(), before.step
        self._episodes = [list(episodes) for episodes in before.episodes]
        self.num_rows = 1

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
        numbers = np.full((num_rows, self.num_envs), -1, np.int64)
        for env in range(self.num_envs):
            for episode in self.of_env(env):
                numbers[episode.start : episode.stop, env] = episode.index
        return numbers

    def returns(self, num_rows: int) -> npt.NDArray[np.float64]:
        """Return total rewards so far, (num_rows, num_envs); NaN outside episodes."""
        totals = np.full((num_rows, self.num_envs), np.nan)
        rewards = self._reward[:num_rows]
        for env in range(self.num_envs):
            for episode in self.of_env(env):
                rows = slice(episode.start, episode.stop)
                totals[rows, env] = np.nancumsum(rewards[rows, env])
        return totals

    def of_env(self, env: int) -> list[Episode]:
        """Return the env's episodes, oldest first, the running one up to now."""
        # Once: another thread may be appending. What it has begun or ended with a row
        # that does not count yet is not there.
        return self._known([*self._episodes[env]], self.num_rows)

    def newest_of(self, env: int) -> Episode | None:
        """Return the env's newest episode; None: it has none."""
        found = self._known(self._episodes[env][-1:], self.num_rows)
        return found[0] if found else None

    def _known(self, episodes: list[Episode], num_rows: int) -> list[Episode]:
        """Return the env's newest episodes with all that is known of them."""
        while episodes and episodes[-1].start >= num_rows:
            episodes.pop()
        if episodes and not _RUNNING < episodes[-1].stop <= num_rows:
            episodes[-1] = self._so_far(episodes[-1], num_rows)
        return [
            replace(one, **self._info[one.env, one.index])
            if (one.env, one.index) in self._info
            else one
            for one in episodes
        ]

    def episode(self, env: int, index: int) -> Episode:
        """Return one that has begun, as `of_env` does."""
        episode = self._episodes[env][index]
        if not _RUNNING < episode.stop <= self.num_rows:
            episode = self._so_far(episode, self.num_rows)
        return replace(episode, **self._info.get((env, index), {}))

    def is_newest(self, episode: Episode) -> bool:
        """Whether no other episode of its env has begun after it."""
        return episode.index == len(self._episodes[episode.env]) - 1

    def num_begun(self, env: int) -> int:
        """Return how many episodes of an env have begun."""
        return len(self._episodes[env])

    def is_running(self, env: int) -> bool:
        """Whether an episode of an env has begun, and has not ended."""
        return bool(self._is_running[env])

    def begun(self, env: int, index: int) -> int | None:
        """Return the first row of an episode; None if it has not begun."""
        episodes = self._episodes[env]
        return episodes[index].start if index < len(episodes) else None

    def ended(self, env: int, index: int) -> tuple[int, int] | None:
        """Return (start, stop) of an episode; None before its end."""
        episodes = self._episodes[env]
        is_last = index == len(episodes) - 1
        if index >= len(episodes) or (is_last and self._is_running[env]):
            return None
        return episodes[index].start, episodes[index].stop

    def episodes(self) -> list[Episode]:
        """Return all episodes, in the order in which they began."""
        found = [e for env in range(self.num_envs) for e in self.of_env(env)]
        return sorted(found, key=lambda e: (e.start, e.env))

    def episode_at(self, row: int, env: int) -> Episode | None:
        """Return the episode that row and env belong to; None: none."""
        for episode in reversed(self.of_env(env)):
            if episode.start <= row:
                return episode if row < episode.stop else None
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
        episodes = self.of_env(env)
        if not 0 <= episode < len(episodes):
            raise RowError(
                f"FrameCache.find: expected an episode of env {env} in "
                f"0..{len(episodes) - 1}, got {episode!r}."
            )
        found = episodes[episode]
        steps = self._env_step[found.start : found.stop, env]
        offset = int(np.searchsorted(steps, max(episode_step, 0)))
        if episode_step < 0 or offset == len(steps):
            last = int(steps[-1]) if len(steps) else 0
            raise RowError(
                f"FrameCache.find: expected a step in 0..{last} (episode {episode} of "
                f"env {env}), got {episode_step!r}."
            )
        return found.start + offset
