"""A clip becomes files, or goes to a logger: one path for `write`, `dump`, buttons.

Decides what is written: which files, of which rows and envs, in which order. A call
leaves all of its files or none.
Knows clips and writers (`_formats`); loggers only by what they can do.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from rollout_viewer._clip import Clip
from rollout_viewer._errors import (
    ExportCancelled,
    ExportError,
    ExportTooLargeError,
    RolloutViewerError,
    RowError,
    requires,
)
from rollout_viewer._formats import WRITERS
from rollout_viewer._job import Job
from rollout_viewer._pictures import write_sheet
from rollout_viewer._progress import Counter
from rollout_viewer._tables import check_parquet

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rollout_viewer._formats import Writer
    from rollout_viewer._moments import Moment
    from rollout_viewer._progress import Cancel, Progress
    from rollout_viewer._video import Quality

# What step data alone is enough for.
_TABLES = (".csv", ".parquet")
_WITHOUT_PICTURES = (*_TABLES, ".html")

Layout = Literal["grid", "tiles", "episodes"]
Order = Literal["env", "return"]


def write_clip(
    clip: Clip,
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
    """Write a clip to files and return them; `Clip.write` tells the arguments.

    `where` is the function that a person called, for messages.
    """
    path = Path(path)
    writer = find_writer(clip, path, where)
    _check_choice(where, "layout", layout, get_args(Layout))
    _check_choice(where, "order", order, get_args(Order))
    _check_choice(where, "quality", quality, ("normal", "high", "lossless"))
    rate = (clip.fps if fps is None else fps) * _positive(where, "speed", speed)
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
    job = Job(
        where=where,
        fps=_positive(where, "fps", rate),
        quality=quality,
        labels=labels,
        overwrite=overwrite,
        options=dict(options or {}),
        progress=Counter(on_progress, cancel, where),
    )
    passes = 2 if path.suffix.lower() == ".gif" else 1
    job.progress.begin(sum(part.num_rows for _, part in parts) * passes)
    return _write_all(job, writer, parts)


def find_writer(clip: Clip, path: Path, where: str) -> Writer:
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


def dump_clip(
    clip: Clip,
    logger: Any,
    tag: str,
    *,
    step: int | None = None,
    formats: Sequence[str] | str | None = None,
    fps: float | None = None,
    on_progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> list[Path]:
    """Hand a clip to a logger; `Clip.dump` tells the arguments.

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
        The files, as far as the logger tells them.

    Raises:
        TypeError: The logger has no `log_video`.
        ValueError: A format is none of those of `Clip.write`.
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
    counter = Counter(on_progress, cancel, where)
    counter.begin(clip.num_rows * len(chosen))
    paths: list[Path] = []
    send = _to_ours if _takes_clips(logger) else _to_foreign
    for index, name in enumerate(chosen):
        watch = counter.share(index * clip.num_rows, clip.num_rows)
        dump = _Dump(clip, logger, tag, step, name, fps or clip.fps, watch)
        paths += [path for path in send(dump) if path not in paths]
    counter.end()
    return paths


