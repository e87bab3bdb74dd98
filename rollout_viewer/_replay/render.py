"""Fills a recording with the pictures of rows that have none, by replays."""

from __future__ import annotations

import math
import time
import warnings
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

from rollout_viewer._errors import (
    ExportCancelled,
    RenderError,
    RolloutViewerWarning,
)
from rollout_viewer._progress import progress_bar
from rollout_viewer._recording.late_pictures import (
    NOT_REPRODUCIBLE,
    LateChunk,
    not_reproducible,
)
from rollout_viewer._recording.slot import Slot
from rollout_viewer._replay.block_pictures import BlockPictures
from rollout_viewer._replay.messages import Done, Task
from rollout_viewer._replay.plan import Planner
from rollout_viewer._replay.pool import WorkerPool
from rollout_viewer._replay.recipe import maker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rollout_viewer._recording.reader import RecordingReader
    from rollout_viewer._replay.messages import Message, Pictures
    from rollout_viewer._replay.plan import Job, Plan
    from rollout_viewer._replay.recipe import Recipe

# Chunks are filed together: each transaction waits for the disk.
_FILE_EVERY_S = 0.5


class RenderRequest(NamedTuple):
    """What is to be rendered.

    Attributes:
        rows: Which; None: all.
        envs: Which, if a recipe does not say it; None: all.
        camera: Its name in the recording.
        options: Keyword arguments with which the environments are made.
        num_workers: Processes.
        has_progress: Whether a bar is shown.
        is_quiet: Nothing is warned of; `Renderer.problem` says it.
        first_rows: Of `rows`, those that are waited for; None: all.
        budget_s: How long others may take after those.
    """

    rows: Sequence[int] | None
    envs: Collection[int] | None
    camera: str
    options: Mapping[str, Any]
    num_workers: int
    has_progress: bool
    is_quiet: bool = False
    first_rows: frozenset[int] | None = None
    budget_s: float = 0.0


class Watch(NamedTuple):
    """Who waits for pictures.

    Attributes:
        on_progress: Called with (pictures done, all).
        is_cancelled: Whether to stop.
    """

    on_progress: Callable[[int, int], object] | None = None
    is_cancelled: Callable[[], bool] | None = None


NO_WATCH = Watch()


