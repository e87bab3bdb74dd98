"""Frames a second: the default, and the check of what callers pass."""

from __future__ import annotations

import math
from typing import Any

DEFAULT_FPS = 30.0


def check_fps(where: str, fps: Any) -> None:
    """Raise ValueError where `fps` is not a finite number above 0.

    Args:
        where: The called function or class, for the message.
        fps: Frames a second.
    """
    try:
        is_positive = 0 < float(fps) < math.inf
    except (TypeError, ValueError):
        is_positive = False
    if not is_positive:
        raise ValueError(
            f"{where}: expected fps to be a positive number, got {fps!r}. "
            "Choose one, such as 30."
        )
