"""WandbLogger: everything to a run of Weights & Biases, online or offline.

Videos are files of our own encoder, so that moviepy is not needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import requires
from rollout_viewer._export.table_files import cells
from rollout_viewer._files.names import path_inside
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer.loggers._base import DirectLogger, take_service_arguments
from rollout_viewer.loggers._log_files import (
    as_batch,
    check_format,
    fps_of,
    video_file,
    write_table,
)
from rollout_viewer.loggers._reports import checked_page, html_of
from rollout_viewer.loggers._values import Steps, as_config, as_numbers, as_python
from rollout_viewer.loggers._wandb_run import environment, make_folder, start_run

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

# Of the formats that we write, those that the page of a run plays.
_FORMATS = ("mp4", "webm", "gif")
# wandb.Table drops further lines of a logged table.
_MAX_TABLE_LINES = 10_000


class WandbLogger(DirectLogger):
    """Logs to a run of Weights & Biases, as TorchRL's.

    Steps are TorchRL's: a name ``eval/reward`` is drawn over ``eval/step``, ``loss``
    over ``step``; a step that is not given is the group's last one plus one;
    ``override_global_step=True`` passes the step to W&B itself. As ``wandb.init``, it
    continues the open run, if there is one; ``reinit="create_new"`` does not.

    Differences from TorchRL's: videos need no moviepy, clips are streamed, and floats
    in [0, 1] are pictures (W&B's own cast makes them black); several videos are shown
    in a grid of as many columns as rows, or one more; ``offline=True`` applies to this
    run and does not set ``WANDB_MODE`` for the process; `log_text`, `log_table` and
    `log_report` exist.

    Args:
        exp_name: Name of the run.
        offline: Write everything to `save_dir`; send nothing.
        save_dir: Folder of ``wandb/``, which has the runs; ``log_dir=`` is the same.
            None: the working directory.
        id: Of a run to continue.
        project: Of the run.
        base_url: Of the server; None: wandb's.
        video_fps: Frames a second of videos that are tensors.
        log_env_packages: Log Python's version and the installed packages to the
            run's configuration, as ``env``.
        **kwargs: For ``wandb.init``.

    Attributes:
        exp_name, offline, save_dir, id, project, base_url, video_fps: As above.
        experiment: The run, for its other methods.

    Raises:
        MissingDependencyError: wandb is not installed.
        ValueError: `save_dir` and `log_dir` are both given.
        TypeError: TorchRL's ``service_backend=`` is not ``"direct"``.
    """

    # One name is drawn over its steps: the videos of a recorder have one.
    shows_steps = True

    def __init__(
        self,
        exp_name: str,
        offline: bool = False,
        save_dir: str | os.PathLike[str] | None = None,
        id: str | None = None,
        project: str | None = None,
        base_url: str | None = None,
        *,
        video_fps: float = 32,
        log_env_packages: bool = True,
        **kwargs: Any,
    ) -> None:
        take_service_arguments("WandbLogger", kwargs)
        with requires("WandbLogger", "wandb"):
            import wandb

            self._wandb: Any = wandb
        self.save_dir = make_folder(save_dir, kwargs.pop("log_dir", None))
        super().__init__(exp_name, self.save_dir)
        self.offline, self.id, self.project = offline, id, project
        self.base_url = base_url
        self.video_fps = checked_fps("WandbLogger", video_fps)
        self.log_env_packages = log_env_packages
        self._steps = Steps()
        self._tables = Steps()
        self._step_metrics: set[str] = set()
        self._metrics: set[str] = set()
        self.experiment = start_run(
            wandb,
            {
                "name": exp_name,
                "dir": self.save_dir,
                "id": id,
                "project": project,
                "resume": "allow",
                **kwargs,
            },
            offline=offline,
            base_url=base_url,
        )
        if log_env_packages:
            self.experiment.config.update({"env": environment()}, allow_val_change=True)

    # -- logging

    def log_scalar(
        self,
        name: str,
        value: float,
        step: int | None = None,
        commit: bool = True,
        *,
        override_global_step: bool = False,
    ) -> None:
        """Log a number.

        Args:
            name: Slashes make groups, which share a step.
            value: A number, or a tensor of one.
            step: Of the group.
            commit: False: the next call belongs to the same line of W&B's history.
            override_global_step: Pass the step to W&B itself.
        """
        self._log({name: as_python(value)}, step, override_global_step, commit=commit)

    def log_metrics(
        self,
        metrics: Any,
        step: int | None = None,
        *,
        keys_sep: str = "/",
        override_global_step: bool = False,
    ) -> dict[str, Any]:
        """Log numbers by name in one call, and return them as Python numbers.

        Args:
            metrics: A dict or a TensorDict; nested keys of the latter are joined by
                `keys_sep`.
            step: Of all of them.
            keys_sep: See `metrics`.
            override_global_step: Pass the step to W&B itself.
        """
        numbers = as_numbers(metrics, keys_sep)
        self._log(numbers, step, override_global_step)
        return numbers

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log a video.

        Args:
            name: Slashes make groups, which share a step.
            video: A tensor or array (N, T, C, H, W), or (T, C, H, W), C 1 or 3,
                uint8, bool or floats in [0, 1], or a `Clip`. The N are shown side by
                side.
            step: Of the group.
            **kwargs: ``fps``; ``format``: ``"mp4"``, ``"webm"`` or ``"gif"``;
                ``caption``; ``commit``, ``override_global_step``; for encoders and
                clips those of `CSVLogger.log_video`.

        Raises:
            ValueError: A format that the page of a run does not play.
            FrameError: The video has another shape or dtype.
            ExportError: It could not be written; nothing of it is logged.
        """
        where = "WandbLogger.log_video"
        suffix = check_format(kwargs.pop("format", None) or "mp4", _FORMATS, where)
        fps = fps_of(video, kwargs.pop("fps", None), self.video_fps)
        video = as_batch(video)
        is_global = kwargs.pop("override_global_step", False)
        commit = {"commit": kwargs.pop("commit")} if "commit" in kwargs else {}
        caption = kwargs.pop("caption", None)
        with video_file(video, suffix, fps=fps, where=where, options=kwargs) as path:
            # W&B copies the file into the run before this returns.
            found = self._wandb.Video(str(path), caption=caption, format=suffix)
            self._log({name: found}, step, is_global, **commit)

    def log_table(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]] | Clip,
        step: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Log columns of equal length as a table of W&B.

        A table of more than 10,000 lines, which W&B would truncate, or of another
        format is stored among the run's files, as ``tables/<name>_<step>.csv``.

        Args:
            name: Slashes make groups, which share a step.
            columns: Name -> values, or a `Clip`, for its table.
            step: Of the group.
            **kwargs: For clips ``format``, ``on_progress`` and ``cancel``, as
                `Clip.write`.

        Raises:
            ExportError: It could not be written; nothing of it is logged.
        """
        suffix = kwargs.pop("format", None) or "csv"
        if suffix != "csv" or _num_lines(columns) > _MAX_TABLE_LINES:
            self._save_table(name, columns, step, suffix, kwargs)
            return
        if isinstance(columns, Clip):
            columns = columns.table()
        lines = list(zip(*(cells(c, None) for c in columns.values()), strict=True))
        table = self._wandb.Table(columns=list(columns), data=[list(x) for x in lines])
        self._log({name: table}, step, False)

    def log_report(
        self, name: str, path: str | os.PathLike[str], step: int | None = None
    ) -> None:
        """Log an HTML page, which the page of the run shows.

        Args:
            name: Slashes make groups, which share a step.
            path: Of the page, as of `rollout_viewer.report`; it is copied.
            step: Of the group.

        Raises:
            FileNotFoundError, ValueError: There is no page of that path.
            OSError: It cannot be read.
        """
        page = checked_page("WandbLogger.log_report", path)
        self._log({name: html_of(page, self._wandb)}, step, False)

    def log_str(
        self,
        name: str,
        value: str,
        step: int | None = None,
        *,
        override_global_step: bool = False,
    ) -> None:
        """Log a text: in the history with a step, else as a table of one cell."""
        table = self._wandb.Table(columns=["text"], data=[[value]])
        found = value if step is not None else table
        self._log({name: found}, step, override_global_step)

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Log a text, as `log_str`."""
        self.log_str(name, text, step)

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Log a configuration to the run's."""
        self.experiment.config.update(as_config(cfg), allow_val_change=True)

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Log the distribution of numbers.

        Args:
            name: Slashes make groups, which share a step.
            data: Tensor, array or list.
            **kwargs: ``step``; ``bins``, their number, 64 by default;
                ``override_global_step``, ``commit``.
        """
        bins = kwargs.pop("bins", None)
        values = as_numpy(data)
        found = self._wandb.Histogram(values, **({"num_bins": bins} if bins else {}))
        step = kwargs.pop("step", None)
        self._log({name: found}, step, kwargs.pop("override_global_step", False))

    # -- steps

    def _log(
        self, payload: dict[str, Any], step: Any, is_global: bool, **kwargs: Any
    ) -> None:
        if is_global:
            self.experiment.log(payload, step=step, **kwargs)
            return
        prepared = dict(payload)
        for name, value in payload.items():
            if _is_step(name):
                self._steps.advance(name, value)
        for name in payload:
            if not _is_step(name) and _step_name(name) not in prepared:
                prepared[_step_name(name)] = self._steps.advance(_step_name(name), step)
        self._define(prepared)
        self.experiment.log(prepared, **kwargs)

    def _define(self, payload: Mapping[str, Any]) -> None:
        """Define in W&B over which step each name is drawn."""
        for name in sorted(payload, key=_is_step, reverse=True):
            if _is_step(name):
                if name not in self._step_metrics:
                    self.experiment.define_metric(name)
                self._step_metrics.add(name)
            elif name not in self._metrics:
                self.experiment.define_metric(name, step_metric=_step_name(name))
                self._metrics.add(name)

    # -- the run

    def _save_table(
        self, name: str, columns: Any, step: Any, suffix: str, options: dict[str, Any]
    ) -> None:
        folder = self.experiment.dir
        with self._tables.next(name, step) as number:
            path = write_table(
                columns,
                path_inside(
                    Path(folder, "tables"),
                    f"{name}_{number}",
                    f".{suffix}",
                    where="WandbLogger.log_table",
                ),
                where="WandbLogger.log_table",
                options=options,
            )
            self.experiment.save(str(path), base_path=folder, policy="now")

    def _close(self) -> None:
        self.experiment.finish()

    # -- checkpoints

    def _local_state(self) -> dict[str, Any]:
        return {
            "id": getattr(self.experiment, "id", self.id),
            "step_registry": dict(self._steps.last),
            "defined_step_metrics": sorted(self._step_metrics),
            "defined_metrics": sorted(self._metrics),
        }

    def _load_local_state(self, local: Mapping[str, Any]) -> None:
        saved, live = local.get("id"), getattr(self.experiment, "id", self.id)
        if saved and live and saved != live:
            raise RuntimeError(
                f"WandbLogger.load_state_dict: expected a checkpoint of run {live!r}, "
                f"got one of {saved!r}. Make the logger for that run first: "
                f"WandbLogger(..., id={saved!r}, resume='must')."
            )
        self.id = saved or self.id
        self._steps.last = dict(local.get("step_registry", {}))
        self._step_metrics = set(local.get("defined_step_metrics", ()))
        self._metrics = set(local.get("defined_metrics", ()))

    def __repr__(self) -> str:
        return f"WandbLogger(experiment={self.experiment!r})"


def _is_step(name: str) -> bool:
    return name == "step" or name.endswith("/step")


def _step_name(name: str) -> str:
    prefix, slash, _ = name.rpartition("/")
    return f"{prefix}{slash}step"


def _num_lines(columns: Any) -> int:
    if isinstance(columns, Clip):
        return columns.num_rows * len(columns.envs)
    return max((len(values) for values in columns.values()), default=0)
