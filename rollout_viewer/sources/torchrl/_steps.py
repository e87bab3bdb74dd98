"""What a tensordict of an environment says of each env: rewards, ends, actions.

Batch dimensions are flattened to one of envs; a single environment is one of them.
Knows TorchRL's keys. Knows no recorder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt
    from tensordict import TensorDictBase

    Array = npt.NDArray[Any]
    Mask = npt.NDArray[np.bool_]

PICTURES = "pixels"
# Observations up to this size are kept as data["obs"].
MAX_OBS_BYTES = 64_000


class Transition(NamedTuple):
    """Step data (B,) of one call of `step`."""

    reward: Array | None
    terminated: Mask
    truncated: Mask

    @property
    def ended(self) -> Mask:
        """The episode ended, one way or the other."""
        return self.terminated | self.truncated


def num_envs(env: Any) -> int:
    """Return how many envs a batch is."""
    return max(int(env.batch_size.numel()), 1)


def last_part(key: Any) -> str:
    """Return the name at the end of a nested key."""
    return str(key[-1]) if isinstance(key, tuple) else str(key)


def picture_key(env: Any) -> Any:
    """Return the key of the environment's pictures: "pixels", nested or not; or None.

    One picture for each env: an agent's own are several.
    """
    spec = env.observation_spec
    found = [key for key in spec.keys(True, True) if last_part(key) == PICTURES]
    for key in sorted(found, key=lambda key: len(key) if isinstance(key, tuple) else 0):
        num_dims = len(spec[key].shape) - len(env.batch_size)
        # Non-tensor data has no dimensions of its own.
        if num_dims in (0, 2, 3):
            return key
    return None


def transition(env: Any, following: TensorDictBase) -> Transition:
    """Return what a step came to.

    Args:
        env: Whose keys count.
        following: The ``"next"`` of the step. An env's reward is the mean of its
            agents'; without an end of its own, it ends when all of them have.
    """
    n = num_envs(env)
    rewards = [following.get(key, None) for key in env.reward_keys]
    known = [_rows(reward, n) for reward in rewards if reward is not None]
    reward = np.concatenate(known, axis=1).mean(axis=1) if known else None
    done = _ends(env, following, "done")
    truncated = _ends(env, following, "truncated")
    terminated = _ends(env, following, "terminated")
    terminated |= done & ~truncated
    return Transition(reward, terminated, truncated)


def mask(tensordict: TensorDictBase | None, keys: Iterable[Any], n: int) -> Mask | None:
    """Return a bool (B,) where all of the entries there are true; None: none is."""
    found = [] if tensordict is None else [tensordict.get(key, None) for key in keys]
    known = [_rows(value, n) for value in found if value is not None]
    return np.concatenate(known, axis=1).astype(np.bool_).all(axis=1) if known else None


def action(env: Any, tensordict: TensorDictBase) -> Array | None:
    """Return the action (B, ...) of a step; None where it is several entries."""
    keys = list(env.action_keys)
    value = tensordict.get(keys[0], None) if len(keys) == 1 else None
    return None if value is None else _batch(value, env)


def observation(env: Any, tensordict: TensorDictBase) -> dict[str, Any] | None:
    """Return the entry "observation" as data of a row, where it is small."""
    value = tensordict.get("observation", None)
    if not isinstance(value, torch.Tensor) or value.dtype == torch.uint8:
        return None
    if value.numel() * value.element_size() > MAX_OBS_BYTES * num_envs(env):
        return None
    return {"obs": _batch(value, env)}


def pictures(
    tensordict: TensorDictBase, key: Any, batch_size: Sequence[int]
) -> list[Any] | None:
    """Return the picture of each env, one of them all, or None where there is none."""
    value = tensordict.get(key, None)
    return None if value is None else split(value, batch_size)


def split(value: Any, batch_size: Sequence[int]) -> list[Any]:
    """Return a list of pictures, one for each env, or of one picture of them all."""
    if hasattr(value, "tolist") and not isinstance(value, (torch.Tensor, np.ndarray)):
        value = value.tolist()  # non-tensor data: an array, or nested lists of them
    if hasattr(value, "data") and not isinstance(value, (torch.Tensor, np.ndarray)):
        value = value.data
    for _ in batch_size[1:] if isinstance(value, list) else ():
        value = [one for part in value for one in part]
    if isinstance(value, list):
        return value
    is_batch = tuple(value.shape[: len(batch_size)]) == tuple(batch_size)
    if not batch_size or not is_batch or value.ndim < len(batch_size) + 2:
        return [value]
    return list(value.reshape(-1, *value.shape[len(batch_size) :]))


def _ends(env: Any, following: TensorDictBase, name: str) -> Mask:
    n = num_envs(env)
    keys = [key for key in env.done_keys if last_part(key) == name]
    # The root's own end is the whole environment's.
    keys = [key for key in keys if not isinstance(key, tuple)] or keys
    found = mask(following, keys, n)
    return np.zeros(n, np.bool_) if found is None else found


def _batch(value: torch.Tensor, env: Any) -> Array:
    array: Array = value.detach().cpu().numpy()
    return array.reshape(num_envs(env), *array.shape[len(env.batch_size) :])


def _rows(value: torch.Tensor, n: int) -> Array:
    array: Array = value.detach().cpu().numpy().reshape(n, -1)
    return array
