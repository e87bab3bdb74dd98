"""A recorded row as arguments of `FrameCache.append`: what records it once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._recording.info_types import PREFIX
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import (
    IDLE,
    STEP,
    TERMINAL_MISSING,
    TERMINATED,
    TRUNCATED,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.step_row import Mask


def step_arguments(
    recording: Recording, rows: Rows, row: int, envs: Sequence[int]
) -> dict[str, Any]:
    """Return all of `append`'s arguments but frames and what is known of episodes.

    Envs other than `envs` are idle.

    Raises:
        RecordingError: The row is damaged in the file.
    """
    if any(rows.is_damaged(row, env) for env in envs):
        raise RecordingError(
            f"{recording.path}, row {row}: expected intact step data, got damaged. "
            "Leave the row out."
        )
    is_copied = np.zeros(rows.num_envs, np.bool_)
    is_copied[list(envs)] = True
    kinds = np.where(is_copied, rows.kinds(row, row + 1)[0], np.uint8(IDLE))
    is_step = (kinds == STEP) | (kinds == TERMINAL_MISSING)
    begins = rows.begins(row)
    ends = np.where(is_copied, rows.ends(row, row + 1)[0], np.uint8(0))
    first_steps = is_step & begins
    rewards = np.where(is_copied, rows.rewards(row, row + 1)[0], 0.0)
    has_reward = is_step & (~np.isnan(rewards) | rows.is_nan(row))
    extras = recording.extras(row)
    action, was_chosen = extras.get(ACTION), is_step & ~begins
    return {
        "kind": kinds,
        # Only where `skip` left the reset out: other episodes begin by their kind.
        "reset": first_steps if first_steps.any() else None,
        # None where the row has none: a NaN that is passed is a reward.
        "reward": rewards if has_reward.any() else None,
        "terminated": (ends & np.uint8(TERMINATED)) != 0,
        "truncated": (ends & np.uint8(TRUNCATED)) != 0,
        "num_transitions": _num_transitions(rows, row, begins),
        "action": None
        if action is None or not was_chosen.any()
        else _only(action, was_chosen),
        "data": {
            name: _only(array, is_copied, np.nan if name.startswith(PREFIX) else 0)
            for name, array in extras.items()
            if name != ACTION
        },
    }


def _num_transitions(rows: Rows, row: int, begins: Mask) -> npt.NDArray[np.int64]:
    """Return how many steps the row stands for; 0: a picture between two of them."""
    steps = rows.env_steps(max(row - 1, 0), row + 1).astype(np.int64)
    before = np.where(begins, 0, steps[0]) if row else 0
    counts: npt.NDArray[np.int64] = np.maximum(steps[-1] - before, 0)
    return counts


def _only(array: npt.NDArray[Any], envs: Mask, blank: float = 0) -> npt.NDArray[Any]:
    """Return a copy with `blank` for all other envs."""
    copy = np.full_like(array, blank if array.dtype.kind == "f" else 0)
    copy[envs] = array[envs]
    return copy
