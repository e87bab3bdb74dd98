"""Pictures that are rendered while a page looks at them."""

import pathlib
import threading
import time

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._errors import ExportCancelled
from rollout_viewer._frames.chunk import ABSENT, parse
from rollout_viewer._viewer import stream
from tests.later_envs import HEIGHT, WIDTH, Steps, record_steps
from tests.test_page_stream import Page


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(stream, "MIN_INTERVAL_S", 0.0)


class LookingPage(Page):
    """A page that says again and again what it looks at, until something is there."""

    def __init__(self, cache):
        super().__init__(cache, renders=True)

    def look(self, *wanted, until):
        while not until():
            need = {"kind": "need", "chunks": [], "wanted": [list(w) for w in wanted]}
            self.pump.receive(need)
            # As of other chunks that may be lost: it stops nothing.
            self.pump.receive({"kind": "need", "chunks": [[0, 0, 0]]})
            self.step()
            time.sleep(0.02)
        return self

    def shown(self, block):
        """Return which rows of a block the page shows, by its newest message."""
        pieces = [chunk for b, _, chunk in self.pieces if b == block]
        if not pieces:
            return []
        return [n for n, kind in enumerate(parse(pieces[-1]).kinds) if kind != ABSENT]


class OthersWait(Steps):
    """Its pictures come when there is a file; those of steps 0 and 69 at once."""

    def render(self):
        if self._step in (0, 69):
            return np.full((HEIGHT, WIDTH, 3), self._step, np.uint8)
        return super().render()


def test_the_row_that_is_looked_at_comes_first_and_then_its_block(tmp_path):
    gate = tmp_path / "gate"
    cache = record_steps(99, make_env=lambda: OthersWait(str(gate)))
    page = LookingPage(cache).hello()
    page.look((2, 0, 5), until=lambda: page.shown(2))
    first = page.shown(2)
    pending = [m.content["pending"] for m in page.data if "pending" in m.content]
    gate.touch()

    page.look((2, 0, 5), until=lambda: len(page.shown(2)) == 32)

    assert first == [5]
    assert pending == [[[2, 0]]]
    assert "pending" not in page.data[-1].content
    assert cache[69, 0].shape == (HEIGHT, WIDTH, 3)
    assert (cache[69, 0] == 69).all()
    # no page looked there
    assert not cache.has_picture(33, 0)


def test_a_page_without_any_picture_gets_a_first_one():
    cache = record_steps(40)
    page = LookingPage(cache).hello()
    assert page.messages[0].content["slots"] == []

    while not cache.slots:
        page.step()
        time.sleep(0.02)

    page.step()
    assert page.messages[-1].content["slots"][0]["height"] == HEIGHT
    assert cache.has_picture(0, 0)


def test_what_is_looked_at_no_more_is_stopped(tmp_path):
    gate = tmp_path / "gate"
    cache = record_steps(99, str(gate))
    page = LookingPage(cache).hello()
    # The first is on its way, and waits for the gate.
    background = cache._rendering.background
    page.look((0, 0, 0), until=lambda: background._thread is not None)

    page.pump.receive({"kind": "need", "chunks": [], "wanted": [[2, 0, 0]]})
    cache.want_pictures([(64, 0)])
    gate.touch()
    while not cache.is_shown(64, 0) if cache.slots else True:
        cache.want_pictures([(64, 0)])
        time.sleep(0.02)

    # But for the one that was just being made.
    assert not any(cache.has_picture(row, 0) for row in range(1, 32))


def test_what_is_looked_at_no_more_is_stopped_and_its_process_goes_on(tmp_path):
    log = tmp_path / "log"
    cache = record_steps(200, make_env=lambda: Slow(log=str(log)))
    cache.want_pictures([(40, 0)])
    while not (cache.slots and cache.is_shown(41, 0)):
        cache.want_pictures([(40, 0)])
        time.sleep(0.01)

    while not cache.is_shown(100, 0):
        cache.want_pictures([(100, 0)])
        time.sleep(0.01)

    shown = [row for row in range(32, 64) if cache.is_shown(row, 0)]
    assert shown == list(range(40, 40 + len(shown)))
    assert len(shown) < 24
    steps = [line for line in log.read_text().splitlines() if "step" in line]
    assert len(set(steps)) == 1
    assert len(steps) < 200


class Slow(Steps):
    """Each picture takes longer than it is to see that it is not wanted."""

    def render(self):
        time.sleep(0.1)
        return super().render()


def test_rows_that_are_not_reproducible_are_said_to_the_page():
    cache = record_steps(40, wrong_from=10)
    page = LookingPage(cache).hello()
    while not cache.slots:
        page.step()
        time.sleep(0.02)

    def unmade():
        kinds = [m.content for m in page.messages if m.content["kind"] == "manifest"]
        return kinds[-1].get("not_reproducible")

    def is_whole():
        return bool(unmade()) and "pending" not in page.data[-1].content

    page.look((0, 0, 20), until=is_whole)

    assert page.shown(0) == list(range(10))
    [[env, start, stop, reason]] = unmade()
    assert (env, start) == (0, 10)
    assert stop >= 32
    assert reason.startswith("its obs was recorded as [")
    assert cache.at(10, 0).picture_state == f"not reproducible: {reason}"


def test_an_environment_that_cannot_be_made_is_reported_once():
    cache = record_steps(5, make_env=lambda: pathlib.Path("/no/driver").read_text())
    page = LookingPage(cache).hello()
    while not page.errors:
        page.step()
        time.sleep(0.02)

    page.step()

    [error] = page.errors
    assert isinstance(error, rv.RenderError)
    assert "/no/driver" in str(error)
    assert not cache.renders_pictures


def test_a_file_from_elsewhere_is_not_rendered_for_a_page(tmp_path):
    path = tmp_path / "a.rollout"
    record_steps(5, cache=path).close()

    opened = rv.open(path)

    assert not opened.renders_pictures
    assert not opened.is_pending(0, 0)


def test_an_export_of_a_page_renders_first_and_says_how_far_it_is(tmp_path):
    cache = record_steps(40)
    viewer = rv.view(cache)
    seen = []

    path = viewer._dumps.download(
        cache,
        tmp_path,
        0,
        41,
        "npz",
        lambda done, total, unit="rows": seen.append((done, total, unit)),
        threading.Event(),
    )

    assert (41, 41, "pictures") in seen
    assert seen[-1] == (41, 41, "rows")
    frames = np.load(path)["frames"]
    assert frames[:, 0, 0, 0].tolist() == list(range(41))


def test_an_export_is_cancelled_while_it_renders(tmp_path):
    cache = record_steps(40, str(tmp_path / "never"))
    viewer = rv.view(cache)
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()

    with pytest.raises(ExportCancelled):
        viewer._dumps.download(cache, tmp_path, 0, 41, "npz", lambda *_: None, cancel)

    assert list(tmp_path.iterdir()) == []


def test_a_table_needs_no_pictures(tmp_path):
    cache = record_steps(5)

    path = rv.view(cache)._dumps.download(
        cache, tmp_path, 0, 6, "csv", lambda *_: None, threading.Event()
    )

    assert path.exists()
    assert not cache.slots
