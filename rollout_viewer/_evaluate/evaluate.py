"""evaluate(): policies on the same seeds, each a segment of one recording.

Knows no framework: what a policy and an environment are, `rollout` knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.kept_on_error import kept_on_error
from rollout_viewer._evaluate.lines import (
    check_names,
    lines_of,
    success_said,
)
from rollout_viewer._evaluate.result import EvaluationResult
from rollout_viewer._evaluate.statistics import scipy_stats
from rollout_viewer._recorder.success import check_rule
from rollout_viewer._recording.storable import storable_text
from rollout_viewer.sources._collect.collect import collect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rollout_viewer._evaluate.lines import Success
    from rollout_viewer._recorder.success import SuccessRule


def evaluate(
    make_env: Callable[..., Any],
    policies: Any,
    *,
    seeds: Iterable[int],
    render: Literal["now", "later"] = "now",
    cache: FrameCache | str | Path | None = None,
    num_workers: int | None = None,
    backend: Literal["processes", "serial", "ray"] = "processes",
    success: SuccessRule | None = None,
    reward_weights: Sequence[float] | None = None,
    deterministic: bool = True,
    progress: bool = True,
) -> EvaluationResult:
    """Run each policy once from each seed, record it, and compare them.

    Each policy has new environments, and an episode from each seed, which is its
    reset's. Its episodes are a segment of the recording with its name, run by
    `collect`: it is the same whoever runs it, and a worker that dies is replaced.

    Args:
        make_env: Returns one environment; see `collect`.
        policies: Name -> policy, the others compared with the first; or one policy.
            Each as for `rollout`: a function of an observation, a model of
            Stable-Baselines3, a `TensorDictModule` for a TorchRL environment; None:
            random actions, seeded by each episode's seed. Workers get a copy.
        seeds: Whole numbers, 0 or above.
        render: As for `rollout`: ``"later"``: pictures are rendered when they are
            looked at.
        cache: Where to record, after the rows that are there; a path: a new cache
            there; None: a new one in a temporary file. It stays open.
        num_workers: Processes; None: one for each core, and no more than seeds.
        backend: ``"processes"``; ``"serial"``: one episode after the other, in this
            process, for debugging; see `collect`.
        success: As for `record`: ``"end"`` (and None), by what the info of an
            episode's last step reports; ``"once"``, of any step;
            ``"reward_threshold"``, by a return of at least ``env.spec``'s; or a
            function of an `Episode` of this evaluation, which returns True, False or
            None (not known). It is kept in the recording.
        reward_weights: As for `record`: where rewards have several objectives, the
            weight of each; None: returns are of their sum.
        deterministic: As for `rollout`; unlike there, policies do not explore.
        progress: Show a bar in notebooks and terminals.

    Returns:
        Tables, pairs, a viewer and a report of these episodes.

    Raises:
        MissingDependencyError: scipy is not installed; nothing is run then.
        TypeError: `make_env`, a policy or `cache` is not what it should be, or
            `success` returns something else.
        ValueError: There are no seeds or no policies, two policies have the same name
            in a file, an argument is out of range, or the environment has no
            threshold for ``success="reward_threshold"``.
        Others: As `collect`. What was recorded before them is kept, in the exception's
            ``cache``.

    Example:
        >>> import gymnasium as gym
        >>> result = evaluate(
        ...     lambda: gym.make("CartPole-v1", render_mode="rgb_array"),
        ...     {"left": lambda obs: 0, "reacts": lambda obs: int(obs[2] > 0)},
        ...     seeds=range(3),
        ...     progress=False,
        ...     backend="serial",
        ... )
        >>> result.table["n"].tolist()
        [3, 3]
    """
    scipy_stats()
    if not callable(make_env):
        raise TypeError(
            "rv.evaluate: expected make_env to be a function that returns an "
            f"environment, got {type(make_env).__name__}. Pass one, as in "
            "lambda: gym.make('CartPole-v1', render_mode='rgb_array')."
        )
    check_rule("rv.evaluate", success)
    if not isinstance(cache, (FrameCache, str, Path, type(None))):
        raise TypeError(
            "rv.evaluate: expected cache to be a FrameCache or the path of a new one, "
            f"got {type(cache).__name__}."
        )
    named = _checked_policies(policies)
    numbers = _checked_seeds(seeds)
    is_new = not isinstance(cache, FrameCache)
    recording = cache if isinstance(cache, FrameCache) else FrameCache(cache)
    with kept_on_error("rv.evaluate", recording, is_new=is_new):
        first_row = recording.num_rows
        for name, policy in named.items():
            with recording.segment(name):
                collect(
                    make_env,
                    policy,
                    seeds=numbers,
                    num_workers=num_workers,
                    render=render,
                    backend=backend,
                    cache=recording,
                    progress=progress,
                    deterministic=deterministic,
                    success=None if callable(success) else success,
                    reward_weights=reward_weights,
                )
        if callable(success):
            _mark(recording, first_row, success)
        recording.flush()
        lines = lines_of(recording, segments=list(named), first_row=first_row)
        return EvaluationResult(lines)


def _checked_policies(policies: Any) -> dict[str, Any]:
    named: dict[Any, Any]
    named = dict(policies) if isinstance(policies, Mapping) else {"policy": policies}
    if not named:
        raise ValueError("rv.evaluate: expected policies by name, got an empty dict.")
    for name, policy in named.items():
        if not isinstance(name, str) or not name.strip():
            raise TypeError(
                f"rv.evaluate: expected names of policies as text, got {name!r}."
            )
        has_predict = callable(getattr(policy, "predict", None))
        if not (policy is None or callable(policy) or has_predict):
            raise TypeError(
                f"rv.evaluate: expected policy {name!r} to be callable, to have "
                f"predict(), or to be None, got {type(policy).__name__}."
            )
    # A file keeps no lone surrogates.
    names = [storable_text(name) for name in named]
    check_names("rv.evaluate", names)
    return dict(zip(names, named.values(), strict=True))


def _checked_seeds(seeds: Any) -> list[int]:
    numbers: Sequence[Any] = [*seeds] if np.iterable(seeds) else [seeds]
    wrong = [
        seed
        for seed in numbers
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or seed < 0
    ]
    if wrong or not numbers or not np.iterable(seeds):
        raise ValueError(
            "rv.evaluate: expected seeds to be whole numbers, 0 or above, at least "
            f"one, got {(wrong or seeds)!r:.100}. Pass some, such as range(50)."
        )
    found = [int(seed) for seed in numbers]
    if len(set(found)) < len(found):
        raise ValueError(
            "rv.evaluate: expected seeds that differ, got some of them more than once. "
            "Pass each once: the same seed again is no other evidence."
        )
    return found


def _mark(cache: FrameCache, first_row: int, success: Success) -> None:
    """Keep what `success` returns of the episodes from a row on."""
    found: dict[bool | None, list[Any]] = {}
    for episode in cache.episodes:
        if episode.start >= first_row and episode.is_finished:
            value = success_said("rv.evaluate", success, episode)
            found.setdefault(value, []).append(episode)
    for value, episodes in found.items():
        cache.mark_success(episodes, value)
