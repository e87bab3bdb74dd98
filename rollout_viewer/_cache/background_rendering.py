"""Pictures that a page looks at, rendered in the background: what is wanted now, first.

A thread of its own, and processes that are kept for a while: the next picture needs no
new one. What is wanted no more is stopped in the middle. Knows which pictures are
wanted. Knows no page.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from rollout_viewer._errors import ExportCancelled
from rollout_viewer._forks import make_anew_in_children
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._replay.pool import WorkerPool, default_num_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._forks import Lock
    from rollout_viewer._recording.reader import RecordingReader

    Render = Callable[
        [RecordingReader, list[int], list[int], WorkerPool, Callable[[], bool]],
        object,
    ]

# Processes without work are kept so long: a user who scrubs comes back.
LINGER_S = 20.0
# What is wanted is repeated each second; if not for so long, no page looks at it.
EXPIRES_S = 10.0


class Wanted(NamedTuple):
    """A picture that is looked at, or will be soon: its block is rendered, too."""

    row: int
    env: int

    @property
    def block(self) -> int:
        """Of the row."""
        return self.row // CHUNK_ROWS


class BackgroundRendering:
    """Renders what is wanted, most urgent first, until it is wanted no more.

    Invariant: at most one thread works. It has the only reference to the processes.

    Args:
        render: Renders rows of envs by processes, until it is asked to stop.
    """

    def __init__(self, render: Render) -> None:
        self._render = render
        self._wanted: list[Wanted] = []
        self._wanted_at = 0.0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        # (row, env) for which there is nothing to replay, such as before a reset.
        self._without: set[tuple[int, int]] = set()
        self.error: Exception | None = None
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the processes are the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child, which has not the thread."""
        del is_whole
        self._changed = threading.Condition()
        self._thread, self._wanted = None, []

    def want(self, reader: RecordingReader, wanted: Sequence[Wanted]) -> None:
        """Render these, in this order, and nothing that was wanted before."""
        if self.error is not None:
            return
        with self._changed:
            self._wanted, self._wanted_at = list(wanted), time.monotonic()
            self._changed.notify()
            if self._thread is None and wanted:
                self._thread = threading.Thread(
                    target=self._run,
                    args=(reader,),
                    name="rollout_viewer rendering",
                    daemon=True,
                )
                self._thread.start()

    def is_without(self, row: int, env: int) -> bool:
        """Whether it was found that nothing can be rendered there."""
        return (row, env) in self._without

    # -- on the thread

    def _run(self, reader: RecordingReader) -> None:
        # One more is ready for what is looked at next, whatever the others do.
        with WorkerPool(default_num_workers(), num_spare=1) as pool:
            while (batch := self._next(reader)) is not None:
                try:
                    self._render_batch(reader, batch, pool)
                except ExportCancelled:
                    continue
                except Exception as error:  # reported by who wanted it
                    self.error = error
                    break
        with self._changed:
            self._thread = None

    def _next(self, reader: RecordingReader) -> list[Wanted] | None:
        """Wait for something to do; None: there was nothing for long."""
        until = time.monotonic() + LINGER_S
        while time.monotonic() < until:
            with self._changed:
                wanted = [] if self._has_expired() else self._wanted
            for one in wanted:
                if self._missing(reader, one):
                    return [other for other in wanted if other.block == one.block]
            with self._changed:
                if self._wanted is wanted or not wanted:
                    self._changed.wait(0.25)
        with self._changed:
            return None

    def _has_expired(self) -> bool:
        return time.monotonic() - self._wanted_at > EXPIRES_S

    def _missing(self, reader: RecordingReader, one: Wanted) -> list[int]:
        """Return the rows of a block that are to be rendered of an env."""
        start = one.block * CHUNK_ROWS
        return [
            row
            for row in range(start, min(start + CHUNK_ROWS, reader.num_rows))
            if (row, one.env) not in self._without and reader.is_to_render(row, one.env)
        ]

    def _render_batch(
        self, reader: RecordingReader, batch: list[Wanted], pool: WorkerPool
    ) -> None:
        """Render the rows that are looked at, then the rest of their block."""
        missing = {one.env: self._missing(reader, one) for one in batch}
        block = batch[0].block
        looked_at = {one.row for one in batch if one.row in missing[one.env]}
        for rows in (looked_at, {row for found in missing.values() for row in found}):
            if rows:
                envs = [env for env, found in missing.items() if rows & {*found}]
                args = sorted(rows), envs, pool
                self._render(reader, *args, lambda: self._is_left(block))
        for one in batch:
            rest = {(row, one.env) for row in self._missing(reader, one)}
            self._without |= rest.intersection(
                (row, one.env) for row in missing[one.env]
            )

    def _is_left(self, block: int) -> bool:
        """Whether a block is wanted no more."""
        if self._has_expired():
            return True
        return all(one.block != block for one in self._wanted)