class Renderer:
    """One call of `FrameCache.render`.

    Args:
        reader: The recording.
        recipes: How its environments are made.
        request: What is wanted.
        watch: Reports how far it is, and asks whether to stop.
        pool: Processes that are there; None: new ones, for this call.
    """

    def __init__(
        self,
        reader: RecordingReader,
        recipes: Sequence[Recipe],
        request: RenderRequest,
        *,
        watch: Watch = NO_WATCH,
        pool: WorkerPool | None = None,
    ) -> None:
        self._watch = watch
        self._pool = pool
        self._reader = reader
        self._recording = reader.recording
        self._recipes = recipes
        self._request = request
        self._planner = Planner(reader, request.camera)
        self._chunks: list[LateChunk] = []
        # The first at once: someone may look at it.
        self._filed_at = float("-inf")
        self._done: dict[int, int] = {}
        self.num_pictures = 0
        # For rows beside those that are asked for, of each task.
        self._budget_s = request.budget_s
        # How long a picture takes; 0: not known.
        self.picture_s = 0.0
        self._worst: tuple[int, int, str] | None = None
        self._refused: tuple[int, int, str] | None = None
        # Of what the rows are now; where they are forgotten, others come.
        self._session = self._recording.meta.get("session")

    def run(self) -> int:
        """Render, file what comes, and return how many pictures came.

        Raises:
            RenderError: An environment cannot be made, or gives no pictures.
            ExportCancelled: As the watch says, or the cache was cleared; what was
                rendered is in the recording.
        """
        plan = self._planner.plan(self._request.rows, self._envs())
        for env, start, stop, reason in plan.problems:
            self._give_up(env, start, stop, reason)
        self._note(plan.unkept)
        for env, source, rows in plan.repeats:
            self._repeat(env, source, rows)
        self._file()
        if plan.jobs and not self._recording.late_refusal:
            self._perform(plan)
        if self.problem and not self._request.is_quiet:
            warnings.warn(self.problem, RolloutViewerWarning, stacklevel=4)
        return self.num_pictures

    def _envs(self) -> Collection[int]:
        if self._request.envs is not None:
            return self._request.envs
        return pictured_envs(self._recipes, self._reader.num_envs)

    def _perform(self, plan: Plan) -> None:
        tasks = self._tasks(plan)
        if not tasks:
            return
        total = sum(len(task.job.wanted) for task in tasks)
        bar = progress_bar(
            "render",
            total,
            unit="picture",
            is_hidden=not self._request.has_progress,
            is_kept=False,
            delay_s=1.0,
        )
        num_workers = min(self._request.num_workers, len(tasks))
        given = self._pool
        pools: AbstractContextManager[WorkerPool] = (
            WorkerPool(num_workers) if given is None else nullcontext(given)
        )
        with bar as shown, pools as pool:
            try:
                for task, message in pool.perform(tasks, self._watch.is_cancelled):
                    if self._recording.late_refusal:
                        pool.stop()
                        break
                    before = self.num_pictures
                    self._take(task, message, pool)
                    shown.update(self.num_pictures - before)
                    if self._watch.on_progress is not None:
                        self._watch.on_progress(self.num_pictures, total)
            finally:
                self._file()

    def _tasks(self, plan: Plan) -> list[Task]:
        """Return what is to be done: of rows that are read, where any is asked for.

        All that follow each other share the time for rows beside those.
        """
        tasks = [self._task(job) for job in plan.jobs]
        tasks = [task for task in tasks if task.first_rows != frozenset()]
        num_turns = math.ceil(len(tasks) / self._request.num_workers)
        self._budget_s = self._request.budget_s / max(num_turns, 1)
        return [task._replace(budget_s=self._budget_s) for task in tasks]

    def _repeat(self, env: int, source: int, rows: Sequence[int]) -> None:
        """Let idle rows show the picture of the row before them."""
        frame = self._reader.frames([source], [env], self._request.camera)[0, 0]

        def add(pictures: Pictures) -> None:
            slot = Slot(env, self._request.camera, *pictures.size)
            self._chunks.append(LateChunk(slot, pictures.block, pictures.chunk))

        blocks = BlockPictures(add, clock=lambda: 0.0)
        for row in rows:
            blocks.add(row, frame)
        blocks.send()
        self.num_pictures += len(rows)

    def _task(self, job: Job) -> Task:
        start = job.parts[0].start
        assert start is not None
        if start.recipe >= len(self._recipes):
            raise RenderError(
                "FrameCache.render: expected a recording that says how its "
                f"environments are made, got none of number {start.recipe}. Pass "
                "make_env=."
            )
        recipe = self._recipes[start.recipe]
        maker = maker_of(recipe, job.env, self._request.options)
        first_rows = self._request.first_rows
        return Task(
            job,
            maker,
            recipe.crop,
            recipe.resize,
            recipe.is_probed,
            recipe.num_repeats,
            self._session or "",
            first_rows=None if first_rows is None else first_rows & job.wanted,
            budget_s=self._budget_s,
        )

    def _take(self, task: Task, message: Message, pool: WorkerPool) -> None:
        job = task.job
        self.num_pictures += message.num_done - self._done.get(id(job), 0)
        self._done[id(job)] = message.num_done
        if not isinstance(message, Done):
            slot = Slot(job.env, self._request.camera, *message.size)
            self._chunks.append(LateChunk(slot, message.block, message.chunk))
            if time.monotonic() - self._filed_at > _FILE_EVERY_S:
                self._file()
            return
        if message.error:
            raise RenderError(message.error)
        for row, error in message.refused:
            self._note([(job.env, row, row + 1, f"render() of its state: {error}")])
            self._refused = self._refused or (job.env, row, error)
        self.picture_s = message.picture_s or self.picture_s
        if message.difference is not None:
            self._handle_difference(task, message, pool)

    def _handle_difference(self, task: Task, done: Done, pool: WorkerPool) -> None:
        assert done.difference is not None
        self._file()
        if done.was_used:  # perhaps for that
            self.num_pictures -= done.num_done
            self._done.pop(id(task.job), None)
            pool.add(task._replace(is_fresh=True))
            return
        history = self._planner.history(task.job)
        if history is not None:
            self.num_pictures -= done.num_done
            pool.add(self._task(history))
            return
        row, what, known, found = done.difference
        reason = f"its {what} was recorded as {known} and replayed as {found}"
        self._give_up(task.job.env, row, max(task.job.wanted) + 1, reason)

    def _give_up(self, env: int, start: int, stop: int, reason: str) -> None:
        """Note that rows are not reproducible, and warn of it."""
        self._note([(env, start, stop, reason)])
        self._worst = self._worst or (env, start, reason)

    def _note(self, found: Sequence[tuple[int, int, int, str]]) -> None:
        """Note that rows are not reproducible: (env, start, stop, reason)."""
        self._check_session()
        if found:
            changed = [*not_reproducible(self._recording.meta), *found]
            listed = [list(one) for one in changed]
            self._recording.change_meta(NOT_REPRODUCIBLE, listed)

    def _file(self) -> None:
        self._check_session()
        chunks, self._chunks = self._chunks, []
        self._filed_at = time.monotonic()
        if chunks:
            self._recording.add_late_chunks(chunks, self._session)

    def _check_session(self) -> None:
        if self._recording.meta.get("session") != self._session:
            self._chunks = []
            raise ExportCancelled(
                "FrameCache.render: expected rows that stay, got a cache that was "
                "cleared. Record, and render again."
            )

    @property
    def problem(self) -> str:
        """What is to be warned of: pictures that did not come; "": all came."""
        if refusal := self._recording.late_refusal:
            return (
                "FrameCache.render: expected room for all pictures, got "
                f"{refusal}. What has none says so in cache.at(row, env).picture_state"
                "; step data is whole. Record with a larger disk_bytes, or render "
                "fewer rows."
            )
        if self._worst is None and self._refused is not None:
            env, row, error = self._refused
            return (
                "FrameCache.render: expected a picture of each state, got none of env "
                f"{env} in row {row}: {error}. Such rows stay without; what others "
                "there are, cache.rendering_problems() says."
            )
        if self._worst is None:
            return ""
        env, row, reason = self._worst
        return (
            "FrameCache.render: expected a replay that repeats the recording, got "
            f"another one of env {env} from row {row} on: {reason}. These rows "
            "stay without pictures. Record with render='now'."
        )


def pictured_envs(recipes: Sequence[Recipe], num_envs: int) -> list[int]:
    """Return the envs whose pictures recipes want."""
    if any(one.envs is None for one in recipes):
        return list(range(num_envs))
    chosen = {env for one in recipes for env in one.envs or ()}
    return sorted(env for env in chosen if env < num_envs)
