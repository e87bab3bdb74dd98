"""When a recording file is written, and whether a thread or the caller does it.

The thread receives statements through a bounded queue, and asks the recording each half
second for the newest rows, so that a kill loses at most those. A fault of the disk
never raises in `put`: pictures that could not be written are counted, step data is kept
and written later; `flush` and `close` raise.

A transaction of a few kilobytes takes 0.2 ms. To hand it over costs more: the thread
takes Python's lock from the one that records again and again, 1.5 ms a block of Pong.
So whoever records writes it, as long as the disk is fast, and the thread has the rest:
batches that are large, that come while it writes, that SQLite refused, and each so many
bytes one, after which SQLite moves its log into the file and waits for the disk. Of a
temporary recording, which no kill leaves, blocks are collected for the thread. How a
batch comes into the file is in `transactions`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._process.waiting import Changed
from rollout_viewer._recording.statements import joined_steps
from rollout_viewer._recording.transactions import Batch, FileTransactions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rollout_viewer._recording.written_file import WrittenFile

_TAIL_INTERVAL_S = 0.5
# The largest batch that its caller writes, in bytes, and how long that may take: after
# one that took longer, the thread writes so many.
_SMALL_BYTES = 128 * 1024
_SLOW_S = 0.02
_NUM_AFTER_SLOW = 32
# Bytes after which the thread writes one, and what a transaction adds to the log beside
# them: SQLite empties it when it has 4 MB.
_LOG_BYTES = 2 * 1024 * 1024
_TRANSACTION_BYTES = 20 * 1024


class WriterThread(FileTransactions):
    """The thread that writes a file. Any thread may `put`.

    Args:
        file: The file.
        path: Its name, for messages.
        queue_bytes: What may wait before `put` waits.
        is_lazy: Nothing need be in the file soon.
        make_tail: Called by the writer's thread; returns rows not yet stored. Raises
            BlockingIOError where it would have to wait for an append.
        free_room: Called where the disk is full still when the recording ends.
    """

    def __init__(
        self,
        file: WrittenFile,
        path: Path,
        *,
        queue_bytes: int,
        is_lazy: bool,
        make_tail: Callable[[], Batch | None],
        free_room: Callable[[], None],
    ) -> None:
        super().__init__(file, path, free_room)
        self._queue_bytes = queue_bytes
        self._make_tail = make_tail
        self._pid = os.getpid()
        # So many are queued before they are written; 0: all are at once.
        self._lazy_bytes = max(queue_bytes // 4, 1) if is_lazy else 0
        self._make_locks()
        self._queue: deque[Batch] = deque()
        # Of pictures, which are dropped where there are too many, and of the rest.
        self._queued_bytes = self._queued_step_bytes = 0
        # Calls that wait for the thread to write.
        self._num_waiting = 0
        self._is_writing = False
        self._is_held = False
        self._is_closing = False
        # Calls of `flush`, and how many of them have been answered.
        self._num_flushes = self._num_flushed = 0
        self._is_ended = False
        self._thread = threading.Thread(
            target=self._run, name=f"rollout_viewer writer {path.name}", daemon=True
        )
        self._thread.start()
        make_anew_in_children(self, rank=4)

    def _make_locks(self) -> None:
        self._lock = threading.RLock()
        self._changed = Changed(self._lock)

    def fork_locks(self) -> list[threading.RLock]:
        """Return what a fork waits for."""
        return [self._lock, self._file.lock]

    def after_fork(self, *, is_whole: bool) -> None:
        """Make locks anew and drop the connection, in a forked child."""
        self._make_locks()
        self._file.after_fork(is_whole=is_whole)

    @property
    def is_mine(self) -> bool:
        """False in a forked child, where thread and connection are the parent's."""
        # Also one of a fork that Python knows nothing of: once a block.
        return self._pid == os.getpid()

    def put(self, batch: Batch, *, max_stall_s: float | None) -> bool:
        """Write `batch` if it is small, or else queue it.

        Its pictures are dropped if the queue stays full `max_stall_s`; None: wait
        without limit.

        Returns:
            Whether the pictures were written or queued.
        """
        if not self.is_mine:  # they stay in memory
            return True
        if self._write_here(batch):
            return True
        with self._lock:
            has_room = self._wait_for_thread(
                lambda: (
                    self._queued_bytes + batch.nbytes <= self._queue_bytes
                    or not self._queue
                ),
                max_stall_s,
            )
            if not has_room:
                self.num_lost += batch.num_pictures
                batch = batch._replace(pictures=(), nbytes=0)
            self._queue.append(batch)
            self._queued_bytes += batch.nbytes
            self._queued_step_bytes += batch.step_nbytes
            if self._is_due():
                self._changed.notify_all()
        return has_room

    def _write_here(self, batch: Batch) -> bool:
        """Write a batch in the thread of the caller; False: it is to be queued.

        What SQLite does not take at once, the thread tries again, and has the fault.
        """
        nbytes = batch.nbytes + batch.step_nbytes
        if self._lazy_bytes or nbytes > _SMALL_BYTES:
            return False
        with self._lock:
            if not self._may_write_here(batch):
                return False
            start_s = time.monotonic()
            try:
                if not self._file.is_as_noted():
                    return False
                with self._file.lock:
                    statements = [*joined_steps(batch.steps), *batch.pictures]
                    self._execute(statements, one_by_one=False, is_patient=False)
            except Exception:
                return False
            finally:
                if time.monotonic() - start_s > _SLOW_S:
                    self._num_left_to_thread = _NUM_AFTER_SLOW
            self._log_bytes += nbytes + _TRANSACTION_BYTES
        if batch.on_done is not None:
            batch.on_done(True)
        if batch.on_pictures is not None:
            batch.on_pictures()
        if self._num_waiting:
            with self._lock:
                self._changed.notify_all()
        return True

    def _may_write_here(self, batch: Batch) -> bool:
        if self._queue or self._is_writing or self._is_held:
            return False
        if self._is_broken or self._unwritten or self._is_ended:
            return False
        if batch.estimate is not None:  # what the file has is measured
            return False
        if self._num_left_to_thread:
            self._num_left_to_thread -= 1
            return False
        return self._log_bytes < _LOG_BYTES

    def _is_due(self) -> bool:
        """Whether the thread is to write what is queued; `_lock` is held."""
        if not self._queue:
            return False
        if self._num_waiting:
            return True
        num_bytes = self._queued_bytes + self._queued_step_bytes
        return not self._is_held and num_bytes >= self._lazy_bytes

    def _wait_for_thread(
        self, is_done: Callable[[], bool], timeout_s: float | None
    ) -> bool:
        """Wait until the thread has made `is_done` true; `_lock` is held."""
        if is_done():
            return True
        self._num_waiting += 1
        try:
            self._changed.notify_all()
            return self._changed.wait_for(is_done, timeout_s)
        finally:
            self._num_waiting -= 1

    def hold(self) -> None:
        """Let what is put from now on wait for more; until `release`, or a moment."""
        self._is_held = True

    def release(self) -> None:
        """Have what waits written together."""
        self._is_held = False
        with self._lock:
            self._changed.notify_all()

    def wait_for_room(self, nbytes: int) -> None:
        """Wait until `put` would not wait with so many bytes."""
        self.wait_until(
            lambda: (
                not self._queue
                or self._queued_bytes + nbytes <= self._queue_bytes
                or self._is_ended
                or not self.is_mine
            ),
            None,
        )

    def wait_until(self, is_done: Callable[[], bool], timeout_s: float | None) -> bool:
        """Wait until writing has made `is_done` true; return whether it did."""
        with self._lock:
            return self._wait_for_thread(is_done, timeout_s)

    def drain(self) -> None:
        """Wait until everything that was put is written or counted as lost."""
        self.wait_until(
            lambda: (
                self._is_ended
                or not self.is_mine
                or (not self._queue and not self._is_writing)
            ),
            None,
        )

    def flush(self) -> None:
        """Write everything; the file alone is then complete.

        Raises:
            StorageError: Something could not be written.
        """
        with self._lock:
            self._num_flushes += 1
            number = self._num_flushes
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._is_ended or self._num_flushed >= number
            )
        if change := self._file.change():
            self.fault = change
        elif not self._is_broken:
            with self._lock:
                self._file.complete()
        self._raise_fault()

    def close(self) -> None:
        """Flush, end the thread and close the file, if that can be opened again.

        Raises:
            StorageError: Something could not be written.
        """
        try:
            self.flush()
        except Exception:
            self._end()
            raise
        # Not where it was interrupted: the next call needs thread and connection.
        self._end()

    def _end(self) -> None:
        with self._lock:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        self._write_rest()
        self._file.finish()

    def _run(self) -> None:
        try:
            self._serve()
        except BaseException as error:
            # Whatever it is, no call may wait for this thread for ever.
            self.fault = repr(error)
            raise
        finally:
            with self._lock:
                self._is_ended = True
                self._changed.notify_all()

    def _serve(self) -> None:
        while self._wait():
            with self._lock:
                batches = list(self._queue)
                self._queue.clear()
                self._queued_step_bytes = 0
                self._is_writing = True
                # Rows that are appended from here on need not be in the file.
                num_flushes = self._num_flushes
            has_any, is_whole = bool(batches), True
            nbytes = sum(b.nbytes for b in batches)
            try:
                if has_any:
                    self._write(batches)
                    batches.clear()  # megabytes, beside which the tail has as many
                if not has_any or num_flushes > self._num_flushed:
                    is_whole = self._write_tail()
            finally:
                with self._lock:
                    self._queued_bytes -= nbytes
                    self._queued_bytes = max(self._queued_bytes, 0)
                    self._is_writing = False
                    if is_whole:
                        self._num_flushed = num_flushes
                    self._changed.notify_all()
            if not (self._is_broken or self._unwritten):
                self._file.close_if_shed()

    def _wait(self) -> bool:
        """Wait for something to write; return False when the thread is to end."""
        with self._lock:
            self._changed.wait_for(
                lambda: (
                    self._is_due()
                    or self._is_closing
                    or self._num_flushes > self._num_flushed
                ),
                _TAIL_INTERVAL_S,
            )
            return not self._is_closing or bool(self._queue)

    def _write_tail(self) -> bool:
        """Write the newest rows; return False where an append holds them now."""
        try:
            tail = self._make_tail()
        except BlockingIOError:
            return False
        if tail is not None:
            self._write([tail])
        return True
