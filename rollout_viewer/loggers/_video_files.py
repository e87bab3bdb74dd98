"""What loggers do with a video: look whether it is one, and make a file of it.

A video is a tensor or an array (N, T, C, H, W), or a clip, which is read as it is
written. Knows encoders and array files. Knows nothing of where the files belong.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import FrameError, requires
from rollout_viewer._files import new_file
from rollout_viewer._frames.convert import as_frames
from rollout_viewer._frames.grid import grid

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]
    Frame = npt.NDArray[np.uint8]

ARRAY_FORMATS = ("pt", "memmap", "npz")
VIDEO_FORMATS = ("pt", "memmap", "mp4", "webm", "gif", "npz")

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


def check_format(given: Any, known: Sequence[str], where: str) -> str:
    """Return a format that is known.

    Raises:
        ValueError: It is not.
    """
    if given not in known:
        raise ValueError(
            f"{where}: expected a format in {tuple(known)}, got {given!r}. "
            "Choose one of them."
        )
    return str(given)


def check_video(video: Any, where: str) -> None:
    """Look at shape and dtype of a video tensor; clips are always right.

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
    """Write a video to a file; the suffix decides what it is.

    Args:
        video: As `check_video` wants it. Floats in [0, 1] and bool are made uint8,
            but for the array formats, which keep what they are given.
        path: Of a format in `VIDEO_FORMATS`; clips take all of `Clip.write`'s.
        fps: Frames a second; None: the clip's, or 30.
        where: The function that a person called, for messages.
        overwrite: Replace a file of that name.
        in_grid: Show the N side by side; else they follow each other.
        options: The keywords of `log_video`; those for others are passed over.

    Returns:
        The files; several only where a clip's layout makes them.

    Raises:
        FrameError: The dtype is none of pictures.
        ExportError: It could not be written; nothing of it is left.
    """
    options = options or {}
    if isinstance(video, Clip):
        given = {name: options[name] for name in _CLIP_KEYWORDS if name in options}
        return video.write(
            path,
            fps=fps,
            overwrite=overwrite,
            options=_encoder_options(options),
            **given,
        )
    check_format(path.suffix[1:], VIDEO_FORMATS, where)
    if path.suffix[1:] in ARRAY_FORMATS:
        return [_write_array(video, path, where, overwrite)]
    array = cast(
        "Array", video if isinstance(video, np.ndarray) else video.detach().cpu()
    )
    frames = _in_grid(array) if in_grid else _in_turn(array)
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
    """Give a video as a file that is gone after the block, the N side by side.

    Raises:
        FrameError: It is none.
        ExportError: It could not be written.
    """
    check_video(video, where)
    # Several files would be several videos of one name and step.
    options = {k: v for k, v in (options or {}).items() if k != "layout"}
    with tempfile.TemporaryDirectory(prefix="rollout_viewer_") as folder:
        path = Path(folder, f"{name}.{suffix}")
        yield write_video(
            video, path, fps=fps, where=where, in_grid=True, options=options
        )[0]


def _in_turn(video: Any) -> _Frames:
    return _Frames(video, is_grid=False)


def _in_grid(video: Any) -> _Frames:
    return _Frames(video, is_grid=len(video) > 1)


class _Frames:
    """The frames of a tensor, as often as they are asked for, one at a time."""

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
        for frame in frames:
            writer.write(frame)
    return writer.path


def _encoder_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the encoder's options from TorchRL's keywords."""
    found = dict(options.get("options") or {})
    if options.get("video_codec"):
        found["codec"] = options["video_codec"]
    return found


def _write_array(video: Any, path: Path, where: str, overwrite: bool) -> Path:
    """Write what came, as it came: N and one channel stay, and so does the dtype."""
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
