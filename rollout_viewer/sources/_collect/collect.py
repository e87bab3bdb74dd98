"""collect(make_env): episodes of many processes in one cache, live."""

from __future__ import annotations

import itertools
import operator
import os
import warnings
from typing import TYPE_CHECKING, Any, Literal

from rollout_viewer._cache.block_filer import BlockFiler
from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.kept_on_error import kept_on_error
from rollout_viewer._errors import RolloutViewerWarning, requires
from rollout_viewer._recorder.recorder_checks import checked_cache
from rollout_viewer._recorder.success import check_rule
from rollout_viewer._recorder.vector_reward import checked_weights
from rollout_viewer.sources._collect.collection import Collection
from rollout_viewer.sources._collect.jobs import Jobs
from rollout_viewer.sources._collect.processes import collect_in_processes
from rollout_viewer.sources._collect.progress import CollectProgress
from rollout_viewer.sources._collect.ray_cluster import collect_in_ray
from rollout_viewer.sources._collect.runner import Setup
from rollout_viewer.sources._collect.serial import collect_here

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from rollout_viewer._recorder.success import SuccessRule
    from rollout_viewer._recording.episode import Episode

_MAX_STEPS = 1000  # where nothing else says how much
_BACKENDS = ("processes", "serial", "ray")


def collect(
    make_env: Callable[..., Any],
    policy: Any = None,
    *,
    episodes: int | None = None,
    max_steps: int | None = None,
    num_workers: int | None = None,
    num_envs: int = 1,
    seeds: int | Iterable[int] | None = None,
    render: Literal["now", "later"] = "now",
    backend: Literal["processes", "serial", "ray"] = "processes",
    address: str | None = None,
    cache: FrameCache | str | Path | None = None,
    on_episode: Callable[[Episode], Any] | None = None,
    progress: bool = True,
    deterministic: bool = False,
    success: SuccessRule | None = None,
    reward_weights: Sequence[float] | None = None,
) -> FrameCache:
    """Collect episodes in worker processes, and return the recording of them all.

    Workers compress what they render; the cache files their blocks of 32 rows as they
    come, so that a viewer of it is live: each 0.4 seconds while a viewer is open, in
    the first seconds, with `on_episode`, and once a worker has ended. Else workers send
    what they have each 2 seconds, or as soon as it is 2 MB (with more than 32 workers,
    less), which takes less of this process. The envs of all workers are side by side:
    worker w has the envs ``w * num_envs`` up to ``(w + 1) * num_envs - 1``. An episode
    is the same whoever collects it: its reset and its random actions are from its
    seed. Its labels are ``worker``, ``seed`` and, if the policy has that attribute,
    ``policy_version``.

    A worker that is killed, or whose environment raises, is replaced. Its finished
    episodes stay; the rows of its unfinished one get the label ``lost``, and it is
    collected again. An episode that is lost three times is given up. A warning at the
    end counts all of these.

    Ctrl-C keeps what is there, the rows that workers have not yet sent included: in
    `cache`, and in the exception's ``cache`` (in a notebook ``sys.last_value.cache``).
    So does any other exception.

    Args:
        make_env: Returns one environment that `record` takes; called with the env's
            number if it takes an argument. Workers get a copy of the function, which
            may be one of a notebook.
        policy: As for `rollout`: a function of an observation, or an object with
            ``predict``; with ``num_envs`` above 1 of a batch of them. None: random
            actions. Workers get a copy. Its attribute ``policy_version`` is read when
            an episode begins: one that fetches new weights by itself changes it.
        episodes: How many; None: as many as there are `seeds`.
        max_steps: Transitions at most, of all envs together: all of them, where there
            are episodes for them, but for what is less than a step of each of a
            worker's envs. None: no limit, and 1000 with neither `episodes` nor
            `seeds`. If it comes first, a warning reports it.
        num_workers: Processes; None: one for each core, and no more than episodes.
        num_envs: Environments of each worker, stepped one after the other, whose
            observations the policy gets as a batch.
        seeds: Of the episodes, each of a reset: a number for each, or the first of
            consecutive ones. None: 0, 1, 2, ... An iterator may be endless, with
            `episodes`, `max_steps` or an `on_episode` that ends it: its seeds are
            taken one by one.
        render: As for `record`: with ``"later"``, pictures are rendered when they are
            looked at.
        backend: ``"processes"``: new processes on this machine. ``"serial"``: this
            process, for debugging; what an environment raises is raised. ``"ray"``:
            actors of a Ray cluster, each of one CPU. Its machines have this package,
            and what `make_env` imports.
        address: Of a running Ray cluster, as ``"auto"``; of ``backend="ray"`` alone.
            None: the one that this process is connected to, else a new one here.
        cache: Where to record, after the rows that are there; a path: a new cache
            there; None: a new one in a temporary file.
        on_episode: Called in this process with each `Episode` when it is in the cache,
            whole; collecting ends when it returns False.
        progress: Show bars in notebooks and terminals, with a line for each worker.
        deterministic: As for `rollout`.
        success: As for `record`; a function is called in this process, before
            `on_episode`.
        reward_weights: As for `record`.

    Returns:
        The cache, open for more.

    Raises:
        TypeError: `make_env` is no function, or it or the policy cannot be pickled.
        ValueError: An argument is out of its range, or the environment has no
            threshold for ``success="reward_threshold"``.
        UnsupportedEnvError: `make_env` returns what `record` does not take, or a batch.
        RenderError: The environment cannot render images.
        ShapeError: `cache` has another number of envs, or the policy returned an
            action of another shape, or the environment a reward of another number of
            objectives than `reward_weights`.
        RolloutViewerError: No worker finishes an episode.
        MissingDependencyError: Ray is not installed.

    Example:
        >>> import rollout_viewer as rv
        >>> from rollout_viewer.testing import CountingEnv
        >>> cache = rv.collect(CountingEnv, episodes=3, backend="serial")
        >>> [(episode.seed, episode.length) for episode in cache.episodes]
        [(0, 5), (1, 5), (2, 5)]
    """
    _check(make_env, render, backend, address)
    check_rule("rv.collect", success)
    reward_weights = checked_weights(reward_weights)
    num_envs = _count("num_envs", num_envs)
    if episodes is not None:
        episodes = _count("episodes", episodes)
    if max_steps is not None:
        max_steps = _count("max_steps", max_steps)
    if episodes is None and max_steps is None and not _are_several(seeds):
        max_steps = _MAX_STEPS
    found, episodes = _seeds(seeds, episodes)
    num_workers = _num_workers(num_workers, backend, episodes, num_envs)
    setups = [
        Setup(
            make_env,
            policy,
            num_envs,
            worker,
            render,
            deterministic,
            success if isinstance(success, str) else None,
            reward_weights,
        )
        for worker in range(num_workers)
    ]
    is_new = not isinstance(cache, FrameCache)
    cache = checked_cache(cache, num_workers * num_envs)
    # A caller's iterator is read no further than it is needed.
    is_ahead = episodes is not None or not _are_several(seeds)
    jobs = Jobs(found, max_steps, episodes, is_ahead=is_ahead)
    bars = CollectProgress(
        episodes,
        max_steps,
        num_workers if backend != "serial" else 0,
        is_wanted=progress,
    )

    def describe() -> str:
        of_all = "" if episodes is None else f" of {episodes}"
        return f"{jobs.num_finished}{of_all} episodes"

    with kept_on_error("rv.collect", cache, is_new=is_new, describe=describe), bars:
        filer = BlockFiler(cache, num_workers * num_envs)
        for setup in setups:
            envs = range(setup.first_env, setup.first_env + num_envs)
            filer.add_worker(setup.worker, envs)
        collection = Collection(cache, jobs, filer, bars, make_env, on_episode, success)
        if backend == "serial":
            collect_here(setups[0], collection)
        elif backend == "ray":
            collect_in_ray(setups, collection, address)
        else:
            collect_in_processes(setups, collection)
    if episodes is not None and jobs.has_run_out and jobs.num_finished < episodes:
        warnings.warn(
            f"rv.collect: expected {episodes} episodes, got {jobs.num_finished} in "
            f"max_steps={max_steps}. Raise max_steps.",
            RolloutViewerWarning,
            stacklevel=2,
        )
    return cache


