"""TensorboardLogger: scalars, texts, histograms and videos as TensorBoard's events.

A video is an animated GIF of our own encoder, which TensorBoard shows among its
images, so that no moviepy of any version is needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ExportTooLargeError, requires
from rollout_viewer._files.names import path_inside
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer.loggers._base import (
    DirectLogger,
    check_arguments,
    close_at_exit,
)
from rollout_viewer.loggers._log_files import fps_of, video_file, write_table
from rollout_viewer.loggers._reports import as_link, checked_page, copy_page
from rollout_viewer.loggers._values import Steps, as_config, as_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._cache.clip import Clip

# A protobuf message has at most 2 GiB.
_MAX_GIF_BYTES = 2_000_000_000


class TensorboardLogger(DirectLogger):
    """Logs to TensorBoard's event files in ``<log_dir>/<exp_name>/``, as TorchRL's.

    Differences from TorchRL's: videos are written with any moviepy or none (TorchRL's
    writes nothing with moviepy 2, without an error), at 30 frames a second and not 4;
    several videos are shown in a grid of as many columns as rows, or one more; steps
    that are not given count from 0 and are not all 0; the first hyperparameters belong
    to the run itself and not to one named after the clock; `log_histogram` needs no
    ``bins``; everything is on disk when the process ends, also without `close`; clips
    are streamed; `log_table` and `log_report` write ``tables/<name>_<step>.csv`` and
    ``reports/<name>_<step>.html`` beside the events.

    Args:
        exp_name: Name of the experiment. Slashes make folders.
        log_dir: Folder of all experiments.
        video_fps: Frames a second of videos that are tensors. GIFs play at most 50.
        **others: Refused, apart from TorchRL's ``service_backend="direct"``.

    Attributes:
        exp_name, video_fps: As above.
        log_dir: The folder of the experiment, as in TorchRL's.
        experiment: torch's ``SummaryWriter``, for its other methods.

    Raises:
        MissingDependencyError: tensorboard or torch is not installed.
        ValueError: `exp_name` leads out of `log_dir`.
        TypeError: Another argument was passed.
        OSError: The folder cannot be made.
    """

    # One name is drawn over its steps: the videos of a recorder have one.
    shows_steps = True

    def __init__(
        self,
        exp_name: str,
        log_dir: str | os.PathLike[str] = "tb_logs",
        *,
        video_fps: float = 30,
        **others: Any,
    ) -> None:
        check_arguments("TensorboardLogger", others)
        with requires("TensorboardLogger", "tensorboard", "tensorboard", "torch"):
            from torch.utils.tensorboard import SummaryWriter

        super().__init__(exp_name, os.fspath(log_dir))
        folder = path_inside(self.log_dir, exp_name, where="TensorboardLogger")
        self.experiment = SummaryWriter(str(folder))
        self.log_dir = self.experiment.log_dir
        self.video_fps = checked_fps("TensorboardLogger", video_fps)
        self._steps = Steps()
        self._num_hparams = 0
        self._pid = os.getpid()
        # The writer's thread writes every two minutes; exiting does not wait for it.
        self._finalizer = close_at_exit(self, self.experiment.close)

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Log a number."""
        number = as_number(value, name)
        self._writer.add_scalar(name, number, self._steps.advance(name, step))

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> None:
        """Log a video as an animated GIF, among TensorBoard's images.

        Args:
            name: Tag; slashes make groups.
            video: A tensor or array (N, T, C, H, W), C 1 or 3, uint8, bool or floats
                in [0, 1], or a `Clip`. The N are shown side by side.
            step: Of the training; None: counts from 0 for each name.
            **kwargs: ``fps``, ``walltime``; for clips also ``labels``, ``speed``,
                ``order``, ``on_progress`` and ``cancel``, as `Clip.write`.

        Raises:
            FrameError: The video has another shape or dtype.
            ExportTooLargeError: The GIF, which is held in memory, has more than 2 GB.
            ExportError: It could not be written; nothing of it is logged.
        """
        fps = fps_of(video, kwargs.pop("fps", None), self.video_fps)
        walltime = kwargs.pop("walltime", None)
        where = "TensorboardLogger.log_video"
        with video_file(video, "gif", fps=fps, where=where, options=kwargs) as path:
            num_bytes = path.stat().st_size
            if num_bytes > _MAX_GIF_BYTES:
                raise ExportTooLargeError(
                    f"{where}: expected a GIF of at most {_MAX_GIF_BYTES / 1e9:g} GB, "
                    f"which is what an event can hold, got {num_bytes / 1e9:.3g} GB. "
                    "Log fewer rows or envs, or write a file: clip.write('x.mp4')."
                )
            gif = path.read_bytes()
        self._add_image(name, gif, self._steps.advance(name, step), walltime)
        self._writer.flush()

    def log_table(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | npt.NDArray[Any]] | Clip,
        step: int | None = None,
        **kwargs: Any,
    ) -> Path:
        """Write a table beside the events, and return its path.

        Args:
            name: Slashes make folders.
            columns: Name -> values; of a `Clip`, its table is streamed.
            step: Part of the name; None: counts from 0 for each name.
            **kwargs: For clips ``format`` in place of ``"csv"``, ``on_progress`` and
                ``cancel``, as `Clip.write`.

        Raises:
            ExportError: It could not be written; nothing of it is left.
        """
        where = "TensorboardLogger.log_table"
        suffix = kwargs.pop("format", None) or "csv"
        with self._steps.next(f"tables/{name}", step) as number:
            return write_table(
                columns,
                path_inside(
                    Path(self.log_dir, "tables"),
                    f"{name}_{number}",
                    f".{suffix}",
                    where=where,
                ),
                where=where,
                options=kwargs,
            )

    def log_report(
        self, name: str, path: str | os.PathLike[str], step: int | None = None
    ) -> Path:
        """Copy an HTML page beside the events, and log a text that says where it is.

        Args:
            name: Slashes make folders.
            path: Of the page, as of `rollout_viewer.report`; it is copied.
            step: Part of the name; None: counts from 0 for each name.

        Raises:
            FileNotFoundError, ValueError: There is no page of that path.
            ExportError: It could not be written; nothing of it is left.
        """
        where = "TensorboardLogger.log_report"
        page = checked_page(where, path)
        with self._steps.next(f"reports/{name}", step) as number:
            target = path_inside(
                Path(self.log_dir, "reports"), f"{name}_{number}", ".html", where=where
            )
            copy = copy_page(page, target, where=where)
            self._writer.add_text(name, as_link(copy), number)
        self._writer.flush()
        return copy

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Log a text, which TensorBoard shows as Markdown."""
        self._writer.add_text(name, str(text), self._steps.advance(name, step))

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Log a configuration to the HPARAMS page; nested names are joined by dots.

        A second one gets a run of its own, ``hparams_1``, since a run shows one.
        """
        from torch.utils.tensorboard import summary

        shown = _flat(as_config(cfg))
        if self._num_hparams:
            # TensorBoard shows one configuration of a run, the first that it reads.
            self._writer.add_hparams(shown, {}, run_name=f"hparams_{self._num_hparams}")
        else:
            untyped: Any = summary
            for part in untyped.hparams(shown, {}):
                self._writer._get_file_writer().add_summary(part)
            self._writer.flush()
        self._num_hparams += 1

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Log the distribution of numbers.

        Args:
            name: Tag.
            data: Tensor, array or list.
            **kwargs: ``step``; ``bins``, as NumPy's or ``"tensorflow"``, the
                default; ``walltime``.

        Raises:
            TypeError: Another keyword was passed.
        """
        import numpy as np

        step = kwargs.pop("step", None)
        bins = kwargs.pop("bins", "tensorflow")
        walltime = kwargs.pop("walltime", None)
        if kwargs:
            raise TypeError(f"Unrecognised arguments {kwargs}.")
        values = data if hasattr(data, "detach") else np.asarray(data)
        number = self._steps.advance(name, step)
        self._writer.add_histogram(name, values, number, bins, walltime)

    def _add_image(
        self, name: str, gif: bytes, step: int, walltime: float | None
    ) -> None:
        """Add an encoded image, for which SummaryWriter has no method."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        width, height = (int.from_bytes(gif[at : at + 2], "little") for at in (6, 8))
        image = Summary.Image(
            height=height, width=width, colorspace=3, encoded_image_string=gif
        )
        summary = Summary(value=[Summary.Value(tag=name, image=image)])
        self._writer._get_file_writer().add_summary(summary, step, walltime)

    @property
    def _writer(self) -> Any:
        if os.getpid() != self._pid:
            # The writer's thread is the parent's: flush would wait for ever.
            raise RuntimeError(
                "TensorboardLogger: expected the process that made it, got a forked "
                "one. Make a logger in each process, with a name of its own."
            )
        return self.experiment

    def _flush(self) -> None:
        self._writer.flush()

    def _close(self) -> None:
        self._finalizer()

    def _local_state(self) -> dict[str, Any]:
        return {"steps": dict(self._steps.last), "num_hparams": self._num_hparams}

    def _load_local_state(self, local: Mapping[str, Any]) -> None:
        self._steps.last = dict(local.get("steps", {}))
        self._num_hparams = local.get("num_hparams", 0)

    def __repr__(self) -> str:
        return f"TensorboardLogger(experiment={self.experiment!r})"


# Both spellings are in use.
TensorBoardLogger = TensorboardLogger


def _flat(cfg: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return entries as the HPARAMS page shows them: numbers, texts and bools."""
    flat: dict[str, Any] = {}
    for key, value in cfg.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            is_shown = isinstance(value, (bool, int, float, str))
            flat[f"{prefix}{key}"] = value if is_shown else str(value)
    return flat
