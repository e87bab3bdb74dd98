"""Step data of all rows as columns: kinds, ends, rewards and step counts.

Held in memory, 14 bytes a row and env. Knows nothing of episodes, pictures or files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recording.step_row import (
    BEGINS,
    DAMAGED,
    IDLE,
    NAN_REWARD,
    STEP,
    TERMINAL_MISSING,
    TERMINATED,
    TRUNCATED,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Codes, Mask


_KINDS_AT_A_TIME = 1 << 24


class StepColumns:
    """Growing arrays of shape (num_rows, num_envs). Any thread may read."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.num_rows = 0
        self._kind = np.empty((64, num_envs), np.uint8)
        self._flags = np.empty((64, num_envs), np.uint8)
        self._reward = np.empty((64, num_envs), np.float64)
        self._env_step = np.empty((64, num_envs), np.uint32)

    def _make_room(self, num_rows: int) -> None:
        capacity = len(self._kind)
        if num_rows <= capacity:
            return
        # Doubling; new arrays: readers may hold the old ones. `_kind` is last: its
        # size is the capacity, also where an exception comes in between.
        for name in ("_flags", "_reward", "_env_step", "_kind"):
            old = getattr(self, name)
            shape = max(2 * capacity, num_rows), self.num_envs
            new = np.empty(shape, old.dtype)
            new[: self.num_rows] = old[: self.num_rows]
            setattr(self, name, new)

    def block(self, start: int, stop: int) -> dict[str, npt.NDArray[Any]]:
        """Return the rows' step data as arrays (n, num_envs), for `Rows.extend`."""
        rows = slice(start, stop)
        return {
            "kind": self._kind[rows],
            "flags": self._flags[rows],
            "reward": self._reward[rows],
            "env_step": self._env_step[rows],
        }

    def kinds(self, start: int = 0, stop: int | None = None) -> Codes:
        """Return kind codes of rows, (n, num_envs)."""
        return self._kind[start : self.num_rows if stop is None else stop]

    def active_rows(
        self, start: int, stop: int, envs: Sequence[int] | None = None
    ) -> npt.NDArray[np.int64]:
        """Return those of rows ``start..stop`` in which an env did anything.

        Ascending: those in which one of `envs`, None: of all, is not idle.
        """
        found = [np.empty(0, np.int64)]
        # Some at a time: of thousands of envs, a copy of all kinds would be large.
        step = max(1, _KINDS_AT_A_TIME // max(self.num_envs, 1))
        chosen = range(self.num_envs) if envs is None else list(envs)
        is_all = len(chosen) == self.num_envs
        for first in range(start, stop, step):
            kinds = self._kind[first : min(first + step, stop)]
            kinds = kinds if is_all else kinds[:, chosen]
            found.append(first + np.flatnonzero((kinds != IDLE).any(axis=1)))
        return np.concatenate(found)

    def ends(self, start: int = 0, stop: int | None = None) -> Codes:
        """Return 1 terminated | 2 truncated, (n, num_envs)."""
        stop = self.num_rows if stop is None else stop
        return self._flags[start:stop] & np.uint8(TERMINATED | TRUNCATED)

    def page_flags(self, start: int, stop: int) -> Codes:
        """Return 1 terminated | 2 truncated | 8 the reward is NaN, (n, num_envs)."""
        wanted = np.uint8(TERMINATED | TRUNCATED | NAN_REWARD)
        return self._flags[start:stop] & wanted

    def has_flag(self, flag: int, stop: int) -> Mask:
        """Return where an env terminated, or was truncated, (stop, num_envs)."""
        found: Mask = (self._flags[:stop] & np.uint8(flag)) != 0
        return found

    def is_damaged(self, row: int, env: int) -> bool:
        """Whether the file's step data of a row cannot be read."""
        return int(self._kind[row, env]) == DAMAGED

    def begins(self, row: int) -> Mask:
        """Return for which envs an episode begins with this row, (num_envs,)."""
        found: Mask = (self._flags[row] & np.uint8(BEGINS)) != 0
        return found

    def is_nan(self, row: int) -> Mask:
        """Return of which envs the reward of a step is NaN, and not missing."""
        found: Mask = (self._flags[row] & np.uint8(NAN_REWARD)) != 0
        return found

    def rewards(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return rewards, float64 (n, num_envs), NaN where there is none."""
        return self._reward[start : self.num_rows if stop is None else stop]

    def env_steps(self, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return transitions since the reset, (n, num_envs)."""
        return self._env_step[start : self.num_rows if stop is None else stop]

    def led_to(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return which row the action chosen at a row led to, (n, num_envs).

        An idle row shows the frame before it again, so the same action was chosen
        there. -1 where none was chosen: at an end, or none has followed yet.
        """
        num_rows = self.num_rows  # once: rows may be added meanwhile
        end = min(stop + 1, num_rows)
        while end < num_rows and (self._kind[stop:end] == IDLE).all(axis=0).any():
            end = min(end + 2 * (end - stop), num_rows)
        kinds, flags = self._kind[start + 1 : end], self._flags[start + 1 : end]
        rows = np.arange(start + 1, end)[:, None]
        none = np.full((max(stop + 1 - end, 0) + 1, self.num_envs), num_rows)
        moved = np.vstack([np.where(kinds != IDLE, rows, num_rows), none])
        following = np.minimum.accumulate(moved[::-1], axis=0)[::-1][: stop - start]
        # Where `skip` left out the reset, the step that begins an episode does not
        # follow from an action of the row before.
        is_step = ((kinds == STEP) | (kinds == TERMINAL_MISSING)) & (
            (flags & BEGINS) == 0
        )
        is_step = np.vstack([is_step, np.zeros((1, self.num_envs), np.bool_)])
        index = np.minimum(following - (start + 1), len(is_step) - 1)
        is_chosen = np.take_along_axis(is_step, index, axis=0)
        return np.where(is_chosen, following, -1).astype(np.int64)
