"""TrackioLogger: everything to a run of Trackio, on this machine or on a Space.

Videos are files of our own encoder, so that ffmpeg is not needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import requires
from rollout_viewer._export.table_files import cells
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer.loggers._base import (
    DirectLogger,
    close_at_exit,
    take_service_arguments,
)
from rollout_viewer.loggers._log_files import (
    as_batch,
    check_format,
    fps_of,
    video_file,
)
from rollout_viewer.loggers._reports import checked_page
from rollout_viewer.loggers._values import Steps, as_config, as_number, as_numbers

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

# Of the formats that we write, those that Trackio's page plays.
_FORMATS = ("mp4", "webm", "gif")


class TrackioLogger(DirectLogger):
    """Logs to a run of Trackio, as TorchRL's.

    ``trackio show`` opens its page; runs are in the folder ``TRACKIO_DIR``.

    Differences from TorchRL's: videos need no ffmpeg, may be floats in [0, 1], and
    clips are streamed; steps that are not given count from 0 for each name;
    `log_table`, `log_text` and `log_report` exist; `close` finishes the run.

    Args:
        exp_name: Name of the run; an earlier one of this name is continued.
        project: Of the run.
        video_fps: Frames a second of videos that are tensors.
        **kwargs: For ``trackio.init``, as ``space_id``.

    Attributes:
        exp_name, video_fps: As above. `log_dir` is the project, as in TorchRL's.
        experiment: The run, for its other methods.

    Raises:
        MissingDependencyError: trackio is not installed.
        TypeError: TorchRL's ``service_backend=`` is not ``"direct"``.
    """

    # One name is drawn over its steps: the videos of a recorder have one.
    shows_steps = True

    def __init__(
        self, exp_name: str, project: str, *, video_fps: float = 32, **kwargs: Any
    ) -> None:
        take_service_arguments("TrackioLogger", kwargs)
        with requires("TrackioLogger", "trackio"):
            import trackio

            self._trackio: Any = trackio
        super().__init__(exp_name, project)
        self.video_fps = checked_fps("TrackioLogger", video_fps)
        self._steps = Steps()
        self.experiment = trackio.init(
            **{"project": project, "name": exp_name, "resume": "allow", **kwargs}
        )
        self._finalizer = close_at_exit(self, self.experiment.finish)

    # -- logging

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Log a number. Without a step, steps count from 0."""
        self._log(name, as_number(value, name), step)

    def log_metrics(
        self, metrics: Any, step: int | None = None, *, keys_sep: str = "/"
    ) -> dict[str, Any]:
        """Log numbers by name in one call, and return them as Python numbers.

        Args:
            metrics: A dict or a TensorDict; nested keys of the latter are joined by
                `keys_sep`.
            step: Of all of them; None: the one after the last of any of them.
            keys_sep: See `metrics`.
        """
        numbers = as_numbers(metrics, keys_sep)
        number = max((self._steps.of(name, step) for name in numbers), default=0)
        for name in numbers:
            self._steps.advance(name, number)
        self.experiment.log(dict(numbers), step=number)
        return numbers

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log a video.

        Args:
            name: Slashes make groups.
            video: A tensor or array (N, T, C, H, W), or (T, C, H, W), C 1 or 3,
                uint8, bool or floats in [0, 1], or a `Clip`. The N are shown side by
                side.
            step: Of the training; None: counts from 0 for each name.
            **kwargs: ``fps``; ``format``: ``"mp4"``, ``"webm"`` or ``"gif"``;
                ``caption``; for encoders and clips those of `CSVLogger.log_video`.

        Raises:
            ValueError: A format that Trackio's page does not play.
            FrameError: The video has another shape or dtype.
            ExportError: It could not be written; nothing of it is logged.
        """
        where = "TrackioLogger.log_video"
        suffix = check_format(kwargs.pop("format", None) or "mp4", _FORMATS, where)
        fps = fps_of(video, kwargs.pop("fps", None), self.video_fps)
        caption = kwargs.pop("caption", None)
        video = as_batch(video)
        with video_file(video, suffix, fps=fps, where=where, options=kwargs) as path:
            # Trackio copies the file before this returns.
            self._log(name, self._trackio.Video(str(path), caption=caption), step)

    def log_table(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]] | Clip,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Log columns of equal length as a table.

        Args:
            name: Slashes make groups.
            columns: Name -> values, or a `Clip`, for its table.
            step: Of the training; None: counts from 0 for each name.
            **kwargs: ``format``: ``"csv"`` alone; others are ignored.

        Raises:
            ValueError: Another format.
        """
        check_format(kwargs.get("format") or "csv", ("csv",), "TrackioLogger.log_table")
        if isinstance(columns, Clip):
            columns = columns.table()
        lines = zip(*(cells(c, None) for c in columns.values()), strict=True)
        data = [list(line) for line in lines]
        self._log(name, self._trackio.Table(columns=list(columns), data=data), step)

    def log_report(
        self, name: str, path: str | os.PathLike[str], step: int | None = None
    ) -> None:
        """Log an HTML page, which Trackio's page shows.

        Args:
            name: Slashes make groups.
            path: Of the page, as of `rollout_viewer.report`; it is copied.
            step: Of the training; None: counts from 0 for each name.

        Raises:
            FileNotFoundError, ValueError: There is no page of that path.
            OSError: It cannot be read.
        """
        page = checked_page("TrackioLogger.log_report", path)
        self._log(name, self._trackio.Html(page, inject=False), step)

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Log a text, which Trackio shows as Markdown."""
        self._log(name, self._trackio.Markdown(str(text)), step)

    def log_str(self, name: str, value: str, step: int | None = None) -> None:
        """Log a text, as `log_text`."""
        self.log_text(name, value, step)

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Log a configuration to the run's."""
        self.experiment.config.update(as_config(cfg))

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Log the distribution of numbers.

        Args:
            name: Slashes make groups.
            data: Tensor, array or list.
            **kwargs: ``step``; ``bins``, their number.
        """
        bins = kwargs.pop("bins", None)
        values = as_numpy(data)
        found = self._trackio.Histogram(values, **({"num_bins": bins} if bins else {}))
        self._log(name, found, kwargs.pop("step", None))

    def _log(self, name: str, value: Any, step: int | None) -> None:
        self.experiment.log({name: value}, step=self._steps.advance(name, step))

    # -- the run

    def _close(self) -> None:
        self._finalizer()

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return names and counters for a checkpoint, in TorchRL's form."""
        # A project's name, which must not be made an absolute path.
        return {**super().state_dict(), "log_dir": self.log_dir}

    def _local_state(self) -> dict[str, Any]:
        return {"steps": dict(self._steps.last)}

    def _load_local_state(self, local: Mapping[str, Any]) -> None:
        self._steps.last = dict(local.get("steps", {}))

    def __repr__(self) -> str:
        return f"TrackioLogger(experiment={self.experiment!r})"
