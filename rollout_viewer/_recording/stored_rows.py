"""Rows out of a file's step data, in which some of it may be damaged.

Rows are numbered in sequence, so the place of damaged step data is known from what
comes after it: its rows are there, of kind ``damaged``. An episode that runs into them
ends, and the step after them begins another one, whose number and total are those of
what can be read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.step_codec import MAX_CORE_ROWS, unpack_core
from rollout_viewer._recording.step_row import (
    BEGINS,
    DAMAGED,
    IDLE,
    STEP,
    TERMINAL_MISSING,
    damaged_rows,
)
from rollout_viewer._recording.trust import file_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

# Of all rows in memory: so much, or so many times the bytes of the file. Step data of a
# real recording is seldom compressed more than 50 times.
_MIN_BOUND_BYTES = 1_000_000_000
_MAX_RATIO = 200
# Memory of an episode and of the list it is found by; an estimate.
_EPISODE_BYTES = 500


class StoredRows:
    """Appends a file's step data to `rows`, in the order of its rows.

    Args:
        path: The file.

    Attributes:
        rows: None before the first row that can be read.
        errors: What is damaged, as far as it was not asked for before.
        num_known: Of each env, the episodes before the first damaged row; None: no
            row is damaged. Later ones may have other numbers than they were given.
        num_sealed_rows: Rows of whole blocks, as far as they were read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: Rows | None = None
        self.errors: list[RecordingError] = []
        self.num_known: list[int] | None = None
        self.num_sealed_rows = 0
        self._nbytes = 0
        # Up to where rows may be damaged: what is missing beyond was never there.
        self._damaged_until = 0
        # Envs whose first known step after damaged rows has not come yet.
        self._waiting: npt.NDArray[np.bool_] | None = None
        self._has_ended = False

    @property
    def num_rows(self) -> int:
        """Rows so far."""
        return self.rows.num_rows if self.rows is not None else 0

    @property
    def is_damaged(self) -> bool:
        """Whether the rows after the last one may be there, but damaged."""
        return self._damaged_until > self.num_rows

    def add(self, start: int, data: bytes, num_rows: int | None = None) -> None:
        """Append the rows from `start` on that are not there yet.

        Args:
            start: First row of the data.
            data: Packed step data.
            num_rows: How many it has; None: whole blocks.
        """
        if self._has_ended:
            return
        where = f"{self._path}, rows from {start}"
        num_envs = self.rows.num_envs if self.rows is not None else None
        try:
            core = unpack_core(data, where=where, num_envs=num_envs, num_rows=num_rows)
            self._check_size(core, where)
        except RecordingError as error:
            self._skip(start, num_rows, error)
            return
        if self.rows is None:
            self.rows = Rows(core["kind"].shape[1])
        if start > self.num_rows and not self.fill(start):
            self._has_ended = True
            self.errors.append(
                RecordingError(
                    f"{where}: expected step data from row {self.num_rows} on, got "
                    "none. The rows before it are still readable."
                )
            )
            return
        known = self.num_rows - start
        if num_rows is None:
            stop = start + len(core["kind"])
            self.num_sealed_rows = max(self.num_sealed_rows, stop)
        self._extend({name: column[known:] for name, column in core.items()})

    def fill(self, stop: int) -> bool:
        """Append damaged rows up to `stop`; return whether that many may be damaged."""
        count = stop - self.num_rows
        if stop > self._damaged_until or self.rows is None:
            return count <= 0
        if count > 0:
            self._extend(damaged_rows(count, self.rows.num_envs))
        return True

    def _skip(self, start: int, num_rows: int | None, error: RecordingError) -> None:
        known = self.num_rows
        stop = start + (num_rows or MAX_CORE_ROWS)
        # What is read once more, because rows came after it, was noted before.
        if stop > max(known, self._damaged_until):
            self.errors.append(error)
        if start <= max(known, self._damaged_until):
            self._damaged_until = max(stop, self._damaged_until)
        if num_rows is not None:
            self.fill(stop)

    def _check_size(self, core: Mapping[str, npt.NDArray[Any]], where: str) -> None:
        """Raise where the rows would take far more memory than the file."""
        self._nbytes += sum(column.nbytes for column in core.values())
        self._nbytes += _EPISODE_BYTES * int(np.count_nonzero(core["flags"]))
        if self._nbytes <= _MIN_BOUND_BYTES:
            return
        bound = _MAX_RATIO * file_bytes(self._path)
        if self._nbytes > bound:
            self._has_ended = True
            raise RecordingError(
                f"{where}: expected step data of at most {bound / 1e9:.3g} GB in a "
                f"file of its size, got {self._nbytes / 1e9:.3g} GB. The rows before "
                "it are still readable."
            )

    def _extend(self, core: Mapping[str, npt.NDArray[Any]]) -> None:
        assert self.rows is not None
        is_damaged = core["kind"] == DAMAGED
        if is_damaged.any():
            first = int(np.argmax(is_damaged.any(axis=1)))
            self.rows.extend({name: column[:first] for name, column in core.items()})
            if self.num_known is None:
                envs = range(self.rows.num_envs)
                self.num_known = [self.rows.num_begun(env) for env in envs]
            core = {name: column[first:] for name, column in core.items()}
            self._waiting = is_damaged.any(axis=0)
        if self._waiting is not None and self._waiting.any():
            core = {**core, "flags": self._with_begins(core)}
        self.rows.extend(core)

    def _with_begins(
        self, core: Mapping[str, npt.NDArray[Any]]
    ) -> npt.NDArray[np.uint8]:
        """Return the flags; the first known step after damaged rows begins an episode.

        So a page finds it, which knows kinds and ends only.
        """
        assert self._waiting is not None
        kinds, flags = core["kind"], core["flags"].copy()
        for env in np.flatnonzero(self._waiting).tolist():
            seen = np.flatnonzero((kinds[:, env] != IDLE) & (kinds[:, env] != DAMAGED))
            if len(seen):
                self._waiting[env] = False
                if kinds[seen[0], env] in (STEP, TERMINAL_MISSING):
                    flags[seen[0], env] |= BEGINS
        return flags
