"""The row model: what each row is to each env, and the episodes that follow.

Holds kinds, ends, rewards and step counts of all rows in memory (14 bytes a row
and env) and derives episodes from them. Knows nothing of pictures or files.

A row's kind, for each env:

- ``reset``: the first frame of an episode; no reward.
- ``step``: a frame after a transition, with the reward that led to it.
- ``idle``: this env was not stepped; its picture repeats, nothing counts.
- ``terminal_missing``: a transition whose picture the env no longer has. Idle rows
  after it repeat the last picture that there was, the one before the end.

An episode runs from its reset row (or from its first kept row, where the reset
was skipped) up to and with the row of its end, or up to the next reset.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RowError, ShapeError
from rollout_viewer._recording.episode import Episode

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]


class Kind(enum.IntEnum):
    """What a row is to an env; see the module's text."""

    RESET = 0
    STEP = 1
    IDLE = 2
    TERMINAL_MISSING = 3


# The same as plain ints: an enum's attribute costs 1 us, several times a row.
RESET, STEP, IDLE, TERMINAL_MISSING = (int(kind) for kind in Kind)
KIND_NAMES = np.array([kind.name.lower() for kind in Kind])
_CODES = {kind.name.lower(): int(kind) for kind in Kind}
TERMINATED, TRUNCATED, BEGINS = 1, 2, 4


class StepRow(NamedTuple):
    """One row's step data for all envs, checked: arrays of shape (num_envs,)."""

    kind: Codes
    flags: Codes
    reward: npt.NDArray[np.float64]
    env_step: npt.NDArray[np.int64]


