"""Dumps a clip to a logger: ours read it as they write, others are given a tensor.

Knows loggers only by what they can do.
"""

from __future__ import annotations

import contextlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    RolloutViewerError,
)
from rollout_viewer._export.write import TABLE_SUFFIXES, check_choice, write_clip
from rollout_viewer._export.writers import WRITERS
from rollout_viewer._files.names import path_inside
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._progress import Counter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rollout_viewer._export.selection import Selection
    from rollout_viewer._progress import Cancel, Progress


def dump_clip(
    clip: Selection,
    logger: Any,
    tag: str,
    *,
    step: int | None = None,
    formats: Sequence[str] | str | None = None,
    fps: float | None = None,
    on_progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[Path]:
    """Hand a clip to a logger; see `Clip.dump`.

    A logger that has ``takes_clips = True``, as all of `rollout_viewer.loggers`, is
    given the clip and reads it as it writes. Any other is given the whole as a
    uint8 (1, T, C, H, W) tensor, up to `MAX_TENSOR_BYTES`, and stores a video in
    whatever way is its own. The table of a logger without ``log_table`` is written
    to ``tables/`` in its folder.

    Args:
        clip: What to dump.
        logger: Anything with `log_video`.
        tag: Its name there.
        step: Of the training; None: the logger counts.
        formats: Such as ``("mp4", "csv")`` or ``"mp4"``. None: the logger's own video
            format.
        fps: Frames a second. None: the recording's.
        on_progress: Called with (rows done, rows in all).
        cancel: Asked before each row.

    Returns:
        The files, as far as the logger returns them.

    Raises:
        TypeError: The logger has no `log_video`.
        ValueError: A format is none of those of `Clip.write`, or `fps` is no number
            from 0.001 to 10,000.
        ExportTooLargeError: The logger needs the whole, and it is too large.
        ExportError: It or the logger failed, or it was cancelled.
    """
    where = "Clip.dump"
    if not callable(getattr(logger, "log_video", None)):
        raise TypeError(
            f"{where}: expected a logger with log_video(tag, video, step), got "
            f"{type(logger).__name__}. Pass rv.CSVLogger('name') or one of TorchRL's."
        )
    chosen: list[str | None] = [None]
    if isinstance(formats, str):
        formats = [formats]
    if formats is not None:
        chosen = [_known_format(where, name) for name in formats]
    rate = clip.fps if fps is None else checked_fps(where, fps)
    counter = Counter(on_progress, cancel, where)
    counter.begin(clip.num_rows * len(chosen))
    paths: list[Path] = []
    send = _to_ours if _takes_clips(logger) else _to_foreign
    for index, name in enumerate(chosen):
        watch = counter.share(index * clip.num_rows, clip.num_rows)
        dump = _Dump(clip, logger, tag, step, name, rate, watch)
        paths += [path for path in send(dump) if path not in paths]
    counter.end()
    return paths


# -- loggers


def _takes_clips(logger: Any) -> bool:
    return getattr(logger, "takes_clips", False) is True


@dataclass(frozen=True)
class _Dump:
    """One clip in one format for one logger; `watch` has on_progress and cancel."""

    clip: Selection
    logger: Any
    tag: str
    step: int | None
    format: str | None
    fps: float
    watch: dict[str, Any]

    @property
    def has_log_table(self) -> bool:
        return callable(getattr(self.logger, "log_table", None))


def _to_ours(dump: _Dump) -> list[Path]:
    logger, clip, step, watch = dump.logger, dump.clip, dump.step, dump.watch
    if f".{dump.format}" in TABLE_SUFFIXES:
        if not dump.has_log_table:
            return _table_beside(dump)
        given = {} if dump.format == "csv" else {"format": dump.format}
        return as_paths(logger.log_table(dump.tag, clip, step=step, **given, **watch))
    if dump.format is not None:
        watch = {**watch, "format": dump.format}
    return as_paths(logger.log_video(dump.tag, clip, step=step, fps=dump.fps, **watch))


def _to_foreign(dump: _Dump) -> list[Path]:
    logger, clip, step = dump.logger, dump.clip, dump.step
    if dump.format == "parquet":
        return _table_beside(dump)
    if dump.format == "csv":
        if not dump.has_log_table:
            return _table_beside(dump)
        with _as_export_error(logger, "log_table"):
            return as_paths(logger.log_table(dump.tag, clip.table(), step=step))
    if dump.watch["cancel"]():
        raise ExportCancelled(
            f"Clip.dump: expected to finish, got cancelled ({dump.tag})."
        )
    extra = {"fps": dump.fps} if _accepts(logger.log_video, "fps") else {}
    video = clip.to_tensor()
    with _as_export_error(logger, "log_video"):
        return as_paths(logger.log_video(dump.tag, video, step=step, **extra))


def _table_beside(dump: _Dump) -> list[Path]:
    """Write the table of a logger without tables to ``tables/`` in its folder."""
    stem = dump.tag if dump.step is None else f"{dump.tag}_{dump.step}"
    folder = folder_of(dump.logger) / "tables"
    path = path_inside(folder, stem, f".{dump.format}")
    return write_clip(dump.clip, path, **dump.watch)


@contextlib.contextmanager
def _as_export_error(logger: Any, method: str) -> Iterator[None]:
    """Turn what a foreign logger raises into an `ExportError` that names it."""
    try:
        yield
    except RolloutViewerError:
        raise
    except Exception as error:
        raise ExportError(
            f"Clip.dump: expected {type(logger).__name__}.{method} to take the clip, "
            f"got {type(error).__name__}: {error}"
        ) from error


def folder_of(logger: Any) -> Path:
    """Return the folder of a logger.

    Raises:
        ExportError: It has none on this machine.
    """
    owner = getattr(logger, "experiment", None)
    for candidate in (
        getattr(owner, "log_dir", None),
        getattr(logger, "log_dir", None),
    ):
        # MLflow's is an address, which would become a folder called "file:".
        if isinstance(candidate, (str, Path)) and not is_address(candidate):
            return Path(candidate)
    raise ExportError(
        "Clip.dump: expected a logger with log_table or log_dir for a table, got "
        f"{type(logger).__name__}. Write it with clip.write('table.csv'), or use "
        "rv.CSVLogger."
    )


def is_address(place: str | Path) -> bool:
    """Return whether this is a URI and no folder."""
    return str(place).startswith("file:") or "://" in str(place)


def _accepts(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return takes_all or name in parameters


def as_paths(result: Any) -> list[Path]:
    """Return the files among what a logger's method returned."""
    if isinstance(result, (str, Path)):
        return [Path(result)]
    if isinstance(result, (list, tuple)):
        return [path for one in result for path in as_paths(one)]
    return []


# -- checks


def _known_format(where: str, name: str) -> str:
    known = [suffix[1:] for suffix in sorted(WRITERS)]
    given = str(name).lower().lstrip(".")
    check_choice(where, "a format", given, known)
    return given
