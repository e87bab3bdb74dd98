"""A clip becomes one PNG: a row, a film strip, or a contact sheet of an episode.

The text `Repeated` of the file names the rows whose picture is an earlier row's.

Knows frames and the step data written under them. Knows nothing of layouts.
"""

from __future__ import annotations

import base64
import io
import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._export.provenance import container_tags, episodes_of
from rollout_viewer._frames.grid import grid_shape
from rollout_viewer._frames.text import Lettering, paste
from rollout_viewer._frames.transform import shrink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._export.job import ExportJob
    from rollout_viewer._export.selection import Selection
    from rollout_viewer._recording.episode import Episode

    Frame = npt.NDArray[np.uint8]

_STRIP_FRAMES = 8
_SHEET_FRAMES = 16
# A picture of many frames is reduced to this, which any screen and mail takes, and
# which bounds the memory; a single row never is.
_MAX_PIXELS = 2_000_000
# Of a frame's height.
_CAPTION_SHARE, _LEAST_CAPTION_PX = 0.05, 10


def write_png(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write one row as it is, or a film strip of eight evenly spaced ones."""
    if clip.num_rows == 1:
        (frame,) = job.frames(clip)
        return _save(job, clip, path, frame, clip.rows.tolist())
    rows = clip.spaced_rows(_STRIP_FRAMES)
    height, width = clip.frame_size
    k = _reduction(job, len(rows) * height * width)
    height, width = max(height // k, 1), max(width // k, 1)
    strip = np.empty((height, len(rows) * width, 3), np.uint8)
    for index, picture in enumerate(_pictures(job, clip, rows, k)):
        strip[:, index * width : (index + 1) * width] = picture
    return _save(job, clip, path, strip, rows)


def write_sheet(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write up to 16 frames of an episode; step and return so far are under each."""
    rows = clip.spaced_rows(_SHEET_FRAMES)
    height, width = clip.frame_size
    k = _reduction(job, len(rows) * height * width)
    text = Lettering(max(_LEAST_CAPTION_PX, round(height // k * _CAPTION_SHARE)))
    title = text.draw(_title(clip))
    num_rows, columns = grid_shape(len(rows))
    cell = height // k + text.draw("0").shape[0], width // k
    sheet_width = max(columns * cell[1], title.shape[1])
    shape = (title.shape[0] + num_rows * cell[0], sheet_width, 3)
    sheet = np.zeros(shape, np.uint8)
    paste(title, sheet)
    pictures = _pictures(job, clip, rows, k)
    for index, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
        top, left = divmod(index, columns)
        top, left = title.shape[0] + top * cell[0], left * cell[1]
        paste(picture, sheet, top, left)
        caption = text.draw(_caption(clip, row))[:, : cell[1]]
        paste(caption, sheet, top + picture.shape[0], left)
    return _save(job, clip, path, sheet, rows)


def _reduction(job: ExportJob, num_pixels: int) -> int:
    k = math.ceil(math.sqrt(num_pixels / _MAX_PIXELS))
    if k > 1:
        warnings.warn(
            f"{job.where}: {num_pixels} pixels are too many for one picture "
            f"({_MAX_PIXELS}); it is {k} times smaller each way. Choose fewer envs, "
            "layout='tiles', or one row for the full size.",
            RolloutViewerWarning,
            stacklevel=5,
        )
    return max(k, 1)


def _pictures(
    job: ExportJob, clip: Selection, rows: list[int], k: int
) -> Iterator[Frame]:
    """Give the frames of some rows, `k` times smaller, and count all of the clip's."""
    for row in rows:
        for frame in job.frames(clip.one_row(row)):
            yield frame if k == 1 else shrink(frame, k, k)
    job.progress.advance(clip.num_rows - len(rows))


def _title(clip: Selection) -> str:
    """Return what is known of the episode that a sheet shows."""
    (env,) = clip.shown_envs[:1] or clip.envs[:1]
    found: list[Episode] = [e for e in episodes_of(clip) if e.env == env]
    if not found:
        return f"env {env}"
    episode = found[0]
    end = ("terminated" if episode.terminated else "") or (
        "truncated" if episode.truncated else "unfinished"
    )
    return (
        f"env {env}  ep {episode.index}  {episode.length} steps  "
        f"return {episode.total_reward:.4g}  {end}"
    )


def _caption(clip: Selection, row: int) -> str:
    (env,) = clip.shown_envs[:1] or clip.envs[:1]
    moment = clip.cache.at(row, env)
    caption = f"step {moment.episode_step}  return {moment.total_reward:.4g}"
    is_repeated = clip.cache.is_repeated(row, env, clip.camera)
    return f"{caption}  repeated" if is_repeated else caption


def _save(
    job: ExportJob, clip: Selection, path: Path, picture: Frame, rows: Sequence[int]
) -> Path:
    import imageio.v3 as iio
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, text in container_tags(clip, path).items():
        info.add_text(name.capitalize(), text)
    cache, shown = clip.cache, clip.tile_envs
    repeated = [
        str(row)
        for row in rows
        if any(cache.is_repeated(row, env, clip.camera) for env in shown)
    ]
    if repeated:
        info.add_text("Repeated", ", ".join(repeated))
    with job.new_file(path) as file:
        iio.imwrite(file.part, picture, extension=".png", pnginfo=info)
    return file.path


# A poster of more pixels is left out: it is small, and its grid would fill the memory.
MAX_POSTER_PIXELS = 1 << 26


def poster_png(frame: Frame, width_px: int) -> str:
    """Return a frame as PNG in base64, reduced to at most `width_px`."""
    k = max(1, -(-frame.shape[1] // width_px))
    return base64.b64encode(encode_png(shrink(frame, k, k))).decode()


def png_within(frame: Frame, max_bytes: int) -> str:
    """Return a frame as PNG in base64, reduced until it is no larger than this."""
    k = 1
    while len(png := encode_png(shrink(frame, k, k))) > max_bytes:
        # Noise needs a byte a value: by the square root, and always forward.
        k = max(k + 1, int(k * math.sqrt(len(png) / max_bytes)))
    return base64.b64encode(png).decode()


def encode_png(frame: Frame) -> bytes:
    """Return a frame as a PNG file."""
    # Not imageio, which writes the same bytes: it imports what reads and writes every
    # format, and a viewer is not shown before its poster is there.
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(frame).save(file, "png")
    return file.getvalue()
