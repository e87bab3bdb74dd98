"""Tensors of another device, such as a GPU's, on this side: one copy, one wait.

Each copy of a tensor that waits for the GPU stops it: what it would do next has not
been asked of it yet. So all tensors of a call are packed into one block of bytes where
they are, the block is copied without waiting into pinned memory, which the device can
write by itself, and one event tells when it is there. The memory is used again, but not
before it was released. Knows torch's tensors. Knows nothing of environments.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from rollout_viewer._frames.tensors import as_numpy

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Array = npt.NDArray[Any]

# Sizes of buffers are multiples of it, so that a few bytes more need no other one.
_GRAIN_BYTES = 1 << 16
# Idle buffers that are kept: of the rows of one call, and of one before that waits.
_MAX_IDLE = 4
# torch's dtypes that numpy has, by name; others are copied as float32.
_DTYPES = {
    name: np.dtype(name)
    for name in (
        *("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64"),
        *("int64", "float16", "float32", "float64", "complex64", "complex128"),
    )
}


class Event(Protocol):
    """What becomes true when a copy is there."""

    def synchronize(self) -> None: ...


class Side(Protocol):
    """How blocks of bytes come from a kind of device without waiting."""

    def buffer(self, num_bytes: int) -> Any:
        """Return memory of this side, a uint8 tensor (num_bytes,)."""

    def start(self, target: Any, source: Any) -> Event:
        """Start copying a uint8 tensor into one of this side, of the same length."""


class CudaSide:
    """Of CUDA (and ROCm): pinned memory, in the order of the current stream.

    That order makes it safe to change or drop the tensors right after `start`.
    """

    def buffer(self, num_bytes: int) -> Any:
        """Return pinned memory; where the system gives none, other memory."""
        import torch

        # Of this side whatever torch's default device is; and no inference tensor,
        # which could not be written to by a later call outside that mode.
        options: Any = {"dtype": torch.uint8, "device": "cpu"}
        with torch.inference_mode(False):
            try:
                return torch.empty(num_bytes, pin_memory=True, **options)
            except RuntimeError:  # a copy into it waits, and is as right
                return torch.empty(num_bytes, **options)

    def start(self, target: Any, source: Any) -> Event:
        """Start copying, and note in the stream when it is done."""
        import torch

        with torch.cuda.device(source.device):
            target.copy_(source, non_blocking=True)
            # blocking: who waits leaves its core to others.
            event: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            event.record()
        return cast("Event", event)


def is_elsewhere(value: Any) -> bool:
    """Whether `value` is a tensor that is to be copied before it can be read here."""
    # Not whatever has a device: a TensorDict is no tensor.
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    if kind is None or not isinstance(value, kind):
        return False
    # The layout's name last: it takes as long as all else.
    return value.device.type not in ("cpu", "meta") and (
        str(value.layout) == "torch.strided"
    )


class DeviceCopies:
    """Copies tensors of other devices here; one thread uses it.

    Args:
        sides: By type of device; others are copied, and waited for, in one block.

    Attributes:
        num_copies: Blocks that were copied.
        num_waits: How often a device was waited for.
    """

    def __init__(self, sides: Mapping[str, Side] | None = None) -> None:
        self._sides = {"cuda": CudaSide()} if sides is None else dict(sides)
        # Side -> buffers that nothing waits for or reads.
        self._idle: dict[str, list[Any]] = defaultdict(list)
        self.num_copies = self.num_waits = 0

    def start(self, tensors: Sequence[Any]) -> Transfer:
        """Start copying tensors, which may be changed from now on.

        Args:
            tensors: Of any devices and dtypes. Those of this side are only referred to.
        """
        transfer = Transfer(self, tensors)
        for device in dict.fromkeys(t.device for t in tensors if is_elsewhere(t)):
            transfer.start(device)
        return transfer

    # -- of `Transfer`

    def take(self, kind: str, num_bytes: int) -> Any:
        """Return a buffer that nothing else uses."""
        idle = self._idle[kind]
        for number, buffer in enumerate(idle):
            if len(buffer) >= num_bytes:
                return idle.pop(number)
        if idle:
            idle.pop()  # too small, as the others: sizes only grow
        grains = -(-num_bytes // _GRAIN_BYTES)
        return self._sides[kind].buffer(grains * _GRAIN_BYTES)

    def give_back(self, kind: str, buffer: Any) -> None:
        """Let a buffer be used again."""
        if len(self._idle[kind]) < _MAX_IDLE:
            self._idle[kind].append(buffer)

    def side(self, kind: str) -> Side | None:
        """Return how blocks come from this kind of device; None: by waiting."""
        return self._sides.get(kind)


class Transfer:
    """Tensors on their way here; a context manager that releases their memory."""

    def __init__(self, copies: DeviceCopies, tensors: Sequence[Any]) -> None:
        self._copies = copies
        self._tensors = list(tensors)
        self._found: dict[int, Array] = {}
        self._waiting: list[tuple[Event, Any, list[_Piece]]] = []
        self._buffers: list[tuple[str, Any]] = []

    @property
    def is_on_its_way(self) -> bool:
        """Whether `arrays` waits for a device."""
        return bool(self._waiting)

    def start(self, device: Any) -> None:
        """Start copying all tensors of a device."""
        pieces = []
        for number, tensor in enumerate(self._tensors):
            if is_elsewhere(tensor) and tensor.device == device:
                pieces.append(_Piece(number, tensor))
                self._tensors[number] = None  # its memory may be used again
        # The larger items first: then each is where its dtype wants to be.
        pieces.sort(key=lambda piece: -piece.dtype.itemsize)
        copies, kind = self._copies, device.type
        side = copies.side(kind)
        if side is None:
            self._wait_for(pieces)
            return
        packed = _packed([piece.data for piece in pieces])
        copies.num_copies += 1
        for piece in pieces:
            piece.data = None
        buffer = copies.take(kind, len(packed))
        self._buffers.append((kind, buffer))
        target = buffer[: len(packed)]
        self._waiting.append((side.start(target, packed), target, pieces))

    def _wait_for(self, pieces: Sequence[_Piece]) -> None:
        """Copy from a device of which no more is known than that it can copy."""
        copies = self._copies
        try:
            packed = _packed([piece.data for piece in pieces])
        except (
            NotImplementedError,
            RuntimeError,
        ):  # it cannot show bytes, or join them
            copies.num_copies += len(pieces)
            copies.num_waits += len(pieces)
            for piece in pieces:
                array = piece.data.cpu().numpy().reshape(piece.shape)
                self._found[piece.number] = array
            return
        copies.num_copies += 1
        copies.num_waits += 1
        self._split(packed.cpu().numpy(), pieces)

    def arrays(self) -> list[Array]:
        """Return the tensors as arrays, in their order; waits for the devices.

        They are valid until `release`.
        """
        while self._waiting:
            event, target, pieces = self._waiting[0]
            self._copies.num_waits += 1
            event.synchronize()
            self._split(target.numpy(), pieces)
            del self._waiting[0]
        for number, tensor in enumerate(self._tensors):
            if number not in self._found:
                self._found[number] = as_numpy(tensor)
        return [self._found[number] for number in range(len(self._tensors))]

    def _split(self, block: Array, pieces: Sequence[_Piece]) -> None:
        offset = 0
        for piece in pieces:
            stop = offset + piece.num_bytes
            array = block[offset:stop].view(piece.dtype).reshape(piece.shape)
            self._found[piece.number] = array
            offset = stop

    def release(self) -> None:
        """Let the memory be used again; the arrays are no longer valid."""
        for event, _, _ in self._waiting:
            event.synchronize()  # nothing may be written there after this
        self._waiting.clear()
        self._found.clear()
        while self._buffers:
            self._copies.give_back(*self._buffers.pop())

    def __enter__(self) -> Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class _Piece:
    """One tensor of a block: which one, its bytes, and what they are."""

    __slots__ = ("data", "dtype", "num_bytes", "number", "shape")

    def __init__(self, number: int, tensor: Any) -> None:
        tensor = tensor.detach()
        name = str(tensor.dtype).removeprefix("torch.")
        if name not in _DTYPES:  # as of bfloat16
            tensor, name = tensor.float(), "float32"
        self.number, self.dtype = number, _DTYPES[name]
        self.shape = tuple(tensor.shape)
        self.num_bytes = int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize
        self.data: Any = tensor.contiguous().reshape(-1)


def _packed(flat: Sequence[Any]) -> Any:
    """Return flat tensors of one device as one of bytes."""
    import torch

    parts = [one.view(torch.uint8) for one in flat]
    return parts[0] if len(parts) == 1 else torch.cat(parts)
