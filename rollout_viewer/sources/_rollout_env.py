"""What `rollout` steps: one interface for recorded environments of every framework.

A wrapper of `record` either has the interface itself, or returns from `rollout_env` an
object that has it and calls the wrapper. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from rollout_viewer._recorder.episode_quota import EpisodeQuota

if TYPE_CHECKING:
    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recording.step_row import Mask

Seed = int | list[int | None] | tuple[int | None, ...] | None


class RolloutEnv(Protocol):
    """A recorded environment, as `rollout` steps it.

    One that has ``actor(policy, seed, deterministic)`` makes the function of an
    observation and `begins` that returns an action; else `rollout` does. One whose
    class has ``run_compiled(policy, seed, max_steps, is_over, bar)`` steps itself.

    Attributes:
        recorder: What records it.
        action_space: For random actions, and to check the shape of a policy's.
    """

    recorder: Recorder
    action_space: Any

    @property
    def begins(self) -> Mask:
        """Bool (B,): the last observation is the first of an episode."""

    def check_open(self) -> None:
        """Raise RenderError if it was closed."""

    def rollout_env(self) -> RolloutEnv:
        """Return what to step: this, unless the first reset returned a batch."""

    def limit_episodes(self, episodes: int) -> EpisodeQuota:
        """Record so many episodes, divided among the envs; return their count."""

    def reset(self, *, seed: Seed = None) -> tuple[Any, Any]:
        """Reset all envs."""

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all envs."""

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the ended envs if they do not reset themselves.

        Returns:
            The new observations, or None.
        """


class RolloutEnvBase:
    """A `RolloutEnv` over a recorded environment of another interface.

    Args:
        env: What `record` returned.
    """

    recorder: Recorder
    action_space: Any = None

    def __init__(self, env: Any) -> None:
        self._env = env
        self.recorder = env.recorder

    @property
    def begins(self) -> Mask:
        """Bool (B,): the last observation is the first of an episode."""
        begins: Mask = self._env.begins
        return begins

    def check_open(self) -> None:
        """Raise RenderError if it was closed."""
        self._env.check_open()

    def rollout_env(self) -> RolloutEnv:
        """Return this."""
        return self

    def limit_episodes(self, episodes: int) -> EpisodeQuota:
        """Record so many episodes, divided among the envs; return their count."""
        quota = EpisodeQuota(episodes, self.recorder.num_envs)
        self.recorder.limit_episodes(quota)
        return quota

    def reset(self, *, seed: Any = None) -> tuple[Any, Any]:
        """Reset all envs."""
        result: tuple[Any, Any] = self._env.reset(seed=seed)
        return result

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all envs."""
        result: tuple[Any, Any, Any, Any, Any] = self._env.step(action)
        return result

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the ended envs if they do not reset themselves."""
        return self._env.reset_ended(ended)


class RolloutBatchedEnv(RolloutEnvBase):
    """A recorded batch with Gymnasium's interface.

    Where its observations are tensors, it gets actions as tensors on their device.

    Args:
        env: What `record` returned.
        obs: Its last observation, if it was reset before.
    """

    def __init__(self, env: Any, obs: Any = None) -> None:
        super().__init__(env)
        self._obs = obs
        space = getattr(env, "action_space", None)
        if space is None or is_batched(space, env):
            self.action_space = space
        else:
            self.action_space = BatchedSpace(space, env.num_envs)

    def reset(self, *, seed: Any = None) -> tuple[Any, Any]:
        """Reset all envs."""
        self._obs, info = super().reset(seed=seed)
        return self._obs, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all envs."""
        result = super().step(_like(action, self._obs))
        self._obs = result[0]
        return result


class BatchedSpace:
    """One space for a batch, from the space of each env."""

    def __init__(self, space: Any, num_envs: int) -> None:
        self._space = space
        self._num_envs = num_envs
        shape = getattr(space, "shape", None)
        self.shape = None if shape is None else (num_envs, *shape)

    def seed(self, seed: int) -> None:
        """Seed what `sample` returns."""
        self._space.seed(seed)

    def sample(self) -> Any:
        """Return a sample for each env."""
        return np.array([self._space.sample() for _ in range(self._num_envs)])


def is_batched(space: Any, env: Any) -> bool:
    """Return whether an action space is of all envs, not of each."""
    shape = getattr(space, "shape", None)
    single = getattr(getattr(env, "single_action_space", None), "shape", None)
    if shape is None:
        return True
    if single is not None:
        return tuple(shape) == (env.num_envs, *single)
    return tuple(shape[:1]) == (env.num_envs,)


def _like(action: Any, obs: Any) -> Any:
    """Return an action as a tensor, where the observations are tensors."""
    while isinstance(obs, (dict, tuple)) and obs:
        obs = next(iter(obs.values())) if isinstance(obs, dict) else obs[0]
    if not hasattr(obs, "detach") or not isinstance(action, np.ndarray):
        return action
    import torch

    return torch.as_tensor(action, device=obs.device)
