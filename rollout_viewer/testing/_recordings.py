"""Recordings of counting frames, for tests of what leaves a recording."""

from __future__ import annotations

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer.testing._counting import counting_frame


def counting_recording(num_rows: int, num_envs: int = 1) -> FrameCache:
    """Return a cache of counting frames whose row is ``100 * env + row``.

    Every env is reset at row 0, gets the reward ``env`` in each other row, and
    chooses the row's number as its action.

    Example:
        >>> from rollout_viewer.testing import read_row
        >>> read_row(counting_recording(8, 2)[7, 1])
        107
    """
    cache = FrameCache(fps=30)
    for row in range(num_rows):
        cache.append(
            np.stack([counting_frame(100 * env + row) for env in range(num_envs)]),
            reward=np.arange(num_envs, dtype=float),
            action=np.full(num_envs, row),
            reset=np.full(num_envs, row == 0),
        )
    return cache