# -- arguments


def _check(make_env: Any, render: str, backend: str, address: str | None) -> None:
    if not callable(make_env):
        raise TypeError(
            "rv.collect: expected make_env to be a function that returns an "
            f"environment, got {type(make_env).__name__}. Pass for example "
            'lambda: gymnasium.make("CartPole-v1", render_mode="rgb_array").'
        )
    if render not in ("now", "later"):
        raise ValueError(
            f"rv.collect: expected render to be 'now' or 'later', got {render!r}."
        )
    if backend not in _BACKENDS:
        raise ValueError(
            f"rv.collect: expected backend to be one of {list(_BACKENDS)}, got "
            f"{backend!r}."
        )
    if backend == "ray":
        with requires("rv.collect(backend='ray')", "ray"):
            import ray  # noqa: F401 - before anything is made
        return
    if address is not None:
        raise ValueError(
            f"rv.collect: expected address= with backend='ray' alone, got {address!r} "
            f"with {backend!r}."
        )


def _count(name: str, value: Any) -> int:
    try:
        count = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        count = -1
    if count < 1:
        raise ValueError(f"rv.collect: expected {name} to be 1 or more, got {value!r}.")
    return count


def _are_several(seeds: Any) -> bool:
    """Whether these are seeds, rather than the first of them or none."""
    if seeds is None:
        return False
    try:
        operator.index(seeds)
    except TypeError:
        return True
    return False


