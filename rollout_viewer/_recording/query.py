"""Step data as people ask for it: whole columns, or all of one env at one row.

Reads recordings and rows; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RolloutViewerError, RowError, ShapeError
from rollout_viewer._recording.rows import KIND_NAMES, TERMINATED, TRUNCATED, Rows
from rollout_viewer._recording.step_codec import ACTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording


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


def describe(recording: Recording, rows: Rows, row: int, env: int) -> dict[str, Any]:
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
            found.setdefault(name, _copy(values[env]))
    return found


def _action_at(recording: Recording, rows: Rows, row: int, env: int) -> Any:
    led_to = int(rows.led_to(row, row + 1)[0, env])
    action = recording.extras(led_to).get(ACTION) if led_to >= 0 else None
    return None if action is None else _copy(action[env])


def _copy(value: Any) -> Any:
    # What is recorded never changes; a single number is its own copy.
    return value.copy() if isinstance(value, np.ndarray) else value


def column(
    recording: Recording, rows: Rows, name: str, start: int, stop: int
) -> npt.NDArray[Any]:
    """Return the action or a data array of rows ``start..stop``, (n, num_envs, ...).

    Raises:
        RowError: Nothing of that name was recorded in these rows.
        ShapeError: Its shape changed within them.
    """
    if name != ACTION:
        return raw_column(recording, name, start, stop)
    led_to = rows.led_to(start, stop)
    is_chosen = led_to >= 0
    first = int(led_to[is_chosen].min(initial=rows.num_rows))
    values = raw_column(recording, name, first, int(led_to.max(initial=-1)) + 1)
    chosen: npt.NDArray[Any] = values[
        (led_to - first).clip(0), np.arange(rows.num_envs)
    ]
    chosen[~is_chosen] = _blank(values.dtype)
    return chosen


def raw_column(
    recording: Recording, name: str, start: int, stop: int
) -> npt.NDArray[Any]:
    """Return an array as rows hold it: an action stands at the row it led to.

    Raises:
        RowError: Nothing of that name was recorded in these rows.
        ShapeError: Its shape changed within them.
    """
    values = {
        row - start: value
        for row in range(start, stop)
        if (value := recording.extras(row).get(name)) is not None
    }
    shapes = {value.shape for value in values.values()}
    if len(shapes) != 1:
        error: type[RolloutViewerError] = ShapeError if shapes else RowError
        raise error(
            f"FrameCache.column: expected {name!r} of one shape in rows "
            f"{start}..{stop}, got {sorted(shapes) or 'nothing of that name'}. "
            "Read it row by row: cache.at(row, env)."
        )
    dtype = np.result_type(*{value.dtype for value in values.values()})
    found = np.full((stop - start, *shapes.pop()), _blank(dtype), dtype)
    for index, value in values.items():
        found[index] = value
    return found


def _blank(dtype: np.dtype[Any]) -> float:
    return np.nan if dtype.kind == "f" else 0
