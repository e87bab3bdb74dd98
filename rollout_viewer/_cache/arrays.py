"""Arrays that exist already: a video, a data set, what a script collected.

Turns them into a recording. Knows nothing of where they came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import FrameError, ShapeError
from rollout_viewer._frames.convert import split_frames

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._frames.convert import Channels


def from_arrays(
    frames: Any,
    *,
    reward: Any = None,
    terminated: Any = None,
    truncated: Any = None,
    reset: Any = None,
    action: Any = None,
    data: Mapping[str, Any] | None = None,
    env_axis: int | None = None,
    channels: Channels = "auto",
    fps: float | None = None,
    cache: FrameCache | str | Path | None = None,
) -> FrameCache:
    """Record arrays, one row for each time step T.

    Args:
        frames: (T, H, W, C), (T, C, H, W) or (T, H, W) of one env, or with an axis
            of B envs more; numpy, torch, or a list of T single images.
        reward: (T,) or (T, B): of the transition that led to the row. None: no
            rewards.
        terminated: (T,) or (T, B): the episode ended with the row.
        truncated: (T,) or (T, B): it was cut off there.
        reset: (T,) or (T, B): the row is the first of an episode, and has no
            reward. None: the first row, and each after an end.
        action: (T, ...) or (T, B, ...): chosen at the row's frame. That of the last
            row leads nowhere and is not kept.
        data: Name -> (T, ...) or (T, B, ...).
        env_axis: Which axis of all arrays is the envs: 1 for (T, B, ...), 0 for
            (B, T, ...). None: 1 where frames have five axes, else there is one env.
        channels: As in `as_frames`; "auto" decides by the frames of one row.
        fps: Of a new cache.
        cache: Where to record, after what is there; a path: a new one there; None:
            a new one in a temporary file.

    Returns:
        The cache, open for more.

    Raises:
        FrameError: The frames are none.
        ShapeError: The others have another length.

    Example:
        >>> video = np.zeros((10, 4, 32, 48, 3), np.uint8)
        >>> cache = from_arrays(video, reward=np.ones((10, 4)))
        >>> cache.num_rows, cache.num_envs
        (10, 4)
    """
    if env_axis not in (None, 0, 1):
        raise ValueError(
            f"from_arrays: expected env_axis None, 0 or 1, got {env_axis}."
        )
    rows, axes = _rows(frames, env_axis)
    columns = {
        name: axes.column(name, value)
        for name, value in {
            "reward": reward,
            "terminated": terminated,
            "truncated": truncated,
        }.items()
        if value is not None
    }
    resets = _resets(columns, axes) if reset is None else axes.column("reset", reset)
    actions = None if action is None else axes.column("action", action)
    extras = {n: axes.column(f"data[{n!r}]", v) for n, v in (data or {}).items()}
    recording = cache if isinstance(cache, FrameCache) else FrameCache(cache, fps=fps)
    for t, images in enumerate(rows):
        recording.append(
            [split_frames([image], channels=channels)[0] for image in images],
            reset=resets[t],
            # The cache takes the action that led to a row.
            action=None if actions is None or t == 0 else actions[t - 1],
            data={name: values[t] for name, values in extras.items()},
            **{name: values[t] for name, values in columns.items()},
        )
    return recording


@dataclass(frozen=True)
class _Axes:
    """How the axes of all arrays begin: rows, envs."""

    num_rows: int
    num_envs: int
    env_axis: int | None

    def column(self, name: str, value: Any) -> npt.NDArray[Any]:
        """Return `value` with the axes (rows, envs, ...)."""
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        shape = array.shape
        if self.env_axis is None:
            array = array[:, None]
        elif self.env_axis == 0 and array.ndim > 1:
            array = array.swapaxes(0, 1)
        if array.shape[:2] != (self.num_rows, self.num_envs):
            axes = {None: "(T,)", 0: "(B, T)", 1: "(T, B)"}[self.env_axis]
            raise ShapeError(
                f"from_arrays: expected {name} with axes {axes} as frames, "
                f"{self.num_rows} rows of {self.num_envs} envs, got shape {shape}."
            )
        return array


def _rows(frames: Any, env_axis: int | None) -> tuple[list[list[Any]], _Axes]:
    """Return the images of each row and env."""
    if isinstance(frames, (list, tuple)):
        rows = [[image] for image in frames]
        env_axis = None
    else:
        video = frames.detach() if hasattr(frames, "detach") else np.asarray(frames)
        if env_axis is None and video.ndim == 5:
            env_axis = 1
        if video.ndim not in ((3, 4) if env_axis is None else (4, 5)):
            raise FrameError(
                "from_arrays: expected frames (T, H, W, C) or (T, B, H, W, C), got "
                f"shape {tuple(video.shape)}. Pass env_axis= where gray frames have "
                "envs."
            )
        if env_axis == 0:
            video = video.swapaxes(0, 1)
        rows = [[row] if env_axis is None else list(row) for row in video]
    if not rows or not rows[0]:
        raise FrameError("from_arrays: expected frames, got none.")
    return rows, _Axes(len(rows), len(rows[0]), env_axis)


def _resets(
    columns: Mapping[str, npt.NDArray[Any]], axes: _Axes
) -> npt.NDArray[np.bool_]:
    """Return which rows begin an episode: the first, and each after an end."""
    resets = np.zeros((axes.num_rows, axes.num_envs), np.bool_)
    resets[0] = True
    for name in ("terminated", "truncated"):
        if name in columns:
            resets[1:] |= columns[name][:-1].astype(np.bool_)
    return resets
