"""record(env): wraps an environment of any kind, so that it records itself.

Finds the adapter by the environment's type. Knows adapters by what they offer
(`Recorded`). Knows no framework.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from rollout_viewer._errors import (
    UnsupportedEnvError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recording.episode import Episode

    Mask = npt.NDArray[np.bool_]
    Seed = int | list[int | None] | tuple[int | None, ...] | None


_SUPPORTED = (
    "gymnasium.Env",
    "gymnasium.vector.VectorEnv",
    "stable_baselines3's VecEnv",
    "pettingzoo.ParallelEnv",
    "torchrl.envs.EnvBase",
    "objects with reset(), step(action) and render()",
)


class Recorded(Protocol):
    """An environment that `record` returned, as `rollout` uses it."""

    recorder: Recorder
    begins: Mask
    action_space: Any

    def check_open(self) -> None:
        """Raise RenderError if it was closed."""

    def reset(self, *, seed: Seed = None) -> tuple[Any, Any]:
        """Reset all envs."""

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all envs."""

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the envs that ended, where that is left to the caller."""


def record(
    env: Any,
    *,
    cache: FrameCache | str | Path | None = None,
    every: int | None = None,
    keep_episode: Callable[[Episode], bool] | None = None,
    envs: Sequence[int] | None = None,
    skip: int = 1,
    resize: tuple[int, int] | None = None,
    crop: Sequence[int] | None = None,
    logger: Any = None,
    tag: str = "rollout",
) -> Any:
    """Return `env`, wrapped so that it records itself.

    The result is of the same kind, for loops of your own, and has `cache`,
    `viewer` and `dump` besides. Closing it completes the recording's file; the
    cache stays open and readable.

    Args:
        env: A Gymnasium `Env` or `VectorEnv` made with ``render_mode="rgb_array"``,
            a TorchRL environment with an entry ``"pixels"`` or a `render`, or an
            object with reset, step and render.
        cache: Where to record, also after others; a path: a new one there; None: a
            new one in a temporary file.
        every: Record each n-th episode of each env; the others cost no rendering
            where no env needs it.
        keep_episode: Asked with each `Episode` at its end; only what it returns
            true for is recorded. Kept episodes follow one another in the cache.
        envs: Numbers of the envs whose pictures are kept; None: all.
        skip: Keep each n-th call; rewards, ends and step counts of the others are
            carried over to the next row.
        resize: (height, width) in pixels, after `crop`.
        crop: (height, width) of the middle, or (top, left, height, width).
        logger: Where `dump` writes; None: ``CSVLogger("rollouts")`` with mp4.
        tag: Name of dumps.

    Raises:
        RenderError: The environment gives no pictures, or is closed.
        UnsupportedEnvError: It is of no kind that is known.
        TypeError: `cache` is no cache, or `logger` no logger.
        ValueError: An argument is out of its range, or `cache` has another number
            of envs.
    """
    options = {
        "cache": cache,
        "every": every,
        "keep_episode": keep_episode,
        "envs": envs,
        "skip": skip,
        "resize": resize,
        "crop": crop,
        "logger": logger,
        "tag": tag,
    }
    wrapped: Any = None
    # An object of a framework that nobody imported does not exist.
    if "gymnasium" in sys.modules:
        from rollout_viewer.sources import gymnasium

        wrapped = gymnasium.wrap(env, **options)
    if wrapped is None and "stable_baselines3" in sys.modules:
        from rollout_viewer.sources import sb3

        wrapped = sb3.wrap(env, **options)
    if wrapped is None and "pettingzoo" in sys.modules:
        from rollout_viewer.sources import pettingzoo

        wrapped = pettingzoo.wrap(env, **options)
    if wrapped is None and "torchrl.envs" in sys.modules:
        from rollout_viewer.sources import torchrl

        wrapped = torchrl.wrap(env, **options)
    if wrapped is None:
        from rollout_viewer.sources.duck_typed import wrap

        wrapped = wrap(env, **options)
    if wrapped is None:
        raise UnsupportedEnvError(
            f"record: expected one of {', '.join(_SUPPORTED)}, got "
            f"{type(env).__name__}. Give its frames to FrameCache.append() yourself."
        )
    return wrapped
