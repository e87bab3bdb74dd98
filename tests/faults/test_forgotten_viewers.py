"""A viewer that is in no page costs nothing; one that is shown again works again."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import NamedTuple

import numpy as np
import pytest
from comm import get_comm_manager
from ipywidgets import VBox
from ipywidgets.widgets import widget as registry

import rollout_viewer as rv
from rollout_viewer._viewer import stream, worker
from rollout_viewer.testing import CountingEnv, counting_recording
from tests.faults.survival import survives

pytestmark = survives(
    "hundreds of viewers that were shown and forgotten",
    kept="all recordings",
    lost="nothing",
    seen="no thread, descriptor or memory more than at the start",
)

NUM_VIEWERS = 1000 if os.environ.get("FAULTS") == "long" else 150
NUM_SHOWN = 1000 if os.environ.get("FAULTS") == "long" else 40


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(worker, "LINGER_S", 0.0)
    monkeypatch.setattr(stream, "POLL_S", 0.02)
    monkeypatch.setattr(stream, "MIN_INTERVAL_S", 0.0)


def wait_until(is_true, timeout_s=60):
    until = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < until
        time.sleep(0.005)


def threads():
    names = "rollout_viewer stream", "rollout_viewer jobs"
    return [t for t in threading.enumerate() if t.name in names]


def num_descriptors():
    return len(os.listdir("/proc/self/fd"))


class Held(NamedTuple):
    """How many of each this process has."""

    descriptors: int
    threads: int
    widgets: int

    @classmethod
    def now(cls):
        return cls(num_descriptors(), len(threads()), len(registry._instances))

    def assert_no_more_than(self, before):
        # Fewer is well: what an earlier test of this process had may close meanwhile.
        assert all(now <= then for now, then in zip(self, before, strict=True)), (
            f"{self}, and before {before}"
        )


def rss():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Page:
    """A page at the other end of a viewer's comm, as in Jupyter."""

    def __init__(self, viewer):
        data, _ = viewer._repr_mimebundle_()
        view = data["application/vnd.jupyter.widget-view+json"]
        self.comm_id = view["model_id"]
        self.sent = []
        comm = get_comm_manager().get_comm(self.comm_id)
        comm.publish_msg = self._take
        self.num_rows = 0

    def _take(self, kind, data=None, **_):
        content = (data or {}).get("content")
        if kind != "comm_msg" or content is None:
            return
        self.sent.append(content)
        if content["kind"] == "data":
            # First: a test that waits for rows goes on with messages of its own.
            self.say(kind="ack", seq=content["seq"])
            self.num_rows = max(self.num_rows, content["start"] + content["count"])
        elif content["kind"] == "beat":
            counts = {k: v for k, v in content.items() if k != "kind"}
            self.say(kind="have", page="p", **counts)

    def say(self, **content):
        """Send as a front end with subshells, whose messages wait for no cell."""
        thread = threading.Thread(target=self.say_after_the_cell, kwargs=content)
        thread.start()
        thread.join()

    def say_after_the_cell(self, **content):
        """Send as a front end without subshells."""
        data = {"method": "custom", "content": content}
        message = {"content": {"comm_id": self.comm_id, "data": data}, "buffers": []}
        get_comm_manager().comm_msg(None, None, message)

    def hello(self, beginning=1):
        self.say(kind="hello", protocol=1, version="0", page="p", beginning=beginning)
        return self

    def hide(self):
        self.say(kind="hidden", page="p")

    def close_comm(self):
        message = {"content": {"comm_id": self.comm_id, "data": {}}}
        get_comm_manager().comm_close(None, None, message)


