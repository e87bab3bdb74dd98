"""A table of a logger: columns, or a clip's, as one CSV file.

Knows columns. Knows nothing of where the file belongs.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.clip import Clip
from rollout_viewer._files import new_file
from rollout_viewer.loggers._video_files import check_format

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_table(
    columns: Mapping[str, Any] | Clip,
    path: Path,
    *,
    where: str,
    overwrite: bool = False,
    options: Mapping[str, Any] | None = None,
) -> Path:
    """Write columns of equal length, or a clip's table, which is streamed.

    Args:
        columns: Name -> values; what is missing is NaN and stands as nothing.
        path: Of the file; a clip takes every suffix of tables that it knows.
        where: The function that a person called, for messages.
        overwrite: Replace a file of that name.
        options: ``on_progress`` and ``cancel``, for clips.

    Returns:
        Where the file is.

    Raises:
        ValueError: The columns are of unequal length, or the suffix is not known.
        ExportError: It could not be written; nothing of it is left.
    """
    if isinstance(columns, Clip):
        told = ("on_progress", "cancel")
        given = {k: v for k, v in (options or {}).items() if k in told}
        return columns.write(path, overwrite=overwrite, **given)[0]
    check_format(path.suffix[1:], ("csv",), where)
    with (
        new_file(path, where=where, overwrite=overwrite) as new,
        new.part.open("w", newline="", encoding="utf-8") as out,
    ):
        lines = csv.writer(out, lineterminator="\n")
        lines.writerow(columns)
        lines.writerows(zip(*map(cells, columns.values()), strict=True))
    return new.path


def cells(values: Any, missing: Any = "") -> list[Any]:
    """Return a column as Python's values, with `missing` for NaN."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    listed = np.asarray(values).tolist() if hasattr(values, "shape") else list(values)
    return [missing if value != value else value for value in listed]
