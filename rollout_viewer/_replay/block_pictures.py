"""Pictures of rows of one env, in order, as chunks of their blocks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._replay.messages import Pictures

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Frame = npt.NDArray[np.uint8]

# A kill loses what was rendered since the last message, and readers wait for one.
_INTERVAL_S = 0.5


class BlockPictures:
    """Pictures of rows in order, encoded block by block.

    Args:
        send: Called with a message for each block, and for an unfinished one after some
            time.
        clock: Seconds.
    """

    def __init__(
        self,
        send: Callable[[Pictures], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send, self._clock = send, clock
        self._block = -1
        self._encoder: ChunkEncoder | None = None
        self._sent_at = -_INTERVAL_S
        self._num_sent = self.num_done = 0

    def add(self, row: int, frame: Frame) -> None:
        """Add the picture of a row, which comes after all before it."""
        block, offset = divmod(row, CHUNK_ROWS)
        size = frame.shape[0], frame.shape[1]
        if self._encoder is None or block != self._block or size != self._encoder.size:
            self.send()
            self._block = block
            self._encoder = ChunkEncoder(*size, Scratch(*size))
        self._encoder.skip(offset - self._encoder.num_records)
        self._encoder.add(frame)
        self.num_done += 1
        # The first at once: someone may look at it.
        if self._clock() - self._sent_at > _INTERVAL_S:
            self.send()

    def send(self) -> None:
        """Send what there is of the block, if there is anything new."""
        self._sent_at = self._clock()
        if self._encoder is not None and self.num_done > self._num_sent:
            self._num_sent = self.num_done
            chunk = self._encoder.piece(0)
            size = self._encoder.size
            self._send(Pictures(self._block, size, chunk, self.num_done))
