"""Sends a recording to the pages of one viewer, from a thread of its own.

The page acknowledges each `data`; at most a window of bytes is unacknowledged, and at
most 20 messages a second are sent. Where no acknowledgement can arrive (the kernel is
busy and the front end has no subshells) rows are sent at a fixed rate, newest first.
Pictures that cannot be read are sent as missing, and reported once.

Order: step data, what the page asked for, the newest rows, then the rest from the
first. Knows messages and a cache. Knows nothing of widgets.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ProtocolError, RecordingError
from rollout_viewer._forks import make_anew_in_children
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._page.build_messages import (
    annotations_message,
    data_message,
    piece_message,
)
from rollout_viewer._page.protocol import PROTOCOL, Message, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_viewer._page.protocol import PageMessage
    from rollout_viewer._recording.reader import RecordingReader

# JupyterLab took 55 MB/s in messages of 200 kB, and jupyter_server silently drops
# what exceeds 1000 messages a second (both measured, JupyterLab 4.6).
MESSAGE_BYTES = 512 * 1024
MIN_INTERVAL_S = 0.05
WINDOW_BYTES = 8 * 1024 * 1024
# Without an acknowledgement for so long, the page is taken to be unable to send one.
ACK_TIMEOUT_S = 2.0
UNACKNOWLEDGED_INTERVAL_S = 0.2
# A page that was shown sends its hello well within this, if the kernel receives any.
HELLO_TIMEOUT_S = 2.0
# Sent without being asked for; the page asks for the rest as it is looked at.
UNASKED_BYTES = 192 * 1024 * 1024
STEP_ROWS = 8192


class PageStream:
    """Sends one recording to the pages of one viewer. Owns its thread.

    Args:
        cache: The recording.
        make_manifest: Returns the current manifest; None: the viewer was collected.
        send: Called from the thread with each message.
        on_message: Called from it with messages of the page that are not about the
            stream (all but hello, ack, need).
        on_error: Called from it with what failed.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        cache: RecordingReader,
        *,
        make_manifest: Callable[[], dict[str, Any] | None],
        send: Callable[[Message], None],
        on_message: Callable[[PageMessage], None],
        on_error: Callable[[Exception], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._make_manifest = make_manifest
        self._send = send
        self._on_message = on_message
        self._on_error = on_error
        self._clock = clock
        self._inbox: deque[Any] = deque()
        self._wake = threading.Event()
        self._is_closed = False
        self._has_page = False
        self._expected_at: float | None = None
        self._beginning: tuple[str, int] | None = None
        self.stats = {"messages": 0, "bytes": 0, "acks": 0, "asked": 0}
        self._restart()
        self._thread: threading.Thread | None = None
        make_anew_in_children(self, rank=6)

    def fork_locks(self) -> list[threading.Lock]:
        """Return nothing: the page is the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Make the event anew, which has a lock, in a forked child."""
        del is_whole
        self._wake = threading.Event()

    # -- called from any thread

    def start(self) -> None:
        """Start the thread; does nothing the second time."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="rollout_viewer stream", daemon=True
            )
            self._thread.start()

    def receive(self, content: Any) -> None:
        """Queue a message of the page."""
        self._inbox.append(content)
        self._wake.set()

    def notify(self, *_: Any) -> None:
        """Rows came, or something else may have to be sent."""
        self._wake.set()

    @property
    def has_page(self) -> bool:
        """Whether a page has sent its hello, or should have by now."""
        return self._has_page

    def expect_page(self) -> None:
        """A page has been shown: serve it soon, even if no hello gets through.

        A front end without subshells cannot send its hello while a cell runs.
        """
        if self._expected_at is None:
            self._expected_at = self._clock()

    def close(self) -> None:
        """End the thread soon."""
        self._is_closed = True
        self._wake.set()

    # -- on the thread

    def _run(self) -> None:
        while not self._is_closed:
            # A growing file, and the end of a recording, notify of nothing.
            self._wake.wait(0.25)
            self._wake.clear()
            try:
                self.step()
            except Exception as error:
                self._on_error(error)
                time.sleep(UNACKNOWLEDGED_INTERVAL_S)
        # A closed viewer that is still referenced must not keep the recording.
        del self._cache

    def step(self) -> None:
        """Handle what came and send what is due; the thread's whole work."""
        while self._inbox:
            self._handle(check(self._inbox.popleft()))
        if not self._has_page and not self._is_page_overdue():
            return
        while not self._is_closed and not self._inbox and self._send_next():
            time.sleep(MIN_INTERVAL_S)

    def _is_page_overdue(self) -> bool:
        if self._expected_at is not None:
            self._has_page = self._clock() - self._expected_at > HELLO_TIMEOUT_S
        return self._has_page

    def _restart(self) -> None:
        self._manifest: dict[str, Any] | None = None
        self._session: str | None = None
        self._seq = 0
        self._unacknowledged: deque[tuple[int, int, float]] = deque()
        self._last_unacknowledged = 0.0
        self._num_steps = 0
        self._sent: dict[tuple[int, int], int] = {}
        self._requested: deque[tuple[int, int]] = deque()
        self._backlog_block = 0
        self._unasked_bytes = 0
        self._has_reported_damage = False
        self._num_annotations = 0
        self._bookmarks: dict[int, str] | None = None

    def _handle(self, content: PageMessage) -> None:
        if content["kind"] == "hello":
            if content["protocol"] != PROTOCOL:
                raise ProtocolError(
                    f"rollout_viewer: expected a page of protocol {PROTOCOL},"
                    f" got one of {content['protocol']!r}, of another version. Restart "
                    "the kernel and reload the page."
                )
            beginning = content["page"], content["beginning"]
            if beginning != self._beginning:
                self._beginning = beginning
                self._restart()
            self._has_page = True
        elif content["kind"] == "ack":
            self.stats["acks"] += 1
            while self._unacknowledged and self._unacknowledged[0][0] <= content["seq"]:
                self._unacknowledged.popleft()
        elif content["kind"] == "need":
            self._request(content["chunks"])
        else:
            self._on_message(content)

    def _request(self, chunks: list[Any]) -> None:
        """Send these next, before what was asked for earlier."""
        self.stats["asked"] += len(chunks)
        for block, slot, have in reversed(chunks):
            key = int(block), int(slot)
            self._sent[key] = int(have)
            if key in self._requested:
                self._requested.remove(key)
            self._requested.appendleft(key)

    def _send_next(self) -> bool:
        """Send one message if one is due; return whether there may be more."""
        cache = self._cache
        num_rows = cache.num_rows
        manifest = self._make_manifest()
        if manifest is None:  # the viewer was collected; this thread is about to end
            return False
        if self._session not in (None, manifest["session"]):
            self._restart()
        unchanging = {**manifest, "num_rows": 0}
        if unchanging != self._manifest:
            self._manifest, self._session = unchanging, manifest["session"]
            self._dispatch(Message(manifest, []))
        has_timed_out = self._has_ack_timed_out()
        if has_timed_out is None:
            return False
        start = self._num_steps
        stop = min(num_rows, start + STEP_ROWS)
        chunks, size = [], 0
        for block, slot, chunk in self._due(num_rows, has_timed_out=has_timed_out):
            chunks.append((block, slot, chunk))
            size += len(chunk)
            if size >= MESSAGE_BYTES:
                break
        annotations, num_annotations = annotations_message(
            cache, self._num_annotations, self._bookmarks
        )
        if start == stop and not chunks and not annotations:
            return False
        message = data_message(self._seq, cache, start, stop, chunks, num_rows=num_rows)
        message.content.update(annotations)
        self._num_annotations = num_annotations
        if "bookmarks" in annotations:
            self._bookmarks = {
                int(row): note for row, note in annotations["bookmarks"].items()
            }
        message.content["kernel_nbytes"] = cache.recording.state_nbytes
        message.content["picture_nbytes"] = cache.nbytes
        self._num_steps = stop
        self._unacknowledged.append(
            (self._seq, sum(map(len, message.buffers)), self._clock())
        )
        self._seq += 1
        self._dispatch(message)
        return True

    def _dispatch(self, message: Message) -> None:
        self.stats["messages"] += 1
        self.stats["bytes"] += sum(map(len, message.buffers))
        self._send(message)

    def _has_ack_timed_out(self) -> bool | None:
        """Whether to send without acknowledgement; None: do not send now."""
        if not self._unacknowledged:
            return False
        now = self._clock()
        if now - self._unacknowledged[0][2] > ACK_TIMEOUT_S:
            if now - self._last_unacknowledged < UNACKNOWLEDGED_INTERVAL_S:
                return None
            self._last_unacknowledged = now
            return True
        return None if sum(u[1] for u in self._unacknowledged) > WINDOW_BYTES else False

    def _due(
        self, num_rows: int, *, has_timed_out: bool
    ) -> Iterator[tuple[int, int, bytes]]:
        num_slots = len(self._cache.recording.slots)
        while self._requested:
            block, slot = self._requested.popleft()
            if slot < num_slots and block * CHUNK_ROWS < num_rows:
                yield from self._piece(block, slot, num_rows)
        newest = max(num_rows - 1, 0) // CHUNK_ROWS
        for block in range(newest, max(newest - 2, -1), -1):
            for slot in range(num_slots):
                yield from self._piece(block, slot, num_rows)
        blocks = (
            range(newest, -1, -1)
            if has_timed_out
            else range(self._backlog_block, newest)
        )
        for block in blocks:
            if self._unasked_bytes > UNASKED_BYTES:
                return
            for slot in range(num_slots):
                for piece in self._piece(block, slot, num_rows):
                    self._unasked_bytes += len(piece[2])
                    yield piece
            if block == self._backlog_block:
                self._backlog_block = block + 1

    def _piece(
        self, block: int, slot: int, num_rows: int
    ) -> Iterator[tuple[int, int, bytes]]:
        first = self._sent.get((block, slot), 0)
        piece = piece_message(
            self._cache.recording, block, slot, first, num_rows, self._report_damage
        )
        if piece is not None:
            self._sent[block, slot] = first + piece[4]
            yield block, slot, piece

    def _report_damage(self, error: RecordingError) -> None:
        # Once for all of them: a file is seldom damaged in one place only.
        if not self._has_reported_damage:
            self._has_reported_damage = True
            self._on_error(
                RecordingError(f"{error} What cannot be read is shown as missing.")
            )
