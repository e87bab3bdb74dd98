"""The recorder core: what adapters saw of an environment becomes rows of a cache.

The only writer of a cache. An adapter says what each call did to each env (a
kind), and how to get a picture; the recorder decides whether the call is kept,
which envs, and what of the picture. Knows rows and frames. Knows no framework.

Skipped calls are carried over: rewards add up, ends stay, transitions count. One
row cannot end an episode and begin the next, so what is carried over when its env
resets gets a row of its own, without a picture (``terminal_missing``).
"""

from __future__ import annotations

import functools
import operator
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import (
    FrameError,
    ReadOnlyError,
    RolloutViewerError,
    ShapeError,
)
from rollout_viewer._frames.convert import split_frames
from rollout_viewer._frames.transform import crop, resize
from rollout_viewer._recorder.episode_filter import EpisodeFilter
from rollout_viewer._recorder.skipped_steps import SkippedSteps
from rollout_viewer._recorder.views import ShownInNotebook
from rollout_viewer._recording.step_row import Kind
from rollout_viewer._recording.workers import is_worker, worker_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.step_row import Codes, Mask

    Pictures = Callable[[], Any]
    Size = tuple[int, int]

_RESET, _STEP, _IDLE, _MISSING = (np.uint8(kind) for kind in Kind)


