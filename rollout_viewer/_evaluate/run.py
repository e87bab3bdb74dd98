"""One policy, from each seed: its episodes, recorded as a segment.

The only module here that runs environments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rollout_viewer._errors import ShapeError, UnsupportedEnvError
from rollout_viewer._progress import progress_bar
from rollout_viewer._viewer.notebook import is_notebook
from rollout_viewer.sources._record import record
from rollout_viewer.sources._rollout import rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._cache.cache import FrameCache

Backend = Literal["serial"]
Render = Literal["now", "later"]


def run_policy(
    make_env: Callable[[], Any],
    name: str,
    policy: Any,
    *,
    seeds: Sequence[int],
    cache: FrameCache,
    render: Render,
    num_workers: int | None,
    backend: Backend,
    deterministic: bool,
    progress: bool,
) -> None:
    """Record an episode from each seed, in a new environment that is closed after."""
    del num_workers, backend  # there is one
    env = make_env()
    try:
        recorded = _recorded(env, make_env, cache, render)
        # tqdm's own None asks for a terminal, which a notebook's output is not.
        is_hidden = not progress or (None if not is_notebook() else False)
        bar = progress_bar(name, len(seeds), unit="episode", is_hidden=is_hidden)
        with cache.segment(name), bar as shown:
            for seed in seeds:
                rollout(
                    recorded,
                    policy=policy,
                    episodes=1,
                    seed=seed,
                    deterministic=deterministic,
                    progress=False,
                )
                shown.update(1)
    finally:
        # What was wrapped: closing the wrapper would end the recording.
        if callable(close := getattr(env, "close", None)):
            close()


def _recorded(
    env: Any, make_env: Callable[[], Any], cache: FrameCache, render: Render
) -> Any:
    try:
        recorded = record(env, cache=cache, render=render)
    except UnsupportedEnvError:
        if render == "now":
            raise
        # It does not say itself how it is made again.
        recorded = record(env, cache=cache, render=render, make_env=make_env)
    num_envs = getattr(recorded, "num_envs", 1)
    if num_envs > 1:
        raise ShapeError(
            "rv.evaluate: expected make_env to return one environment, got a batch of "
            f"{num_envs}. Let it return one: each seed has an episode."
        )
    return recorded
