"""What a recording holds: how many rows, envs and cameras, its metadata and sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RowError
from rollout_viewer._frames.fps import DEFAULT_FPS
from rollout_viewer._recording.annotations import bookmarks_of
from rollout_viewer._recording.slot import SlotIndex
from rollout_viewer._recording.wal import how_to_copy, lacks_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot


class RecordingInfo:
    """Properties of a recording; `RecordingReader` also reads its rows.

    Args:
        recording: Where the rows are.

    Attributes:
        recording: In its last known state: `num_rows` and most properties here first
            read what another process has added.
    """

    recording: Recording

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self._index = SlotIndex(recording.slots)

    @property
    def num_rows(self) -> int:
        """Rows recorded so far; of a file that is still written, as of now.

        Skipped steps have none until the next row; see `RecordingReader.at`.
        """
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
        """What is pictured: env, camera and size, in the order of first pictures.

        An env and camera has one for each size that its pictures had.
        """
        return self._now.slots

    @property
    def tiles(self) -> Sequence[tuple[int, ...]]:
        """The numbers of the known slots of each env and camera, one for each size."""
        return self._slot_index.tiles

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
        """Bytes of the same pictures uncompressed, repeated ones included.

        An estimate where pictures had several sizes: of their mean.
        """
        num_rows, slots = self.num_rows, self.recording.slots
        total = 0
        for tile in self._slot_index.tiles:
            sizes = [slots[slot].height * slots[slot].width * 3 for slot in tile]
            total += (num_rows - self._first_row_of(tile)) * sum(sizes) // len(sizes)
        return total

    @property
    def num_lost(self) -> int:
        """Pictures that were dropped because the disk was full, faulty or too slow."""
        return self.recording.num_lost

    @property
    def num_evicted(self) -> int:
        """Pictures that were deleted to make room for newer ones (`disk_bytes`)."""
        return self.recording.num_evicted

    @property
    def first_row(self) -> int:
        """The first row that still has pictures; 0 if none were evicted."""
        tiles = self._slot_index.tiles
        return min(map(self._first_row_of, tiles), default=0)

    def _first_row_of(self, tile: Sequence[int]) -> int:
        # Evicted together; a size that came afterwards has no pictures before.
        return max(map(self.recording.first_row_of, tile))

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
        """Whether the recording has ended; it stays readable."""
        return not self.is_live

    @property
    def is_live(self) -> bool:
        """Whether rows may still come."""
        recording = self._now
        return not (recording.is_closed or recording.meta.get("is_closed", False))

    @property
    def why_empty(self) -> str:
        """Why there are no rows, and what to do, for messages."""
        if self.is_live and not self.recording.is_mine:
            if lacks_log(self.path):
                return f"got none in {str(self.path)!r}. {how_to_copy(self.path)}"
            return (
                f"got none yet: another process records {str(self.path)!r}, and has "
                "not written a row. It writes once a second while it records; call "
                "cache.flush() there, or wait."
            )
        return "got none. Record something first."

    @property
    def episodes(self) -> list[Episode]:
        """All episodes in the order in which they began, unfinished ones too.

        A reset that no step followed is no episode, unless it is the newest of its env
        and rows may still come. The others keep their numbers (`Episode.index`).
        """
        rows = self._now.rows
        if rows is None:
            return []
        is_live = self.is_live
        return [
            one
            for one in rows.episodes()
            if one.length or (is_live and rows.is_newest(one))
        ]

    def newest_episode(self, env: int) -> Episode | None:
        """Return the episode of an env that began last; None: there is none."""
        rows = self._now.rows
        return None if rows is None else rows.newest_of(env)

    def _slots_of(self, env: int, camera: str | None) -> tuple[int, ...]:
        """Return the known slots of an env and camera, one for each size."""
        rows = self.recording.rows
        num_envs = rows.num_envs if rows is not None else 0
        if found := self._slot_index.of(env, camera, num_envs):
            return found
        raise RowError(
            f"FrameCache: expected a pictured env in {list(self.pictured_envs)} and a "
            f"camera in {self.cameras}, got env {env!r}, camera {camera!r}."
        )

    @property
    def _slot_index(self) -> SlotIndex:
        slots = self.recording.slots
        if not self._index.is_of(slots):
            self._index = SlotIndex(slots)
        return self._index

    def _rows(self, env: int) -> Rows:
        _ = self._now
        return self._known_rows(env)

    def _known_rows(self, env: int) -> Rows:
        """Return the rows as they are known."""
        rows = self.recording.rows
        if rows is None or not 0 <= env < rows.num_envs:
            raise RowError(
                f"FrameCache: expected an env in 0..{self.num_envs - 1}, got {env!r}."
            )
        return rows

    @property
    def _now(self) -> Recording:
        """The recording, with what another process has added to it since."""
        self.recording.refresh()
        return self.recording
