"""Videos in a folder: each is a run of rows of a recording that lies beside it.

A `VideoSegment` says which rows a video shows, and how. The recording file lists the
segments whose videos are not written yet (`video_recovery` writes them after a crash).
Beside each video is a JSON file that describes its episodes.
Knows recordings and files. Knows nothing of environments and triggers.
"""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import RowError
from rollout_viewer._files import new_file
from rollout_viewer._frames.grid import grid, missing_picture
from rollout_viewer._recording.step_row import IDLE, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.video_segment import VideoSegment
    from rollout_viewer._video import VideoWriter

    Frame = npt.NDArray[np.uint8]


SUFFIX = ".rollout"


# -- writing one ----------------------------------------------------------------------


def write_video(
    cache: FrameCache,
    take: VideoSegment,
    folder: Path,
    *,
    where: str,
    is_quiet: bool = True,
) -> Path:
    """Write ``<name>.mp4`` and ``<name>.json`` into `folder`; return the video.

    Frame n of the video is the n-th row that shows something; see `shown_rows`.

    Args:
        cache: The recording.
        take: Which rows, and how.
        folder: Made where it is missing.
        where: The class that a person made, for messages.
        is_quiet: False draws a progress bar.

    Raises:
        ExportError: It could not be written; nothing of it is left.
        RowError: There are no pictures.
    """
    rows = shown_rows(cache, take.start, take.stop)
    if not len(rows):
        raise RowError(f"{where}: expected rows with pictures for {take.name!r}.")
    frames = frames_of(cache, rows, take.columns)
    first = next(frames)
    with (
        _bar(take.name, len(rows), is_quiet=is_quiet) as advance,
        open_video(cache, take, folder, first, where) as video,
    ):
        video.write(first)
        advance(1)
        for frame in frames:
            video.write(frame)
            advance(1)
    write_json(cache, take, rows, video.path, where)
    return video.path


def open_video(
    cache: FrameCache, take: VideoSegment, folder: Path, first: Frame, where: str
) -> VideoWriter:
    """Return a new video for frames like `first`."""
    from rollout_viewer._video import VideoWriter

    comment = {"take": take.name, "recording": cache.path.name, **cache.metadata}
    return VideoWriter(
        folder / f"{take.name}.mp4",
        first.shape[1],
        first.shape[0],
        take.fps,
        metadata={
            "comment": json.dumps(comment, default=str),
            "encoder": "rollout_viewer",
        },
        overwrite=take.overwrite,
        where=where,
    )


def shown_rows(
    cache: FrameCache, start: int, stop: int | None = None
) -> npt.NDArray[np.int64]:
    """Return the rows that are frames of a video.

    All but those in which envs ended whose terminal pictures are gone: what else is
    new in such a row the next one repeats, so that no picture is left out or doubled.
    """
    rows = cache.recording.rows
    stop = cache.num_rows if stop is None else min(stop, cache.num_rows)
    if rows is None or start >= stop:
        return np.empty(0, np.int64)
    envs = range(cache.num_envs) if cache.is_shared else cache.pictured_envs
    kinds = rows.kinds(start, stop)[:, list(envs)]
    ends = rows.ends(start, stop)[:, list(envs)]
    is_gone = kinds == TERMINAL_MISSING
    is_seen_end = (ends > 0) & ~is_gone & (kinds != IDLE)
    is_shown = ~is_gone.any(axis=1) | is_seen_end.any(axis=1)
    return start + np.flatnonzero(is_shown)


def frames_of(
    cache: FrameCache, rows: npt.NDArray[np.int64], columns: int | None
) -> Iterator[Frame]:
    """Give the frame of each of `rows`; the next may come in the same memory."""
    envs = [0] if cache.is_shared else list(cache.pictured_envs)
    if len(envs) == 1:
        yield from _frames_of_one(cache, rows, envs[0])
        return
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        clip = Clip(cache, int(run[0]), int(run[-1]) + 1)
        if columns is None:
            yield from clip.frames(copy=False)
        else:
            for tiles in clip.tiles():
                yield grid(list(tiles), columns=columns)


def _frames_of_one(
    cache: FrameCache, rows: npt.NDArray[np.int64], env: int
) -> Iterator[Frame]:
    # Row by row into one picture: many at once would be megabytes, and those of a
    # thread the allocator does not give back.
    out = np.empty((1, 1, *cache.frame_size(env), 3), np.uint8)
    for row in rows.tolist():
        cache.frames(row, [env], out=out)
        is_shown = cache.is_shown(row, env)
        yield out[0, 0] if is_shown else missing_picture(*out.shape[2:4])


@contextlib.contextmanager
def _bar(name: str, total: int, *, is_quiet: bool) -> Iterator[Any]:
    if is_quiet:
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(desc=name, total=total, unit="frame") as bar:
        yield bar.update


# -- what is told beside it -----------------------------------------------------------


def write_json(
    cache: FrameCache,
    take: VideoSegment,
    rows: npt.NDArray[np.int64],
    video: Path,
    where: str,
) -> None:
    """Write the JSON beside a video that shows `rows`."""
    told = {
        "video": video.name,
        "name": take.name,
        "num_frames": len(rows),
        "fps": take.fps,
        **take.about,
        "episodes": _episodes(cache, rows),
        "recording": {
            "file": cache.path.name,
            "session": cache.session,
            "rows": [take.start, int(rows[-1]) + 1],
        },
        "metadata": cache.metadata,
    }
    path = video.with_suffix(".json")
    # A video that got its name has it for its JSON too: what lies there is older.
    with new_file(path, where=where, overwrite=take.overwrite) as new:
        new.part.write_text(json.dumps(told, indent=2, default=repr) + "\n", "utf-8")


def _episodes(cache: FrameCache, rows: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return what the JSON tells of each episode that the video shows."""
    clip = Clip(cache, int(rows[0]), int(rows[-1]) + 1)
    found = []
    for episode in cache.episodes:
        first, last = max(episode.start, clip.start), min(episode.stop, clip.stop)
        if first >= last or episode.env not in clip.shown_envs:
            continue
        frames = np.searchsorted(rows, [first, last])
        total = episode.total_reward
        found.append(
            {
                "env": episode.env,
                "episode": episode.labels.get("episode", episode.index),
                "frames": frames.tolist(),
                "length": episode.length,
                "total_reward": total if math.isfinite(total) else None,
                "terminated": episode.terminated,
                "truncated": episode.truncated,
                "seed": episode.seed,
                "options": episode.options,
            }
        )
    return found
