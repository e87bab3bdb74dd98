"""The files of one experiment of the CSVLogger, in TorchRL's layout.

Knows folders, names and counters. Knows nothing of a logger's lifetime.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import requires
from rollout_viewer._files.names import path_inside
from rollout_viewer._files.new_files import free_path
from rollout_viewer.loggers._log_files import (
    VIDEO_FORMATS,
    check_format,
    fps_of,
    write_table,
    write_video,
)
from rollout_viewer.loggers._reports import checked_page, copy_page
from rollout_viewer.loggers._values import as_number, as_step, numbered_step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

# "pt" is TorchRL's default, so many users did not choose it.
_WITHOUT_TORCH = 'Or choose video_format="mp4", which needs no torch.'


class CSVExperiment:
    """The files of one experiment; `CSVLogger.experiment`, as in TorchRL.

    Invariant: existing files are not changed unless `overwrite`; scalars are appended
    to theirs.
    """

    def __init__(
        self,
        log_dir: str,
        *,
        video_format: str = "pt",
        video_fps: float = 30,
        overwrite: bool = False,
    ) -> None:
        self.scalars: dict[str, list[tuple[int, float]]] = defaultdict(list)
        self.videos_counter: dict[str, int] = defaultdict(int)
        self.text_counter: dict[str, int] = defaultdict(int)
        self.tables_counter: dict[str, int] = defaultdict(int)
        self.reports_counter: dict[str, int] = defaultdict(int)
        self.log_dir = log_dir
        self.video_format = video_format
        self.video_fps = video_fps
        self.overwrite = overwrite
        # Scalars are frequent: their files stay open. Texts are appended to.
        self.files: dict[str, TextIO] = {}
        self._texts: dict[Path, Path] = {}
        for folder in ("scalars", "videos", "texts"):
            os.makedirs(os.path.join(log_dir, folder), exist_ok=True)

    def add_scalar(
        self, name: str, value: float, global_step: int | None = None
    ) -> None:
        """Append ``step,value`` to ``scalars/<name>.csv``, and flush."""
        value = as_number(value, name)
        if global_step is None:
            global_step = len(self.scalars[name])
        step = as_step(global_step)
        file = self._scalar_file(name)
        file.write(f"{step},{value}\n")
        file.flush()
        self.scalars[name].append((step, value))

    def add_text(self, tag: str, text: str, global_step: int | None = None) -> None:
        """Write ``texts/<tag><step>.txt``; append if this step was written before."""
        with numbered_step(self.text_counter, tag, global_step) as step:
            wanted = self._path("texts", f"{tag}{step}", ".txt")
            path = self._texts.get(wanted)
            with _opened(path or wanted, "a" if path else "w", self.overwrite) as file:
                file.writelines(text)  # TorchRL's accepts a list of lines too
                self._texts[wanted] = Path(file.name)

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        *,
        format: str | None = None,
        fps: float | None = None,
        **kwargs: Any,
    ) -> Path | list[Path]:
        """Write ``videos/<tag>_<step>.<format>`` and return its path."""
        suffix = format or self.video_format
        if not isinstance(vid_tensor, Clip):
            check_format(suffix, VIDEO_FORMATS, "CSVLogger.log_video")
        if suffix == "pt":
            _check_torch()
        with numbered_step(self.videos_counter, tag, global_step) as step:
            paths = write_video(
                vid_tensor,
                self._path("videos", f"{tag}_{step}", f".{suffix}"),
                fps=fps_of(vid_tensor, fps, self.video_fps),
                where="CSVLogger.log_video",
                overwrite=self.overwrite,
                options=kwargs,
            )
        return paths[0] if len(paths) == 1 else paths

    def add_table(
        self,
        name: str,
        columns: Mapping[str, Any] | Clip,
        global_step: int | None = None,
        *,
        format: str = "csv",
        **kwargs: Any,
    ) -> Path:
        """Write ``tables/<name>_<step>.csv`` and return its path."""
        with numbered_step(self.tables_counter, name, global_step) as step:
            return write_table(
                columns,
                self._path("tables", f"{name}_{step}", f".{format}"),
                where="CSVLogger.log_table",
                overwrite=self.overwrite,
                options=kwargs,
            )

    def add_report(
        self, name: str, path: str | os.PathLike[str], global_step: int | None = None
    ) -> Path:
        """Copy a page to ``reports/<name>_<step>.html`` and return its path."""
        where = "CSVLogger.log_report"
        page = checked_page(where, path)
        with numbered_step(self.reports_counter, name, global_step) as step:
            return copy_page(
                page,
                self._path("reports", f"{name}_{step}", ".html"),
                where=where,
                overwrite=self.overwrite,
            )

    def flush(self) -> None:
        """Write what is buffered."""
        for file in self.files.values():
            file.flush()

    def close(self) -> None:
        """Close the files. Closing twice is safe; logging opens them again."""
        while self.files:
            self.files.popitem()[1].close()

    def _scalar_file(self, name: str) -> TextIO:
        if name not in self.files:
            path = self._path("scalars", name, ".csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files[name] = cast("TextIO", path.open("a", encoding="utf-8"))
        return self.files[name]

    def _path(self, folder: str, name: str, suffix: str) -> Path:
        root = Path(self.log_dir, folder)
        return path_inside(root, name, suffix, where="CSVLogger")

    def __getstate__(self) -> dict[str, Any]:
        # Open files cannot be copied; another process opens its own.
        return {**self.__dict__, "files": {}}

    def __repr__(self) -> str:
        return f"CSVExperiment(log_dir={self.log_dir})"

    def __del__(self) -> None:
        if hasattr(self, "files"):
            self.close()


def _opened(path: Path, mode: str, overwrite: bool) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "w" and not overwrite:
        path = free_path(path)
    return cast("TextIO", path.open(mode, encoding="utf-8", errors="replace"))


def _check_torch() -> None:
    with requires("CSVLogger: .pt", "torch", advice=_WITHOUT_TORCH):
        import torch  # noqa: F401
