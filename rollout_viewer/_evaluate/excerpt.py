"""A small recording of some episodes of large ones, exact to the pixel.

One env, the episodes one after the other, each in the segment of its policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._evaluate.lines import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_viewer._evaluate.chosen import Chosen


def excerpt(chosen: Iterable[Chosen]) -> FrameCache:
    """Return a recording of these episodes, in a temporary file.

    Raises:
        FrameError, ShapeError: They do not fit into one recording.
        RecordingError: One of them is damaged.
    """
    episodes = list(chosen)
    source = episodes[0].cache
    cache = FrameCache(fps=source.fps, metadata=dict(source.metadata))
    for one in episodes:
        _copy(one, cache)
    cache.flush()
    return cache


def _copy(one: Chosen, cache: FrameCache) -> None:
    episode = one.episode
    own = {
        "seed": episode.seed,
        "labels": dict(episode.labels),
        "success": one.success,
    }
    info = {name: value for name, value in own.items() if value not in (None, {})}
    with cache.segment(one.policy):
        for row in rows_of(one.cache, episode):
            arguments = one.cache.row_of(row, [episode.env])
            infos = {0: info} if row == episode.start else None
            cache.append(episode_info=infos, **_of_env(arguments, episode.env))


def _of_env(arguments: dict[str, Any], env: int) -> dict[str, Any]:
    """Return the arguments of an append with this env alone."""
    frames, data = arguments.pop("frames"), arguments.pop("data")
    found = {
        name: None if value is None else value[[env]]
        for name, value in arguments.items()
    }
    pictures = {
        camera: [picture[env]] if isinstance(picture, list) else [picture]
        for camera, picture in (frames or {}).items()
    }
    return {
        **found,
        "frames": pictures or None,
        "data": {name: array[[env]] for name, array in data.items()},
    }
