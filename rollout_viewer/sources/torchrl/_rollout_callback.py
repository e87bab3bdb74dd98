"""A callback for TorchRL's `env.rollout`, which records each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources.torchrl._render import (
    PictureSource,
)
from rollout_viewer.sources.torchrl._step_data import StepReader
from rollout_viewer.sources.torchrl.recorded_env import _about, _num_envs, _observation

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

    For one rollout each. TorchRL calls it after every step but the last, so that one
    is not recorded. With ``break_when_any_done=True``, TorchRL's default, it is not
    told rewards, actions and the first picture either. `rollout` and `record` get all.

    Args:
        cache: Where to record; a path: a new one there.
        key: Of the pictures; where there are none, ``env.render()`` is asked.
        skip: Record each n-th call; rewards of the others are carried over.

    Raises:
        ValueError: `skip` is below 1.
        TypeError: `cache` is no cache.
    """
    return RolloutCallback(cache, key, skip)


class RolloutCallback:
    """Records one rollout from what TorchRL tells after each step.

    Attributes:
        cache: Where it records.
    """

    def __init__(self, cache: FrameCache | str | Path, key: Any, skip: int) -> None:
        # Only checks the arguments: how many envs there are is told with a step.
        checked = Recorder(getattr(cache, "num_envs", 0) or 1, cache=cache, skip=skip)
        self.cache = checked.cache
        self._key = key
        self._skip = skip
        self._recorder: Recorder | None = None
        self._ended: Mask = np.zeros(0, np.bool_)

    def __call__(self, env: Any, tensordict: TensorDictBase) -> None:
        """Record the step that led to `tensordict`."""
        is_first = self._recorder is None
        recorder = self._recorder = self._recorder or self._begin(env)
        n = recorder.num_envs
        # Where rollouts stop at an end, the tensordict is the next step's root.
        full = tensordict.get("next", None)
        following = tensordict if full is None else full
        has_key = following.get(self._key, None) is not None
        sight = PictureSource(env, self._key if has_key else None)
        steps = StepReader(env)
        ends = steps.ends(following, n)
        stepped = np.ones(n, np.bool_) if full is not None else ~self._ended
        if full is not None and has_key:
            begins = stepped if is_first else self._ended
            self._add_reset(begins, lambda: sight.pictures(tensordict))
        elif is_first and self.cache.num_rows:
            # Nobody saw where this rollout began; what was before ends here.
            missing = None if self.cache.is_shared else [None] * n
            self._add_reset(stepped, lambda: missing)
        is_gone = ends.any & (full is not None and not has_key)
        codes = np.where(stepped, Kind.STEP, Kind.IDLE)
        recorder.add(
            np.where(is_gone, Kind.TERMINAL_MISSING, codes),
            lambda: sight.pictures(following),
            reward=None if full is None else steps.reward(following, n),
            terminated=ends.terminated & stepped,
            truncated=ends.truncated & stepped,
            action=None if full is None else steps.action(tensordict, n),
            data=_observation(env, following),
        )
        # What renders now was reset already, and its last picture is gone.
        self._add_reset(is_gone, sight.rendered, is_same_call=True)
        self._ended = ends.any & ~is_gone | (~stepped & self._ended)

    def _begin(self, env: Any) -> Recorder:
        n = _num_envs(env)
        self._ended = np.zeros(n, np.bool_)
        return Recorder(n, cache=self.cache, skip=self._skip, **_about(env))

    def _add_reset(
        self, begins: Mask, pictures: Callable[[], Any], *, is_same_call: bool = False
    ) -> None:
        assert self._recorder is not None
        if begins.any():
            codes = np.where(begins, Kind.RESET, Kind.IDLE)
            self._recorder.add(codes, pictures, is_same_call=is_same_call)
