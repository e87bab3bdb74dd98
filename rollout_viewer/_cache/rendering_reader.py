"""Pictures that come later: rendered when they are read, looked at, or asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.background_rendering import EndedEpisode, Wanted
from rollout_viewer._errors import RowError
from rollout_viewer._recording.checked_numbers import checked_env_numbers
from rollout_viewer._recording.late_pictures import RECIPES
from rollout_viewer._recording.reader import RecordingReader
from rollout_viewer._replay.render import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._cache.rendering import Rendering
    from rollout_viewer._cache.subscribers import Subscribers
    from rollout_viewer._replay.recipe import Recipe


class RenderingReader(RecordingReader):
    """Reads a recording and renders what is missing; `FrameCache` also records one.

    How it is rendered, and whether that is allowed, is in `Rendering`.
    """

    _rendering: Rendering
    _subscribers: Subscribers
    _has_wanted = False  # whether pictures were wanted at last

    def frames(
        self,
        rows: int | slice | Sequence[int] | range,
        envs: Sequence[int] | None = None,
        camera: str | None = None,
        out: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return pictures; see `RecordingReader.frames`. Missing ones are rendered.

        Raises:
            RenderError: They are to be rendered, and cannot be.
        """
        if RECIPES in self.recording.meta:
            envs = self._checked_envs("FrameCache.frames", envs)
            self._rendering.on_demand(self, self._row_numbers(rows), envs, camera)
        return super().frames(rows, envs, camera, out)

    def prepare_pictures(
        self,
        start: int,
        stop: int,
        envs: Sequence[int] | None,
        camera: str | None,
        *,
        is_optional: bool = False,
    ) -> None:
        """Render what is missing of rows that are about to be read.

        Raises:
            RenderError: They are to be rendered, and cannot be; where it `is_optional`,
                not for want of permission.
        """
        if is_optional and not self._rendering.is_possible:
            return
        if RECIPES in self.recording.meta:
            self._rendering.on_demand(self, range(start, stop), envs, camera)

    def render_for_export(
        self,
        start: int,
        stop: int,
        envs: Sequence[int] | None,
        *,
        on_progress: Callable[[int, int], object],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Render what is missing of rows that a page exports.

        Args:
            start: First row.
            stop: Row after the last one.
            envs: None: all.
            on_progress: Called with (pictures rendered, all of them).
            is_cancelled: Asked often whether to stop.

        Raises:
            RenderError: They are to be rendered, and cannot be.
            ExportCancelled: As `is_cancelled` says; what was rendered stays.
        """
        if RECIPES in self.recording.meta:
            watch = Watch(on_progress, is_cancelled)
            rows = range(start, stop)
            self._rendering.on_demand(self, rows, envs, None, watch)

    @property
    def renders_pictures(self) -> bool:
        """Whether pictures that are looked at are rendered."""
        return (
            RECIPES in self.recording.meta
            and self._rendering.is_possible
            and self._rendering.background.error is None
        )

    def want_pictures(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Render the pictures of (row, env) and their blocks soon, and no others.

        Most urgent first, in the background. To be called again and again, as long as
        they are wanted: what is wanted no more, or for seconds, is stopped.
        """
        if self.renders_pictures and (wanted or self._has_wanted):
            self._has_wanted = bool(wanted)
            self._rendering.background.want(self, [Wanted(*one) for one in wanted])

    def warm_up(self) -> None:
        """Make ready for pictures that will be looked at; returns at once."""
        if self.renders_pictures:
            self._rendering.background.warm_up(self)

    def render_ended(self, env: int, start: int, stop: int) -> None:
        """Render rows of an env soon, in the background: an episode that has ended.

        Returns at once. Where it fails, or too many wait, a recorder warns.
        """
        episode = EndedEpisode(env, start, stop)
        self._rendering.background.add(self, episode)

    def finish_rendering(self) -> list[str]:
        """Wait for episodes that are rendered in the background.

        Interrupted, as by Ctrl-C, the others stay without pictures; `render` makes
        them.

        Returns:
            As `rendering_problems`.
        """
        background = self._rendering.known_background
        if background is not None:
            background.finish()
        return self.rendering_problems()

    def rendering_problems(self) -> list[str]:
        """Return what is to be warned of, of episodes rendered in the background."""
        background = self._rendering.known_background
        return [] if background is None else background.problems()

    def envs_to_render(self) -> list[int]:
        """Return the envs whose pictures may be rendered."""
        return self._rendering.envs(self)

    def is_pending(self, row: int, env: int) -> bool:
        """Whether a picture is still to come, if it is wanted."""
        return (
            self.renders_pictures
            and self.is_to_render(row, env)
            and not self._rendering.background.is_without(row, env)
        )

    def notify_pictures(self) -> None:
        """Notify viewers of pictures that were rendered."""
        self._subscribers.notify(self.num_rows, self.num_rows)

    @property
    def rendering_error(self) -> Exception | None:
        """Why no more pictures are rendered in the background; None: they are."""
        if RECIPES not in self.recording.meta:
            return None
        return self._rendering.background.error

    def render(
        self,
        rows: int | slice | Sequence[int] | range | None = None,
        envs: Sequence[int] | None = None,
        *,
        workers: int | None = None,
        camera: str | None = None,
        width: int | None = None,
        height: int | None = None,
        make_env: Callable[..., Any] | None = None,
        progress: bool = True,
    ) -> int:
        """Render pictures of rows that have none, by replaying their episodes.

        Of recordings made with ``render="later"``. Environments are made and stepped in
        processes of their own, and compared with what was recorded, row by row: from
        the first difference on, an episode stays without pictures, with a warning.
        What was rendered is in the recording, and is not rendered again.

        Args:
            rows: A row, a slice, or any rows; None: all.
            envs: Numbers of envs; None: those that the recorder was to picture.
            workers: Processes; None: half of the cores.
            camera: Add the pictures as this camera's; of MuJoCo's environments, as it
                sees them (their argument ``camera_name``). None: the first camera.
            width: In pixels, where the environments take it, as MuJoCo's do.
            height: In pixels, likewise. Without `camera`, another size is another
                camera, as ``"320x240"``.
            make_env: Returns the same environment anew; called with the env's number
                if it takes an argument, and with ``width=``, ``height=`` and
                ``camera_name=`` where they are given and it takes them. None: as the
                recording says.
            progress: Show a bar if it takes longer.

        Returns:
            How many pictures were rendered.

        Raises:
            RenderError: The recording does not say how its environments are made, or
                was opened for its data alone; or an environment gives no pictures.
            RowError: There are no such rows or envs.
            TypeError: They are no whole numbers.
            ValueError: `make_env` does not take `width` or `height`.
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.
        """
        numbers = None if rows is None else self._row_numbers(rows)
        envs = self._checked_envs("FrameCache.render", envs)
        num_pictures = self._rendering.render(
            self,
            numbers,
            envs,
            workers=workers,
            camera=camera,
            width=width,
            height=height,
            make_env=make_env,
            has_progress=progress,
        )
        if num_pictures:
            self.notify_pictures()
        return num_pictures

    def _checked_envs(self, where: str, envs: Any) -> list[int] | None:
        if envs is None:
            return None
        numbers = checked_env_numbers(where, envs)
        if not all(0 <= env < self.num_envs for env in numbers):
            raise RowError(
                f"{where}: expected envs in 0..{self.num_envs - 1}, got {numbers}."
            )
        return numbers

    def render_by(self, recipe: Recipe) -> None:
        """Render by a recipe of this process, whatever the file says."""
        self._rendering.add_recipe(recipe)
