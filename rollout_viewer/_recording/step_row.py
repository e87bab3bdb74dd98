"""One row's step data: its kind for each env, and values checked.

A row's kind, for each env:

- ``reset``: the first frame of an episode; no reward.
- ``step``: a frame after a transition, with the reward that led to it.
- ``idle``: this env was not stepped; its picture repeats, nothing counts.
- ``terminal_missing``: a transition whose picture the env no longer has. Idle rows
  after it repeat the last picture that there was, the one before the end.
- ``damaged``: the file's step data of this row cannot be read. Never recorded.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import ShapeError
from rollout_viewer._frames.tensors import as_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Codes = npt.NDArray[np.uint8]
    Mask = npt.NDArray[np.bool_]


class Kind(enum.IntEnum):
    """What a row is for an env; see the module's docstring."""

    RESET = 0
    STEP = 1
    IDLE = 2
    TERMINAL_MISSING = 3


# The same as plain ints: an enum's attribute costs 1 us, several times a row.
RESET, STEP, IDLE, TERMINAL_MISSING = (int(kind) for kind in Kind)
_CODES = {kind.name.lower(): int(kind) for kind in Kind}
TERMINATED, TRUNCATED, BEGINS, NAN_REWARD = 1, 2, 4, 8
# Rows of a file whose step data cannot be read: of no kind that can be recorded.
DAMAGED = len(Kind)
KIND_NAMES = np.array([*(kind.name.lower() for kind in Kind), "damaged"])
# Of the first of them: a running episode ends before it, and its end is not known.
BREAKS = 16
_FEW = 256
STORED = {
    "kind": np.dtype(np.uint8),
    "flags": np.dtype(np.uint8),
    "reward": np.dtype(np.float64),
    "env_step": np.dtype(np.uint32),
}


class StepRow(NamedTuple):
    """One row's step data for all envs, checked: arrays of shape (num_envs,)."""

    kind: Codes
    flags: Codes
    reward: npt.NDArray[np.float64]
    env_step: npt.NDArray[np.int64]


def check_stored(
    core: Mapping[str, npt.NDArray[Any]], max_rows: int
) -> tuple[int, int]:
    """Return the rows and envs of columns that were read from a file.

    Raises:
        ValueError: They are not columns of rows.
    """
    shape = core["kind"].shape if "kind" in core else ()
    if (
        {name: column.dtype for name, column in core.items()} != STORED
        or len({column.shape for column in core.values()}) != 1
        or len(shape) != 2
        or not (0 < shape[0] <= max_rows and shape[1] > 0)
    ):
        raise ValueError(f"columns {list(core)!r:.60} of shape {shape}")
    flags = TERMINATED | TRUNCATED | BEGINS | NAN_REWARD | BREAKS
    if max_code(core["kind"]) > DAMAGED or max_code(core["flags"]) > flags:
        raise ValueError("a row of no known kind")
    return shape[0], shape[1]


def max_code(codes: Codes) -> int:
    """Return the greatest of kinds or flags."""
    # In a third of the time, if there are few.
    return max(codes.tobytes()) if codes.size <= _FEW else int(codes.max())


def damaged_rows(num_rows: int, num_envs: int) -> dict[str, npt.NDArray[Any]]:
    """Return columns of rows whose step data cannot be read."""
    shape = num_rows, num_envs
    flags = np.zeros(shape, np.uint8)
    flags[:1] = BREAKS
    return {
        "kind": np.full(shape, DAMAGED, np.uint8),
        "flags": flags,
        "reward": np.full(shape, np.nan),
        "env_step": np.zeros(shape, np.uint32),
    }


def as_column(name: str, value: Any, num_envs: int, dtype: Any) -> npt.NDArray[Any]:
    """Return `value` as one `dtype` for each env, shape (num_envs,).

    Raises:
        ShapeError: It has another shape, or does not convert.
    """
    if type(value) is np.ndarray:
        # Nearly always the case, and decided by two comparisons.
        if value.shape == (num_envs,) and value.dtype == dtype:
            return value
    elif hasattr(value, "detach"):
        value = as_numpy(value)
    try:
        array = np.asarray(value, dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(
            f"FrameCache.append: expected {name} to be {np.dtype(dtype).name} of shape "
            f"({num_envs},), got {type(value).__name__}. Pass one value for each env."
        ) from error
    if array.ndim == 0 and num_envs == 1:
        return array.reshape(1)
    if array.shape == (num_envs, 1):
        array = array[:, 0]
    if array.shape != (num_envs,):
        raise ShapeError(
            f"FrameCache.append: expected {name} of shape ({num_envs},), got "
            f"{array.shape}. Pass one value for each env."
        )
    return array


def kind_codes(kind: Any, num_envs: int) -> Codes:
    """Return kinds by name, number or `Kind` as codes, shape (num_envs,).

    Raises:
        ShapeError: One is not known, or there are not `num_envs`.
    """
    if isinstance(kind, str) and kind in _CODES:
        return np.full(num_envs, _CODES[kind], np.uint8)
    if isinstance(kind, np.ndarray) and kind.dtype == np.uint8:
        codes: Codes = kind.copy()  # the caller's: it may change
        if codes.shape == (num_envs,) and codes.max() < len(Kind):
            return codes
    given = [kind] * num_envs if isinstance(kind, (str, Kind)) else list(kind)
    if len(given) != num_envs:
        raise ShapeError(
            f"FrameCache.append: expected kind of shape ({num_envs},), got "
            f"({len(given)},). Pass one kind for each env."
        )
    numbers = []
    for one in given:
        code = _CODES.get(str(one)) if isinstance(one, str) else int(one)
        if code is None or not 0 <= code < len(Kind):
            raise ShapeError(
                f"FrameCache.append: expected kind to be one of {list(_CODES)}, "
                f"got {one!r}."
            )
        numbers.append(code)
    return np.array(numbers, np.uint8)
