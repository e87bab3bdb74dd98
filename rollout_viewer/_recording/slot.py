"""A slot: one picture of a row, by env and camera."""

from __future__ import annotations

from typing import NamedTuple


class Slot(NamedTuple):
    """One picture of a row: which env and camera, and how large."""

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
