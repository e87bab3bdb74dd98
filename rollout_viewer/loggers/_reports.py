"""An HTML page goes to a logger: ours by `log_report`, others by what they can do.

Knows loggers, runs of W&B and MLflow, and writers of TensorBoard's events only by their
methods. Knows nothing of what is on the page.
"""

from __future__ import annotations

import functools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from rollout_viewer._errors import ExportError, RolloutViewerError
from rollout_viewer._export.dump import as_paths, folder_of
from rollout_viewer._files.names import path_inside
from rollout_viewer._files.new_files import new_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    # Called with a name, a page and a step; returns files, if any.
    LogReport: TypeAlias = "Callable[[str, Path, int | None], Any]"

_SUFFIXES = (".html", ".htm")


def log_report(
    logger: Any, name: str, path: str | os.PathLike[str], step: int | None = None
) -> list[Path]:
    """Hand a page to any logger.

    Args:
        logger: One with ``log_report``, as all of `rollout_viewer.loggers`; a logger of
            TorchRL or of Stable-Baselines3; a run of W&B, MLflow or Trackio, or torch's
            ``SummaryWriter``.
        name: Its name there.
        path: Of the page.
        step: Of the training; None: the logger counts, if it can.

    Returns:
        The files, as far as the logger returns them.

    Raises:
        TypeError: The logger can take no page.
        FileNotFoundError, ValueError: There is no page of that path.
        ExportError: The logger failed.
    """
    method = find_log_report(logger)
    page = checked_page("log_report", path)
    try:
        return as_paths(method(name, page, step))
    except RolloutViewerError:
        raise
    except Exception as error:
        raise ExportError(
            f"log_report: expected {type(logger).__name__} to take the page, got "
            f"{type(error).__name__}: {error}"
        ) from error


def find_log_report(logger: Any) -> LogReport:
    """Return how a logger takes a page.

    Raises:
        TypeError: It can take none.
    """
    own = getattr(logger, "log_report", None)
    if callable(own):
        return lambda name, page, step: own(name, page, step=step)
    if hasattr(logger, "output_formats") and hasattr(logger, "get_dir"):
        return functools.partial(_to_sb3, logger)
    # TorchRL's loggers have the object of their library; or the logger is that object.
    owner = getattr(logger, "experiment", logger)
    library = type(owner).__module__.partition(".")[0]
    if library == "wandb":
        return functools.partial(_to_wandb, owner)
    if library == "mlflow":
        return functools.partial(_to_mlflow, owner)
    if library == "trackio":
        return functools.partial(_to_trackio, owner)
    try:
        folder = folder_of(logger)
    except ExportError:
        raise TypeError(
            "log_report: expected a logger with log_report or log_dir, got "
            f"{type(logger).__name__}. Write the page with result.report(path), or "
            "use one of rollout_viewer.loggers."
        ) from None
    writer = owner if hasattr(owner, "add_histogram") else None
    return functools.partial(_into_folder, folder, [writer] if writer else [])


def checked_page(where: str, path: str | os.PathLike[str]) -> Path:
    """Return the path of an HTML page.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none by its suffix.
    """
    page = Path(path)
    if page.suffix.lower() not in _SUFFIXES:
        raise ValueError(
            f"{where}: expected the path of an .html page, got {str(path)!r}. Write "
            "one with rv.report(sources, 'report.html')."
        )
    if not page.is_file():
        raise FileNotFoundError(
            f"{where}: expected the path of an .html page, got {str(path)!r}, which is "
            "no file. Write one with rv.report(sources, 'report.html')."
        )
    return page


def copy_page(page: Path, target: Path, *, where: str, overwrite: bool = False) -> Path:
    """Copy a page, whole or not at all; a taken name gets ``-1``, ``-2``, ...

    Raises:
        ExportError: It cannot be written.
    """
    with new_file(target, where=where, overwrite=overwrite) as file:
        shutil.copyfile(page, file.part)
    return file.path


def as_link(page: Path) -> str:
    """Return where a page is, as Markdown.

    Not as a link: TensorBoard removes those to files, and browsers do not follow them
    from its page.
    """
    return f"Open this page in a browser: `{page.absolute().as_uri()}`"


def html_of(page: Path, wandb: Any) -> Any:
    """Return a page as W&B's, unchanged: its own style sheet is of another page."""
    with page.open(encoding="utf-8") as file:
        return wandb.Html(file, inject=False)


# -- loggers of others


def _into_folder(
    folder: Path, writers: list[Any], name: str, page: Path, step: int | None
) -> Path:
    stem = name if step is None else f"{name}_{step}"
    where = "log_report"
    target = path_inside(folder / "reports", stem, ".html", where=where)
    copy = copy_page(page, target, where=where)
    for writer in writers:
        writer.add_text(name, as_link(copy), step)
    return copy


def _to_sb3(logger: Any, name: str, page: Path, step: int | None) -> Any:
    folder = logger.get_dir()
    if folder is None:
        raise ExportError(
            "log_report: expected a logger of Stable-Baselines3 with a folder, got one "
            "without. Make it with configure(folder)."
        )
    found = [getattr(one, "writer", None) for one in logger.output_formats]
    writers = [one for one in found if hasattr(one, "add_text")]
    return _into_folder(Path(folder), writers, name, page, step)


def _to_wandb(run: Any, name: str, page: Path, step: int | None) -> None:
    import wandb

    prefix, slash, _ = name.rpartition("/")
    # As TorchRL's logger names the steps of a group.
    steps = {} if step is None else {f"{prefix}{slash}step": step}
    run.log({name: html_of(page, wandb), **steps})


def _to_trackio(run: Any, name: str, page: Path, step: int | None) -> None:
    import trackio

    run.log({name: trackio.Html(page, inject=False)}, step=step)


def _to_mlflow(run: Any, name: str, page: Path, step: int | None) -> None:
    import mlflow

    stem = name if step is None else f"{name}_{step}"
    target = path_inside("reports", stem, ".html", where="log_report")
    with tempfile.TemporaryDirectory(prefix="rollout_viewer_") as folder:
        copy = Path(folder, target.name)
        shutil.copyfile(page, copy)
        client = mlflow.MlflowClient()
        client.log_artifact(run.info.run_id, str(copy), target.parent.as_posix())
