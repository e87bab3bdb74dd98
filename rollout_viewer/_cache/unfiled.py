"""How many blocks may be on their way to a cache: who is faster than it waits."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollout_viewer._recording.sealed_block import SealedBlock

# Of any size, and of such that are small together: most are, and are filed many at a
# time.
MAX_LARGE_UNFILED = 8
MAX_UNFILED = 512
SMALL_BYTES = 4 << 20


class Unfiled:
    """Blocks that were sent and are not filed yet; filed in the same order."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque()
        self._nbytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, block: SealedBlock) -> None:
        """Count one that is sent."""
        self._sizes.append(block.nbytes)
        self._nbytes += block.nbytes

    def note_filed(self, count: int = 1) -> None:
        """Count the oldest ones no more."""
        for _ in range(min(count, len(self._sizes))):
            self._nbytes -= self._sizes.popleft()

    @property
    def is_full(self) -> bool:
        """Whether the next one waits."""
        return len(self._sizes) >= MAX_LARGE_UNFILED and (
            len(self._sizes) >= MAX_UNFILED or self._nbytes >= SMALL_BYTES
        )
