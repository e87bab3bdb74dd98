"""Feeds one page with a recording: one thread that sends, a bounded window unread.

The page acknowledges each `data`; what is unread stays within a window, at most
20 messages a second. Where no acknowledgement comes (the kernel is busy and the
front end has no subshells) rows go on at a fixed rate, newest first. Pictures that
cannot be read are sent as missing, and told once.

Order: step data, what the page asked for, the newest rows, then the rest from the
front. Knows messages and a cache. Knows nothing of widgets.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ProtocolError, RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._page.messages import (
    annotations_message,
    data_message,
    piece_message,
)
from rollout_viewer._page.protocol import PROTOCOL, Message, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rollout_viewer._cache.cache import FrameCache

# JupyterLab took 55 MB/s in 200 kB messages and jupyter_server drops silently
# above 1000 messages a second (PEERS.md).
MESSAGE_BYTES = 512 * 1024
MIN_INTERVAL_S = 0.05
WINDOW_BYTES = 8 * 1024 * 1024
# After so long without an acknowledgement the page is taken to be unable to.
ACK_TIMEOUT_S = 2.0
BLIND_INTERVAL_S = 0.2
# A page that was shown says hello well within this, if the kernel can hear it.
HELLO_TIMEOUT_S = 2.0
# What goes out unasked; the page asks for the rest as it is looked at.
UNASKED_BYTES = 192 * 1024 * 1024
STEP_ROWS = 8192


class PageStream:
    """Sends one recording to the pages of one viewer. Owns its thread.

    Args:
        cache: The recording.
        make_manifest: Returns the current manifest; None: nobody is there.
        send: Called from the pump's thread with each message.
        on_message: Called from it with messages of the page that are not the
            pump's own (dump, download, cancel).
        on_error: Called from it with what failed.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        cache: FrameCache,
        *,
        make_manifest: Callable[[], dict[str, Any] | None],
        send: Callable[[Message], None],
        on_message: Callable[[dict[str, Any]], None],
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

    # -- called from any thread

    def start(self) -> None:
        """Begin to serve; does nothing the second time."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="rollout_viewer pump", daemon=True
            )
            self._thread.start()

    def receive(self, content: Any) -> None:
        """Take a message of the page; only queues it."""
        self._inbox.append(content)
        self._wake.set()

    def notify(self, *_: Any) -> None:
        """Rows came, or something else may have to be told."""
        self._wake.set()

    @property
    def has_page(self) -> bool:
        """Whether a page has ever spoken, or should have."""
        return self._has_page

    def expect_page(self) -> None:
        """A page has been shown: serve it soon, even if no hello gets through.

        A front end without subshells cannot say hello while a cell runs.
        """
        if self._expected_at is None:
            self._expected_at = self._clock()

    def close(self) -> None:
        """End the thread soon."""
        self._is_closed = True
        self._wake.set()

    # -- the pump's own thread

    def _run(self) -> None:
        while not self._is_closed:
            # A followed file, and the end of a recording, wake nobody.
            self._wake.wait(0.25)
            self._wake.clear()
            try:
                self.step()
            except Exception as error:
                self._on_error(error)
                time.sleep(BLIND_INTERVAL_S)
        # A closed viewer that somebody still holds must not hold the recording.
        del self._cache

    def step(self) -> None:
        """Answer what came and send what is due; the thread's whole work."""
        while self._inbox:
            self._take(check(self._inbox.popleft()))
        if not self._has_page and not self._is_late():
            return
        while not self._is_closed and not self._inbox and self._send_next():
            time.sleep(MIN_INTERVAL_S)

    def _is_late(self) -> bool:
        if self._expected_at is not None:
            self._has_page = self._clock() - self._expected_at > HELLO_TIMEOUT_S
        return self._has_page

    def _restart(self) -> None:
        self._manifest: dict[str, Any] | None = None
        self._session: str | None = None
        self._seq = 0
        self._unread: deque[tuple[int, int, float]] = deque()
        self._last_blind = 0.0
        self._num_steps = 0
        self._sent: dict[tuple[int, int], int] = {}
        self._asked: deque[tuple[int, int]] = deque()
        self._backlog_block = 0
        self._unasked_bytes = 0
        self._has_told_damage = False
        self._num_marks = 0
        self._bookmarks: dict[int, str] | None = None

    def _take(self, content: dict[str, Any]) -> None:
        kind = content["kind"]
        if kind == "hello":
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
        elif kind == "ack":
            self.stats["acks"] += 1
            while self._unread and self._unread[0][0] <= content["seq"]:
                self._unread.popleft()
        elif kind == "need":
            self._ask(content["chunks"])
        else:
            self._on_message(content)

    def _ask(self, chunks: list[Any]) -> None:
        """Send these next: who asks anew looks at something else than before."""
        self.stats["asked"] += len(chunks)
        for block, slot, have in reversed(chunks):
            key = int(block), int(slot)
            self._sent[key] = int(have)
            if key in self._asked:
                self._asked.remove(key)
            self._asked.appendleft(key)

    def _send_next(self) -> bool:
        """Send one message if one is due; return whether there may be more."""
        cache = self._cache
        num_rows = cache.num_rows
        manifest = self._make_manifest()
        if manifest is None:  # the viewer is gone, and this thread about to end
            return False
        if self._session not in (None, manifest["session"]):
            self._restart()
        told = {**manifest, "num_rows": 0}
        if told != self._manifest:
            self._manifest, self._session = told, manifest["session"]
            self._dispatch(Message(manifest, []))
        is_blind = self._is_blind()
        if is_blind is None:
            return False
        start = self._num_steps
        stop = min(num_rows, start + STEP_ROWS)
        chunks, size = [], 0
        for block, slot, chunk in self._due(num_rows, is_blind=is_blind):
            chunks.append((block, slot, chunk))
            size += len(chunk)
            if size >= MESSAGE_BYTES:
                break
        marks, num_annotations = annotations_message(
            cache, self._num_marks, self._bookmarks
        )
        if start == stop and not chunks and not marks:
            return False
        message = data_message(self._seq, cache, start, stop, chunks, num_rows=num_rows)
        message.content.update(marks)
        self._num_marks = num_annotations
        if "bookmarks" in marks:
            self._bookmarks = {
                int(row): note for row, note in marks["bookmarks"].items()
            }
        message.content["kernel_nbytes"] = cache.recording.state_nbytes
        message.content["picture_nbytes"] = cache.nbytes
        self._num_steps = stop
        self._unread.append((self._seq, sum(map(len, message.buffers)), self._clock()))
        self._seq += 1
        self._dispatch(message)
        return True

    def _dispatch(self, message: Message) -> None:
        self.stats["messages"] += 1
        self.stats["bytes"] += sum(map(len, message.buffers))
        self._send(message)

    def _is_blind(self) -> bool | None:
        """Whether to send without acknowledgement; None: not now."""
        if not self._unread:
            return False
        now = self._clock()
        is_deaf = now - self._unread[0][2] > ACK_TIMEOUT_S
        if is_deaf:
            if now - self._last_blind < BLIND_INTERVAL_S:
                return None
            self._last_blind = now
            return True
        return None if sum(u[1] for u in self._unread) > WINDOW_BYTES else False

    def _due(
        self, num_rows: int, *, is_blind: bool
    ) -> Iterator[tuple[int, int, bytes]]:
        num_slots = len(self._cache.recording.slots)
        while self._asked:
            block, slot = self._asked.popleft()
            if slot < num_slots and block * CHUNK_ROWS < num_rows:
                yield from self._piece(block, slot, num_rows)
        newest = max(num_rows - 1, 0) // CHUNK_ROWS
        for block in range(newest, max(newest - 2, -1), -1):
            for slot in range(num_slots):
                yield from self._piece(block, slot, num_rows)
        blocks = (
            range(newest, -1, -1) if is_blind else range(self._backlog_block, newest)
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
            self._cache.recording, block, slot, first, num_rows, self._tell_damage
        )
        if piece is not None:
            self._sent[block, slot] = first + piece[4]
            yield block, slot, piece

    def _tell_damage(self, error: RecordingError) -> None:
        # Once for all of them: a file is seldom damaged in one place only.
        if not self._has_told_damage:
            self._has_told_damage = True
            self._on_error(
                RecordingError(f"{error} What cannot be read is shown as missing.")
            )
