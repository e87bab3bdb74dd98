"""Step data as people ask for it: whole columns, or all of one env at one row.

Reads recordings and rows; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._columns import ACTION
from rollout_viewer._errors import RolloutViewerError, RowError, ShapeError
from rollout_viewer._rows import (
    BEGINS,
    IDLE,
    KIND_NAMES,
    RESET,
    TERMINATED,
    TRUNCATED,
    Rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from rollout_viewer._recording import AnyRecording


class Scalars(Mapping[str, "npt.NDArray[Any]"]):
    """`FrameCache.scalars`: arrays made when they are asked for."""

    _NAMES = (
        "reward",
        "terminated",
        "truncated",
        "kind",
        "env_step",
        "episode",
        "total_reward",
    )

    def __init__(self, num_rows: int, rows: Rows | None) -> None:
        self._num_rows = num_rows
        self._rows = rows if rows is not None else Rows(0)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        rows, stop = self._rows, self._num_rows
        if name == "reward":
            return rows.rewards(0, stop).copy()
        if name == "terminated":
            return rows.has_flag(TERMINATED, stop)
        if name == "truncated":
            return rows.has_flag(TRUNCATED, stop)
        if name == "kind":
            return KIND_NAMES[rows.kinds(0, stop)]
        if name == "env_step":
            return rows.env_steps(0, stop).astype(np.int64)
        if name == "episode":
            return rows.episode_numbers(stop)
        if name == "total_reward":
            return rows.returns(stop)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._NAMES)

    def __len__(self) -> int:
        return len(self._NAMES)


class Moment(Mapping[str, Any]):
    """`FrameCache.at`: what is known of one env at one row, by key or attribute."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Moment({self._values!r})"


def describe(recording: AnyRecording, rows: Rows, row: int, env: int) -> dict[str, Any]:
    """Return everything but pictures that is known of an env at a row."""
    flags = int(rows.ends(row, row + 1)[0, env])
    episode = rows.episode_at(row, env)
    found: dict[str, Any] = {
        "row": row,
        "env": env,
        "kind": str(KIND_NAMES[rows.kinds(row, row + 1)[0, env]]),
        "reward": float(rows.rewards(row, row + 1)[0, env]),
        "terminated": bool(flags & TERMINATED),
        "truncated": bool(flags & TRUNCATED),
        "env_step": int(rows.env_steps(row, row + 1)[0, env]),
        "episode": episode.index if episode else None,
        "episode_step": None,
        "total_reward": float("nan"),
        "action": _action_at(recording, rows, row, env),
        "seed": episode.seed if episode else None,
        "segment": episode.segment if episode else None,
        "labels": dict(episode.labels) if episode else {},
    }
    if episode:
        found["episode_step"] = found["env_step"]
        rewards = rows.rewards(episode.start, row + 1)[:, env]
        found["total_reward"] = float(np.nansum(rewards))
    for name, values in recording.extras(row).items():
        if name != ACTION:
            found.setdefault(name, values[env])
    return found


def _action_at(recording: AnyRecording, rows: Rows, row: int, env: int) -> Any:
    # Kept with the row that it led to; idle rows in between show it too.
    kinds = rows.kinds(row + 1, rows.num_rows)[:, env]
    moved = np.flatnonzero(kinds != IDLE)
    if not len(moved):
        return None
    led_to = row + 1 + int(moved[0])
    # Where skip left out the reset, the step that begins an episode is no answer.
    if rows.block(led_to, led_to + 1)["flags"][0, env] & BEGINS:
        return None
    action = recording.extras(led_to).get(ACTION)
    return None if action is None else action[env]


def column(
    recording: AnyRecording, rows: Rows, name: str, start: int, stop: int
) -> npt.NDArray[Any]:
    """Return the action or a data array of rows ``start..stop``, (n, num_envs, ...).

    Raises:
        RowError: Nothing of that name was recorded in these rows.
        ShapeError: Its shape changed within them.
    """
    values: dict[int, npt.NDArray[Any]] = {}
    shift = int(name == ACTION)
    for row in range(start + shift, min(stop + shift, rows.num_rows)):
        value = recording.extras(row).get(name)
        if value is not None:
            values[row - shift - start] = value
    shapes = {value.shape for value in values.values()}
    if len(shapes) != 1:
        error: type[RolloutViewerError] = ShapeError if shapes else RowError
        raise error(
            f"FrameCache.column: expected {name!r} of one shape in rows "
            f"{start}..{stop}, got {sorted(shapes) or 'nothing of that name'}. "
            "Read it row by row: cache.at(row, env)."
        )
    dtype = np.result_type(*{value.dtype for value in values.values()})
    blank = np.nan if dtype.kind == "f" else 0
    found = np.full((max(stop - start, 0), *shapes.pop()), blank, dtype)
    for index, value in values.items():
        found[index] = value
    if shift:
        _blank_before_resets(rows, found, start, blank)
    return found


def _blank_before_resets(
    rows: Rows, actions: npt.NDArray[Any], start: int, blank: Any
) -> None:
    """Clear what was passed for envs that did not take it: resets and idle rows."""
    kinds = rows.kinds(start + 1, min(start + 1 + len(actions), rows.num_rows))
    taken = (kinds != RESET) & (kinds != IDLE)
    actions[: len(kinds)][~taken] = blank
