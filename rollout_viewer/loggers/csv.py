"""CSVLogger: scalars, texts, tables and videos as files in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.clip import Clip
from rollout_viewer._files.names import path_inside
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer.loggers._base import DirectLogger, check_arguments
from rollout_viewer.loggers._csv_experiment import CSVExperiment
from rollout_viewer.loggers._log_files import VIDEO_FORMATS, check_format, check_video
from rollout_viewer.loggers._values import as_config

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

_COUNTERS = (
    "scalars",
    "videos_counter",
    "text_counter",
    "tables_counter",
    "reports_counter",
)
# Formats of a dump that are tables, whatever method was called.
_TABLES = ("csv", "parquet")


class CSVLogger(DirectLogger):
    """Logs to files in ``<log_dir>/<exp_name>/``, in the layout of TorchRL's.

    ``scalars/<name>.csv`` (lines ``step,value``), ``videos/<tag>_<step>.<format>``,
    ``texts/<tag><n>.txt``, and ``tables/<name>_<step>.csv`` and
    ``reports/<name>_<step>.html``, which TorchRL's lacks.

    Differences from TorchRL's: videos, texts and tables of an earlier run, or of the
    same step, are not overwritten (``-1``, ``-2``, ... is added); an unknown video
    format is refused here and not at the first video; mp4 needs no torchcodec and may
    have odd sizes; floats in [0, 1] are pictures in mp4, webm and gif; clips are
    streamed; a video that failed is not counted; texts keep no file open; names that
    lead out of the folder are refused; `log_video` and `log_table` return the path.
    There is no ``service_backend=``: use ``ProcessLogger(CSVLogger, ...)`` of TorchRL.

    Args:
        exp_name: Name of the experiment. Slashes make folders.
        log_dir: Folder of all experiments. None: ``csv_logs`` in the working
            directory.
        video_format: ``"pt"`` (``torch.save`` of the tensor, the only one that needs
            torch), ``"memmap"`` (its bare bytes, as tensordict's
            MemoryMappedTensor), ``"mp4"``, ``"webm"``, ``"gif"`` or ``"npz"``.
        video_fps: Frames a second of videos that are tensors.
        overwrite: Replace the files of an earlier run, as TorchRL's does.
        **others: Refused, apart from TorchRL's ``service_backend="direct"``.

    Attributes:
        exp_name, log_dir, video_format, video_fps: As above, resolved.
        experiment: The files, `CSVExperiment`.

    Raises:
        ValueError: The video format is none of these, or `exp_name` leads out of
            `log_dir`.
        TypeError: Another argument was passed.
        OSError: The folders cannot be made.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> logger = CSVLogger("run", tempfile.mkdtemp(), video_format="mp4")
        >>> logger.log_scalar("reward", 1.5)
        >>> logger.log_video("eval", np.zeros((1, 3, 3, 16, 16), np.uint8)).name
        'eval_0.mp4'
    """

    experiment: CSVExperiment

    def __init__(
        self,
        exp_name: str,
        log_dir: str | os.PathLike[str] | None = None,
        video_format: str = "pt",
        video_fps: float = 30,
        *,
        overwrite: bool = False,
        **others: Any,
    ) -> None:
        check_arguments("CSVLogger", others)
        super().__init__(
            exp_name, "csv_logs" if log_dir is None else os.fspath(log_dir)
        )
        self.video_format = check_format(video_format, VIDEO_FORMATS, "CSVLogger")
        self.video_fps = checked_fps("CSVLogger", video_fps)
        self.experiment = CSVExperiment(
            str(path_inside(self.log_dir, exp_name, where="CSVLogger")),
            video_format=video_format,
            video_fps=self.video_fps,
            overwrite=overwrite,
        )

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Append a number to its file. Without a step, steps count from 0."""
        self.experiment.add_scalar(name, value, step)

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> Path | list[Path]:
        """Write a video and return its path.

        Args:
            name: Slashes make folders.
            video: A tensor or array (N, T, C, H, W), C 1 or 3, or a `Clip`. In
                videos and GIFs the N follow one another in one file, and one channel
                is shown as gray; array formats store the tensor unchanged (of a clip:
                ``pt`` and ``memmap`` (1, T, C, H, W), ``npz`` also its table).
            step: Part of the name; None: counts from 0 for each name.
            **kwargs: ``fps``; ``format`` in place of the logger's; for videos
                ``video_codec`` and ``options`` (``{"crf": "18"}``, as ffmpeg names
                them); for clips also the arguments and formats of `Clip.write`.
                With a ``layout`` of several files, a list of them is returned.

        Raises:
            FrameError: The video has another shape or dtype.
            MissingDependencyError: ``"pt"``, and torch is not installed.
            ExportError: It could not be written; nothing of it is left.
        """
        check_video(video, "CSVLogger.log_video")
        if kwargs.get("format") in _TABLES and isinstance(video, Clip):
            return self.log_table(name, video, step, **kwargs)
        return self.experiment.add_video(name, video, step, **kwargs)

    def log_table(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]] | Clip,
        step: int | None = None,
        **kwargs: Any,
    ) -> Path:
        """Write columns of equal length as a table and return its path.

        Args:
            name: Slashes make folders.
            columns: Name -> values; of a `Clip`, its table is streamed.
            step: Part of the name; None: counts from 0 for each name.
            **kwargs: For clips ``format`` in place of ``"csv"``, ``on_progress`` and
                ``cancel``, as `Clip.write`.

        Raises:
            ExportError: It could not be written; nothing of it is left.
        """
        return self.experiment.add_table(name, columns, step, **kwargs)

    def log_report(
        self, name: str, path: str | os.PathLike[str], step: int | None = None
    ) -> Path:
        """Copy an HTML page into ``reports/``, and return the copy's path.

        Args:
            name: Slashes make folders.
            path: Of the page, as of `rollout_viewer.report`; it is copied.
            step: Part of the name; None: counts from 0 for each name.

        Raises:
            FileNotFoundError, ValueError: There is no page of that path.
            ExportError: It could not be written; nothing of it is left.
        """
        return self.experiment.add_report(name, path, step)

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Write a text to a file of its own."""
        self.experiment.add_text(name, text, step)

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Write a configuration, a line for each entry, sorted."""
        lines = [f"{key}: {value}" for key, value in sorted(as_config(cfg).items())]
        self.experiment.add_text("hparams", "\n".join(lines))

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Raise: a CSV file cannot hold a histogram.

        Raises:
            NotImplementedError: Always, as in TorchRL's.
        """
        raise NotImplementedError("Logging histograms in cvs is not permitted.")

    def print_log_dir(self) -> None:
        """Print the folders and files of the log folder as a tree."""
        root = Path(self.log_dir)
        for path in sorted(root.rglob("*")):
            depth = len(path.relative_to(root).parts) - 1
            print("    " * depth + path.name + ("/" if path.is_dir() else ""))

    def _flush(self) -> None:
        self.experiment.flush()

    def _close(self) -> None:
        self.experiment.close()

    def _local_state(self) -> dict[str, Any]:
        return {name: _copied(getattr(self.experiment, name)) for name in _COUNTERS}

    def _load_local_state(self, local: Mapping[str, Any]) -> None:
        for name in _COUNTERS:
            counter = getattr(self.experiment, name)
            counter.clear()
            counter.update(_copied(local.get(name, {})))
        if not local.get("text_counter"):
            # TorchRL's older checkpoints counted texts and videos together.
            self.experiment.text_counter.update(self.experiment.videos_counter)

    def __repr__(self) -> str:
        return f"CSVLogger(exp_name={self.exp_name}, experiment={self.experiment!r})"


def _copied(counter: Mapping[str, Any]) -> dict[str, Any]:
    # Scalars are lists, which would go on growing in the checkpoint.
    return {k: list(v) if isinstance(v, list) else v for k, v in counter.items()}
