"""The episodes of one evaluation, counted as SB3's `evaluate_policy` counts them.

Knows SB3's `Monitor`. Knows nothing of recordings and of training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor, is_vecenv_wrapped

from rollout_viewer._recorder.episode_quota import EpisodeQuota
from rollout_viewer._recorder.success import success_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from stable_baselines3.common.vec_env import VecEnv


class Evaluation(EpisodeQuota):
    """A number of episodes of a `VecEnv`, with their returns and lengths.

    Where there is a `Monitor`, an episode ends where it reports the end, with its
    return and length: wrappers around it may end episodes early (Atari's lost lives)
    or clip rewards.

    Args:
        episodes: Of all envs.
        venv: The envs.

    Attributes:
        returns: Of the episodes that ended, in that order.
        lengths: Of the same.
        successes: Of ends whose info reports it; see `success_of`.

    Source: stable-baselines3 2.9, common/evaluation.py.
    """

    def __init__(self, episodes: int, venv: VecEnv) -> None:
        super().__init__(episodes, venv.num_envs)
        self.returns: list[float] = []
        self.lengths: list[int] = []
        self.successes: list[bool] = []
        self._is_monitored = _is_monitored(venv)
        self._returns = np.zeros(venv.num_envs)
        self._lengths = np.zeros(venv.num_envs, np.int64)

    def counts_after(self, ended: Any) -> npt.NDArray[np.int64]:
        """Return `counts`: not each end is one of an episode; see `add_step`."""
        del ended
        return self.counts

    def add_step(
        self, rewards: Any, dones: Any, infos: Sequence[Mapping[str, Any]]
    ) -> None:
        """Count the episodes that ended with a step."""
        self._returns += rewards
        self._lengths += 1
        for env in np.flatnonzero(dones & ~self.is_full).tolist():
            self._add_end(env, infos[env])
        self._returns[dones] = 0
        self._lengths[dones] = 0

    def _add_end(self, env: int, info: Mapping[str, Any]) -> None:
        if (success := success_of(info)) is not None:
            self.successes.append(success)
        total, length = float(self._returns[env]), int(self._lengths[env])
        if self._is_monitored:
            if "episode" not in info:
                return  # not the end of the game
            total, length = info["episode"]["r"], info["episode"]["l"]
        self.returns.append(float(total))
        self.lengths.append(int(length))
        self.counts[env] += 1

    def summary(self) -> dict[str, float]:
        """Return the means, by the names of SB3's `EvalCallback`; empty: none ended."""
        if not self.returns:
            return {}
        means = {
            "mean_reward": float(np.mean(self.returns)),
            "mean_ep_length": float(np.mean(self.lengths)),
        }
        if self.successes:
            means["success_rate"] = float(np.mean(self.successes))
        return means


def _is_monitored(venv: VecEnv) -> bool:
    if is_vecenv_wrapped(venv, VecMonitor):
        return True
    try:
        return bool(venv.env_is_wrapped(Monitor)[0])
    except (AttributeError, NotImplementedError):  # of people's own classes
        return False
