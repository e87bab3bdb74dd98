"""What arrives over a link that carries little: in virtual time, nothing waits here."""

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._viewer import stream
from rollout_viewer._viewer.throughput import (
    FIRST_WINDOW_BYTES,
    LEAST_WINDOW_BYTES,
    WINDOW_BYTES,
)
from tests.links import Link

NUM_ROWS, NUM_ENVS = 1600, 4


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(stream, "MIN_INTERVAL_S", 0.0)


@pytest.fixture(scope="module")
def cache():
    """Return a recording of noise: 5 MB, 25 kB a chunk."""
    rng = np.random.default_rng(0)
    cache = rv.FrameCache()
    for _ in range(NUM_ROWS):
        frames = rng.integers(0, 256, (NUM_ENVS, 16, 16, 3), np.uint8)
        cache.append(frames, reward=np.ones(NUM_ENVS))
    return cache


def test_what_a_page_asks_for_does_not_wait_behind_what_it_did_not(cache):
    link = Link(cache, 250e3, 0.05)
    link.run(4)
    asked = link.now

    wanted = link.ask(45)
    link.run(4)

    # 100 kB of it, and what was on its way before: half a second's.
    assert max(link.chunks[key] for key in wanted) - asked < 1.5
    # The link is never idle: all that it carries is of use.
    carried = 250e3 * link.now
    assert sum(25e3 for _ in link.chunks) > 0.8 * carried


def test_nothing_is_sent_twice_to_a_page_that_asks_again(cache):
    link = Link(cache, 250e3, 0.05)

    for _ in range(6):
        link.run(1)
        link.ask(30, 31, 32)

    assert len(link.chunks) > 40
    assert link.num_twice == 0


def test_what_a_page_has_passed_is_not_sent_before_where_it_is(cache):
    link = Link(cache, 100e3, 0.05)
    link.run(2)
    link.ask(*range(20, 26))  # six seconds of it
    link.run(1)

    # It moved on, and asks for that only.
    for _ in range(6):
        wanted = link.ask(45, 46)
        link.run(1)
    link.run(3)  # for the rest, from the first on

    passed = [(b, s) for b in range(20, 26) for s in range(NUM_ENVS)]
    assert all(key in link.chunks for key in wanted)
    assert sum(key in link.chunks for key in passed) < len(passed) / 2


def test_a_slow_link_is_not_taken_for_a_page_that_cannot_answer(cache):
    link = Link(cache, 50e3, 0.3)

    link.run(40)

    # In order from the first; a page that cannot answer is sent the newest.
    blocks = [block for block, _ in link.chunks]
    assert blocks == sorted(blocks)
    assert len(blocks) > 40
    assert link.num_twice == 0


@pytest.mark.parametrize(
    ("bytes_per_s", "delay_s", "least", "most"),
    [
        (100e6, 0.01, WINDOW_BYTES, WINDOW_BYTES),
        (1.25e6, 0.1, 500e3, 1.3e6),
        (250e3, 0.05, 100e3, 300e3),
        (10e3, 0.05, LEAST_WINDOW_BYTES, LEAST_WINDOW_BYTES),
    ],
)
def test_as_much_is_on_its_way_as_a_link_carries_in_half_a_second(
    cache, bytes_per_s, delay_s, least, most
):
    link = Link(cache, bytes_per_s, delay_s)

    link.run(3 if bytes_per_s > 5e4 else 120)

    assert least <= link.stream._throughput.window_bytes <= most


def test_the_first_rows_come_first_and_the_last_ones_of_a_finished_recording_too(cache):
    link = Link(cache, 1.25e6, 0.05)

    link.run(8)

    assert len(link.chunks) == NUM_ENVS * NUM_ROWS / CHUNK_ROWS
    assert list(link.chunks)[:NUM_ENVS] == [(0, slot) for slot in range(NUM_ENVS)]


def test_before_a_link_is_known_it_gets_no_more_than_it_may_carry_at_once(cache):
    link = Link(cache, 20e3, 0.05)

    link.run(1)

    # Nothing is acknowledged yet: as much as the first window, and a message of it.
    assert not link.stream.stats["acks"]
    assert link.stream.stats["bytes"] < 2 * FIRST_WINDOW_BYTES
