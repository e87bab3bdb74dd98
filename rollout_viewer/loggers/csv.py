"""CSVLogger: scalars, texts, tables and videos as files in a folder.

Knows TorchRL's layout and array files. Clips write themselves; tensors of video are
written here. Knows nothing of recorders.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rollout_viewer._clip import Clip
from rollout_viewer._errors import FrameError
from rollout_viewer._files import free_path, new_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TextIO

    import numpy.typing as npt

    Array = npt.NDArray[Any]

VIDEO_FORMATS = ("pt", "memmap", "mp4", "webm", "gif", "npz")
_CLIP_FORMATS = (*VIDEO_FORMATS, "png", "html")
# What `Clip.write` takes from the keywords of `log_video`.
_CLIP_KEYWORDS = (
    "layout",
    "quality",
    "speed",
    "order",
    "labels",
    "on_progress",
    "cancel",
)


class CSVExperiment:
    """The files of one experiment; `CSVLogger.experiment`, as in TorchRL.

    Invariant: a file that stood there before is not changed, except that scalars
    are appended to theirs, unless `overwrite`.
    """

    def __init__(
        self,
        log_dir: str,
        *,
        video_format: str = "pt",
        video_fps: float = 30,
        overwrite: bool = False,
    ) -> None:
        self.scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.videos_counter: dict[str, int] = defaultdict(int)
        self.text_counter: dict[str, int] = defaultdict(int)
        self.tables_counter: dict[str, int] = defaultdict(int)
        self.log_dir = log_dir
        self.video_format = video_format
        self.video_fps = video_fps
        self.overwrite = overwrite
        self.files: dict[str, TextIO] = {}
        for folder in ("scalars", "videos", "texts"):
            os.makedirs(os.path.join(log_dir, folder), exist_ok=True)

    def add_scalar(
        self, name: str, value: float, global_step: int | None = None
    ) -> None:
        """Append ``step,value`` to ``scalars/<name>.csv``; it is on disk at once."""
        value = float(value)
        if global_step is None:
            global_step = len(self.scalars[name])
        self.scalars[name].append((global_step, value))
        file = self._open("scalars", f"{name}.csv", "a")
        file.write(f"{global_step},{value}\n")
        file.flush()

    def add_text(self, tag: str, text: str, global_step: int | None = None) -> None:
        """Write ``texts/<tag><step>.txt``."""
        step = _next(self.text_counter, tag, global_step)
        file = self._open("texts", f"{tag}{step}.txt", "w")
        file.write(text)
        file.flush()

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        *,
        format: str | None = None,
        **kwargs: Any,
    ) -> Path:
        """Write ``videos/<tag>_<step>.<format>`` and return its path."""
        suffix = _check_format(format or self.video_format, _CLIP_FORMATS)
        step = _next(self.videos_counter, tag, global_step)
        path = Path(self.log_dir, "videos", f"{tag}_{step}.{suffix}")
        fps = kwargs.pop("fps", None)
        if isinstance(vid_tensor, Clip):
            given = {name: kwargs[name] for name in _CLIP_KEYWORDS if name in kwargs}
            return vid_tensor.write(
                path,
                # A clip knows its rate; the logger's is for tensors, which do not.
                fps=fps or vid_tensor.fps,
                overwrite=self.overwrite,
                options=_encoder_options(kwargs),
                **given,
            )[0]
        _check_format(suffix, VIDEO_FORMATS)
        fps = fps or self.video_fps
        return _write_tensor(vid_tensor, path, fps, self.overwrite, kwargs)

    def add_table(
        self,
        name: str,
        columns: Mapping[str, Any] | Clip,
        global_step: int | None = None,
        **kwargs: Any,
    ) -> Path:
        """Write ``tables/<name>_<step>.csv`` and return its path."""
        step = _next(self.tables_counter, name, global_step)
        path = Path(self.log_dir, "tables", f"{name}_{step}.csv")
        if isinstance(columns, Clip):
            return columns.write(path, overwrite=self.overwrite, **kwargs)[0]
        with (
            new_file(path, where="CSVLogger", overwrite=self.overwrite) as new,
            new.part.open("w", newline="", encoding="utf-8") as out,
        ):
            lines = csv.writer(out, lineterminator="\n")
            lines.writerow(columns)
            lines.writerows(zip(*map(_cells, columns.values()), strict=True))
        return new.path

    def flush(self) -> None:
        """Write what is not yet on disk."""
        for file in self.files.values():
            file.flush()

    def close(self) -> None:
        """Close the files. Closing twice is safe; logging opens them again."""
        while self.files:
            self.files.popitem()[1].close()

    def _open(self, folder: str, name: str, mode: str) -> TextIO:
        key = os.path.join(folder, name)
        if key not in self.files:
            path = Path(self.log_dir, folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            if mode == "w" and not self.overwrite:
                path = free_path(path)
            self.files[key] = cast("TextIO", path.open(mode, encoding="utf-8"))
        return self.files[key]

    def __repr__(self) -> str:
        return f"CSVExperiment(log_dir={self.log_dir})"

    def __del__(self) -> None:
        if hasattr(self, "files"):
            self.close()


class CSVLogger:
    """Logs to files in ``<log_dir>/<exp_name>/``, in the layout of TorchRL's.

    ``scalars/<name>.csv`` (lines ``step,value``), ``videos/<tag>_<step>.<format>``,
    ``texts/<tag><n>.txt``, and ``tables/<name>_<step>.csv``, which TorchRL's has not.

    Other than TorchRL's: a run does not overwrite the videos, texts and tables of
    an earlier one (``-1``, ``-2``, ... is added); an unknown video format is refused
    here and not at the first video; mp4 needs no torchcodec and takes odd sizes;
    clips are streamed; `log_video` and `log_table` return the path.

    Args:
        exp_name: Name of the experiment.
        log_dir: Folder of all experiments. None: ``csv_logs`` in the working
            directory.
        video_format: ``"pt"`` (``torch.save`` of the tensor), ``"memmap"`` (its bare
            bytes, as tensordict's MemoryMappedTensor), ``"mp4"``, ``"webm"``,
            ``"gif"`` or ``"npz"``.
        video_fps: Frames a second of videos that come as tensors.
        overwrite: Replace the files of an earlier run, as TorchRL's does.

    Attributes:
        exp_name, log_dir, video_format, video_fps: As above, resolved.
        experiment: The files, `CSVExperiment`.

    Raises:
        ValueError: The video format is none of these.
        OSError: The folders cannot be made.

    Example:
        >>> import tempfile
        >>> logger = CSVLogger("run", tempfile.mkdtemp(), video_format="mp4")
        >>> logger.log_scalar("reward", 1.5)
        >>> logger.log_video("eval", np.zeros((1, 3, 3, 16, 16), np.uint8)).name
        'eval_0.mp4'
    """

    takes_clips = True

    def __init__(
        self,
        exp_name: str,
        log_dir: str | os.PathLike[str] | None = None,
        video_format: str = "pt",
        video_fps: float = 30,
        *,
        overwrite: bool = False,
    ) -> None:
        self.exp_name = exp_name
        self.log_dir = "csv_logs" if log_dir is None else os.fspath(log_dir)
        self.video_format = _check_format(video_format, VIDEO_FORMATS)
        self.video_fps = video_fps
        self._is_shut_down = False
        self.experiment = CSVExperiment(
            os.path.join(self.log_dir, exp_name),
            video_format=video_format,
            video_fps=video_fps,
            overwrite=overwrite,
        )

    # -- logging

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Append a number to its file. Steps count from 0 where none is given."""
        self.experiment.add_scalar(name, value, step)

    def log_metrics(
        self, metrics: Any, step: int | None = None, *, keys_sep: str = "/"
    ) -> dict[str, Any]:
        """Log numbers by name, and return them as Python's.

        Args:
            metrics: A dict or a TensorDict; nested keys are joined by `keys_sep`.
            step: Of all of them.
            keys_sep: See `metrics`.
        """
        if hasattr(metrics, "flatten_keys"):
            metrics = metrics.flatten_keys(keys_sep).to_dict()
        numbers = {name: _as_python(value) for name, value in metrics.items()}
        for name, number in numbers.items():
            self.log_scalar(name, number, step)
        return numbers

    def log_video(
        self, name: str, video: Any, step: int | None = None, **kwargs: Any
    ) -> Path:
        """Write a video and return its path.

        Args:
            name: Slashes make folders.
            video: A uint8 tensor or array (N, T, C, H, W), C 1 or 3, or a `Clip`. In
                videos and GIFs the N follow each other in one file, and one channel
                is shown as gray.
            step: Part of the name; None: counts from 0 for each name.
            **kwargs: ``fps``; ``format`` in place of the logger's; for videos
                ``video_codec`` and ``options`` (``{"crf": "18"}``, as ffmpeg names
                them); for clips also what `Clip.write` takes.

        Raises:
            FrameError: The video has another shape or dtype.
            ExportError: It could not be written; nothing of it is left.
        """
        if not isinstance(video, Clip):
            _check_video(video)
        return self.experiment.add_video(name, video, step, **kwargs)

    def log_table(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any] | Array] | Clip,
        step: int | None = None,
        **kwargs: Any,
    ) -> Path:
        """Write columns of equal length as a table and return its path.

        Args:
            name: Slashes make folders.
            columns: Name -> values; a `Clip` gives its table, streamed.
            step: Part of the name; None: counts from 0 for each name.
            **kwargs: For clips ``on_progress`` and ``cancel``, as `Clip.write`.

        Raises:
            ExportError: It could not be written; nothing of it is left.
        """
        return self.experiment.add_table(name, columns, step, **kwargs)

    def log_text(self, name: str, text: str, step: int | None = None) -> None:
        """Write a text to a file of its own."""
        self.experiment.add_text(name, text, step)

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Write a configuration, a line for each entry, sorted."""
        lines = [f"{key}: {value}" for key, value in sorted(cfg.items())]
        self.experiment.add_text("hparams", "\n".join(lines))

    def log_histogram(self, name: str, data: Sequence[Any], **kwargs: Any) -> None:
        """Refuse: a histogram is no line of numbers.

        Raises:
            NotImplementedError: Always, as in TorchRL's.
        """
        raise NotImplementedError("Logging histograms in cvs is not permitted.")

    # -- lifetime

    def start(self) -> CSVLogger:
        """Return itself; raise if it was shut down."""
        if self._is_shut_down:
            raise RuntimeError(
                "CSVLogger.start: expected an open logger, got one that was shut down. "
                "Make a new one."
            )
        return self

    def client(self) -> CSVLogger:
        """Return itself: this logger works in the process that made it."""
        return self

    @property
    def service_backend(self) -> str:
        """How it runs: in this process."""
        return "direct"

    @property
    def is_alive(self) -> bool:
        """Whether it was not shut down."""
        return not self._is_shut_down

    def flush(self, timeout: float | None = None) -> None:
        """Write what is not yet on disk; it is soon done, whatever `timeout` says."""
        del timeout
        self.experiment.flush()

    def close(self, timeout: float | None = None) -> None:
        """Close the files, as `shutdown`."""
        self.shutdown(timeout)

    def shutdown(self, timeout: float | None = None) -> None:
        """Close the files. Twice is safe."""
        del timeout
        self.experiment.close()
        self._is_shut_down = True

    def state_dict(self) -> dict[str, Any]:
        """Return names and counters for a checkpoint, in TorchRL's form."""
        experiment = self.experiment
        return {
            "exp_name": self.exp_name,
            "log_dir": os.path.abspath(self.log_dir),
            "local": {name: dict(getattr(experiment, name)) for name in _COUNTERS},
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on counting where a checkpoint stopped; names are not changed."""
        local = state_dict.get("local", {})
        for name in _COUNTERS:
            counter = getattr(self.experiment, name)
            counter.clear()
            counter.update(local.get(name, {}))
        if not local.get("text_counter"):
            # TorchRL's older checkpoints counted texts and videos together.
            self.experiment.text_counter.update(self.experiment.videos_counter)

    def print_log_dir(self) -> None:
        """Print the folders and files of the log folder as a tree."""
        root = Path(self.log_dir)
        for path in sorted(root.rglob("*")):
            depth = len(path.relative_to(root).parts) - 1
            print("    " * depth + path.name + ("/" if path.is_dir() else ""))

    def __repr__(self) -> str:
        return f"CSVLogger(exp_name={self.exp_name}, experiment={self.experiment!r})"


_COUNTERS = ("scalars", "videos_counter", "text_counter", "tables_counter")


def _check_format(given: str, known: Sequence[str]) -> str:
    if given not in known:
        raise ValueError(
            f"CSVLogger: expected a video format in {tuple(known)}, got {given!r}. "
            "Choose one of them."
        )
    return given


def _check_video(video: Any) -> None:
    shape = tuple(getattr(video, "shape", ()))
    dtype = str(getattr(video, "dtype", type(video).__name__))
    if len(shape) != 5 or shape[2] not in (1, 3) or not dtype.endswith("uint8"):
        raise FrameError(
            "Wrong format of the video tensor. Should be ((N), T, C, H, W). "
            "CSVLogger.log_video: expected uint8 with C 1 or 3, got "
            f"{dtype} {shape}. Convert it, or pass a Clip."
        )


def _next(counter: dict[str, int], name: str, step: int | None) -> int:
    if step is not None:
        return step
    counter[name] += 1
    return counter[name] - 1


def _encoder_options(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoder's options from TorchRL's keywords."""
    options = dict(kwargs.get("options") or {})
    if kwargs.get("video_codec"):
        options["codec"] = kwargs["video_codec"]
    return options


def _write_tensor(
    video: Any, path: Path, fps: float, overwrite: bool, kwargs: Mapping[str, Any]
) -> Path:
    """Write a tensor or array (N, T, C, H, W) by the suffix of `path`."""
    if path.suffix == ".pt":
        import torch

        # As it is, like the original: N and one channel stay.
        tensor = torch.from_numpy(video) if isinstance(video, np.ndarray) else video
        with new_file(path, where="CSVLogger", overwrite=overwrite) as new:
            torch.save(tensor, new.part)
        return new.path
    array = cast(
        "Array", video if isinstance(video, np.ndarray) else video.cpu().numpy()
    )
    if path.suffix in (".memmap", ".npz"):
        with (
            new_file(path, where="CSVLogger", overwrite=overwrite) as new,
            new.part.open("wb") as out,
        ):
            if path.suffix == ".memmap":
                out.write(np.ascontiguousarray(array).data)
            else:
                np.savez(out, video=array)
        return new.path
    return _encode(array, path, fps, overwrite, kwargs)


def _encode(
    array: Array, path: Path, fps: float, overwrite: bool, kwargs: Mapping[str, Any]
) -> Path:
    from rollout_viewer._video import VideoWriter, write_gif

    frames = array.reshape(-1, *array.shape[2:]).transpose(0, 2, 3, 1)
    frames = np.broadcast_to(frames, (*frames.shape[:3], 3))
    if path.suffix == ".gif":
        return write_gif(
            path, lambda: frames, fps, overwrite=overwrite, where="CSVLogger"
        )
    height, width = frames.shape[1:3]
    with VideoWriter(
        path,
        width,
        height,
        fps,
        options=_encoder_options(kwargs),
        overwrite=overwrite,
        where="CSVLogger",
    ) as writer:
        for frame in frames:
            writer.write(frame)
    return writer.path


def _cells(values: Sequence[Any] | Array) -> list[Any]:
    listed = np.asarray(values).tolist() if hasattr(values, "shape") else list(values)
    return ["" if value != value else value for value in listed]  # NaN: nothing


def _as_python(value: Any) -> Any:
    """Return a tensor or an array as a number, or a list of them."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return value.item() if value.size == 1 else value.tolist()
    return value
