"""A child that is forked reads what it inherits, and writes nothing of it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._forks import make_anew_in_children, this_process
from rollout_viewer._recorder.later_videos import LaterVideos
from rollout_viewer._recorder.video_recorder import VideoFolderRecorder
from rollout_viewer._recorder.video_segment import VideoSegment
from rollout_viewer._recording.step_row import Kind
from tests.test_step_buffer import Counting

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]

IS_LONG = os.environ.get("FAULTS") == "long"
NUM_FORKS = 60 if IS_LONG else 4
NUM_ROWS = 150
CHILD_S = 20.0


def picture(row):
    return np.random.default_rng(row).integers(0, 255, (2, 16, 16, 3), np.uint8)


def append(cache, start, stop):
    for row in range(start, stop):
        cache.append(
            picture(row),
            reward=np.full(2, row, float),
            data={"obs": np.full((2, 3), row, np.float32)},
        )


def check(cache, num_rows):
    """Compare rows in an order in which decoders cannot just continue."""
    order = np.random.default_rng(0).permutation(num_rows)[:40]
    for row in [num_rows - 1, 0, *order]:
        number = int(row)
        envs = cache[number]
        for env in range(0, len(envs), 2):
            assert np.array_equal(envs[env : env + 2], picture(number)), number
        assert cache.recording.extras(number)["obs"][0][0] == number


def content(folder):
    # In the index of the log, each reader notes what it reads.
    files = [p for p in folder.iterdir() if not p.name.endswith("-shm")]
    return {p.name: p.read_bytes() for p in files}


def in_child(work):
    """Run `work` in a forked child; return how it ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(int(CHILD_S))
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitpid(child, 0)[1]


class Busy:
    """Threads that do the same again and again while the block runs."""

    def __init__(self, *works):
        self.is_over = False
        self.errors = []
        self.threads = [
            threading.Thread(target=self._run, args=(work,)) for work in works
        ]

    def _run(self, work):
        try:
            while not self.is_over:
                work()
        except BaseException as error:
            self.errors.append(error)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        assert not self.errors


@pytest.fixture(params=["live", "temporary", "opened", "joined"])
def cache(request, tmp_path):
    path = None if request.param == "temporary" else tmp_path / "run.rollout"
    with rv.FrameCache(path) as made:
        append(made, 0, NUM_ROWS)
        if request.param in ("live", "temporary"):
            yield made
            return
    paths = [path]
    if request.param == "joined":
        with rv.FrameCache(tmp_path / "other.rollout") as other:
            append(other, 0, NUM_ROWS)
        paths.append(other.path)
    with rv.open(paths if len(paths) > 1 else paths[0]) as opened:
        yield opened


def test_a_child_reads_while_a_thread_of_its_parent_does(cache):
    with Busy(lambda: check(cache, NUM_ROWS), lambda: check(cache, NUM_ROWS)):
        for _ in range(NUM_FORKS):
            assert in_child(lambda: check(cache, 20)) == 0
            time.sleep(0.003)


def test_a_child_reads_what_is_in_memory_only():
    # Nothing comes into the file.
    with rv.FrameCache() as cache, cache._live._file.lock:
        append(cache, 0, 110)
        assert cache._live._pending
        assert in_child(lambda: check(cache, 110)) == 0


@pytest.mark.parametrize("path", [None, "run.rollout"])
def test_a_child_reads_while_its_parent_appends(tmp_path, path):
    with rv.FrameCache(path and tmp_path / path) as cache:
        append(cache, 0, 40)

        def append_more():
            append(cache, cache.num_rows, cache.num_rows + 1)
            time.sleep(0.001)

        def flush():
            cache.flush()
            time.sleep(0.005)

        with Busy(append_more, flush):
            for _ in range(NUM_FORKS):
                assert in_child(lambda: check(cache, cache.num_rows)) == 0
                time.sleep(0.01)
        num_rows = cache.num_rows
        check(cache, num_rows)
    with rv.open(cache.path if path else cache.save(tmp_path / "a")) as opened:
        check(opened, num_rows)


def test_a_file_is_followed_in_a_child(tmp_path):
    with rv.FrameCache(tmp_path / "run.rollout") as made:
        append(made, 0, 40)
        made.flush()
        with rv.open(made.path) as opened, Busy(lambda: opened.num_rows):
            ask, answer = os.pipe(), os.pipe()

            def follow():
                os.write(answer[1], b".")
                os.read(ask[0], 1)
                assert opened.num_rows == 100
                check(opened, 100)

            def extend():
                os.read(answer[0], 1)
                append(made, 40, 100)
                made.flush()
                os.write(ask[1], b".")

            parent = threading.Thread(target=extend)
            parent.start()
            assert in_child(follow) == 0
            parent.join()


def test_a_child_writes_nothing_into_its_parents_file(tmp_path):
    path = tmp_path / "run.rollout"
    with rv.FrameCache(path) as cache:
        append(cache, 0, 40)
        caches = [cache]

        def write():
            own = caches.pop()
            for call in (
                lambda: append(own, 40, 41),
                lambda: own.set_meta("x", 1),
                lambda: own.bookmark(3),
                own.clear,
            ):
                with pytest.raises(rv.ReadOnlyError):
                    call()
            own.flush()
            own.close()
            check(own, 40)

        with cache._live._file.lock:
            before = content(tmp_path)
            assert in_child(write) == 0
            assert content(tmp_path) == before


