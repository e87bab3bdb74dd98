"""The files of a video segment: an mp4, and a JSON file that describes its episodes.

Knows recordings and files. Knows nothing of environments and triggers.
"""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import RowError
from rollout_viewer._export.provenance import success_entry
from rollout_viewer._files.names import path_inside
from rollout_viewer._files.new_files import new_file
from rollout_viewer._progress import progress_bar
from rollout_viewer._recorder.segment_frames import VideoFrames, shown_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.video_segment import VideoSegment
    from rollout_viewer._video import VideoWriter

    Frame = npt.NDArray[np.uint8]


def write_video(
    cache: FrameCache,
    segment: VideoSegment,
    folder: Path,
    *,
    where: str,
    is_quiet: bool = True,
    on_fitted: Callable[[int], object] = lambda _: None,
) -> Path:
    """Write ``<name>.mp4`` and ``<name>.json`` into `folder`; return the video.

    Frame n of the video is the n-th of `shown_rows`.

    Args:
        cache: The recording.
        segment: Which rows, and how.
        folder: Made if it is missing.
        where: The class that the user made, for messages.
        is_quiet: False draws a progress bar.
        on_fitted: Called with how many pictures had another size than the video.

    Raises:
        ExportError: It could not be written; nothing of it is left.
        RowError: There are no pictures.
    """
    rows = shown_rows(cache, segment.start, segment.stop)
    if not len(rows):
        raise RowError(f"{where}: expected rows with pictures for {segment.name!r}.")
    pictures = VideoFrames(cache, segment.columns)
    frames = pictures.of(rows)
    first = next(frames)
    with (
        progress_bar(segment.name, len(rows), unit="frame", is_hidden=is_quiet) as bar,
        open_video(cache, segment, folder, first, where) as video,
    ):
        frames = itertools.chain([first], frames)
        video.write_all(frames, lambda: bar.update(1))
    write_json(cache, segment, rows, video.path, where)
    on_fitted(pictures.num_fitted)
    return video.path


def open_video(
    cache: FrameCache, segment: VideoSegment, folder: Path, first: Frame, where: str
) -> VideoWriter:
    """Return a new video for frames of the size of `first`."""
    from rollout_viewer._video import VideoWriter

    comment = {"take": segment.name, "recording": cache.path.name, **cache.metadata}
    return VideoWriter(
        path_inside(folder, segment.name, ".mp4"),
        first.shape[1],
        first.shape[0],
        segment.fps,
        metadata={
            "comment": json.dumps(comment, default=str),
            "encoder": "rollout_viewer",
        },
        overwrite=segment.overwrite,
        where=where,
    )


def write_json(
    cache: FrameCache,
    segment: VideoSegment,
    rows: npt.NDArray[np.int64],
    video: Path,
    where: str,
) -> None:
    """Write the JSON file beside a video that shows `rows`."""
    content = {
        "video": video.name,
        "name": segment.name,
        "num_frames": len(rows),
        "fps": segment.fps,
        **segment.about,
        "episodes": _episodes(cache, rows),
        "recording": {
            "file": cache.path.name,
            "session": cache.session,
            "rows": [segment.start, int(rows[-1]) + 1],
        },
        "metadata": cache.metadata,
    }
    path = video.with_suffix(".json")
    # The video's name was free, so a JSON file of this name is of an older video.
    with new_file(path, where=where, overwrite=segment.overwrite) as new:
        text = json.dumps(content, indent=2, default=repr) + "\n"
        new.part.write_text(text, "utf-8")


def _episodes(cache: FrameCache, rows: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return the JSON entries of the episodes that a video of `rows` shows."""
    clip = Clip(cache, int(rows[0]), int(rows[-1]) + 1)
    found: list[dict[str, Any]] = []
    for episode in cache.episodes:
        first, last = max(episode.start, clip.start), min(episode.stop, clip.stop)
        if first >= last or episode.env not in clip.shown_envs:
            continue
        has_earlier = any(one["env"] == episode.env for one in found)
        if has_earlier and not episode.length:
            continue  # SB3 resets after the last episode: no step followed
        frames = np.searchsorted(rows, [first, last])
        # Rows after the video, where they are recorded, are not of what it shows.
        is_whole = episode.stop <= last
        end: Any = episode if is_whole else cache.at(last - 1, episode.env)
        length = end.length if is_whole else end.episode_step
        total = end.total_reward
        found.append(
            {
                "env": episode.env,
                "episode": episode.labels.get("episode", episode.index),
                "frames": frames.tolist(),
                "length": length,
                "total_reward": total if math.isfinite(total) else None,
                "terminated": end.terminated,
                "truncated": end.truncated,
                **success_entry(episode),
                "seed": episode.seed,
                "options": episode.options,
            }
        )
    return found
