"""Recordings of counting frames, for tests of what leaves a recording."""

import numpy as np
import numpy.typing as npt

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer.testing import counting_frame, read_count

Frame = npt.NDArray[np.uint8]
HEIGHT, WIDTH = 48, 64


def draw(number: int, height: int = HEIGHT, width: int = WIDTH) -> Frame:
    """Return a frame that says `number`."""
    return counting_frame(number, height=height, width=width)


def read(frame: Frame, height: int = HEIGHT, width: int = WIDTH) -> int:
    """Return the number that the top left `height` x `width` pixels say."""
    return read_count(frame[:height, :width])[0]


def recording(num_rows: int, num_envs: int = 1) -> FrameCache:
    """Return a cache; the picture of each row and env says ``100 * env + row``.

    Every env is reset at row 0 and gets the reward ``env`` in each other row.
    """
    cache = FrameCache(fps=30)
    for row in range(num_rows):
        cache.append(
            np.stack([draw(100 * env + row) for env in range(num_envs)]),
            reward=np.arange(num_envs, dtype=float),
            action=np.full(num_envs, row),
            reset=np.full(num_envs, row == 0),
        )
    return cache
