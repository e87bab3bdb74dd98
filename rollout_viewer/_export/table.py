"""A clip's step data as a table: one line for each recorded row and env.

Columns: row, env, kind, episode, episode_step, reward, total_reward, terminated,
truncated, is_repeated where a picture is an earlier row's, and the episode's success
where it is known of one, then the action and the `data` arrays, and where people marked
anything the episode's labels and the note of the row's bookmark. An array of a few
numbers an env has a column for each (``action.0``, ``action.1``); a longer one is left
out. `data` that is called like another column has ``data.`` before its name.

Knows a cache's reading side. Knows nothing of files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._export.damage import DamageReport
from rollout_viewer._recording.annotations import label_texts
from rollout_viewer._recording.column import column_of, stored_column
from rollout_viewer._recording.info_types import (
    BOOL,
    PREFIX,
    decoded_column,
    info_types,
)
from rollout_viewer._recording.step_codec import ACTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.reader import RecordingReader
    from rollout_viewer._recording.step_codec import Extras

    Texts = npt.NDArray[np.str_]

# More numbers than this are a picture or a state, not columns that people read.
MAX_COLUMNS_OF_ARRAY = 32
# Read at once; so many rows of `data` arrays are held.
_WINDOW_ROWS = 1024

# Beside the columns in a .npz file.
_TAKEN = ("frames",)


class Column(NamedTuple):
    """Part of a column: values of shape (lines,), and which of them are none."""

    values: npt.NDArray[Any]
    is_missing: npt.NDArray[np.bool_]


class Table:
    """The lines of rows `start` to `stop` of some envs, by row and then by env.

    Args:
        cache: The recording.
        start: First row.
        stop: Row after the last one.
        envs: In the order of their lines.
        camera: Whose pictures may be repeated; None: the first's.
        rows: Those of ``start..stop`` that have lines, ascending; None: all.
    """

    def __init__(
        self,
        cache: RecordingReader,
        start: int,
        stop: int,
        envs: Sequence[int],
        camera: str | None = None,
        rows: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self._cache = cache
        self._recording = cast("Recording", _ReadableExtras(cache.recording))
        self._start, self._stop = start, stop
        self._envs = list(envs)
        self._has_lines: npt.NDArray[np.bool_] | None = None
        if rows is not None and len(rows) < stop - start:
            self._has_lines = np.zeros(stop - start, np.bool_)
            self._has_lines[rows - start] = True
        scalars = cache.scalars
        kinds = scalars["kind"]
        self._steps = {
            "kind": kinds[start:stop, self._envs],
            "episode": scalars["episode"][start:stop, self._envs],
            "episode_step": scalars["env_step"][start:stop, self._envs],
            **{
                name: scalars[name][start:stop, self._envs]
                for name in ("reward", "total_reward", "terminated", "truncated")
            },
        }
        is_repeated = cache.repeated(start, stop, self._envs, camera)
        if is_repeated[slice(None) if rows is None else rows - start].any():
            self._steps["is_repeated"] = is_repeated
        self._success = self._find_success()
        self._marks = self._find_marks()
        self._led_to = cache.led_to(start, stop)[:, self._envs]
        self._extra_dtypes: dict[str, np.dtype[Any]] = {}
        self._sizes = self._find_extras()
        # Of single values: arrays of truth values are numbers.
        self._types = {
            name: kind
            for name, kind in info_types(cache.recording.meta).items()
            if self._sizes.get(name) == ()
        }
        self._extra_dtypes |= {
            name: np.dtype(np.bool_ if kind == BOOL else str)
            for name, kind in self._types.items()
        }
        self._names = self._name_columns()

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order and each once."""
        return list(self._names)

    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Return the type of each column, as it was first recorded."""
        steps = [array.dtype for array in self._steps.values()]
        extras = [
            self._extra_dtypes[name]
            for name, size in self._sizes.items()
            for _ in range(int(np.prod(size)))
        ]
        whole = np.dtype(np.int64)
        marks = [np.dtype(str)] * len(self._marks)
        success = [] if self._success is None else [np.dtype(np.bool_)]
        types = [whole, whole, *steps, *success, *extras, *marks]
        return dict(zip(self.names, types, strict=True))

    def whole(self) -> dict[str, npt.NDArray[Any]]:
        """Return all columns; numbers that are missing somewhere are NaN there."""
        starts = range(self._start, self._stop, _WINDOW_ROWS)
        parts = [
            self.window(start, min(start + _WINDOW_ROWS, self._stop))
            for start in starts
        ]
        return {name: _with_nan([part[name] for part in parts]) for name in self.names}

    def window(self, start: int, stop: int) -> dict[str, Column]:
        """Return the lines that rows `start` to `stop` have, by column."""
        count, width = stop - start, len(self._envs)
        columns = [
            _column(np.repeat(np.arange(start, stop), width)),
            _column(np.tile(np.array(self._envs, np.int64), count)),
        ]
        window = slice(start - self._start, stop - self._start)
        columns += [
            _column(array[window].reshape(-1)) for array in self._steps.values()
        ]
        if self._success is not None:
            known = self._success[window].reshape(-1)
            columns.append(Column(known > 0, known < 0))
        for name, size in self._sizes.items():
            values, is_there = column_of(
                self._recording,
                name,
                start,
                stop,
                led_to=self._led_to[window],
                envs=self._envs,
                shape=size,
            )
            is_missing = ~is_there.reshape(-1)
            lines = values.reshape(count * width, int(np.prod(size)))
            if name.startswith(PREFIX):  # NaN is none, of any number of them
                columns += [
                    Column(
                        decoded_column(self._types, name, line),
                        is_missing | np.isnan(line),
                    )
                    for line in lines.T
                ]
                continue
            columns += [Column(lines[:, k], is_missing) for k in range(lines.shape[1])]
        for texts, numbers in self._marks.values():
            numbered = numbers[window].reshape(-1)
            columns.append(Column(texts[numbered], numbered == 0))
        if self._has_lines is not None:
            has_line = np.repeat(self._has_lines[window], width)
            columns = [Column(one[has_line], none[has_line]) for one, none in columns]
        return dict(zip(self.names, columns, strict=True))

    def _name_columns(self) -> list[str]:
        names = ["row", "env", *self._steps]
        if self._success is not None:
            names.append("success")
        for name, size in self._sizes.items():
            indices = range(int(np.prod(size)))
            own = [name if size == () else f"{name}.{index}" for index in indices]
            while not {*names, *_TAKEN}.isdisjoint(own):
                own = [f"data.{column}" for column in own]
            names += own
        for name in self._marks:
            names.append(f"mark.{name}" if name in names else name)
        return names

    def _find_success(self) -> npt.NDArray[np.int8] | None:
        """Return 1 where the episode succeeded, 0 where not, -1: unknown of it."""
        shape = self._stop - self._start, len(self._envs)
        found = np.full(shape, -1, np.int8)
        column_of = {env: column for column, env in enumerate(self._envs)}
        for episode in self._cache.episodes:
            if episode.success is not None and episode.env in column_of:
                first = max(episode.start - self._start, 0)
                last = max(episode.stop - self._start, 0)
                found[first:last, column_of[episode.env]] = episode.success
        return found if (found >= 0).any() else None

    def _find_marks(self) -> dict[str, tuple[Texts, npt.NDArray[np.int32]]]:
        """Return columns of text: the distinct texts, and the number of each line's."""
        shape = self._stop - self._start, len(self._envs)
        labels: dict[str, int] = {"": 0}
        numbers = np.zeros(shape, np.int32)
        column_of = {env: column for column, env in enumerate(self._envs)}
        for episode in self._cache.episodes:
            if episode.labels and episode.env in column_of:
                text = "; ".join(label_texts(episode.labels))
                first = max(episode.start - self._start, 0)
                last = max(episode.stop - self._start, 0)
                number = labels.setdefault(text, len(labels))
                numbers[first:last, column_of[episode.env]] = number
        notes, marked = [""], np.zeros(shape, np.int32)
        for row, note in self._cache.bookmarks.items():
            if self._start <= row < self._stop:
                marked[row - self._start] = len(notes)
                notes.append(note or "bookmark")
        found = {
            "labels": (np.array(list(labels)), numbers),
            "note": (np.array(notes), marked),
        }
        return {name: one for name, one in found.items() if one[1].any()}

    def _find_extras(self) -> dict[str, tuple[int, ...]]:
        """Return the shape for one env of each array that becomes columns."""
        last = int(self._led_to.max(initial=-1))
        found: dict[str, int] = {}
        for row in range(self._start, max(self._stop, last + 1)):
            for name in self._recording.extras(row):
                # An action is recorded in the row that it led to.
                if row > self._start if name == ACTION else row < self._stop:
                    found.setdefault(name, row)
        first = {
            name: stored_column(
                self._recording, name, found[name], found[name] + 1
            ).values
            for name in sorted(found, key=lambda name: name != ACTION)
        }
        self._extra_dtypes = {name: array.dtype for name, array in first.items()}
        shapes = {name: array.shape[2:] for name, array in first.items()}
        return {
            name: shape
            for name, shape in shapes.items()
            if 0 < np.prod(shape) <= MAX_COLUMNS_OF_ARRAY
        }


class _ReadableExtras:
    """The actions and data of a recording; none where they are damaged."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.rows = recording.rows
        self._damage = DamageReport(
            "step data", "Damaged values are missing in the table."
        )

    def extras(self, row: int) -> Extras:
        try:
            return self._recording.extras(row)
        except RecordingError as error:
            self._damage.add(error)
            return {}


def _column(values: npt.NDArray[Any]) -> Column:
    is_nan = np.isnan(values) if values.dtype.kind == "f" else None
    return Column(values, np.zeros(len(values), np.bool_) if is_nan is None else is_nan)


def _with_nan(parts: Sequence[Column]) -> npt.NDArray[Any]:
    values = np.concatenate([part.values for part in parts])
    is_missing = np.concatenate([part.is_missing for part in parts])
    if values.dtype.kind not in "biuf" or not is_missing.any():
        return values
    values = values.astype(np.float64)
    values[is_missing] = np.nan
    return values
