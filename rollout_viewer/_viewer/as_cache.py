"""Whatever holds a recording, as a `FrameCache`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._recording.reader import RecordingReader


def as_cache(source: Any) -> FrameCache:
    """Return the cache of whatever holds one.

    Raises:
        TypeError: `source` holds none.
    """
    if isinstance(source, FrameCache):
        return source
    cache = getattr(source, "cache", None)
    if isinstance(cache, FrameCache):
        return cache
    is_list = isinstance(source, (list, tuple)) and len(source) > 0
    if isinstance(source, (str, Path)) or (
        is_list and all(isinstance(one, (str, Path)) for one in source)
    ):
        from rollout_viewer._cache.open import open_path

        return open_path(source)
    if isinstance(source, (list, tuple)) and any(
        isinstance(one, RecordingReader) for one in source
    ):
        raise TypeError(
            "rv.view: expected one recording, or several by name, got a "
            f"{type(source).__name__} of them. Pass "
            "rv.view({'before': a, 'after': b})."
        )
    if hasattr(source, "shape") or isinstance(source, (list, tuple)):
        from rollout_viewer._cache.arrays import from_arrays

        return from_arrays(source)
    raise TypeError(
        "rv.view: expected a FrameCache, something with a .cache, the path of a "
        f"recording or a video, or frames (T, H, W, 3), got {type(source).__name__}."
    )
