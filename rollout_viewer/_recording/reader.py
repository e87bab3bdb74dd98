"""Everything that can be read of a recording: its pictures, step data and properties.

The reading half of a cache, the same for one that records, one that reads a file and
one that joins several. Changes nothing. Any thread may read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np

from rollout_viewer._errors import FrameError, RecordingError, RowError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.checked_numbers import (
    checked_env_numbers,
    checked_number,
)
from rollout_viewer._recording.column import column_of, stored_column
from rollout_viewer._recording.decoder_cache import repeated_rows
from rollout_viewer._recording.info import RecordingInfo
from rollout_viewer._recording.late_pictures import RECIPES, why_not_reproducible
from rollout_viewer._recording.prefetch import prefetch
from rollout_viewer._recording.query import Moment, Scalars, describe
from rollout_viewer._recording.row_copy import step_arguments
from rollout_viewer._recording.shown_slots import ShownSlots
from rollout_viewer._recording.slot import box_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.decoder_cache import DecoderCache

    Frame = npt.NDArray[np.uint8]


class RecordingReader(RecordingInfo):
    """Reads a recording; `FrameCache` also writes one.

    A public call looks once at what another process has added, before anything else.

    Args:
        recording: Where the rows are.
        decoders: Of its chunks.
    """

    _decoders: DecoderCache

    def __init__(self, recording: Recording, decoders: DecoderCache) -> None:
        super().__init__(recording)
        self._decoders = decoders
        self._shown = ShownSlots(recording, decoders)

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
            FrameError: The envs have unequal sizes, or a size changed within the rows;
                read them one by one.
        """
        rows, env = key if isinstance(key, tuple) else (key, None)
        frames = self.frames(rows, envs=None if env is None else [env])
        if env is not None:
            frames = frames[:, 0]
        is_one = not isinstance(rows, slice) and np.ndim(rows) == 0
        return frames[0] if is_one else frames

    def __iter__(self) -> Iterator[Frame]:
        """Yield ``cache[row]`` of all rows in order.

        A thread decodes large rows in advance.
        """
        slots = self.recording.slots
        nbytes = sum(
            max(slots[slot].height * slots[slot].width * 3 for slot in tile)
            for tile in self._slot_index.tiles
            if slots[tile[0]].camera == slots[0].camera
        )
        return prefetch(self.__getitem__, self._row_by_row(), nbytes)

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

        Rows in order cost one decode each. Where nothing is shown (see `is_shown`)
        there are zeros.

        Args:
            rows: A row, a slice, or any rows; negative ones count from the end.
            envs: None: all pictured ones.
            camera: None: the first.
            out: Where to write, uint8 of the result's shape, C-contiguous.

        Raises:
            RowError: There is no such row, env or camera.
            FrameError: The envs have unequal sizes, or a size changed within the rows,
                or `out` does not fit.
            RecordingError: A picture is damaged in the file.
        """
        numbers = self._row_numbers(rows)
        known = self.recording.slots
        wanted = (
            sorted({slot.env for slot in known})
            if envs is None
            else checked_env_numbers("FrameCache.frames", envs)
        )
        if not wanted or not known:
            raise RowError(
                "FrameCache: expected pictures, got a recording without any. "
                "Pass frames to append()."
            )
        slots = [
            self._shown.of_rows(numbers, self._slots_of(env, camera)) for env in wanted
        ]
        sizes = {known[slot].size for of_env in slots for slot in set(of_env)}
        if not numbers:
            sizes = {
                box_of(known[slot].size for slot in self._slots_of(env, camera))
                for env in wanted
            }
        if len(sizes) > 1:
            raise FrameError(
                "FrameCache: expected pictures of one size, got "
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
        for position, of_env in enumerate(slots):
            for index, (row, slot) in enumerate(zip(numbers, of_env, strict=True)):
                self._decoders.read(self.recording, row, slot, out[index, position])
        return out

    def prepare_pictures(
        self,
        start: int,
        stop: int,
        envs: Sequence[int] | None,
        camera: str | None,
        *,
        is_optional: bool = False,
    ) -> None:
        """Do what is necessary before pictures of rows ``start..stop`` are read.

        `is_optional`: only where that is possible.
        """

    # -- pictures that are rendered in the background; a cache does that

    @property
    def renders_pictures(self) -> bool:
        """Whether pictures that are looked at are rendered."""
        return False

    def want_pictures(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Render the pictures of (row, env) and their blocks soon, and no others."""

    def warm_up(self) -> None:
        """Make ready for pictures that will be looked at; returns at once."""

    def envs_to_render(self) -> list[int]:
        """Return the envs whose pictures may be rendered."""
        return []

    def is_pending(self, row: int, env: int) -> bool:
        """Whether a picture is still to come, if it is wanted."""
        return False

    def notify_pictures(self) -> None:
        """Notify viewers of pictures that were rendered."""

    @property
    def rendering_error(self) -> Exception | None:
        """Why no more pictures are rendered; None: they are."""
        return None

    def is_to_render(self, row: int, env: int) -> bool:
        """Whether a picture of the first camera may still be rendered."""
        meta = self.recording.meta
        if RECIPES not in meta or why_not_reproducible(meta, row, env):
            return False
        if self.recording.late_refusal:
            return False
        return not (self.slots and self.is_shown(row, env))

    def frame_size(
        self, env: int, camera: str | None = None, row: int | None = None
    ) -> tuple[int, int]:
        """Return (height, width) in pixels of an env's pictures.

        Args:
            env: Its number.
            camera: None: the first.
            row: Where its pictures have several sizes, of which row; None: the least
                size that holds all of its pictures.

        Raises:
            RowError: It has none; there is no such row.
        """
        known = self._now.slots
        slots = self._slots_of(env, camera)
        if row is not None:
            slots = tuple(self._shown.of_rows(self._known_row_numbers(row), slots))
        return box_of(known[slot].size for slot in slots)

    def sizes_in(
        self, start: int, stop: int, env: int, camera: str | None = None
    ) -> list[tuple[int, int]]:
        """Return each (height, width) of an env's pictures in rows ``start..stop``.

        Where nothing is shown, that of a row near them.

        Raises:
            RowError: It has no pictures.
        """
        known = self._now.slots
        slots = self._slots_of(env, camera)
        return [known[slot].size for slot in self._shown.within(start, stop, slots)]

    def has_picture(self, row: int, env: int, camera: str | None = None) -> bool:
        """Whether a picture was recorded of the env in this row.

        False where it is missing or evicted, and where none was delivered, so that
        the one before is shown again (`is_repeated`).
        """
        return self._check(self._decoders.has_picture, row, env, camera)

    def is_shown(self, row: int, env: int, camera: str | None = None) -> bool:
        """Whether the env shows anything: a picture, or the one before it again."""
        return self._check(self._decoders.is_shown, row, env, camera)

    def is_repeated(self, row: int, env: int, camera: str | None = None) -> bool:
        """Whether the env shows the picture of an earlier row, for want of its own.

        Not where it is idle: it was not stepped, so that the picture is right.
        """
        _ = self._now
        return self._is_known_repeated(row, env, camera)

    def _is_known_repeated(self, row: int, env: int, camera: str | None) -> bool:
        decoders = self._decoders
        is_shown = self._check_known(decoders.is_shown, row, env, camera)
        return is_shown and not self._check_known(
            decoders.has_picture, row, env, camera
        )

    def shown(
        self,
        start: int,
        stop: int,
        envs: Sequence[int],
        camera: str | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Return `is_shown` of rows that are there and envs, (n, num_envs)."""
        _ = self._now
        found = np.zeros((max(stop - start, 0), len(envs)), np.bool_)
        for column, env in enumerate(envs):
            try:
                slots = self._slots_of(env, camera)
            except RowError:
                continue
            for index, row in enumerate(range(start, stop)):
                found[index, column] = self._check_slots(
                    self._decoders.is_shown, row, slots
                )
        return found

    def repeated(
        self,
        start: int,
        stop: int,
        envs: Sequence[int] | None = None,
        camera: str | None = None,
    ) -> npt.NDArray[np.bool_]:
        """Return `is_repeated` of many rows and envs, (n, num_envs); None: all envs.

        Reads the chunks' tables; no picture is decoded.
        """
        numbers = (
            range(self.num_envs)
            if envs is None
            else checked_env_numbers("FrameCache.shown", envs)
        )
        found = np.zeros((max(stop - start, 0), len(numbers)), np.bool_)
        for column, env in enumerate(numbers):
            try:
                slots = self._slots_of(env, camera)
            except RowError:
                continue
            for slot in slots:
                rows = self._repeated_of(slot, start, stop)
                found[[row - start for row in rows], column] = True
        return found

    def _repeated_of(self, slot: int, start: int, stop: int) -> list[int]:
        first = max(start, self.recording.first_row_of(slot))
        return [
            row
            for block in range(first // CHUNK_ROWS, -(-stop // CHUNK_ROWS))
            for row in repeated_rows(self.recording, block, slot)
            if first <= row < stop
        ]

    def _check(
        self,
        check: Callable[[Recording, int, int], bool],
        row: int,
        env: int,
        camera: str | None,
    ) -> bool:
        _ = self._now
        return self._check_known(check, row, env, camera)

    def _check_known(
        self,
        check: Callable[[Recording, int, int], bool],
        row: int,
        env: int,
        camera: str | None,
    ) -> bool:
        try:
            slots = self._slots_of(env, camera)
        except RowError:
            return False
        return self._check_slots(check, self._known_row_numbers(row)[0], slots)

    def _check_slots(
        self,
        check: Callable[[Recording, int, int], bool],
        row: int,
        slots: Sequence[int],
    ) -> bool:
        slot = self._shown.at(row, slots)
        if slot is None:
            return False
        try:
            return check(self.recording, row, slot)
        except RecordingError:  # damaged
            return False

    def _row_numbers(self, rows: Any) -> list[int]:
        _ = self._now
        return self._known_row_numbers(rows)

    def _known_row_numbers(self, rows: Any) -> list[int]:
        known = self.recording.rows
        num_rows = known.num_rows if known is not None else 0
        if not num_rows and np.size(rows) == 1 and not isinstance(rows, slice):
            raise RowError(f"FrameCache: expected recorded rows, {self.why_empty}")
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
                raise RowError(
                    f"FrameCache: expected a row in 0..{num_rows - 1}, got {row!r}."
                )
            numbers.append(number)
        return numbers

    # -- step data

    def complete(self) -> None:
        """Append the rows that a recorder owes; nothing, of what is only read."""

    @property
    def scalars(self) -> Mapping[str, npt.NDArray[Any]]:
        """Step data by name, each of shape (num_rows, num_envs).

        ``reward`` float64 (NaN: none), ``terminated`` and ``truncated`` bool,
        ``kind`` str (``"damaged"``: the file's step data of the row cannot be read),
        ``env_step`` int64, ``episode`` int64 (-1: none), ``total_reward`` float64, so
        far in the episode (NaN: none).
        """
        rows = self._now.rows
        return Scalars(rows.num_rows if rows is not None else 0, rows)

    def at(self, row: int, env: int) -> Moment:
        """Return everything known of an env at a row, by key or attribute.

        Rows do not change: steps that a recorder has skipped since the last one
        (``skip=``) are in the next row, or in one that reading `episodes`, `scalars`,
        `column` or a clip makes of them, as do `flush`, `save` and exports. Until then
        an open page does not show them either.

        Keys: row, env, kind, reward, terminated, truncated, env_step, episode,
        episode_step, total_reward, action (chosen at this frame; None where
        none was), seed, segment, labels, success (of the episode), has_picture,
        is_repeated (the picture is an earlier row's, shown again), and the names in
        `data`: None where the env was idle. Where pictures are rendered later, also
        picture_state: "there", "repeated", "to be rendered", or "not reproducible" or
        "not kept" and why.

        Raises:
            RowError: There is no such row or env.
            RecordingError: It is damaged in the file.
        """
        (row,) = self._row_numbers(row)
        env = checked_number("FrameCache.at", "env", env)
        found = describe(self.recording, self._known_rows(env), row, env)
        decoders = self._decoders
        has_picture = self._check_known(decoders.has_picture, row, env, None)
        is_repeated = self._is_known_repeated(row, env, None)
        found |= {"has_picture": has_picture, "is_repeated": is_repeated}
        if RECIPES in self.recording.meta:
            state = "there" if has_picture else self._picture_state(row, env)
            found["picture_state"] = state
        return Moment(found)

    def _picture_state(self, row: int, env: int) -> str:
        """Return what is known of a picture that is not there."""
        meta = self.recording.meta
        if reason := why_not_reproducible(meta, row, env):
            return f"not reproducible: {reason}"
        if self._check_known(self._decoders.is_shown, row, env, None):
            return "repeated"
        refusal = self.recording.late_refusal
        return f"not kept: {refusal}" if refusal else "to be rendered"

    def column(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """Return ``"action"`` or a `data` array of many rows, (n, num_envs, ...).

        An action is at the row where it was chosen. Rows without a value have
        NaN, or 0 in integers. Truth values of ``info`` are 0 and 1 there, and texts
        their numbers in ``get_meta("info_types")``.

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
        """Return the row that a row's action led to, (n, num_envs); -1: none."""
        return self._rows(0).led_to(start, stop)

    def data_names(self, row: int) -> list[str]:
        """Return the names of the action and data arrays of a row."""
        return list(self.recording.extras(row))

    def find(self, env: int, episode: int, episode_step: int) -> int:
        """Return the row of a step; of a skipped one, the next that was recorded.

        Raises:
            RowError: There is no such env, episode or step.
        """
        asked = {"env": env, "episode": episode, "episode_step": episode_step}
        env, episode, episode_step = (
            checked_number("FrameCache.find", name, value)
            for name, value in asked.items()
        )
        return self._rows(env).find(env, episode, episode_step)

    def row_of(self, row: int, envs: Sequence[int] | None = None) -> dict[str, Any]:
        """Return the arguments with which `FrameCache.append` records a row again.

        All of them but ``episode_info``. Pictures that were shown again are pictures
        of the row then.

        Args:
            row: Negative ones count from the end.
            envs: The others are idle; None: all are copied.

        Raises:
            RowError: There is no such row or env.
        """
        (row,) = self._row_numbers(row)
        wanted = (
            list(range(self.num_envs))
            if envs is None
            else checked_env_numbers("FrameCache.row_of", envs)
        )
        for env in wanted:
            self._rows(env)
        shared = {slot.camera for slot in self.slots if slot.is_shared}
        frames = {
            camera: self._picture_or_none(row, 0, camera)
            if camera in shared
            else [
                self._picture_or_none(row, env, camera) if env in wanted else None
                for env in range(self.num_envs)
            ]
            for camera in self.cameras
        }
        steps = step_arguments(self.recording, self._rows(0), row, wanted)
        return {"frames": frames or None, **steps}

    def _picture_or_none(self, row: int, env: int, camera: str) -> Frame | None:
        if not self.is_shown(row, env, camera):
            return None
        frame: Frame = self.frames(row, [env], camera)[0, 0]
        return frame
