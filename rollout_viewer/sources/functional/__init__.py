"""Functional JAX environments: reset(rng), step(state, action) and render(states).

Brax's, MuJoCo Playground's, and others of that form. Their pictures are rendered from
states: at once, or later, of those that are looked at. JAX is imported by who has such
an environment.
"""

from __future__ import annotations

import inspect
from typing import Any

from rollout_viewer._errors import RenderError


def wrap(env: Any, **options: Any) -> Any:
    """Return `env` in a proxy that records; None where it is no functional one.

    Raises:
        RenderError: It has no `render`.
    """
    if isinstance(env, type) or not is_functional(env):
        return None
    if not callable(getattr(env, "render", None)):
        raise RenderError(
            "record: expected a functional environment with render(states), which "
            f"returns a picture of each, got {type(env).__name__} without. Give it "
            "one, or append its pictures to a FrameCache."
        )
    from rollout_viewer.sources.functional.recorded_env import RecordedFunctions

    return RecordedFunctions(env, **options)


def is_functional(env: Any) -> bool:
    """Return whether this has ``reset(rng)`` and ``step(state, action)``."""
    return _num_needed(env, "reset") == 1 and _num_needed(env, "step") == 2


def _num_needed(env: Any, name: str) -> int:
    """Return how many arguments a method needs; -1: it is not there."""
    method = getattr(env, name, None)
    if not callable(method):
        return -1
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return -1
    return sum(
        one.default is one.empty
        and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
        for one in parameters
    )
