"""rollout(env): the usual loop over an environment of any framework, recorded.

Steps a `RolloutEnv`. Knows no framework.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rollout_viewer._cache.kept_on_error import kept_on_error
from rollout_viewer._cache.remote_rows import RemoteCache
from rollout_viewer._errors import (
    RolloutViewerError,
    RolloutViewerWarning,
    ShapeError,
)
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer._progress import progress_bar
from rollout_viewer._viewer.notebook import is_notebook
from rollout_viewer.sources._record import record
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.episode_quota import EpisodeQuota
    from rollout_viewer._recorder.success import SuccessRule
    from rollout_viewer.sources._rollout_env import RolloutEnv, Seed

    Mask = npt.NDArray[np.bool_]
    Act = Callable[[Any, Mask], Any]


_MAX_STEPS = 1000  # where no number of episodes is asked for


def rollout(
    env: Any,
    *,
    policy: Any = None,
    max_steps: int | None = None,
    episodes: int | None = None,
    callback: Callable[[FrameCache, int], Any] | None = None,
    seed: Seed = None,
    deterministic: bool = False,
    break_when_any_done: bool = False,
    cache: FrameCache | str | Path | None = None,
    progress: bool = True,
    render: Literal["now", "later"] = "now",
    make_env: Callable[..., Any] | None = None,
    info: bool | Iterable[str] = True,
    success: SuccessRule | None = None,
    reward_weights: Sequence[float] | None = None,
) -> FrameCache:
    """Step `env` with a policy, record it, and return the recording.

    Starts with a reset and resets ended envs. Never closes `env`. The rows before an
    error, or Ctrl-C, are kept, in the exception's ``cache``.

    Args:
        env: As for `record`, or what `record` returned.
        policy: Takes an observation (of a vector env: the batch) and returns an
            action; or has ``predict(observation, ...)`` like Stable-Baselines3's
            models, and gets its recurrent state back. Of a TorchRL environment a
            `TensorDictModule`, or a function of a tensordict. None: random actions.
        max_steps: Calls of `env.step` at most; None: 1000, or with `episodes` no
            limit.
        episodes: Record this many episodes, from reset to end. They are divided among
            the envs before the first begins, as by Stable-Baselines3's
            ``evaluate_policy``: the first to end would be the short ones. An env that
            has had its own is idle. Of PettingZoo's agents, an episode is that of all.
            If `max_steps` comes first, a warning reports it.
        callback: Called as ``callback(cache, row)`` after each step; the rollout
            ends when it returns False.
        seed: Of the first reset, and of random actions (``env.action_space``). Of a
            vector env also one for each env; random actions take the first.
        deterministic: Passed to ``policy.predict``; of a TorchRL environment, the
            exploration type is DETERMINISTIC.
        break_when_any_done: Stop when an episode ends.
        cache: Where to record, after the rows that are there; a path: a new cache
            there; None: a new one in a temporary file.
        progress: Show a bar in notebooks and terminals.
        render: As for `record`: with ``"later"``, pictures are rendered when they are
            looked at.
        make_env: As for `record`.
        info: As for `record`; of what it returned, its own.
        success: As for `record`; of what it returned, its own.
        reward_weights: As for `record`; of what it returned, its own.

    Returns:
        The cache, open for more.

    Raises:
        ShapeError: The policy returned an action of another shape than
            ``env.action_space``, which the environment does not get; or `cache`
            has another number of envs.
        RenderError: The environment cannot render images, or is closed.
        UnsupportedEnvError: No adapter wraps it.
        RolloutViewerError: The rows of `env` are sent to another process.
        ValueError: `max_steps` or `episodes` is below 1.
    """
    if max_steps is not None:
        _check_count("max_steps", max_steps)
    elif episodes is None:
        max_steps = _MAX_STEPS
    if episodes is not None:
        _check_count("episodes", episodes)
    stepped = _recorded(
        env,
        cache,
        render=render,
        make_env=make_env,
        info=info,
        success=success,
        reward_weights=reward_weights,
    )
    is_new = not isinstance(env, RecordingWrapper) and not hasattr(cache, "append")
    cache, recorder = stepped.recorder.cache, stepped.recorder
    with kept_on_error("rv.rollout", cache, is_new=is_new):
        quota = None if episodes is None else stepped.limit_episodes(episodes)
        is_over = _end_of(cache, callback, quota, break_when_any_done)
        how = policy, seed, deterministic, max_steps, is_over
        try:
            is_complete = _run(stepped, *how, progress=progress)
        finally:
            recorder.limit_episodes(None)
    if quota is not None and not is_complete:
        warnings.warn(
            f"rv.rollout: expected {episodes} episodes, got {quota.num_ended} in "
            f"max_steps={max_steps}. Raise max_steps.",
            RolloutViewerWarning,
            stacklevel=2,
        )
    return cache


def _end_of(
    cache: FrameCache,
    callback: Callable[[FrameCache, int], Any] | None,
    quota: EpisodeQuota | None,
    break_when_any_done: bool,
) -> Callable[[Mask], bool]:
    """Return a function, called after each step with the ends: is the rollout over?"""

    def is_over(ended: Mask) -> bool:
        if callback is not None and callback(cache, cache.num_rows - 1) is False:
            return True
        is_met = quota is not None and quota.is_met
        return is_met or (break_when_any_done and bool(ended.any()))

    return is_over


def _run(
    env: RolloutEnv,
    policy: Any,
    seed: Seed,
    deterministic: bool,
    max_steps: int | None,
    is_over: Callable[[Mask], bool],
    *,
    progress: bool,
) -> bool:
    """Step `env` from its reset until it is over; see `_step_until`."""
    compiled = getattr(type(env), "run_compiled", None)
    if compiled is not None:  # not that of what it wraps
        with _bar(max_steps, progress) as bar:
            found: bool = compiled(env, policy, seed, max_steps, is_over, bar)
        return found
    act = make_actor(policy, env, seed, deterministic)
    observation, _ = env.reset(seed=seed)
    batch = env.rollout_env()
    if batch is not env:  # its first observation is a batch
        env, act = batch, make_actor(policy, batch, seed, deterministic)
    with _bar(max_steps, progress) as bar:
        return _step_until(env, act, observation, max_steps, is_over, bar)


def _step_until(
    env: RolloutEnv,
    act: Act,
    observation: Any,
    max_steps: int | None,
    is_over: Callable[[Mask], bool],
    bar: Any,
) -> bool:
    """Step `env` until it is over; return False where `max_steps` came first."""
    for step in itertools.count(1):
        action = act(observation, env.begins)
        observation, _, terminated, truncated, _ = env.step(action)
        bar.update()
        ended = np.atleast_1d(_mask(terminated) | _mask(truncated))
        if is_over(ended):
            return True
        if step == max_steps:
            break
        fresh = env.reset_ended(ended)
        observation = observation if fresh is None else fresh
    return False


def _recorded(
    env: Any, cache: FrameCache | str | Path | None, **options: Any
) -> RolloutEnv:
    """Return what to step of `env`, recorded."""
    if isinstance(cache, RemoteCache):
        raise TypeError(
            "rv.rollout: expected cache to be a FrameCache or the path of a new one, "
            "got a RemoteCache, which has no rows to return. In a worker, step "
            "rv.record(env, cache=remote) yourself."
        )
    # Not hasattr, which would start the workers of a TorchRL environment.
    if not isinstance(env, RecordingWrapper):
        wrapped: RecordingWrapper = record(env, cache=cache, **options)
        return wrapped.rollout_env()
    if env.recorder.remote is not None:
        raise RolloutViewerError(
            "rv.rollout: expected an environment that records here, got one whose rows "
            f"are sent to {env.recorder.remote!r}, so that there are none to return. "
            "Step it yourself; its rows come into that cache."
        )
    if options["render"] == "later" and not env.recorder.renders_later:
        raise ValueError(
            "rv.rollout: expected render='later' with a bare environment, got one that "
            "record() returned. Pass render='later' to record()."
        )
    if cache is not None and cache is not env.recorder.cache:
        raise ValueError(
            "rv.rollout: expected no cache= for an environment that record() returned, "
            "which has one, got another. Pass the bare environment."
        )
    stepped = env.rollout_env()
    stepped.check_open()
    return stepped


def make_actor(policy: Any, env: RolloutEnv, seed: Seed, deterministic: bool) -> Act:
    """Return a function of observation and episode starts that returns an action.

    Args:
        policy: As for `rollout`.
        env: What is stepped.
        seed: Of random actions.
        deterministic: Passed to the policy.

    Raises:
        ValueError: The policy is none.
    """
    if hasattr(env, "actor"):
        own: Act = env.actor(policy, seed, deterministic)
        return own
    space = getattr(env, "action_space", None)
    if policy is None:
        if space is None:
            raise ValueError(
                "rv.rollout: expected a policy for an environment without an "
                "action_space, got None. Pass policy=, a function of an observation."
            )
        first = seed[0] if isinstance(seed, (list, tuple)) else seed
        if first is not None:
            space.seed(first)
        return lambda observation, begins: space.sample()
    if callable(getattr(policy, "predict", None)):
        choose = _predictor(policy.predict, deterministic)
    elif callable(policy):
        choose = lambda observation, begins: policy(observation)  # noqa: E731
    else:
        raise ValueError(
            "rv.rollout: expected policy to be callable or to have predict(), got "
            f"{type(policy).__name__}."
        )

    def act(observation: Any, begins: Mask) -> Any:
        action = as_numpy(choose(observation, begins))
        _check_action(action, space)
        return action

    return act


def _predictor(predict: Callable[..., Any], deterministic: bool) -> Act:
    """Return an `Act` that passes on the policy's recurrent state, if it has one."""
    known = inspect.signature(predict).parameters
    accepts_all = any(p.kind is p.VAR_KEYWORD for p in known.values())
    state: Any = None

    def act(observation: Any, begins: Mask) -> Any:
        nonlocal state
        options = {
            "state": state,
            "episode_start": begins,
            "deterministic": deterministic,
        }
        given = {k: v for k, v in options.items() if accepts_all or k in known}
        result = predict(observation, **given)
        # SB3 returns (action, state).
        if isinstance(result, tuple) and len(result) == 2:
            result, state = result
        return result

    return act


def _check_action(action: Any, space: Any) -> None:
    if action is None:
        raise ShapeError(
            "rv.rollout: expected policy to return an action, got None. Return what "
            "env.action_space.sample() would."
        )
    shape = getattr(space, "shape", None)
    # Dict, Tuple and Text spaces have no single shape: the environment checks these.
    if shape is None or isinstance(action, (dict, tuple)):
        return
    if np.shape(action) != tuple(shape):
        raise ShapeError(
            f"rv.rollout: expected policy to return an action of shape {tuple(shape)}, "
            f"got {np.shape(action)}. Return what env.action_space.sample() would."
        )


def _mask(value: Any) -> Mask:
    return np.asarray(as_numpy(value), np.bool_)


def _check_count(name: str, value: Any) -> None:
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or value < 1:
        raise ValueError(f"rv.rollout: expected {name} to be 1 or more, got {value!r}.")


def _bar(total: int | None, is_wanted: bool) -> Any:
    # tqdm's own None asks for a terminal, which a notebook's output is not.
    is_hidden = not is_wanted or (None if not is_notebook() else False)
    return progress_bar("rollout", total, unit="step", is_hidden=is_hidden)
