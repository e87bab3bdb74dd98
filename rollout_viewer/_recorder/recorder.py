"""The recorder: calls of environments become rows of a cache.

The only writer of a cache. An adapter reports what each call did to each env (a
kind), and how to get a picture; the recorder decides whether the call is recorded,
of which envs, and which part of the picture. Knows rows and frames. Knows no framework.

The steps of skipped calls accumulate until the next row: rewards add up, transitions
are counted. What is skipped is a picture, never a number: an end has a row at once,
without a picture (``terminal_missing``), and so has what has accumulated when an env
resets. When the cache's episodes, scalars, columns or clips are read, or it is
exported, flushed, saved or closed, what has accumulated gets a row that shows the last
picture again. Reading rows that are there, by `at`, `num_rows` or a page, makes none: a
callback that does it after each step would undo `skip`.

A picture that cannot be recorded does not end a run: its row is recorded without it,
with one warning. Only the first one raises: such an environment cannot be recorded.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._cache.remote_rows import RemoteCache, RemoteRows
from rollout_viewer._errors import ShapeError
from rollout_viewer._files.names import checked_tag
from rollout_viewer._frames.fps import as_fps
from rollout_viewer._process.forks import Lock, make_anew_in_children, this_process
from rollout_viewer._recorder.counted_calls import CountedCalls
from rollout_viewer._recorder.dumps import ViewedAndDumped
from rollout_viewer._recorder.episode_filter import EpisodeFilter
from rollout_viewer._recorder.episode_quota import EpisodeLimit
from rollout_viewer._recorder.faults import FaultWarning
from rollout_viewer._recorder.frame_options import FrameOptions
from rollout_viewer._recorder.recorder_checks import (
    check_logger,
    check_skips_none,
    checked_cache,
    checked_count,
    discarded_on_error,
)
from rollout_viewer._recorder.skipped_steps import SkippedSteps
from rollout_viewer._recorder.step_call import step_call
from rollout_viewer._recorder.step_info import StepInfo, checked_names
from rollout_viewer._recorder.success import Successes, checked_rule
from rollout_viewer._recorder.vector_reward import VectorRewards, checked_weights
from rollout_viewer._recording.step_row import STEP
from rollout_viewer._recording.workers import own_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from rollout_viewer._cache.block_builder import BlockBuilder
    from rollout_viewer._recorder.episode_quota import EpisodeQuota
    from rollout_viewer._recorder.success import SuccessRule
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer._replay.recipe import Recipe

    Pictures = Callable[[], Any]
    Size = tuple[int, int]

_STEP = np.uint8(STEP)


class Recorder(CountedCalls, ViewedAndDumped):
    """Records calls of environments into a cache; one thread uses it.

    A pickled recorder has its configuration and an empty cache. A deep copy shares
    cache and logger, and dumps the rows recorded from then on.

    Args:
        num_envs: How many environments each call is about.
        cache: Where to record; a path: a new `FrameCache` there, in a worker of
            multiprocessing with ``-<pid>`` added to its stem; None: a new one in a
            temporary file. What `FrameCache.remote` returned: that cache, beside the
            other recorders that have it; `cache` has no rows then.
        every: Record each n-th episode of each env, from its first. In the others
            the env is idle, and nothing is rendered if all envs are. An episode's
            label ``episode`` is its number among all of its env.
        keep_episode: Called with each `Episode` at its end, which is recorded only if
            this returns true, or raises. Rows wait until then, so kept episodes follow
            one another, with the other envs idle. `start` and `stop` of its argument
            are not rows of the cache.
        envs: Numbers of the envs whose pictures are recorded; None: all. Rewards and
            ends are recorded of all.
        skip: Record each n-th call, resets included, from the first. A reset that
            cuts off a running episode is always recorded; an end always has a row,
            without a picture where its call is skipped.
        resize: (height, width) in pixels, after `crop`.
        crop: (height, width) of the middle, or (top, left, height, width).
        logger: Of `dump`; None: ``CSVLogger("rollouts")`` with mp4.
        tag: Name of dumps.
        fps: Of the environment; the cache's own has precedence.
        metadata: Of the environment, for `FrameCache.metadata`.
        shares_picture: One picture of several envs shows them all. Otherwise it is
            recorded as env 0's, with a warning.
        recipe: How the environments are made again: their pictures are rendered later,
            and no call is asked for any. None: each call is.
        info: Record what steps return as their info, as ``data["info.<key>"]``: True,
            False, or names of keys.
        success: How `Episode.success` is known: ``"end"`` (None too), by the info of an
            episode's last step; ``"once"``, of any; ``"reward_threshold"``, by its
            return; or a function of the `Episode` that has ended.
        reward_threshold: Of the environment.
        reward_weights: Of each of K objectives in the reward; None: their sum is it.
        needs_pictures: `add` raises where a picture cannot be recorded, as it always
            does before the first one.

    Attributes:
        num_calls: Calls that were counted so far, recorded or skipped.
        warning: Of the first fault that did not end the run.

    Raises:
        TypeError: `cache` is no cache, `logger` no logger, or `tag` no text.
        ReadOnlyError: `cache` is another process's, or opened for reading.
        RecordingError: The process of `cache` cannot be reached.
        ShapeError: `cache` has another number of envs.
        ValueError: An argument is out of its range.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        cache: FrameCache | RemoteCache | str | Path | None = None,
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
        shares_picture: bool = False,
        recipe: Recipe | None = None,
        info: bool | Iterable[str] = True,
        success: SuccessRule | None = None,
        reward_threshold: float | None = None,
        reward_weights: Sequence[float] | None = None,
        needs_pictures: bool = False,
    ) -> None:
        self._info_names = checked_names(info)
        self._success_rule = checked_rule(success, reward_threshold)
        self._reward_threshold = reward_threshold
        self._reward_weights = checked_weights(reward_weights)
        if self._reward_weights is not None:
            shown = {"reward_weights": [*self._reward_weights]}
            metadata = {**(metadata or {}), **shown}
        self._frame_options = FrameOptions(
            num_envs, envs, crop, resize, shares_picture=shares_picture
        )
        self._every = checked_count("every", 1 if every is None else every)
        self._given_every = every
        self._is_chosen = every is not None or keep_episode is not None
        self._skip = checked_count("skip", skip)
        if keep_episode is not None and not callable(keep_episode):
            raise ValueError(
                "record: expected keep_episode to be callable, got "
                f"{keep_episode!r}. Pass a function of an Episode."
            )
        check_logger(logger)
        self.tag = checked_tag("record", tag)
        self._remote = cache if isinstance(cache, RemoteCache) else None
        self.cache = (
            FrameCache()
            if isinstance(cache, RemoteCache)
            else checked_cache(cache, num_envs)
        )
        if recipe is not None:
            check_skips_none(self._skip)
            recipe = self._frame_options.apply_later(recipe)
        self._recipe = recipe
        self._renders_ended = (
            self._is_chosen and recipe is not None and self._remote is None
        )
        self._rendered = {}
        self.recipe_number = 0
        self._keep_episode = keep_episode
        self._logger = logger
        self._fps = fps
        self._metadata = metadata
        self._needs_pictures = needs_pictures
        self._has_pictures = False
        self.warning = FaultWarning()
        is_new = self.cache is not cache
        with discarded_on_error(self.cache) if is_new else contextlib.nullcontext():
            if rate := as_fps(fps):  # an environment's metadata may be anything
                self.cache.mark_fps(rate)
            if metadata:
                self.cache.update_metadata(**metadata)
            if recipe is not None:
                self.recipe_number = self.cache.add_recipe(recipe)
            # Held while a call is recorded; the cache may be read in any thread then.
            self._lock = threading.Lock()
            self._remote_rows: RemoteRows | None = None
            self._open_sink(num_envs)
        self.num_calls = 0
        self._is_recorded = True
        self._is_resumed = False
        self._infos = {}
        self._num_dumped = self.cache.num_rows
        self._limit = EpisodeLimit(num_envs)
        self._pid = this_process.pid
        self._start(num_envs)
        self.cache.before_reading(self.complete)
        make_anew_in_children(self, rank=0)

    def _open_sink(self, num_envs: int) -> None:
        """Record into the cache, here or elsewhere, or what is kept of it."""
        target: FrameCache | BlockBuilder = self.cache
        if self._remote is not None:
            target = self._remote_rows = RemoteRows(
                self._remote,
                num_envs,
                fps=self.cache.get_meta("fps"),
                metadata=self.cache.metadata,
                recipe=self._recipe,
                renders_ended=self._is_chosen,
                lock=self._lock,
            )
            self.recipe_number = self._remote_rows.recipe_number
        keep = self._keep_episode
        self._sink = (
            target if keep is None else EpisodeFilter(target, keep, self._render_ended)
        )
        # What the info of steps means is kept where the rows are.
        self._keeps_meta: FrameCache | BlockBuilder = target

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the user's code runs while a call is recorded."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the lock anew, in a forked child."""
        del is_whole
        self._lock = threading.Lock()
        self.buffer = self.many = None

    def _start(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.buffer = self.many = self._step_form = self._reset_form = None
        self._skipped = SkippedSteps(num_envs)
        self._vectors = VectorRewards()
        self._stop = 0
        self._step_info = StepInfo(num_envs, self._info_names, self._keeps_meta)
        self._successes = Successes(
            num_envs, self._success_rule, self._reward_threshold
        )
        self._episode = np.full(num_envs, -1, np.int64)
        self._is_running = np.zeros(num_envs, np.bool_)
        # Envs whose reset was skipped since their last row, and envs whose next row is
        # the first recorded one of an episode that runs.
        self._has_skipped_reset = np.zeros(num_envs, np.bool_)
        self._joins_episode = np.zeros(num_envs, np.bool_)
        self._all_step = np.full(num_envs, _STEP).tobytes()
        self._everyone = np.ones(num_envs, np.bool_)
        self._nobody = np.zeros(num_envs, np.bool_)
        for constant in (self._everyone, self._nobody):
            constant.flags.writeable = False
        # Whether nothing has accumulated, so that a call is recorded as it came.
        self._is_settled = False
        # Besides, whether a step that is like the last one is only appended.
        self._is_lean = False
        self._call = None

    def _record_in_child(self) -> None:
        """Record for this process, which forked: into the same cache, or a file."""
        path = None if self.cache.recording.is_temporary else own_path(self.cache.path)
        self.__dict__.pop("viewer", None)
        self._pid = this_process.pid
        self.cache = cache = FrameCache(path)
        if rate := as_fps(self._fps):
            cache.mark_fps(rate)
        if self._metadata:
            cache.update_metadata(**self._metadata)
        if self._recipe is not None:
            self.recipe_number = cache.add_recipe(self._recipe)
        self._open_sink(self.num_envs)
        self.num_calls, self._num_dumped, self._is_recorded = 0, 0, True
        self._infos = {}
        self._start(self.num_envs)
        cache.before_reading(self.complete)
        # The running episode is recorded from its next row.
        nothing = np.zeros(self.num_envs, np.int64)
        begins = np.ones(self.num_envs, np.bool_)
        self.resume(begins, nothing, np.full(self.num_envs, np.nan))

    @property
    def is_inherited(self) -> bool:
        """Whether this process forked, and has recorded nothing itself yet."""
        return self._pid != this_process.pid

    def widen(self, num_envs: int) -> None:
        """Change the number of environments, before the first call.

        Raises:
            ShapeError: The cache has another number of envs.
        """
        checked_cache(self.cache, num_envs)
        if self._remote_rows is not None:
            self._remote_rows.finish()
            self._open_sink(num_envs)
        self._start(num_envs)
        self._limit.spread(num_envs)

    def redirect(self, sink: BlockBuilder) -> None:
        """Record into `sink` in place of the cache, which stays without rows."""
        self._settle()
        self._sink = self._keeps_meta = sink
        self._is_lean = False
        self._step_info = StepInfo(self.num_envs, self._info_names, sink)

    def limit_episodes(self, quota: EpisodeQuota | None) -> None:
        """Record the episodes of a quota, from the next reset of each env; None: all.

        An env that has had its episodes is idle from its next reset on.
        """
        self._settle()
        self._limit.quota = quota
        self._is_lean = False

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
        sums: Mapping[str, Any] | None = None,
        infos: Mapping[int, Mapping[str, Any]] | None = None,
        step_info: Any = None,
        final_info: Any = None,
        is_same_call: bool = False,
        is_kept: bool | None = None,
    ) -> int | None:
        """Record what one call did to all envs.

        Pictures that cannot be recorded are missing in the row, with one warning. If
        this raises, nothing is recorded, and the next row includes the rewards, ends
        and transitions. Only where it was interrupted, as by Ctrl-C, the row may be
        there, whole, or its call may be in no row.

        Args:
            kind: (B,) of `Kind`: what the call was to each env.
            pictures: Returns the frames for `FrameCache.append`; called only if the
                call is recorded.
            reward: (B,), of steps; of K objectives (B, K), which are recorded as
                ``data["vector_reward"]``, and their sum, or that of their products
                with `reward_weights`, as the reward.
            terminated: (B,), of steps.
            truncated: (B,), of steps.
            action: (B, ...), the argument of the call.
            data: Name -> (B, ...).
            sums: Name -> (B,), of steps: data that adds up over skipped calls.
            infos: Env -> seed, options, labels of the episode that it begins.
            step_info: What the call returned as info: one dict for each env, or one of
                them all; see `StepInfo.add`.
            final_info: The same of the envs that ended, where `step_info` is of their
                resets.
            is_same_call: This is the second row of one call (an env that ended has
                been reset), recorded or skipped as the first.
            is_kept: Whether to record this call; None: each `skip`-th.

        Returns:
            The row, or None where nothing was recorded.

        Raises:
            Exception: There was no picture that can be recorded so far, or with
                `needs_pictures` there is none now: FrameError, or what `pictures`
                raised.
            ShapeError: Step data does not fit.
        """
        if self._pid != this_process.pid:
            self._record_in_child()
        codes = np.array(kind, np.uint8)
        if codes.shape != (self.num_envs,):
            raise ShapeError(
                f"Recorder.add: expected kind of shape ({self.num_envs},), got "
                f"{codes.shape}."
            )
        step = reward, terminated, truncated, action
        with self._lock:
            if self.buffer is not None or self.many is not None:
                self._settle()
            step_infos = step_info, final_info
            if self._is_lean and not sums and is_kept is not False:
                row = self._add_like_last(
                    codes, step, data, infos, step_infos, is_same_call=is_same_call
                )
                if row is not None:
                    return row
            is_plain = is_kept is not False and not (sums or self._reward_weights)
            if self._is_settled and is_plain:
                call = step_call(self.num_envs, *step)
                if call is not None:
                    return self._add_at_once(
                        codes,
                        call,
                        pictures,
                        data,
                        infos,
                        step_infos,
                        is_same_call=is_same_call,
                    )
            self._is_settled = self._is_lean = False
            is_due = self._count_call(
                codes,
                step,
                sums,
                infos,
                step_infos,
                is_same_call=is_same_call,
                is_kept=is_kept,
            )
            if not is_due:
                # What is skipped is a picture, not the end of an episode.
                self._record_skipped(self._skipped.has_ended)
                return None
            row = self._record(codes, pictures, data)
            self._is_settled = self._has_nothing_left()
            return row

    def add_picture(self, pictures: Pictures) -> int:
        """Record a row of pictures between two steps, without a step.

        Returns:
            The row.

        Raises:
            FrameError: There is no picture, or its size or dtype changed.
        """
        codes = np.full(self.num_envs, _STEP, np.uint8)
        no_steps = np.zeros(self.num_envs, np.int64)
        with self._lock:
            self._settle()
            frames, envs = self._frame_options.apply(pictures(), self.num_envs)
            is_newest = self._is_newest
            row = self._sink.append(
                frames, envs=envs, kind=codes, num_transitions=no_steps
            )
            if is_newest:
                self._stop = self._sink.num_appended
            return row

    def add_unknown_step(self) -> None:
        """Count a step of all running episodes of which nothing is known.

        Its reward is NaN.
        """
        with self._lock:
            self._settle()
            self._is_settled = self._is_lean = False
            unknown = np.full(self.num_envs, np.nan)
            self._skipped.add(self._is_running, unknown, None, None, None)
            self.num_calls += 1

    def resume(
        self,
        begins: Mask,
        count: Any,
        reward: Any,
        infos: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> None:
        """Continue after calls that were not reported to `add`.

        Args:
            begins: (B,): the env is in another episode than at its last row. If its
                next row is a step, that is the episode's first recorded row.
            count: (B,) unreported transitions of the running episode.
            reward: (B,) sum of their rewards; NaN: none.
            infos: Env -> seed, options, labels of the running episode, for the envs in
                `begins`.
        """
        self._settle()
        self._is_settled = self._is_lean = False
        begun = np.array(begins, np.bool_)
        self._skipped.replace(np.asarray(count), np.asarray(reward))
        self._is_running = self._is_running | begun
        self._successes.begin(begun)
        self._joins_episode |= begun
        self._has_skipped_reset |= begun & (self._skipped.count == 0)
        self._infos.update(
            {env: self._with_segment(info) for env, info in (infos or {}).items()}
        )
        self._is_resumed = True

    def finish(self) -> None:
        """Write everything to the file; the cache stays open and readable.

        Waits for episodes that are rendered in the background.

        Raises:
            StorageError: Something recorded could not be written.
        """
        if not self.cache.is_mine:  # in a forked process that recorded nothing
            return
        self._settle()
        self.complete()
        if isinstance(self._sink, EpisodeFilter):
            self._sink.finish()
        if self._remote_rows is not None:
            self._remote_rows.finish()
        if self._renders_ended and self._is_newest:
            self._render_newest(self._is_running)
        try:
            # Interrupted, it leaves what still waits to be rendered when it is read.
            self._warn_of(self.cache.finish_rendering())
        finally:
            self.cache.flush_at_end()

    # -- copies

    def __reduce__(self) -> tuple[Callable[[], Recorder], tuple[()]]:
        make = functools.partial(
            type(self), cache=self._remote, **self._configuration()
        )
        return make, ()

    def __deepcopy__(self, _: Any) -> Recorder:
        cache = self.cache if self._remote is None else self._remote
        return type(self)(cache=cache, **self._configuration())
