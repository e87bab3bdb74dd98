"""Pictures of rows whose states were kept: nothing is stepped."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RenderError
from rollout_viewer._replay.kept_states import CHECKSUM, checksum_of, state_values
from rollout_viewer._replay.messages import Difference
from rollout_viewer._replay.replay import NotReproducible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._replay.kept_states import RenderedStates
    from rollout_viewer._replay.messages import Task
    from rollout_viewer._replay.plan import RecordedRow

    Frame = npt.NDArray[np.uint8]

# A call of `render` makes a renderer, which costs more than a picture.
_PICTURES_A_CALL = 32
# Where someone waits for the first of them.
_PICTURES_AWAITED = 4


class StateReplay:
    """Renders states, in the place of a `Replay`.

    Args:
        env: What renders them.

    Attributes:
        refused: Rows of the last task whose states `render` refuses, and why.
    """

    def __init__(self, env: RenderedStates) -> None:
        self._env = env
        self.row = -1
        self.picture_s = 0.0
        self.refused: list[tuple[int, str]] = []

    def pictures(
        self, task: Task, is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Frame]]:
        """Yield (row, picture) of a task's rows.

        Args:
            task: Any.
            is_stopped: Asked before some rows whether the task ends there.

        Raises:
            NotReproducible: The state of a row is not the one that was recorded; the
                rows before it are right.
            RenderError: The environment gives no pictures.
        """
        self.refused = []
        first, has_pictures = None, False
        rows = [one for part in task.job.parts for one in part.rows]
        count = _PICTURES_A_CALL if task.first_rows is None else _PICTURES_AWAITED
        for start in range(0, len(rows), count):
            if is_stopped():
                return
            some = rows[start : start + count]
            whole = list(itertools.takewhile(_is_whole, some))
            if whole:
                states = [state_values(one.data) for one in whole]
                began_s = time.monotonic()
                frames = self._pictures(states)
                self.picture_s = (time.monotonic() - began_s) / len(frames)
                for one, frame in zip(whole, frames, strict=True):
                    self.row = one.row
                    if isinstance(frame, RenderError):
                        self.refused.append((one.row, f"{frame.__cause__!r:.300}"))
                        first = first or frame
                        continue
                    has_pictures = True
                    yield one.row, frame
            if len(whole) < len(some):
                raise _damaged(some[len(whole)])
        if first is not None and not has_pictures:
            self.refused = []
            raise first

    def _pictures(
        self, states: list[dict[str, npt.NDArray[Any]]]
    ) -> list[Frame | RenderError]:
        try:
            return self._env.pictures(states)
        except RenderError as error:
            if error.__cause__ is None:  # it is not of these states
                raise
            return [error] * len(states)


def _is_whole(recorded: RecordedRow) -> bool:
    known = recorded.data.get(CHECKSUM)
    return known is not None and int(known) == checksum_of(state_values(recorded.data))


def _damaged(recorded: RecordedRow) -> NotReproducible:
    known: Any = recorded.data.get(CHECKSUM)
    found = checksum_of(state_values(recorded.data))
    what = "state's checksum"
    return NotReproducible(Difference(recorded.row, what, str(known), str(found)))
