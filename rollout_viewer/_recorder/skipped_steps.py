"""Step data accumulated over calls that were not recorded as rows.

Rewards add up, ends stay, transitions are counted, and the first action is kept.
Knows arrays. Knows nothing of rows or recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.step_call import as_actions, as_ends
from rollout_viewer._recording.step_row import as_column

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask


class SkippedSteps:
    """Step data of transitions since the last row of each env."""

    def __init__(self, num_envs: int) -> None:
        self._num_envs = num_envs
        self.count = np.zeros(num_envs, np.int64)
        self.reward = np.full(num_envs, np.nan)
        self.has_reward = np.zeros(num_envs, np.bool_)
        self.terminated = np.zeros(num_envs, np.bool_)
        self.truncated = np.zeros(num_envs, np.bool_)
        self.action: npt.NDArray[Any] | None = None
        # Further numbers that add up, by name, as rewards of groups of agents.
        self.sums: dict[str, npt.NDArray[np.float64]] = {}

    @property
    def has_ended(self) -> Mask:
        """Which envs ended since their last row."""
        return self.terminated | self.truncated

    def copy(self) -> SkippedSteps:
        """Return another one of the same steps."""
        new = SkippedSteps(self._num_envs)
        new.count, new.reward = self.count.copy(), self.reward.copy()
        new.has_reward = self.has_reward.copy()
        new.terminated = self.terminated.copy()
        new.truncated = self.truncated.copy()
        new.action = self.action  # replaced, never changed
        new.sums = {name: total.copy() for name, total in self.sums.items()}
        return new

    def add(
        self, envs: Mask, reward: Any, terminated: Any, truncated: Any, action: Any
    ) -> None:
        """Accumulate one call's data of the envs that stepped."""
        n = self._num_envs
        rewards = None if reward is None else as_column("reward", reward, n, "f8")
        is_terminated = as_ends("terminated", terminated, n)
        is_truncated = as_ends("truncated", truncated, n)
        actions = None if action is None else as_actions(action, n)
        if rewards is not None:
            # A NaN among them is not left out: the sum is NaN then.
            np.copyto(self.reward, 0.0, where=envs & ~self.has_reward)
            np.add(self.reward, rewards, out=self.reward, where=envs)
            self.has_reward |= envs
        self.terminated |= is_terminated & envs
        self.truncated |= is_truncated & envs
        self._add_action(envs & (self.count == 0), actions)
        self.count += envs

    def add_sums(self, envs: Mask, sums: Mapping[str, Any]) -> None:
        """Add further numbers of the envs that stepped, (B,) each."""
        for name, value in sums.items():
            number = as_column(name, value, self._num_envs, "f8")
            total = self.sums.setdefault(name, np.zeros(self._num_envs))
            np.add(total, number, out=total, where=envs)

    def _add_action(self, envs: Mask, actions: npt.NDArray[Any] | None) -> None:
        # The first of several was chosen at the frame of the row before.
        before = self.action
        # A copy: training loops reuse their action buffer.
        self.action = actions = None if actions is None else np.array(actions)
        if before is None or actions is None or before.shape != actions.shape:
            return
        actions[~envs] = before[~envs]

    def replace(
        self, count: npt.NDArray[np.int64], reward: npt.NDArray[np.float64]
    ) -> None:
        """Replace all by these transitions and the sum of their rewards."""
        self.clear(np.ones(self._num_envs, np.bool_))
        self.count[:] = count
        np.copyto(self.reward, reward, where=self.count > 0)
        self.has_reward |= self.count > 0
        self.action = None

    def clear(self, envs: Mask) -> None:
        """Reset the data of `envs`: it is recorded, or will not be."""
        self.count[envs] = 0
        self.reward[envs] = np.nan
        self.has_reward[envs] = False
        self.terminated[envs] = False
        self.truncated[envs] = False
        for total in self.sums.values():
            total[envs] = 0.0
