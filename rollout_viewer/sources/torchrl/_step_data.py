"""What a call of TorchRL's step or reset was to each env: kinds, rewards, ends, action.

Reads the tensordicts that a transform gets. Key names are the innermost
environment's: reading a transformed one's specs may reset and render it. Knows
tensordicts and rows. Knows nothing of pictures.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._recording.step_row import IDLE, RESET, STEP
from rollout_viewer.sources._shared_arrays import all_of
from rollout_viewer.sources.torchrl._entries import PlainEntries, entry_of
from rollout_viewer.sources.torchrl._env_info import innermost

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from tensordict import TensorDictBase

    from rollout_viewer._recording.step_row import Mask

    Key = str | tuple[str, ...]
    Reduce = Callable[..., npt.NDArray[Any]]


# Recorded otherwise, or of TorchRL's own loop.
_NO_INFO = frozenset(
    [
        *("observation", "pixels", "reward", "action", "done", "terminated"),
        *("truncated", "_reset", "_step", "is_init"),
    ]
)
# Among the bytes of bools: finding it is faster than `np.any`.
_TRUE = 1
_IDLE = np.uint8(IDLE)
_PLAIN = frozenset([torch.bool, torch.float32, torch.float64, torch.int64, torch.uint8])
# Of one env: larger entries are states and pictures.
MAX_INFO_NUMBERS = 512


class Call(NamedTuple):
    """The tensordicts of one call, before the number of envs is known."""

    is_reset: bool = False
    before: TensorDictBase | None = None
    after: TensorDictBase | None = None


class Ends(NamedTuple):
    """Which envs' episodes ended, (num_envs,) each."""

    terminated: Mask
    truncated: Mask

    @property
    def any(self) -> Mask:
        """Terminated or truncated."""
        either: Mask = self.terminated | self.truncated
        return either