class Recorder(ShownInNotebook):
    """Fills a cache from what `add` is told; one thread owns it.

    A pickled recorder carries its configuration and an empty cache. A deep copy
    shares cache and logger, and dumps what comes from then on.

    Args:
        num_envs: How many environments each call is about.
        cache: Where to record; a path: a new `FrameCache` there, in a worker of
            multiprocessing with ``-<pid>`` added to its stem; None: a new one in a
            temporary file.
        every: Record each n-th episode of each env, from its first. The others
            are idle, and cost no rendering where no env needs it. An episode's
            label ``episode`` is its number among all of its env.
        keep_episode: Asked with each `Episode` at its end; it is recorded only if
            this returns true. Rows are held back until then, so kept episodes
            follow one another, with the other envs idle. `start` and `stop` of
            what it is asked about are no rows of the cache.
        envs: Numbers of the envs whose pictures are kept; None: all. Rewards and
            ends are kept of all.
        skip: Keep each n-th call, resets included, from the first. A reset that
            cuts off a running episode is always kept.
        resize: (height, width) in pixels, after `crop`.
        crop: (height, width) of the middle, or (top, left, height, width).
        logger: Where `dump` writes; None: ``CSVLogger("rollouts")`` with mp4.
        tag: Name of dumps.
        fps: Of the environment; the cache's own wins.
        metadata: Of the environment, for `FrameCache.metadata`.

    Raises:
        TypeError: `cache` is no cache, or `logger` no logger.
        ReadOnlyError: `cache` is another process's, or opened for reading.
        ShapeError: `cache` has another number of envs.
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        cache: FrameCache | str | Path | None = None,
        every: int | None = None,
        keep_episode: Callable[[Episode], bool] | None = None,
        envs: Sequence[int] | None = None,
        skip: int = 1,
        resize: Size | None = None,
        crop: Sequence[int] | None = None,
        logger: Any = None,
        tag: str = "rollout",
        fps: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.envs = _checked_envs(envs, num_envs)
        self._every = _checked_count("every", 1 if every is None else every)
        self._skip = _checked_count("skip", skip)
        self._crop = _checked_box("crop", crop, (2, 4))
        self._resize = _checked_box("resize", resize, (2,))
        if keep_episode is not None and not callable(keep_episode):
            raise ValueError(
                "record: expected keep_episode to be callable, got "
                f"{keep_episode!r}. Pass a function of an Episode."
            )
        _check_logger(logger)
        self.tag = tag
        self.cache = _checked_cache(cache, num_envs)
        self._keep_episode = keep_episode
        self._logger = logger
        self._fps = fps
        self._metadata = metadata
        if fps:
            self.cache.mark_fps(fps)
        if metadata:
            self.cache.update_metadata(**metadata)
        self._sink: FrameCache | EpisodeFilter = (
            self.cache
            if keep_episode is None
            else EpisodeFilter(self.cache, keep_episode)
        )
        self._num_calls = 0
        self._is_kept = True
        self._has_gap = False
        self._infos: dict[int, dict[str, Any]] = {}
        self._mark = self.cache.num_rows
        self._start(num_envs)

    def _start(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self._carried = SkippedSteps(num_envs)
        self._episode = np.full(num_envs, -1, np.int64)
        self._is_running = np.zeros(num_envs, np.bool_)
        self._begins_late = np.zeros(num_envs, np.bool_)
        self._begins_anew = np.zeros(num_envs, np.bool_)

    def widen(self, num_envs: int) -> None:
        """Learn, before the first call, that there are more environments.

        Raises:
            ShapeError: The cache has another number of envs.
        """
        _checked_cache(self.cache, num_envs)
        self._start(num_envs)

    # -- recording

    def add(
        self,
        kind: Any,
        pictures: Pictures,
        *,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        action: Any = None,
        data: Mapping[str, Any] | None = None,
        infos: Mapping[int, Mapping[str, Any]] | None = None,
        is_same_call: bool = False,
        is_kept: bool | None = None,
    ) -> int | None:
        """Take in what one call did to all envs.

        If this raises, nothing is recorded, and the next row carries the rewards,
        ends and transitions.

        Args:
            kind: (B,) of `Kind`: what the call was to each env.
            pictures: Returns what `FrameCache.append` takes as frames; called only
                where it is kept.
            reward: (B,), of steps.
            terminated: (B,), of steps.
            truncated: (B,), of steps.
            action: (B, ...) that the call was given.
            data: Name -> (B, ...).
            infos: Env -> seed, options, labels of the episode that it begins.
            is_same_call: The second row of one call (an env that ended has been
                reset), kept or skipped as the first.
            is_kept: Whether to keep this call; None: each `skip`-th.

        Returns:
            The row, or None where nothing was recorded.

        Raises:
            FrameError: There is no picture, or it changed.
            ShapeError: Step data does not fit.
        """
        codes = np.array(kind, np.uint8)
        if codes.shape != (self.num_envs,):
            raise ShapeError(
                f"Recorder.add: expected kind of shape ({self.num_envs},), got "
                f"{codes.shape}."
            )
        begins = codes == _RESET
        if self._has_gap:
            # Nobody saw the frame at which this action was chosen.
            self._has_gap, action = False, None
            self._carried.clear(begins)
        self._flush(begins & (self._carried.count > 0))
        self._count_episodes(begins, infos or {})
        codes[self._episode % self._every > 0] = _IDLE
        is_reset = codes == _RESET
        is_step = (codes == _STEP) | (codes == _MISSING)
        is_cut_off = bool((is_reset & self._is_running).any())
        self._carried.add(is_step, reward, terminated, truncated, action)
        self._is_running = (self._is_running & ~begins) | is_reset | is_step
        self._is_running &= ~self._carried.has_ended
        self._begins_late |= is_reset
        if not is_same_call:
            is_due = self._num_calls % self._skip == 0
            self._is_kept = is_due if is_kept is None else is_kept
            self._num_calls += 1
        if (codes == _IDLE).all() or not (self._is_kept or is_cut_off):
            return None
        # What was skipped and is idle now still shows what it then came to.
        is_late = codes == _IDLE
        codes[is_late & self._begins_late] = _RESET
        codes[is_late & (self._carried.count > 0)] = _STEP
        frames, envs = self._view(pictures())
        row = self._append(codes, frames, envs, data)
        self._begins_late[:] = False
        return row

    def resume(
        self,
        begins: Mask,
        count: Any,
        reward: Any,
        infos: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """Go on after calls that `add` was not told of.

        Args:
            begins: (B,): the env runs another episode than at its last row. A step of
                it is then the first known row of that.
            count: (B,) transitions left out of the episode that runs.
            reward: (B,) sum of their rewards; NaN: none.
            infos: Env -> seed, options, labels of the episode that runs, of those that
                `begins` names.
        """
        anew = np.array(begins, np.bool_)
        self._carried.put(np.asarray(count), np.asarray(reward))
        self._is_running |= anew
        self._begins_anew |= anew
        self._begins_late |= anew & (self._carried.count == 0)
        self._infos.update({env: dict(info) for env, info in (infos or {}).items()})
        self._has_gap = True

    def _count_episodes(
        self, begins: Mask, infos: Mapping[int, Mapping[str, Any]]
    ) -> None:
        if not begins.any():
            return
        self._episode[begins] += 1
        for env in np.flatnonzero(begins).tolist():
            info = dict(infos.get(env, {}))
            if self._every > 1:
                label = {"episode": int(self._episode[env])}
                info["labels"] = {**label, **info.get("labels", {})}
            self._infos[env] = info

    def _flush(self, late: Mask) -> None:
        """Give what is carried over by envs that reset a row of its own."""
        if late.any():
            codes = np.where(late, _MISSING, _IDLE)
            count = self.num_envs if self.envs is None else len(self.envs)
            # None is a picture that is missing; no list at all is one that stays.
            is_shared = self._sink.is_shared
            frames = None if is_shared else [None] * count
            self._append(codes, frames, None if is_shared else self.envs, None)

    def _append(
        self,
        codes: Codes,
        frames: Any,
        envs: list[int] | None,
        data: Mapping[str, Any] | None,
    ) -> int:
        carried = self._carried
        is_step = (codes == _STEP) | (codes == _MISSING)
        row = self._sink.append(
            frames,
            envs=envs,
            kind=codes,
            reward=carried.reward,
            terminated=carried.terminated,
            truncated=carried.truncated,
            action=carried.action if is_step.any() else None,
            data=data,
            reset=self._begins_anew if self._begins_anew.any() else None,
            # None, as long as nothing was skipped: the cache is faster then.
            num_transitions=carried.count if carried.count.max() > 1 else None,
            episode_info=self._infos,
        )
        carried.clear(is_step)
        self._begins_anew &= codes == _IDLE
        for env in np.flatnonzero(codes != _IDLE).tolist():
            self._infos.pop(env, None)
        return row

    def _view(self, pictures: Any) -> tuple[Any, list[int] | None]:
        """Return the pictures to keep, and which envs they show (None: all)."""
        if self.envs is None and self._crop is None and self._resize is None:
            return pictures, None
        frames = split_frames(pictures)
        envs = None
        if self.envs is not None and len(frames) == self.num_envs:
            envs = self.envs
            frames = [frames[env] for env in envs]
        fitted = [frame if frame is None else self._fit(frame) for frame in frames]
        return fitted, envs

    def _fit(self, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self._crop is not None:
            frame = crop(frame, self._crop)
        if self._resize is not None:
            frame = resize(frame, (self._resize[0], self._resize[1]))
        return frame

    def finish(self) -> None:
        """Write everything to the file; the cache stays open and readable.

        Raises:
            StorageError: Something recorded could not be written.
        """
        self._flush(self._carried.count > 0)
        if isinstance(self._sink, EpisodeFilter):
            self._sink.finish()
        self.cache.flush()

    # -- copies

    def _configuration(self) -> dict[str, Any]:
        """Return the arguments that it was made with, but for the cache."""
        return {
            "num_envs": self.num_envs,
            "every": self._every,
            "keep_episode": self._keep_episode,
            "envs": self.envs,
            "skip": self._skip,
            "resize": self._resize,
            "crop": self._crop,
            "logger": self._logger,
            "tag": self.tag,
            "fps": self._fps,
            "metadata": self._metadata,
        }

    def __reduce__(self) -> tuple[Callable[[], Recorder], tuple[()]]:
        return functools.partial(type(self), **self._configuration()), ()

    def __deepcopy__(self, _: Any) -> Recorder:
        return type(self)(cache=self.cache, **self._configuration())

    # -- looking and leaving

    @property
    def logger(self) -> Any:
        """Where `dump` writes; the viewer's, if it was made before."""
        if self._logger is None and "viewer" in self.__dict__:
            self._logger = self.viewer.logger
        if self._logger is None:
            from rollout_viewer.loggers.csv import CSVLogger

            self._logger = CSVLogger("rollouts", video_format="mp4")
        return self._logger

    @functools.cached_property
    def viewer(self) -> Any:
        """A `RolloutViewer` over the cache, bound to logger and tag; made once.

        Raises:
            RolloutViewerError: This is a worker process, which no page can reach.
        """
        if is_worker():
            raise RolloutViewerError(
                "Recorder.viewer: expected the process that shows the notebook, got "
                f"worker {os.getpid()}, which no page can reach. Open the file in the "
                f"parent, also while it grows: rv.view({str(self.cache.path)!r})."
            )
        from rollout_viewer._viewer.widget import RolloutViewer

        return RolloutViewer(self.cache, logger=self._logger, tag=self.tag)

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        """Write the rows since the last dump through the logger, and move the mark.

        The cache keeps them. Where nothing came since, nothing is written.

        Args:
            suffix: Of the name, ``<tag>_<suffix>``.
            step: Of the training; None: the logger counts.

        Returns:
            The files, where the logger tells them.

        Raises:
            ExportError: They could not be written; the mark then stays.
        """
        from rollout_viewer._export.dump import dump_clip

        stop = self.cache.num_rows
        # A cache that was cleared, or given to a second recorder, may be shorter.
        start = self._mark if self._mark <= stop else 0
        if start == stop:
            return []
        name = self.tag if suffix is None else f"{self.tag}_{suffix}"
        paths = dump_clip(self.cache.clip(start, stop), self.logger, name, step=step)
        self._mark = stop
        return paths


