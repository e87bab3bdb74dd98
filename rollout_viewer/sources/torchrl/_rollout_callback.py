"""A callback for TorchRL's `env.rollout`, which records each step."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.same_step import add_same_step
from rollout_viewer._recording.step_row import IDLE, RESET, STEP
from rollout_viewer.sources._guard import SurvivesFaults
from rollout_viewer.sources.torchrl._entries import entry_of
from rollout_viewer.sources.torchrl._env_info import (
    env_info,
    num_envs_of,
    observation_of,
)
from rollout_viewer.sources.torchrl._numbers_here import NumbersHere
from rollout_viewer.sources.torchrl._render import (
    PictureSource,
    declares_shared_picture,
)
from rollout_viewer.sources.torchrl._step_data import StepReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from tensordict import TensorDictBase

    from rollout_viewer._cache.cache import FrameCache

    Mask = npt.NDArray[np.bool_]


def rollout_callback(
    cache: FrameCache | str | Path, key: Any = "pixels", skip: int = 1
) -> RolloutCallback:
    """Return a callback for TorchRL's ``env.rollout(callback=...)`` that records.

    For one rollout. TorchRL calls it after every step but the last, which is therefore
    not recorded. With ``break_when_any_done=True``, TorchRL's default, it does not get
    rewards, actions and the first picture either. `rollout` and `record` record all.

    Args:
        cache: Where to record; a path: a new cache there.
        key: Of the pictures; without such an entry, ``env.render()`` is called.
        skip: Record each n-th call; its row has the sum of the rewards since the row
            before.

    Raises:
        ValueError: `skip` is below 1.
        TypeError: `cache` is not a `FrameCache` or path.
    """
    return RolloutCallback(cache, key, skip)


class RolloutCallback(SurvivesFaults):
    """Records one rollout from what TorchRL passes after each step.

    Attributes:
        cache: Where it records.
    """

    def __init__(self, cache: FrameCache | str | Path, key: Any, skip: int) -> None:
        # Only checks the arguments: the number of envs is known with the first step.
        checked = Recorder(getattr(cache, "num_envs", 0) or 1, cache=cache, skip=skip)
        self.cache = checked.cache
        self._key = key
        self._skip = skip
        self.recorder: Recorder | None = None
        self._ended: Mask = np.zeros(0, np.bool_)
        self._numbers = NumbersHere()

    def __call__(self, env: Any, tensordict: TensorDictBase) -> None:
        """Record the step that led to `tensordict`."""
        is_first = self.recorder is None
        # Where rollouts stop at an end, the tensordict is the next step's root.
        following = tensordict.get("next", tensordict)
        has_key = entry_of(following, self._key) is not None
        if self.recorder is None:
            self.recorder = self._begin(env, has_key)
        self._record_call("step", self._record, env, tensordict, is_first, has_key)

    def _record(
        self, env: Any, tensordict: TensorDictBase, is_first: bool, has_key: bool
    ) -> None:
        full = tensordict.get("next", None)
        following = tensordict if full is None else full
        assert self.recorder is not None
        recorder = self.recorder
        n = recorder.num_envs
        source = PictureSource(env, self._key if has_key else None)
        steps = StepReader(env)
        before, after = self._numbers.of_call(tensordict, following, num_envs=n)
        ends = steps.ends(after, n)
        stepped = np.ones(n, np.bool_) if full is not None else ~self._ended
        if full is not None and has_key:
            begins = stepped if is_first else self._ended
            self._add_reset(begins, lambda: source.pictures(tensordict))
        elif is_first and self.cache.num_rows:
            # The rollout's first picture is not known; earlier episodes end here.
            missing = None if self.cache.is_shared else [None] * n
            self._add_reset(stepped, lambda: missing)
        # Where the pictures are rendered, ended envs have been reset before this call.
        is_reset = ends.any & (full is not None and not has_key)
        kinds = np.where(stepped, STEP, IDLE)
        pictures = functools.partial(source.pictures, following)
        data = observation_of(env, after)
        step: dict[str, Any] = {
            "reward": None if full is None else steps.reward(after, n),
            "sums": {} if full is None else steps.group_rewards(after, n),
            "terminated": ends.terminated & stepped,
            "truncated": ends.truncated & stepped,
            "action": None if full is None else steps.action(before, n),
            "step_info": {} if full is None else steps.infos(after, n),
        }
        if is_reset.any():
            add = recorder.add
            add_same_step(add, is_reset, pictures, kind=kinds, final_data=data, **step)
        else:
            recorder.add(kinds, pictures, data=data, **step)
        self._ended = ends.any & ~is_reset | (~stepped & self._ended)

    def _begin(self, env: Any, has_key: bool) -> Recorder:
        n = num_envs_of(env)
        self._ended = np.zeros(n, np.bool_)
        return Recorder(
            n,
            cache=self.cache,
            skip=self._skip,
            shares_picture=has_key or declares_shared_picture(env),
            **env_info(env),
        )

    def _add_reset(self, begins: Mask, pictures: Callable[[], Any]) -> None:
        assert self.recorder is not None
        if begins.any():
            codes = np.where(begins, RESET, IDLE)
            self.recorder.add(codes, pictures)
