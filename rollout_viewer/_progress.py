"""How far an export is, and whether it should go on.

Knows nothing of what is exported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from rollout_viewer._errors import ExportCancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    class Bar(Protocol):
        """What of a tqdm bar is used."""

        n: float
        total: float | None

        def update(self, n: float) -> Any: ...

    Progress: TypeAlias = Callable[[int, int], None] | Bar
    Cancel: TypeAlias = Callable[[], bool] | threading.Event


@dataclass
class Counter:
    """Counts rows, tells them, and asks whether to stop. One thread."""

    on_progress: Progress | None
    cancel: Cancel | None
    where: str
    done: int = 0
    total: int = 0
    row: int | None = None

    def begin(self, total: int) -> None:
        """Say how many rows there are."""
        self.total = total
        self._tell()

    def check(self, row: int) -> None:
        """Note the row that comes next; raise if somebody wants no more.

        Raises:
            ExportCancelled: Somebody stopped it.
        """
        self.row = row
        if self._is_cancelled():
            raise ExportCancelled(
                f"{self.where}: expected to finish, got cancelled at row {row}. "
                "No file of it is left."
            )

    def advance(self, num_rows: int) -> None:
        """Say that so many more are done."""
        # Rows that had to be read once more are not counted twice.
        self.done = min(self.done + num_rows, self.total)
        self._tell()

    def end(self) -> None:
        """Say that all is done, whatever was told on the way."""
        if self.done != self.total:
            self.done = self.total
            self._tell()

    def share(self, offset: int, num_rows: int) -> dict[str, Any]:
        """Return `on_progress` and `cancel` for a part that counts in its own way."""

        def on_progress(done: int, total: int) -> None:
            self.done = offset + num_rows * done // max(total, 1)
            self._tell()

        return {"on_progress": on_progress, "cancel": self._is_cancelled}

    def _is_cancelled(self) -> bool:
        if self.cancel is None:
            return False
        ask: Any = getattr(self.cancel, "is_set", self.cancel)
        return bool(ask())

    def _tell(self) -> None:
        if self.on_progress is None:
            return
        if hasattr(self.on_progress, "update"):
            bar = cast("Bar", self.on_progress)
            bar.total = self.total
            bar.update(self.done - bar.n)
        else:
            self.on_progress(self.done, self.total)
