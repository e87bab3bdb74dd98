"""A recorder of another process, and what has come from it.

Knows its envs and its connection. Knows nothing of the others.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.remote_messages import send

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from rollout_viewer._cache.remote_messages import Declaration
    from rollout_viewer._recording.sealed_block import SealedBlock


class RemoteRecorder:
    """A recorder elsewhere, seen from the process of the cache.

    Args:
        number: Of its connection.
        connection: To it.
    """

    def __init__(self, number: int, connection: Connection[Any, Any]) -> None:
        self.number = number
        self.connection = connection
        self.declaration: Declaration | None = None
        # Blocks that came before it has envs, and when the first one did.
        self.waiting: deque[SealedBlock] = deque()
        self.since = 0.0
        self.envs: range | None = None
        # It has rows; it has said that this is all; it is connected no more.
        self.has_begun = False
        self.has_finished = False
        self.has_left = False
        # Recorders with a greater number connected after it had left.
        self.last_number = number

    @property
    def order(self) -> tuple[tuple[int, ...], int]:
        """Of its envs among all."""
        assert self.declaration is not None
        return self.declaration.order, self.number

    @property
    def num_envs(self) -> int:
        """Of its calls."""
        assert self.declaration is not None
        return self.declaration.num_envs

    @property
    def is_here(self) -> bool:
        """Whether it is in this process."""
        assert self.declaration is not None
        return self.declaration.pid == os.getpid()

    @property
    def was_killed_early(self) -> bool:
        """Whether it has begun and was killed, before it was known which envs it has.

        The one that replaces it is to have them.
        """
        has_rows = self.has_begun or bool(self.waiting)
        is_early = self.envs is None and not self.has_finished
        return self.has_left and has_rows and is_early

    def renders(self, env: int) -> bool:
        """Whether episodes of an env of the cache are rendered when they have ended."""
        known = self.declaration
        if known is None or known.recipe is None or self.envs is None:
            return False
        chosen = known.recipe.envs
        is_pictured = chosen is None or env - self.envs.start in chosen
        return known.renders_ended and is_pictured

    def answer(self, message: object) -> None:
        """Send a message; does nothing where it has ended."""
        with contextlib.suppress(OSError):
            send(self.connection, message)
