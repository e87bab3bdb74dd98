"""The protocol of all recordings, wherever their rows come from.

Implemented by the live one (`live`), one in a file that another process may be writing
(`file`), and several side by side (`joined`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from rollout_viewer._recording.annotations import AnnotationChange
    from rollout_viewer._recording.late_pictures import LateChunk
    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.step_codec import Extras


class Recording(Protocol):
    """Rows, chunks and annotations. Any thread may read.

    Attributes:
        path: The file; of several, the first.
        slots: Envs and cameras that have pictures, in the order of their first ones.
        meta: JSON values by key: fps, metadata, session, bookmarks, ...
        is_closed: No row will be added through this object.
    """

    path: Path
    slots: list[Slot]
    meta: dict[str, Any]
    is_closed: bool

    @property
    def rows(self) -> Rows | None:
        """Step data; None before the first row."""
        ...

    @property
    def paths(self) -> list[Path]:
        """All files; more than one of a joined recording."""
        ...

    @property
    def is_mine(self) -> bool:
        """Whether this process writes it."""
        ...

    @property
    def is_temporary(self) -> bool:
        """Whether its file is deleted with this object."""
        ...

    @property
    def num_lost(self) -> int:
        """Pictures that could not be kept."""
        ...

    @property
    def num_evicted(self) -> int:
        """Pictures that were deleted to make room for newer ones."""
        ...

    @property
    def num_annotations(self) -> int:
        """How often the information on an episode changed."""
        ...

    @property
    def picture_nbytes(self) -> int:
        """Bytes of all chunks."""
        ...

    @property
    def state_nbytes(self) -> int:
        """Bytes of the open block in memory."""
        ...

    def refresh(self) -> bool:
        """Read what another process has added; return whether anything was."""
        ...

    def first_row_of(self, slot: int) -> int:
        """Return the slot's first row whose picture was not evicted."""
        ...

    def chunk(self, block: int, slot: int, first: int = 0) -> bytes | None:
        """Return the chunk, or of an open one the records from `first` on."""
        ...

    def shown_slots(self, block: int) -> Collection[int]:
        """Return the slots that may show something in a block; others do not."""
        ...

    def extras(self, row: int) -> Extras:
        """Return action and data of a row, by name."""
        ...

    def extras_of(self, block: int) -> bytes | None:
        """Return the stored actions and data of a sealed block; None: it has none."""
        ...

    @property
    def pictures_version(self) -> int:
        """Changes when pictures were added to rows that were there."""
        ...

    def start_of(self, env: int, index: int) -> bytes | None:
        """Return from where an episode can be replayed; None: from none."""
        ...

    def add_late_chunks(
        self, chunks: Sequence[LateChunk], session: str | None = None
    ) -> bool:
        """Add pictures to rows that have none, here and in the file.

        Args:
            chunks: Of rows that are there.
            session: Since which these are the rows; None: they are.

        Returns:
            Whether all were added; False: there was no room, see `late_refusal`.

        Raises:
            ReadOnlyError: The file cannot be written.
            RecordingLockedError: Another process is writing it.
        """
        ...

    @property
    def late_refusal(self) -> str:
        """Why pictures that are rendered now are not kept; "": they are."""
        ...

    def change_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value, here and in the file.

        Raises:
            ReadOnlyError: The file cannot be written.
            RecordingLockedError: Another process is writing it.
        """
        ...

    def pin(
        self, start: int, stop: int, envs: Collection[int] | None
    ) -> Callable[[], object]:
        """Keep rows of envs (None: all) from eviction until the result is called."""
        ...

    def annotate(self, change: AnnotationChange) -> None:
        """Apply a change of annotations, here and in the file.

        Raises:
            ReadOnlyError: The file cannot be written.
            RecordingLockedError: Another process is writing it.
        """
        ...

    def save(self, path: Path) -> None:
        """Write a complete copy to `path`, which appears whole or not at all."""
        ...

    def flush(self) -> None:
        """Write everything; a copy of the file is then complete."""
        ...

    def close(self) -> None:
        """End it, or read no rows that are added later; it stays readable."""
        ...

    def release(self) -> None:
        """Close the file; nothing can be read afterwards."""
        ...
