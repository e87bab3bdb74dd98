"""What Gymnasium's environments are asked: pictures, names, ends, observations.

Knows what they return in all its forms. Knows nothing of recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper

from rollout_viewer._errors import FrameError, RenderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._rows import Mask

# Observations up to this size are kept as data["obs"]; larger ones are pictures or
# would outweigh them.
MAX_OBS_BYTES = 64_000
_NO_PICTURES = (None, "human", "ansi", "ansi_list")


def check_renders(env: Any) -> None:
    """Raise RenderError where `env` cannot give pictures.

    Raises:
        RenderError: Its render_mode is none that returns pictures, or it is known to
            be closed.
    """
    name = env_name(env)
    if _is_closed(env):
        raise RenderError(
            f"record: expected an open environment, got {name}, which was closed. "
            "Make a new one."
        )
    if env.render_mode in _NO_PICTURES:
        make = "gymnasium.make(..., render_mode='rgb_array')"
        if isinstance(env, VectorEnv):
            make = (
                "gymnasium.make_vec(..., vectorization_mode='sync', "
                "render_mode='rgb_array')"
            )
        raise RenderError(
            f"record: expected an environment with render_mode 'rgb_array', got {name} "
            f"with render_mode={env.render_mode!r}. Make it with {make}."
        )


def _is_closed(env: Any) -> bool:
    """Tell whether `env` or one that it wraps is known to be closed.

    Some keep no trace of it: bare environments that never rendered, and
    Gymnasium's native vector CartPole.
    """
    while True:
        # Of VectorEnv, of ours, and of the checker that gymnasium.make wraps around.
        marks = ("closed", "is_closed", "close_called")
        if any(getattr(env, mark, False) is True for mark in marks):
            return True
        if not isinstance(env, (gymnasium.Wrapper, VectorWrapper)):
            # What Gymnasium's own classic-control environments have.
            return getattr(env, "isopen", True) is False
        env = env.env


def as_mask(value: Any) -> Mask:
    """Return ends as a new bool array (B,)."""
    return np.array(as_numpy(value), np.bool_).reshape(-1)


def render(env: Any) -> Any:
    try:
        pictures = env.render()
    except Exception as error:
        raise RenderError(
            f"record: expected a picture from {env_name(env)}.render(), got {error!r}. "
            "If it was closed, make a new one."
        ) from error
    if pictures is None:
        raise FrameError(
            f"record: expected {env_name(env)}.render() to return an image, got None "
            f"(render_mode={env.render_mode!r}). Make the env with "
            "render_mode='rgb_array'."
        )
    return pictures


def newest(pictures: Any) -> Any:
    """Return the newest of a list render mode's pictures, or the one there is."""
    if isinstance(pictures, list):
        if not pictures:
            raise FrameError(
                "record: expected a picture from render(), got an empty list. "
                "Nobody else may render an environment with a list render mode while "
                "it is recorded."
            )
        return pictures[-1]
    if isinstance(pictures, tuple):
        return pictures[0]  # 'rgbd_tuple': color, depth
    return pictures


def env_name(env: Any) -> str:
    spec = getattr(env.unwrapped, "spec", None)
    return spec.id if spec is not None else type(env.unwrapped).__name__


def about(env: Any, **more: Any) -> dict[str, Any]:
    """Return fps and metadata for the recorder."""
    spec = getattr(env.unwrapped, "spec", None)
    metadata = {"env_id": env_name(env), **more}
    if spec is not None:
        metadata["env_kwargs"] = dict(spec.kwargs)
    metadata["source"] = f"gymnasium {gymnasium.__version__}"
    return {"fps": (env.metadata or {}).get("render_fps"), "metadata": metadata}


def reset_info(seed: Any, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what `Recorder.add` takes as the info of an episode."""
    info: dict[str, Any] = {}
    if seed is not None:
        info["seed"] = int(seed)
    if options:
        info["options"] = dict(options)
    return info


def resets_itself(env: Any) -> bool:
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.Autoreset):
            return True
        env = env.env
    return False


def small_shape(space: gymnasium.Space[Any]) -> tuple[int, ...] | None:
    """Return the shape of observations that are kept; None: they are not."""
    if space.shape is None or space.dtype is None or space.dtype.kind not in "biuf":
        return None
    is_image = space.dtype == np.uint8 and len(space.shape) >= 2
    num_bytes = int(np.prod(space.shape)) * space.dtype.itemsize
    return None if is_image or num_bytes > MAX_OBS_BYTES else space.shape


def kept(
    obs: Any, shape: tuple[int, ...] | None, batch: list[int]
) -> dict[str, Any] | None:
    """Return the data of a row: the observations, where they keep their promise."""
    if shape is None:
        return None
    array = np.asarray(as_numpy(obs))
    is_fit = array.size == np.prod(batch + list(shape)) and array.dtype.kind in "biuf"
    return {"obs": array.reshape(batch + list(shape))} if is_fit else None


def one_action(action: Any) -> npt.NDArray[Any] | None:
    """Return a single env's action as (1, ...); None where it is no array."""
    try:
        return np.asarray(as_numpy(action))[None]
    except ValueError:
        return None


def as_numpy(value: Any) -> Any:
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value
