"""A page at the other end of a link that carries little, in virtual time."""

import heapq
import itertools
import struct

import pytest

from rollout_viewer._frames.chunk import CHUNK_ROWS, parse
from rollout_viewer._page.build_messages import build_manifest, decode_chunks
from rollout_viewer._viewer.stream import PageStream

STEP_S = 0.02


def work_at_once(videos):
    """Encode what is wanted when it is asked for, not on a thread."""

    def wake():
        while videos.work() is not None:
            pass

    videos.wake = wake


def chunks_at_a_page(messages):
    """Return the chunks that a page has, as its ChunkCache takes them.

    Returns:
        (block, slot) -> a chunk, as far as it came; and those of which a part is shown
        beside it.
    """
    held, pending = {}, {}
    for message in messages:
        if message.content["kind"] != "data":
            continue
        are_pending = message.content.get("pending", ())
        for block, slot, data in decode_chunks(message.buffers[4]):
            key, new = (block, slot), parse(bytes(data))
            have = len(held[key].kinds) if key in held else 0
            stop = new.first + len(new.kinds)
            is_pending = [block, slot] in are_pending
            if new.first > (0 if is_pending else have) or stop <= have:
                continue
            if new.first:
                kinds = [*held[key].kinds, *new.kinds[have - new.first :]]
                records = [*held[key].records, *new.records[have - new.first :]]
                new = held[key]._replace(kinds=kinds, records=records)
            (pending if is_pending else held)[key] = new
            if key in pending and stop >= len(pending[key].kinds) and not is_pending:
                del pending[key]
    return held, pending


class Link:
    """A page at the other end of a link, and the stream at this one."""

    def __init__(self, cache, bytes_per_s, delay_s, *, begin=True, quality="auto"):
        self.now = 0.0
        self.bytes_per_s = bytes_per_s
        self.delay_s = delay_s
        self.chunks = {}  # when the last record of each came
        self.have = {}  # how many records of each came
        self.num_twice = 0
        self.num_bytes = 0
        self.messages = []  # content and buffers of each, as they came
        self.is_dropping = False
        self._free_at = 0.0
        self._number = itertools.count()
        self._events = []  # (when, number, what is done then)
        self.stream = PageStream(
            cache,
            make_manifest=lambda: build_manifest(cache, title="t"),
            send=self._send,
            on_message=lambda message: None,
            on_error=pytest.fail,
            clock=lambda: self.now,
        )
        self.stream.set_quality(quality)
        # In place of its thread: done when it is asked for.
        work_at_once(self.stream._previews._videos)
        self.num_slots = len(cache.recording.slots)
        if begin:
            hello = {"kind": "hello", "protocol": 1, "version": "0", "page": "p"}
            self.say({**hello, "beginning": 1})

    def _at(self, when, do):
        heapq.heappush(self._events, (when, next(self._number), do))

    def _send(self, message):
        size = 200 + sum(map(len, message.buffers))
        self.num_bytes += size
        self._free_at = max(self.now, self._free_at) + size / self.bytes_per_s
        self._at(self._free_at + self.delay_s, lambda: self._arrive(message))

    def _arrive(self, message):
        if self.is_dropping:
            return
        self.messages.append(message)
        if message.content["kind"] != "data":
            return
        for block, slot, chunk in decode_chunks(message.buffers[4]):
            if [block, slot] in message.content.get("pending", ()):
                continue  # kept beside
            first, count = struct.unpack_from("<BB", chunk, 3)
            self.num_twice += first < self.have.get((block, slot), 0)
            self.have[block, slot] = first + count
            if first + count == CHUNK_ROWS:
                self.chunks.setdefault((block, slot), self.now)
        self.say({"kind": "ack", "seq": message.content["seq"]})

    def say(self, content):
        self._at(self.now + self.delay_s, lambda: self.stream.receive(content))

    def run(self, seconds):
        """Let time pass."""
        until = self.now + seconds
        while self.now < until:
            self.now += STEP_S
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()
            self.stream.step()

    def ask(self, *blocks):
        wanted = [(b, s) for b in blocks for s in range(self.num_slots)]
        missing = [
            [*key, self.have.get(key, 0)] for key in wanted if key not in self.chunks
        ]
        self.say({"kind": "need", "chunks": missing})
        return wanted
