"""The row model: the step data of all rows, as it is appended.

What episodes follow from it is derived when it is asked for, see `row_episodes`. Knows
nothing of pictures or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.row_episodes import (
    EVENTS,
    MAX_VALUES,
    NO_ROW,
    Derived,
    RowEpisodes,
)
from rollout_viewer._recording.step_row import (
    BEGINS,
    IDLE,
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
# Among the bytes of bools: finding one is faster than `np.any` and `np.all`,
# and a number is found faster than bytes.
_TRUE, _FALSE = 1, 0
_RESET, _IDLE = bytes([RESET]), bytes([IDLE])
# Numbers of rows that are taken in together; of more, they are made.
_NUMBERS = np.arange(CHUNK_ROWS + 1, dtype=np.uint32)[:, None]
# Flags of one env as bytes: events alone, and flags with which no episode begins.
_EVENTS_ALONE = bytes(flags & int(EVENTS) for flags in range(256))
_NO_BEGIN = bytes(flags for flags in range(256) if not flags & BEGINS)
# Of a row after which an episode runs that ran before or begins with it.
_RUNS = np.uint8(BEGINS | TERMINATED | TRUNCATED)


class _Now(NamedTuple):
    """What the next row needs to know of those before. Never changed.

    Attributes:
        num_rows: How many these are.
        is_running: Of each env, whether an episode runs.
        num_begun: Of each env, how many episodes have begun.
    """

    num_rows: int
    is_running: Mask
    num_begun: npt.NDArray[np.int64]


class Rows(RowEpisodes):
    """All rows' step data. One thread appends; any thread may read what it sees.

    A row is there, whole, from the moment when `num_rows` includes it. All else follows
    from the rows.
    """

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs)
        self._all_step: Codes = np.full(num_envs, STEP, np.uint8)
        self._all_step.flags.writeable = False
        self._no_flags: Codes = np.zeros(num_envs, np.uint8)
        self._no_flags.flags.writeable = False
        none = np.zeros(num_envs, np.int64)
        self._known = _Now(0, np.zeros(num_envs, np.bool_), none)
        # Before which row, once it is the next one, how many episodes of each env have
        # begun.
        self._begun: tuple[int, list[int]] = -1, []

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
        flags[(codes == RESET) | (is_step & ~self.running)] |= BEGINS
        if has_own_begins:
            flags[is_step & as_column("reset", reset, n, np.bool_)] |= BEGINS
        count = np.ones(n, np.int64)
        if num_transitions is not None:
            count = as_column("num_transitions", num_transitions, n, np.int64)
        step = np.where(flags & BEGINS, 0, self._step) + np.where(is_step, count, 0)
        return StepRow(codes, flags, rewards, step)

    @property
    def _now(self) -> _Now:
        """What the next row needs; found out of the rows since it was asked before."""
        known = self._known
        while known.num_rows < self.num_rows:
            at_once = max(MAX_VALUES // self.num_envs, 1)
            stop = min(known.num_rows + at_once, self.num_rows)
            known = self._known = _after(known, self._flags[known.num_rows : stop])
        return known

    @property
    def _step(self) -> npt.NDArray[np.int64]:
        """Int (B,): the steps of each env's newest episode so far."""
        if not self.num_rows:
            return np.zeros(self.num_envs, np.int64)
        steps: npt.NDArray[np.int64] = self._env_step[self.num_rows - 1].astype(
            np.int64
        )
        return steps

    @property
    def all_run(self) -> bool:
        """Whether an episode runs in every env."""
        return _FALSE not in self._now.is_running.tobytes()

    @property
    def running(self) -> Mask:
        """Bool (B,): whether an episode runs; not to be changed."""
        return self._now.is_running

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
            codes[~self.running] = RESET
        return codes

    def append(self, row: StepRow) -> None:
        """Append a row that `prepare` returned."""
        r = self.num_rows
        self._make_room(r + 1)
        self._kind[r] = row.kind
        self._flags[r] = row.flags
        self._reward[r] = row.reward
        self._env_step[r] = row.env_step
        self.num_rows = r + 1
        if row.flags is self._no_flags and self._known.num_rows == r:
            self._known = _Now(r + 1, *self._known[1:])  # nothing began or ended

    def extend(self, block: Mapping[str, npt.NDArray[Any]]) -> None:
        """Append many rows that `block` or `damaged_rows` returned."""
        start, count = self.num_rows, len(block["kind"])
        self._make_room(start + count)
        rows = slice(start, start + count)
        self._kind[rows] = block["kind"]
        self._flags[rows] = block["flags"]
        self._reward[rows] = block["reward"]
        self._env_step[rows] = block["env_step"]
        self.num_rows = start + count

    def extend_steps(
        self,
        rewards: npt.NDArray[np.float64],
        kinds: tuple[Codes, Codes] | None = None,
    ) -> None:
        """Append rows in which all envs step, are reset or idle.

        Args:
            rewards: (n, num_envs); NaN of a reset, and of no step.
            kinds: Kinds and flags of the rows, as `rewards`; None: all envs step, and
                none ends.
        """
        start, count = self.num_rows, len(rewards)
        stop = start + count
        self._make_room(stop)
        known = _NUMBERS if count <= CHUNK_ROWS else _numbers(count)
        numbers = known[1 : count + 1]
        rows = slice(start, stop)
        steps = self._env_step[rows]
        np.add(self._env_step[start - 1] if start else 0, numbers, out=steps)
        if kinds is None:
            self._kind[rows], self._flags[rows] = STEP, 0
        else:
            kind, self._flags[rows] = kinds
            self._kind[rows] = kind
            text = kind.tobytes()
            if _IDLE in text:
                # Steps so far, in place of rows.
                numbers = np.cumsum(kind == STEP, axis=0, dtype=np.uint32)
                np.add(self._env_step[start - 1] if start else 0, numbers, out=steps)
                numbers += np.uint32(1)  # not 0 of a reset in the first row
            if self.num_envs == 1 and _IDLE not in text:
                reset = text.find(_RESET)
                while reset >= 0:
                    steps[reset:] = known[: count - reset]
                    reset = text.find(_RESET, reset + 1)
            elif _RESET in text:
                # Of each row and env, the newest row before in which it was reset.
                resets = np.where(kind == RESET, numbers, np.uint32(0))
                newest = np.maximum.accumulate(resets, axis=0)
                np.subtract(numbers, newest, out=steps, where=newest > 0)
        self._reward[rows] = rewards
        self.num_rows = stop

    def recover(self) -> None:
        """Undo an `append` that was interrupted before the row counted."""
        self._begun = -1, []
        num_begun = self._now.num_begun.tolist()
        self._info = {
            (env, index): info
            for (env, index), info in self._info.items()
            if index < num_begun[env]
        }

    def next_episodes(self, row: StepRow) -> list[tuple[int, int]]:
        """Return the episodes that begin with a row that `prepare` returned."""
        if row.flags is self._no_flags:
            return []
        envs = np.flatnonzero(row.flags & BEGINS).tolist()
        return [(env, self.num_begun(env)) for env in envs]

    def numbers_of_begun(self, flags: Codes) -> dict[tuple[int, int], int]:
        """Return (row of `flags`, env) -> number of the episode that begins there.

        Args:
            flags: Of the next rows, (n, num_envs).
        """
        at, envs = (flags & np.uint8(BEGINS)).nonzero()
        found: dict[tuple[int, int], int] = {}
        if len(at):
            num_rows, num_begun = self._begun
            if num_rows != self.num_rows:
                num_begun = self._now.num_begun.tolist()
            num_begun = [*num_begun]
            for row, env in zip(at.tolist(), envs.tolist(), strict=True):
                found[row, env] = number = num_begun[env]
                num_begun[env] = number + 1
            # Those rows are the next ones, or this is asked again.
            self._begun = self.num_rows + len(flags), num_begun
        return found

    def num_begun(self, env: int) -> int:
        """Return how many episodes of an env have begun."""
        return int(self._now.num_begun[env])

    def is_running(self, env: int) -> bool:
        """Whether an episode of an env has begun, and has not ended."""
        is_stopped = (env, self.num_begun(env) - 1) in self._stopped
        return bool(self._now.is_running[env]) and not is_stopped

    def stop(self, env: int, stop: int) -> None:
        """End the env's running episode, if any, before row `stop`.

        Of rows to which none is appended that continues it.
        """
        if self.is_running(env):
            self._stopped[env, self.num_begun(env) - 1] = stop

    def successor(self) -> Rows:
        """Return new rows that continue these: the first of them is the newest here.

        Of the episodes so far, they know the running ones alone, each as its env's
        first.
        """
        rows = Rows(self.num_envs)
        last = self.block(self.num_rows - 1, self.num_rows)
        rows.extend(last)
        rows._flags[0] &= np.uint8(~NAN_REWARD & 0xFF)
        running = self.running
        for env in np.flatnonzero(running).tolist():
            if (episode := self.newest_of(env)) is None:
                continue
            # Its return so far.
            rows._reward[0, env] = episode.total_reward
            rows._num_nan_before[env] = episode.num_nan_rewards
            if info := self.info_of(env, episode.index):
                rows.describe_episode(env, 0, **info)
        rows._continue(running)
        return rows

    def _continue(self, is_running: Mask) -> None:
        """Let episodes of these envs have begun with the first row, and no others."""
        num_begun = is_running.astype(np.int64)
        self._known = _Now(1, is_running, num_begun)
        starts = [0 if one else NO_ROW for one in is_running.tolist()]
        self._derived = Derived(1, num_begun.tolist(), starts)


def _after(now: _Now, flags: Codes) -> _Now:
    """Return what is known after rows of these flags (n, B)."""
    num_rows = now.num_rows + len(flags)
    if flags.shape[1] == 1:  # nearly all of one env: in a tenth of the time
        text = flags.tobytes()
        events = text.translate(_EVENTS_ALONE).rstrip(b"\0")
        if not events:
            return _Now(num_rows, *now[1:])
        num_begun = now.num_begun + len(text.translate(None, _NO_BEGIN))
        return _Now(num_rows, np.array([events[-1] & _RUNS == BEGINS]), num_begun)
    found = flags & EVENTS
    if not np.count_nonzero(found):
        return _Now(num_rows, *now[1:])
    num_begun = now.num_begun + np.count_nonzero(found & np.uint8(BEGINS), axis=0)
    # Of each env, the last of its events; 0: it has none.
    last = len(found) - 1 - (found[::-1] != 0).argmax(axis=0)
    newest = found[last, np.arange(len(last))]
    is_running = np.where(newest, (newest & _RUNS) == BEGINS, now.is_running)
    return _Now(num_rows, is_running, num_begun)


def _numbers(count: int) -> npt.NDArray[np.uint32]:
    return np.arange(count + 1, dtype=np.uint32)[:, None]
