"""Step data of one call, checked once and not copied: rewards, ends and actions.

Knows arrays. Knows nothing of rows or recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._recorder.vector_reward import split_reward
from rollout_viewer._recording.step_row import as_column

if TYPE_CHECKING:
    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask

_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)


class StepCall(NamedTuple):
    """What a call gave for all envs, as arrays (B, ...) that may be the caller's."""

    reward: npt.NDArray[np.float64] | None
    terminated: Mask
    truncated: Mask
    action: npt.NDArray[Any] | None


def step_call(
    num_envs: int, reward: Any, terminated: Any, truncated: Any, action: Any
) -> StepCall | None:
    """Return the arguments of a call, checked; None: rewards of several objectives.

    Raises:
        ShapeError: They are not of `num_envs`.
    """
    actions = None if action is None else as_actions(action, num_envs)
    if (
        type(reward) is type(terminated) is type(truncated) is np.ndarray
        and reward.dtype.kind == "f"
        and terminated.dtype is truncated.dtype is _BOOL
        and reward.shape == terminated.shape == truncated.shape == (num_envs,)
    ):  # Nearly always the case: what the checks below would return.
        if reward.dtype is not _FLOAT64:
            reward = reward.astype(_FLOAT64)
        return StepCall(reward, terminated, truncated, actions)
    if getattr(reward, "ndim", 1) > 1:
        reward, vectors = split_reward(reward, num_envs)
        if vectors is not None:
            return None
    return StepCall(
        None if reward is None else as_column("reward", reward, num_envs, _FLOAT64),
        as_ends("terminated", terminated, num_envs),
        as_ends("truncated", truncated, num_envs),
        actions,
    )


def as_ends(name: str, ends: Any, num_envs: int) -> Mask:
    """Return ends (B,) as bools; of None none ended.

    Raises:
        ShapeError: They are not of `num_envs`.
    """
    if ends is None:
        return np.zeros(num_envs, np.bool_)
    return as_column(name, ends, num_envs, _BOOL)


def as_actions(action: Any, num_envs: int) -> npt.NDArray[Any] | None:
    """Return actions as an array (B, ...); None: they are not numbers."""
    if type(action) is np.ndarray:
        actions = action
    else:
        action = as_numpy(action)
        try:
            actions = np.asarray(action)
        except (ValueError, TypeError, RuntimeError):  # as of a list of tensors
            return None
    if actions.ndim == 0 and num_envs == 1:
        actions = actions.reshape(1)
    is_fit = actions.ndim > 0 and len(actions) == num_envs
    return actions if is_fit and actions.dtype.kind in "biuf" else None
