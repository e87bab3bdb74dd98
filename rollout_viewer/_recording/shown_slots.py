"""Which slot of an env and camera shows something in a row, where sizes change.

Their pictures have a slot for each size. Knows chunks and slots, not envs or pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.decoder_cache import DecoderCache


class ShownSlots:
    """Finds it; remembers which one was shown last. Any thread may ask.

    Args:
        recording: Where the rows are.
        decoders: Of its chunks.
    """

    def __init__(self, recording: Recording, decoders: DecoderCache) -> None:
        self._recording = recording
        self._decoders = decoders
        # First slot of an env and camera -> the one of its slots that was shown last.
        self._last: dict[int, int] = {}

    def at(self, row: int, slots: Sequence[int]) -> int | None:
        """Return which of an env's slots shows something in a row; None: none.

        One whose chunk is damaged, if no other does: reading it reports that.
        """
        if len(slots) == 1:
            return slots[0]
        last = self._last.get(slots[0])
        if last is not None and last in slots and self._is_shown(row, last):
            return last
        damaged = None
        for slot in self._recording.shown_slots(row // CHUNK_ROWS):
            if slot not in slots:
                continue
            is_shown = self._is_shown(row, slot)
            if is_shown:
                self._last[slots[0]] = slot
                return slot
            if is_shown is None:
                damaged = slot
        return damaged

    def of_rows(self, rows: Sequence[int], slots: Sequence[int]) -> list[int]:
        """Return for each row which of an env's slots shows something.

        Where none does, that of a row near it.
        """
        if len(slots) == 1:
            return [slots[0]] * len(rows)
        found = [self.at(row, slots) for row in rows]
        near = next((slot for slot in found if slot is not None), None)
        if near is None and rows:
            near = self._near(rows[0], slots)
        known = []
        for slot in found:
            near = near if slot is None else slot
            assert near is not None
            known.append(near)
        return known

    def within(self, start: int, stop: int, slots: Sequence[int]) -> list[int]:
        """Return which of an env's slots show something in rows ``start..stop``.

        Where none does, that of a row near them.
        """
        if len(slots) == 1:
            return list(slots)
        found: list[int] = []
        for block in range(start // CHUNK_ROWS, -(-stop // CHUNK_ROWS)):
            for slot in self._recording.shown_slots(block):
                is_new = slot in slots and slot not in found
                if is_new and self._is_shown_within(block, slot, start, stop):
                    found.append(slot)
        return found or self.of_rows([start], slots)

    def _is_shown_within(self, block: int, slot: int, start: int, stop: int) -> bool:
        """Whether a slot, one of a block's, shows something in rows ``start..stop``."""
        first_row, end = block * CHUNK_ROWS, (block + 1) * CHUNK_ROWS
        first = max(self._recording.first_row_of(slot), start)
        if first <= first_row and end <= stop:
            return True  # a full block keeps chunks only of slots that show something
        rows = range(max(first, first_row), min(stop, end))
        return any(self._is_shown(row, slot) for row in rows)

    def _is_shown(self, row: int, slot: int) -> bool | None:
        """Whether a slot shows something in a row; None: its chunk is damaged."""
        try:
            return self._decoders.is_shown(self._recording, row, slot)
        except RecordingError:
            return None

    def _near(self, row: int, slots: Sequence[int]) -> int:
        """Return the slot that is shown before or after a row that shows nothing."""
        rows = self._recording.rows
        start = row - row % CHUNK_ROWS
        stop = min(start + CHUNK_ROWS, rows.num_rows if rows is not None else 0)
        for other in (*range(row - 1, start - 1, -1), *range(row + 1, stop)):
            if (slot := self.at(other, slots)) is not None:
                return slot
        return slots[0]
