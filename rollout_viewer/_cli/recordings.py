"""The recordings that commands make: of so many steps, or of an episode a seed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RolloutViewerError

if TYPE_CHECKING:
    import argparse
    import pathlib
    from collections.abc import Callable


def record_steps(
    env_id: str,
    *,
    num_envs: int,
    steps: int,
    seed: int | None,
    path: pathlib.Path,
    load: Callable[[Any], Any] = lambda space: None,
) -> pathlib.Path:
    """Record `steps` steps of `num_envs` environments.

    `load` returns the policy for an action space; None: random actions.

    Returns:
        The path of the recording: `path`, with -1, -2, ... where that was taken.

    Raises:
        RolloutViewerError: The environment cannot be made, or fails at its first
            reset; no file is left then.
    """
    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer.sources._make_envs import errors_name_env, make_envs
    from rollout_viewer.sources._rollout import rollout

    envs = make_envs(env_id, num_envs)
    try:
        policy = load(envs.action_space)
        cache = FrameCache(path, metadata={"env_id": env_id, "seed": seed})
        try:
            with cache, errors_name_env(env_id):
                rollout(
                    envs,
                    policy=policy,
                    max_steps=steps,
                    seed=seed,
                    cache=cache,
                    deterministic=True,
                    progress=is_shown(),
                )
        finally:
            if not cache.num_rows:
                cache.path.unlink(missing_ok=True)
        return cache.path
    finally:
        envs.close()


def record_seeds(arguments: argparse.Namespace, path: pathlib.Path) -> pathlib.Path:
    """Record an episode from each seed, as a segment with the policy's name."""
    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer.sources._collect.collect import collect
    from rollout_viewer.sources._make_envs import env_maker, errors_name_env

    for option in ("num_envs", "steps", "seed"):
        if getattr(arguments, option) is not None:
            name = option.replace("_", "-")
            raise RolloutViewerError(
                f"record: expected --seeds or --{name}, got both. With --seeds, one "
                "environment has an episode from each seed."
            )
    name = arguments.policy
    if arguments.checkpoint is not None:
        name = f"{name}:{arguments.checkpoint.name}"
    make_env = env_maker(arguments.env_id)
    env = make_env()
    try:
        policy = chosen_policy(arguments, getattr(env, "action_space", None))
    finally:
        env.close()
    workers = _num_workers(arguments, policy)
    cache = FrameCache(path, metadata={"env_id": arguments.env_id})
    try:
        with cache, errors_name_env(arguments.env_id), cache.segment(name):
            collect(
                make_env,
                policy,
                seeds=arguments.seeds,
                cache=cache,
                num_workers=workers,
                backend="serial" if workers == 1 else "processes",
                success=arguments.success,
                deterministic=True,
                progress=is_shown(),
            )
    finally:
        if not cache.num_rows:
            cache.path.unlink(missing_ok=True)
    return cache.path


def chosen_policy(arguments: argparse.Namespace, action_space: Any) -> Any:
    """Return the policy that the arguments name; None: random actions."""
    from rollout_viewer.sources._load_policy import load_policy

    return load_policy(
        arguments.policy,
        arguments.checkpoint,
        allow_pickle=arguments.allow_pickle,
        action_space=action_space,
    )


def is_shown() -> bool:
    """Return whether stderr is a terminal: bars in a log file are only noise."""
    return sys.stderr.isatty()


def _num_workers(arguments: argparse.Namespace, policy: Any) -> int | None:
    """Return how many processes collect; 1: this one, None: one for each core."""
    from rollout_viewer.sources._collect.policy import pickled

    workers: int | None = arguments.workers
    if workers == 1 or (workers is None and len(arguments.seeds) == 1):
        return 1
    try:
        pickled("policy", policy)
    except TypeError as error:
        if workers is None:
            return 1
        raise RolloutViewerError(
            f"record: expected a policy that other processes can get, for --workers "
            f"{workers}, got {arguments.policy} ({error.__cause__!r:.200}). Use "
            "--workers 1."
        ) from error
    return workers