def test_a_viewer_that_is_never_shown_is_not_kept(tmp_path):
    rv.view(rv.rollout(CountingEnv(), max_steps=3, progress=False)).to_html(
        tmp_path / "0.html"
    )
    gc.collect()
    held = Held.now()

    for _ in range(NUM_VIEWERS // 10):
        cache = rv.rollout(CountingEnv(), max_steps=3, progress=False)
        rv.view(cache).to_html(tmp_path / "one.html")
        del cache
        gc.collect()  # of the environment and its cache

    Held.now().assert_no_more_than(held)


def test_forgotten_viewers_do_not_slow_an_append():
    cache = counting_recording(3, 1)

    for _ in range(NUM_VIEWERS):
        rv.view(cache)
    assert len(cache._subscribers) == 0

    for _ in range(NUM_VIEWERS):
        Page(rv.view(cache)).hello().hide()
    wait_until(lambda: not len(cache._subscribers))
    wait_until(lambda: not threads())
    for widget in list(registry._instances.values()):
        widget.close()


@pytest.mark.timeout(900)  # the long form
def test_viewers_that_are_shown_hidden_and_closed_leave_nothing():
    def show(number):
        viewer = rv.view(counting_recording(3, 1))
        page = Page(viewer).hello()
        wait_until(lambda: page.num_rows == 3)
        if number % 2:
            page.hide()
        page.close_comm()

    for number in range(10):
        show(number)
    wait_until(lambda: not threads())
    gc.collect()
    held, used = Held.now(), rss()

    for number in range(NUM_SHOWN):
        show(number)
        if number % 50 == 0:
            gc.collect()  # anywidget makes a class for each widget

    wait_until(lambda: not threads())
    gc.collect()
    Held.now().assert_no_more_than(held)
    # Each had 1.2 MB.
    assert rss() - used < 20e6


def test_a_hidden_viewer_has_no_thread_and_works_when_it_is_shown_again():
    cache = counting_recording(3, 1)
    viewer = rv.view(cache)
    page = Page(viewer).hello()
    wait_until(lambda: page.num_rows == 3)
    assert threads()

    page.hide()
    wait_until(lambda: not threads())
    assert len(cache._subscribers) == 0
    cache.append(np.zeros((1, *cache.frame_size(0), 3), np.uint8))
    cache.bookmark(2, "here")
    assert not threads()

    page.hello()
    wait_until(lambda: page.num_rows == 4)
    assert viewer.bookmarks == [2]
    assert len(cache._subscribers) == 1
    viewer.close()


def test_a_hidden_viewer_that_could_not_say_that_it_is_back_is_sent_new_rows():
    cache = counting_recording(3, 1)
    viewer = rv.view(cache)
    page = Page(viewer).hello()
    wait_until(lambda: page.num_rows == 3)

    page.say_after_the_cell(kind="hidden", page="p")
    wait_until(lambda: not threads())
    cache.append(np.zeros((1, *cache.frame_size(0), 3), np.uint8))

    wait_until(lambda: page.num_rows == 4)
    viewer.close()


def test_a_viewer_that_a_page_shows_needs_no_name_in_the_kernel():
    page = Page(rv.view(counting_recording(3, 1))).hello()
    gc.collect()
    wait_until(lambda: page.num_rows == 3)

    page.say(kind="inspect", env=0, start=0)
    wait_until(lambda: page.sent[-1]["kind"] == "details")
    page.hello(beginning=2)  # the page was loaded again
    wait_until(lambda: [m["kind"] for m in page.sent].count("manifest") == 2)
    page.close_comm()


def test_a_viewer_in_another_widget_is_opened_with_it():
    viewer = rv.view(counting_recording(3, 1))
    assert viewer.comm is None

    box = VBox([viewer])

    assert viewer.comm is not None
    assert f"IPY_MODEL_{viewer.model_id}" in box.get_state()["children"]
    box.close()
    viewer.close()


def test_a_viewer_of_what_has_ended_has_no_thread_while_it_is_looked_at():
    cache = counting_recording(3, 1)
    cache.close()
    page = Page(rv.view(cache)).hello()
    wait_until(lambda: page.num_rows == 3)
    wait_until(lambda: not threads())

    page.say(kind="need", chunks=[[0, 0, 0]])
    before = len(page.sent)
    wait_until(lambda: len(page.sent) > before)
    wait_until(lambda: not threads())
    page.close_comm()


def test_a_closed_viewer_says_so():
    viewer = rv.view(counting_recording(3, 1))

    viewer.close()

    bundle = viewer._repr_mimebundle_()
    assert bundle["text/plain"] == (
        "This viewer was closed: rv.view(...) makes a new one."
    )
    assert bundle["text/html"] == f"<p>{bundle['text/plain']}</p>"
    assert sorted(bundle) == ["text/html", "text/plain"]
    assert viewer.comm is None
    assert not threads()


def test_a_worker_begins_again_whenever_it_is_woken():
    done, lock = [], threading.Lock()

    class Counting(worker.Worker):
        def work(self):
            with lock:
                done.append(None)

    counting = Counting("rollout_viewer jobs")
    counting.start()
    for number in range(500):
        counting.wake()
        wait_until(lambda number=number: len(done) > number)
    wait_until(lambda: not threads())
    counting.close()
    counting.wake()
    assert not threads()


def test_what_is_woken_in_the_moment_in_which_it_ends_works_again(monkeypatch):
    monkeypatch.setattr(worker, "LINGER_S", 0.01)
    done = []

    class Counting(worker.Worker):
        def work(self):
            done.append(None)

    class Late(threading.Event):
        def is_set(self):
            found = super().is_set()
            if len(done) == 1 and not found:
                counting.wake()  # as another thread does, after this was asked
            return found

    counting = Counting("rollout_viewer jobs")
    counting._wake = Late()
    counting.start()
    counting.wake()
    wait_until(lambda: len(done) > 1)
    wait_until(lambda: not threads())
    counting.close()
