"""An episode: the rows of one env between two resets, and their totals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Episode:
    """One episode of one env.

    Attributes:
        env: The environment's number.
        index: Counts the env's episodes from 0.
        start: Its first row.
        stop: The row after its last one.
        length: Transitions, skipped ones included.
        total_reward: Sum of its rewards, without those that are NaN.
        terminated: It ended by the environment's rules. Both ends are False while
            it is unfinished.
        truncated: It was cut off, as by a time limit.
        success: Whether it succeeded; None: that is not known.
        segment: Name of the `FrameCache.segment` in which it began.
        seed: Seed of its reset, if one was given.
        options: Options of its reset.
        labels: Labels of its segment, and those set by `FrameCache.label`.
        num_nan_rewards: Steps whose reward is NaN: `total_reward` is not all of it.
    """

    env: int
    index: int
    start: int
    stop: int
    length: int
    total_reward: float
    terminated: bool = False
    truncated: bool = False
    success: bool | None = None
    segment: str | None = None
    seed: int | None = None
    options: Mapping[str, Any] | None = None
    labels: Mapping[str, Any] = field(default_factory=dict)
    num_nan_rewards: int = 0

    @property
    def is_finished(self) -> bool:
        """Whether it terminated or was truncated, rather than stopped by a reset."""
        return self.terminated or self.truncated
