"""What TorchRL's environments declare: their name, number, fps, and how they reset.

Knows TorchRL's environments. Knows no recorder.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torchrl
from torchrl.envs import TransformedEnv
from torchrl.envs.batched_envs import BatchedEnvBase

from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer.sources._spaces import MAX_OBS_BYTES
from rollout_viewer.sources.torchrl._entries import entry_of

if TYPE_CHECKING:
    from tensordict import TensorDictBase


def innermost(env: Any) -> Any:
    """Return the environment within all transforms."""
    while isinstance(env, TransformedEnv):
        env = env.base_env
    return env


def name_of(env: Any) -> str:
    """Return an environment's id, or its class name."""
    base = innermost(env)
    if isinstance(base, BatchedEnvBase):
        return type(base).__name__
    return str(getattr(base, "env_name", None) or type(base).__name__)


def fps_of(env: Any) -> float | None:
    """Return the ``render_fps`` of an environment; None: it declares none."""
    base = innermost(env)
    metadata = None
    if not isinstance(base, BatchedEnvBase):
        metadata = getattr(base, "metadata", None)
    elif not base.is_closed and "GymEnv(" in str(base):
        # Only of Gymnasium's: a worker whose env lacks the attribute dies.
        metadata = next(iter(base.metadata))
    return metadata.get("render_fps") if isinstance(metadata, dict) else None


def env_info(env: Any) -> dict[str, Any]:
    """Return fps, metadata and threshold for a recorder."""
    base = innermost(env)
    # Gymnasium's own; a worker whose env lacks the attribute dies.
    is_batched = isinstance(base, BatchedEnvBase)
    spec = None if is_batched else getattr(getattr(base, "_env", None), "spec", None)
    return {
        "fps": fps_of(env),
        "metadata": metadata_of(env),
        "reward_threshold": getattr(spec, "reward_threshold", None),
    }


def metadata_of(env: Any) -> dict[str, Any]:
    """Return the metadata of a recording; `env` None: there is no environment."""
    source = {"source": f"torchrl {torchrl.__version__}"}
    return source if env is None else {"env_id": name_of(env), **source}


def num_envs_of(env: Any) -> int:
    """Return the number of environments in a batch, 1 without one."""
    # A plain tuple in some environments of people's own.
    return max(int(math.prod(env.batch_size)), 1)


def resets_itself(env: Any) -> bool:
    """Return whether an ended environment is reset in the step that ends it."""
    # In __dict__: getattr of a ParallelEnv would ask its workers.
    return bool(vars(env).get("_torchrl_native_autoreset", False))


def observation_of(
    env: Any, tensordict: TensorDictBase | None
) -> dict[str, Any] | None:
    """Return the entry "observation" as data of a row, where it is small."""
    value = entry_of(tensordict, "observation")
    if not isinstance(value, torch.Tensor) or value.dtype == torch.uint8:
        return None
    n, batch_dims = num_envs_of(env), len(env.batch_size)
    if value.nbytes > MAX_OBS_BYTES * n:
        return None
    array = as_numpy(value)
    return {"obs": array.reshape(n, *array.shape[batch_dims:])}
