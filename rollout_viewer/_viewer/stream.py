"""Sends a recording to the pages of one viewer, from a thread that lives meanwhile.

The page acknowledges each `data`; at most as many bytes as its link takes in half a
second are unacknowledged (`throughput`), and at most 20 messages a second are sent.
Where no acknowledgement can arrive (the kernel is busy and the front end has no
subshells) rows are sent at a fixed rate, newest first. Pictures that cannot be read are
sent as missing, and reported once. A link that carries less than playing takes gets
previews in their place (`previews`).

When everything was sent, a `beat` says how much that is, until each page has answered
that it `have`s it: what was lost on the way is sent again (`delivery`). Where no page
shows the viewer, or all have everything and no more can come, the thread ends.

Order: step data, what the page asked for, the newest rows of those that were recorded
since it came, then the rest from the first. Knows messages and a cache. Knows nothing
of widgets.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import ProtocolError, RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._page.build_messages import (
    annotations_message,
    data_message,
    part_message,
    piece_message,
)
from rollout_viewer._page.check_messages import check
from rollout_viewer._page.protocol import PROTOCOL, Message
from rollout_viewer._viewer.delivery import Delivery
from rollout_viewer._viewer.pages import Pages
from rollout_viewer._viewer.previews import Previews
from rollout_viewer._viewer.rendered_pictures import RenderedPictures
from rollout_viewer._viewer.throughput import (
    MESSAGE_BYTES,
    Throughput,
)
from rollout_viewer._viewer.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rollout_viewer._page.protocol import HaveMessage, PageMessage
    from rollout_viewer._recording.reader import RecordingReader

MIN_INTERVAL_S = 0.05
# Without an acknowledgement for so long, the page is taken to be unable to send one;
# where its messages wait for no cell, its link has that much more time.
ACK_TIMEOUT_S = 2.0
UNACKNOWLEDGED_INTERVAL_S = 0.2
# Sent without being asked for; the page asks for the rest as it is looked at.
UNASKED_BYTES = 192 * 1024 * 1024
STEP_ROWS = 8192
FIRST_STEP_ROWS = 512
# A growing file, and the end of a recording, notify of nothing.
POLL_S = 0.25
# Messages that wait to be read; more are dropped. Pages ask again for what matters.
MAX_INBOX = 10_000
# Of them at a time: something is sent in between, whatever a page asks for.
MAX_HANDLED = 100
# Chunks that wait to be sent; those that were asked for first are dropped.
MAX_REQUESTED = 8192
# A page repeats what it still lacks: what it asked for before, it has passed.
REQUEST_S = 2.5
# Messages that are none are reported so often, whatever comes.
ERROR_INTERVAL_S = 1.0
# Differs from all bookmarks, none included: they are sent again.
_UNKNOWN_BOOKMARKS = {-1: ""}


class PageStream(Worker):
    """Sends one recording to the pages of one viewer.

    Args:
        cache: The recording.
        make_manifest: Returns the current manifest; None: the viewer was collected.
        send: Called from the thread with each message.
        on_message: Called from it with messages of the page that are not about the
            stream (all but hello, ack, need).
        on_error: Called from it with what failed.
        on_pages: Called from it with whether any page shows the viewer, when that
            changes.
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
        on_pages: Callable[[bool], object] = lambda has_page: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("rollout_viewer stream")
        self._cache = cache
        self._make_manifest = make_manifest
        self._send = send
        self._on_message = on_message
        self._on_error = on_error
        self._clock = clock
        # Messages, each with whether it waited for a cell.
        self._inbox: deque[tuple[Any, bool]] = deque()
        self._num_bad = 0
        self._bad_at = -ERROR_INTERVAL_S
        self._pages = Pages(clock, on_pages)
        # Whether messages arrive only between cells.
        self._waits_for_cells = False
        self._has_heard = False
        self._throughput = Throughput()
        self._delivery = Delivery()
        self._rendered = RenderedPictures(cache)
        self._previews = Previews(cache, self.notify)
        self._has_reported_rendering = False
        self._beginning: tuple[str, int] | None = None
        # Whether buffers are sent as text: one of the pages gets no others.
        self.sends_text = False
        self.stats = {"messages": 0, "bytes": 0, "acks": 0, "asked": 0}
        self._restart()

    # -- called from any thread

    def receive(self, content: Any, *, waits_for_cells: bool = False) -> None:
        """Queue a message of the page.

        Args:
            content: Anything.
            waits_for_cells: It would not have come while a cell runs.
        """
        self._waits_for_cells = waits_for_cells
        self._has_heard = True
        if len(self._inbox) < MAX_INBOX:
            self._inbox.append((content, waits_for_cells))
        self.wake()

    def notify(self, *_: Any) -> None:
        """Rows came, or something else may have to be sent."""
        if self._pages or self._pages.is_expected:
            self.wake()

    @property
    def has_page(self) -> bool:
        """Whether a page has sent its hello, or should have by now."""
        return bool(self._pages)

    def set_quality(self, quality: str) -> None:
        """Send exact pictures, previews, or what the link carries: see `Previews`."""
        self._previews.quality = quality
        self.notify()

    def expect_page(self) -> None:
        """A page has been shown: serve it soon, even if no hello gets through.

        A front end without subshells cannot send its hello while a cell runs.
        """
        if self._pages.expect():
            self.wake()

    # -- on the thread

    def work(self) -> float | None:
        """Do what is due; return when to look again. See `Worker`."""
        try:
            has_more = self.step()
        except Exception as error:
            self._report(error)
            return UNACKNOWLEDGED_INTERVAL_S
        if has_more:
            return MIN_INTERVAL_S
        if self._inbox:
            return 0.0
        if not self._pages:
            return POLL_S if self._pages.is_expected else None
        if self._rendered.waits_for_first:
            return POLL_S
        is_over = not self._cache.is_live or self._delivery.has_given_up
        return None if is_over and self._delivery.is_complete else POLL_S

    def forget(self) -> None:
        """Drop the recording: a closed viewer that is referenced must not keep it."""
        self.__dict__.pop("_cache", None)
        self._rendered.forget()
        self._previews.forget()

    def close(self) -> None:
        """End the threads soon."""
        self._previews.close()
        super().close()

    def step(self) -> bool:
        """Handle what came and send what is due; the thread's whole work.

        Returns:
            Whether more is due soon: an event loop is not held up for all of it.
        """
        for _ in range(min(len(self._inbox), MAX_HANDLED)):
            content, waited = self._inbox.popleft()
            self._handle_or_report(content, waited=waited)
        if not self._pages.are_there():
            return False
        self._report_rendering()
        while not self._is_closed and self._send_next():
            if self._is_on_loop:
                return True
            time.sleep(MIN_INTERVAL_S)
            if self._inbox:
                break
        return False

    def _report_rendering(self) -> None:
        """Report, once, that no more pictures are rendered."""
        error = self._cache.rendering_error
        if error is not None and not self._has_reported_rendering:
            self._has_reported_rendering = True
            self._report(error)

    def _handle_or_report(self, content: Any, *, waited: bool = False) -> None:
        try:
            message = check(content)
            if message["kind"] == "hidden":
                self._hide(message["page"], waited=waited)
            else:
                self._handle(message)
        except Exception as error:  # one bad message ends nothing
            self._report_bad(error)

    def _report(self, error: Exception) -> None:
        with contextlib.suppress(Exception):  # there may be no page to report it to
            self._on_error(error)

    def _report_bad(self, error: Exception) -> None:
        """Report a message that could not be handled, at a bounded rate."""
        now = self._clock()
        if now - self._bad_at < ERROR_INTERVAL_S:
            self._num_bad += 1
            return
        self._bad_at, num_bad, self._num_bad = now, self._num_bad, 0
        if num_bad:
            error = ProtocolError(f"{error} And {num_bad} more such messages.")
        self._report(error)

    def _hide(self, page: str, *, waited: bool) -> None:
        """A page shows the viewer no more; `waited`: it said so after a cell."""
        if waited:
            # While a cell runs it could not say that it shows it again: what is
            # recorded then is sent. The thread ends.
            self._delivery.give_up()
            return
        self._pages.hide(page)
        self._delivery.forget(page)
        if not self._pages:
            self._requested.clear()
            self._rendered.want(())
            self._previews.restart()

    def _restart(self) -> None:
        self._manifest: dict[str, Any] | None = None
        self._session: str | None = None
        self._seq = 0
        self._throughput.forget_sent()
        self._last_unacknowledged = 0.0
        self._num_steps = 0
        self._sent: dict[tuple[int, int], int] = {}
        # Most urgent last, each with how many records of it the page has, and when.
        self._requested: dict[tuple[int, int], tuple[int, float]] = {}
        self._backlog_block = 0
        self._has_sent_heads = False
        # Rows after these were recorded while the page looked on.
        self._num_rows_before = self._cache.num_rows
        self._unasked_bytes = 0
        self._has_reported_damage = False
        self._num_annotations = 0
        self._bookmarks: dict[int, str] | None = None
        self._rendered.restart()
        self._previews.restart()

    def _handle(self, content: PageMessage) -> None:
        if content["kind"] == "hello":
            if content["protocol"] != PROTOCOL:
                raise ProtocolError(
                    f"rollout_viewer: expected a page of protocol {PROTOCOL},"
                    f" got one of {content['protocol']!r}, of another version. Restart "
                    "the kernel and reload the page."
                )
            self.sends_text |= bool(content.get("as_text"))
            beginning = content["page"], content["beginning"]
            if beginning != self._beginning:
                self._beginning = beginning
                self._restart()
            self._pages.show(content["page"])
            self._delivery.resume()
        elif content["kind"] == "have":
            self._pages.show(content["page"])
            self._send_again(content)
        elif content["kind"] == "ack":
            self.stats["acks"] += 1
            self._throughput.note_acknowledged(content["seq"], self._clock())
        elif content["kind"] == "need":
            self._request(content["chunks"])
            if (wanted := content.get("wanted")) is not None:
                self._rendered.want(wanted)
        elif content["kind"] == "watch":
            self._previews.watch(content, self._clock())
        else:
            self._on_message(content)

    def _request(self, chunks: list[Any]) -> None:
        """Send these next, before what was asked for earlier."""
        self.stats["asked"] += len(chunks)
        num_rows, num_slots = self._cache.num_rows, len(self._cache.recording.slots)
        now = self._clock()
        for block, slot, have in reversed(chunks):
            if self._throughput.is_on_its_way((block, slot)):
                continue
            if slot < num_slots and block * CHUNK_ROWS < num_rows:
                if self._cache.renders_pictures:
                    have = 0  # a page may have pictures with gaps
                self._requested.pop((block, slot), None)
                self._requested[block, slot] = have, now
        while len(self._requested) > MAX_REQUESTED:
            del self._requested[next(iter(self._requested))]

    def _send_next(self) -> bool:
        """Send one message if one is due; return whether there may be more."""
        cache = self._cache
        num_rows = cache.num_rows
        manifest = self._make_manifest()
        if manifest is None:  # the viewer was collected; this thread is about to end
            return False
        if self._session not in (None, manifest["session"]):
            self._previews.drop()
            self._restart()
        unchanging = {**manifest, "num_rows": 0}
        if unchanging != self._manifest:
            self._manifest, self._session = unchanging, manifest["session"]
            number = self._delivery.note_manifest()
            self._dispatch(Message({**manifest, "number": number}, []))
        self._previews.update(self._throughput, manifest["fps"], self._clock())
        if self._is_prompt and self._previews.wants_part(self._clock()):
            self._dispatch(part_message("preview", "RolloutViewer"))
        has_timed_out = self._has_ack_timed_out()
        if has_timed_out is None:
            return False
        self._rendered.want_first(manifest)
        self._rendered.pending = []
        start = self._num_steps
        stop = min(num_rows, start + self._num_step_rows(start))
        chunks, size = [], 0
        message_bytes = self._throughput.message_bytes
        for block, slot, chunk in self._due(num_rows, has_timed_out=has_timed_out):
            chunks.append((block, slot, chunk))
            size += len(chunk)
            if size >= message_bytes:
                break
        previews, packets = self._previews.take(max(message_bytes - size, 0))
        annotations, num_annotations = annotations_message(
            cache, self._num_annotations, self._bookmarks
        )
        if start == stop and not chunks and not previews and not annotations:
            self._throughput.note_idle()
            self._send_beat(num_rows)
            return False
        message = data_message(self._seq, cache, start, stop, chunks, num_rows=num_rows)
        message.content.update(annotations, session=self._session)
        if previews:
            message.content["previews"] = previews
            message.buffers.append(packets)
        if self._rendered.pending:
            message.content["pending"] = self._rendered.pending
        if "episodes" in annotations:
            message.content["about"] = [self._num_annotations, num_annotations]
        self._num_annotations = num_annotations
        if "bookmarks" in annotations:
            message.content["marks"] = self._delivery.note_marks()
            self._bookmarks = {
                int(row): note for row, note in annotations["bookmarks"].items()
            }
        message.content["kernel_nbytes"] = cache.recording.state_nbytes
        message.content["picture_nbytes"] = cache.nbytes
        self._num_steps = stop
        nbytes = sum(map(len, message.buffers))
        keys = [(block, slot) for block, slot, _ in chunks]
        self._throughput.note_sent(self._seq, nbytes, self._clock(), keys)
        self._seq += 1
        self._dispatch(message)
        return True

    def _num_step_rows(self, start: int) -> int:
        """Return how many rows of step data to send: the first with few others."""
        if start == 0:
            return FIRST_STEP_ROWS
        share = self._throughput.message_bytes / MESSAGE_BYTES
        return max(FIRST_STEP_ROWS, int(STEP_ROWS * share))

    def _send_beat(self, num_rows: int) -> None:
        """Say how much was sent, if it is time and a page has not said it has it."""
        assert self._session is not None
        totals = num_rows, self._num_annotations
        if self._delivery.is_beat_due(self._clock(), self._pages):
            beat = self._delivery.beat(self._session, *totals)
            self._dispatch(Message(beat, []))

    def _send_again(self, have: HaveMessage) -> None:
        """Send what a page lacks of what was sent."""
        totals = self._num_steps, self._num_annotations
        missing = self._delivery.missing(have, self._session, *totals)
        if missing.manifest:
            self._manifest = None
        if missing.marks:
            self._bookmarks = _UNKNOWN_BOOKMARKS
        if missing.num_rows is not None:
            self._num_steps = missing.num_rows
        if missing.about is not None:
            self._num_annotations = missing.about

    def _dispatch(self, message: Message) -> None:
        if message.content["kind"] != "beat":
            self._delivery.note_sent(self._clock())
        self.stats["messages"] += 1
        self.stats["bytes"] += sum(map(len, message.buffers))
        self._send(message)

    @property
    def _is_prompt(self) -> bool:
        """Whether the page's messages wait for no cell."""
        return self._has_heard and not self._waits_for_cells

    def _has_ack_timed_out(self) -> bool | None:
        """Whether to send without acknowledgement; None: do not send now."""
        since = self._throughput.oldest_at
        if since is None:
            return False
        now = self._clock()
        link_s = self._throughput.arrival_s if self._is_prompt else 0.0
        if now - since > ACK_TIMEOUT_S + link_s:
            if now - self._last_unacknowledged < UNACKNOWLEDGED_INTERVAL_S:
                return None
            self._last_unacknowledged = now
            return True
        return None if self._throughput.is_full else False

    def _due(
        self, num_rows: int, *, has_timed_out: bool
    ) -> Iterator[tuple[int, int, bytes]]:
        num_slots = len(self._cache.recording.slots)
        is_on_its_way = self._throughput.is_on_its_way
        for block, slot, still in self._previews.stills(self._sent, is_on_its_way):
            # Beside what the page has of the chunk, which goes on as if it had none.
            self._rendered.pending.append([block, slot])
            yield block, slot, still
        # No chunk is in a message twice: the page would take both for stills.
        if self._rendered.pending:
            return
        if self._previews.holds_exact:
            for key in self._previews.exact_due():
                if key in self._requested:
                    yield from self._due_request(key, num_rows)
                yield from self._piece(*key, num_rows)
            return
        if not self._has_sent_heads:
            yield from self._heads(num_rows)
            return
        yield from self._due_requests(num_rows)
        for block, slot in self._rendered.looked_at:
            yield from self._piece(block, slot, num_rows)
        newest = max(num_rows - 1, 0) // CHUNK_ROWS
        oldest = max(newest - 1, self._num_rows_before // CHUNK_ROWS)
        # Of what was there when the page came, it asks for what it shows.
        is_newer = num_rows > self._num_rows_before
        for block in range(newest, oldest - 1, -1) if is_newer else ():
            for slot in self._slots_of(block, num_slots):
                yield from self._piece(block, slot, num_rows)
        blocks = (
            range(newest, -1, -1)
            if has_timed_out
            else range(self._backlog_block, newest + 1)
        )
        for block in blocks:
            if self._unasked_bytes > UNASKED_BYTES:
                return
            for slot in self._slots_of(block, num_slots):
                for piece in self._piece(block, slot, num_rows):
                    self._unasked_bytes += len(piece[2])
                    yield piece
            if block == self._backlog_block < newest:
                self._backlog_block = block + 1

    def _heads(self, num_rows: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield a first picture of each tile, in messages of their own."""
        block = self._cache.first_row // CHUNK_ROWS
        slots = self._slots_of(block, len(self._cache.recording.slots))
        heads = [slot for slot in slots if not self._sent.get((block, slot))]
        # The rest is due as soon as the last of them is taken.
        for left, slot in zip(range(len(heads) - 1, -1, -1), heads, strict=True):
            self._has_sent_heads = left == 0
            yield from itertools.islice(self._piece(block, slot, num_rows, 1), 1)
        self._has_sent_heads = True

    def _due_requests(self, num_rows: int) -> Iterator[tuple[int, int, bytes]]:
        while self._requested:
            yield from self._due_request(next(reversed(self._requested)), num_rows)

    def _due_request(
        self, key: tuple[int, int], num_rows: int
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield what is to be sent of a chunk that was asked for a moment ago."""
        have, at = self._requested[key]
        if self._clock() - at <= REQUEST_S:
            self._sent[key] = have
            for piece in self._piece(*key, num_rows):
                # The rest comes in the next message.
                self._requested[key] = self._sent.get(key, 0), at
                yield piece
        self._requested.pop(key, None)

    def _slots_of(self, block: int, num_slots: int) -> Iterable[int]:
        """Return the slots of which a block is sent without being asked for.

        Of an env and camera with several sizes only those that may show something:
        a page that has found one needs no other, and asks where it has not.
        """
        tiles = self._cache.tiles
        if len(tiles) == num_slots:
            return range(num_slots)
        shown = set(self._cache.recording.shown_slots(block))
        return [
            slot
            for tile in tiles
            for slot in tile
            if slot < num_slots and (len(tile) == 1 or slot in shown)
        ]

    def _piece(
        self, block: int, slot: int, num_rows: int, max_bytes: int | None = None
    ) -> Iterator[tuple[int, int, bytes]]:
        """Yield what is to be sent of a chunk, no larger than a message.

        As pieces: what is asked for next does not wait behind a large chunk.
        """
        first = self._sent.get((block, slot), 0)
        if self._rendered.is_pending(block, slot, first, num_rows):
            if not self._rendered.has_news(block, slot, num_rows):
                return
            piece = piece_message(
                self._cache.recording, block, slot, 0, num_rows, self._report_damage
            )
            if piece is not None:
                self._sent.pop((block, slot), None)
                self._rendered.pending.append([block, slot])
                yield block, slot, piece
            return
        recording, report = self._cache.recording, self._report_damage
        limit = self._throughput.message_bytes if max_bytes is None else max_bytes
        while piece := piece_message(
            recording, block, slot, first, num_rows, report, limit
        ):
            if first == 0:
                self._previews.note_whole(block, slot)
            first += piece[4]
            self._sent[block, slot] = first
            self._previews.note_exact(len(piece), piece[4])
            yield block, slot, piece

    def _report_damage(self, error: RecordingError) -> None:
        # Once for all of them: a file is seldom damaged in one place only.
        if not self._has_reported_damage:
            self._has_reported_damage = True
            self._on_error(
                RecordingError(f"{error} What cannot be read is shown as missing.")
            )
