"""What Gymnasium's environments declare: names, fps, pictures, and how they reset.

Knows Gymnasium's wrappers. Knows nothing of recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gymnasium
from gymnasium.vector import SyncVectorEnv, VectorEnv, VectorWrapper

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer.sources._gl_context import render_in_context, render_in_contexts
from rollout_viewer.sources._render_each import render_each, shares_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NO_PICTURES = (None, "human", "ansi", "ansi_list")


def check_renders(env: Any) -> None:
    """Raise RenderError where `env` cannot render images.

    Raises:
        RenderError: Its render_mode returns no images, or it is known to be closed.
    """
    check_is_open(env)
    name = env_name(env)
    if env.render_mode in _NO_PICTURES:
        make = "gymnasium.make(..., render_mode='rgb_array')"
        if is_envpool(env.unwrapped):
            make = "envpool.make(..., render_mode='rgb_array')"
        elif isinstance(env, VectorEnv):
            make = (
                "gymnasium.make_vec(..., vectorization_mode='sync', "
                "render_mode='rgb_array')"
            )
        raise RenderError(
            f"record: expected an environment with render_mode 'rgb_array', got {name} "
            f"with render_mode={env.render_mode!r}. Make it with {make}."
        )


def check_is_open(env: Any) -> None:
    """Raise RenderError where `env` is known to be closed."""
    if _is_closed(env):
        raise RenderError(
            f"record: expected an open environment, got {env_name(env)}, which was "
            "closed. Make a new one."
        )


def is_envpool(env: Any) -> bool:
    """Return whether `env` is EnvPool's, which makes its classes at run time."""
    return any(base.__module__.startswith("envpool.") for base in type(env).__mro__)


def _is_closed(env: Any) -> bool:
    """Return whether `env` or one that it wraps is known to be closed.

    It is not known of bare environments that never rendered, and of Gymnasium's native
    vector CartPole.
    """
    while True:
        # Of VectorEnv, of our wrappers, and of gymnasium.make's checker.
        marks = ("closed", "is_closed", "close_called")
        if any(getattr(env, mark, False) is True for mark in marks):
            return True
        if not isinstance(env, (gymnasium.Wrapper, VectorWrapper)):
            # Of Gymnasium's classic-control environments.
            return getattr(env, "isopen", True) is False
        env = env.env


def render(env: Any, num_envs: int = 1, envs: Sequence[int] | None = None) -> Any:
    """Return what `env` renders.

    Args:
        env: An environment, or a batch of `num_envs`.
        num_envs: How many it is.
        envs: Whose pictures are wanted, where its `render` takes numbers; None: all.

    Raises:
        RenderError: It raised an error.
        FrameError: It returned None.
    """
    try:
        if num_envs == 1:
            pictures = render_in_context(env)
        else:
            pictures = _each_in_context(env) if envs is None else None
            if pictures is None:
                pictures = render_each(_renderer(env), num_envs, envs)
    except MemoryError:
        raise
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


def render_all(env: VectorEnv[Any, Any, Any]) -> Any:
    """Return what a vector environment renders, MuJoCo's each in its own context."""
    pictures = _each_in_context(env)
    return env.render() if pictures is None else pictures


def _each_in_context(env: Any) -> list[Any] | None:
    """Return what MuJoCo environments in one process render; None: they are others."""
    is_loop = type(env) is SyncVectorEnv and "render" not in vars(env)
    return render_in_contexts(env.envs) if is_loop else None


def _renderer(env: Any) -> Callable[..., Any]:
    """Return the `render` behind the wrappers that pass the call on unchanged."""
    unchanged = (gymnasium.Wrapper.render, VectorWrapper.render)
    while isinstance(env, (gymnasium.Wrapper, VectorWrapper)):
        if type(env).render not in unchanged or "render" in vars(env):
            break
        env = env.env
    render_env: Callable[..., Any] = env.render
    return render_env


def env_name(env: Any) -> str:
    """Return an environment's id, or its class name."""
    spec = getattr(env.unwrapped, "spec", None)
    # Specs of other packages may have no id.
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
    return {
        "fps": (env.metadata or {}).get("render_fps"),
        "metadata": metadata,
        "shares_picture": shares_picture(env),
        "reward_threshold": getattr(spec, "reward_threshold", None),
    }


def _meanings(env: Any) -> list[str]:
    """Return the meanings of a discrete action's numbers; empty without any.

    Source: ALE's and Gymnasium's older environments have `get_action_meanings`.
    """
    envs = getattr(env, "envs", None)
    one = (envs[0] if envs else env).unwrapped
    get_meanings = getattr(one, "get_action_meanings", None)
    if not callable(get_meanings):
        return []
    try:
        return [str(meaning) for meaning in get_meanings()]
    except Exception:  # the environment's own code; nothing depends on it
        return []


def resets_itself(env: Any) -> bool:
    """Return whether a wrapper resets an ended episode with the next step."""
    while isinstance(env, gymnasium.Wrapper):
        if isinstance(env, gymnasium.wrappers.Autoreset):
            return True
        env = env.env
    return False
