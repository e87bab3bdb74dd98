"""Pictures that are rendered when they are asked for: who may, and which are missing.

A recording that was made here knows its environments. A file from elsewhere only says
what they were: none is made of it unless the user allows that.
"""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.background_rendering import BackgroundRendering
from rollout_viewer._cache.kept_workers import KeptWorkers
from rollout_viewer._cache.row_checker import DEFAULT_CAMERA
from rollout_viewer._errors import RenderError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.late_pictures import RECIPES
from rollout_viewer._recording.step_row import RESET
from rollout_viewer._recording.storable import storable_json
from rollout_viewer._replay.messages import Prepare
from rollout_viewer._replay.plan import Planner
from rollout_viewer._replay.pool import default_num_workers
from rollout_viewer._replay.recipe import (
    FUNCTIONAL,
    Recipe,
    maker_of,
    read_recipes,
    taken_options,
)
from rollout_viewer._replay.render import (
    NO_WATCH,
    Renderer,
    RenderRequest,
    Watch,
    pictured_envs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rollout_viewer._recording.reader import RecordingReader
    from rollout_viewer._replay.pool import WorkerPool


# Rows beside those that are read are rendered with them, as long as it takes no longer.
BESIDE_S = 0.05


class Rendering:
    """The recipes of a cache, and whether environments may be made of them.

    Methods are given the cache: it is freed when no one uses it, rather than when the
    garbage collector finds a cycle.

    Args:
        make_env: Of the user's; None: what the recording says.
        is_allowed: Whether an environment may be made that the file names.
    """

    def __init__(
        self,
        *,
        make_env: Callable[..., Any] | None = None,
        is_allowed: bool = False,
    ) -> None:
        self._make_env = make_env
        self._is_allowed = is_allowed
        # Of recorders of this process: with them, what is in the file does not matter.
        self._recipes: list[Recipe] = []
        self._lock = threading.RLock()
        self._workers = KeptWorkers()
        # Calls of the user's that wait for pictures.
        self._num_asking = 0
        # How long a picture took; 0: not known.
        self._picture_s = 0.0
        self._pid = os.getpid()

    def add_recipe(self, recipe: Recipe) -> tuple[int, list[Any]]:
        """Add how a recorder's environments are made.

        Returns:
            Its number, and the metadata of all recipes.
        """
        if recipe in self._recipes:
            number = self._recipes.index(recipe)
        else:
            number = len(self._recipes)
            self._recipes.append(recipe)
        return number, [storable_json(one.to_json()) for one in self._recipes]

    @property
    def is_possible(self) -> bool:
        """Whether environments may be made."""
        return bool(self._recipes or self._make_env or self._is_allowed)

    def envs(self, reader: RecordingReader) -> list[int]:
        """Return the envs whose pictures are to be rendered."""
        recipes = self._recipes or read_recipes(reader.recording.meta.get(RECIPES))
        return pictured_envs(recipes, reader.num_envs)

    def recipes(
        self, reader: RecordingReader, make_env: Callable[..., Any] | None = None
    ) -> list[Recipe]:
        """Return how the environments are made.

        Args:
            reader: The cache.
            make_env: Of the user's, for all of them.

        Raises:
            RenderError: It is not known, or not allowed.
        """
        meta = reader.recording.meta
        known = self._recipes or read_recipes(meta.get(RECIPES))
        if not known:
            raise RenderError(
                "FrameCache.render: expected a recording that was made with "
                f"render='later', got {str(reader.path)!r} without what a replay "
                "needs. Record with rv.record(env, render='later')."
            )
        make_env = make_env or self._make_env
        if make_env is not None:
            return [replace(one, make_env=make_env) for one in known]
        if not self._recipes and not self._is_allowed:
            raise RenderError(
                "FrameCache.render: expected permission to make the environment that "
                f"{str(reader.path)!r} names, got a file that was opened for its "
                "data. If you trust it, open it with rv.open(path, render=True), or "
                "pass make_env=, a function that returns the environment."
            )
        return known

    def render(
        self,
        reader: RecordingReader,
        rows: Sequence[int] | None,
        envs: Collection[int] | None,
        *,
        workers: int | None = None,
        camera: str | None = None,
        width: int | None = None,
        height: int | None = None,
        make_env: Callable[..., Any] | None = None,
        has_progress: bool = False,
        watch: Watch = NO_WATCH,
        first_rows: Sequence[int] | None = None,
    ) -> int:
        """Render what is missing; see `FrameCache.render`.

        Where there are `first_rows`, these are waited for, and others that take little
        time; by processes that are there, and stay for what is read next.
        """
        recipes = self.recipes(reader, make_env)
        first = next(iter(reader.cameras), DEFAULT_CAMERA)
        sizes = {"width": width, "height": height}
        options: dict[str, Any] = {k: v for k, v in sizes.items() if v is not None}
        if camera is not None and camera != first:
            options["camera_name"] = camera
        elif camera is None and options:
            camera = "x".join(str(sizes[name]) for name in options)
        _check_options(recipes[0], options)
        request = RenderRequest(
            rows,
            envs,
            camera or first,
            options,
            workers or default_num_workers(),
            has_progress,
            first_rows=None if first_rows is None else frozenset(first_rows),
            budget_s=BESIDE_S,
        )
        self._num_asking += 1
        try:
            if first_rows is not None:
                return self._render_kept(reader, recipes, request, watch)[0]
            with self._lock:
                return Renderer(reader, recipes, request, watch=watch).run()
        finally:
            self._num_asking -= 1

    @functools.cached_property
    def background(self) -> BackgroundRendering:
        """What renders for pages, and episodes that have ended."""
        return BackgroundRendering(
            self._render_behind, self._make_ready, lambda: self._num_asking > 0
        )

    @property
    def known_background(self) -> BackgroundRendering | None:
        """The same, if there was something to render."""
        found: BackgroundRendering | None = self.__dict__.get("background")
        return found

    def clear(self) -> None:
        """Render nothing of rows that are forgotten."""
        if (background := self.known_background) is not None:
            background.clear()

    def _render_behind(
        self,
        reader: RecordingReader,
        rows: list[int],
        envs: list[int],
        is_cancelled: Callable[[], bool],
    ) -> str:
        """Render by processes that are there, and prepare them for what comes.

        Returns:
            What is to be warned of; "": nothing.
        """
        recipes = self.recipes(reader)
        first = next(iter(reader.cameras), DEFAULT_CAMERA)
        num_workers = default_num_workers()
        request = RenderRequest(
            rows, envs, first, {}, num_workers, has_progress=False, is_quiet=True
        )
        watch = Watch(lambda *_: reader.notify_pictures(), is_cancelled)
        problem = self._render_kept(reader, recipes, request, watch)[1]
        reader.notify_pictures()  # or of rows that cannot be reproduced
        return problem

    def _render_kept(
        self,
        reader: RecordingReader,
        recipes: Sequence[Recipe],
        request: RenderRequest,
        watch: Watch,
    ) -> tuple[int, str]:
        """Render by processes that are kept; return how many, and what went wrong."""
        with self._lock, self._use_workers(reader) as pool:
            renderer = Renderer(reader, recipes, request, watch=watch, pool=pool)
            num_pictures = renderer.run()
            self._picture_s = renderer.picture_s or self._picture_s
            # Now, when no one waits: it takes the time of a core.
            pool.prepare(self._next_task(reader, recipes, request))
        return num_pictures, renderer.problem

    def _use_workers(
        self, reader: RecordingReader
    ) -> AbstractContextManager[WorkerPool]:
        return self._workers.use(reader.recording.meta.get("session"))

    def _make_ready(self, reader: RecordingReader) -> None:
        """Prepare a process for the first picture, whichever that is."""
        envs = self.envs(reader)
        if not envs or not reader.num_rows or self._workers.has_any:
            return
        recipes = self.recipes(reader)
        first = next(iter(reader.cameras), DEFAULT_CAMERA)
        request = RenderRequest([], envs, first, {}, 1, has_progress=False)
        with self._lock, self._use_workers(reader) as pool:
            pool.prepare(self._next_task(reader, recipes, request))

    def _next_task(
        self,
        reader: RecordingReader,
        recipes: Sequence[Recipe],
        request: RenderRequest,
    ) -> Prepare:
        """Return what the next task is likely to need."""
        env = min(request.envs or [0])
        start = Planner(reader, request.camera).first_start(env)
        recipe = recipes[0 if start is None else start.recipe]
        first = None if recipe.kind == FUNCTIONAL else start
        return Prepare(maker_of(recipe, env, request.options), first)

    def on_demand(
        self,
        reader: RecordingReader,
        rows: Sequence[int],
        envs: Collection[int] | None,
        camera: str | None,
        watch: Watch = NO_WATCH,
    ) -> None:
        """Render rows that are about to be read, as far as that is possible.

        Raises:
            RenderError: None of them has a picture, and none can be made.
            ExportCancelled: As the watch says.
        """
        if not rows or self._pid != os.getpid():
            return
        if camera is not None and camera not in (DEFAULT_CAMERA, *reader.cameras[:1]):
            return
        has_none = not reader.slots
        if not has_none:
            wanted = reader.pictured_envs if envs is None else envs
            if all(reader.is_shown(row, env) for row in rows for env in wanted):
                return
            if not self.is_possible or reader.recording.late_refusal:
                return
        pictured = self.envs(reader) if envs is None else envs
        is_cheap = 0 < CHUNK_ROWS * self._picture_s <= BESIDE_S
        beside = _rows_beside(reader, rows, pictured, are_before=is_cheap)
        wanted = sorted({*rows, *beside})
        self.render(reader, wanted, envs, watch=watch, first_rows=rows)


def _check_options(recipe: Recipe, options: Mapping[str, Any]) -> None:
    """Raise ValueError where a function of the user's cannot make such pictures."""
    if recipe.make_env is None or recipe.kind == FUNCTIONAL:
        return
    taken = taken_options(recipe.make_env, options)
    # A camera may be what the function makes: its name needs not be taken.
    lacking = [k for k in options if k not in taken and k != "camera_name"]
    if lacking:
        raise ValueError(
            f"FrameCache.render: expected a make_env that takes {' and '.join(lacking)}"
            ", got one without. Give it these arguments, or leave them out and have it "
            "make what renders so."
        )


def _rows_beside(
    reader: RecordingReader,
    rows: Sequence[int],
    envs: Collection[int],
    *,
    are_before: bool,
) -> set[int]:
    """Return rows of the same episodes and blocks, where their environment is.

    Args:
        reader: The cache.
        rows: That are read.
        envs: Of these.
        are_before: Also of rows before them, which a replay passes, and is faster if it
            makes no pictures of them.
    """
    known = reader.recording.rows
    found: set[int] = set()
    assert known is not None  # there are rows
    for block in {row // CHUNK_ROWS for row in rows}:
        start = block * CHUNK_ROWS
        kinds = known.kinds(start, min(start + CHUNK_ROWS, reader.num_rows))
        asked = [row - start for row in rows if row // CHUNK_ROWS == block]
        for env in envs:
            resets = np.flatnonzero(kinds[:, env] == RESET)
            index = np.searchsorted(resets, asked, side="right")
            bounds = np.concatenate([[0], resets, [len(kinds)]])
            for first, stop in set(zip(bounds[index], bounds[index + 1], strict=True)):
                first_row = start + int(first) if are_before else start + max(asked)
                found.update(range(first_row, start + int(stop)))
    return found
