"""How `rollout` steps a recorded batch of environments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recording.step_row import Mask


class RolloutEnv:
    """A recorded batch, as `rollout` steps it.

    Where its observations are tensors, the actions are: on the same device.

    Args:
        env: The recorded one.
        obs: Its last observation, if it was reset before.
    """

    recorder: Recorder

    def __init__(self, env: Any, obs: Any = None) -> None:
        self._env = env
        self._obs = obs
        self.recorder = env.recorder
        space = getattr(env, "action_space", None)
        if space is None or is_batched(space, env):
            self.action_space = space
        else:
            self.action_space = BatchedSpace(space, env.num_envs)

    @property
    def begins(self) -> Mask:
        """Bool (B,): the last observation is the first of an episode."""
        begins: Mask = self._env.begins
        return begins

    def check_open(self) -> None:
        """Raise RenderError if it was closed."""
        self._env.check_open()

    def reset(self, *, seed: Any = None) -> tuple[Any, Any]:
        """Reset all environments."""
        self._obs, info = self._env.reset(seed=seed)
        return self._obs, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all environments."""
        result: tuple[Any, Any, Any, Any, Any] = self._env.step(
            _like(action, self._obs)
        )
        self._obs = result[0]
        return result

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the envs that ended, where that is left to the caller."""
        return self._env.reset_ended(ended)


class BatchedSpace:
    """The spaces of all envs, as one of a batch."""

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
    """Tell whether an action space is of all envs, not of each."""
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
