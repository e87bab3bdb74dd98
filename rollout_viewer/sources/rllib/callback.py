"""RLlibCallback: episodes of RLlib's EnvRunners, live in the driver's recording."""

from __future__ import annotations

import functools
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import RolloutViewerError, requires, warn_once
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.recorder_checks import checked_count
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer._recording.workers import own_path
from rollout_viewer.sources.rllib._delivery import Answer, Inbox, Outbox, outboxes_of
from rollout_viewer.sources.rllib._episode_slots import EpisodeSlots

if TYPE_CHECKING:
    from collections.abc import Mapping


TRAINING, EVALUATION = "training", "evaluation"


class RLlibCallback(RecorderViews):
    """Records episodes of a training with RLlib, for ``config.callbacks(...)``.

    The EnvRunners render and compress their episodes where they are; what travels to
    the driver after each iteration are compressed blocks, which it files without
    decoding. Where the Algorithm is in another process, as a trial of Ray Tune, it
    records there: into `cache` with ``-<pid>`` added to its stem, which must be a path.

    Episodes of the training are the segment ``"training"``, with the label
    ``training_iteration``; those of its evaluations the segment ``"evaluation"``, in
    envs of their own. All have the labels ``worker`` and ``policy_version`` (RLlib's
    number of the weights). An episode that goes on when an iteration ends is recorded
    to its end, and filed then; a runner that dies leaves what the driver has.

    Needs the new API stack, RLlib's default. The environment is to be made with
    ``env_config={"render_mode": "rgb_array"}``; without, there are no pictures. What
    cannot be recorded never ends the training: it is reported in a warning.

    Args:
        every: Record in each n-th training iteration, from the first. Each evaluation
            is recorded.
        episodes: How many, at most, of an iteration and of an evaluation: divided
            among the EnvRunners, each records the next ones that begin. They are as
            many envs of the recording.
        cache: Where to record: a `FrameCache`, or the path of a new one; None: a new
            one in a temporary file.
        logger: Of the viewer and of `dump`; None: ``CSVLogger("rollouts")``.
        tag: Name of dumps.

    Raises:
        ValueError: `every` or `episodes` is below 1.

    Example:
        >>> watch = RLlibCallback(every=5, episodes=2)
        >>> config = PPOConfig().callbacks(watch)  # doctest: +SKIP
        >>> watch.viewer  # doctest: +SKIP
    """

    def __init__(
        self,
        every: int = 1,
        episodes: int = 4,
        cache: FrameCache | str | Path | None = None,
        *,
        logger: Any = None,
        tag: str = "rllib",
    ) -> None:
        self.every = checked_count("every", every)
        self.episodes = checked_count("episodes", episodes)
        self._name = secrets.token_hex(8)
        self._path = None if isinstance(cache, FrameCache) else cache
        # With evaluations it has twice as many envs, which its cache counts itself.
        num_envs = cache.num_envs if isinstance(cache, FrameCache) else 0
        self._recorder: Recorder | None = Recorder(
            num_envs or self.episodes, cache=cache, logger=logger, tag=tag
        )
        self._inbox = Inbox()

    # -- the recording

    @property
    def _views_of(self) -> Recorder:
        if self._recorder is None:
            raise RolloutViewerError(
                "RLlibCallback: expected the process that made it, got another one. "
                "The recording is there."
            )
        return self._recorder

    # -- what RLlib does with a callback class: copies, sends and calls it

    def __call__(self) -> Any:
        """Return the callback of an Algorithm or of an EnvRunner.

        Raises:
            MissingDependencyError: Ray is not installed.
        """
        with requires("RLlibCallback", "rllib", "ray"):
            from rollout_viewer.sources.rllib._calls import Calls
        return Calls(self)

    def __getattr__(self, name: str) -> Any:
        hint = ""
        if name.startswith("on_"):
            hint = ". Pass an instance: config.callbacks(rv.RLlibCallback(every=5))"
        raise AttributeError(f"RLlibCallback has no attribute {name!r}{hint}")

    def __deepcopy__(self, memo: Any) -> RLlibCallback:
        return self

    def __getstate__(self) -> dict[str, Any]:
        # It is sent to each runner.
        return {**self.__dict__, "_recorder": None, "_inbox": Inbox()}

    # -- in the driver

    def collect(self, algorithm: Any, *, is_evaluation: bool) -> None:
        """File what the runners have recorded, and ask them for more."""
        if self._recorder is None and self._path is not None:
            self._recorder = Recorder(self.episodes, cache=own_path(Path(self._path)))
        if self._recorder is None:
            warn_once(
                "RLlibCallback: expected a path as cache, got an Algorithm in another "
                "process than the callback, as of Ray Tune: nothing is recorded. Pass "
                'cache="run.rollout".'
            )
            return
        evaluation = algorithm.eval_env_runner_group
        group = evaluation if is_evaluation else algorithm.env_runner_group
        if group is None:
            return
        wanted = {} if is_evaluation else self.wanted(algorithm.iteration + 1)
        self._inbox.collect(
            group,
            functools.partial(self.answer, wanted=wanted),
            self._recorder.cache,
            self.episodes * (1 if evaluation is None else 2),
        )

    def wanted(self, iteration: int) -> dict[str, Any] | None:
        """Return the labels of the episodes of an iteration; None: it has none."""
        if (iteration - 1) % self.every:
            return None
        return {"training_iteration": iteration}

    # -- in a runner

    def answer(
        self,
        runner: Any,
        *,
        confirmed: Mapping[str, int],
        wanted: Mapping[str, Any] | None,
    ) -> Answer:
        """Return what a runner has recorded, and ask it for more episodes.

        Args:
            runner: In whose process this is called.
            confirmed: Outbox -> how many of its blocks the driver has.
            wanted: Labels of the next episodes; None: none are to be recorded.
        """
        outbox = self._outbox_of(runner)
        answer = outbox.answer(confirmed)
        if wanted is not None:
            outbox.slots.want(wanted)
        return answer

    def slots_of(self, runner: Any) -> EpisodeSlots:
        """Return what records the episodes of a runner."""
        return self._outbox_of(runner).slots

    def _outbox_of(self, runner: Any) -> Outbox:
        outboxes = outboxes_of(runner)
        if self._name not in outboxes:
            outboxes[self._name] = self._new_outbox(runner)
        return outboxes[self._name]

    def _new_outbox(self, runner: Any) -> Outbox:
        config = runner.config
        is_evaluation = bool(config.in_evaluation)
        # The local runner is 0 where there are no others, and else records nothing.
        num_runners = max(int(config.num_env_runners), 1)
        number = max(int(runner.worker_index or 0), 1) - 1
        share, rest = divmod(self.episodes, num_runners)
        count = share + (number < rest)
        first = number * share + min(number, rest)
        slots = EpisodeSlots(count, EVALUATION if is_evaluation else TRAINING)
        return Outbox(slots, first + self.episodes * is_evaluation)
