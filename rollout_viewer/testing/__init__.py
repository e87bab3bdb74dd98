"""For tests, yours too: frames that say which they are, and environments of them.

`counting_frames` draws row and env into the pixels as a few large black and white
blocks, so that any picture that comes back - from a cache, an mp4, a GIF or a
canvas - can be asked which one it is (`read_count`). `CountingEnv` is a Gymnasium
environment that renders such frames and does what a table says. `TurnedClock` is a
clock that stands until it is turned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer.testing._clock import TurnedClock
from rollout_viewer.testing._counting import (
    MAX_ENV,
    MAX_ROW,
    counting_frame,
    counting_frames,
    read_count,
)

if TYPE_CHECKING:
    from rollout_viewer.testing._counting_env import CountingEnv

__all__ = [
    "MAX_ENV",
    "MAX_ROW",
    "CountingEnv",
    "TurnedClock",
    "counting_frame",
    "counting_frames",
    "read_count",
]


def __getattr__(name: str) -> Any:
    # Its base class is Gymnasium's, which all the rest here does without.
    if name == "CountingEnv":
        from rollout_viewer.testing._counting_env import CountingEnv

        return CountingEnv
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
