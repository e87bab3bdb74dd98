"""The files that loggers write: one of a video, one of a table.

A video is a tensor or an array (N, T, C, H, W), a table is columns of equal length;
either may be a clip, which is read as it is written. Knows encoders and array files.
Knows nothing of folders and names.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import FrameError, requires
from rollout_viewer._export.table_files import write_columns
from rollout_viewer._files.new_files import new_file
from rollout_viewer._frames.convert import as_frames
from rollout_viewer._frames.grid import grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Frame = npt.NDArray[np.uint8]

ARRAY_FORMATS = ("pt", "memmap", "npz")
VIDEO_FORMATS = ("pt", "memmap", "mp4", "webm", "gif", "npz")

# Keywords of `log_table` and `log_video` that are arguments of `Clip.write`.
_TABLE_KEYWORDS = ("on_progress", "cancel")
_CLIP_KEYWORDS = ("layout", "quality", "speed", "order", "labels", *_TABLE_KEYWORDS)


def check_format(given: Any, known: Sequence[str], where: str) -> str:
    """Return the format if it is known.

    Raises:
        ValueError: It is not known.
    """
    if given not in known:
        raise ValueError(
            f"{where}: expected a format in {tuple(known)}, got {given!r}. "
            "Choose one of them."
        )
    return str(given)


def fps_of(video: Any, fps: float | None, default: float) -> float | None:
    """Return a video's frames a second; None: those that the clip knows."""
    return fps if isinstance(video, Clip) else fps or default


def as_batch(video: Any) -> Any:
    """Return a video (T, C, H, W) as (1, T, C, H, W), others unchanged."""
    return video[None] if getattr(video, "ndim", 0) == 4 else video


def check_video(video: Any, where: str) -> None:
    """Check the shape of a video tensor; a clip has none to check.

    Raises:
        FrameError: It is not (N, T, C, H, W) with C 1 or 3.
    """
    if isinstance(video, Clip):
        return
    shape = tuple(getattr(video, "shape", ()))
    if len(shape) != 5 or shape[2] not in (1, 3):
        dtype = str(getattr(video, "dtype", type(video).__name__))
        raise FrameError(
            "Wrong format of the video tensor. Should be ((N), T, C, H, W). "
            f"{where}: expected uint8 with C 1 or 3, got {dtype} {shape}. "
            "Convert it, or pass a Clip."
        )


