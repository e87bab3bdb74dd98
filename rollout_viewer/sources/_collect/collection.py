"""What the backends of `collect` share: rows are filed, counted and reported."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rollout_viewer._recorder.success import Successes, checked_rule
from rollout_viewer.sources._collect.messages import WantsJobs

# What a worker asks for that waits for it.
ONE_JOB = WantsJobs(1, has_steps=False, is_ahead=False)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._cache.block_filer import BlockFiler, FiledRows
    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.success import SuccessRule
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer.sources._collect.jobs import Job, Jobs
    from rollout_viewer.sources._collect.progress import CollectProgress
    from rollout_viewer.sources._collect.runner import EnvDeclaration


class Collection:
    """Episodes on their way into a cache. One thread uses it.

    Args:
        cache: Where they go.
        jobs: Which they are.
        filer: Brings them there.
        progress: What is shown.
        make_env: Of the user's.
        on_episode: Called with each finished episode; ends it all by returning False.
        success: As for `record`. What each step's info reports, workers note.

    Attributes:
        is_stopping: No more episodes are given out.
    """

    def __init__(
        self,
        cache: FrameCache,
        jobs: Jobs,
        filer: BlockFiler,
        progress: CollectProgress,
        make_env: Callable[..., Any],
        on_episode: Callable[[Episode], Any] | None,
        success: SuccessRule | None = None,
    ) -> None:
        self.jobs = jobs
        self.filer = filer
        self.progress = progress
        self.is_stopping = False
        self._cache = cache
        self._make_env = make_env
        self._on_episode = on_episode
        self._success = success
        # Of rules that need whole episodes: workers know the rows of a block alone.
        self._successes: Successes | None = None
        # Worker -> the episodes that it was given, by number.
        self._assigned: dict[int, dict[int, Job]] = {}
        self._unreported: list[Episode] = []

    def declare(self, declaration: EnvDeclaration, first_env: int) -> int:
        """Keep what an environment declares; return the number of its recipe.

        Args:
            declaration: Of it.
            first_env: The number of its first env among all.

        Raises:
            ValueError: It has no threshold, and `success` needs one.
        """
        rule = checked_rule(self._success, declaration.reward_threshold)
        if callable(rule) or rule == "reward_threshold":
            self._successes = Successes(0, rule, declaration.reward_threshold)
        if declaration.fps is not None:
            self._cache.mark_fps(declaration.fps)
        self._cache.update_metadata(**declaration.metadata)
        recipe = declaration.recipe
        if recipe is None:
            return 0
        if recipe.make_env is not None:
            # The caller's own rather than the worker's copy: all workers have the same.
            recipe = replace(recipe, make_env=self._make_env)
        elif len(recipe.specs) > 1:
            recipe = replace(recipe, specs=recipe.specs[:1] * first_env + recipe.specs)
        return self._cache.add_recipe(recipe)

    def next_jobs(
        self, worker: int, wanted: WantsJobs = ONE_JOB, num_workers: int = 1
    ) -> list[Job]:
        """Return the next episodes for a worker; []: there is none.

        Args:
            worker: Its number.
            wanted: How many it wants.
            num_workers: Among which they are shared.
        """
        if self.is_stopping:
            return []
        count, has_steps, is_ahead = wanted
        jobs = self.jobs.take(
            count, num_workers, has_steps=has_steps, is_ahead=is_ahead
        )
        own = self._assigned.setdefault(worker, {})
        own.update((job.number, job) for job in jobs)
        return jobs

    def give_back(self, worker: int, numbers: Sequence[int]) -> None:
        """Take back episodes that a worker was given and has not begun."""
        own = self._assigned.get(worker, {})
        for job in [own.pop(number) for number in numbers if number in own]:
            self.jobs.give_back(job)

    @property
    def is_awaited(self) -> bool:
        """Whether a viewer shows rows as they come, or a function gets episodes."""
        return self._on_episode is not None or self._cache.is_watched

    def file(self) -> FiledRows:
        """File the oldest blocks; return what is new."""
        filed = self.filer.file()
        for worker, count in filed.num_steps.items():
            self.progress.add_steps(worker, count)
        is_wanted = self._successes is not None or self._on_episode is not None
        for one in filed.finished:
            assert one.job is not None
            worker = self.filer.worker_of(one.env)
            job = self._assigned.get(worker, {}).pop(one.job, None)
            if job is not None and self.jobs.finish(job):
                self.progress.add_episode()
                if is_wanted:
                    self._unreported.append(self._judged(one.episode))
        self.report()
        return filed

    def _judged(self, episode: Episode) -> Episode:
        """Return an episode with what a rule of whole ones says of its success."""
        if self._successes is None:
            return episode
        success = self._successes.of(episode)
        self._cache.mark_success(episode, success)
        return replace(episode, success=success)

    def report(self) -> None:
        """Call the user's function for the episodes that finished."""
        while self._unreported and self._on_episode is not None:
            try:
                wants_more = self._on_episode(self._unreported.pop(0))
            except Exception:
                # Else it would raise again while the rows of workers are taken in.
                self._on_episode = None
                raise
            if wants_more is False:
                self.is_stopping = True
        self._unreported = []

    def end(self, worker: int, *, is_cut: bool = False) -> None:
        """Note that a worker takes no more steps, and all its rows are filed.

        What it was given and has not finished is lost, unless collecting stops. If it
        did not say which episodes it had not begun, that are all but the first, one for
        each of its envs: they are begun in the order in which they were given.

        Args:
            worker: Its number.
            is_cut: It ended since it was granted no more steps: its unfinished episodes
                are as long as `max_steps` lets them be.
        """
        assigned = list(self._assigned.pop(worker, {}).values())
        if self.is_stopping or is_cut:
            return
        num_envs = self.filer.num_envs_of(worker)
        self.filer.lose(worker)
        for job in assigned[:num_envs]:
            self.jobs.lose(job)
        for job in assigned[num_envs:]:
            self.jobs.give_back(job)
