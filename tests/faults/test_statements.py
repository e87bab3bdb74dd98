"""What SQLite refuses is set aside; everything else is recorded, and nothing hangs."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.step_columns import StepColumns
from rollout_viewer._recording.transactions import Batch
from tests.faults.survival import survives

NUM_ROWS = 200
pytestmark = survives(
    "a value or statement that SQLite refuses",
    kept="everything else; NaN and infinities as text, lone surrogates as `?`",
    lost="what that statement would have stored",
    seen="one `RolloutViewerWarning`; `flush` and `close` raise `StorageError`",
)


def record(cache, num_rows=NUM_ROWS, **arguments):
    for row in range(num_rows):
        frame = np.full((1, 8, 8, 3), row % 256, np.uint8)
        cache.append(frame, reward=[float(row)], reset=[row % 50 == 0], **arguments)


def assert_is_whole(path, num_rows=NUM_ROWS):
    with rv.open(path) as reopened:
        assert reopened.num_rows == num_rows
        found = [int(reopened[row, 0][0, 0, 0]) for row in range(num_rows)]
        assert found == [row % 256 for row in range(num_rows)]


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "NaN"), (float("inf"), "Infinity"), (-np.inf, "-Infinity")],
)
def test_labels_that_json_does_not_have_become_text(tmp_path, value, text):
    cache = rv.FrameCache(tmp_path / "run.rollout", metadata={"loss": value})
    with cache.segment("eval", loss=value, curve=[1.0, value]):
        record(cache)
    cache.label(cache.episodes[0], loss_at_end=value)
    cache.close()

    assert_is_whole(cache.path)
    with rv.open(cache.path) as reopened:
        labels = reopened.episodes[0].labels
        assert labels == {"loss": text, "curve": [1.0, text], "loss_at_end": text}
        assert reopened.metadata["loss"] == text


def test_text_that_utf_8_cannot_encode_is_replaced(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout", metadata={"who": "a\ud800b"})
    with cache.segment("\udfff", note="\ud800"):
        for row in range(40):
            frames = {"cam\ud800": np.full((1, 8, 8, 3), row, np.uint8)}
            cache.append(frames, data={"obs\ud800": [row]}, reward=[0.0])
    cache.bookmark(3, "here\ud800")
    cache.close()

    with rv.open(cache.path) as reopened:
        assert reopened.num_rows == 40
        assert reopened.cameras == ["cam?"]
        assert reopened[7, 0][0, 0, 0] == 7
        assert reopened.at(7, 0)["obs?"] == 7
        assert reopened.bookmarks == {3: "here?"}
        assert reopened.episodes[0].segment == "?"


def test_a_statement_that_is_refused_is_set_aside_and_reported(tmp_path):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    record(cache, 100)
    cache._live._writer.put(
        Batch([("INSERT INTO no_such_table VALUES (1)", ())]), max_stall_s=None
    )
    cache._live._writer.drain()

    with pytest.warns(rv.RolloutViewerWarning, match="no such table"):
        for row in range(100, NUM_ROWS):
            frame = np.full((1, 8, 8, 3), row % 256, np.uint8)
            cache.append(frame, reward=[float(row)], reset=[row % 50 == 0])
    with pytest.raises(rv.StorageError, match="no such table"):
        cache.close()

    assert cache.num_lost == 0
    assert_is_whole(cache.path)


@pytest.mark.parametrize("error", [MemoryError, RuntimeError, OverflowError])
def test_no_exception_ends_the_writer(tmp_path, monkeypatch, error):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    writer = cache._live._writer
    record(cache, 40)
    writer.drain()
    transact, has_failed = writer._transact, threading.Event()

    def fail_once(*arguments, **options):
        if not has_failed.is_set():
            has_failed.set()
            raise error("once")
        return transact(*arguments, **options)

    monkeypatch.setattr(writer, "_transact", fail_once)
    for row in range(40, NUM_ROWS):
        frame = np.full((1, 8, 8, 3), row % 256, np.uint8)
        cache.append(frame, reward=[float(row)], reset=[row % 50 == 0])
    cache.flush()

    assert has_failed.is_set()
    cache.close()
    assert_is_whole(cache.path)


def test_flush_and_close_return_where_the_writer_has_ended(tmp_path, monkeypatch):
    cache = rv.FrameCache(tmp_path / "run.rollout")
    writer = cache._live._writer
    record(cache, 10)
    monkeypatch.setattr(writer, "_wait", lambda: 1 / 0)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    writer._thread.join(60)

    with pytest.raises(rv.StorageError, match="ZeroDivisionError"):
        cache.flush()
    with pytest.raises(rv.StorageError, match="ZeroDivisionError"):
        cache.close()


def test_rows_that_arrive_while_an_action_is_looked_up_change_nothing():
    class Growing(StepColumns):
        """One row more each time that it is read."""

        reads = 0

        @property
        def num_rows(self):
            self.reads += 1
            return 5 + self.reads

        @num_rows.setter
        def num_rows(self, value):
            pass

    rows = Growing(1)
    rows._kind[:] = 1
    rows._flags[:] = 0

    assert rows.led_to(5, 6).tolist() in ([[6]], [[-1]])
    assert rows.reads == 1
