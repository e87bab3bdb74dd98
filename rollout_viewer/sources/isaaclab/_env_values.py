"""What an Isaac Lab env shows at a hook of its recorder manager: numbers and cameras.

Reads attributes of the env by name. Knows no recorder, and does not import Isaac Lab.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import FrameError, RenderError, ShapeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._recording.step_row import Mask

# Data types of Isaac Lab's cameras that are pictures, the first that is there.
_COLORS = ("rgb", "rgba")


def camera_names(env: Any, names: Sequence[str] | None) -> list[str]:
    """Return the names of the sensors that are recorded.

    Args:
        env: Its ``scene.sensors`` are looked up.
        names: Of sensors; None: all cameras with color.

    Raises:
        RenderError: There is no such sensor, or with None no camera at all.
    """
    sensors = dict(getattr(getattr(env, "scene", None), "sensors", None) or {})
    if names is None:
        found = [name for name, sensor in sensors.items() if _has_color(sensor)]
        if not found:
            raise RenderError(
                "RolloutRecorder: expected a camera with data_types 'rgb' in "
                f"env.scene.sensors, got {sorted(sensors)}. Add a TiledCameraCfg to "
                "the scene and start with --enable_cameras, or record numbers alone: "
                "cameras=[]."
            )
        return found
    names = [names] if isinstance(names, str) else list(names)
    if missing := [name for name in names if name not in sensors]:
        raise RenderError(
            "RolloutRecorder: expected cameras to be of env.scene.sensors, "
            f"{sorted(sensors)}, got {missing}. Name sensors of the scene."
        )
    return names


def _has_color(sensor: Any) -> bool:
    types = getattr(getattr(sensor, "cfg", None), "data_types", None) or ()
    return any(one in types for one in _COLORS)


def pictures_of(env: Any, camera: str) -> Any:
    """Return the newest pictures of a camera, (num_envs, H, W, C), where they are.

    Raises:
        FrameError: It has no color, or not a picture of each env.
    """
    output = env.scene.sensors[camera].data.output
    name = next((one for one in _COLORS if one in output), None)
    if name is None:
        raise FrameError(
            f"RolloutRecorder: expected 'rgb' in the output of camera {camera!r}, got "
            f"{sorted(output)}. Add it to the camera's data_types."
        )
    batch = output[name]
    if not hasattr(batch, "detach"):  # a ProxyArray of Isaac Lab 3
        batch = getattr(batch, "torch", batch)
    shape = tuple(batch.shape)
    if len(shape) != 4 or shape[0] != env.num_envs or shape[-1] not in (3, 4):
        raise FrameError(
            f"RolloutRecorder: expected ({env.num_envs}, H, W, 3) from camera "
            f"{camera!r}, a picture of each env, got {shape}. Give the camera a "
            "prim_path below {ENV_REGEX_NS}."
        )
    return batch[..., :3]  # what is rendered has no color under its alpha


def step_values(env: Any, success_term: str) -> dict[str, Any]:
    """Return what a step did to all envs, as tensors that the env may change.

    Args:
        env: Of Isaac Lab; without rewards and ends it has none.
        success_term: Name of the termination term that means success.

    Raises:
        ShapeError: Rewards or ends are not of each env.
    """
    ends = getattr(env, "termination_manager", None)
    values = {
        "reward": getattr(env, "reward_buf", None),
        "terminated": getattr(ends, "terminated", None),
        "truncated": getattr(ends, "time_outs", None),
    }
    for name, value in values.items():
        if value is not None and tuple(value.shape[:1]) != (env.num_envs,):
            raise ShapeError(
                f"RolloutRecorder: expected {name} of {env.num_envs} envs, got shape "
                f"{tuple(value.shape)}."
            )
    info: dict[str, Any] = {}
    if ends is not None:
        names = list(ends.active_terms)
        # Why an episode ended; `success` decides on `Episode.success`.
        info["ends"] = {name: ends.get_term(name) for name in names}
        terminated, truncated = values["terminated"], values["truncated"]
        if terminated is not None and truncated is not None:
            # In Isaac Lab 2.2 and 2.3 a term keeps the end of an env's last episode:
            # github.com/isaac-sim/IsaacLab/issues/3720.
            over = terminated | truncated
            info["ends"] = {name: one & over for name, one in info["ends"].items()}
        if success_term in names:
            info["success"] = info["ends"].pop(success_term)
    action = getattr(getattr(env, "action_manager", None), "action", None)
    return {**values, "action": action, "info": info, "obs": observations(env)}


def observations(env: Any) -> Any:
    """Return the newest observations, by group; None without any."""
    found = getattr(env, "obs_buf", None)
    return found if isinstance(found, Mapping) and found else None


def renders_after_reset(env: Any) -> bool:
    """Whether the cameras show envs that were reset before the next step."""
    cfg = getattr(env, "cfg", None)
    count = getattr(cfg, "num_rerenders_on_reset", 0) or 0
    return bool(getattr(cfg, "rerender_on_reset", False)) or count > 0


def metadata_of(env: Any) -> tuple[dict[str, Any], float | None]:
    """Return what is kept of an env, and its steps a second."""
    cfg = getattr(env, "cfg", None)
    name = getattr(cfg, "env_name", None) or type(env).__name__
    step_s = getattr(env, "step_dt", None)
    return {"env_id": str(name)}, 1 / step_s if step_s else None


def env_mask(env_ids: Any, num_envs: int) -> Mask:
    """Return which envs a reset is of, bool (num_envs,).

    Args:
        env_ids: Numbers, as a tensor of any device, an array or a list; a slice; None:
            all.
        num_envs: Of the batch.

    Raises:
        ShapeError: They are no envs of the batch.
    """
    mask = np.zeros(num_envs, np.bool_)
    if env_ids is None:
        env_ids = slice(None)
    if hasattr(env_ids, "tolist"):
        env_ids = env_ids.tolist()
    try:
        if not isinstance(env_ids, slice):
            env_ids = np.asarray(env_ids, np.int64).reshape(-1)
        mask[env_ids] = True
    except (IndexError, TypeError, ValueError) as error:
        raise ShapeError(
            f"RolloutRecorder: expected env_ids in 0..{num_envs - 1}, a slice or None, "
            f"got {env_ids!r:.80}."
        ) from error
    return mask


def pictured_envs(envs: Any, num_envs: int) -> list[int]:
    """Return the numbers of the envs whose pictures are recorded, in order.

    Args:
        envs: How many, from the first; or numbers; None: all.
        num_envs: Of the batch.

    Raises:
        ValueError: They are none.
    """
    if envs is None:
        return list(range(num_envs))
    is_each = isinstance(envs, Iterable) and getattr(envs, "ndim", 1) > 0
    found: list[int] = []
    with contextlib.suppress(TypeError):  # neither is a number
        if is_each:
            found = sorted(operator.index(env) for env in envs)
        elif not isinstance(envs, (bool, np.bool_)):
            found = list(range(min(operator.index(envs), num_envs)))
    if not found:
        raise ValueError(
            "RolloutRecorder: expected envs to be a number of envs above 0, or their "
            f"numbers, got {envs!r}. Record without pictures with cameras=[]."
        )
    return found
