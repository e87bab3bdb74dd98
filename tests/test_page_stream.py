"""What a page receives: everything once, newest first where it cannot answer."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import ABSENT, CHUNK_ROWS, join, parse
from rollout_viewer._page.build_messages import (
    build_manifest,
    decode_chunks,
)
from rollout_viewer._page.check_messages import check
from rollout_viewer._page.offline import recording_messages
from rollout_viewer._viewer import stream, throughput
from rollout_viewer._viewer.pages import HELLO_TIMEOUT_S
from rollout_viewer._viewer.stream import (
    ACK_TIMEOUT_S,
    UNACKNOWLEDGED_INTERVAL_S,
    PageStream,
)


class Page:
    """A page that keeps what it is sent and answers as told."""

    def __init__(self, cache, **manifest):
        self.cache = cache
        self.messages = []
        self.now = 0.0
        self.beginning = 0
        self.is_deaf = False
        self.waits_for_cells = False
        self.errors = []
        self.other = []
        self.pump = PageStream(
            cache,
            make_manifest=lambda: build_manifest(cache, title="t", **manifest),
            send=self.take,
            on_message=self.other.append,
            on_error=self.errors.append,
            clock=lambda: self.now,
        )

    def take(self, message):
        self.messages.append(message)
        if message.content["kind"] == "data" and not self.is_deaf:
            self.pump.receive({"kind": "ack", "seq": message.content["seq"]})

    def hello(self):
        self.beginning += 1
        return self.say_hello()

    def say_hello(self):
        hello = {"kind": "hello", "protocol": 1, "version": "0", "page": "p"}
        hello["beginning"] = self.beginning
        self.pump.receive(hello, waits_for_cells=self.waits_for_cells)
        return self.step()

    def step(self):
        while True:
            before = len(self.messages)
            self.pump.step()
            if len(self.messages) == before:
                return self

    @property
    def data(self):
        return [m for m in self.messages if m.content["kind"] == "data"]

    @property
    def pieces(self):
        return [p for m in self.data for p in decode_chunks(m.buffers[4])]

    def chunks(self):
        found = {}
        for block, slot, chunk in self.pieces:
            pieces = found.setdefault((block, slot), [])
            if parse(chunk).first == 0:
                pieces.clear()
            pieces.append(chunk)
        return {key: join(pieces) for key, pieces in found.items()}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(stream, "MIN_INTERVAL_S", 0.0)


def record(cache, num_rows, num_envs=2):
    rng = np.random.default_rng(cache.num_rows)
    for _ in range(num_rows):
        cache.append(
            rng.integers(0, 256, (num_envs, 8, 6, 3), np.uint8),
            reward=np.arange(num_envs) + 0.5,
        )
    return cache


def test_a_page_gets_the_manifest_and_then_everything_once():
    cache = record(rv.FrameCache(), 75)
    page = Page(cache).hello()

    assert page.messages[0].content["kind"] == "manifest"
    assert [m.content["seq"] for m in page.data] == list(range(len(page.data)))
    assert sorted(page.chunks()) == [(b, s) for b in range(3) for s in range(2)]
    for (block, slot), chunk in page.chunks().items():
        assert chunk == cache.recording.chunk(block, slot)
    steps = np.concatenate([np.frombuffer(m.buffers[2]) for m in page.data])
    np.testing.assert_array_equal(steps.reshape(75, 2), cache.scalars["reward"])
    assert not page.errors


def test_how_one_message_came_says_nothing_of_the_one_before():
    cache = record(rv.FrameCache(), 3)
    page = Page(cache).hello()

    page.pump.receive({"kind": "hidden", "page": "p"}, waits_for_cells=True)
    page.pump.receive({"kind": "ack", "seq": 0})
    page.step()
    record(cache, 1)
    page.step()

    # It could not say, while a cell runs, that it is shown again.
    assert sum(m.content["count"] for m in page.data) == 4


def test_rows_that_come_later_travel_as_pieces():
    cache = record(rv.FrameCache(), 3)
    page = Page(cache).hello()
    before = len(page.pieces)

    record(cache, 1)
    page.step()

    assert [parse(c).first for _, _, c in page.pieces[before:]] == [3, 3]
    assert page.data[-1].content["start"] == 3
    record(cache, CHUNK_ROWS)
    page.step()
    for (block, slot), chunk in page.chunks().items():
        assert chunk == cache.recording.chunk(block, slot)


def test_a_page_that_comes_again_gets_everything_again():
    cache = record(rv.FrameCache(), 40)
    page = Page(cache).hello()
    page.messages.clear()

    page.hello()

    assert page.messages[0].content["kind"] == "manifest"
    assert page.data[0].content["seq"] == 0
    assert len(page.chunks()) == 4


def test_a_hello_that_was_held_up_by_a_cell_changes_nothing():
    page = Page(record(rv.FrameCache(), 40)).hello()
    page.messages.clear()

    page.say_hello()

    assert page.messages == []


def test_what_the_page_asks_for_comes_first():
    cache = record(rv.FrameCache(), 200)
    page = Page(cache).hello()
    page.messages.clear()

    page.pump.receive({"kind": "need", "chunks": [[2, 1, 0], [0, 0, 30]]})
    page.step()

    assert [(b, s, parse(c).first) for b, s, c in page.pieces] == [
        (2, 1, 0),
        (0, 0, 30),
    ]


def test_a_page_that_does_not_answer_is_sent_a_window_and_then_the_newest(monkeypatch):
    monkeypatch.setattr(throughput, "MESSAGE_BYTES", 2000)
    monkeypatch.setattr(throughput, "WINDOW_BYTES", 10_000)
    cache = record(rv.FrameCache(), 320)
    page = Page(cache)
    page.is_deaf = page.waits_for_cells = True

    page.hello()
    in_window = len(page.data)
    assert len(page.chunks()) < 20

    record(cache, 2)
    page.step()
    assert len(page.data) == in_window
    page.now += ACK_TIMEOUT_S + 0.1
    page.step()

    assert len(page.data) == in_window + 1
    assert max(block for block, _, _ in page.pieces) == 322 // CHUNK_ROWS
    page.now += UNACKNOWLEDGED_INTERVAL_S
    page.step()
    assert len(page.data) == in_window + 2


def test_an_empty_block_of_an_env_is_sent_as_absent_and_not_asked_for_again():
    cache = rv.FrameCache()
    frame = np.zeros((1, 8, 8, 3), np.uint8)
    for row in range(40):
        cache.append(frame if row > 35 else None)
    page = Page(cache).hello()

    assert set(parse(page.chunks()[0, 0]).kinds) == {5}


def test_the_manifest_is_sent_again_when_it_changes():
    cache = record(rv.FrameCache(), 3)
    page = Page(cache).hello()

    cache.close()
    page.step()

    lives = [
        m.content["is_live"] for m in page.messages if m.content["kind"] == "manifest"
    ]
    assert lives == [True, False]


def test_a_cleared_recording_starts_anew():
    cache = record(rv.FrameCache(), 40)
    page = Page(cache).hello()
    page.messages.clear()

    cache.clear()
    record(cache, 2, num_envs=1)
    page.step()

    assert page.messages[0].content["kind"] == "manifest"
    assert page.data[0].content["seq"] == 0
    assert page.data[0].content["count"] == 2


def test_a_page_that_cannot_say_hello_is_served_all_the_same():
    page = Page(record(rv.FrameCache(), 40))
    page.pump.expect_page()
    page.step()
    assert not page.messages

    page.now += HELLO_TIMEOUT_S + 0.1
    page.step()

    assert len(page.chunks()) == 4
    page.messages.clear()
    page.hello()
    assert page.data[0].content["seq"] == 0


@pytest.mark.parametrize(
    "content",
    [None, {}, {"kind": "nonsense"}, {"kind": "ack"}, {"kind": "need", "chunks": 3}],
)
def test_a_message_that_is_none_is_an_error_of_the_page(content):
    with pytest.raises(rv.ProtocolError, match="Reload the page"):
        check(content)


def test_other_messages_are_handed_on():
    page = Page(record(rv.FrameCache(), 3)).hello()
    cancel = {"kind": "cancel", "job": 3}

    page.pump.receive(cancel)
    page.step()

    assert page.other == [cancel]


@pytest.mark.parametrize("column", ["data", "directory"])
def test_what_is_damaged_is_told_once_and_the_rest_is_sent(tmp_path, column):
    path = tmp_path / "x.rollout"
    record(rv.FrameCache(path), 200).close()
    with sqlite3.connect(path) as connection:
        for block in (1, 3):
            pack = block << 16
            (blob,) = connection.execute(
                f"SELECT {column} FROM packs WHERE id = ?", (pack,)
            ).fetchone()
            at = 60 if column == "data" else 5
            blob = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
            connection.execute(
                f"UPDATE packs SET {column} = ? WHERE id = ?", (blob, pack)
            )
    connection.close()
    cache = rv.open(path)

    page = Page(cache).hello()

    chunks = page.chunks()
    damaged = [(1, 0), (3, 0)]
    if column == "directory":
        damaged += [(1, 1), (3, 1)]
    for key in [(block, slot) for block in range(7) for slot in range(2)]:
        kinds = parse(chunks[key]).kinds
        assert (set(kinds) == {ABSENT}) == (key in damaged)
    assert page.data[-1].content["num_rows"] == 200
    assert len(page.errors) == 1
    assert "shown as missing" in str(page.errors[0])
    page.hello()
    assert len(page.errors) == 2


def test_a_page_for_a_file_says_what_is_damaged_and_has_the_rest(tmp_path):
    path = tmp_path / "x.rollout"
    record(rv.FrameCache(path), 40).close()
    with sqlite3.connect(path) as connection:
        (blob,) = connection.execute("SELECT data FROM packs WHERE id = 0").fetchone()
        blob = blob[:60] + bytes([blob[60] ^ 1]) + blob[61:]
        connection.execute("UPDATE packs SET data = ? WHERE id = 0", (blob,))
    connection.close()

    with pytest.warns(rv.RolloutViewerWarning, match="got 1 damaged chunks"):
        messages = list(recording_messages(rv.open(path)))

    chunks = {
        (block, slot): set(parse(chunk).kinds)
        for message in messages[1:]
        for block, slot, chunk in decode_chunks(message.buffers[4])
    }
    assert [key for key, kinds in chunks.items() if kinds == {ABSENT}] == [(0, 0)]
    assert len(chunks) == 4


def test_of_many_sizes_a_page_gets_those_that_a_block_shows():
    cache = rv.FrameCache()
    page = Page(cache).hello()
    for row in range(200):
        height = 4 + row // 10
        frame = np.full((height, 6, 3), row, np.uint8)
        cache.append([frame], reset=[row % 10 == 0], reward=[0])
        if row % 3 == 0:
            page.step()
    page.step()

    assert page.errors == []
    assert len(cache.slots) == 20
    assert len(page.messages[0].content["slots"]) == 0
    chunks = page.chunks()
    assert len(chunks) < 7 * 7  # of 7 blocks x 20 slots
    for row in range(200):
        block, index = divmod(row, CHUNK_ROWS)
        shown = [
            slot
            for slot in range(20)
            if (block, slot) in chunks
            and parse(chunks[block, slot]).kinds[index : index + 1]
            not in ([], [ABSENT])
        ]
        assert shown == [row // 10]

    page.pump.receive({"kind": "need", "chunks": [[0, 19, 0]]})
    page.step()

    assert parse(page.chunks()[0, 19]).kinds == [ABSENT] * CHUNK_ROWS
