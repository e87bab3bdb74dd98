"""Progress of exports and other loops: counting, cancelling, and progress bars.

Knows nothing of what is exported. The only module that imports tqdm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from rollout_viewer._errors import ExportCancelled

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    class Bar(Protocol):
        """The part of a tqdm bar that is used."""

        n: float
        total: float | None

        def update(self, n: float) -> Any: ...

    Progress: TypeAlias = Callable[[int, int], None] | Bar
    Cancel: TypeAlias = Callable[[], bool] | threading.Event


@dataclass
class _HiddenBar:
    """A bar that draws nothing; no tqdm is imported for it."""

    n: float = 0
    total: float | None = None
    disable: bool = True

    def update(self, n: float = 1) -> None:
        self.n += n

    def __enter__(self) -> _HiddenBar:
        return self

    def __exit__(self, *error: object) -> None: ...


def progress_bar(
    name: str,
    total: int | None = None,
    *,
    unit: str,
    is_hidden: bool | None = False,
    is_kept: bool = True,
    delay_s: float = 0.0,
) -> AbstractContextManager[Bar]:
    """Return a tqdm bar: text in a terminal, a widget in a notebook.

    Args:
        name: Shown in front.
        total: How many units there are; None: unknown.
        unit: Name of one.
        is_hidden: True draws nothing. None draws only if stderr is a terminal.
        is_kept: Whether it stays visible after the end.
        delay_s: Seconds before it is drawn.
    """
    if is_hidden:
        return _HiddenBar(total=total)
    from tqdm.auto import tqdm

    bar: AbstractContextManager[Bar] = tqdm(
        desc=name,
        total=total,
        unit=unit,
        disable=is_hidden,
        leave=is_kept,
        delay=delay_s,
    )
    return bar


@dataclass
class Counter:
    """Counts rows, reports them, and checks whether to stop. One thread."""

    on_progress: Progress | None
    cancel: Cancel | None
    where: str
    done: int = 0
    total: int = 0
    row: int | None = None

    def begin(self, total: int) -> None:
        """Set how many rows there are."""
        self.total = total
        self._report()

    def check(self, row: int) -> None:
        """Note the row that comes next; raise if the export is cancelled.

        Raises:
            ExportCancelled: It is.
        """
        self.row = row
        if self._is_cancelled():
            raise ExportCancelled(
                f"{self.where}: expected to finish, got cancelled at row {row}. "
                "No file of it is left."
            )

    def advance(self, num_rows: int) -> None:
        """Add rows that are done."""
        # Rows that are read a second time are not counted again.
        self.done = min(self.done + num_rows, self.total)
        self._report()

    def end(self) -> None:
        """Report that all rows are done, unless that was reported."""
        if self.done != self.total:
            self.done = self.total
            self._report()

    def share(self, offset: int, num_rows: int) -> dict[str, Any]:
        """Return `on_progress` and `cancel` for a part with a count of its own."""

        def on_progress(done: int, total: int) -> None:
            self.done = offset + num_rows * done // max(total, 1)
            self._report()

        return {"on_progress": on_progress, "cancel": self._is_cancelled}

    def _is_cancelled(self) -> bool:
        if self.cancel is None:
            return False
        is_cancelled: Any = getattr(self.cancel, "is_set", self.cancel)
        return bool(is_cancelled())

    def _report(self) -> None:
        if self.on_progress is None:
            return
        if hasattr(self.on_progress, "update"):
            bar = cast("Bar", self.on_progress)
            bar.total = self.total
            bar.update(self.done - bar.n)
        else:
            self.on_progress(self.done, self.total)
