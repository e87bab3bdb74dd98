"""What Gymnasium's environments are asked: pictures, names, and how they reset.

Knows what they return in all its forms. Knows nothing of recordings.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.vector import VectorEnv, VectorWrapper

from rollout_viewer._errors import FrameError, RenderError

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


def env_name(env: Any) -> str:
    spec = getattr(env.unwrapped, "spec", None)
    # Other makers have specs of their own.
    return str(getattr(spec, "id", type(env.unwrapped).__name__))


def env_info(env: Any, **more: Any) -> dict[str, Any]:
    """Return fps and metadata for the recorder."""
    spec = getattr(env.unwrapped, "spec", None)
    metadata = {"env_id": env_name(env), **more}
    if spec is not None and hasattr(spec, "kwargs"):
        metadata["env_kwargs"] = dict(spec.kwargs)
    meanings = _meanings(env)
    if meanings:
        metadata["action_meanings"] = meanings
    metadata["source"] = f"gymnasium {gymnasium.__version__}"
    return {"fps": (env.metadata or {}).get("render_fps"), "metadata": metadata}


def _meanings(env: Any) -> list[str]:
    """Return what the numbers of a discrete action mean, where the env tells it.

    Source: ALE's and Gymnasium's older environments have `get_action_meanings`.
    """
    envs = getattr(env, "envs", None)
    one = (envs[0] if envs else env).unwrapped
    ask = getattr(one, "get_action_meanings", None)
    if not callable(ask):
        return []
    try:
        return [str(meaning) for meaning in ask()]
    except Exception:  # an environment's own code, of which nothing depends
        return []


def resets_itself(env: Any) -> bool:
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.Autoreset):
            return True
        env = env.env
    return False
