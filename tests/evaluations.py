"""Recordings of episodes with given rewards, which the tests of evaluations share."""

from collections.abc import Mapping, Sequence

import numpy as np

import rollout_viewer as rv


def add_episodes(
    cache: rv.FrameCache,
    rewards: Mapping[int | None, Sequence[float]],
    *,
    is_cut: bool = False,
) -> None:
    """Append an episode for each seed, with these rewards.

    Its pictures are gray, as bright as the seed times ten and the step.
    """
    for seed, steps in rewards.items():
        info = {} if seed is None else {0: {"seed": seed}}
        for step in range(len(steps) + 1):
            frame = np.full((1, 12, 16, 3), 10 * (seed or 0) + step, np.uint8)
            if not step:
                cache.append(frame, reset=[True], episode_info=info)
                continue
            is_end = step == len(steps)
            cache.append(
                frame,
                reward=[steps[step - 1]],
                terminated=[is_end and not is_cut],
                truncated=[is_end and is_cut],
            )


def two_policies(path=None, *, names=("before", "after")) -> rv.FrameCache:
    """Return a recording of two segments, with the episodes of four seeds each.

    Their returns are 1, 2, 3, 4 and 2, 2, 1, 9.
    """
    cache = rv.FrameCache(path)
    returns = ((1, 2, 3, 4), (2, 2, 1, 9))
    for name, of_seeds in zip(names, returns, strict=True):
        with cache.segment(name):
            episodes = {seed: [1.0, total - 1.0] for seed, total in enumerate(of_seeds)}
            add_episodes(cache, episodes)
    return cache
