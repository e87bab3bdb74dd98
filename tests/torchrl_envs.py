"""Environments of TorchRL's kind that several tests step."""

import os

import numpy as np
import torch
from tensordict import TensorDict
from torchrl.data import Bounded, Composite, Unbounded
from torchrl.envs import EnvBase, ParallelEnv

# A spawned worker imports torch first, for five seconds: test_torchrl_families.py has
# those, and what is not about how a worker starts forks.
METHOD = "fork" if hasattr(os, "fork") else "spawn"


def forked(num_workers, make):
    """Return a `ParallelEnv` whose workers are there at once."""
    return ParallelEnv(num_workers, make, mp_start_method=METHOD)


class Views(EnvBase):
    """Four envs whose one picture shows them all; its memory is drawn in again."""

    def __init__(self, *, batch_size=(4,), dtype=np.uint8):
        super().__init__(batch_size=batch_size)
        column = (*batch_size, 1)
        self.observation_spec = Composite(
            observation=Unbounded(column), shape=batch_size
        )
        self.action_spec = Bounded(-1, 1, column)
        self.reward_spec = Unbounded(column)
        self.canvas = np.zeros((8, 10, 3), dtype)
        self.num_renders = 0

    def render(self, mode="human"):
        assert mode == "rgb_array"
        self.num_renders += 1
        self.canvas[:] = self.num_renders
        return self.canvas[::-1]

    def _reset(self, tensordict=None):
        zeros = torch.zeros(*self.batch_size, 1)
        return TensorDict({"observation": zeros}, self.batch_size)

    def _step(self, tensordict):
        zeros = torch.zeros(*self.batch_size, 1)
        done = zeros.bool()
        return TensorDict(
            {"observation": zeros, "reward": zeros, "done": done, "terminated": done},
            self.batch_size,
        )

    def _set_seed(self, seed):
        pass
