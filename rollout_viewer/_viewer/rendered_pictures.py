"""Pictures that are rendered while a page looks at them: what it waits for.

A chunk of which pictures may still be rendered is *pending*: it is sent only where a
page looks, with what there is of it, and again, whole, when there is more. Knows chunks
and a cache. Sends nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer._frames.chunk import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rollout_viewer._recording.reader import RecordingReader

# Envs whose first pictures are rendered, so that a page has something to look at.
_MAX_FIRST = 64


class RenderedPictures:
    """What the pages of one viewer wait for.

    Args:
        cache: The recording.

    Attributes:
        looked_at: (block, slot) of the newest request.
        pending: [block, slot] of what the next message has of them.
        waits_for_first: There is no picture at all yet.
    """

    def __init__(self, cache: RecordingReader) -> None:
        self._cache = cache
        self.restart()

    def restart(self) -> None:
        """A page begins anew: it has nothing."""
        self.looked_at: list[tuple[int, int]] = []
        self.pending: list[list[int]] = []
        self.waits_for_first = False
        # Chunk -> how many of its rows were shown, and recorded, when it was sent.
        self._sent: dict[tuple[int, int], tuple[int, int]] = {}

    def forget(self) -> None:
        """Drop the recording: nothing is asked any more."""
        self.__dict__.pop("_cache", None)

    def want(self, wanted: Sequence[Sequence[int]]) -> None:
        """Have the pictures rendered that pages look at: [block, slot, index]."""
        slots = self._cache.recording.slots
        known = [one for one in wanted if one[1] < len(slots)]
        self.looked_at = [(block, slot) for block, slot, _ in known]
        num_rows = self._cache.num_rows
        rows = [
            (min(block * CHUNK_ROWS + min(index, CHUNK_ROWS - 1), num_rows - 1), slot)
            for block, slot, index in known
        ]
        self._cache.want_pictures([(row, slots[slot].env) for row, slot in rows])

    def want_first(self, manifest: Mapping[str, Any]) -> None:
        """Have a first picture of each env rendered, where there is none at all."""
        num_rows = self._cache.num_rows
        has_none = not manifest["slots"] and num_rows > 0
        self.waits_for_first = has_none and self._cache.renders_pictures
        if not self.waits_for_first:
            return
        row = num_rows - 1 if manifest["follow"] else manifest["first_row"]
        envs = self._cache.envs_to_render()[:_MAX_FIRST]
        self._cache.want_pictures([(row, env) for env in envs])

    def is_pending(self, block: int, slot: int, num_sent: int, num_rows: int) -> bool:
        """Whether pictures of a chunk may still be rendered."""
        if not self._cache.renders_pictures:
            return False
        rows = _rows_of(block, num_rows)
        if num_sent >= len(rows):  # it was whole, and is sent
            return False
        env = self._cache.recording.slots[slot].env
        return any(self._cache.is_pending(row, env) for row in rows)

    def has_news(self, block: int, slot: int, num_rows: int) -> bool:
        """Whether a pending chunk has a picture that the pages lack; it is sent now."""
        key = block, slot
        if key not in self.looked_at:
            return False
        rows = _rows_of(block, num_rows)
        env = self._cache.recording.slots[slot].env
        now = sum(self._cache.is_shown(row, env) for row in rows), len(rows)
        if not now[0] or self._sent.get(key) == now:
            return False
        self._sent[key] = now
        return True


def _rows_of(block: int, num_rows: int) -> range:
    start = block * CHUNK_ROWS
    return range(start, min(start + CHUNK_ROWS, num_rows))
