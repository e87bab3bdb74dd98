"""Actions and data arrays, for a page that asks for them.

Two answers, specified in `protocol`: one env over a run of rows for the inspector, and
one number of all envs for the timeline. Numbers are sent as they are up to a size; of
larger arrays the smallest, mean and largest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._page.protocol import Message
from rollout_viewer._recording.column import column_of
from rollout_viewer._recording.info_types import BOOL, PREFIX, info_types, text_of
from rollout_viewer._recording.step_codec import ACTION
from rollout_viewer._recording.step_row import IDLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.info_types import InfoTypes
    from rollout_viewer._recording.reader import RecordingReader
    from rollout_viewer._recording.step_codec import Extras

    Array = npt.NDArray[Any]

# Of one answer: few enough to arrive at once, many enough to be asked for seldom.
MAX_ROWS = 1024
MAX_BYTES = 256 * 1024
# Larger arrays are summarised by three numbers: more cannot be read on a page.
MAX_NUMBERS = 1024
# Bytes of all envs that are read for one answer: more would delay other messages.
MAX_READ_BYTES = 32 * 1024 * 1024
# Of actions and data, kept while a page is written: each env's are read from all of it.
_KEEP_BYTES = 64 * 1024 * 1024
COLUMN_ROWS = 8192
COLUMN_BYTES = 512 * 1024
# Rows that are sampled to learn what a recording holds.
_NUM_SAMPLES = 5
_MAX_SEGMENTS = 1000


class FieldCatalog:
    """Which arrays a recording holds beside pictures and rewards, for its manifest.

    Cheap to ask again: what was learned of rows is kept, and only new rows are
    sampled.
    """

    def __init__(self) -> None:
        self._session: str | None = None
        self._num_rows = 0
        self._fields: dict[str, dict[str, Any]] = {}
        self._segments: list[list[Any]] = []

    def describe(self, cache: RecordingReader) -> dict[str, Any]:
        """Return ``data``, ``meanings`` and ``segments`` of the manifest."""
        session = cache.session
        if session != self._session:
            self._session, self._num_rows, self._fields = session, 0, {}
        if cache.num_rows != self._num_rows:
            self._sample(cache)
            self._num_rows = cache.num_rows
        meanings = cache.metadata.get("action_meanings")
        names = cache.metadata.get("fields")
        fields = [self._fields[name] for name in sorted(self._fields)]
        return {
            "data": [_with_names(field, names) for field in fields],
            "meanings": meanings if isinstance(meanings, list) else [],
            "segments": self._segments,
        }

    def _sample(self, cache: RecordingReader) -> None:
        last = cache.num_rows - 1
        # Most of a growing recording was sampled before.
        samples = _NUM_SAMPLES if self._num_rows < 2 else 2
        sampled = {int(row) for row in np.linspace(max(last, 0), 0, samples)}
        for row in sampled | _end_rows(cache):
            try:
                extras = _extras(cache, row)
            except RecordingError:
                continue  # reported when that row is inspected
            for name, array in extras.items():
                self._fields.setdefault(
                    name,
                    {
                        "name": name,
                        "dtype": str(array.dtype),
                        "shape": list(array.shape[1:]),
                    },
                )
        self._segments = _segments(cache)


def _with_names(field: dict[str, Any], names: object) -> dict[str, Any]:
    """Add the names of an array's numbers where ``metadata["fields"]`` has them.

    That is from the user or from a file: what is no list of texts is passed over.
    """
    found = names.get(field["name"]) if isinstance(names, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        return field
    return {**field, "names": found[:MAX_NUMBERS]}


def _end_rows(cache: RecordingReader) -> set[int]:
    """Return the last row of an episode, if any ended: some info is only there."""
    rows = cache.recording.rows
    first = rows.ended(0, 0) if rows is not None and rows.num_envs else None
    return {first[1] - 1} if first is not None else set()


def _segments(cache: RecordingReader) -> list[list[Any]]:
    """Return [name, start, stop] of runs of rows that belong to a segment.

    Those of env 0: episodes of all envs that begin inside a segment belong to it.
    """
    rows = cache.recording.rows
    runs: list[list[Any]] = []
    if rows is None or not rows.num_envs:
        return runs
    for episode in rows.of_env(0):
        if episode.segment is None:
            continue
        if runs and runs[-1][0] == episode.segment and runs[-1][2] == episode.start:
            runs[-1][2] = episode.stop
        else:
            runs.append([episode.segment, episode.start, episode.stop])
    return runs[:_MAX_SEGMENTS]


def details_message(
    cache: RecordingReader, env: int, start: int, read: _ExtrasReader | None = None
) -> Message:
    """Return the answer to ``inspect``: all data of an env from row `start` on."""
    read = _ExtrasReader(cache, keep_bytes=0) if read is None else read
    stop = min(start + MAX_ROWS, cache.num_rows)
    found = _Fields(info_types(cache.recording.meta))
    fault = ""
    if 0 <= env < cache.num_envs and 0 <= start < stop:
        led_to = cache.led_to(start, stop)[:, env].tolist()
        is_idle = _is_idle(cache, start, stop, env)
        row = start
        try:
            for row in range(start, stop):
                if found.num_bytes >= MAX_BYTES or found.num_read >= MAX_READ_BYTES:
                    stop = row
                    break
                if is_idle[row - start]:
                    continue
                for name, values in _of_row(read, row, led_to[row - start]):
                    found.num_read += values.nbytes
                    found.add(name, row - start, values[env])
        except RecordingError as error:
            # What comes before it is shown; the rest of its block is not read again.
            fault, stop = str(error), max(row, min(stop, row - row % 32 + 32))
    else:
        stop = start
    content = {
        "kind": "details",
        "env": env,
        "start": start,
        "count": stop - start,
        "num_rows": cache.num_rows,
        "fields": found.heads(stop - start),
        "fault": fault,
    }
    return Message(content, found.buffers())


def _is_idle(cache: RecordingReader, start: int, stop: int, env: int) -> list[bool]:
    """Return for rows whether an env was idle: it has no action and no data there."""
    rows = cache.recording.rows
    assert rows is not None
    found: list[bool] = (rows.kinds(start, stop)[:, env] == IDLE).tolist()
    return found


def _of_row(read: _ExtrasReader, row: int, led_to: int) -> Iterator[tuple[str, Array]]:
    if led_to >= 0 and (action := read(led_to).get(ACTION)) is not None:
        yield ACTION, action
    for name, values in read(row).items():
        if name != ACTION:
            yield name, values


def _extras(cache: RecordingReader, row: int) -> Extras:
    recording = cache.recording
    return recording.extras(row) if 0 <= row < cache.num_rows else {}


class _ExtrasReader:
    """Reads actions and data of rows, of all envs, and keeps them for the next env."""

    def __init__(self, cache: RecordingReader, keep_bytes: int) -> None:
        self._cache = cache
        self._free_bytes = keep_bytes
        self._kept: dict[int, Extras] = {}

    def __call__(self, row: int) -> Extras:
        if row in self._kept:
            return self._kept[row]
        found = _extras(self._cache, row)
        nbytes = sum(values.nbytes for values in found.values())
        if nbytes <= self._free_bytes:
            self._free_bytes -= nbytes
            self._kept[row] = found
        return found


class _Fields:
    """Values of a run of rows, those of one form beside each other."""

    def __init__(self, types: InfoTypes) -> None:
        self._types = types
        # Text -> its number in this answer, by name of the field.
        self._texts: dict[str, dict[str, int]] = {}
        self._groups: dict[tuple[str, str, tuple[int, ...]], list[Array]] = {}
        self._rows: dict[tuple[str, str, tuple[int, ...]], list[int]] = {}
        self.num_bytes = 0
        self.num_read = 0

    def add(self, name: str, offset: int, value: Any) -> None:
        value = np.asarray(value)
        dtype = str(value.dtype)
        if name.startswith(PREFIX) and not value.shape:
            if np.isnan(value):
                return  # the step had none
            kind = self._types.get(name)
            if kind == BOOL:
                value, dtype = value != 0, "bool"
            elif isinstance(kind, list):
                texts = self._texts.setdefault(name, {})
                text = text_of(kind, float(value)) or ""
                number = texts.setdefault(text, len(texts))
                value, dtype = np.asarray(number, np.float64), "str"
        key = name, dtype, value.shape
        sent = _as_sent(np.asarray(value))
        self._groups.setdefault(key, []).append(sent)
        self._rows.setdefault(key, []).append(offset)
        self.num_bytes += sent.nbytes

    def heads(self, count: int) -> list[dict[str, Any]]:
        found = []
        for key, rows in self._rows.items():
            name, dtype, shape = key
            sent = self._groups[key][0].dtype
            head = {
                "name": name,
                "dtype": dtype,
                "shape": list(shape),
                "is_summary": int(np.prod(shape)) > MAX_NUMBERS,
                "format": "u1" if sent == np.uint8 else f"f{sent.itemsize}",
                "rows": None if rows == list(range(count)) else rows,
            }
            if dtype == "str":
                head["texts"] = list(self._texts[name])
            found.append(head)
        return found

    def buffers(self) -> list[bytes]:
        return [
            np.stack(values).astype(values[0].dtype.newbyteorder("<")).tobytes()
            for values in self._groups.values()
        ]


def _as_sent(value: Array) -> Array:
    """Return the numbers as the page reads them: u1, f4 or f8."""
    if value.size > MAX_NUMBERS:
        numbers = value.astype(np.float64)
        return np.array([numbers.min(), numbers.mean(), numbers.max()])
    if value.dtype.kind == "b" or value.dtype == np.uint8:
        return value.astype(np.uint8)
    if value.dtype.kind == "f" and value.dtype.itemsize <= 4:
        return value.astype(np.float32)
    return value.astype(np.float64)


def all_details(
    cache: RecordingReader, start: int, stop: int, envs: Sequence[int] | None = None
) -> Iterator[Message]:
    """Yield the details of rows ``start..stop``, env after env; None: all envs."""
    read = _ExtrasReader(cache, keep_bytes=_KEEP_BYTES)
    for env in range(cache.num_envs) if envs is None else envs:
        row = start
        while row < stop:
            message = details_message(cache, env, row, read)
            row += message.content["count"]
            if not message.content["count"]:
                break
            yield message


def column_message(
    cache: RecordingReader, name: str, index: int, start: int
) -> Message:
    """Return the answer to ``column``: one number of a data array, of all envs.

    Args:
        cache: The recording.
        name: Of the data array, or ``"action"``.
        index: Of the number in the array of one env, flattened.
        start: First row.
    """
    n = cache.num_envs
    count = max(1, min(COLUMN_ROWS, COLUMN_BYTES // max(4 * n, 1)))
    stop = max(start, min(start + count, cache.num_rows))
    values = np.full((stop - start, n), np.nan, np.float32)
    fault = ""
    try:
        values = values[: _fill(cache, name, index, start, values)]
    except RecordingError as error:
        fault = str(error)
    content = {
        "kind": "column",
        "name": name,
        "index": index,
        "start": start,
        "count": len(values),
        "fault": fault,
    }
    return Message(content, [values.astype("<f4").tobytes()])


def _fill(
    cache: RecordingReader, name: str, index: int, start: int, values: Array
) -> int:
    """Write the numbers that are known; return how many rows are done.

    An action is that of the row where it was chosen.
    """
    stop = start + len(values)
    led_to = cache.led_to(start, stop) if name == ACTION else None
    num_read = 0
    for row in range(start, stop):
        if num_read >= MAX_READ_BYTES:
            return row - start
        extras = _extras(cache, row)
        num_read += sum(array.nbytes for array in extras.values())
        if name != ACTION and name not in extras:
            continue
        here = slice(row - start, row - start + 1)
        numbers, is_there = column_of(
            cache.recording,
            name,
            row,
            row + 1,
            led_to=None if led_to is None else led_to[here],
            number=index,
        )
        np.copyto(values[here], numbers, where=is_there, casting="unsafe")
    return len(values)
