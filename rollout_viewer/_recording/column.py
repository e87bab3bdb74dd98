"""One action or `data` array over many rows: its values, and where there are any.

A recording stores an action at the row it led to; readers want it at the row where it
was chosen. An array may be missing in some rows, and may change its shape or dtype.
An env that was idle in a row has no values there, whatever is stored beside others'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RolloutViewerError, RowError, ShapeError
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import IDLE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording

    Array = npt.NDArray[Any]
    Mask = npt.NDArray[np.bool_]


class RecordedColumn(NamedTuple):
    """An array of rows and envs.

    Attributes:
        values: Shape (n, num_envs, ...); NaN, or 0 in integers, where there is none.
        is_there: Shape (n, num_envs): whether a value was recorded.
    """

    values: Array
    is_there: Mask


def column_of(
    recording: Recording,
    name: str,
    start: int,
    stop: int,
    *,
    led_to: npt.NDArray[np.int64] | None = None,
    envs: Sequence[int] | None = None,
    shape: tuple[int, ...] | None = None,
    number: int | None = None,
) -> RecordedColumn:
    """Return the action or a data array of rows ``start..stop``.

    An action is at the row where it was chosen.

    Args:
        recording: Where the rows are.
        name: ``"action"``, or of a data array.
        start: First row.
        stop: Row after the last.
        led_to: `Rows.led_to` of these rows and envs where it is known; of actions.
        envs: Which, in this order; None: all.
        shape: Of one env: an array of another shape counts as missing. None: all
            rows must have the same.
        number: Index into the flattened array of one env: only this number is
            returned; an array without it counts as missing.

    Raises:
        RowError: Nothing of that name was recorded in these rows.
        ShapeError: Its shape changed within them. With `shape` or `number` neither
            is raised.
    """
    assert recording.rows is not None
    columns = np.arange(recording.rows.num_envs) if envs is None else np.asarray(envs)
    if name != ACTION:
        stored = stored_column(recording, name, start, stop, shape=shape, number=number)
        if envs is None:
            return stored
        return RecordedColumn(stored.values[:, columns], stored.is_there[:, columns])
    if led_to is None:
        led_to = recording.rows.led_to(start, stop)[:, columns]
    was_chosen = led_to >= 0
    first = int(led_to[was_chosen].min(initial=recording.rows.num_rows))
    last = int(led_to.max(initial=-1))
    stored = stored_column(recording, name, first, last + 1, shape=shape, number=number)
    if not len(stored.values):
        blank = np.full((*led_to.shape, *stored.values.shape[2:]), np.nan)
        return RecordedColumn(blank, was_chosen)
    index = (led_to - first).clip(0)
    values: Array = stored.values[index, columns]
    values[~was_chosen] = _blank(values.dtype)
    return RecordedColumn(values, stored.is_there[index, columns] & was_chosen)


def stored_column(
    recording: Recording,
    name: str,
    start: int,
    stop: int,
    *,
    shape: tuple[int, ...] | None = None,
    number: int | None = None,
) -> RecordedColumn:
    """Return what `column_of` does of all envs, but an action at the row it led to."""
    recorded = {
        row - start: array
        for row in range(start, stop)
        if (array := recording.extras(row).get(name)) is not None
    }
    values = recorded
    if number is not None:
        shape, values = (), _numbers(recorded, number)
    elif shape is not None:
        values = {i: a for i, a in recorded.items() if a.shape[1:] == shape}
    else:
        shape = _common_shape(name, start, stop, recorded.values())
    num_rows = max(stop - start, 0)
    num_envs = recording.rows.num_envs if recording.rows is not None else 0
    # Where its shape changed, so may have its dtype: float64 holds any of them.
    dtype = np.dtype(np.float64)
    if values and len(values) == len(recorded):
        dtype = np.result_type(*{array.dtype for array in values.values()})
    found = np.full((num_rows, num_envs, *shape), _blank(dtype), dtype)
    is_there = np.zeros((num_rows, num_envs), np.bool_)
    for index, array in values.items():
        found[index] = array
        is_there[index] = True
    if recording.rows is not None and name != ACTION:
        is_idle = recording.rows.kinds(start, start + num_rows) == IDLE
        is_there[is_idle] = False
        found[is_idle] = _blank(dtype)
    return RecordedColumn(found, is_there)


def _numbers(arrays: dict[int, Array], number: int) -> dict[int, Array]:
    flat = {index: array.reshape(len(array), -1) for index, array in arrays.items()}
    return {
        index: array[:, number]
        for index, array in flat.items()
        if 0 <= number < array.shape[1]
    }


def _common_shape(
    name: str, start: int, stop: int, arrays: Collection[Array]
) -> tuple[int, ...]:
    """Return the shape of one env."""
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1:
        error: type[RolloutViewerError] = ShapeError if shapes else RowError
        raise error(
            f"FrameCache.column: expected {name!r} of one shape in rows "
            f"{start}..{stop}, got {sorted(shapes) or 'nothing of that name'}. "
            "Read it row by row: cache.at(row, env)."
        )
    return shapes.pop()[1:]


def _blank(dtype: np.dtype[Any]) -> float:
    return np.nan if dtype.kind == "f" else 0
