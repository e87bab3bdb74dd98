"""Which pages show a viewer: those that said so, and one that should be there by now.

Knows names of pages and a clock. Sends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A page that was shown sends its hello well within this, if the kernel receives any.
HELLO_TIMEOUT_S = 2.0
# The one that was heard of least lately is forgotten.
MAX_PAGES = 16
# A page that cannot say its name while a cell runs.
_UNNAMED = ""


class Pages:
    """The pages of one viewer. One thread changes it; any may ask.

    Args:
        clock: Seconds, monotonic.
        on_change: Called with whether there is any page, when that changes.
    """

    def __init__(
        self, clock: Callable[[], float], on_change: Callable[[bool], object]
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._names: dict[str, None] = {}
        self._expected_at: float | None = None

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._names))

    @property
    def is_expected(self) -> bool:
        """Whether a page was shown that has not said its name."""
        return self._expected_at is not None

    def expect(self) -> bool:
        """A page has been shown; returns whether it is the first."""
        if self.is_expected or self._names:
            return False
        self._expected_at = self._clock()
        return True

    def are_there(self) -> bool:
        """Whether there is a page, or should be by now."""
        since = self._expected_at
        if since is not None and self._clock() - since > HELLO_TIMEOUT_S:
            self.show(_UNNAMED)
        return bool(self._names)

    def show(self, name: str) -> None:
        """A page shows the viewer."""
        had_any = bool(self._names)
        self._names.pop(name, None)
        self._names[name] = None
        self._expected_at = None
        if name:
            self._names.pop(_UNNAMED, None)
        while len(self._names) > MAX_PAGES:
            del self._names[next(iter(self._names))]
        if not had_any:
            self._on_change(True)

    def hide(self, name: str) -> None:
        """A page shows the viewer no more."""
        had_any = bool(self._names)
        self._names.pop(name, None)
        if had_any and not self._names:
            self._on_change(False)
