"""What a viewer writes: dumps through its logger, and files that a page downloads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._export.write import TABLE_SUFFIXES
from rollout_viewer._files.names import path_inside

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._cache.clip import Clip
    from rollout_viewer._viewer.export_jobs import Progress as JobProgress


class Dumps:
    """Names and writes what a viewer shows. Does not know the viewer.

    Args:
        logger: Where dumps go; None: made when it is first needed.
        tag: Name of what is dumped.
        fps: Rows a second; None: the recording's.
    """

    def __init__(self, logger: Any, tag: str, fps: float | None) -> None:
        self._logger = logger
        self._tag = tag
        self._fps = fps

    @property
    def logger(self) -> Any:
        """Where dumps go."""
        if self._logger is None:
            from rollout_viewer.loggers.csv import CSVLogger

            self._logger = CSVLogger("rollouts", video_format="mp4")
        return self._logger

    def folder(self) -> str:
        """Return where dumps go, as the page says it."""
        from rollout_viewer._export.dump import is_address

        if self._logger is None:
            return str(Path("csv_logs", "rollouts").resolve())
        experiment = getattr(self._logger, "experiment", None)
        # A run of W&B calls it dir.
        for owner, name in (
            (experiment, "log_dir"),
            (experiment, "dir"),
            (self._logger, "log_dir"),
        ):
            folder = getattr(owner, name, None)
            if isinstance(folder, (str, Path)):
                return str(folder if is_address(folder) else Path(folder).resolve())
        return type(self._logger).__name__

    def dump(
        self,
        clip: Clip,
        logger: Any,
        formats: Sequence[str] | str,
        tag: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Path]:
        """Write a clip through a logger, the viewer's; return the files.

        Raises:
            ExportError: They could not be written.
        """
        from rollout_viewer._export.dump import dump_clip

        # The logger adds its own counter: <tag>_r<start>-<stop>_<n>.
        name = tag or f"{self._tag}_r{clip.start}-{clip.stop}"
        return dump_clip(
            clip,
            logger,
            name,
            formats=formats,
            fps=self._fps,
            on_progress=on_progress,
            cancel=cancel,
        )

    def dump_rows(
        self,
        cache: FrameCache,
        logger: Any,
        start: int,
        stop: int,
        formats: list[str],
        on_progress: JobProgress,
        cancel: threading.Event,
        envs: list[int] | None = None,
    ) -> list[Path]:
        """Dump rows of a recording for its page; see `requests.Dump`."""
        clip = cache.clip(start, stop, envs=envs)
        if any(f".{name}" not in TABLE_SUFFIXES for name in formats):
            _render_first(cache, clip, on_progress, cancel)
        return self.dump(clip, logger, formats, None, on_progress, cancel)

    def download(
        self,
        cache: FrameCache,
        folder: Path,
        start: int,
        stop: int,
        suffix: str,
        on_progress: JobProgress,
        cancel: threading.Event,
        envs: list[int] | None = None,
    ) -> Path:
        """Write rows of a recording as one file; see `requests.Download`."""
        from rollout_viewer._export.write import write_clip

        name = f"{self._tag.rpartition('/')[2]}_r{start}-{stop}"
        path = path_inside(folder, name, f".{suffix}")
        clip = cache.clip(start, stop, envs=envs)
        if f".{suffix}" not in TABLE_SUFFIXES:
            _render_first(cache, clip, on_progress, cancel)
        return write_clip(
            clip, path, fps=self._fps, on_progress=on_progress, cancel=cancel
        )[0]


def _render_first(
    cache: FrameCache, clip: Clip, on_progress: JobProgress, cancel: threading.Event
) -> None:
    """Render what is missing of what a page exports, if that is possible."""
    if not cache.renders_pictures:
        return
    cache.render_for_export(
        clip.start,
        clip.stop,
        clip.envs,
        on_progress=lambda done, total: on_progress(done, total, "pictures"),
        is_cancelled=cancel.is_set,
    )
