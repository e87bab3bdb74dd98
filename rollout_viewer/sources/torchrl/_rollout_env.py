"""A recorded TorchRL environment, as `rollout` steps it: with tensordicts.

Knows TorchRL's policies and how its environments step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torchrl.envs.utils import ExplorationType, set_exploration_type, step_mdp

from rollout_viewer._errors import ShapeError
from rollout_viewer.sources._rollout_env import RolloutEnvBase
from rollout_viewer.sources.torchrl._env_info import resets_itself
from rollout_viewer.sources.torchrl._numbers_here import NumbersHere
from rollout_viewer.sources.torchrl._render import PICTURES, last_part
from rollout_viewer.sources.torchrl._step_data import StepReader

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Policy = Callable[[TensorDictBase], Any]
    Act = Callable[[TensorDictBase, Mask], TensorDictBase]


class RolloutTorchRLEnv(RolloutEnvBase):
    """A recorded TorchRL environment, as `rollout` steps it.

    Observations and actions are one tensordict.

    Args:
        env: What `rv.record` returned.
    """

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._steps = StepReader(env)
        self._numbers = NumbersHere()
        self._following: TensorDictBase | None = None
        self._resets_itself = resets_itself(env)

    def reset(self, *, seed: Any = None) -> tuple[TensorDictBase, dict[str, Any]]:
        """Reset all envs; one seed is of them all."""
        if seed is not None:
            self._env.set_seed(int(seed))
        return self._env.reset(), {}

    def step(
        self, tensordict: TensorDictBase
    ) -> tuple[TensorDictBase, Any, Mask, Mask, dict[str, Any]]:
        """Step all envs with the action in the tensordict."""
        env, n = self._env, self.recorder.num_envs
        if self._resets_itself:
            tensordict, self._following = env.step_and_maybe_reset(tensordict)
        else:
            tensordict = env.step(tensordict)
            self._following = step_mdp(
                tensordict,
                reward_keys=env.reward_keys,
                done_keys=env.done_keys,
                action_keys=env.action_keys,
            )
        (following,) = self._numbers.of(tensordict["next"], num_envs=n)
        ends = self._steps.ends(following, n)
        reward = self._steps.reward(following, n)
        return self._following, reward, ends.terminated, ends.truncated, {}

    def reset_ended(self, ended: Mask) -> TensorDictBase | None:
        """Reset the ended envs; return the next observations, or None."""
        if self._resets_itself or not ended.any():
            return None
        following: TensorDictBase = self._env.maybe_reset(self._following)
        return following

    def actor(self, policy: Any, seed: Any, deterministic: bool) -> Act:
        """Return a function of a tensordict that returns it with an action."""
        if seed is not None and np.ndim(seed):
            raise ValueError(
                "rv.rollout: expected one seed for a TorchRL environment, which "
                f"derives those of its envs from it, got {seed!r}."
            )
        choose = self._policy(policy, None if seed is None else int(seed))

        def act(tensordict: TensorDictBase, begins: Mask) -> TensorDictBase:
            if not deterministic:
                with torch.no_grad():
                    return choose(tensordict)
            with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
                return choose(tensordict)

        return act

    def _policy(self, policy: Any, seed: int | None) -> Policy:
        env = self._env
        if policy is None:
            return _RandomPolicy(env, seed)
        if not callable(policy):
            raise ValueError(
                "rv.rollout: expected policy to be a TensorDictModule or a function of "
                f"a tensordict, got {type(policy).__name__}."
            )
        is_module = isinstance(policy, torch.nn.Module)
        if is_module and not hasattr(policy, "in_keys"):
            # A network: of the observations in their order, as in TorchRL's rollout.
            keys = sorted(env.observation_spec.keys(True, True), key=str)
            keys = [k for k in keys if last_part(k) != PICTURES] or keys
            policy = TensorDictModule(policy, in_keys=keys, out_keys=env.action_keys)
        device = next(policy.parameters(), env).device if is_module else env.device

        def choose(tensordict: TensorDictBase) -> TensorDictBase:
            moved = tensordict if device == env.device else tensordict.to(device)
            result = policy(moved)
            if isinstance(result, TensorDictBase):
                return tensordict.update(result)
            if not isinstance(result, torch.Tensor):
                raise ShapeError(
                    "rv.rollout: expected policy to return a tensordict with "
                    f"{env.action_keys}, or an action as a tensor, got "
                    f"{type(result).__name__}."
                )
            return tensordict.set(env.action_key, result.to(tensordict.device))

        return choose


class _RandomPolicy:
    """Random actions; with a seed, from a generator state of its own."""

    def __init__(self, env: Any, seed: int | None) -> None:
        self._env = env
        self._state: torch.Tensor | None = None
        if seed is not None:
            generator = torch.Generator()
            generator.manual_seed(seed)
            self._state = generator.get_state()

    def __call__(self, tensordict: TensorDictBase) -> Any:
        if self._state is None:
            return self._env.rand_action(tensordict)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self._state)
            tensordict = self._env.rand_action(tensordict)
            self._state = torch.get_rng_state()
        return tensordict