def _checked_cache(cache: FrameCache | str | Path | None, num_envs: int) -> FrameCache:
    if cache is None or isinstance(cache, (str, Path)):
        return FrameCache(None if cache is None else worker_path(Path(cache)))
    if not isinstance(cache, FrameCache):
        raise TypeError(
            "record: expected cache to be a FrameCache or the path of a new one, got "
            f"{type(cache).__name__}."
        )
    if not cache.is_mine:
        raise ReadOnlyError(
            "record: expected a cache that this process writes, got "
            f"{str(cache.path)!r}, another's or opened for reading. Pass a path: each "
            "worker process then writes a file of its own, and rv.open([path, ...]) "
            "shows them as one."
        )
    if cache.num_envs not in (0, num_envs):
        raise ShapeError(
            f"record: expected a cache of {num_envs} envs, as the environment has, got "
            f"one of {cache.num_envs}. Record into a new one."
        )
    return cache


def _check_logger(logger: Any) -> None:
    if logger is not None and not callable(getattr(logger, "log_video", None)):
        raise TypeError(
            "record: expected a logger with log_video(tag, video, step), got "
            f"{type(logger).__name__}. Pass a rollout_viewer.loggers logger."
        )


def _checked_envs(envs: Sequence[int] | None, num_envs: int) -> list[int] | None:
    if envs is None:
        return None
    try:
        numbers = [operator.index(env) for env in envs]
    except TypeError:
        raise ShapeError(
            f"record: expected envs to be different numbers in 0..{num_envs - 1}, got "
            f"{envs!r}."
        ) from None
    is_there = all(0 <= env < num_envs for env in numbers)
    if not numbers or not is_there or len(set(numbers)) < len(numbers):
        raise ShapeError(
            f"record: expected envs to be different numbers in 0..{num_envs - 1}, got "
            f"{numbers}."
        )
    return numbers


def _checked_count(name: str, value: Any) -> int:
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or value < 1:
        raise ValueError(f"record: expected {name} to be 1 or more, got {value!r}.")
    return int(value)


def _checked_box(
    name: str, value: Sequence[int] | None, lengths: tuple[int, ...]
) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        box = tuple(operator.index(side) for side in value)
    except TypeError:
        box = ()
    if len(box) not in lengths or min(box) < 0 or min(box[-2:]) < 1:
        wanted = "(height, width)"
        if 4 in lengths:
            wanted += " or (top, left, height, width)"
        raise FrameError(f"record: expected {name}={wanted} in pixels, got {value!r}.")
    return box
