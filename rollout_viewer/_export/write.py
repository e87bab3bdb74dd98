"""A selection becomes files: which ones, of which rows and envs, in which order.

A call leaves all of its files or none. Knows selections and `writers`.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    ExportTooLargeError,
    RowError,
    requires,
)
from rollout_viewer._export.job import ExportJob
from rollout_viewer._export.png import write_sheet
from rollout_viewer._export.table_files import check_parquet
from rollout_viewer._export.writers import WRITERS
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._progress import Counter

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from rollout_viewer._export.selection import Selection
    from rollout_viewer._export.writers import Writer
    from rollout_viewer._progress import Cancel, Progress
    from rollout_viewer._recording.query import Moment
    from rollout_viewer._video import Quality


# What step data alone is enough for.
TABLE_SUFFIXES = (".csv", ".parquet")
_WITHOUT_PICTURES = (*TABLE_SUFFIXES, ".html")

Layout = Literal["grid", "tiles", "episodes"]
Order = Literal["env", "return"]


def write_clip(
    clip: Selection,
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    layout: Layout = "grid",
    quality: Quality = "normal",
    speed: float = 1.0,
    order: Order = "env",
    labels: bool | Callable[[Moment], object] = False,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
    on_progress: Progress | None = None,
    cancel: Cancel | None = None,
    where: str = "Clip.write",
) -> list[Path]:
    """Write a clip to files and return them; see `Clip.write`.

    `where` is the public function that was called, for messages.
    """
    path = Path(path)
    writer = find_writer(clip, path, where)
    check_choice(where, "layout", layout, get_args(Layout))
    check_choice(where, "order", order, get_args(Order))
    check_choice(where, "quality", quality, ("normal", "high", "lossless"))
    rate = clip.fps if fps is None else checked_fps(where, fps)
    rate = checked_fps(where, rate * _positive(where, "speed", speed))
    if not isinstance(labels, bool) and not callable(labels):
        raise TypeError(
            f"{where}: expected labels to be True, False or a function of what "
            f"cache.at(row, env) knows, got {labels!r}. Pass labels=True."
        )
    if layout == "episodes" and writer is WRITERS[".png"]:
        writer = write_sheet
    if order == "return":
        clip = _by_return(clip)
    parts = _parts(clip, path, layout, where)
    job = ExportJob(
        where=where,
        fps=rate,
        quality=quality,
        labels=labels,
        overwrite=overwrite,
        options=dict(options or {}),
        progress=Counter(on_progress, cancel, where),
    )
    passes = 2 if path.suffix.lower() == ".gif" else 1
    job.progress.begin(sum(part.num_rows for _, part in parts) * passes)
    return _write_all(job, writer, parts)


def find_writer(clip: Selection, path: Path, where: str) -> Writer:
    """Return what writes a clip to such a path; nothing is written.

    Raises:
        ValueError: The suffix is none that can be written.
        RowError: It needs pictures, and no env of the clip has any.
        MissingDependencyError: It needs a library that is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(
            f"{where}: expected a name ending in one of {sorted(WRITERS)}, got "
            f"{str(path)!r}. Choose one of them."
        )
    if suffix == ".parquet":
        check_parquet(where)
    if suffix == ".pt":
        with requires(f"{where}: .pt", "torch"):
            import torch  # noqa: F401
    if suffix not in _WITHOUT_PICTURES:
        clip.frame_size  # noqa: B018 - raises where there are none
    return WRITERS[suffix]


def _write_all(
    job: ExportJob, writer: Writer, parts: Sequence[tuple[Path, Selection]]
) -> list[Path]:
    written: list[Path] = []
    try:
        for path, clip in parts:
            written.append(writer(job, clip, path))
    except BaseException as error:
        # All or nothing: a few of many files would look like the whole.
        for path in written:
            with contextlib.suppress(OSError):
                path.unlink()
        is_final = isinstance(error, (ExportCancelled, ExportTooLargeError))
        if is_final or not isinstance(error, Exception) or job.progress.row is None:
            raise
        raise ExportError(
            f"{job.where}: expected to write row {job.progress.row} of "
            f"{str(clip.cache.path)!r}, got {type(error).__name__}: {error} "
            "No file of this call is left."
        ) from error
    return written


# -- what is written


def _parts(
    clip: Selection, path: Path, layout: Layout, where: str
) -> list[tuple[Path, Selection]]:
    """Return each file's name and clip."""
    if layout == "grid":
        return [(path, clip)]
    is_table = path.suffix.lower() in TABLE_SUFFIXES
    if layout == "tiles":
        envs = clip.envs if is_table else clip.tile_envs or clip.envs
        return [
            (
                path.with_name(f"{path.stem}_env{env}{path.suffix}"),
                clip.part(envs=[env]),
            )
            for env in envs
        ]
    envs = clip.envs if is_table else clip.shown_envs or clip.envs
    parts = []
    for episode in clip.cache.episodes:
        start, stop = max(episode.start, clip.start), min(episode.stop, clip.stop)
        if episode.env in envs and start < stop:
            name = f"{path.stem}_ep{episode.index}_env{episode.env}{path.suffix}"
            part = clip.part(start, stop, [episode.env])
            parts.append((path.with_name(name), part))
    if not parts:
        raise RowError(
            f"{where}: expected an episode in rows {clip.start}..{clip.stop - 1}, got "
            "none. Choose layout='grid' or other rows."
        )
    return parts


def _by_return(clip: Selection) -> Selection:
    rewards = clip.cache.scalars["reward"][clip.start : clip.stop, list(clip.envs)]
    order = np.argsort(-np.nansum(rewards, axis=0), kind="stable")
    envs = [clip.envs[index] for index in order]
    return clip.part(envs=envs)


def check_choice(where: str, what: str, given: Any, choices: Sequence[str]) -> None:
    if given not in choices:
        raise ValueError(
            f"{where}: expected {what} to be one of {tuple(choices)}, got {given!r}. "
            "Choose one of them."
        )


def _positive(where: str, what: str, number: float) -> float:
    if not 0 < number < math.inf:
        raise ValueError(
            f"{where}: expected {what} to be a positive number, got {number!r}. "
            "Choose one, such as 1.0."
        )
    return float(number)