class StepReader:
    """Reads an environment's step data from tensordicts.

    Of an entry with more values than envs (one for each agent of an env) rewards are
    summed, and an env ended where all values are true. Groups of agents may be
    adversaries: their rewards are not added to each other, see `group_rewards`. A
    value of an entry with fewer (an env of several pictured agents) is repeated for
    each of them.

    Args:
        env: What the transform is appended to; None: the default names are used.
    """

    def __init__(self, env: Any = None) -> None:
        base = innermost(env)
        self._rewards: list[Key] = list(getattr(base, "reward_keys", ["reward"]))
        self._actions: list[Key] = list(getattr(base, "action_keys", ["action"]))
        self._known = {_dotted(key) for key in (*self._rewards, *self._actions)}
        self._all_known = self._known | _NO_INFO
        done_keys: list[Key] = list(getattr(base, "done_keys", ["done"]))
        # A group of agents has its own ends; those of the whole env take precedence.
        groups = list(dict.fromkeys(_group(key) for key in done_keys))
        self._groups = [()] if () in groups else groups

    def kinds(self, call: Call, num_envs: int) -> npt.NDArray[np.uint8]:
        """Return what the call was to each env, by its ``_reset`` or ``_step`` mask."""
        kinds = all_of(RESET if call.is_reset else STEP, num_envs)
        name = "_reset" if call.is_reset else "_step"
        mask = self._combined(call.before, name, num_envs, np.any)
        return kinds if mask is None else np.where(mask, kinds, _IDLE)

    def ends(self, after: TensorDictBase | None, num_envs: int) -> Ends:
        """Return the ends; ``done`` alone counts as a termination."""
        none = np.zeros(num_envs, np.bool_)
        done = self._combined(after, "done", num_envs, np.all)
        if done is not None and _TRUE not in done.tobytes():
            return Ends(none, none)  # the fast path of most steps
        terminated = self._combined(after, "terminated", num_envs, np.all)
        truncated = self._combined(after, "truncated", num_envs, np.all)
        done, terminated, truncated = (
            none if one is None else one for one in (done, terminated, truncated)
        )
        return Ends(terminated | (done & ~truncated), truncated)

    def reward(
        self, after: TensorDictBase | None, num_envs: int
    ) -> npt.NDArray[np.float64] | None:
        """Return the rewards of a step, of the first group; None without any."""
        for key in self._rewards:
            value = _per_env(entry_of(after, key), num_envs, np.sum)
            if value is not None:
                return value.astype(np.float64)
        return None

    def group_rewards(
        self, after: TensorDictBase | None, num_envs: int
    ) -> dict[str, npt.NDArray[np.float64]]:
        """Return the rewards of a step by group, ``reward.<group>``, if several."""
        if len(self._rewards) < 2:
            return {}
        values = {
            ".".join(("reward", *_group(key))): _per_env(
                entry_of(after, key), num_envs, np.sum
            )
            for key in self._rewards
        }
        return {
            name: value.astype(np.float64)
            for name, value in values.items()
            if value is not None
        }

    def infos(
        self, after: TensorDictBase | None, num_envs: int
    ) -> dict[str, npt.NDArray[Any]]:
        """Return what else a step left in its tensordict, by dotted name, (B, ...).

        Such as ``success`` and other entries of an `info_dict_reader`, or of transforms
        as `StepCounter`: small ones that are no observation, picture, reward or end.
        """
        if after is None:
            return {}
        found = {}
        for name, value in self._others(after):
            is_small = isinstance(value, torch.Tensor) and (
                0 < value.numel() <= MAX_INFO_NUMBERS * num_envs
            )
            array = _numpy(value) if is_small else None
            if array is None or array.size % num_envs:
                continue
            shape = array.shape[after.batch_dims :]
            if math.prod(shape) == array.size // num_envs:
                each = array.reshape(num_envs, *shape)
                found[name] = each[:, 0] if shape == (1,) else each
        return found

    def _others(self, after: TensorDictBase | PlainEntries) -> list[tuple[str, Any]]:
        """Return the entries that are none of those known, by dotted name."""
        if isinstance(after, PlainEntries):
            known, values = self._all_known, after.values
            # Nearly always none is left: this is decided in one look-up for each.
            left = [name for name in values if name not in known]
            return [(name, values[name]) for name in left if not self._is_known(name)]
        keys = after.keys(include_nested=True, leaves_only=True)
        return [
            (_dotted(key), entry_of(after, key))
            for key in keys
            if not self._is_known(_dotted(key))
        ]

    def _is_known(self, name: str) -> bool:
        return name in self._known or name.rpartition(".")[2] in _NO_INFO

    def action(
        self, before: TensorDictBase | None, num_envs: int
    ) -> npt.NDArray[Any] | None:
        """Return the actions of a step, (num_envs, ...); None without any."""
        for key in self._actions:
            array = _numpy(entry_of(before, key))
            if array is None:
                continue
            if array.size % num_envs == 0 and array.size:
                each = array.reshape(num_envs, -1)
                return each[:, 0] if each.shape[1] == 1 else each
            repeated = num_envs % array.size == 0 if array.size else False
            if repeated:
                return np.repeat(array.reshape(-1), num_envs // array.size)
        return None

    def _combined(
        self, td: TensorDictBase | None, name: str, num_envs: int, reduce: Reduce
    ) -> Mask | None:
        found = None
        for group in self._groups:
            key = (*group, name) if group else name
            value = _per_env(entry_of(td, key), num_envs, reduce)
            if value is not None:
                value = value.astype(np.bool_)
                found = value if found is None else reduce([found, value], axis=0)
        return found


def _dotted(key: Key) -> str:
    return key if isinstance(key, str) else ".".join(key)


def _group(key: Key) -> tuple[str, ...]:
    return () if isinstance(key, str) else tuple(key[:-1])


def _numpy(value: Any) -> npt.NDArray[Any] | None:
    if not isinstance(value, torch.Tensor):
        return None
    array: npt.NDArray[Any]
    if value.is_cpu and value.dtype in _PLAIN and not value.requires_grad:
        array = value.numpy()  # what `as_numpy` comes to
    else:
        array = as_numpy(value)
    return array


def _per_env(value: Any, num_envs: int, reduce: Reduce) -> npt.NDArray[Any] | None:
    """Return one value for each env; None without any, or where it does not fit."""
    array = _numpy(value)
    if array is None or not array.size:
        return None
    if array.size == num_envs:
        return array.reshape(num_envs)
    if array.size % num_envs == 0:
        return reduce(array.reshape(num_envs, -1), axis=1)
    if num_envs % array.size == 0:
        return np.repeat(array.reshape(-1), num_envs // array.size)
    return None
