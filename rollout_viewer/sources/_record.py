"""record(env): an environment of any framework, wrapped so that it records itself.

The adapters are listed in `_adapters`. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rollout_viewer.sources._adapters import later_of, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._cache.remote_rows import RemoteCache
    from rollout_viewer._recorder.success import SuccessRule
    from rollout_viewer._recording.episode import Episode


def record(
    env: Any,
    *,
    cache: FrameCache | RemoteCache | str | Path | None = None,
    every: int | None = None,
    keep_episode: Callable[[Episode], bool] | None = None,
    envs: Sequence[int] | None = None,
    skip: int = 1,
    resize: tuple[int, int] | None = None,
    crop: Sequence[int] | None = None,
    logger: Any = None,
    tag: str = "rollout",
    render: Literal["now", "later"] = "now",
    make_env: Callable[..., Any] | None = None,
    info: bool | Iterable[str] = True,
    success: SuccessRule | None = None,
    reward_weights: Sequence[float] | None = None,
) -> Any:
    """Return `env`, wrapped so that it records itself.

    The result has the interface of `env`, for loops of your own, and also `cache`,
    `viewer` and `dump`. Closing it completes the recording's file; the cache stays
    open and readable.

    Args:
        env: A Gymnasium `Env` or `VectorEnv` made with ``render_mode="rgb_array"``,
            a TorchRL environment with an entry ``"pixels"`` or a `render`, or an
            object with reset, step and render. Where `render` takes ``env_ids`` or
            ``env_index``, it gets them. One picture of several envs is taken as env
            0's, with a warning, unless ``env.metadata["shared_picture"]`` is True.
        cache: Where to record, after the rows that are there; a path: a new cache
            there; None: a new one in a temporary file. In worker processes, what
            `FrameCache.remote` of their parent's cache returned: their rows come
            into that one.
        every: Record each n-th episode of each env; a call is rendered only where an
            env records it.
        keep_episode: Called with each `Episode` at its end; the episode is recorded
            where this returns true, or raises (which is a warning, once). Recorded
            episodes follow one another in the cache.
        envs: Numbers of the envs whose pictures are recorded; None: all.
        skip: Record each n-th call; its row has the sum of the rewards, the ends and
            the number of steps since the row before.
        resize: (height, width) in pixels, after `crop`.
        crop: (height, width) of the middle, or (top, left, height, width).
        logger: Where `dump` writes; None: ``CSVLogger("rollouts")`` with mp4.
        tag: Name of dumps.
        render: ``"later"``: `env` is not rendered, and need not be able to. Its seeds,
            random states and actions are kept, and `FrameCache.render`, or reading a
            picture, makes the pictures by stepping a new environment through them. With
            `every` or `keep_episode`, also in the background when an episode ends.
        make_env: With ``render="later"``, a function that returns the same environment
            anew, with ``render_mode="rgb_array"``; called with the env's number if it
            takes an argument. None: Gymnasium makes it, by its specification.
        info: Record what steps return as their info, as ``data["info.<key>"]``: True,
            False, or names of keys. Numbers, truth values, short texts and small
            arrays, up to 4 kB a row and env; the rest is left out, with a warning.
        success: How `Episode.success` is known: ``"end"`` (and None), by what the
            info of an episode's last step reports; ``"once"``, of any step;
            ``"reward_threshold"``, by a return of at least ``env.spec``'s; or a
            function of the `Episode` that has ended, which returns True, False or None.
        reward_weights: Where an environment returns rewards of several objectives, the
            weight of each in the reward that is recorded; None: all 1. The objectives
            are kept too, as ``data["vector_reward"]``.

    Raises:
        RenderError: The environment cannot render images, or is closed.
        UnsupportedEnvError: No adapter wraps it; or with ``render="later"``, it cannot
            be made again.
        RecordingError: The process of a remote `cache` cannot be reached.
        TypeError: `cache` is not a `FrameCache` or path, `logger` not a logger, or
            `info` no names.
        ValueError: An argument is out of its range, or `cache` has another number
            of envs.
    """
    return wrap(
        env,
        later=later_of("record", render, make_env),
        cache=cache,
        every=every,
        keep_episode=keep_episode,
        envs=envs,
        skip=skip,
        resize=resize,
        crop=crop,
        logger=logger,
        tag=tag,
        info=info,
        success=success,
        reward_weights=reward_weights,
    )
