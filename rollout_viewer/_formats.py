"""Writers: a clip becomes one file, a function for each suffix.

They take the frames one by one; only the table's step data is held whole. Knows
videos, arrays and tables. Knows nothing of layouts or loggers.
"""

from __future__ import annotations

import csv
import json
import math
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._clip import Clip
from rollout_viewer._files import new_file

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Iterator

    import numpy.typing as npt

    from rollout_viewer._files import NewFile
    from rollout_viewer._moments import Moment
    from rollout_viewer._progress import Counter
    from rollout_viewer._table import Column
    from rollout_viewer._video import Quality

    Frame = npt.NDArray[np.uint8]

_STRIP_FRAMES = 8
# Small enough that a table shows its progress twice a second, and stops as soon.
_TABLE_ROWS = 256


@dataclass(frozen=True)
class Job:
    """How to write, and who is told of it."""

    where: str
    fps: float
    quality: Quality
    labels: bool | Callable[[Moment], str]
    overwrite: bool
    options: dict[str, Any]
    progress: Counter

    def frames(self, clip: Clip) -> Iterator[Frame]:
        """Give the frames of a clip, each valid until the next, and count them."""
        draw = self._labeller(clip)
        frames = clip.frames(copy=False)
        for row in range(clip.start, clip.stop):
            self.progress.check(row)
            frame = next(frames)
            yield frame if draw is None else draw(frame, row)
            self.progress.advance(1)

    def new_file(self, path: Path) -> contextlib.AbstractContextManager[NewFile]:
        """Give a temporary file that becomes `path`."""
        return new_file(path, where=self.where, overwrite=self.overwrite)

    def _labeller(self, clip: Clip) -> Callable[[Frame, int], Frame] | None:
        if self.labels is False:
            return None
        from rollout_viewer._labels import Labels, describe

        return Labels(clip, self.labels if callable(self.labels) else describe).draw


Writer = Callable[[Job, Clip, Path], Path]


def _write_video(job: Job, clip: Clip, path: Path) -> Path:
    from rollout_viewer._video import VideoWriter

    height, width = clip.frame_size
    with VideoWriter(
        path,
        width,
        height,
        job.fps,
        quality=job.quality,
        options=job.options,
        metadata=_metadata(clip),
        overwrite=job.overwrite,
        where=job.where,
    ) as video:
        for frame in job.frames(clip):
            video.write(frame)
    return video.path


def _write_gif(job: Job, clip: Clip, path: Path) -> Path:
    from rollout_viewer._video import write_gif

    return write_gif(
        path,
        lambda: job.frames(clip),
        job.fps,
        overwrite=job.overwrite,
        where=job.where,
    )


def _write_png(job: Job, clip: Clip, path: Path) -> Path:
    import imageio.v3 as iio

    rows = np.linspace(clip.start, clip.stop - 1, min(_STRIP_FRAMES, clip.num_rows))
    pictures = []
    for row in rows.round().astype(int).tolist():
        one = Clip(clip.cache, row, row + 1, clip.envs, clip.camera)
        pictures += [np.array(frame) for frame in job.frames(one)]
    job.progress.advance(clip.num_rows - len(rows))
    with job.new_file(path) as file:
        iio.imwrite(file.part, np.hstack(pictures), extension=".png")
    return file.path


def _write_npz(job: Job, clip: Clip, path: Path) -> Path:
    """Write `frames` (T, H, W, 3) and the table's columns, never all in memory."""
    height, width = clip.frame_size
    with (
        job.new_file(path) as file,
        zipfile.ZipFile(file.part, "w", zipfile.ZIP_STORED) as archive,
    ):
        with archive.open("frames.npy", "w", force_zip64=True) as entry:
            header = {
                "descr": "|u1",
                "fortran_order": False,
                "shape": (clip.num_rows, height, width, 3),
            }
            np.lib.format.write_array_header_2_0(entry, header)
            for frame in job.frames(clip):
                entry.write(np.ascontiguousarray(frame).data)
        for name, values in clip.table().items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)
    return file.path


def _write_memmap(job: Job, clip: Clip, path: Path) -> Path:
    """Write what tensordict's MemoryMappedTensor would: the bytes of the tensor."""
    with job.new_file(path) as file, file.part.open("wb") as out:
        _write_chw(job, clip, out)
    return file.path


def _write_pt(job: Job, clip: Clip, path: Path) -> Path:
    """Write what ``torch.save`` would, from a file that is mapped, not from memory."""
    import torch

    height, width = clip.frame_size
    shape = (1, clip.num_rows, 3, height, width)
    with (
        job.new_file(path) as file,
        tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=".raw") as raw,
    ):
        _write_chw(job, clip, raw)
        raw.flush()
        video = torch.from_file(raw.name, size=math.prod(shape), dtype=torch.uint8)
        torch.save(video.view(shape), file.part)
    return file.path


def _write_chw(job: Job, clip: Clip, out: Any) -> None:
    for frame in job.frames(clip):
        out.write(np.ascontiguousarray(frame.transpose(2, 0, 1)).data)


def _write_csv(job: Job, clip: Clip, path: Path) -> Path:
    table = clip._table()
    with (
        job.new_file(path) as file,
        file.part.open("w", newline="", encoding="utf-8") as out,
    ):
        lines = csv.writer(out, lineterminator="\n")
        lines.writerow(table.names)
        for start in range(clip.start, clip.stop, _TABLE_ROWS):
            job.progress.check(start)
            stop = min(start + _TABLE_ROWS, clip.stop)
            columns = [_cells(column) for column in table.window(start, stop).values()]
            lines.writerows(zip(*columns, strict=True))
            job.progress.advance(stop - start)
    return file.path


def _cells(column: Column) -> list[Any]:
    """Return what stands in a file: nothing where there is no value."""
    values, is_missing = column.values.tolist(), column.is_missing.tolist()
    return [
        "" if gone else value for value, gone in zip(values, is_missing, strict=True)
    ]


def _write_html(job: Job, clip: Clip, path: Path) -> Path:
    from rollout_viewer._html import write_html

    job.progress.check(clip.start)
    written = write_html(
        clip.cache,
        path,
        start=clip.start,
        stop=clip.stop,
        envs=clip.envs,
        fps=job.fps,
        overwrite=job.overwrite,
    )
    job.progress.advance(clip.num_rows)
    return written


WRITERS: dict[str, Writer] = {
    ".csv": _write_csv,
    ".gif": _write_gif,
    ".html": _write_html,
    ".memmap": _write_memmap,
    ".mp4": _write_video,
    ".npz": _write_npz,
    ".png": _write_png,
    ".pt": _write_pt,
    ".webm": _write_video,
}


def _metadata(clip: Clip) -> dict[str, str]:
    """Return what the container tells of where the video comes from."""
    facts = {
        "rows": [clip.start, clip.stop],
        "envs": list(clip.shown_envs),
        "recording": clip.cache.metadata,
    }
    return {"comment": json.dumps(facts, default=str), "encoder": "rollout_viewer"}
