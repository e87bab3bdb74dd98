"""What recordings of files that are opened for reading have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.slot import Slot


class OpenedRecording:
    """Rows and slots that another process may be adding to.

    Args:
        path: The file; of several, the first.
    """

    is_temporary = False
    is_mine = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: Rows | None = None
        self.slots: list[Slot] = []
        self.meta: dict[str, Any] = {}
        self.is_closed = False

    @property
    def num_annotations(self) -> int:
        """How often the information on an episode changed."""
        return self.rows.info_version if self.rows is not None else 0

    def pin(self, *_: Any) -> Callable[[], object]:
        """Do nothing: the process that writes the file decides what is evicted."""
        return lambda: None

    def flush(self) -> None:
        """Do nothing: nothing is written."""

    def close(self) -> None:
        """Read no rows that are added from now on."""
        self.is_closed = True
