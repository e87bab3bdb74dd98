"""Frames a second: the default, the limits, and the check of what callers pass."""

from __future__ import annotations

from typing import Any

DEFAULT_FPS = 30.0
MIN_FPS = 0.001
# Above, a frame is shorter than a tick of players' clocks.
MAX_FPS = 10_000.0


def as_fps(fps: Any) -> float | None:
    """Return frames a second as a float; None where it is no number in the limits.

    Numbers of any library are accepted: numpy's and JAX's scalars, tensors of one
    value, fractions. Text and bools are not.

    Example:
        >>> from fractions import Fraction
        >>> as_fps(Fraction(30000, 1001)), as_fps("30"), as_fps(float("inf"))
        (29.97002997002997, None, None)
    """
    if isinstance(fps, (str, bytes, bool)):
        return None
    try:
        number = float(fps)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return number if MIN_FPS <= number <= MAX_FPS else None


def checked_fps(where: str, fps: Any) -> float:
    """Return frames a second as a float.

    Args:
        where: The called function or class, for the message.
        fps: A number; see `as_fps`.

    Raises:
        ValueError: It is none, or out of the limits.
    """
    number = as_fps(fps)
    if number is None:
        raise ValueError(
            f"{where}: expected fps to be a number from {MIN_FPS} to {MAX_FPS:.0f}, "
            f"got {fps!r}. Choose frames a second, such as 30."
        )
    return number


def fps_of_video(where: str, fps: Any, declared: Any) -> float:
    """Return the frames a second of an environment's videos.

    Args:
        where: The called function or class, for the message.
        fps: As the user passed it; None: as declared.
        declared: By the environment; None: `DEFAULT_FPS`.

    Raises:
        ValueError: What is taken is no number, or out of the limits.
    """
    if fps is None:
        fps = DEFAULT_FPS if declared is None else declared
    return checked_fps(where, fps)
