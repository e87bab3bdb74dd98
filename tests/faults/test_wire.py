"""A wire that loses, doubles, cuts and reorders: in the end the page has everything.

The kernel's side is the real `PageStream`; the page keeps the rules of
js/src/session/received.ts, which js/test/wire.test.ts tries in the same way.
"""

from __future__ import annotations

import contextlib
import os
import random
import struct

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._page.build_messages import build_manifest, decode_chunks
from rollout_viewer._viewer import delivery, stream, throughput
from rollout_viewer._viewer.stream import PageStream
from tests.faults.survival import survives

pytestmark = survives(
    "a connection that drops, doubles, reorders or cuts messages",
    kept="every row, in the page too",
    lost="nothing",
    seen="the rows, a little later",
)

NUM_SEEDS = 60 if os.environ.get("FAULTS") == "long" else 6
NUM_ROWS = 400
COUNTS = ("manifest", "num_rows", "about", "marks")


class Page:
    """Keeps what comes without a gap, and asks for the rest."""

    def __init__(self, name):
        self.name = name
        self.begin("")

    def begin(self, session):
        self.session = session
        self.is_live = None
        self.has = dict.fromkeys(COUNTS, 0)
        self.sent = dict.fromkeys(COUNTS, 0)
        self.rewards = []
        self.segments = {}
        self.notes = {}
        self.chunks = {}
        self.ask_at, self.ask_after = 1.0, 1.0
        self.outbox = []

    def say(self, **content):
        self.outbox.append(content)

    def hello(self):
        self.say(kind="hello", protocol=1, version="0", page=self.name, beginning=1)

    def say_what_is_here(self):
        self.say(kind="have", page=self.name, session=self.session, **self.has)

    def take(self, content, buffers):
        # One that was cut changes nothing.
        with contextlib.suppress(struct.error, ValueError):
            getattr(self, f"_take_{content['kind']}")(content, buffers)

    def _expect(self, **counts):
        for name, count in counts.items():
            self.sent[name] = max(self.sent[name], count)

    def _take_manifest(self, content, _):
        if content["number"] < self.has["manifest"]:
            return
        if content["session"] != self.session:
            self.begin(content["session"])
        self.has["manifest"] = content["number"]
        self.is_live = content["is_live"]
        self._expect(manifest=content["number"], num_rows=content["num_rows"])

    def _take_data(self, content, buffers):
        if content["session"] != self.session:
            return
        rewards = np.frombuffer(buffers[2])
        chunks = list(decode_chunks(buffers[4]))
        if len(rewards) != content["count"] or sum(
            12 + len(c) + -len(c) % 4 for *_, c in chunks
        ) != len(buffers[4]):
            return
        self.chunks.update({(block, slot): c for block, slot, c in chunks})
        start, here = content["start"], len(self.rewards)
        if start <= here:
            self.rewards += rewards[here - start :].tolist()
        self.has["num_rows"] = len(self.rewards)
        self._expect(num_rows=content["num_rows"])
        self.say(kind="ack", seq=content["seq"])
        if "about" in content:
            start, stop = content["about"]
            if stop > self.has["about"]:
                for env, index, number in content["episodes"]:
                    self.segments[env, index] = content["infos"][number]
            if start <= self.has["about"]:
                self.has["about"] = max(stop, self.has["about"])
            self._expect(about=stop)
        if content.get("marks", -1) >= self.has["marks"]:
            self.notes, self.has["marks"] = content["bookmarks"], content["marks"]

    def _take_beat(self, content, _):
        if content["session"] == self.session:
            self._expect(**{name: content[name] for name in COUNTS})
        self.say_what_is_here()

    def tick(self, now):
        """Ask again where nothing has come of what is lacking."""
        if not self.session:
            self.hello()
        state = dict(self.has)
        if state != getattr(self, "before", None) or state == self.sent:
            self.before, self.ask_at, self.ask_after = state, now + 1.0, 1.0
        elif now >= self.ask_at:
            self.ask_after = min(2 * self.ask_after, 30.0)
            self.ask_at = now + self.ask_after
            self.say_what_is_here()


