"""Who writes a block: whoever recorded it, or the thread; and what is put off."""

from __future__ import annotations

import contextlib
import sqlite3
import threading

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording import writer
from rollout_viewer._recording.writer import WriterThread


def noise(num_rows, size=12, seed=0):
    """Return pictures that do not compress."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (num_rows, size, size, 3), np.uint8)


def record(cache, frames):
    for number, frame in enumerate(frames):
        cache.append(frame, reward=float(number), data={"obs": [number]})


def blocks_in_file(path):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as disk:
        return [one for (one,) in disk.execute("SELECT id >> 16 FROM packs")]


@pytest.fixture
def writers(monkeypatch):
    """Return the threads that executed transactions, in order."""
    found, execute = [], WriterThread._execute

    def noted(self, statements, **options):
        found.append(threading.current_thread())
        return execute(self, statements, **options)

    monkeypatch.setattr(WriterThread, "_execute", noted)
    return found


@pytest.fixture
def no_tail(monkeypatch):
    """Have the threads write nothing that no one asked for."""
    monkeypatch.setattr(writer, "_TAIL_INTERVAL_S", 600)


@pytest.mark.usefixtures("no_tail")
def test_a_block_is_in_the_file_when_its_last_append_returns(
    tmp_path, writers, monkeypatch
):
    monkeypatch.setattr(writer, "_SLOW_S", 600)
    frames = noise(32 * 20)
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        record(cache, frames[:32])
        cache._live._writer.drain()  # the log is the thread's first
        writers.clear()
        for block in range(1, 20):
            record(cache, frames[32 * block : 32 * block + 32])
            assert blocks_in_file(cache.path) == list(range(block + 1))
        assert set(writers) == {threading.current_thread()}
    with rv.open(cache.path) as found:
        assert all((found[row] == frames[row]).all() for row in range(len(frames)))


@pytest.mark.usefixtures("no_tail")
def test_blocks_of_a_temporary_recording_are_written_together(writers):
    frames = noise(32 * 6)
    with rv.FrameCache() as cache:
        record(cache, frames)
        assert writers == []  # nothing of it would be there after a kill
        assert all((cache[row] == frames[row]).all() for row in range(len(frames)))
        cache.flush()
        assert writers == [cache._live._writer._thread]
        assert blocks_in_file(cache.path) == list(range(6))


@pytest.mark.usefixtures("no_tail")
def test_a_temporary_recording_waits_for_a_quarter_of_the_room_at_most(writers):
    with rv.FrameCache(memory_bytes=1_000_000) as cache:
        wakes = cache._live._writer._lazy_bytes
        for seed in range(8):
            record(cache, noise(32, 40, seed))
            cache._live._writer.wait_for_room(0)
        assert 0 < wakes < 32 * 40 * 40 * 3 * 8
        with cache._live._writer._changed:
            assert cache._live._writer._changed.wait_for(lambda: writers, 10)


@pytest.mark.usefixtures("no_tail")
def test_while_another_process_writes_blocks_wait_in_their_order(tmp_path, writers):
    frames = noise(32 * 5)
    cache = rv.FrameCache(tmp_path / "run.rollout", max_stall_s=0)
    record(cache, frames[:32])
    cache._live._writer.drain()
    with contextlib.closing(sqlite3.connect(cache.path, isolation_level=None)) as disk:
        disk.execute("BEGIN IMMEDIATE")
        with pytest.warns(rv.RolloutViewerWarning, match="slower"):
            record(cache, frames[32:])
        assert blocks_in_file(cache.path) == [0]
        disk.execute("ROLLBACK")
    cache.close()

    assert cache.num_lost == 0
    assert writers[-1] is not threading.current_thread()
    with rv.open(cache.path) as found:
        assert all((found[row] == frames[row]).all() for row in range(len(frames)))
        assert found.scalars["reward"][32:, 0].tolist() == list(range(128))


@pytest.mark.usefixtures("no_tail")
def test_after_a_slow_transaction_the_thread_writes_the_next(
    tmp_path, writers, monkeypatch
):
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        record(cache, noise(32))
        cache._live._writer.drain()
        monkeypatch.setattr(writer, "_SLOW_S", -1)  # each is
        record(cache, noise(32))
        monkeypatch.setattr(writer, "_SLOW_S", 600)
        writers.clear()
        for _ in range(writer._NUM_AFTER_SLOW):
            record(cache, noise(32))
            cache._live._writer.drain()
        assert writers == [cache._live._writer._thread] * writer._NUM_AFTER_SLOW
        record(cache, noise(32))
        assert writers[-1] is threading.current_thread()
        assert len(blocks_in_file(cache.path)) == 3 + writer._NUM_AFTER_SLOW


@pytest.mark.usefixtures("no_tail")
def test_the_log_of_sqlite_stays_short(tmp_path, writers, monkeypatch):
    monkeypatch.setattr(writer, "_SLOW_S", 600)
    log = tmp_path / "run.rollout-wal"
    sizes = []
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        for seed in range(300):  # 60 kB each
            record(cache, noise(32, 25, seed))
            sizes.append(log.stat().st_size)
        assert cache.nbytes > 17e6
    assert max(sizes) < 8e6
    here = sum(one is threading.current_thread() for one in writers)
    assert here > 0.5 * len(writers)


@pytest.mark.usefixtures("no_tail")
def test_a_transaction_that_was_interrupted_as_it_began_is_undone(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(writer, "_SLOW_S", 600)
    frames = noise(32 * 3)
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        record(cache, frames[:32])
        cache._live._writer.drain()
        disk = cache._live._file.connected()
        disk.execute("BEGIN IMMEDIATE")
        disk.execute("DELETE FROM packs")
        record(cache, frames[32:])
        assert blocks_in_file(cache.path) == [0, 1, 2]


@pytest.mark.usefixtures("no_tail")
def test_what_sqlite_refuses_at_once_is_the_threads(tmp_path, writers, monkeypatch):
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        record(cache, noise(32))
        cache._live._writer.drain()
        disk = cache._live._file.connected()
        disk.execute(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON packs WHEN NOT EXISTS "
            "(SELECT 1 FROM meta WHERE key = 'free') "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        with pytest.warns(rv.RolloutViewerWarning, match="refused"):
            record(cache, noise(64))
            cache._live._writer.drain()
            record(cache, noise(1))
        assert cache.num_lost
        disk.execute("DROP TRIGGER full")
        with pytest.raises(rv.StorageError):
            cache.flush()
        with pytest.raises(rv.StorageError):
            cache.close()
    assert rv.open(cache.path).num_rows == 97


@pytest.mark.usefixtures("no_tail")
def test_blocks_that_are_held_are_written_when_one_waits_for_room(tmp_path):
    with rv.FrameCache(tmp_path / "run.rollout", memory_bytes=1_000_000) as cache:
        record(cache, noise(32))
        own = cache._live._writer
        own.drain()
        own.hold()
        for seed in range(4):  # 150 kB each: more than there is room for
            record(cache, noise(32, 40, seed))
        assert own.num_lost == 0
        own.release()


def test_the_log_stays_short_where_rows_come_in_blocks_with_pauses(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(writer, "_SLOW_S", 600)
    monkeypatch.setattr(writer, "_TAIL_INTERVAL_S", 0.01)
    log = tmp_path / "run.rollout-wal"
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        for seed in range(200):  # 60 kB each
            record(cache, noise(32, 25, seed))
            with cache._live._writer._changed:  # until it has looked for more
                cache._live._writer._changed.wait(0.02)
        assert cache.nbytes > 11e6
        assert log.stat().st_size < 8e6


@pytest.mark.usefixtures("no_tail")
def test_step_data_fills_the_room_of_a_temporary_recording_too(writers):
    with rv.FrameCache(memory_bytes=1_000_000) as cache:
        for obs in np.random.default_rng(0).random((64, 1, 4000)):  # 32 kB each
            cache.append(noise(1, 4)[0], reward=0.0, data={"obs": obs})
        with cache._live._writer._changed:
            assert cache._live._writer._changed.wait_for(lambda: writers, 10)
