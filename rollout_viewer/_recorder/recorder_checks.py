"""Checks of a recorder's arguments, before it records anything.

Each returns its argument in the form that the recorder uses, or raises.
"""

from __future__ import annotations

import contextlib
import numbers
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.shared_storage import is_url, recorder_url
from rollout_viewer._errors import FrameError, ReadOnlyError, ShapeError
from rollout_viewer._recording.workers import worker_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def checked_cache(cache: FrameCache | str | Path | None, num_envs: int) -> FrameCache:
    """Return the cache to record into; a path or None makes a new one."""
    if isinstance(cache, str) and is_url(cache):
        return FrameCache(recorder_url(cache))
    if cache is None or isinstance(cache, (str, Path)):
        return FrameCache(None if cache is None else worker_path(Path(cache)))
    if not isinstance(cache, FrameCache):
        raise TypeError(
            "record: expected cache to be a FrameCache or the path of a new one, got "
            f"{type(cache).__name__}."
        )
    if not cache.is_mine:
        raise ReadOnlyError(
            "record: expected a cache that this process writes, got "
            f"{str(cache.path)!r}, another's or opened for reading. Pass workers "
            "what cache.remote() returns in the cache's process: their rows come into "
            "it. Pass a path: each worker process then writes a file of its own, and "
            "rv.open([path, ...]) shows them as one."
        )
    if cache.num_envs not in (0, num_envs):
        raise ShapeError(
            f"record: expected a cache of {num_envs} envs, as the environment has, got "
            f"one of {cache.num_envs}. Record into a new one."
        )
    return cache


@contextlib.contextmanager
def discarded_on_error(cache: FrameCache) -> Iterator[None]:
    """Leave no file of a new cache without rows, if anything in the block is raised."""
    try:
        yield
    except BaseException:
        cache.close()
        cache.path.unlink(missing_ok=True)
        raise


def check_logger(logger: Any) -> None:
    """Raise TypeError unless this is None or has `log_video`."""
    if logger is not None and not callable(getattr(logger, "log_video", None)):
        raise TypeError(
            "record: expected a logger with log_video(tag, video, step), got "
            f"{type(logger).__name__}. Pass a rollout_viewer.loggers logger."
        )


def check_video_arguments(
    where: str,
    *,
    name_prefix: Any,
    video_length: Any,
    logger: Any,
    **triggers: Any,
) -> None:
    """Raise where an argument of a class that writes videos is of another kind.

    Args:
        where: The class, for messages.
        name_prefix: Text.
        video_length: A number of 0 or more.
        logger: See `check_logger`.
        **triggers: Functions, or None.

    Raises:
        TypeError: A trigger is no function, the prefix no text, the logger no logger.
        ValueError: The length is no number, or below 0.
    """
    check_logger(logger)
    for name, trigger in triggers.items():
        if trigger is not None and not callable(trigger):
            raise TypeError(
                f"{where}: expected {name} to be a function of a number, got "
                f"{trigger!r}. Pass for example lambda number: number % 100 == 0."
            )
    if not isinstance(name_prefix, str):
        raise TypeError(
            f"{where}: expected name_prefix to be text, got {name_prefix!r}."
        )
    if not isinstance(video_length, numbers.Real) or not float(video_length) >= 0:
        raise ValueError(
            f"{where}: expected video_length to be 0 or more steps, got "
            f"{video_length!r}."
        )


def checked_envs(envs: Sequence[int] | None, num_envs: int) -> list[int] | None:
    """Return numbers of envs, each once; None stays."""
    if envs is None:
        return None
    try:
        numbers = [operator.index(env) for env in envs]
    except TypeError:
        raise _wrong_envs(envs, num_envs) from None
    is_known = all(0 <= env < num_envs for env in numbers)
    if not numbers or not is_known or len(set(numbers)) < len(numbers):
        raise _wrong_envs(numbers, num_envs)
    return numbers


def _wrong_envs(envs: Any, num_envs: int) -> ShapeError:
    return ShapeError(
        f"record: expected envs to be different numbers in 0..{num_envs - 1}, got "
        f"{envs!r}."
    )


def checked_count(name: str, value: Any) -> int:
    """Return an integer of 1 or more."""
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or value < 1:
        raise ValueError(f"record: expected {name} to be 1 or more, got {value!r}.")
    return int(value)


def checked_box(
    name: str, value: Sequence[int] | None, lengths: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Return (height, width), or (top, left, height, width) if 4 is allowed."""
    if value is None:
        return None
    try:
        box = tuple(operator.index(side) for side in value)
    except TypeError:
        box = ()
    if len(box) not in lengths or min(box) < 0 or min(box[-2:]) < 1:
        wanted = "(height, width)"
        if 4 in lengths:
            wanted += " or (top, left, height, width)"
        raise FrameError(f"record: expected {name}={wanted} in pixels, got {value!r}.")
    return box


def check_skips_none(skip: int) -> None:
    """Raise ValueError where calls are skipped, whose actions a replay needs."""
    if skip > 1:
        raise ValueError(
            f"record: expected skip=1 with render='later', got {skip}: a replay needs "
            "the action of each call. Rows without pictures are small."
        )
