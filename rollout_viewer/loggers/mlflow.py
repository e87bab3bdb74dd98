"""MLFlowLogger: numbers to an MLflow run, videos, texts and tables to its artifacts."""

from __future__ import annotations

import contextlib
import posixpath
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import requires
from rollout_viewer._files.names import path_inside
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer.loggers._base import (
    DirectLogger,
    close_at_exit,
    take_service_arguments,
)
from rollout_viewer.loggers._log_files import (
    VIDEO_FORMATS,
    as_batch,
    check_format,
    fps_of,
    video_file,
    write_table,
)
from rollout_viewer.loggers._reports import checked_page
from rollout_viewer.loggers._values import Steps, as_config, as_number, as_numbers

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

# Limits of MLflow for one call.
_MAX_BATCH = 1000
_MAX_PARAMS = 100


class MLFlowLogger(DirectLogger):
    """Logs to a run of MLflow, in TorchRL's layout.

    Videos are artifacts ``videos/<name>.mp4`` for step 0 and
    ``videos/<name>_step_<step, four digits>.mp4`` for others; texts are
    ``texts/<name>_<step>.txt``, tables ``tables/<name>_<step>.csv``.

    Differences from TorchRL's: every call goes to the run of this logger, so that
    several loggers work side by side, and to its own store (its run becomes the active
    one if there is none); slashes in names make folders (TorchRL's fails); one channel
    is gray; several videos are shown in a grid, and not the last alone; steps that are
    not given count from 0; mp4 needs no torchcodec, and `log_hparams` no omegaconf;
    `close` ends the run; clips are streamed.

    Args:
        exp_name: Name of the experiment.
        tracking_uri: Of MLflow's store: ``sqlite:///...``, ``http://...``, or
            ``file:...``, which MLflow itself refuses since 3.10 unless
            ``MLFLOW_ALLOW_FILE_STORE`` is set.
        tags: Of the experiment, if it is new.
        artifact_location: Of files; None: MLflow's choice, and for a ``file:`` store
            the store itself.
        video_fps: Frames a second of videos that are tensors.
        **kwargs: Ignored, as in TorchRL's, but for the arguments of its services.

    Attributes:
        exp_name, video_fps: As above. `log_dir` is the tracking URI.
        id: Of the experiment.
        experiment: The run, for MLflow's own functions.
        video_log_counter: How many videos were logged.

    Raises:
        MissingDependencyError: mlflow is not installed.
        TypeError: TorchRL's ``service_backend=`` is not ``"direct"``.
    """

    def __init__(
        self,
        exp_name: str,
        tracking_uri: str,
        tags: dict[str, Any] | None = None,
        *,
        artifact_location: str | None = None,
        video_fps: float = 30,
        **kwargs: Any,
    ) -> None:
        take_service_arguments("MLFlowLogger", kwargs)
        with requires("MLFlowLogger", "mlflow"):
            import mlflow

            self._mlflow: Any = mlflow
        super().__init__(exp_name, tracking_uri)
        self.video_fps = checked_fps("MLFlowLogger", video_fps)
        self.video_log_counter = 0
        self._steps = Steps()
        self._artifacts: set[str] = set()
        self._client = mlflow.MlflowClient(tracking_uri=tracking_uri)
        self.id = self._find_experiment(tags, artifact_location)
        self.experiment = self._start_run()
        self._run_id = self.experiment.info.run_id
        self._finalizer = close_at_exit(
            self, _end_run, self._mlflow, self._client, self._run_id
        )

    # -- logging

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Log a number. Without a step, steps count from 0."""
        number = as_number(value, name)
        step = self._steps.advance(name, step)
        self._client.log_metric(self._run_id, name, number, step=step)

    def log_metrics(
        self, metrics: Any, step: int | None = None, *, keys_sep: str = "/"
    ) -> dict[str, Any]:
        """Log numbers by name in one call, and return them as Python numbers.

        Args:
            metrics: A dict or a TensorDict; nested keys of the latter are joined by
                `keys_sep`.
            step: Of all of them.
            keys_sep: See `metrics`.
        """
        import time

        from mlflow.entities import Metric

        numbers = as_numbers(metrics, keys_sep)
        now_ms = int(time.time() * 1000)
        found = [
            Metric(
                name, as_number(number, name), now_ms, self._steps.advance(name, step)
            )
            for name, number in numbers.items()
        ]
        for start in range(0, len(found), _MAX_BATCH):
            batch = found[start : start + _MAX_BATCH]
            self._client.log_batch(self._run_id, metrics=batch)
        return numbers

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log a video as an artifact in ``videos/``.

        Args:
            name: Slashes make folders.
            video: A tensor or array (N, T, C, H, W), or (T, C, H, W), C 1 or 3,
                uint8, bool or floats in [0, 1], or a `Clip`. The N are shown side by
                side.
            step: Part of the name; None: counts from 0 for each name.
            **kwargs: ``fps``; ``format`` in place of ``"mp4"``; for encoders and
                clips those of `CSVLogger.log_video`.

        Raises:
            ValueError: The format is none of `CSVLogger`'s.
            FrameError: The video has another shape or dtype.
            ExportError: It could not be written; nothing of it is logged.
        """
        where = "MLFlowLogger.log_video"
        suffix = kwargs.pop("format", None) or "mp4"
        if not isinstance(video, Clip):
            check_format(suffix, VIDEO_FORMATS, where)
        fps = fps_of(video, kwargs.pop("fps", None), self.video_fps)
        video = as_batch(video)
        with (
            self._steps.next(f"videos/{name}", step) as number,
            video_file(video, suffix, fps=fps, where=where, options=kwargs) as path,
        ):
            full_name = f"{name}_step_{number:04}" if number else name
            self._log_file(path, "videos", full_name)
        self.video_log_counter += 1

    def log_table(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]] | Clip,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Log columns of equal length as an artifact in ``tables/``.

        Args:
            name: Slashes make folders.
            columns: Name -> values; of a `Clip`, its table is streamed.
            step: Part of the name; None: counts from 0 for each name.
            **kwargs: For clips ``format`` in place of ``"csv"``, ``on_progress`` and
                ``cancel``, as `Clip.write`.

        Raises:
            ExportError: It could not be written; nothing of it is logged.
        """
        suffix = kwargs.pop("format", None) or "csv"
        with (
            self._steps.next(f"tables/{name}", step) as number,
            tempfile.TemporaryDirectory(prefix="rollout_viewer_") as folder,
        ):
            where = "MLFlowLogger.log_table"
            path = write_table(
                columns, Path(folder, f"table.{suffix}"), where=where, options=kwargs
            )
            self._log_file(path, "tables", f"{name}_{number}")

    def log_report(
        self, name: str, path: str | os.PathLike[str], step: int | None = None
    ) -> None:
        """Log an HTML page as an artifact in ``reports/``, which MLflow's page shows.

        Args:
            name: Slashes make folders.
            path: Of the page, as of `rollout_viewer.report`; it is copied.
            step: Part of the name; None: counts from 0 for each name.

        Raises:
            FileNotFoundError, ValueError: There is no page of that path.
            OSError: It cannot be read.
        """
        page = checked_page("MLFlowLogger.log_report", path)
        with (
            self._steps.next(f"reports/{name}", step) as number,
            tempfile.TemporaryDirectory(prefix="rollout_viewer_") as folder,
        ):
            copy = Path(shutil.copyfile(page, Path(folder, "report.html")))
            self._log_file(copy, "reports", f"{name}_{number}")

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Log a text as an artifact in ``texts/``."""
        key = f"texts/{name}"
        step = self._steps.advance(key, step)
        with tempfile.TemporaryDirectory(prefix="rollout_viewer_") as folder:
            path = Path(folder, "text.txt")
            path.write_text(str(text), encoding="utf-8")
            self._log_file(path, "texts", f"{name}_{step}")

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Log a configuration as the run's parameters.

        Raises:
            MlflowException: A parameter has another value already.
        """
        from mlflow.entities import Param

        found = [Param(key, str(value)) for key, value in as_config(cfg).items()]
        for start in range(0, len(found), _MAX_PARAMS):
            batch = found[start : start + _MAX_PARAMS]
            self._client.log_batch(self._run_id, params=batch)

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Raise: MLflow has no histograms.

        Raises:
            NotImplementedError: Always, as in TorchRL's.
        """
        raise NotImplementedError("Logging histograms in mlflow is not permitted.")

    # -- the run

    def _find_experiment(self, tags: dict[str, Any] | None, location: Any) -> str:
        """Return the id of the experiment, which is created if it is new."""
        found = self._client.get_experiment_by_name(self.exp_name)
        if found is not None:
            return str(found.experiment_id)
        if location is None and str(self.log_dir).startswith("file:"):
            location = self.log_dir
        return str(self._client.create_experiment(self.exp_name, location, tags))

    def _start_run(self) -> Any:
        """Return a new run, which becomes the active one if there is none."""
        if self._mlflow.active_run() is not None:
            return self._client.create_run(self.id)
        self._mlflow.set_tracking_uri(self.log_dir)
        return self._mlflow.start_run(experiment_id=self.id)

    def _log_file(self, path: Path, folder: str, name: str) -> None:
        """Log a file as ``<folder>/<name><its suffix>``; replace no artifact."""
        wanted = path_inside(folder, name, where="MLFlowLogger").as_posix()
        number, target = 0, wanted
        while f"{target}{path.suffix}" in self._artifacts:
            number += 1
            target = f"{wanted}-{number}"
        named = path.rename(path.with_name(posixpath.basename(target) + path.suffix))
        self._client.log_artifact(self._run_id, str(named), posixpath.dirname(target))
        self._artifacts.add(f"{target}{path.suffix}")

    def _close(self) -> None:
        self._finalizer()

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return names and counters for a checkpoint, in TorchRL's form."""
        # A URI, which must not be made an absolute path.
        return {**super().state_dict(), "log_dir": self.log_dir}

    def _local_state(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "video_log_counter": self.video_log_counter,
            "steps": dict(self._steps.last),
        }

    def _load_local_state(self, local: Mapping[str, Any]) -> None:
        self.id = local.get("id", self.id)
        self.video_log_counter = local.get("video_log_counter", self.video_log_counter)
        self._steps.last = dict(local.get("steps", {}))

    def __repr__(self) -> str:
        return f"MLFlowLogger(experiment={self.experiment!r})"


def _end_run(mlflow: Any, client: Any, run_id: str) -> None:
    client.set_terminated(run_id)
    active = mlflow.active_run()
    if active is not None and active.info.run_id == run_id:
        # It ends the run again, in whichever store MLflow uses by now.
        with contextlib.suppress(mlflow.exceptions.MlflowException):
            mlflow.end_run()
