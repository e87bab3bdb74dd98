"""Recording inside the worker process of a parallel environment."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_worker() -> bool:
    """Whether this process is a worker that multiprocessing started."""
    return multiprocessing.parent_process() is not None


def worker_path(path: Path) -> Path:
    """Return `path`, in a worker with ``-<pid>`` added to its stem."""
    return own_path(path) if is_worker() else path


def own_path(path: Path) -> Path:
    """Return `path` with this process's ``-<pid>`` added to its stem."""
    return path.with_name(f"{path.stem}-{os.getpid()}{path.suffix}")
