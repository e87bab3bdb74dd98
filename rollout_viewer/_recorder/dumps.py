"""What a recorder has recorded, in a viewer and, clip by clip, through a logger.

Of the rows that it has itself: where they are sent to another process, there are none.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RolloutViewerError
from rollout_viewer._recorder.recorder_checks import check_logger
from rollout_viewer._recorder.recorder_settings import RecorderSettings
from rollout_viewer._recorder.views import ShownInNotebook
from rollout_viewer._recording.workers import is_worker

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache


class ViewedAndDumped(RecorderSettings, ShownInNotebook):
    """The part of a `Recorder` that has its viewer and its logger."""

    cache: FrameCache
    _num_dumped: int

    def complete(self) -> None:
        """Record the steps that were skipped since the last row, without a picture."""
        raise NotImplementedError

    def set_logger(self, logger: Any) -> None:
        """Dump through another logger from now on."""
        check_logger(logger)
        self._logger = logger

    @property
    def has_logger(self) -> bool:
        """Whether `logger` is one that was passed or is in use."""
        return self._logger is not None

    @property
    def logger(self) -> Any:
        """The logger of `dump`; the viewer's, if there is a viewer."""
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
            RolloutViewerError: This is a worker process, without a notebook page, or
                the rows are in a cache elsewhere.
        """
        self.check_has_rows("viewer")
        if is_worker():
            raise RolloutViewerError(
                "Recorder.viewer: expected the process of the notebook, got worker "
                f"{os.getpid()}, which a page cannot reach. Open the file in the "
                f"parent, also while it grows: rv.view({str(self.cache.path)!r})."
            )
        from rollout_viewer._viewer.widget import RolloutViewer

        return RolloutViewer(self.cache, logger=self._logger, tag=self.tag)

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        """Write the rows since the last dump through the logger.

        The cache keeps them. Without new rows, nothing is written.

        Args:
            suffix: Of the name, ``<tag>_<suffix>``.
            step: Of the training; None: the logger counts.

        Returns:
            The files, if the logger returns them.

        Raises:
            ExportError: They could not be written; the next dump includes these rows.
            RolloutViewerError: The rows are in a cache elsewhere.
        """
        from rollout_viewer._export.dump import dump_clip

        self.check_has_rows("dump")
        self.complete()
        stop = self.cache.num_rows
        # A cache that was cleared, by another recorder perhaps, may be shorter.
        start = self._num_dumped if self._num_dumped <= stop else 0
        if start == stop:
            return []
        name = self.tag if suffix is None else f"{self.tag}_{suffix}"
        paths = dump_clip(self.cache.clip(start, stop), self.logger, name, step=step)
        self._num_dumped = stop
        return paths
