"""Step data by name: the scalars of all rows, and everything of one env at one row.

Reads recordings and rows; changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._recording.info_types import decoded, info_types
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import IDLE, KIND_NAMES, TERMINATED, TRUNCATED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording


class Scalars(Mapping[str, "npt.NDArray[Any]"]):
    """`FrameCache.scalars`: arrays computed on access."""

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
    """`FrameCache.at`: the data of one env at one row, by key or attribute."""

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
    """Return all data of an env at a row but its pictures.

    Raises:
        RecordingError: It is damaged in the file.
    """
    if rows.is_damaged(row, env):
        raise RecordingError(
            f"{recording.path}, row {row}: expected intact step data, got damaged. The "
            "rows around it are still readable."
        )
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
    types = info_types(recording.meta)
    is_idle = found["kind"] == KIND_NAMES[IDLE]
    for name, values in recording.extras(row).items():
        if name != ACTION:
            # What is stored of an idle env stands there because others have values.
            value = None if is_idle else decoded(types, name, _copy(values[env]))
            found.setdefault(name, value)
    # Last: `data` of this name was recorded before episodes had it.
    found.setdefault("success", episode.success if episode else None)
    return found


def _action_at(recording: Recording, rows: Rows, row: int, env: int) -> Any:
    led_to = int(rows.led_to(row, row + 1)[0, env])
    action = recording.extras(led_to).get(ACTION) if led_to >= 0 else None
    return None if action is None else _copy(action[env])


def _copy(value: Any) -> Any:
    # A user may write into the result; a single number cannot be changed.
    return value.copy() if isinstance(value, np.ndarray) else value
