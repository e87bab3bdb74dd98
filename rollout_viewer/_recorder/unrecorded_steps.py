"""What envs do between segments: resets, transitions and rewards, only counted.

Knows arrays and the recorder that continues after them. Knows nothing of videos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._recorder.vector_reward import one_reward, split_reward

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recording.step_row import Mask


class UnrecordedSteps:
    """Transitions of the running episodes that have no row, and those episodes' infos.

    Attributes:
        infos: Env -> seed, options, labels of its episode, until a row has them. The
            label ``episode`` is its number among all of its env, recorded or not.
    """

    def __init__(self, num_envs: int) -> None:
        self.infos: dict[int, dict[str, Any]] = {}
        self._episode = np.full(num_envs, -1, np.int64)
        # Whether the env is in another episode than at its last row.
        self._is_new = np.ones(num_envs, np.bool_)
        self._count = np.zeros(num_envs, np.int64)
        self._reward = np.zeros(num_envs)
        # The same for a single env, as numbers, which are faster to add to.
        self._one_count, self._one_reward = 0, 0.0

    def begin_episodes(
        self, begins: Mask, infos: Mapping[int, Mapping[str, Any]]
    ) -> None:
        """Count resets.

        Args:
            begins: (B,): which envs were reset.
            infos: Env -> seed, options, labels of its new episode.
        """
        self._episode[begins] += 1
        self._is_new |= begins
        self._count[begins] = 0
        self._reward[begins] = 0
        self._one_count, self._one_reward = 0, 0.0
        for env in np.flatnonzero(begins).tolist():
            info = dict(infos.get(env, {}))
            label = {"episode": int(self._episode[env])}
            self.infos[env] = {**info, "labels": {**label, **info.get("labels", {})}}

    def add(self, is_step: Any, reward: Any) -> None:
        """Count a call.

        Args:
            is_step: (B,), or True: which envs took a step.
            reward: (B,), of K objectives (B, K), or of a single env a number; None:
                there is none.
        """
        self._count += is_step
        reward, _ = split_reward(reward, len(self._count))
        reward = as_numpy(reward)
        if reward is not None:
            np.add(self._reward, reward, out=self._reward, where=is_step)

    def add_one(self, reward: Any) -> None:
        """Count a step of a single env, in a fraction of the time of `add`."""
        self._one_count += 1
        is_number = type(reward) is float
        self._one_reward += reward if is_number else float(one_reward(reward).sum())

    def resume(self, recorder: Recorder) -> None:
        """Pass the counts to a recorder whose next row comes after these steps."""
        infos = {env: info for env, info in self.infos.items() if self._is_new[env]}
        count = self._count + self._one_count
        reward = self._reward + self._one_reward
        recorder.resume(self._is_new, count, reward, infos)

    def record(self, begins: Mask) -> None:
        """Note that a row has the infos, and the resets of `begins`."""
        self._is_new &= ~begins

    def clear(self) -> None:
        """Note that a first row has the counts of all envs."""
        self._is_new[:], self._count[:], self._reward[:] = False, 0, 0
        self._one_count, self._one_reward = 0, 0.0
