"""Tables in files: a clip's step data as CSV or Parquet, and plain columns as CSV.

A spreadsheet runs a cell that begins like a formula. In CSV, a text (no number) that
begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets an apostrophe
before it, names of columns too, unless it reads as a number. Parquet has texts as they
are.

A clip's lines are read and written a window at a time. Knows tables. Knows nothing of
pictures. The only module that imports pyarrow.
"""

from __future__ import annotations

import contextlib
import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import ShapeError, requires
from rollout_viewer._export.provenance import container_tags
from rollout_viewer._files.new_files import new_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rollout_viewer._export.job import ExportJob
    from rollout_viewer._export.selection import Selection
    from rollout_viewer._export.table import Column, Table

# Small enough that a table shows its progress twice a second, and stops as soon.
_WINDOW_ROWS = 256
# Parquet compresses and skips by groups of lines.
_GROUP_LINES = 65_536


def write_csv(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write a clip's table as CSV; cells without a value are empty."""
    table = clip.step_table()
    with job.new_file(path) as file, _open_csv(file.part, table.names) as lines:
        for start in range(clip.start, clip.stop, _WINDOW_ROWS):
            job.progress.check(start)
            stop = min(start + _WINDOW_ROWS, clip.stop)
            columns = [
                _plain(_filled(column.values.tolist(), column.is_missing.tolist(), ""))
                for column in table.window(start, stop).values()
            ]
            lines.writerows(zip(*columns, strict=True))
            job.progress.advance(clip.num_rows_in(start, stop))
    return file.path


def write_columns(
    columns: Mapping[str, Any], path: Path, *, where: str, overwrite: bool = False
) -> Path:
    """Write columns of equal length as CSV; cells that are NaN are empty.

    Args:
        columns: Name -> values.
        path: Of the file. If it exists, ``-1``, ... is added.
        where: The called function, for messages.
        overwrite: Replace a file of that name.

    Returns:
        The path of the file.

    Raises:
        ValueError: The columns are of unequal length.
        ExportError: It could not be written; nothing of it is left.
    """
    with (
        new_file(path, where=where, overwrite=overwrite) as new,
        _open_csv(new.part, columns) as lines,
    ):
        found = [_plain(cells(column)) for column in columns.values()]
        lines.writerows(zip(*found, strict=True))
    return new.path


def cells(values: Any, missing: Any = "") -> list[Any]:
    """Return a column's values as Python's, with `missing` in place of NaN."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    listed = np.asarray(values).tolist() if hasattr(values, "shape") else list(values)
    return _filled(listed, (value != value for value in listed), missing)


def write_parquet(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write a clip's table with its types; cells without a value are null."""
    check_parquet(job.where)
    import pyarrow as pa
    from pyarrow import parquet

    table = clip.step_table()
    schema = _schema(table, {"rollout_viewer": container_tags(clip, path)["comment"]})
    with (
        job.new_file(path) as file,
        parquet.ParquetWriter(file.part, schema, compression="zstd") as out,
    ):
        waiting: list[Any] = []
        for start in range(clip.start, clip.stop, _WINDOW_ROWS):
            job.progress.check(start)
            stop = min(start + _WINDOW_ROWS, clip.stop)
            waiting.append(_typed(table.window(start, stop), schema))
            if stop == clip.stop or sum(map(len, waiting)) >= _GROUP_LINES:
                out.write_table(pa.concat_tables(waiting))
                waiting.clear()
            job.progress.advance(clip.num_rows_in(start, stop))
    return file.path


def check_parquet(where: str) -> None:
    """Raise MissingDependencyError if there is no pyarrow."""
    with requires(f"{where}: .parquet", "parquet", "pyarrow"):
        import pyarrow  # noqa: F401


def _typed(columns: dict[str, Column], schema: Any) -> Any:
    """Return lines as a table of pyarrow; cells without a value are null."""
    import pyarrow as pa

    arrays = []
    for field, column in zip(schema, columns.values(), strict=True):
        array = pa.array(column.values, mask=column.is_missing)
        try:
            arrays.append(array.cast(field.type))
        except pa.ArrowInvalid as error:
            raise ShapeError(
                f".parquet: expected {field.name!r} to be {field.type} in all rows, as "
                f"in the first, got {array.type} ({error}). Record one type, or write "
                ".csv."
            ) from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _schema(table: Table, metadata: dict[str, str]) -> Any:
    """Return names and types; a column keeps its type where values are missing."""
    import pyarrow as pa

    fields = []
    for name, dtype in table.dtypes().items():
        is_text = dtype.kind not in "biuf"
        fields.append((name, pa.string() if is_text else pa.from_numpy_dtype(dtype)))
    return pa.schema(fields, metadata=metadata)


@contextlib.contextmanager
def _open_csv(path: Path, names: Iterable[str]) -> Iterator[Any]:
    """Open a new CSV file, and yield the `csv.writer` behind its header."""
    with path.open("w", newline="", encoding="utf-8", errors="replace") as out:
        lines = csv.writer(out, lineterminator="\n")
        lines.writerow(_plain(list(names)))
        yield lines


def _plain(values: list[Any]) -> list[Any]:
    """Return a column's cells with an apostrophe before what is taken for a formula."""
    if not any(isinstance(value, str) for value in values):
        return values
    return [
        f"'{value}" if isinstance(value, str) and _is_formula(value) else value
        for value in values
    ]


def _is_formula(text: str) -> bool:
    if not text.startswith(("=", "+", "-", "@", "\t", "\r")):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _filled(
    values: Sequence[Any], is_missing: Iterable[bool], missing: Any
) -> list[Any]:
    return [
        missing if is_none else value
        for value, is_none in zip(values, is_missing, strict=True)
    ]
