"""Rewards as numbers: several objectives are summed, and each is data of the row.

Knows arrays. Knows nothing of rows or recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import ShapeError, warn_once
from rollout_viewer._frames.tensors import as_numpy

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask

    Vectors = npt.NDArray[np.float64]

# Name in the row's data, after MO-Gymnasium's term.
VECTOR_REWARD = "vector_reward"


class VectorRewards:
    """The rewards (B, K) of K objectives since the last row of each env, summed."""

    def __init__(self) -> None:
        self._sum: Vectors | None = None

    @property
    def is_in_use(self) -> bool:
        """Whether there were any."""
        return self._sum is not None

    def plus(self, envs: Mask, vectors: Vectors) -> VectorRewards:
        """Return these with those of one more call, of the envs that stepped."""
        before = self._sum
        if before is None or before.shape != vectors.shape:
            before = np.full(vectors.shape, np.nan)
        sums = np.where(np.isnan(before), 0.0, before) + vectors
        found = VectorRewards()
        found._sum = np.where(envs[:, None], sums, before)
        return found

    def seen(self, envs: Mask) -> dict[str, Vectors]:
        """Return the data of a row in which `envs` step."""
        if self._sum is None:
            return {}
        return {VECTOR_REWARD: np.where(envs[:, None], self._sum, np.nan)}

    def drop(self, envs: Mask) -> None:
        """Begin anew for the envs that stepped in a row."""
        if self._sum is not None:
            self._sum[envs] = np.nan


def one_reward(reward: Any) -> Vectors:
    """Return a single env's reward as (1,), or of K objectives as (1, K).

    What is no number is NaN, with one warning.
    """
    if isinstance(reward, float):
        return np.array([reward], np.float64)
    reward = as_numpy(reward)
    try:
        array = np.asarray(reward, np.float64)
    except (TypeError, ValueError, OverflowError):
        array = np.empty(0)
    if not array.size:
        warn_once(
            f"record: expected rewards to be numbers, got {reward!r:.80}; they are "
            "recorded as NaN. Return a float."
        )
        return np.full(1, np.nan)
    return array.reshape(1) if array.size == 1 else array.reshape(1, -1)


def checked_weights(weights: Sequence[float] | None) -> tuple[float, ...] | None:
    """Return `reward_weights` as numbers.

    Raises:
        ValueError: They are not two or more finite numbers.
    """
    if weights is None:
        return None
    try:
        array = np.array(weights, np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or array.size < 2 or not np.isfinite(array).all():
        raise ValueError(
            "record: expected reward_weights to be two or more finite numbers, one for "
            f"each objective, got {weights!r:.100}. None: their sum is the reward."
        )
    return tuple(array.tolist())


def split_reward(
    reward: Any, num_envs: int, weights: Sequence[float] | None = None
) -> tuple[Any, Vectors | None]:
    """Return the rewards (B,), and those of each objective (B, K) if there are several.

    Args:
        reward: (B,), (B, 1) or (B, K), an array or a tensor; None without any.
        num_envs: B.
        weights: Of each objective in the reward; None: 1.

    Raises:
        ShapeError: There are weights, and another number of objectives.
    """
    found, vectors = _split(reward, num_envs)
    if weights is None or reward is None:
        return (found if vectors is None else vectors.sum(axis=1)), vectors
    num_objectives = 1 if vectors is None else vectors.shape[1]
    if num_objectives != len(weights):
        if vectors is None and np.isnan(np.asarray(found, np.float64)).all():
            return found, None  # it was no number
        raise ShapeError(
            f"record: expected rewards of {len(weights)} objectives, one for each of "
            f"reward_weights, got {num_objectives}. Pass as many weights as the "
            "environment has objectives."
        )
    assert vectors is not None  # there are two weights or more
    return vectors @ np.asarray(weights), vectors


def _split(reward: Any, num_envs: int) -> tuple[Any, Vectors | None]:
    if getattr(reward, "ndim", 1) < 2:
        return reward, None
    reward = as_numpy(reward)
    vectors = np.asarray(reward, np.float64)
    if len(vectors) != num_envs or vectors.size <= num_envs:
        return vectors, None
    vectors = vectors.reshape(num_envs, -1)
    return vectors, vectors
