"""How many episodes of each env are recorded, where a number of them was asked for.

Knows what a call was to each env. Knows nothing of recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recording.step_row import IDLE, RESET, STEP, TERMINAL_MISSING

if TYPE_CHECKING:
    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Codes, Mask


class EpisodeQuota:
    """A number of episodes, divided among the envs before the first of them begins.

    The first to end of all envs together would be the short ones. Each env has as many
    as another; where the number cannot be divided, the last envs have one more.

    Args:
        episodes: Of all envs.
        num_envs: How many these are.

    Attributes:
        targets: (B,) episodes of each env.
        counts: (B,) those that ended.

    Example:
        >>> EpisodeQuota(5, 3).targets.tolist()
        [1, 2, 2]

    Source: stable-baselines3 2.9, common/evaluation.py, `evaluate_policy`.
    """

    targets: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]

    def __init__(self, episodes: int, num_envs: int) -> None:
        self.episodes = episodes
        self.spread(num_envs)

    def spread(self, num_envs: int) -> None:
        """Divide the episodes among another number of envs; none ended yet."""
        self.targets = (self.episodes + np.arange(num_envs)) // num_envs
        self.counts = np.zeros(num_envs, np.int64)

    @property
    def is_full(self) -> Mask:
        """Bool (B,): all episodes of the env ended."""
        full: Mask = self.counts >= self.targets
        return full

    @property
    def is_met(self) -> bool:
        """Whether all episodes of all envs ended."""
        return bool(self.is_full.all())

    @property
    def num_ended(self) -> int:
        """How many ended, no more of an env than its own."""
        return int(np.minimum(self.counts, self.targets).sum())

    def add(self, ended: Any) -> None:
        """Count the envs (B,) whose episode ended in a call."""
        self.counts = self.counts_after(ended)

    def counts_after(self, ended: Any) -> npt.NDArray[np.int64]:
        """Return `counts` as they are after a call in which episodes ended."""
        counts: npt.NDArray[np.int64] = self.counts + ended
        return counts


class EpisodeLimit:
    """Leaves the envs out of a recording that have had their episodes.

    Args:
        num_envs: How many environments each call is about.

    Attributes:
        is_left_out: (B,) envs that had their episodes, until the next reset.
        is_active: Any call may change it, or be changed by it.
    """

    def __init__(self, num_envs: int) -> None:
        self._quota: EpisodeQuota | None = None
        self.is_left_out: Mask = np.zeros(num_envs, np.bool_)
        self._leaves_out = False
        self.is_active = False

    @property
    def quota(self) -> EpisodeQuota | None:
        """Of the episodes that are recorded; None: all are."""
        return self._quota

    @quota.setter
    def quota(self, quota: EpisodeQuota | None) -> None:
        self._quota, self.is_active = quota, quota is not None or self._leaves_out

    def spread(self, num_envs: int) -> None:
        """Change the number of environments, before the first call."""
        self.is_left_out = np.zeros(num_envs, np.bool_)
        if self.quota is not None:
            self.quota.spread(num_envs)

    def apply(self, codes: Codes, terminated: Any, truncated: Any) -> None:
        """Make the envs idle in `codes` that are left out, and count the ends."""
        quota = self.quota
        if not self.is_active:
            return
        begins = codes == RESET
        is_full = False if quota is None else quota.is_full
        is_left_out = np.where(begins, is_full, self.is_left_out)
        codes[is_left_out] = IDLE
        leaves_out = bool(is_left_out.any())
        counts = None
        if quota is not None:
            is_step = (codes == STEP) | (codes == TERMINAL_MISSING)
            flags = [ends for ends in (terminated, truncated) if ends is not None]
            ended = np.any(np.array(flags, np.bool_), axis=0) if flags else False
            counts = quota.counts_after(is_step & ended)
        # All of it at once: no call in between may be interrupted.
        self.is_left_out, self._leaves_out = is_left_out, leaves_out
        self.is_active = leaves_out or quota is not None
        if quota is not None and counts is not None:
            quota.counts = counts
