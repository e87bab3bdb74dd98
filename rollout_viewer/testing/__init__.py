"""For your tests and ours: frames that can be identified, and suites to subclass.

- `counting_frames` draws row and env into the pixels as a few large black and white
  blocks. `read_count` and `read_row` read them back from any picture: of a cache, an
  mp4, a GIF or a canvas.
- `counting_recording` is a cache of such frames.
- `CountingEnv` is a Gymnasium environment that renders them, with given episodes.
- `TurnedClock` is a clock that moves only when it is turned.
- `LoggerTests` is the suite that every logger has to pass, `SourceTests` the suite of
  everything that records environments: subclass them in a test file.
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
    # Its base class is Gymnasium's, which nothing else here needs.
    if name == "CountingEnv":
        from rollout_viewer.testing._counting_env import CountingEnv

        return CountingEnv
    # A cache imports more than the frames, which need numpy only.
    if name == "counting_recording":
        from rollout_viewer.testing._recordings import counting_recording

        return counting_recording
    # They need pytest, which rewrites the asserts of a module before its import.
    if name in _SUITES:
        import pytest

        home = f"{__name__}.{_SUITES[name]}"
        if home not in sys.modules:
            pytest.register_assert_rewrite(home)
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
