"""The backend that collects in this process, one environment or batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._cache.block_builder import BlockBuilder
from rollout_viewer.sources._collect.runner import EpisodeRunner

if TYPE_CHECKING:
    from rollout_viewer.sources._collect.collection import Collection
    from rollout_viewer.sources._collect.jobs import Job
    from rollout_viewer.sources._collect.runner import Setup


class _LocalWork:
    """Episodes for this process, whose blocks are filed at once."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        # There were no more steps in the middle of episodes.
        self.is_cut = False

    def next_job(self) -> Job | None:
        """Return the next episode; None: there is none."""
        self.file_waiting()
        jobs = self._collection.next_jobs(0)
        return jobs[0] if jobs else None

    def take_steps(self, count: int) -> bool:
        """Return whether so many transitions may be done."""
        self.file_waiting()
        if self._collection.is_stopping:
            return False
        taken = self._collection.jobs.take_steps(count)
        self.is_cut = taken < count
        return not self.is_cut

    def wait_until_filed(self) -> None:
        """Do nothing: no process is lost without this one."""

    def file_waiting(self) -> None:
        """File blocks: not while a call is recorded, as the user's code runs then."""
        while self._collection.filer.has_waiting:
            self._collection.file()


def collect_here(setup: Setup, collection: Collection) -> None:
    """Collect episodes in this process; what the environment raises is raised."""
    work = _LocalWork(collection)
    builder = BlockBuilder(lambda block: collection.filer.add(0, block))
    runner = EpisodeRunner(setup, builder)
    try:
        number = collection.declare(runner.declaration, setup.first_env)
        runner.set_recipe_number(number)
        runner.run(work)
    except BaseException:
        collection.is_stopping = True
        raise
    finally:
        runner.close()
        # Whatever it was, the rows before are kept.
        builder.seal()
        work.file_waiting()
    collection.end(0, is_cut=work.is_cut)
