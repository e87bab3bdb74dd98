"""What is shown while episodes are collected: a bar, and a line for each worker."""

from __future__ import annotations

import contextlib
from typing import Any

from rollout_viewer._progress import progress_bar
from rollout_viewer._viewer.notebook import is_notebook

# More lines than a screen has are no use.
_MAX_LINES = 16


class CollectProgress:
    """Bars; a context manager.

    Args:
        num_episodes: That were asked for; None: as many as `max_steps` gives.
        max_steps: Transitions; None: no limit.
        num_workers: How many there are; 0: no line for any.
        is_wanted: Whether anything is shown, in notebooks and terminals.
    """

    def __init__(
        self,
        num_episodes: int | None,
        max_steps: int | None,
        num_workers: int,
        *,
        is_wanted: bool,
    ) -> None:
        # tqdm's own None asks for a terminal, which a notebook's output is not.
        is_hidden = not is_wanted or (None if not is_notebook() else False)
        self._counts_steps = num_episodes is None
        self._stack = contextlib.ExitStack()
        unit = "step" if self._counts_steps else "episode"
        total = max_steps if self._counts_steps else num_episodes
        self._all = self._bar("collect", total, unit, is_hidden)
        self._lines = [
            self._bar(f"worker {worker}", None, "step", is_hidden, is_kept=False)
            for worker in range(num_workers if num_workers <= _MAX_LINES else 0)
        ]

    def _bar(
        self,
        name: str,
        total: int | None,
        unit: str,
        is_hidden: bool | None,
        *,
        is_kept: bool = True,
    ) -> Any:
        bar = progress_bar(name, total, unit=unit, is_hidden=is_hidden, is_kept=is_kept)
        return self._stack.enter_context(bar)

    def __enter__(self) -> CollectProgress:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def add_steps(self, worker: int, count: int) -> None:
        """Count transitions of a worker."""
        if self._lines:
            self._lines[worker].update(count)
        if self._counts_steps:
            self._all.update(count)

    def add_episode(self) -> None:
        """Count a finished episode."""
        if not self._counts_steps:
            self._all.update(1)

    def note(self, worker: int, text: str) -> None:
        """Show what happens to a worker."""
        if self._lines and hasattr(self._lines[worker], "set_postfix_str"):
            self._lines[worker].set_postfix_str(text)
