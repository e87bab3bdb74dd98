"""A logger without an experiment: clips go straight into one folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.clip import Clip
from rollout_viewer._errors import ExportError
from rollout_viewer._files.names import path_inside
from rollout_viewer.loggers._values import numbered_step

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class FolderLogger:
    """Writes clips straight into a folder, as ``<tag>_<n>.<format>``.

    A video folder's viewer dumps through it.

    Args:
        folder: Made at the first clip, if it is missing.
        overwrite: Replace files of an earlier run.
    """

    takes_clips = True

    def __init__(self, folder: Path, *, overwrite: bool = False) -> None:
        self.log_dir = str(folder)
        self.exp_name = ""
        self._overwrite = overwrite
        self._counts: dict[str, int] = {}

    def log_video(
        self, name: str, video: Clip, step: int | None = None, **kwargs: Any
    ) -> Path:
        """Write a clip in ``format=``, mp4 by default."""
        return self._write(name, video, step, kwargs.pop("format", "mp4"), kwargs)

    def log_table(
        self, name: str, columns: Clip, step: int | None = None, **kwargs: Any
    ) -> Path:
        """Write a clip's table."""
        return self._write(name, columns, step, "csv", kwargs)

    def _write(
        self,
        name: str,
        clip: Clip,
        step: int | None,
        suffix: str,
        kwargs: Mapping[str, Any],
    ) -> Path:
        if not isinstance(clip, Clip):
            raise ExportError(
                f"FolderLogger: expected a Clip, got {type(clip).__name__}. Dump "
                "tensors with rv.CSVLogger."
            )
        with numbered_step(self._counts, f"{name}.{suffix}", step) as number:
            path = path_inside(
                self.log_dir, f"{name}_{number}", f".{suffix}", where="FolderLogger"
            )
            return clip.write(path, overwrite=self._overwrite, **kwargs)[0]