def write_video(
    video: Any,
    path: Path,
    *,
    fps: float | None,
    where: str,
    overwrite: bool = False,
    in_grid: bool = False,
    options: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write a video to a file; the suffix is its format.

    Args:
        video: A clip, or a tensor that `check_video` accepts. Floats in [0, 1] and
            bool become uint8, except in the array formats, which keep the dtype.
        path: Of a format in `VIDEO_FORMATS`; for a clip, any of `Clip.write`'s.
        fps: Frames a second; None: the clip's, or 30.
        where: The called function, for messages.
        overwrite: Replace a file of that name.
        in_grid: Show the N side by side; else one after the other.
        options: The keywords of `log_video`; unknown ones are ignored.

    Returns:
        The files; several only by a clip's layout.

    Raises:
        FrameError: The dtype is not a picture's.
        ExportError: It could not be written; nothing of it is left.
    """
    options = options or {}
    if isinstance(video, Clip):
        return video.write(
            path,
            fps=fps,
            overwrite=overwrite,
            options=_encoder_options(options),
            **_selected(options, _CLIP_KEYWORDS),
        )
    check_format(path.suffix[1:], VIDEO_FORMATS, where)
    if path.suffix[1:] in ARRAY_FORMATS:
        return [_write_array(video, path, where, overwrite)]
    array = cast(
        "Array", video if isinstance(video, np.ndarray) else video.detach().cpu()
    )
    frames = _Frames(array, is_grid=in_grid and len(array) > 1)
    return [_encode(frames, path, fps or 30, where, overwrite, options)]


@contextlib.contextmanager
def video_file(
    video: Any,
    suffix: str,
    *,
    name: str = "video",
    fps: float | None,
    where: str,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Path]:
    """Yield a temporary file of a video, the N side by side.

    It is deleted after the block.

    Raises:
        FrameError: The video has another shape or dtype.
        ExportError: It could not be written.
    """
    check_video(video, where)
    # Without a layout: several files would be several videos of one name and step.
    options = {k: v for k, v in (options or {}).items() if k != "layout"}
    with tempfile.TemporaryDirectory(prefix="rollout_viewer_") as folder:
        path = Path(folder, f"{name}.{suffix}")
        yield write_video(
            video, path, fps=fps, where=where, in_grid=True, options=options
        )[0]


def write_table(
    columns: Mapping[str, Any] | Clip,
    path: Path,
    *,
    where: str,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Write columns of equal length, or a clip's table, to a file.

    Args:
        columns: A clip, or name -> values, of which NaN is an empty cell.
        path: Ends in ``.csv``; for a clip, in any suffix of tables.
        where: The called function, for messages.
        overwrite: Replace a file of that name.
        options: ``on_progress`` and ``cancel``, for clips.

    Returns:
        The path of the file.

    Raises:
        ValueError: The columns are of unequal length, or the suffix is not known.
        ExportError: It could not be written; nothing of it is left.
    """
    if isinstance(columns, Clip):
        watch = _selected(options or {}, _TABLE_KEYWORDS)
        return columns.write(path, overwrite=overwrite, **watch)[0]
    check_format(path.suffix[1:], ("csv",), where)
    return write_columns(columns, path, where=where, overwrite=overwrite)


def _selected(options: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: options[name] for name in names if name in options}


class _Frames:
    """The frames of a tensor, one at a time; may be iterated several times."""

    def __init__(self, video: Any, *, is_grid: bool) -> None:
        self._video = video
        self._is_grid = is_grid

    def __iter__(self) -> Iterator[Frame]:
        video = self._video
        if self._is_grid:
            for index in range(video.shape[1]):
                yield grid(list(as_frames(video[:, index], channels="first")))
            return
        for one in video:
            for picture in one:
                yield as_frames(picture, channels="first")[0]


def _encode(
    frames: _Frames,
    path: Path,
    fps: float,
    where: str,
    overwrite: bool,
    options: Mapping[str, Any],
) -> Path:
    from rollout_viewer._video import VideoWriter, write_gif

    if path.suffix == ".gif":
        return write_gif(path, lambda: frames, fps, overwrite=overwrite, where=where)
    first = next(iter(frames), None)
    if first is None:
        raise FrameError(f"{where}: expected at least one frame, got none.")
    height, width = first.shape[:2]
    with VideoWriter(
        path,
        width,
        height,
        fps,
        options=_encoder_options(options),
        overwrite=overwrite,
        where=where,
    ) as writer:
        writer.write_all(frames)
    return writer.path


def _encoder_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoder's options of `log_video`'s keywords, TorchRL's among them."""
    found = dict(options.get("options") or {})
    if options.get("video_codec"):
        found["codec"] = options["video_codec"]
    return found


def _write_array(video: Any, path: Path, where: str, overwrite: bool) -> Path:
    """Write a tensor unchanged: with N, its channels and its dtype."""
    with new_file(path, where=where, overwrite=overwrite) as new:
        if path.suffix == ".pt":
            with requires(f"{where}: .pt", "torch"):
                import torch

            is_array = isinstance(video, np.ndarray)
            torch.save(torch.from_numpy(video) if is_array else video, new.part)
        else:
            array = video if isinstance(video, np.ndarray) else video.cpu().numpy()
            with new.part.open("wb") as out:
                if path.suffix == ".memmap":
                    out.write(np.ascontiguousarray(array).data)
                else:
                    np.savez(out, video=array)
    return new.path
