"""A clip's step data becomes a table in a file: CSV or Parquet.

Lines are read and written a window at a time. Knows tables. Knows nothing of
pictures. The only room that imports pyarrow.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ShapeError, requires
from rollout_viewer._export.provenance import container_tags

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_viewer._export.job import ExportJob
    from rollout_viewer._export.selection import Selection
    from rollout_viewer._export.table import Column, Table

# Small enough that a table shows its progress twice a second, and stops as soon.
_WINDOW_ROWS = 256
# Parquet compresses and skips by groups of lines.
_GROUP_LINES = 65_536


def write_csv(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write the table with a header; cells without a value are empty."""
    table = clip.step_table()
    with (
        job.new_file(path) as file,
        file.part.open("w", newline="", encoding="utf-8") as out,
    ):
        lines = csv.writer(out, lineterminator="\n")
        lines.writerow(table.names)
        for start in range(clip.start, clip.stop, _WINDOW_ROWS):
            job.progress.check(start)
            stop = min(start + _WINDOW_ROWS, clip.stop)
            columns = [_cells(column) for column in table.window(start, stop).values()]
            lines.writerows(zip(*columns, strict=True))
            job.progress.advance(stop - start)
    return file.path


def write_parquet(job: ExportJob, clip: Selection, path: Path) -> Path:
    """Write the table with its types; cells without a value are null."""
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
            job.progress.advance(stop - start)
    return file.path


def check_parquet(where: str) -> None:
    """Raise MissingDependencyError if there is no pyarrow."""
    with requires(f"{where}: .parquet", "parquet", "pyarrow"):
        import pyarrow  # noqa: F401


def _typed(columns: dict[str, Column], schema: Any) -> Any:
    """Return lines as a table of pyarrow, null where there is no value."""
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
    """Return names and types: a column has one type, also where values are missing."""
    import pyarrow as pa

    fields = []
    for name, dtype in table.dtypes().items():
        is_text = dtype.kind not in "biuf"
        fields.append((name, pa.string() if is_text else pa.from_numpy_dtype(dtype)))
    return pa.schema(fields, metadata=metadata)


def _cells(column: Column) -> list[Any]:
    """Return the cells of a column: "" where there is no value."""
    values: list[Any] = column.values.tolist()
    is_missing = column.is_missing.tolist()
    return [
        "" if missing else value
        for value, missing in zip(values, is_missing, strict=True)
    ]
