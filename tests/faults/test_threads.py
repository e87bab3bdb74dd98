"""Many threads at one recording, switched five hundred times as often as usual.

One writes, eight read, two viewers send to pages that are not there, one exports, one
compacts copies. `FAULTS=long`: for a minute, else five seconds.
"""

from __future__ import annotations

import random
import sys
import threading
import time

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._frames.chunk import join, parse
from rollout_viewer._page.build_messages import build_manifest, decode_chunks
from rollout_viewer._recording.compact import compact
from rollout_viewer._viewer.stream import PageStream
from tests.faults.interrupts import IS_LONG
from tests.faults.rows import NUM_ENVS, append, assert_holds, make_row
from tests.faults.survival import survives

DURATION_S = 60 if IS_LONG else 2
SEED = 7
# A round of the longest thread, beside other tests on the same cores.
PATIENCE_S = 60


class Page:
    """A page in this process: acknowledges what it is sent, and joins the chunks."""

    def __init__(self, cache: rv.FrameCache) -> None:
        self.pieces: dict[tuple[int, int], list[bytes]] = {}
        self.errors: list[Exception] = []
        self.num_rows = 0
        self.stream = PageStream(
            cache,
            make_manifest=lambda: build_manifest(cache, title="t"),
            send=self.take,
            on_message=lambda _: None,
            on_error=self.errors.append,
        )
        self.unsubscribe = cache.subscribe(self.stream.notify)
        hello = {"kind": "hello", "protocol": 1, "version": "0", "page": "p"}
        self.stream.receive({**hello, "beginning": 1})
        self.stream.start()

    def take(self, message) -> None:
        if message.content["kind"] != "data":
            return
        for block, slot, chunk in decode_chunks(message.buffers[4]):
            pieces = self.pieces.setdefault((block, slot), [])
            if parse(chunk).first == 0:
                pieces.clear()
            pieces.append(chunk)
        content = message.content
        self.num_rows = max(self.num_rows, content["start"] + content["num_rows"])
        self.stream.receive({"kind": "ack", "seq": content["seq"]})

    def close(self) -> None:
        self.unsubscribe()
        self.stream.close()
        self.stream._thread.join(PATIENCE_S)


class Crowd:
    """Threads that repeat their functions until the time is over or one fails."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.failures: list[BaseException] = []
        self.counts: dict[str, int] = {}
        self._threads: list[threading.Thread] = []

    def start(self, name: str, function, *arguments) -> None:
        def run() -> None:
            try:
                while not self.is_over.is_set():
                    function(*arguments)
                    self.counts[name] = self.counts.get(name, 0) + 1
            except BaseException as error:
                self.failures.append(error)
                self.is_over.set()

        self._threads.append(threading.Thread(target=run, name=name))
        self._threads[-1].start()

    def end(self, after_s: float) -> None:
        self.is_over.wait(after_s)
        self.is_over.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), f"{thread.name} hangs"
        if self.failures:
            raise self.failures[0]


@pytest.fixture
def _switches_often():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@survives(
    "many threads that read, show, export and compact while one records",
    kept="everything",
    lost="nothing",
    seen="nothing",
)
@pytest.mark.usefixtures("_switches_often")
@pytest.mark.timeout(400)
def test_no_thread_sees_a_wrong_pixel_or_hangs(tmp_path, figures):
    print(f"seed {SEED}")
    cache, rows = rv.FrameCache(tmp_path / "run.rollout", memory_bytes=2_000_000), []
    crowd = Crowd()

    def write() -> None:
        rows.append(make_row(len(rows)))
        append(cache, rows[-1], ("pixels",))

    def read(rng: random.Random) -> None:
        num_rows, env = cache.num_rows, rng.randrange(NUM_ENVS)
        row = max(0, num_rows - 1 - int(rng.expovariate(0.02)))
        assert np.array_equal(cache[row, env], rows[row].frames[env]), row
        last = cache.at(-1, env)
        assert last["obs"][0] == last.row >= num_rows - 1
        some = cache.frames(range(row, min(row + 3, num_rows)), envs=[env])
        for number, (found,) in enumerate(some, row):
            assert np.array_equal(found, rows[number].frames[env]), number
        assert len(cache.scalars["reward"]) >= num_rows

    def export() -> None:
        clip = cache.clip(max(0, cache.num_rows - 50), envs=[1])
        (path,) = clip.write(tmp_path / "clip.npz")
        with np.load(path) as file:
            frames = file["frames"]
        path.unlink()
        assert len(frames) == clip.stop - clip.start
        for row, frame in enumerate(frames, clip.start):
            assert np.array_equal(frame, rows[row].frames[1]), row

    def repack() -> None:
        path = cache.save(tmp_path / "copy.rollout")
        compact(path, level=1)
        with rv.open(path) as copy:
            assert_holds(copy, rows[: copy.num_rows], "compacted")
        copy.recording.release()
        path.unlink()

    write()
    pages = [Page(cache) for _ in range(2)]
    crowd.start("rows", write)
    for number in range(8):
        crowd.start("reads", read, random.Random(SEED + number))
    crowd.start("exports", export)
    crowd.start("compactions", repack)
    crowd.end(DURATION_S)

    assert_holds(cache, rows, "live")
    deadline_s = time.monotonic() + PATIENCE_S
    for page in pages:
        while page.num_rows < len(rows):
            assert time.monotonic() < deadline_s, "a page is behind"
            time.sleep(0.01)
        page.close()
        assert not page.errors
        for (block, slot), pieces in page.pieces.items():
            assert join(pieces) == cache.recording.chunk(block, slot), block
    cache.close()
    with rv.open(cache.path) as reopened:
        assert_holds(reopened, rows, "reopened")
    done = ", ".join(f"{count:,} {name}" for name, count in crowd.counts.items())
    figures(f"seed {SEED}: {DURATION_S} s, {done}: 0 wrong pixels")
