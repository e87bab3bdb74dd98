"""What was recorded of counting envs, as tables that tests write by hand."""

import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import rollout_viewer as rv
from rollout_viewer.testing import CountingEnv


def vector(mode: AutoresetMode, *lengths: list[int], **options) -> SyncVectorEnv:
    """Return counting envs with episodes of these lengths."""
    return SyncVectorEnv(
        [
            lambda e=e, n=n: CountingEnv(n, env=e, **options)  # type: ignore[misc]
            for e, n in enumerate(lengths)
        ],
        autoreset_mode=mode,
    )


def table(cache: rv.FrameCache, env: int) -> list[tuple]:
    """Return kind, picture (episode, step), reward, end, action of each row."""
    rows = []
    for row in range(cache.num_rows):
        now = cache.at(row, env)
        picture = None
        if now.has_picture:
            episode, step, drawn_env = CountingEnv.read(cache[row, env])
            assert drawn_env == env
            picture = episode, step
        reward = None if np.isnan(now.reward) else now.reward
        end = "T" if now.terminated else "t" if now.truncated else ""
        action = None if now.action is None else int(now.action)
        rows.append((now.kind, picture, reward, end, action))
    return rows


def episodes(cache: rv.FrameCache, env: int) -> list[tuple]:
    """Return start, stop, length, total reward, terminated, truncated of each."""
    return [
        (e.start, e.stop, e.length, e.total_reward, e.terminated, e.truncated)
        for e in cache.episodes
        if e.env == env
    ]
