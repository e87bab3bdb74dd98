"""For tests, yours too: frames that say which they are, and environments of them.

`counting_frames` draws row and env into the pixels as a few large black and white
blocks, so that any picture that comes back - from a cache, an mp4, a GIF or a
canvas - can be asked which one it is (`read_count`, `read_row`), and
`counting_recording` is a cache of them. `CountingEnv` is a Gymnasium environment
that renders such frames and does what a table says. `TurnedClock` is a
clock that stands until it is turned. `LoggerTests` is what every logger has to pass,
and `SourceTests` what everything that records environments has to, ours and yours:
subclass them in a test file.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from rollout_viewer.testing._clock import TurnedClock
from rollout_viewer.testing._counting import (
    MAX_ENV,
    MAX_ROW,
    counting_frame,
    counting_frames,
    read_count,
    read_row,
)

if TYPE_CHECKING:
    from rollout_viewer.testing._counting_env import CountingEnv
    from rollout_viewer.testing._logger_tests import LoggerTests
    from rollout_viewer.testing._recordings import counting_recording
    from rollout_viewer.testing._source_tests import SourceTests

__all__ = [
    "MAX_ENV",
    "MAX_ROW",
    "CountingEnv",
    "LoggerTests",
    "SourceTests",
    "TurnedClock",
    "counting_frame",
    "counting_frames",
    "counting_recording",
    "read_count",
    "read_row",
]

_SUITES = {"LoggerTests": "_logger_tests", "SourceTests": "_source_tests"}


def __getattr__(name: str) -> Any:
    # Its base class is Gymnasium's, which all the rest here does without.
    if name == "CountingEnv":
        from rollout_viewer.testing._counting_env import CountingEnv

        return CountingEnv
    # A recording needs what a cache needs; frames do with numpy.
    if name == "counting_recording":
        from rollout_viewer.testing._recordings import counting_recording

        return counting_recording
    # They need pytest, which rewrites what asserts before it is imported.
    if name in _SUITES:
        import pytest

        home = f"{__name__}.{_SUITES[name]}"
        if home not in sys.modules:
            pytest.register_assert_rewrite(home)
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
