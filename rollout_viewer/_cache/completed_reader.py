"""Numbers of a recording, read when the rows are there that a recorder owes."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from rollout_viewer._recording.reader import RecordingReader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.episode import Episode


class CompletedReader(RecordingReader):
    """Has recorders append what they owe, then reads; `FrameCache` also records."""

    # Weak: a recorder holds its cache.
    _completers: list[weakref.WeakMethod[Callable[[], object]]]

    def before_reading(self, complete: Callable[[], object]) -> None:
        """Call a method before numbers are read, to append rows that it owes.

        Before `episodes`, `scalars`, `column`, `find`, `clip`, exports, `flush`, `save`
        and `close`: a recorder that skips calls then has rows for all of their rewards.
        Not before `num_rows`, `at` and pictures, which are about rows that are there:
        else whoever reads them after each step would add a row for each skipped one.
        The method's object is not kept alive.
        """
        self._completers = [one for one in self._completers if one() is not None]
        self._completers.append(weakref.WeakMethod(complete))

    def complete(self) -> None:
        """Append the rows that a recorder owes; see `before_reading`."""
        for reference in self._completers:
            if (complete := reference()) is not None:
                complete()

    @property
    def episodes(self) -> list[Episode]:
        """All episodes with a step, unfinished ones too; see `RecordingReader`."""
        self.complete()
        return super().episodes

    @property
    def scalars(self) -> Mapping[str, npt.NDArray[Any]]:
        """Step data by name, each (num_rows, num_envs); see `RecordingReader`."""
        self.complete()
        return super().scalars

    def column(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """Return ``"action"`` or a `data` array; see `RecordingReader`."""
        self.complete()
        return super().column(name, start, stop)

    def find(self, env: int, episode: int, episode_step: int) -> int:
        """Return the row of a step; see `RecordingReader`."""
        self.complete()
        return super().find(env, episode, episode_step)
