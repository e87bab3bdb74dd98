"""`rv.open`: recordings, several as one, and video files.

A video becomes a recording of one env, frame by frame, in a temporary file.
"""

from __future__ import annotations

import glob
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

from rollout_viewer._cache.cache import FrameCache, open_recording
from rollout_viewer._cache.shared_storage import STEPS_SUFFIX, is_url
from rollout_viewer._errors import ExportError, RecordingError, RolloutViewerWarning
from rollout_viewer._files.new_files import why_not_a_file
from rollout_viewer._frames.fps import DEFAULT_FPS, as_fps
from rollout_viewer._progress import progress_bar
from rollout_viewer._recording.database import SIDE_FILES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._video import VideoFile

# Common suffixes that ffmpeg reads. Anything else is taken for a recording.
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif", ".mpg", ".mpeg"),
    *(".ogv", ".wmv", ".flv", ".ts", ".apng"),
)
# Of the lossless copy on disk. A film of minutes takes as much; no rollout does.
MAX_VIDEO_BYTES = 2_000_000_000
# Files beside a recording, which a pattern matches, too.
_BESIDE = (*SIDE_FILES, ".lock", STEPS_SUFFIX)
# A progress bar is shown for what takes longer.
_QUIET_S = 2.0


def open_path(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *others: Never,
    make_env: Callable[..., Any] | None = None,
    render: bool = False,
) -> FrameCache:
    """Return a recording for reading, from a recording's file or a video's.

    Args:
        path: A recording, which is followed while it is still written. Or a video
            file (mp4, webm, gif, avi, mkv, ...): its frames are decoded into a
            temporary recording of one env, up to 2 GB of it, more is left out with a
            warning. Or several recordings that are shown as one: their envs side by
            side, numbered on in this order, rows aligned at 0; a video only alone.
            A pattern with ``*``, ``?``, ``[...]`` or ``**/`` is the files that match
            it, by name. Or URLs of recordings on shared storage that fsspec knows, also
            patterns, as ``"s3://runs/*.rollout"``: each as it was when this was called.
            Step data is read at once, a whole recording when its pictures are looked
            at.
        *others: None. Several recordings are a list.
        make_env: Returns the recorded environment anew, for pictures that are rendered
            when they are asked for (`FrameCache.render`).
        render: Make the environment that the file names, for the same. Code that the
            file names is then imported: only of files that you trust. Otherwise a file
            is data, and nothing in it is run.

    Raises:
        RecordingError: It is neither, is damaged, or comes from a newer version. Of a
            folder, the message names the recordings in it.
        TypeError: Several are passed one by one.
        ValueError: Several are asked for and one is a video, or there is none.

    Example:
        >>> import tempfile, numpy as np
        >>> cache = FrameCache(fps=20)
        >>> for level in range(3):
        ...     _ = cache.append(np.full((32, 32, 3), level, np.uint8))
        >>> [video] = cache.clip().write(tempfile.mkdtemp() + "/gray.mp4")
        >>> open_path(video).fps, open_path(video).num_rows
        (20.0, 3)
    """
    if others:
        raise TypeError(
            f"rv.open: expected one path or a list of several, got {1 + len(others)} "
            "arguments. Pass rv.open([a, b]), or compare them: rv.view({'before': a, "
            "'after': b})."
        )
    if is_url(path):
        return open_recording(str(path), make_env=make_env, render=render)
    is_one = isinstance(path, (str, os.PathLike))
    given = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    if any(is_url(one) for one in given):
        return open_recording([str(one) for one in given])
    paths = [found for one in given for found in matching_files(one)]
    if len(paths) > 1 and (render or make_env is not None):
        raise ValueError(
            f"rv.open: expected one recording to render pictures of, got {len(paths)}. "
            "Open it alone, or leave out make_env and render."
        )
    if len(paths) == 1 and is_video(paths[0]):  # also as `Clip.write` returns
        return record_video(paths[0])
    if is_one and len(paths) == 1:
        return open_recording(paths[0], make_env=make_env, render=render)
    for one in paths:
        if is_video(one):
            raise ValueError(
                f"rv.open: expected recordings to show as one, got the video "
                f"{str(one)!r} among them. Open it alone, or save it as one first."
            )
    return open_recording(list(paths))


def matching_files(path: str | os.PathLike[str]) -> list[Path]:
    """Return the files that match a pattern, by name; else the path as it is.

    What lies beside a recording, as its ``-wal``, is none of them. A file whose name
    has a ``*`` is that file.

    Raises:
        RecordingError: No file matches.
    """
    text = os.fspath(path)
    is_pattern = any(char in text for char in "*?[") and "\0" not in text
    if not is_pattern or os.path.lexists(text):
        return [Path(path)]
    found = sorted(
        one
        for one in glob.iglob(text, recursive=True)
        if not one.endswith(_BESIDE) and not os.path.isdir(one)
    )
    if not found:
        raise RecordingError(
            f"rv.open: expected recordings at {text!r}, got none. Check the pattern; "
            f"a path begins in {os.getcwd()!r}, * is any part of a name, and **/ any "
            "folders."
        )
    return [Path(one) for one in found]


def is_video(path: Path) -> bool:
    """Return whether a path names a video, by its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def record_video(path: Path, *, max_bytes: float = MAX_VIDEO_BYTES) -> FrameCache:
    """Return a closed recording of a video's frames, as bright as a player shows it.

    Args:
        path: Of the video.
        max_bytes: Where to stop, of what the recording takes.

    Raises:
        RecordingError: There is none, it is no video, or it has no frame.
    """
    from rollout_viewer._video import VideoFile

    if problem := why_not_a_file(path):
        raise RecordingError(
            f"rv.open: expected a video, got {str(path)!r}, which {problem}. "
            "Check the path."
        )
    try:
        with (
            VideoFile(path, where="rv.open") as video,
            FrameCache(metadata={"video": path.name}) as cache,
        ):
            what_is_missing = _fill(cache, video, path.name, max_bytes)
            cache.mark_fps(as_fps(video.fps) or DEFAULT_FPS)
    except ExportError as error:
        raise RecordingError(str(error)) from error
    if not cache.num_rows:
        raise RecordingError(
            f"rv.open: expected a video with frames, got {str(path)!r} without any. "
            "Was it written to its end?"
        )
    if what_is_missing:
        warnings.warn(
            f"rv.open: {str(path)!r}: {what_is_missing} The first {cache.num_rows} "
            "frames are shown.",
            RolloutViewerWarning,
            stacklevel=3,
        )
    return cache


def _fill(
    cache: FrameCache, video: VideoFile, name: str, max_bytes: float
) -> str | None:
    """Record a video's frames; return why not all of them, if so."""
    total = video.num_frames
    with progress_bar(
        name, total or None, unit="frame", is_kept=False, delay_s=_QUIET_S
    ) as bar:
        try:
            for frame in video:
                if cache.num_rows and frame.shape[:2] != cache.frame_size(0):
                    return "expected one size, got frames of another."
                cache.append(frame, reset=[cache.num_rows == 0])
                if cache.nbytes > max_bytes:
                    return (
                        f"expected at most {max_bytes / 1e9:.3g} GB of frames, got "
                        "more. Cut the video, or make it smaller."
                    )
                bar.update(1)
        except ExportError as error:
            if not cache.num_rows:
                raise
            return f"expected a whole video, got {error}"
    if cache.num_rows < total:
        return f"expected {total} frames, got less. Was it written to its end?"
    return None
