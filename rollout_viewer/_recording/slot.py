"""A slot: one picture of a row, by env, camera and size."""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Slot(NamedTuple):
    """One picture of a row: which env and camera, and how large.

    Pictures of one env and camera that have several sizes have a slot for each. In a
    row at most one of them shows anything.
    """

    env: int
    camera: str
    height: int
    width: int
    # One picture of all envs; `env` is then 0.
    is_shared: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width


def digest(slots: Sequence[Slot]) -> list[int]:
    """Return how many slots there are, and their checksum."""
    text = json.dumps([[*slot[:4], bool(slot.is_shared)] for slot in slots])
    return [len(slots), zlib.crc32(text.encode())]


class SlotIndex:
    """The slots of each env and camera. Any thread may read.

    Args:
        slots: By number.

    Attributes:
        tiles: The slots of each env and camera, one for each size.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._slots = slots
        known = tuple(slots)
        self._count = len(known)
        self._first: Slot | None = next(iter(known), None)
        self._last: Slot | None = next(reversed(known), None)
        found: dict[tuple[int, str], list[int]] = {}
        for number, slot in enumerate(known):
            found.setdefault((slot.env, slot.camera), []).append(number)
        self._found = {key: tuple(numbers) for key, numbers in found.items()}
        self.tiles = tuple(self._found.values())
        self._shared = {slot.camera for slot in known if slot.is_shared}

    def is_of(self, slots: Sequence[Slot]) -> bool:
        """Whether it was made of these slots, and none came or was undone since."""
        is_as_long = slots is self._slots and len(slots) == self._count
        # Of a thread that appends meanwhile, the last one may be undone here.
        return is_as_long and next(reversed(slots), None) is self._last

    def of(self, env: int, camera: str | None, num_envs: int) -> tuple[int, ...]:
        """Return the slots that show an env, one for each size; (): there are none.

        Args:
            env: Its number.
            camera: None: the first.
            num_envs: Of the recording: all of them see a shared picture.
        """
        if camera is None:
            camera = self._first.camera if self._first is not None else ""
        if camera in self._shared and 0 <= env < num_envs:
            env = 0
        return self._found.get((env, camera), ())


def box_of(sizes: Iterable[tuple[int, int]]) -> tuple[int, int]:
    """Return the least (height, width) that holds pictures of all these sizes."""
    height, width = (max(side) for side in zip(*sizes, strict=True))
    return height, width
