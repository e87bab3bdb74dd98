"""What can be asked of a recording: its pictures, its step data, and what it is.

The reading half of a cache, the same for one that records, one that follows a
file and one that joins several. Changes nothing. Any thread may ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from rollout_viewer._errors import FrameError, RecordingError, RowError
from rollout_viewer._recording.annotations import bookmarks_of
from rollout_viewer._recording.column import column_of, stored_column
from rollout_viewer._recording.prefetch import read_ahead
from rollout_viewer._recording.query import Moment, Scalars, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.decoder_cache import DecoderCache
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot

    Frame = npt.NDArray[np.uint8]

DEFAULT_FPS = 30.0


class RecordingReader:
    """Reads a recording; `FrameCache` also writes one.

    Args:
        recording: Where the rows are.
        decoders: Of its chunks.

    Attributes:
        recording: As it was when it was last asked: `num_rows` and most else here
            first read what another process has added.
    """

    recording: Recording
    _decoders: DecoderCache

    def __init__(self, recording: Recording, decoders: DecoderCache) -> None:
        self.recording = recording
        self._decoders = decoders

    # -- what is there

    @property
    def num_rows(self) -> int:
        """Rows recorded so far; of a followed file, as of now."""
        rows = self._now.rows
        return rows.num_rows if rows is not None else 0

    @property
    def num_envs(self) -> int:
        """Environments, pictured or not; 0 before the first row."""
        rows = self._now.rows
        return rows.num_envs if rows is not None else 0

    @property
    def cameras(self) -> list[str]:
        """Names of the cameras, in the order of their first pictures."""
        return list(dict.fromkeys(slot.camera for slot in self._now.slots))

    @property
    def pictured_envs(self) -> tuple[int, ...]:
        """The envs that have pictures; (0,) for one picture of them all."""
        return tuple(sorted({slot.env for slot in self._now.slots}))

    @property
    def is_shared(self) -> bool:
        """Whether one picture of the first camera shows all envs."""
        slots = self._now.slots
        return bool(slots) and slots[0].is_shared

    @property
    def fps(self) -> float:
        """Rows a second when played."""
        return float(self._now.meta.get("fps") or DEFAULT_FPS)

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of the metadata."""
        return dict(self._now.meta.get("metadata") or {})

    def get_meta(self, key: str, default: Any = None) -> Any:
        """Return a JSON value that is kept in the file."""
        return self._now.meta.get(key, default)

    @property
    def session(self) -> str:
        """Identifies the recording: a copy has the same, `clear` makes a new one."""
        return str(self.get_meta("session", ""))

    @property
    def slots(self) -> list[Slot]:
        """What is pictured: env, camera and size, in the order of first pictures."""
        return self._now.slots

    @property
    def bookmarks(self) -> dict[int, str]:
        """A copy of the bookmarks, row -> note, ascending; "" where there is none."""
        return bookmarks_of(self._now.meta)

    @property
    def nbytes(self) -> int:
        """Bytes of the compressed pictures."""
        return self.recording.picture_nbytes

    @property
    def raw_nbytes(self) -> int:
        """Bytes of the same pictures uncompressed, repeated ones included."""
        num_rows, recording = self.num_rows, self.recording
        return sum(
            (num_rows - recording.first_row_of(slot)) * s.height * s.width * 3
            for slot, s in enumerate(recording.slots)
        )

    @property
    def num_lost(self) -> int:
        """Pictures that the disk or its slowness cost."""
        return self.recording.num_lost

    @property
    def num_evicted(self) -> int:
        """Pictures that went because newer ones needed their room (`disk_bytes`)."""
        return self.recording.num_evicted

    @property
    def first_row(self) -> int:
        """The first row that still has pictures; 0 if none were evicted."""
        slots = range(len(self.recording.slots))
        return min(map(self.recording.first_row_of, slots), default=0)

    def pin(
        self, start: int, stop: int, envs: Sequence[int] | None
    ) -> Callable[[], object]:
        """Keep rows of envs from eviction until the result is called."""
        return self.recording.pin(start, stop, None if self.is_shared else envs)

    @property
    def path(self) -> Path:
        """The recording file."""
        return self.recording.path

    @property
    def is_closed(self) -> bool:
        """Whether the recording has ended; what is there stays readable."""
        return not self.is_live

    @property
    def is_live(self) -> bool:
        """Whether rows may still come."""
        recording = self._now
        return not (recording.is_closed or recording.meta.get("is_closed", False))

    @property
    def episodes(self) -> list[Episode]:
        """All episodes in the order in which they began, unfinished ones too."""
        rows = self._now.rows
        return rows.episodes() if rows is not None else []

    @property
    def scalars(self) -> Mapping[str, npt.NDArray[Any]]:
        """Step data by name, each of shape (num_rows, num_envs).

        ``reward`` float64 (NaN: none), ``terminated`` and ``truncated`` bool,
        ``kind`` str, ``env_step`` int64, ``episode`` int64 (-1: none),
        ``total_reward`` float64, so far in the episode (NaN: none).
        """
        return Scalars(self.num_rows, self._rows_or_none())

    def frame_size(self, env: int, camera: str | None = None) -> tuple[int, int]:
        """Return (height, width) in pixels of an env's pictures.

        Raises:
            RowError: It has none.
        """
        info = self.recording.slots[self._slot(env, camera)]
        return info.height, info.width

    # -- pictures

    @overload
    def __getitem__(self, key: int) -> Frame: ...
    @overload
    def __getitem__(self, key: slice) -> Frame: ...
    @overload
    def __getitem__(self, key: tuple[int | slice, int]) -> Frame: ...
    def __getitem__(self, key: Any) -> Frame:
        """Return pictures of the first camera.

        ``cache[row]`` is (B, H, W, 3), ``cache[row, env]`` (H, W, 3), and with a
        slice of rows each has one axis more in front. B counts pictured envs.

        Raises:
            RowError: There is no such row or env.
            FrameError: The envs have unequal sizes; take them one by one.
        """
        rows, env = key if isinstance(key, tuple) else (key, None)
        frames = self.frames(rows, envs=None if env is None else [env])
        if env is not None:
            frames = frames[:, 0]
        is_one = not isinstance(rows, slice) and np.ndim(rows) == 0
        return frames[0] if is_one else frames

    def __iter__(self) -> Iterator[Frame]:
        """Give ``cache[row]`` of all rows in order.

        Large rows are decoded one ahead in a thread.
        """
        slots = self.recording.slots
        shown = [s for s in slots if s.camera == slots[0].camera]
        nbytes = sum(s.height * s.width * 3 for s in shown)
        return read_ahead(self.__getitem__, self._row_by_row(), nbytes)

    def _row_by_row(self) -> Iterator[int]:
        row = 0
        while row < self.num_rows:
            yield row
            row += 1

    def frames(
        self,
        rows: int | slice | Sequence[int] | range,
        envs: Sequence[int] | None = None,
        camera: str | None = None,
        out: Frame | None = None,
    ) -> Frame:
        """Return pictures of rows and envs, uint8 (n, E, H, W, 3).

        Rows in order cost one decode each. Where there is nothing to be seen (see
        `is_shown`) there are zeros.

        Args:
            rows: A row, a slice, or any rows; negative ones count from the end.
            envs: None: all pictured ones.
            camera: None: the first.
            out: Where to write, uint8 of the result's shape, C-contiguous.

        Raises:
            RowError: There is no such row, env or camera.
            FrameError: The envs have unequal sizes, or `out` does not fit.
        """
        numbers = self._row_numbers(rows)
        wanted = list(self.pictured_envs) if envs is None else [int(e) for e in envs]
        if not wanted or not self.recording.slots:
            raise RowError(
                "FrameCache: expected pictures, got a recording without any. "
                "Pass frames to append()."
            )
        slots = [self._slot(env, camera) for env in wanted]
        sizes = {self.recording.slots[s].size for s in slots}
        if len(sizes) > 1:
            raise FrameError(
                "FrameCache: expected envs of one size, got "
                f"{sorted(sizes)} (height, width). Read them one by one: "
                "cache[row, env]."
            )
        shape = (len(numbers), len(slots), *sizes.pop(), 3)
        if out is None:
            out = np.empty(shape, np.uint8)
        elif out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise FrameError(
                f"FrameCache.frames: expected out as contiguous uint8 {shape}, got "
                f"{out.dtype} {out.shape}."
            )
        for position, slot in enumerate(slots):
            for index, row in enumerate(numbers):
                self._decoders.read(self.recording, row, slot, out[index, position])
        return out

    def has_picture(self, row: int, env: int, camera: str | None = None) -> bool:
        """Whether a picture was recorded of the env in this row.

        False where it is missing or evicted, and where another camera delivered
        and this one did not: then its picture before is shown again (`is_shown`).
        """
        return self._asked(self._decoders.has_picture, row, env, camera)

    def is_shown(self, row: int, env: int, camera: str | None = None) -> bool:
        """Whether anything is to be seen: a picture, or the one before it again."""
        return self._asked(self._decoders.is_shown, row, env, camera)

    def _asked(
        self,
        question: Callable[[Recording, int, int], bool],
        row: int,
        env: int,
        camera: str | None,
    ) -> bool:
        try:
            slot = self._slot(env, camera)
        except RowError:
            return False
        (number,) = self._row_numbers(row)
        try:
            return question(self.recording, number, slot)
        except RecordingError:  # damaged
            return False

    def _slot(self, env: int, camera: str | None) -> int:
        slots = self._now.slots
        name = slots[0].camera if camera is None and slots else camera
        for slot, info in enumerate(slots):
            shows = info.env == env or (info.is_shared and 0 <= env < self.num_envs)
            if shows and info.camera == name:
                return slot
        raise RowError(
            f"FrameCache: expected a pictured env in {list(self.pictured_envs)} and a "
            f"camera in {self.cameras}, got env {env!r}, camera {camera!r}."
        )

    def _row_numbers(self, rows: Any) -> list[int]:
        num_rows = self.num_rows
        if isinstance(rows, slice):
            return list(range(*rows.indices(num_rows)))
        asked = np.asarray(rows)
        if asked.dtype == np.bool_ and asked.shape == (num_rows,):
            numbers: list[int] = np.flatnonzero(asked).tolist()
            return numbers
        if asked.dtype.kind not in "iu" and asked.size:
            raise RowError(
                "FrameCache: expected row numbers, a slice, or a bool for each of "
                f"{num_rows} rows, got {rows!r:.100}."
            )
        numbers = []
        for row in np.atleast_1d(asked).tolist():
            number = row + num_rows if row < 0 else row
            if not 0 <= number < num_rows:
                there = f"a row in 0..{num_rows - 1}" if num_rows else "recorded rows"
                raise RowError(f"FrameCache: expected {there}, got {row!r}.")
            numbers.append(number)
        return numbers

    # -- step data

    def at(self, row: int, env: int) -> Moment:
        """Return everything known of an env at a row, by key or attribute.

        Keys: row, env, kind, reward, terminated, truncated, env_step, episode,
        episode_step, total_reward, action (chosen at this frame; None where none
        was), seed, segment, labels, has_picture, and the names in `data`.

        Raises:
            RowError: There is no such row or env.
        """
        (row,) = self._row_numbers(row)
        found = describe(self.recording, self._rows(env), row, env)
        return Moment({**found, "has_picture": self.has_picture(row, env)})

    def column(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """Return ``"action"`` or a `data` array of many rows, (n, num_envs, ...).

        An action stands at the row where it was chosen. Rows without a value have
        NaN, or 0 in integers.

        Raises:
            RowError: Nothing of that name was recorded in these rows.
            ShapeError: Its shape changed within them.
        """
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        self._rows(0)
        return column_of(self.recording, name, start, stop).values

    def raw_column(self, name: str, start: int, stop: int) -> npt.NDArray[Any]:
        """Return what `column` does, but actions at the rows that they led to.

        Raises:
            RowError: Nothing of that name was recorded in these rows.
            ShapeError: Its shape changed within them.
        """
        return stored_column(self.recording, name, start, stop).values

    def led_to(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Return to which rows the actions chosen at rows led; -1: none was."""
        return self._rows(0).led_to(start, stop)

    def data_names(self, row: int) -> list[str]:
        """Names of what was recorded beside reward and ends in a row."""
        return list(self.recording.extras(row))

    def find(self, env: int, episode: int, episode_step: int) -> int:
        """Return the row of a step; of a skipped one, the next that was recorded.

        Raises:
            RowError: There is no such env, episode or step.
        """
        return self._rows(env).find(env, episode, episode_step)

    def _rows(self, env: int) -> Rows:
        rows = self._rows_or_none()
        if rows is None or not 0 <= env < rows.num_envs:
            raise RowError(
                f"FrameCache: expected an env in 0..{self.num_envs - 1}, got {env!r}."
            )
        return rows

    def _rows_or_none(self) -> Rows | None:
        return self._now.rows

    @property
    def _now(self) -> Recording:
        """The recording, with what another process has added to it since."""
        self.recording.refresh()
        return self.recording