def test_a_child_that_ends_leaves_the_lock_to_its_parent(tmp_path):
    path = tmp_path / "run.rollout"
    cache = rv.FrameCache(path)
    append(cache, 0, 3)
    caches = [cache]
    del cache

    def forget():
        caches.clear()
        gc.collect()

    assert in_child(forget) == 0
    tried = f"import rollout_viewer as rv; rv.FrameCache({str(path)!r})"
    done = subprocess.run(
        [sys.executable, "-c", tried], capture_output=True, text=True, check=False
    )
    assert "RecordingLockedError" in done.stderr
    caches[0].close()


def test_a_child_of_a_child_reads(cache):
    def fork_again():
        check(cache, 40)
        with Busy(lambda: check(cache, 40)):
            assert in_child(lambda: check(cache, 40)) == 0

    with Busy(lambda: check(cache, 40)):
        assert in_child(fork_again) == 0


def test_a_child_and_its_child_know_that_they_are_others():
    def check_pid():
        assert this_process.pid == os.getpid()

    def work():
        check_pid()
        assert in_child(check_pid) == 0

    assert in_child(work) == 0
    check_pid()


def test_a_fork_within_an_append_that_another_thread_waits_for(tmp_path):
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        append(cache, 0, 40)
        with cache._live._lock:  # as between two steps of an append
            waiting = threading.Thread(target=append, args=(cache, 40, 41))
            waiting.start()
            assert in_child(lambda: check(cache, 40)) == 0
        waiting.join()
        check(cache, 41)


def test_a_fork_does_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("rollout_viewer._forks._MAX_WAIT_S", 0.2)
    with rv.FrameCache(tmp_path / "run.rollout") as made:
        append(made, 0, 40)
        made.flush()
        with rv.open(made.path) as opened:
            held, over = threading.Event(), threading.Event()
            recording: Any = opened.recording

            def hold():
                with (
                    made._live._lock,
                    made._live._reader._lock,
                    recording._lock,
                    opened._decoders._lock,
                ):
                    held.set()
                    over.wait()

            thread = threading.Thread(target=hold)
            thread.start()
            held.wait()
            assert in_child(lambda: (check(made, 40), check(opened, 40))) == 0
            over.set()
            thread.join()
            check(made, 40)
            check(opened, 40)


class Stepping:
    """Puts rows while a fork waits for locks, after it has those of recordings."""

    def __init__(self, put):
        self._put = put
        make_anew_in_children(self, rank=99)

    def fork_locks(self):
        thread = threading.Thread(target=self._put)
        thread.start()
        thread.join()
        return []

    def after_fork(self, *, is_whole):
        pass


@pytest.mark.parametrize("is_locked", [False, True])
def test_a_child_that_reads_changes_no_row_of_its_parent(
    tmp_path, monkeypatch, is_locked
):
    monkeypatch.setattr("rollout_viewer._forks._MAX_WAIT_S", 0.2)
    cache = rv.FrameCache(tmp_path / "run.rollout")
    env = rv.record(Counting(), make_env=Counting, render="later", cache=cache)
    env.reset(seed=0)
    live, waiting = cache._live, cache._live._waiting
    while waiting.region is None or waiting.end % 32 != 10:
        env.step(0)
    region, count = waiting.region, env.unwrapped.count
    held, over, (ask, answer) = threading.Event(), threading.Event(), os.pipe()

    def hold():
        with live._lock:
            held.set()
            over.wait()

    def put():
        for _ in range(3):
            env.recorder.buffer.put(0, np.zeros(2, np.float32), 99.0, 0, {})

    def content():
        arrays = *region.core, *region.extras.values()
        return [array.tobytes() for array in arrays]

    if is_locked:
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()
    else:
        stepping = Stepping(put)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(int(CHILD_S))
            os.read(ask, 1)
            code = int(cache.scalars["reward"][-1, 0] != count)
        finally:
            os._exit(code)
    over.set()
    with live._lock:  # the parent itself takes no rows meanwhile
        before = content()
        os.write(answer, b".")
        status = os.waitpid(child, 0)[1]
        assert content() == before
    assert status == 0
    if is_locked:
        thread.join()
    else:
        del stepping
    env.step(0)
    env.close()
    cache.close()
    with rv.open(cache.path) as opened:
        assert opened.scalars["reward"][1:, 0].tolist() == [*range(1, count + 2)]


def test_large_rows_that_were_read_in_advance_are_read_by_a_child(tmp_path):
    with rv.FrameCache(tmp_path / "run.rollout") as cache:
        for row in range(6):
            cache.append(np.full((1, 900, 900, 3), row, np.uint8))
        frames = iter(cache)
        assert next(frames).max() == 0
        assert in_child(lambda: [f.max() for f in frames] == [1, 2, 3, 4, 5]) == 0
        assert [f.max() for f in frames] == [1, 2, 3, 4, 5]


def test_a_child_records_a_video_while_its_parent_notes_one_as_written(tmp_path):
    recorder = VideoFolderRecorder(1, tmp_path, prefix="video", where="test")
    recorder.start("a")
    recorder.add([Kind.RESET], lambda: picture(0)[:1])
    held, over = threading.Event(), threading.Event()

    def hold():
        with recorder._pending_lock:
            held.set()
            over.wait()

    def record():
        recorder.add([Kind.STEP], lambda: picture(1)[:1], reward=[1.0])
        recorder.finish()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    ended = in_child(record)
    over.set()
    thread.join()
    assert ended == 0
    assert len([*tmp_path.glob("*.mp4")]) == 1
    recorder.finish()


def test_a_child_has_none_of_the_videos_that_its_parent_wrote():
    videos = LaterVideos(lambda _: None)
    videos.add(VideoSegment("a", 0))
    videos.wait()

    def look():
        assert not videos.outcomes()

    assert in_child(look) == 0
    assert [one.segment.name for one in videos.outcomes()] == ["a"]
