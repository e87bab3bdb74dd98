"""Writers: a clip becomes one file, a function for each suffix.

Frames are taken one by one. Knows videos and arrays; tables and pictures have rooms
of their own. Knows nothing of layouts or loggers.
"""

from __future__ import annotations

import math
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rollout_viewer._errors import ExportTooLargeError, RolloutViewerWarning
from rollout_viewer._export.job import ExportJob
from rollout_viewer._export.png import write_png
from rollout_viewer._export.provenance import container_tags
from rollout_viewer._export.selection import MAX_TENSOR_BYTES, Selection
from rollout_viewer._export.table_files import write_csv, write_parquet

Writer = Callable[[ExportJob, Selection, Path], Path]

# Raw pictures of more are warned of: 100 s of a 400x600 env at 30 fps are 2 GB.
_LARGE_BYTES = 1_000_000_000
# Of zlib. On rendered frames the usual 6 takes longer for files a fraction smaller.
_NPZ_LEVEL = 1


def _write_video(job: ExportJob, clip: Selection, path: Path) -> Path:
    from rollout_viewer._video import VideoWriter

    height, width = clip.frame_size
    with VideoWriter(
        path,
        width,
        height,
        job.fps,
        quality=job.quality,
        options=job.options,
        metadata=container_tags(clip, path),
        overwrite=job.overwrite,
        where=job.where,
    ) as video:
        video.write_all(job.frames(clip))
    return video.path


def _write_gif(job: ExportJob, clip: Selection, path: Path) -> Path:
    from rollout_viewer._video import write_gif

    return write_gif(
        path,
        lambda: job.frames(clip),
        job.fps,
        comment=container_tags(clip, path)["comment"],
        overwrite=job.overwrite,
        # A row counts twice, since colours that are too many take a second pass.
        on_whole=lambda: job.progress.advance(1),
        where=job.where,
    )


def _write_npz(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write `frames` (T, H, W, 3) and the table's columns, never all in memory.

    Compressed as by `numpy.savez_compressed`, at the level that is fastest.
    """
    _check_loadable(job, clip)
    _warn_of_size(job, clip, "a .npz file takes this much memory when it is loaded")
    height, width = clip.frame_size
    with (
        job.new_file(path) as file,
        zipfile.ZipFile(
            file.part, "w", zipfile.ZIP_DEFLATED, compresslevel=_NPZ_LEVEL
        ) as archive,
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


def _write_memmap(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write what tensordict's MemoryMappedTensor would: the bytes of the tensor."""
    _warn_of_size(job, clip, "a .memmap file is not compressed")
    with job.new_file(path) as file, file.part.open("wb") as out:
        _write_chw(job, clip, out)
    return file.path


def _write_pt(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write what ``torch.save`` would, from a file that is mapped, not from memory."""
    _check_loadable(job, clip)
    _warn_of_size(job, clip, "a .pt file is not compressed")
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


def _write_chw(job: ExportJob, clip: Selection, out: Any) -> None:
    channel = np.empty(clip.frame_size, np.uint8)
    for frame in job.frames(clip):
        for index in range(3):
            channel[...] = frame[..., index]
            out.write(channel.data)


def _check_loadable(job: ExportJob, clip: Selection) -> None:
    """Refuse what could not be read again: these files are loaded whole."""
    height, width = clip.frame_size
    num_bytes = clip.num_rows * height * width * 3
    if num_bytes > MAX_TENSOR_BYTES:
        raise ExportTooLargeError(
            f"{job.where}: expected at most {MAX_TENSOR_BYTES / 1e9:g} GB in a file "
            f"that is loaded whole, got {num_bytes / 1e9:.3g} GB ({clip.num_rows} "
            f"frames of {width}x{height}). Choose fewer rows or envs, or .memmap or "
            ".mp4, which take any length."
        )


def _warn_of_size(job: ExportJob, clip: Selection, why: str) -> None:
    """Name the size of raw pictures before they are written, where it is large."""
    height, width = clip.frame_size
    num_bytes = clip.num_rows * height * width * 3
    if num_bytes > _LARGE_BYTES:
        warnings.warn(
            f"{job.where}: {num_bytes / 1e9:.3g} GB of pictures ({clip.num_rows} "
            f"frames of {width}x{height}); {why}. Smaller: cache.save() keeps the "
            "same pixels compressed, .mp4 with quality='lossless' too, .csv has the "
            "numbers alone.",
            RolloutViewerWarning,
            stacklevel=5,
        )


def _write_html(job: ExportJob, clip: Selection, path: Path) -> Path:
    from rollout_viewer._export.html import write_html

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
    ".csv": write_csv,
    ".gif": _write_gif,
    ".html": _write_html,
    ".memmap": _write_memmap,
    ".mp4": _write_video,
    ".npz": _write_npz,
    ".parquet": write_parquet,
    ".png": write_png,
    ".pt": _write_pt,
    ".webm": _write_video,
}