def _write_all(
    job: Job, writer: Writer, parts: Sequence[tuple[Path, Clip]]
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
        is_told = isinstance(error, (ExportCancelled, ExportTooLargeError))
        if is_told or not isinstance(error, Exception) or job.progress.row is None:
            raise
        raise ExportError(
            f"{job.where}: expected to write row {job.progress.row} of "
            f"{str(clip.cache.path)!r}, got {type(error).__name__}: {error} "
            "No file of this call is left."
        ) from error
    return written


# -- what is written


def _parts(
    clip: Clip, path: Path, layout: Layout, where: str
) -> list[tuple[Path, Clip]]:
    """Return each file's name and clip."""
    if layout == "grid":
        return [(path, clip)]
    is_table = path.suffix.lower() in _TABLES
    if layout == "tiles":
        envs = clip.envs if is_table else clip.tile_envs or clip.envs
        return [
            (path.with_name(f"{path.stem}_env{env}{path.suffix}"), _of_env(clip, env))
            for env in envs
        ]
    envs = clip.envs if is_table else clip.shown_envs or clip.envs
    parts = []
    for episode in clip.cache.episodes:
        start, stop = max(episode.start, clip.start), min(episode.stop, clip.stop)
        if episode.env in envs and start < stop:
            name = f"{path.stem}_ep{episode.index}_env{episode.env}{path.suffix}"
            part = Clip(clip.cache, start, stop, [episode.env], clip.camera)
            parts.append((path.with_name(name), part))
    if not parts:
        raise RowError(
            f"{where}: expected an episode in rows {clip.start}..{clip.stop - 1}, got "
            "none. Choose layout='grid' or other rows."
        )
    return parts


def _of_env(clip: Clip, env: int) -> Clip:
    return Clip(clip.cache, clip.start, clip.stop, [env], clip.camera)


def _by_return(clip: Clip) -> Clip:
    rewards = clip.cache.scalars["reward"][clip.start : clip.stop, list(clip.envs)]
    order = np.argsort(-np.nansum(rewards, axis=0), kind="stable")
    envs = [clip.envs[index] for index in order]
    return Clip(clip.cache, clip.start, clip.stop, envs, clip.camera)


# -- loggers


def _takes_clips(logger: Any) -> bool:
    return getattr(logger, "takes_clips", False) is True


@dataclass(frozen=True)
class _Dump:
    """One clip in one format for one logger; `watch` has on_progress and cancel."""

    clip: Clip
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
    if f".{dump.format}" in _TABLES:
        if not dump.has_log_table:
            return _table_beside(dump)
        given = {} if dump.format == "csv" else {"format": dump.format}
        return _as_paths(logger.log_table(dump.tag, clip, step=step, **given, **watch))
    if dump.format is not None:
        watch = {**watch, "format": dump.format}
    return _as_paths(logger.log_video(dump.tag, clip, step=step, fps=dump.fps, **watch))


def _to_foreign(dump: _Dump) -> list[Path]:
    logger, clip, step = dump.logger, dump.clip, dump.step
    if dump.format == "parquet":
        return _table_beside(dump)
    if dump.format == "csv":
        if not dump.has_log_table:
            return _table_beside(dump)
        with _told(logger, "log_table"):
            return _as_paths(logger.log_table(dump.tag, clip.table(), step=step))
    if dump.watch["cancel"]():
        raise ExportCancelled(
            f"Clip.dump: expected to finish, got cancelled ({dump.tag})."
        )
    extra = {"fps": dump.fps} if _accepts(logger.log_video, "fps") else {}
    video = clip.to_tensor()
    with _told(logger, "log_video"):
        return _as_paths(logger.log_video(dump.tag, video, step=step, **extra))


def _table_beside(dump: _Dump) -> list[Path]:
    """Write the table of a logger without tables to ``tables/`` in its folder."""
    stem = dump.tag if dump.step is None else f"{dump.tag}_{dump.step}"
    path = _folder_of(dump.logger) / "tables" / f"{stem}.{dump.format}"
    return dump.clip.write(path, **dump.watch)


@contextlib.contextmanager
def _told(logger: Any, method: str) -> Iterator[None]:
    """Let what a foreign logger raises be an `ExportError` that names it."""
    try:
        yield
    except RolloutViewerError:
        raise
    except Exception as error:
        raise ExportError(
            f"Clip.dump: expected {type(logger).__name__}.{method} to take the clip, "
            f"got {type(error).__name__}: {error}"
        ) from error


def _folder_of(logger: Any) -> Path:
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
    """Tell whether this is a URI and no folder."""
    return str(place).startswith("file:") or "://" in str(place)


def _accepts(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return takes_all or name in parameters


def _as_paths(result: Any) -> list[Path]:
    if isinstance(result, (str, Path)):
        return [Path(result)]
    if isinstance(result, (list, tuple)):
        return [path for one in result for path in _as_paths(one)]
    return []


# -- checks


def _known_format(where: str, name: str) -> str:
    known = [suffix[1:] for suffix in sorted(WRITERS)]
    given = str(name).lower().lstrip(".")
    _check_choice(where, "a format", given, known)
    return given


def _check_choice(where: str, what: str, given: Any, choices: Sequence[str]) -> None:
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
