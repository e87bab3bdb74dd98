"""Which episodes are still to be collected: each once, none silently missing."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# An episode that was lost as often is given up: its seed may end any process.
MAX_ATTEMPTS = 3


class Job(NamedTuple):
    """An episode to be collected.

    Attributes:
        number: Counts the episodes that were asked for.
        seed: Of its reset.
        attempt: 0; one more for each time it was lost.
    """

    number: int
    seed: int
    attempt: int = 0


class Jobs:
    """Gives out episodes one by one, and counts what became of them.

    Args:
        seeds: Of the episodes, in order; may be endless.
        max_steps: Transitions of all of them together; None: no limit.
        num_episodes: How many there are; None: it is not known.
        is_ahead: Whether seeds may be taken before their episodes can begin.

    Attributes:
        num_finished: Episodes that are in the cache, whole.
        num_lost: How often one was lost.
        missing: Episodes that were given up.
        has_run_out: Transitions that were asked for were refused, or an episode was
            for want of them.
    """

    def __init__(
        self,
        seeds: Iterable[int],
        max_steps: int | None,
        num_episodes: int | None = None,
        *,
        is_ahead: bool = True,
    ) -> None:
        self._new: Iterator[Job] = itertools.starmap(Job, enumerate(seeds))
        self._next_new = next(self._new, None)
        # Which were lost, or given back.
        self._again: list[Job] = []
        self._num_new = num_episodes
        self._is_ahead = is_ahead
        self._finished: set[int] = set()
        self._steps_left = max_steps
        self.num_finished = 0
        self.num_lost = 0
        self.missing: list[Job] = []
        self.has_run_out = False

    def next(self, *, has_steps: bool = False) -> Job | None:
        """Return the next episode; None: there is none now.

        One that was lost or given back comes first.

        Args:
            has_steps: Whoever asks has transitions left that it took before.
        """
        is_any = bool(self._again) or self._next_new is not None
        if self._steps_left == 0 and not has_steps:
            self.has_run_out = self.has_run_out or is_any
            return None
        if self._again:
            return heapq.heappop(self._again)
        job, self._next_new = self._next_new, next(self._new, None)
        if self._num_new is not None:
            self._num_new -= 1
        return job

    def take(
        self, count: int, num_workers: int, *, has_steps: bool, is_ahead: bool
    ) -> list[Job]:
        """Return the next episodes for a worker; []: there is none now.

        One that was lost is alone: where it ends its process, others are not lost with
        it. Of the last ones, none is given to a worker that has another.

        Args:
            count: How many at most.
            num_workers: Among which they are shared.
            has_steps: Whoever asks has transitions left that it took before.
            is_ahead: It has an episode, too.
        """
        found: list[Job] = []
        while len(found) < count:
            is_alone = bool(self._again) and self._again[0].attempt > 0
            if found or is_ahead:
                are_few = (len(found) + 1) * 2 * num_workers > self._num_left
                if is_alone or are_few or not self._is_ahead:
                    break
            job = self.next(has_steps=has_steps or bool(found))
            if job is None:
                break
            found.append(job)
            if is_alone:
                break
        return found

    @property
    def _num_left(self) -> float:
        if self._num_new is None:
            return math.inf
        return self._num_new + len(self._again)

    def give_back(self, job: Job) -> None:
        """Take back an episode that was not begun."""
        heapq.heappush(self._again, job)

    @property
    def has_next(self) -> bool:
        """Whether there is an episode to be collected."""
        is_any = bool(self._again) or self._next_new is not None
        return is_any and self._steps_left != 0

    @property
    def has_lost(self) -> bool:
        """Whether an episode is to be collected again, or was given back."""
        return bool(self._again) and self._steps_left != 0

    def finish(self, job: Job) -> bool:
        """Count an episode that is in the cache; return whether it was not before."""
        if job.number in self._finished:
            return False
        self._finished.add(job.number)
        self.num_finished += 1
        return True

    def lose(self, job: Job) -> None:
        """Collect an episode again, or give it up, unless it was finished."""
        if job.number in self._finished:
            return
        self.num_lost += 1
        if job.attempt + 1 < MAX_ATTEMPTS:
            heapq.heappush(self._again, job._replace(attempt=job.attempt + 1))
        else:
            self.missing.append(job)

    # -- steps

    @property
    def is_limited(self) -> bool:
        """Whether the number of transitions is limited."""
        return self._steps_left is not None

    def share_of_steps(self, num_workers: int) -> int | None:
        """Return what each of so many workers may take; None: there is no limit."""
        return self._steps_left and -(-self._steps_left // num_workers)

    @property
    def has_steps(self) -> bool:
        """Whether transitions are left to be taken."""
        return self._steps_left != 0

    def has_steps_for(self, num_envs: int) -> bool:
        """Return whether a step of so many envs is left; if not, it is noted."""
        is_enough = self._steps_left is None or self._steps_left >= num_envs
        self.has_run_out = self.has_run_out or not is_enough
        return is_enough

    def take_steps(self, count: int) -> int:
        """Return how many transitions may be done, up to `count`."""
        if self._steps_left is None:
            return count
        taken = min(count, self._steps_left)
        self._steps_left -= taken
        self.has_run_out = self.has_run_out or taken < count
        return taken

    def return_steps(self, count: int) -> None:
        """Take back transitions that were not done."""
        if self._steps_left is not None:
            self._steps_left += count
