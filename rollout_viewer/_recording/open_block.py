"""The block of 32 rows that is still open: its pictures in encoders, its extras as is.

Also assigns the slots, since a slot begins with its first encoder. An env and camera
whose pictures change their size have a slot for each size, of which one is current: the
others show nothing in the rows meanwhile. The lock of its recording guards all of it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._errors import FrameError, RecordingError
from rollout_viewer._frames.chunk import (
    CHUNK_ROWS,
    absent,
    kind_bytes,
    last_change,
    parse,
    shown_rows,
)
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._recording.eviction import Stored
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.statements import Tail
from rollout_viewer._recording.step_codec import pack_columns
from rollout_viewer._recording.step_row import IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.rows import Rows
    from rollout_viewer._recording.step_codec import Extras, Group
    from rollout_viewer._recording.step_row import StepRow

    Frame = npt.NDArray[np.uint8]
    Key = tuple[int, str]

# Of one env and camera: each is a slot, which costs a reader a look at its chunks.
MAX_SIZES = 256
# The numbers of slots that fit into the file's keys, see `pack_statements`.
_MAX_SLOTS = 1 << 16


class OpenBlock:
    """Pictures, actions and data of the newest rows.

    Args:
        on_new_slot: Called with a slot's number when its first picture arrives.

    Attributes:
        slots: All slots so far, in the order of their first pictures.
        extras: Action and data of each row in the block.
        usual: The targets of the last row of `usual_encoders`, and what it returned;
            None: slots or encoders have changed since.
    """

    def __init__(self, on_new_slot: Callable[[int], None]) -> None:
        self._on_new_slot = on_new_slot
        self._scratches: dict[tuple[int, int], Scratch] = {}
        self.clear()

    def clear(self) -> None:
        """Forget all slots and rows."""
        # Set to None before slots or encoders change.
        self.usual: tuple[Sequence[Key], list[ChunkEncoder]] | None = None
        self.slots: list[Slot] = []
        self.extras: list[Extras] = []
        # None: its size is not current, and no row of this block shows it.
        self._encoders: list[ChunkEncoder | None] = []
        # The current slot of an env and camera, and all of its slots by size.
        self._slot_of: dict[Key, int] = {}
        self._sizes_of: dict[Key, dict[tuple[int, int], int]] = {}
        # Changes of a current slot within the block: (row of the block, key, slot
        # before), so that an interrupted row can be undone.
        self._changes: list[tuple[int, Key, int]] = []
        self._has_unused = False
        # Chunks of this block that were encoded elsewhere, and of the current slots
        # without an encoder the newest such chunk: its last picture is theirs.
        self._adopted: dict[int, bytes] = {}
        # Actions and data of these; None: they are in `extras`.
        self.adopted_extras: Sequence[Group] | None = None
        # The same as bytes, as they came; None: they are to be packed.
        self.adopted_packed: bytes | None = None
        self._newest: dict[int, bytes] = {}

    @property
    def state_nbytes(self) -> int:
        """Bytes of encoders and their buffers."""
        return sum(e.state_nbytes + e.nbytes for e in self._used()) + sum(
            s.num_bytes for s in self._scratches.values()
        )

    @property
    def picture_nbytes(self) -> int:
        """Bytes of the records so far."""
        return sum(encoder.nbytes for encoder in self._used())

    def _used(self) -> list[ChunkEncoder]:
        return [encoder for encoder in self._encoders if encoder is not None]

    def check_sizes(self, pictures: Sequence[tuple[int, str, Frame | None]]) -> None:
        """Raise FrameError where pictures have more sizes than a recording can hold."""
        self.check_slots(
            [
                (env, camera, frame.shape[0], frame.shape[1])
                for env, camera, frame in pictures
                if frame is not None
            ]
        )

    def check_slots(self, pictures: Iterable[tuple[int, str, int, int]]) -> None:
        """Do the same for (env, camera, height, width) of pictures."""
        num_new = 0
        for env, camera, height, width in pictures:
            sizes = self._sizes_of.get((env, camera), {})
            if (height, width) in sizes:
                continue
            num_new += 1
            if len(sizes) >= MAX_SIZES or len(self.slots) + num_new > _MAX_SLOTS:
                what = (
                    f"at most {MAX_SIZES} sizes of {camera!r} of env {env}"
                    if len(sizes) >= MAX_SIZES
                    else f"at most {_MAX_SLOTS} envs, cameras and sizes"
                )
                raise FrameError(
                    f"FrameCache.append: expected {what}, got another of {height} x "
                    f"{width} pixels (height x width). Resize the pictures, or record "
                    "into another cache; nothing of this row was recorded."
                )

    def add_slot(self, slot: Slot) -> int:
        """Add a slot whose pictures are not encoded here; return its number.

        Raises:
            FrameError: There are too many.
        """
        if len(self.slots) >= _MAX_SLOTS:
            raise FrameError(
                f"FrameCache: expected at most {_MAX_SLOTS} envs, cameras and sizes, "
                "got more. Render fewer of them."
            )
        self.usual = None
        number = len(self.slots)
        self._encoders.append(None)
        self.slots.append(slot)
        self._on_new_slot(number)
        return number

    @property
    def is_pictured(self) -> bool:
        """Whether any env has had a picture."""
        return bool(self._slot_of)

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
        slot_of, encoders = self._slot_of, self._encoders
        for env, camera, frame in pictures:
            slot = slot_of.get((env, camera), -1)
            if frame is not None:
                encoder = encoders[slot] if slot >= 0 else None
                if encoder is None or encoder.size != frame.shape[:2]:
                    slot = self._change_slot(
                        env, camera, frame, offset, is_shared=camera in shared
                    )
            if slot >= 0:
                delivered[slot] = frame
        for slot in slot_of.values():
            encoder = encoders[slot]
            if encoder is None:  # its last picture was encoded elsewhere
                encoder = self._revive(slot)
            if slot not in delivered:
                encoder.repeat(is_due=self._is_due(slot, row))
            elif (frame := delivered[slot]) is None:
                encoder.skip()
            else:
                encoder.add(frame)
        self.extras.append(extras)

    def usual_encoders(
        self, targets: Sequence[Key], frames: Sequence[Frame]
    ) -> list[ChunkEncoder] | None:
        """Return the encoders of a row with a picture of each current slot, in order.

        None: some have no picture, or one of another size. Else it is remembered in
        `usual`.

        Args:
            targets: Env and camera of each picture. The same list only for pictures of
                the same sizes.
            frames: These pictures.
        """
        slot_of, encoders = self._slot_of, self._encoders
        if len(targets) != len(slot_of):
            return None
        found = []
        for target, frame in zip(targets, frames, strict=True):
            slot = slot_of.get(target)
            encoder = None if slot is None else encoders[slot]
            if encoder is None or encoder.size != frame.shape[:2]:
                return None
            found.append(encoder)
        self.usual = targets, found
        return found

    def _is_due(self, slot: int, row: StepRow) -> bool:
        if self.slots[slot].is_shared:
            return bool((row.kind != IDLE).any())
        return bool(row.kind[self.slots[slot].env] != IDLE)

    def adopt(
        self,
        pictures: Sequence[tuple[Slot, bytes]],
        extras: Sequence[Group],
        packed: bytes | None = None,
    ) -> None:
        """Add a whole block, encoded elsewhere, in place of 32 calls of `append`.

        The block is empty. What is not in `pictures` is idle: its picture is repeated.
        `packed` is what `pack_stacked` returns of `extras`, if that is known.
        """
        adopted: dict[int, bytes] = {}
        for slot, chunk in pictures:
            key, size = (slot.env, slot.camera), slot.size
            number = self._sizes_of.get(key, {}).get(size, -1)
            if number < 0:
                number = self.add_slot(slot)
                self._sizes_of.setdefault(key, {})[size] = number
            adopted[number] = chunk
        keys = {self._key_of(number) for number in adopted}
        for key, number in self._slot_of.items():
            if key not in keys:
                encoder = self._encoders[number] or self._revive(number)
                for _ in range(CHUNK_ROWS):
                    encoder.repeat()
        self._adopted, self.adopted_extras = adopted, extras
        self.adopted_packed = packed
        self.extras = [{}] * CHUNK_ROWS  # here they are only counted

    def _key_of(self, slot: int) -> Key:
        return self.slots[slot].env, self.slots[slot].camera

    def _revive(self, slot: int) -> ChunkEncoder:
        """Return a new encoder of a slot, which can repeat its last picture."""
        self.usual = None
        size = self.slots[slot].size
        encoder = self._new_encoder(size)
        if (newest := self._newest.get(slot)) is not None:
            frame = np.empty((*size, 3), np.uint8)
            # One that cannot be decoded is shown as damaged where it is.
            with contextlib.suppress(RecordingError):
                if ChunkDecoder(parse(newest)).read(CHUNK_ROWS - 1, frame):
                    encoder.resume(frame)
        # Last: where it is interrupted, the next call begins anew.
        self._encoders[slot] = encoder
        return encoder

    def _change_slot(
        self, env: int, camera: str, frame: Frame, offset: int, *, is_shared: bool
    ) -> int:
        """Make the slot of the frame's size the current one, and return it."""
        self.usual = None
        key, size = (env, camera), (frame.shape[0], frame.shape[1])
        slot = self._sizes_of.get(key, {}).get(size, -1)
        is_new = slot < 0
        if is_new:
            slot = len(self.slots)
            self._encoders.append(self._new_encoder(size))
            self.slots.append(Slot(env, camera, *size, is_shared))
            self._sizes_of.setdefault(key, {})[size] = slot
        self._has_unused = True
        encoder = self._encoders[slot]
        if encoder is None:
            encoder = self._encoders[slot] = self._new_encoder(size)
        encoder.skip(offset - encoder.num_records)
        if key in self._slot_of:
            self._changes.append((offset, key, self._slot_of[key]))
        self._slot_of[key] = slot
        if is_new:
            self._on_new_slot(slot)
        return slot

    def _new_encoder(self, size: tuple[int, int]) -> ChunkEncoder:
        scratch = self._scratches.get(size)
        if scratch is None:
            scratch = self._scratches[size] = Scratch(*size)
        return ChunkEncoder(*size, scratch)

    def _filled(self, slot: int) -> ChunkEncoder | None:
        """Return a slot's encoder, with a record for each row; None: it has none.

        Rows in which another size is current are added here rather than one by one.
        """
        encoder = self._encoders[slot]
        if encoder is not None and (count := len(self.extras)) > encoder.num_records:
            encoder.skip(count - encoder.num_records)
        return encoder

    def shown_slots(self) -> list[int]:
        """Return the slots that may show something in the block."""
        return [
            slot
            for slot, encoder in enumerate(self._encoders)
            if encoder is not None or slot in self._adopted
        ]

    def piece(self, slot: int, first: int) -> bytes:
        """Return a slot's records from row `first` of the block on."""
        encoder = self._filled(slot)
        if encoder is None:
            return absent(*self.slots[slot].size, first, len(self.extras) - first)
        return encoder.piece(first)

    def roll_back(
        self, count: int, num_slots: int, num_pictured: int | None = None
    ) -> None:
        """Keep the block's first `count` rows and the first `num_slots` slots only.

        After an exception, at any point of `append`.

        Args:
            count: Rows with their step data.
            num_slots: As many slots.
            num_pictured: Rows with their pictures, if more: the step data of some
                waits elsewhere.
        """
        self.usual = None
        num_pictured = count if num_pictured is None else num_pictured
        if not count:
            self._adopted, self.adopted_extras = {}, None
            self.adopted_packed = None
        del self.extras[count:]
        for offset, key, slot in reversed(self._changes):
            if offset >= count:
                self._slot_of[key] = slot
        self._changes = [change for change in self._changes if change[0] < count]
        for key in [key for key, slot in self._slot_of.items() if slot >= num_slots]:
            del self._slot_of[key]
        for sizes in self._sizes_of.values():
            for size in [size for size, slot in sizes.items() if slot >= num_slots]:
                del sizes[size]
        del self._encoders[num_slots:]
        del self.slots[num_slots:]
        for encoder in self._used():
            encoder.restore(num_pictured)

    def start(self) -> None:
        """Start the next block; may be called again where it was interrupted."""
        if self._adopted:
            self._make_adopted_current()
        if self._has_unused:
            self._drop_encoders()
        for encoder in self._used():
            encoder.start()
        self.extras, self.adopted_extras, self.adopted_packed = [], None, None

    def _make_adopted_current(self) -> None:
        """Let the next blocks continue what was encoded elsewhere."""
        self.usual = None
        last_shown: dict[Key, int] = {}
        for slot, chunk in self._adopted.items():
            self._encoders[slot] = None
            self._newest[slot] = chunk
            # Of several sizes, the one that is shown last.
            row = last_change(chunk)
            key = self._key_of(slot)
            if row >= last_shown.get(key, 0):
                last_shown[key] = row
                self._slot_of[key] = slot
        current = set(self._slot_of.values())
        for slot in self._newest.keys() - current:
            del self._newest[slot]
        self._has_unused = True
        self._adopted = {}

    def _drop_encoders(self) -> None:
        """Free the encoders of all sizes that are not current."""
        self.usual = None
        current = set(self._slot_of.values())
        for slot, encoder in enumerate(self._encoders):
            if encoder is not None and slot not in current:
                self._encoders[slot] = None
        sizes = {encoder.size for encoder in self._used()}
        for size in self._scratches.keys() - sizes:
            del self._scratches[size]
        self._changes = []
        self._has_unused = False

    def chunks(self, block: int) -> tuple[dict[int, bytes], dict[int, Stored]]:
        """Return the block's chunks that show anything, by slot."""
        chunks: dict[int, bytes] = {}
        stored: dict[int, Stored] = {}
        for slot in self.shown_slots():
            encoder = self._filled(slot)
            if (chunk := self._adopted.get(slot, b"")) or encoder is None:
                shown = shown_rows(kind_bytes(chunk))
            else:
                chunk, shown = encoder.whole(), encoder.shown
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
        pieces = [(slot, self.piece(slot, first)) for slot in self.shown_slots()]
        extras = self.extras[start - stop + len(self.extras) :]
        return Tail(
            block_start // CHUNK_ROWS,
            start,
            stop - start,
            pack_columns(rows.block(start, stop), extras),
            pieces if has_pictures else [],
        )
