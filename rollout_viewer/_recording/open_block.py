"""The block of 32 rows that is still open: its pictures in encoders, its extras as is.

Also assigns the slots, since a slot begins with its first encoder. The lock of its
recording guards all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._errors import FrameError
from rollout_viewer._frames.chunk import ABSENT, CHUNK_ROWS, kinds_of
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._recording.eviction import Stored
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.statements import Tail
from rollout_viewer._recording.step_codec import pack_columns
from rollout_viewer._recording.step_row import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.step_codec import Extras
    from rollout_viewer._recording.step_row import StepRow

    Frame = npt.NDArray[np.uint8]


class OpenBlock:
    """Pictures, actions and data of the newest rows.

    Args:
        on_new_slot: Called with a slot's number when its first picture arrives.

    Attributes:
        slots: All slots so far, in the order of their first pictures.
        extras: Action and data of each row in the block.
    """

    def __init__(self, on_new_slot: Callable[[int], None]) -> None:
        self._on_new_slot = on_new_slot
        self._scratches: dict[tuple[int, int], Scratch] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all slots and rows."""
        self.slots: list[Slot] = []
        self.extras: list[Extras] = []
        self._encoders: list[ChunkEncoder] = []
        self._slot_of: dict[tuple[int, str], int] = {}

    @property
    def state_nbytes(self) -> int:
        """Bytes of encoders and their buffers."""
        return sum(e.state_nbytes + e.nbytes for e in self._encoders) + sum(
            s.num_bytes for s in self._scratches.values()
        )

    @property
    def picture_nbytes(self) -> int:
        """Bytes of the records so far."""
        return sum(encoder.nbytes for encoder in self._encoders)

    def check_sizes(self, pictures: Sequence[tuple[int, str, Frame | None]]) -> None:
        """Raise FrameError where a picture has another size than before."""
        slot_of, slots = self._slot_of, self.slots
        for env, camera, frame in pictures:
            if frame is None or (slot := slot_of.get((env, camera))) is None:
                continue
            height, width = frame.shape[:2]
            if slots[slot].size != (height, width):
                info = slots[slot]
                raise FrameError(
                    f"FrameCache.append: expected {camera!r} of env {env} with "
                    f"{info.height} x {info.width} pixels (height x width) as "
                    f"before, got {height} x {width}. Record with resize= or "
                    "crop=, or into another cache; nothing of this row was "
                    "recorded."
                )

    def has_slot(self, env: int, camera: str) -> bool:
        """Whether the env had a picture of this camera."""
        return (env, camera) in self._slot_of

    def append(
        self,
        row: StepRow,
        offset: int,
        pictures: Sequence[tuple[int, str, Frame | None]],
        extras: Extras,
        shared: frozenset[str],
    ) -> None:
        """Add the row `offset` of the block; see `LiveRecording.append`."""
        delivered: dict[int, Frame | None] = {}
        for env, camera, frame in pictures:
            slot = self._slot_of.get((env, camera), -1)
            if slot < 0 and frame is not None:
                slot = self._new_slot(
                    env, camera, frame, offset, is_shared=camera in shared
                )
            if slot >= 0:
                delivered[slot] = frame
        for slot, encoder in enumerate(self._encoders):
            if slot not in delivered:
                encoder.repeat(is_due=self._is_due(slot, row))
            elif (frame := delivered[slot]) is None:
                encoder.skip()
            else:
                encoder.add(frame)
        self.extras.append(extras)

    def _is_due(self, slot: int, row: StepRow) -> bool:
        if self.slots[slot].is_shared:
            return bool((row.kind != IDLE).any())
        return bool(row.kind[self.slots[slot].env] != IDLE)

    def _new_slot(
        self, env: int, camera: str, frame: Frame, offset: int, *, is_shared: bool
    ) -> int:
        height, width = frame.shape[:2]
        scratch = self._scratches.get((height, width))
        if scratch is None:
            scratch = self._scratches[height, width] = Scratch(height, width)
        encoder = ChunkEncoder(height, width, scratch)
        encoder.skip(offset)
        self._encoders.append(encoder)
        self.slots.append(Slot(env, camera, height, width, is_shared))
        slot = self._slot_of[env, camera] = len(self.slots) - 1
        self._on_new_slot(slot)
        return slot

    def piece(self, slot: int, first: int) -> bytes:
        """Return a slot's records from row `first` of the block on."""
        return self._encoders[slot].piece(first)

    def roll_back(self, count: int, num_slots: int) -> None:
        """Keep the block's first `count` rows and the first `num_slots` slots only.

        After an exception, at any point of `append`.
        """
        del self.extras[count:]
        del self._encoders[num_slots:]
        for key in [key for key, slot in self._slot_of.items() if slot >= num_slots]:
            del self._slot_of[key]
        del self.slots[num_slots:]
        for encoder in self._encoders:
            encoder.restore(count)

    def start(self) -> None:
        """Start the next block; may be called again where it was interrupted."""
        for encoder in self._encoders:
            encoder.start()
        self.extras = []

    def chunks(self, block: int) -> tuple[dict[int, bytes], dict[int, Stored]]:
        """Return the block's chunks that show anything, by slot."""
        chunks: dict[int, bytes] = {}
        stored: dict[int, Stored] = {}
        for slot, encoder in enumerate(self._encoders):
            chunk = encoder.whole()
            shown = sum(1 << i for i, k in enumerate(kinds_of(chunk)) if k != ABSENT)
            if shown:
                chunks[slot] = chunk
                stored[slot] = Stored(block, len(chunk), shown)
        return chunks, stored

    def tail(self, rows: Rows, since: int, *, has_pictures: bool) -> Tail | None:
        """Return the block's rows from row `since` of all on; None: there are none."""
        stop = rows.num_rows
        block_start = stop - stop % CHUNK_ROWS
        start = max(since, block_start)
        if start == stop:
            return None
        first = start - block_start
        pieces = [(slot, e.piece(first)) for slot, e in enumerate(self._encoders)]
        extras = self.extras[start - stop + len(self.extras) :]
        return Tail(
            block_start // CHUNK_ROWS,
            start,
            stop - start,
            pack_columns(rows.block(start, stop), extras),
            pieces if has_pictures else [],
        )