def _seeds(seeds: Any, episodes: int | None) -> tuple[Iterable[int], int | None]:
    """Return seeds, and how many episodes they are; None: as many as there are steps.

    Raises:
        ValueError: They are no seeds, or fewer than episodes.
    """
    if not _are_several(seeds):
        endless = itertools.count(0 if seeds is None else _seed(seeds))
        if episodes is None:
            return endless, None
        return itertools.islice(endless, episodes), episodes
    if (
        episodes is None
        and not hasattr(seeds, "__len__")
        and hasattr(seeds, "__iter__")
    ):
        first = list(itertools.islice(seeds := iter(seeds), 1))
        if first:  # it may be endless: the others are asked for one by one
            return map(_seed_of_several, itertools.chain(first, seeds)), None
        seeds = first
    try:
        known = [_seed(one) for one in itertools.islice(seeds, episodes)]
    except TypeError as error:
        raise _no_seeds(seeds) from error
    if not known or len(known) < (episodes or 0):
        raise ValueError(
            f"rv.collect: expected a seed for each of {episodes or 1} episodes, got "
            f"{len(known)}."
        )
    return known, len(known)


def _seed_of_several(value: Any) -> int:
    try:
        return _seed(value)
    except TypeError as error:
        raise _no_seeds(value) from error


def _no_seeds(value: Any) -> ValueError:
    return ValueError(
        "rv.collect: expected seeds to be numbers, or the first of them, got "
        f"{value!r:.100}."
    )


def _seed(value: Any) -> int:
    seed = operator.index(value)
    if seed < 0:
        raise ValueError(f"rv.collect: expected seeds of 0 or more, got {seed}.")
    return seed


def _num_workers(
    num_workers: int | None, backend: str, episodes: int | None, num_envs: int
) -> int:
    if num_workers is not None:
        num_workers = _count("num_workers", num_workers)
    if backend == "serial":
        if num_workers not in (None, 1):
            raise ValueError(
                "rv.collect: expected one worker with backend='serial', got "
                f"num_workers={num_workers}. Use num_envs=."
            )
        return 1
    if num_workers is None:
        has_set = hasattr(os, "sched_getaffinity")
        num_workers = len(os.sched_getaffinity(0)) if has_set else os.cpu_count() or 1
        if episodes is not None:
            num_workers = min(num_workers, -(-episodes // num_envs))
    return num_workers