class Wire:
    """Hands messages over as a bad wire does; good, once `is_bad` is false."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.is_bad = True
        self._late = []

    def carry(self, arrive, content, buffers=()):
        what = self.random.random() if self.is_bad else 1.0
        if what < 0.15:
            return
        if what < 0.25:
            self._late.append((arrive, content, buffers))
        elif what < 0.32:
            cut = [b[: int(len(b) * self.random.random() / 8) * 8] for b in buffers]
            arrive(content, cut)
        else:
            arrive(content, buffers)
        if 0.32 < what < 0.42:
            arrive(content, buffers)
        if self._late and (not self.is_bad or self.random.random() < 0.3):
            late, self._late = self._late, []
            for one, *message in late:
                one(*message)


class Link:
    """The real stream of a cache, and pages at the other end of a bad wire."""

    def __init__(self, cache, seed, names=("p",)):
        self.now = 0.0
        self.wire = Wire(seed)
        self.pages = [Page(name) for name in names]
        self.errors = []
        self.num_messages = 0
        self.stream = PageStream(
            cache,
            make_manifest=lambda: build_manifest(cache, title="t"),
            send=self._send,
            on_message=lambda content: None,
            on_error=self.errors.append,
            clock=lambda: self.now,
        )
        for page in self.pages:
            page.hello()

    def _send(self, message):
        self.num_messages += 1
        for page in self.pages:
            self.wire.carry(page.take, message.content, message.buffers)

    def pass_time(self, seconds):
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            for page in self.pages:
                page.tick(self.now)
                said, page.outbox = page.outbox, []
                for content in said:
                    self.wire.carry(lambda one, _: self.stream.receive(one), content)
            self.stream.step()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stream, "MIN_INTERVAL_S", 0.0)
    monkeypatch.setattr(stream, "STEP_ROWS", 16)
    monkeypatch.setattr(throughput, "MESSAGE_BYTES", 300)


def record(cache, num_rows):
    for _ in range(num_rows):
        row = cache.num_rows
        with cache.segment(f"part {row // 20}"):
            frame = np.full((1, 8, 8, 3), row % 256, np.uint8)
            cache.append(frame, reward=[float(row)], reset=[row % 20 == 0])


def assert_has_everything(link, cache):
    rows = cache.recording.rows
    for page in link.pages:
        assert len(page.rewards) == cache.num_rows
        np.testing.assert_array_equal(page.rewards, cache.scalars["reward"][:, 0])
        assert page.is_live == cache.is_live
        assert page.notes == {str(k): v for k, v in cache.bookmarks.items()}
        for env, index in rows.described(0, rows.info_version):
            assert page.segments[env, index] == rows.info_of(env, index)
    assert link.stream._delivery.is_complete
    assert not link.stream._delivery.has_given_up
    assert not link.errors


@pytest.mark.parametrize("seed", range(NUM_SEEDS))
def test_a_page_on_a_bad_wire_has_everything_in_the_end(seed):
    cache = rv.FrameCache()
    record(cache, 100)
    link = Link(cache, seed, ["p", "q"] if seed % 3 == 2 else ["p"])
    for _ in range(30):
        link.pass_time(0.5)
        record(cache, 10)
        cache.bookmark(cache.num_rows - 1, "here")
    cache.label(cache.episodes[2], good=True)
    for row in list(cache.bookmarks)[::2]:
        cache.remove_bookmark(row)
    assert cache.num_rows == NUM_ROWS
    cache.close()

    link.pass_time(240)

    assert_has_everything(link, cache)


def over_a_good_wire():
    """Return a recording of 50 rows, and its link to a page that nothing disturbs."""
    cache = rv.FrameCache()
    record(cache, 50)
    link = Link(cache, 0)
    link.wire.is_bad = False
    return cache, link


def test_the_last_messages_alone_are_lost():
    cache, link = over_a_good_wire()
    link.pass_time(2)
    assert len(link.pages[0].rewards) == 50
    carry, link.wire.carry = link.wire.carry, lambda *_: None

    record(cache, 30)
    cache.bookmark(3, "lost")
    cache.close()
    link.stream.step()
    link.wire.carry = carry
    assert len(link.pages[0].rewards) == 50
    link.pass_time(5)

    assert_has_everything(link, cache)


def test_a_cleared_recording_replaces_what_was_there():
    cache = rv.FrameCache()
    record(cache, 50)
    cache.bookmark(3, "old")
    link = Link(cache, 4)
    link.pass_time(3)

    cache.clear()
    record(cache, 20)
    link.pass_time(120)

    assert_has_everything(link, cache)
    assert link.pages[0].session == cache.session


def test_a_page_that_has_everything_is_sent_nothing_more():
    _, link = over_a_good_wire()
    link.pass_time(5)
    before = link.num_messages

    link.pass_time(600)

    assert link.num_messages == before


def test_a_page_that_is_gone_is_asked_a_few_times_and_no_more():
    _, link = over_a_good_wire()
    link.pass_time(0.1)
    link.pages.clear()
    before = link.num_messages

    link.pass_time(1000)

    assert link.num_messages - before <= delivery.MAX_BEATS
    assert link.stream._delivery.has_given_up
    link.stream._is_closed = True
