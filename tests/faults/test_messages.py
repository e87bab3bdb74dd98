"""Whatever a page sends, it is checked first, costs little and ends nothing."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from typing import Any, get_args, get_type_hints

import pytest
import traitlets
from hypothesis import given, settings
from hypothesis import strategies as st

import rollout_viewer as rv
from rollout_viewer._page.check_messages import MAX_CHUNKS, RULES, check
from rollout_viewer._page.protocol import PageMessage
from rollout_viewer._viewer import stream
from rollout_viewer.testing import counting_recording
from tests.faults.survival import survives

pytestmark = survives(
    "a page that sends anything",
    kept="recording, viewer and files",
    lost="nothing",
    seen="the error in the page, once a second at most",
)

NUM_EXAMPLES = 300 if os.environ.get("FAULTS") == "long" else 40

GOOD: dict[str, dict[str, Any]] = {
    "hello": {
        "protocol": 1,
        "version": "0",
        "page": "p",
        "beginning": 1,
        "as_text": False,
    },
    "hidden": {"page": "other"},
    "have": {
        "page": "p",
        "session": "s",
        "manifest": 1,
        "num_rows": 1,
        "about": 0,
        "marks": 0,
    },
    "ack": {"seq": 0},
    "need": {"chunks": [[0, 0, 0]], "wanted": [[0, 0, 0]]},
    "dump": {"job": 1, "formats": ["csv"], "start": 0, "stop": 3, "envs": [1]},
    "download": {"job": 2, "format": "csv", "start": 0, "stop": 3, "envs": None},
    "cancel": {"job": 1},
    "bookmark": {"row": 2, "note": "here"},
    "unbookmark": {"row": 2},
    "label": {"env": 0, "episode": 0, "labels": {"good": True}},
    "inspect": {"env": 0, "start": 0},
    "column": {"name": "action", "index": 0, "start": 0},
    "watch": {
        "codecs": ["vp8", "image/jpeg"],
        "rate": 30.0,
        "is_resting": False,
        "num_slots": 2,
        "reduction": 1,
        "rows": [[0, 0, 1]],
        "blocks": [[0, 0, 0, 0, 1]],
    },
    "part": {"name": "compare"},
    "parting": {"first": [0, 0], "other": [0, 1]},
    "stats": {"counts": {"drawn": 1}},
}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


BAD = [
    None,
    True,
    -1,
    0,
    3,
    2**53,
    2**70,
    -(2**70),
    float("nan"),
    float("inf"),
    0.5,
    "",
    "x" * 200_000,
    "../../../x",
    "x/../../../../y",
    "\0",
    "\ud800",
    [],
    [None],
    [[0, 0, 0]] * 2000,
    [[0, 0]],
    [[2**60, 0, 0]],
    [[0, 2**40, 32]],
    [[0, 0, 33]],
    [[0, 0, True]],
    ["csv", "x/../../y"],
    ["csv"] * 1000,
    {},
    {"a": nested(30)},
    {"a": float("nan")},
    {"a": 2**70},
    {"\ud800": "\ud800"},
    {str(i): i for i in range(10_000)},
    nested(100_000),
]


class Page:
    """What a viewer sends, and a way to wait for it."""

    def __init__(self, viewer):
        self.viewer = viewer
        self.messages = []
        self.beginning = 0
        self._changed = threading.Condition()
        viewer.open()
        viewer.send = self._take

    def _take(self, content, buffers=None):
        with self._changed:
            self.messages.append(content)
            self._changed.notify_all()

    def say(self, content):
        self.viewer._on_message(self.viewer, content, [])

    def wait(self, accept, timeout_s=30):
        with self._changed:
            return self._changed.wait_for(
                lambda: any(map(accept, self.messages)), timeout_s
            )

    def gets_all_rows(self):
        """Whether a page that begins anew is sent everything."""
        self.beginning += 1
        self.messages.clear()
        num_rows = self.viewer.cache.num_rows
        for _ in range(100):
            # As a page does, until it is answered.
            self.say({"kind": "hello", **GOOD["hello"], "beginning": self.beginning})
            if self.wait(
                lambda m: m["kind"] == "data" and m["count"] == num_rows, 0.25
            ):
                return True
        return False


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr(stream, "MIN_INTERVAL_S", 0.0)
    monkeypatch.setattr(stream, "ERROR_INTERVAL_S", 0.05)


@pytest.fixture
def page(tmp_path, no_waiting):
    folder = tmp_path / "a" / "b" / "logs"
    folder.mkdir(parents=True)
    logger = rv.CSVLogger("run", folder, video_format="gif")
    viewer = rv.view(counting_recording(5, 2), logger=logger, tag="t")
    yield Page(viewer)
    viewer.close()
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or path.is_relative_to(folder / "run"), path


def test_every_message_and_each_of_its_fields_has_a_rule():
    for message in get_args(PageMessage):
        hints = get_type_hints(message)
        (kind,) = get_args(hints.pop("kind"))
        assert RULES[kind].keys() == hints.keys() == GOOD[kind].keys()
        check({"kind": kind, **GOOD[kind]})
    assert len(RULES) == len(get_args(PageMessage))


@pytest.mark.parametrize("kind", RULES)
def test_a_wrong_value_in_any_field_is_refused_or_does_no_harm(page, kind):
    for field in GOOD[kind]:
        for value in BAD:
            page.say({"kind": kind, **GOOD[kind], field: value})
        page.say({k: v for k, v in {"kind": kind, **GOOD[kind]}.items() if k != field})

    assert page.gets_all_rows()


messages = st.one_of(
    st.sampled_from(sorted(GOOD)).flatmap(
        lambda kind: st.fixed_dictionaries(
            {
                "kind": st.just(kind),
                **{
                    field: st.one_of(st.just(good), st.sampled_from(BAD))
                    for field, good in GOOD[kind].items()
                },
            }
        )
    ),
    st.sampled_from([*BAD, {"kind": "nonsense"}, {"kind": 3}, {"kind": []}]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
        max_leaves=10,
    ),
)


def test_forged_messages_in_any_order_end_nothing(tmp_path, no_waiting):
    logger = rv.CSVLogger("run", tmp_path / "a" / "logs", video_format="gif")
    viewer = rv.view(counting_recording(5, 2), logger=logger, tag="t")
    page = Page(viewer)

    @settings(max_examples=NUM_EXAMPLES, deadline=None)
    @given(st.lists(messages, max_size=8))
    def send(forged):
        for content in forged:
            page.say(content)
        assert page.gets_all_rows()

    send()
    page.say({"kind": "dump", "job": 77, "formats": ["csv"], "start": 0, "stop": 5})
    assert page.wait(lambda m: m.get("job") == 77 and m["state"] == "done")
    viewer.close()
    inside = tmp_path / "a" / "logs" / "run"
    outside = [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and not path.is_relative_to(inside)
    ]
    assert not outside


def test_a_flood_of_bad_messages_is_reported_at_a_bounded_rate(page, monkeypatch):
    monkeypatch.setattr(stream, "ERROR_INTERVAL_S", 1.0)
    start = time.monotonic()
    for _ in range(20_000):
        page.say({"kind": "nonsense"})

    assert page.gets_all_rows()
    errors = [m for m in page.messages if m["kind"] == "error"]
    assert len(errors) <= time.monotonic() - start + 1


def test_a_page_that_asks_without_end_is_sent_rows_all_the_same(page):
    ended = threading.Event()

    def ask():
        while not ended.is_set():
            page.say({"kind": "inspect", "env": 0, "start": 0})

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert page.gets_all_rows()
    finally:
        ended.set()
        thread.join()


def test_a_huge_message_is_refused_at_once():
    chunks = [[0, 0, 0]] * 1_000_000
    start = time.thread_time()  # the machine may be busy with others

    with pytest.raises(rv.ProtocolError, match=f"at most {MAX_CHUNKS}") as error:
        check({"kind": "need", "chunks": chunks})

    assert time.thread_time() - start < 0.1
    assert len(str(error.value)) < 500
    with pytest.raises(rv.ProtocolError):
        check({"kind": "ack", "seq": 10**4000})
    assert sys.getrecursionlimit() < 100_000
    with pytest.raises(rv.ProtocolError):
        check(nested(100_000))


def test_asking_for_everything_again_and_again_keeps_no_more(page):
    assert page.gets_all_rows()
    wanted = [[n, n % 7, 0] for n in range(MAX_CHUNKS)]
    for _ in range(50):
        page.say({"kind": "need", "chunks": wanted})

    assert page.gets_all_rows()
    assert len(page.viewer._stream._requested) <= stream.MAX_REQUESTED
    assert len(page.viewer._stream._sent) <= 2


def test_two_jobs_of_one_number_and_far_too_many_end_no_thread(page):
    go_on = threading.Event()
    log_table = page.viewer.logger.log_table

    def slow(*args, **kwargs):
        assert go_on.wait(30)
        return log_table(*args, **kwargs)

    page.viewer.logger.log_table = slow
    dump = {"kind": "dump", "formats": ["csv"], "start": 0, "stop": 5}
    for job in [1, 1, *range(2, 150)]:
        page.say({**dump, "job": job})
    assert page.wait(lambda m: m.get("job") == 149 and m["state"] == "failed")
    for job in range(2, 150):
        page.say({"kind": "cancel", "job": job})
    page.say({"kind": "cancel", "job": 10**6})
    go_on.set()

    assert page.wait(lambda m: m.get("job") == 1 and m["state"] == "done")
    page.say({**dump, "job": 200})
    assert page.wait(lambda m: m.get("job") == 200 and m["state"] == "done")


def test_values_that_a_page_gives_traits_are_checked(page):
    viewer = page.viewer
    for name, value in [
        ("playhead", 2**70),
        ("playhead", -1),
        ("playhead", "x"),
        ("speed", float("nan")),
        ("loop", "x"),
        ("selection", ["x"]),
        ("bookmarks", [2**70]),
        ("bookmarks", [10**9]),
        ("bookmarks", [None]),
    ]:
        data = {"method": "update", "state": {name: value}, "buffer_paths": []}
        message = {"content": {"data": data}, "buffers": []}
        with contextlib.suppress(traitlets.TraitError):
            viewer._handle_msg(message)

    assert viewer.playhead == 0
    assert viewer.bookmarks == list(viewer.cache.bookmarks) == []
    assert page.gets_all_rows()
