"""From where MuJoCo's renderer looks, which its very first picture decides.

Gymnasium's free camera looks at the middle of what there is when it is first used, and
stays there. A replay looks from where the recorded environment would have: that is
decided anew for each env, also where one process replays one after the other. Knows
Gymnasium's renderer by its names only.

Source: gymnasium 1.1 to 1.4, envs/mujoco/mujoco_rendering.py,
`OffScreenViewer._init_camera` and `MujocoRenderer._get_viewer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._replay.env_state import restore

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._replay.episode_start import EpisodeStart

# Of other classes it is not known what else their first picture decides.
_KNOWN = "gymnasium.envs.mujoco."
_KNOWN_WRAPPERS = ("gymnasium.wrappers.", "rollout_viewer.")


def has_viewpoint(env: Any) -> bool:
    """Whether the first picture of an environment decides about all others."""
    return hasattr(env.unwrapped, "mujoco_renderer")


def can_look_again(env: Any) -> bool:
    """Whether an environment may look from elsewhere after its first picture.

    Of Gymnasium's own environments, in its own wrappers.
    """
    bare = env.unwrapped
    while env is not bare and hasattr(env, "env"):
        if not type(env).__module__.startswith(_KNOWN_WRAPPERS):
            return False
        env = env.env
    renderer = getattr(bare, "mujoco_renderer", None)
    return (
        type(bare).__module__.startswith(_KNOWN)
        and hasattr(renderer, "_get_viewer")
        and hasattr(renderer, "_set_cam_config")
    )


def has_looked(env: Any) -> bool:
    """Whether an environment has made a picture, or decided from where it looks."""
    renderer = getattr(env.unwrapped, "mujoco_renderer", None)
    return getattr(renderer, "viewer", None) is not None


def look_first(env: Any, first: EpisodeStart, render: Callable[[Any], object]) -> None:
    """Look from where an environment would that begins so, and renders then.

    Its next episode begins with a reset.

    Args:
        env: Has a viewpoint.
        first: From where the first of its episodes began.
        render: Makes a picture.
    """
    restore(env, first.state)
    env.reset(seed=first.seed, options=first.options)
    if not can_look_again(env):
        render(env)
        return
    bare = env.unwrapped
    renderer = bare.mujoco_renderer
    if renderer.viewer is None:
        renderer._get_viewer(bare.render_mode)
    else:
        renderer.viewer._init_camera()
        renderer._set_cam_config()
