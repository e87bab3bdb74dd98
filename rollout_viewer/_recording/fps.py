"""Frames a second: the default, and the check of what callers pass."""

from __future__ import annotations

import math
from typing import Any, TypeGuard

DEFAULT_FPS = 30.0


def is_fps(fps: Any) -> TypeGuard[float]:
    """Return whether `fps` is a finite number above 0."""
    try:
        return 0 < float(fps) < math.inf
    except (TypeError, ValueError, OverflowError):
        return False


def check_fps(where: str, fps: Any) -> None:
    """Raise ValueError where `fps` is not a finite number above 0.

    Args:
        where: The called function or class, for the message.
        fps: Frames a second.
    """
    if not is_fps(fps):
        raise ValueError(
            f"{where}: expected fps to be a positive number, got {fps!r}. "
            "Choose one, such as 30."
        )
