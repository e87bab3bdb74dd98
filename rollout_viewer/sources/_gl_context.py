"""MuJoCo environments rendered in their own OpenGL context, as it was made.

Gymnasium's renderer makes its context the current one only when it is made. A second
environment of the process thereby does harm to the pictures of the first, which have up
to 67 % other pixels (measured with OSMesa):

- It leaves its own context the current one, which the first then draws into; after its
  `close` there is none.
- When it is deleted, its objects are, by their numbers, in the context that is current:
  the first one's.

Before each picture, the context is made the current one, and its objects are made again
if some are missing. That takes 10 microseconds, or once 0.1 s. Knows Gymnasium's
renderer and MuJoCo by their names only.

Source: gymnasium 1.4.0, envs/mujoco/mujoco_rendering.py, `MujocoRenderer._get_viewer`.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Where it was not imported, no environment has a viewer of it.
_MUJOCO = "mujoco"
# OpenGL's tests for objects, and the numbers of such in MuJoCo's MjrContext.
_OBJECTS = (
    ("glIsFramebuffer", "offFBO"),
    ("glIsRenderbuffer", "offColor"),
    ("glIsFramebuffer", "shadowFBO"),
    ("glIsList", "basePlane"),
    ("glIsList", "baseMesh"),
    ("glIsList", "baseFontNormal"),
)


def render_in_context(env: Any) -> Any:
    """Return what one environment renders, in its own context if it has one."""
    if _MUJOCO in sys.modules and (viewer := _viewer_of(env)) is not None:
        with contextlib.suppress(Exception):  # a renderer of another kind
            viewer.make_context_current()
            _restore_objects(viewer)
    return env.render()


def render_in_contexts(envs: Sequence[Any]) -> list[Any] | None:
    """Return what each env renders in its own context; None: none has one yet."""
    if _MUJOCO not in sys.modules or all(_viewer_of(env) is None for env in envs):
        return None
    return [render_in_context(env) for env in envs]


def _viewer_of(env: Any) -> Any:
    """Return the viewer that has a context; None: it has not rendered, or is none."""
    renderer = getattr(getattr(env, "unwrapped", env), "mujoco_renderer", None)
    viewer = None if renderer is None else getattr(renderer, "viewer", None)
    # Not a window on a screen.
    return viewer if hasattr(viewer, "opengl_context") else None


def _restore_objects(viewer: Any) -> None:
    """Make the objects of the current context again, if some of them are missing."""
    mujoco = sys.modules.get(_MUJOCO)
    if mujoco is None or "OpenGL" not in sys.modules:  # GLFW needs none
        return
    gl, made = importlib.import_module("OpenGL.GL"), viewer.con
    numbers = ((test, getattr(made, name)) for test, name in _OBJECTS)
    if all(getattr(gl, test)(number) for test, number in numbers if number):
        return
    made.free()  # first, as it deletes by the numbers that the new ones get
    viewer.con = mujoco.MjrContext(viewer.model, mujoco.mjtFontScale.mjFONTSCALE_150)
    viewer._set_mujoco_buffer()
