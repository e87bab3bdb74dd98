"""Pictures of rows of the usual form, which wait to be encoded together.

Such a row has one picture of each slot, of the size before. It is copied, and that is
all. Its encoder gets it when somebody reads the block, when there is no room for the
next one, or earlier from a thread, where a second core is free. What encoders are given
is the same in each case. Knows encoders. Knows nothing of step data or files.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._recording.encoding_thread import encoding_thread

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from rollout_viewer._frames.encoder import ChunkEncoder

    Frame = npt.NDArray[np.uint8]

# What waits at most: so many rows, and so many bytes unless one row is larger.
_MAX_ROWS = 16
_MAX_BYTES = 2_000_000


class WaitingPictures:
    """Pictures of the newest rows of a block. The lock of its recording guards it.

    The thread that encodes does not hold that lock, but `lock`. Whoever uses one of
    the encoders calls `encode` before: then nothing waits, and the thread is done. A
    row counts from the moment when `stop` includes it, or a later one is put.

    Attributes:
        lock: Held while pictures are encoded.
        stop: The number of the row after the last one that counts, in its block.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.stop = 0
        self._encoded = 0
        self._encoders: Sequence[ChunkEncoder] = ()
        self._copies: list[list[Frame]] = []
        self._sizes: list[tuple[int, int]] = []
        self._num_due = 0
        # An encoder may have got a part of a picture.
        self._is_half_done = False

    @property
    def num_bytes(self) -> int:
        """Memory for rows, in bytes."""
        return sum(copy.nbytes for copies in self._copies for copy in copies)

    def expect(self, encoders: Sequence[ChunkEncoder], offset: int) -> None:
        """Make room for rows with a picture for each of these encoders.

        Args:
            encoders: Which may be none.
            offset: Of the next row in its block. Of those before none waits.
        """
        sizes = [one.size for one in encoders]
        if sizes != self._sizes:
            num_bytes = sum(height * width * 3 for height, width in sizes)
            num_rows = min(_MAX_BYTES // num_bytes or 1, _MAX_ROWS) if sizes else 0
            self._copies = [
                [np.empty((*size, 3), np.uint8) for size in sizes]
                for _ in range(num_rows)
            ]
            self._sizes = sizes
            # While these are encoded there is room for more.
            self._num_due = (num_rows + 1) // 2
        self.restart(offset)
        self._encoders = encoders

    def forget(self) -> None:
        """Expect no row. None waits."""
        self._encoders = ()

    def restart(self, offset: int) -> None:
        """Take `offset` for the number of the next row. None waits."""
        with self.lock:  # the thread may still look at what was
            self.stop = self._encoded = offset

    def put(self, offset: int, frames: Sequence[Frame]) -> None:
        """Copy the pictures of a row, whose form is the expected one.

        Args:
            offset: Of the row in its block. All before it count.
            frames: One for each of the encoders, with any strides.
        """
        self.stop = offset
        copies = self._copies
        if offset - self._encoded >= len(copies):
            self.encode()
        for copy, frame in zip(copies[offset % len(copies)], frames, strict=True):
            copy[...] = frame

    def count(self, offset: int) -> None:
        """Let a row count that was put."""
        self.stop = offset + 1
        num_waiting = offset + 1 - self._encoded
        # Once for so many rows: the thread may be busy elsewhere.
        if num_waiting >= self._num_due and not num_waiting % self._num_due:
            encoding_thread.encode_soon(self)

    def count_all(self, stop: int) -> None:
        """Let all rows before `stop` count, where `count` was interrupted."""
        if self._encoders:
            self.stop = stop

    def encode(self) -> None:
        """Hand the rows that count to their encoders.

        Where it is interrupted, the next call does the rest.
        """
        if self._encoded >= self.stop and not self._is_half_done:
            return
        with self.lock:
            stop, encoders = self.stop, self._encoders
            if self._encoded >= stop and not self._is_half_done:
                return
            if self._is_half_done:
                for encoder in encoders:
                    encoder.restore(stop)
            self._is_half_done = True
            copies, num_copies = self._copies, len(self._copies)
            for number, encoder in enumerate(encoders):
                for offset in range(encoder.num_records, stop):
                    encoder.add(copies[offset % num_copies][number])
            self._is_half_done = False
            self._encoded = stop

    def restore(self, encoders: Iterable[ChunkEncoder], stop: int) -> None:
        """Keep the first `stop` rows of the block; undo what encoders got after them.

        Where it is interrupted, the next call of it, or of `encode`, does the rest.

        Args:
            encoders: All of the block.
            stop: The number of the row after the last one.
        """
        with self.lock:
            self._is_half_done = True
            self.stop = min(self.stop, stop)
            self._encoded = min(self._encoded, self.stop)
            for encoder in encoders:
                encoder.restore(stop)
            self._is_half_done = False

    def stop_encoding(self) -> None:
        """Hand nothing more to the encoders, whatever waits; they are used no more."""
        with self.lock:  # until the thread is done
            self._encoders = ()
            self.stop = self._encoded

    def after_fork(self) -> None:
        """Make the lock anew, in a forked child."""
        self.lock = threading.RLock()