class Rows:
    """All rows' step data. One thread appends; any thread may read what it sees."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.num_rows = 0
        self._kind = np.empty((64, num_envs), np.uint8)
        self._flags = np.empty((64, num_envs), np.uint8)
        self._reward = np.empty((64, num_envs), np.float64)
        self._env_step = np.empty((64, num_envs), np.uint32)
        self._all_step: Codes = np.full(num_envs, STEP, np.uint8)
        self._all_step.flags.writeable = False
        # Whether an episode runs, its steps so far, and all that began, per env.
        self._is_running: Mask = np.zeros(num_envs, np.bool_)
        self._step = np.zeros(num_envs, np.int64)
        self._episodes: list[list[Episode]] = [[] for _ in range(num_envs)]
        self._info: dict[tuple[int, int], dict[str, Any]] = {}
        # The episodes of which something became known, in that order.
        self._told: list[tuple[int, int]] = []

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

        It may share memory with what came in: `append` it before that changes. With
        `kind`, `reset` names the steps that are the first known row of an episode.

        Raises:
            ShapeError: Something is not one value for each env.
        """
        n = self.num_envs
        is_plain = type(kind) is str and kind == "step"
        codes = self._all_step if is_plain else self._codes(reward, reset, kind)
        ends = (
            ("terminated", terminated, TERMINATED),
            ("truncated", truncated, TRUNCATED),
        )
        begins_anew = kind is not None and reset is not None
        is_usual = num_transitions is None and reward is not None and not begins_anew
        if is_usual and self._goes_on(codes):
            # The usual row, many times as fast as the general case below.
            rewards = as_column("reward", reward, n, np.float64)
            flags = np.zeros(n, np.uint8)
            for name, value, bit in ends:
                if value is not None:
                    has_ended = as_column(name, value, n, np.bool_)
                    if np.count_nonzero(has_ended):
                        flags[has_ended] |= bit
            return StepRow(codes, flags, rewards, self._step + 1)
        is_step = (codes == STEP) | (codes == TERMINAL_MISSING)
        rewards = np.full(n, np.nan)
        if reward is not None:
            np.copyto(
                rewards, as_column("reward", reward, n, np.float64), where=is_step
            )
        flags = np.zeros(n, np.uint8)
        for name, value, bit in ends:
            if value is not None:
                ended = as_column(name, value, n, np.bool_) & is_step
                flags[ended] |= bit
        flags[(codes == RESET) | (is_step & ~self._is_running)] |= BEGINS
        if begins_anew:
            flags[is_step & as_column("reset", reset, n, np.bool_)] |= BEGINS
        count = np.ones(n, np.int64)
        if num_transitions is not None:
            count = as_column("num_transitions", num_transitions, n, np.int64)
        step = np.where(flags & BEGINS, 0, self._step) + np.where(is_step, count, 0)
        return StepRow(codes, flags, rewards, step)

    def append(self, row: StepRow) -> list[tuple[int, int]]:
        """Take a row that `prepare` returned.

        Returns:
            The episodes that begin with it, as (env, index).
        """
        r = self.num_rows
        self._make_room(r + 1)
        self._kind[r] = row.kind
        self._flags[r] = row.flags
        self._reward[r] = row.reward
        self._env_step[r] = row.env_step
        return self._follow(r, row.flags[None])

    def describe_episode(self, env: int, index: int, **info: Any) -> None:
        """Attach segment, seed, options or labels to an episode that began."""
        known = self._info.get((env, index), {})
        # A followed file tells all of them again whenever it has changed.
        if not info.items() <= known.items():
            self._info[env, index] = {**known, **info}
            self._told.append((env, index))

    def infos(self) -> dict[tuple[int, int], dict[str, Any]]:
        """What was attached to episodes, by (env, index)."""
        return dict(self._info)

    def info_of(self, env: int, index: int) -> dict[str, Any]:
        """What was attached to one episode."""
        return dict(self._info.get((env, index), {}))

    @property
    def num_told(self) -> int:
        """How often something became known of an episode: grows, see `told`."""
        return len(self._told)

    def told(self, start: int, stop: int) -> list[tuple[int, int]]:
        """(env, index) of episodes of which something became known then."""
        return list(dict.fromkeys(self._told[start:stop]))

    def _goes_on(self, codes: Codes) -> bool:
        """Tell whether every env takes a step of an episode that runs."""
        n = self.num_envs
        is_step = codes is self._all_step or codes.tobytes().count(STEP) == n
        return is_step and np.count_nonzero(self._is_running) == n

    def is_plain(self, row: StepRow) -> bool:
        """Tell whether every env takes a step, pictured or not."""
        return row.kind is self._all_step or row.kind.tobytes().count(STEP) == len(
            row.kind
        )

    def _codes(self, reward: Any, reset: Any, kind: Any) -> Codes:
        n = self.num_envs
        if kind is not None:
            return _kind_codes(kind, n)
        codes = np.full(n, STEP, np.uint8)
        if reset is not None:
            codes[as_column("reset", reset, n, np.bool_)] = RESET
        elif reward is None:
            # Pictures alone: a first one, or one after an end, starts an episode.
            codes[~self._is_running] = RESET
        return codes

    def _follow(self, start: int, flags: Codes) -> list[tuple[int, int]]:
        """Take in the rows from `start` on, whose columns are filled."""
        began = []
        # Most rows neither begin nor end an episode; to count is faster than to search.
        found = np.argwhere(flags).tolist() if np.count_nonzero(flags) else []
        for offset, env in found:
            row, flag = start + offset, int(flags[offset, env])
            if flag & BEGINS:
                self._stop(env, row)
                episodes = self._episodes[env]
                episodes.append(Episode(env, len(episodes), row, row + 1, 0, 0.0))
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
            self._episodes[env][-1] = replace(
                self._so_far(env, stop),
                terminated=bool(flags & TERMINATED),
                truncated=bool(flags & TRUNCATED),
            )

    def _so_far(self, env: int, stop: int) -> Episode:
        """Return the env's last episode as if it stopped before row `stop`."""
        episode = self._episodes[env][-1]
        # Summed in order, so that a recording tells the same when it is read again.
        totals = np.nancumsum(self._reward[episode.start : stop, env])
        return replace(
            episode,
            stop=stop,
            length=int(self._env_step[stop - 1, env]),
            total_reward=float(totals[-1]),
        )

    def _make_room(self, num_rows: int) -> None:
        capacity = len(self._kind)
        if num_rows <= capacity:
            return
        # Doubling: readers keep the arrays that they have seen.
        for name in ("_kind", "_flags", "_reward", "_env_step"):
            old = getattr(self, name)
            shape = max(2 * capacity, num_rows), self.num_envs
            new = np.empty(shape, old.dtype)
            new[: self.num_rows] = old[: self.num_rows]
            setattr(self, name, new)

    # -- moving rows to and from storage

    def block(self, start: int, stop: int) -> dict[str, npt.NDArray[Any]]:
        """Return the rows' step data as arrays (n, num_envs): what `extend` takes."""
        rows = slice(start, stop)
        return {
            "kind": self._kind[rows],
            "flags": self._flags[rows],
            "reward": self._reward[rows],
            "env_step": self._env_step[rows],
        }

    def extend(self, block: Mapping[str, npt.NDArray[Any]]) -> None:
        """Append many rows that `block` returned."""
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

    # -- reading

    def kinds(self, start: int = 0, stop: int | None = None) -> Codes:
        """Kind codes of rows, (n, num_envs)."""
        return self._kind[start : self.num_rows if stop is None else stop]

    def ends(self, start: int = 0, stop: int | None = None) -> Codes:
        """1 terminated | 2 truncated, (n, num_envs)."""
        stop = self.num_rows if stop is None else stop
        return self._flags[start:stop] & np.uint8(TERMINATED | TRUNCATED)

    def has_flag(self, flag: int, stop: int) -> Mask:
        """Which rows and envs terminated, or were truncated, (stop, num_envs)."""
        found: Mask = (self._flags[:stop] & np.uint8(flag)) != 0
        return found

    def rewards(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Rewards, float64 (n, num_envs), NaN where there is none."""
        return self._reward[start : self.num_rows if stop is None else stop]

    def env_steps(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Transitions since the reset, (n, num_envs)."""
        return self._env_step[start : self.num_rows if stop is None else stop]

    def led_to(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Which row the action chosen at rows ``start..stop`` led to, (n, num_envs).

        An idle row shows the frame before it again, so the same action was chosen
        there. -1 where none was chosen: at an end, or none has followed yet.
        """
        end = min(stop + 1, self.num_rows)
        while end < self.num_rows and (self._kind[stop:end] == IDLE).all(axis=0).any():
            end = min(end + 2 * (end - stop), self.num_rows)
        kinds, flags = self._kind[start + 1 : end], self._flags[start + 1 : end]
        rows = np.arange(start + 1, end)[:, None]
        none = np.full((max(stop + 1 - end, 0) + 1, self.num_envs), self.num_rows)
        moved = np.vstack([np.where(kinds != IDLE, rows, self.num_rows), none])
        following = np.minimum.accumulate(moved[::-1], axis=0)[::-1][: stop - start]
        # Where skip left out the reset, the step that begins an episode is no answer.
        is_step = ((kinds == STEP) | (kinds == TERMINAL_MISSING)) & (
            (flags & BEGINS) == 0
        )
        is_step = np.vstack([is_step, np.zeros((1, self.num_envs), np.bool_)])
        index = np.minimum(following - (start + 1), len(is_step) - 1)
        is_chosen = np.take_along_axis(is_step, index, axis=0)
        return np.where(is_chosen, following, -1).astype(np.int64)

    def episode_numbers(self, num_rows: int) -> npt.NDArray[np.int64]:
        """Index of the episode of each row and env, (num_rows, num_envs); -1: none."""
        numbers = np.full((num_rows, self.num_envs), -1, np.int64)
        for env in range(self.num_envs):
            for episode in self.of_env(env):
                numbers[episode.start : episode.stop, env] = episode.index
        return numbers

    def returns(self, num_rows: int) -> npt.NDArray[np.float64]:
        """Total reward so far in the episode, (num_rows, num_envs); NaN outside."""
        totals = np.full((num_rows, self.num_envs), np.nan)
        rewards = self._reward[:num_rows]
        for env in range(self.num_envs):
            for episode in self.of_env(env):
                rows = slice(episode.start, episode.stop)
                totals[rows, env] = np.nancumsum(rewards[rows, env])
        return totals

    def of_env(self, env: int) -> list[Episode]:
        """The env's episodes, oldest first, the running one with what it has so far."""
        episodes = [
            replace(one, **self._info[env, one.index])
            if (env, one.index) in self._info
            else one
            for one in self._episodes[env]
        ]
        if episodes and self._is_running[env]:
            info = self._info.get((env, len(episodes) - 1), {})
            episodes[-1] = replace(self._so_far(env, self.num_rows), **info)
        return episodes

    def num_begun(self, env: int) -> int:
        """How many episodes of an env have begun."""
        return len(self._episodes[env])

    def begun(self, env: int, index: int) -> int | None:
        """First row of an episode; None if it has not begun."""
        episodes = self._episodes[env]
        return episodes[index].start if index < len(episodes) else None

    def ended(self, env: int, index: int) -> tuple[int, int] | None:
        """(start, stop) of an episode; None if it goes on or has not begun."""
        episodes = self._episodes[env]
        is_last = index == len(episodes) - 1
        if index >= len(episodes) or (is_last and self._is_running[env]):
            return None
        return episodes[index].start, episodes[index].stop

    def episodes(self) -> list[Episode]:
        """All episodes, in the order in which they began."""
        found = [e for env in range(self.num_envs) for e in self.of_env(env)]
        return sorted(found, key=lambda e: (e.start, e.env))

    def episode_at(self, row: int, env: int) -> Episode | None:
        """The episode that row and env belong to, if any."""
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


def as_column(name: str, value: Any, num_envs: int, dtype: Any) -> npt.NDArray[Any]:
    """Return `value` as one `dtype` for each env, shape (num_envs,).

    Raises:
        ShapeError: It has another shape, or does not convert.
    """
    if type(value) is np.ndarray:
        # The usual one, at the price of two comparisons.
        if value.shape == (num_envs,) and value.dtype == dtype:
            return value
    elif hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value, dtype)
    except (TypeError, ValueError) as error:
        raise ShapeError(
            f"FrameCache.append: expected {name} to be {np.dtype(dtype).name} of shape "
            f"({num_envs},), got {type(value).__name__}. Pass one value for each env."
        ) from error
    if array.ndim == 0 and num_envs == 1:
        return array.reshape(1)
    if array.shape == (num_envs, 1):
        array = array[:, 0]
    if array.shape != (num_envs,):
        raise ShapeError(
            f"FrameCache.append: expected {name} of shape ({num_envs},), got "
            f"{array.shape}. Pass one value for each env."
        )
    return array


def _kind_codes(kind: Any, num_envs: int) -> Codes:
    if isinstance(kind, str) and kind in _CODES:
        return np.full(num_envs, _CODES[kind], np.uint8)
    if isinstance(kind, np.ndarray) and kind.dtype == np.uint8:
        codes: Codes = kind.copy()  # the caller's: it may change
        if codes.shape == (num_envs,) and codes.max() < len(Kind):
            return codes
    given = [kind] * num_envs if isinstance(kind, (str, Kind)) else list(kind)
    if len(given) != num_envs:
        raise ShapeError(
            f"FrameCache.append: expected kind of shape ({num_envs},), got "
            f"({len(given)},). Pass one kind for each env."
        )
    numbers = []
    for one in given:
        code = _CODES.get(str(one)) if isinstance(one, str) else int(one)
        if code is None or not 0 <= code < len(Kind):
            raise ShapeError(
                f"FrameCache.append: expected kind to be one of {list(_CODES)}, "
                f"got {one!r}."
            )
        numbers.append(code)
    return np.array(numbers, np.uint8)
