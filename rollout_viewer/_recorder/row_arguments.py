"""A recorded row as the arguments of `FrameCache.append`, to record it again elsewhere.

Knows the reading side of a cache. Knows nothing of why a row is copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recording.query import Moment


def row_arguments(cache: FrameCache, row: int, envs: Sequence[int]) -> dict[str, Any]:
    """Return what records a row again, with all but `envs` idle.

    Episodes' infos are not among it: an episode has them once, not in every row.
    """
    num_envs = cache.num_envs
    now = {env: cache.at(row, env) for env in envs}
    before = _rows_before(cache, row, now) if row else {}
    kind = ["idle"] * num_envs
    num_transitions = np.ones(num_envs, np.int64)
    for env, moment in now.items():
        kind[env] = moment.kind
        steps = moment.env_step - (before[env].env_step if env in before else 0)
        num_transitions[env] = max(steps, 1)
    names = [name for name in cache.data_names(row) if name != "action"]
    data = {
        name: _column(num_envs, found)
        for name in names
        if (found := {env: m[name] for env, m in now.items() if name in m})
    }
    # An action is known at the row at which it was chosen, the one before.
    actions = {e: m.action for e, m in before.items() if m.action is not None}
    return {
        **_pictures(cache, row, envs),
        "kind": kind,
        "reward": _filled(num_envs, "f8", now, "reward"),
        "terminated": _filled(num_envs, "?", now, "terminated"),
        "truncated": _filled(num_envs, "?", now, "truncated"),
        "num_transitions": num_transitions,
        "action": _column(num_envs, actions) if actions else None,
        "data": data,
    }


def _rows_before(
    cache: FrameCache, row: int, now: Mapping[int, Moment]
) -> dict[int, Moment]:
    """Return the row before, of the envs whose episode it belongs to."""
    before = {env: cache.at(row - 1, env) for env in now}
    return {e: m for e, m in before.items() if m.episode == now[e].episode}


def _pictures(cache: FrameCache, row: int, envs: Sequence[int]) -> dict[str, Any]:
    """Return `frames` and `envs` of `FrameCache.append`."""
    if cache.is_shared:
        shown = cache[row, 0] if cache.is_shown(row, 0) else None
        return {"frames": shown, "envs": None}
    pictured = [env for env in envs if env in cache.pictured_envs]
    if not pictured:
        return {"frames": None, "envs": None}
    frames = [cache[row, e] if cache.is_shown(row, e) else None for e in pictured]
    return {"frames": frames, "envs": pictured}


def _filled(
    num_envs: int, dtype: str, now: Mapping[int, Moment], name: str
) -> npt.NDArray[Any]:
    column = np.zeros(num_envs, dtype)
    for env, moment in now.items():
        column[env] = moment[name]
    return column


def _column(num_envs: int, values: Mapping[int, Any]) -> npt.NDArray[Any]:
    """Return values of some envs as (num_envs, ...), with zeros for the others."""
    first = np.asarray(next(iter(values.values())))
    column = np.zeros((num_envs, *first.shape), first.dtype)
    for env, value in values.items():
        column[env] = value
    return column
