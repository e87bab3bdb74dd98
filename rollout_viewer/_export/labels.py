"""Labels burnt into the tiles of exported frames.

Knows a clip, its step data and pixels. Knows nothing of files.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from rollout_viewer._export.table import Table
from rollout_viewer._frames.grid import grid_shape
from rollout_viewer._frames.text import Lettering, paste

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._export.selection import Selection
    from rollout_viewer._export.table import Column
    from rollout_viewer._recording.query import Moment

    Frame = npt.NDArray[np.uint8]

# Of a tile's height.
_TEXT_SHARE = 0.05
# Read at once.
_WINDOW_ROWS = 256
# An action of more numbers is not read while it moves.
_MAX_NUMBERS = 4


class Labels:
    """Writes a text at the top left of each tile of a clip's frames.

    Args:
        clip: Whose frames they are.
        text: What is written, of what `FrameCache.at` knows. None: env, episode,
            step, total reward and action, as far as they are known.
    """

    def __init__(
        self, clip: Selection, text: Callable[[Moment], object] | None = None
    ) -> None:
        self._clip = clip
        self._height, self._width = clip.tile_size
        _, self._columns = grid_shape(len(clip.tile_envs))
        self._lettering = Lettering(round(self._height * _TEXT_SHARE))
        self._texts = _Texts(clip).of_row if text is None else self._asking(text)

    def draw(self, frame: Frame, row: int) -> Frame:
        """Write onto the frame of `row` and return it; a copy if it is read-only."""
        if not frame.flags.writeable:
            frame = frame.copy()
        for index, text in enumerate(self._texts(row)):
            grid_row, column = divmod(index, self._columns)
            top, left = grid_row * self._height, column * self._width
            # Not into the neighbour's tile.
            tile = frame[top : top + self._height, left : left + self._width]
            paste(self._lettering.draw(text, self._width), tile)
        return frame

    def _asking(self, text: Callable[[Moment], object]) -> Callable[[int], list[str]]:
        cache, envs = self._clip.cache, self._clip.tile_envs
        return lambda row: [str(text(cache.at(row, env))) for env in envs]


class _Texts:
    """The usual texts, from step data that is read for many rows at once."""

    def __init__(self, clip: Selection) -> None:
        self._envs = clip.tile_envs
        self._stop = clip.stop
        self._table = Table(clip.cache, clip.start, clip.stop, self._envs)
        names = self._table.names
        actions = [n for n in names if n == "action" or n.startswith("action.")]
        self._actions = actions if len(actions) <= _MAX_NUMBERS else []
        self._rows = range(0)
        self._lines: list[str] = []

    def of_row(self, row: int) -> list[str]:
        """Return the text of each tile."""
        if row not in self._rows:
            self._rows = range(row, min(row + _WINDOW_ROWS, self._stop))
            self._lines = self._describe(
                self._table.window(self._rows.start, self._rows.stop)
            )
        first = (row - self._rows.start) * len(self._envs)
        return self._lines[first : first + len(self._envs)]

    def _describe(self, columns: dict[str, Column]) -> list[str]:
        steps = ("env", "episode", "episode_step", "total_reward")
        env, episode, step, total = (columns[name].values.tolist() for name in steps)
        actions = [_values_or_none(columns[name]) for name in self._actions]
        chosen = list(zip(*actions, strict=True)) or [()] * len(env)
        return list(map(describe, env, episode, step, total, chosen))


def describe(
    env: int,
    episode: int,
    step: int,
    total_reward: float,
    action: tuple[Any, ...] = (),
) -> str:
    """Return a label of what is known: episode -1, NaN and None are not.

    Example:
        >>> describe(3, 1, 20, 19.5, (1,))
        'env 3  ep 1  step 20  total 19.5  action 1'
        >>> describe(3, -1, 0, float("nan"))
        'env 3'
    """
    parts = [f"env {env}"]
    if episode >= 0:
        parts += [f"ep {episode}", f"step {step}"]
    if not math.isnan(total_reward):
        parts.append(f"total {total_reward:.4g}")
    if action and None not in action:
        parts.append(f"action {' '.join(f'{number:.3g}' for number in action)}")
    return "  ".join(parts)


def _values_or_none(column: Column) -> list[Any]:
    values, is_missing = column.values.tolist(), column.is_missing.tolist()
    return [
        None if missing else value
        for value, missing in zip(values, is_missing, strict=True)
    ]
