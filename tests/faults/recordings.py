"""Small recordings for tests of faults, and their cells, changed as no writer would."""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import rollout_viewer as rv

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

NUM_ROWS = 100  # three sealed blocks, and four rows of a fourth
NUM_ENVS = 2


def make_recording(path: pathlib.Path, num_rows: int = NUM_ROWS) -> pathlib.Path:
    """Write a recording with all kinds of cells."""
    rng = np.random.default_rng(0)
    with rv.FrameCache(path, fps=20, metadata={"env_id": "Faults-v0"}) as cache:
        for row in range(num_rows):
            frames = np.zeros((NUM_ENVS, 6, 8, 3), np.uint8)
            frames[:, row % 6, row % 8] = [row % 256, 1, 255]
            if row % 11 == 3:
                frames[...] = rng.integers(0, 255, frames.shape)
            cache.append(
                frames,
                reward=np.array([row, -row], float),
                reset=np.array([row % 40 == 0, row % 50 == 0]),
                terminated=np.array([row % 40 == 39, False]),
                action=np.array([row, row + 1]),
                data={"obs": np.full((NUM_ENVS, 3), row, np.float32)},
                episode_info={0: {"seed": row}} if row % 40 == 0 else None,
            )
        cache.bookmark(5, "look here")
        cache.label((0, 0), failure=True)
    return path


class Cell(NamedTuple):
    """One cell of a recording's tables."""

    table: str
    column: str
    key: str  # an SQL condition


def cells_of(path: pathlib.Path) -> list[Cell]:
    """Return the cells that hold bytes or text."""
    columns = {
        "meta": ("key", ["value"]),
        "packs": ("id", ["directory", "data"]),
        "steps": ("block", ["data"]),
        "extras": ("block", ["data"]),
        "tail": ("id", ["steps", "directory", "data"]),
        "episodes": ("env || '/' || idx", ["info"]),
    }
    found = []
    with editing(path) as connection:
        for table, (key, names) in columns.items():
            for (value,) in connection.execute(f"SELECT {key} FROM {table}"):
                found += [Cell(table, n, f"{key} = {value!r}") for n in names]
    return found


@contextlib.contextmanager
def editing(path: pathlib.Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        with connection:
            yield connection
    finally:
        connection.close()


def read_cell(path: pathlib.Path, cell: Cell) -> Any:
    with editing(path) as connection:
        sql = f"SELECT {cell.column} FROM {cell.table} WHERE {cell.key}"
        return connection.execute(sql).fetchone()[0]


def write_cell(path: pathlib.Path, cell: Cell, value: Any) -> None:
    with editing(path) as connection:
        sql = f"UPDATE {cell.table} SET {cell.column} = ? WHERE {cell.key}"
        connection.execute(sql, (value,))


def read_all(path: pathlib.Path) -> None:
    """Read a recording in every way.

    Raises:
        rv.RecordingError: Something in it is damaged; the rest was read before.
    """
    errors = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rv.RolloutViewerWarning)
        with contextlib.closing(rv.open(path)) as cache:
            repr(cache)
            for read in (
                lambda: [cache.at(r, e) for r in range(cache.num_rows) for e in (0, 1)],
                lambda: list(cache),
                lambda: [cache[r, 0] for r in range(0, cache.num_rows, 7)],
                lambda: cache.row_of(0),
                lambda: cache.column("obs"),
                lambda: cache.led_to(0, cache.num_rows),
                lambda: [cache.scalars[name] for name in cache.scalars],
                lambda: [cache.episodes, cache.bookmarks, cache.metadata, cache.fps],
                lambda: [cache.nbytes, cache.raw_nbytes, cache.num_lost, cache.session],
                lambda: [cache.first_row, cache.num_evicted, cache.is_live],
                lambda: cache.clip().table(),
                lambda: list(cache.clip().frames()),
                lambda: show(cache, path),
            ):
                try:
                    read()
                except (rv.RecordingError, rv.RowError, rv.FrameError) as error:
                    errors.append(error)
                except rv.ShapeError as error:  # an array's shape changed
                    errors.append(error)
    if errors:
        raise rv.RecordingError(f"{len(errors)} errors, the first: {errors[0]}")


def show(cache: rv.FrameCache, path: pathlib.Path) -> None:
    """Show a recording in a viewer, and write it as a page."""
    viewer = rv.view(cache)
    try:
        bundle = viewer._repr_mimebundle_()
        assert bundle is not None
        if cache.num_rows:
            page = path.with_suffix(".html")
            page.unlink(missing_ok=True)
            viewer.to_html(page)
    finally:
        viewer.close()
