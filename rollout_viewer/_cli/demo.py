"""The demo: a folder with a recording, all that can be made of it, and a notebook.

Knows the demo's files and how to open them. Knows nothing of arguments.
"""

from __future__ import annotations

import importlib.util
import pathlib
import shutil
import subprocess
import sys
import webbrowser
from typing import TYPE_CHECKING

from rollout_viewer._errors import RolloutViewerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._progress import Bar

    # From the name of a file to a context manager that gives `on_progress`.
    Progress = Callable[[str], AbstractContextManager[Bar]]

# The page may be larger than the default of to_html(): it is a file on the user's own
# disk, not one to send by mail.
MAX_MB = 60
NOTEBOOK = "01_first_look.ipynb"


def prepare_folder(folder: pathlib.Path) -> pathlib.Path:
    """Make the folder of the demo; return the path of its recording, which is free.

    Raises:
        RolloutViewerError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RolloutViewerError(
            f"demo: expected a folder that can be made, got {str(folder)!r} "
            f"({error.strerror}). Choose another --dir."
        ) from error
    recording = folder / "recording.rollout"
    recording.unlink(missing_ok=True)  # else the new one would be recording-1
    return recording


def write_files(
    cache: FrameCache, recording: pathlib.Path, *, progress: Progress
) -> list[pathlib.Path]:
    """Write a recording as video, table and page, over those of an earlier demo.

    Returns:
        The three files, the page last.
    """
    from rollout_viewer._export.html import write_html

    written = []
    for suffix in (".mp4", ".csv"):
        target = recording.with_suffix(suffix)
        with progress(target.name) as on_progress:
            written += cache.clip().write(
                target, overwrite=True, on_progress=on_progress
            )
    page = recording.with_suffix(".html")
    return [*written, write_html(cache, page, max_mb=MAX_MB, overwrite=True)]


def copy_notebook(folder: pathlib.Path) -> pathlib.Path | None:
    """Copy the first notebook into `folder`; None where it was not installed."""
    package = pathlib.Path(__file__).parent.parent
    for home in (package / "notebooks", package.parent / "notebooks"):
        if (home / NOTEBOOK).exists():
            return pathlib.Path(shutil.copy(home / NOTEBOOK, folder))
    return None


def jupyter_command() -> str:
    """Return how to call jupyter here: by its path where PATH lacks it."""
    if shutil.which("jupyter"):
        return "jupyter"
    beside = pathlib.Path(sys.executable).with_name("jupyter")
    here = pathlib.Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)


def show(notebook: pathlib.Path | None, page: pathlib.Path) -> None:
    """Open the notebook in JupyterLab until the user ends it; else the page."""
    if notebook is not None and importlib.util.find_spec("jupyterlab"):
        print("JupyterLab runs until Ctrl-C.")
        subprocess.run([sys.executable, "-m", "jupyter", "lab", str(notebook)])
    else:
        webbrowser.open(page.absolute().as_uri())
