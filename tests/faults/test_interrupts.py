"""A row is appended whole or not at all, wherever an exception is raised.

Each trial records some rows, interrupts one call at the n-th place of the package that
it comes to, records on, and compares everything with a plain list: live, from the file
while it is open, and after reopening. `FAULTS=long` tries every place, else a sample.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._cache import background_rendering
from rollout_viewer._process.waiting import Changed
from rollout_viewer._recording import writer
from rollout_viewer._recording.row_memory import GROUP_ROWS
from rollout_viewer.testing import read_count
from tests.faults.interrupts import (
    IS_LONG,
    Place,
    interrupted,
    places_of,
    places_to_try,
    sample,
)
from tests.faults.rows import Row, append, assert_holds, make_row
from tests.faults.survival import survives
from tests.test_append_block import blocks_of

pytestmark = [
    pytest.mark.slow,  # not for every edit
    survives(
        "Ctrl-C, or a MemoryError, anywhere inside a call",
        kept="all other rows",
        lost="the row of that call",
        seen="the exception; the next call works",
    ),
]


@pytest.mark.parametrize(
    ("before", "cameras", "change_at"),
    [
        (0, ("pixels",), None),  # the first row: slots, rows and file begin
        (5, ("pixels",), None),
        (5, ("pixels", "wrist"), None),  # a camera begins in the middle of a block
        (31, ("pixels",), None),  # the row that seals a block
        (32, ("pixels",), None),  # the first of a block
        (5, ("pixels",), 5),  # pictures change their size
        (32, ("pixels",), 26),  # to a size that they had before
    ],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_append_that_is_interrupted_anywhere_is_whole_or_not_there(
    ram_path, before, cameras, change_at, error, figures
):
    def make(number: int) -> Row:
        return make_row(number, change_at)

    def begun(path) -> tuple[rv.FrameCache, list[Row]]:
        cache, rows = rv.FrameCache(path), [make(number) for number in range(before)]
        for row in rows:
            append(cache, row, ("pixels",))
        return cache, rows

    def trial(path, at: Place) -> bool:
        cache, rows = begun(path)
        row = make(before)

        with interrupted(at, error) as interrupt:
            append(cache, row, cameras)

        assert cache.num_rows in (before, before + 1), interrupt.where
        if cache.num_rows == before + 1:
            rows.append(row)
        for number in range(before + 1, before + 40):
            rows.append(make(number))
            append(cache, rows[-1], cameras)
        assert_holds(cache, rows, f"live, {interrupt.where}")
        cache.flush()
        assert_holds(rv.open(cache.path), rows, f"file, {interrupt.where}")
        cache.close()
        with rv.open(cache.path) as reopened:
            assert_holds(reopened, rows, f"reopened, {interrupt.where}")
            assert reopened.episodes == cache.episodes, interrupt.where
        path.unlink()
        return interrupt.where == str(at)

    for number in range(2):  # the first time, more is imported and cached
        cache, _ = begun(ram_path / f"places{number}.rollout")
        places = places_of(functools.partial(append, cache, make(before), cameras))
        cache.close()
    tried = places_to_try(places, error)

    num_hit = sum(trial(ram_path / f"{n}.rollout", at) for n, at in enumerate(tried))

    assert num_hit > 0.9 * len(tried) - 1
    figures(f"append, {error.__name__}: {num_hit} places, rows whole or absent")


# The others were asked for before. Each that waits is a turn of the same loops.
NUM_WAITING = 5


# Between the call that opens a file and the `with` that closes it, Python frees it, and
# says so.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <_io.FileIO:pytest.PytestUnraisableExceptionWarning"
)
# Without pictures they wait for others from the second block on, up to a group of them.
@pytest.mark.parametrize("before", [1, 31, 32, 95, GROUP_ROWS - 1, GROUP_ROWS])
@pytest.mark.parametrize("call", ["append", "num_rows"])
@pytest.mark.parametrize("is_pictured", [False, True])
def test_rows_of_the_usual_form_wait_whole_wherever_a_call_is_interrupted(
    ram_path, before, call, is_pictured
):
    if is_pictured:
        before = min(before, 256)  # these do not wait

    def step(cache: rv.FrameCache, number: int) -> None:
        cache.append(
            make_row(number).frames[:2] if is_pictured else None,
            reward=np.full(2, float(number)),
            action=np.full(2, number),
            data={"obs": np.full((2, 2), float(number))},
            kind="step",
        )

    def start(path) -> rv.FrameCache:
        cache = rv.FrameCache(path)
        for number in range(before):
            if number == before - NUM_WAITING:
                assert cache.num_rows == number
            step(cache, number)
        recording: Any = cache.recording
        recording._writer.drain()  # the next row waits for nothing
        return cache

    def run(cache: rv.FrameCache) -> None:
        if call == "append":
            step(cache, before)
        else:
            assert cache.num_rows == before

    numbers = list(range(before + 40))
    pictures = np.array([make_row(number).frames[:2] for number in numbers])
    for name in ("first", "second"):  # the first time, more is imported and cached
        cache = start(ram_path / f"{name}.rollout")
        places = places_of(functools.partial(run, cache))
        cache.close()
    num_hit = 0
    for trial, at in enumerate(tried := sample(places, 8)):
        cache = start(ram_path / f"{trial}.rollout")
        with interrupted(at) as interrupt:
            run(cache)

        num_hit += interrupt.where == str(at)
        num_rows = cache.num_rows
        assert num_rows - before in ((0, 1) if call == "append" else (0,))
        for number in range(num_rows, before + 40):
            step(cache, number)
        cache.flush()
        for found in (cache, rv.open(cache.path)):
            assert found.num_rows == before + 40, interrupt.where
            assert found.scalars["reward"][:, 1].tolist() == numbers, interrupt.where
            assert found.column("obs")[:, 0, 1].tolist() == numbers, interrupt.where
            assert found.raw_column("action", 0, before + 40)[:, 1].tolist() == numbers
            assert found.episodes[0].length == before + 40, interrupt.where
            if is_pictured:
                shown = found.frames(range(before + 40))
                assert np.array_equal(shown, pictures), interrupt.where
        cache.close()
        cache.path.unlink()
    assert num_hit > 0.9 * len(tried) - 1


@pytest.mark.parametrize("change_at", [None, 3])
def test_every_row_may_be_interrupted_one_after_the_other(ram_path, change_at):
    cache, rows = rv.FrameCache(ram_path / "run.rollout"), []
    rng = np.random.default_rng(0)
    rows.append(make_row(0))
    append(cache, rows[0], ("pixels",))
    for number in range(1, 400 if IS_LONG else 150):
        row, num_rows = make_row(number, change_at), cache.num_rows
        # Half of them end before.
        with interrupted(int(rng.integers(1, 600))):
            append(cache, row, ("pixels",))
        if cache.num_rows > num_rows:
            rows.append(row)

    assert_holds(cache, rows, "live")
    cache.close()

    assert_holds(rv.open(cache.path), rows, "reopened")
    assert len(rows) > 20


@pytest.mark.parametrize("call", ["flush", "clip"])
def test_flush_and_reading_may_be_interrupted_anywhere(ram_path, call):
    def run(cache: rv.FrameCache) -> None:
        if call == "flush":
            cache.flush()
        else:
            list(cache.clip(29, 35).frames())  # of two blocks

    def begun(number: int) -> tuple[rv.FrameCache, list[Row]]:
        cache = rv.FrameCache(ram_path / f"{number}.rollout")
        rows = [make_row(number) for number in range(45)]
        for row in rows:
            append(cache, row, ("pixels",))
        return cache, rows

    def end(cache: rv.FrameCache, rows: list[Row]) -> None:
        assert_holds(cache, rows, "live")
        cache.close()
        with rv.open(cache.path) as reopened:
            assert_holds(reopened, rows, "reopened")
        cache.path.unlink()

    cache, rows = begun(0)
    run(cache)  # the first time, more is imported and cached
    rows.append(make_row(len(rows)))
    append(cache, rows[-1], ("pixels",))
    places = places_of(functools.partial(run, cache))
    for trial, at in enumerate(sample(places, 12), 1):
        with interrupted(at) as interrupt:
            run(cache)
        rows.append(make_row(len(rows)))
        append(cache, rows[-1], ("pixels",))
        assert_holds(cache, rows, interrupt.where)
        if len(rows) == 80:
            end(cache, rows)
            cache, rows = begun(trial)
    end(cache, rows)


def test_close_may_be_interrupted_anywhere_and_called_again(ram_path):
    def start(name: object) -> tuple[rv.FrameCache, list[Row]]:
        cache = rv.FrameCache(ram_path / f"{name}.rollout")
        rows = [make_row(number) for number in range(40)]
        for row in rows:
            append(cache, row, ("pixels",))
        return cache, rows

    start("first")[0].close()  # the first time, more is imported and cached
    places = places_of(start("second")[0].close)

    for trial, at in enumerate(sample(places, 12)):
        cache, rows = start(trial)
        with interrupted(at) as interrupt:
            cache.close()
        cache.close()

        beside = [p.name for p in ram_path.glob(f"{trial}.rollout*")]
        assert beside == [f"{trial}.rollout"], interrupt.where
        with rv.open(cache.path) as reopened:
            assert_holds(reopened, rows, interrupt.where)
        cache.path.unlink()


def test_a_block_that_is_interrupted_anywhere_is_whole_or_not_there(ram_path):
    blocks = [blocks_of(64, 1, env) for env in range(2)]

    def begun(path) -> rv.FrameCache:
        cache = rv.FrameCache(path)
        cache.append_block({0: blocks[0][0], 1: blocks[1][0]})
        return cache

    def append(cache: rv.FrameCache) -> None:
        cache.append_block({1: blocks[1][1]})

    for name in ("first", "second"):  # the first time, more is imported and cached
        one = begun(ram_path / f"{name}.rollout")
        places = places_of(functools.partial(append, one))
    counts = set()
    for trial, place in enumerate(sample(places, 30)):
        cache = begun(ram_path / f"{trial}.rollout")

        with interrupted(place):
            append(cache)

        counts.add(cache.num_rows)
        if cache.num_rows == 32:
            append(cache)
        cache.append_block({0: blocks[0][1]})
        cache.close()
        again = rv.open(cache.path)
        shown = [(row, read_count(again[row, 1])[0]) for row in (31, 32, 63, 64, 95)]
        assert shown == [(31, 31), (32, 32), (63, 63), (64, 63), (95, 63)]
        shown = [(row, read_count(again[row, 0])[0]) for row in (31, 32, 63, 64, 95)]
        assert shown == [(31, 31), (32, 31), (63, 31), (64, 32), (95, 63)]
        assert [e.length for e in again.episodes if e.env == 1] == [20, 20, 20]
        again.recording.release()
        cache.path.unlink()
    assert counts == {32, 64}


def is_free(lock: threading.RLock) -> bool:
    """Return whether another thread may take a lock."""
    found = []

    def take() -> None:
        found.append(lock.acquire(blocking=False))
        if found[0]:
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return found[0]


def test_an_append_that_is_interrupted_anywhere_leaves_its_lock_to_others():
    cache = rv.FrameCache()
    numbers = np.zeros(1), np.zeros(1, np.bool_), np.zeros(1, np.bool_)

    def add() -> None:
        reward, terminated, truncated = numbers
        cache.append(None, reward=reward, terminated=terminated, truncated=truncated)

    cache.append(None, reset=[True])
    for _ in range(3):  # the last ones are like those before
        add()
    places = places_of(add)
    assert len(places) > 5

    for at in places:
        with interrupted(at) as interrupt:
            add()
        assert is_free(cache._append_lock.lock), interrupt.where


class Strict(Changed):
    """A condition whose lock is taken by itself: no `__enter__` of Python code is.

    Ctrl-C may come in one when the lock is taken, and then nothing gives it back. The
    interpreter looks for it in no `__enter__` written in C.
    """

    def __enter__(self):
        raise AssertionError("taken by Python code")


@pytest.mark.parametrize("is_temporary", [True, False])
def test_no_lock_of_the_writer_is_taken_by_python_code(
    ram_path, is_temporary, monkeypatch
):
    monkeypatch.setattr(writer, "Changed", Strict)
    path = None if is_temporary else ram_path / "run.rollout"
    noise = np.random.default_rng(0).integers(0, 256, (1, 200, 200, 3), np.uint8)
    cache = rv.FrameCache(path, disk_bytes=1_000_000)
    cache.append_block({0: blocks_of(32)[0]})
    cache.flush()
    with pytest.warns(rv.RolloutViewerWarning, match="disk_bytes"):
        for number in range(70):
            cache.append(noise + np.uint8(number) * noise, reward=1.0)
    with pytest.raises(rv.StorageError, match="disk_bytes"):
        cache.close()


def test_no_lock_of_rendering_is_taken_by_python_code(ram_path, monkeypatch):
    monkeypatch.setattr(background_rendering, "Changed", Strict)
    rendered = []
    background = background_rendering.BackgroundRendering(
        lambda *args, **_: rendered.append(args), lambda _: None, lambda: False
    )
    with rv.FrameCache() as cache:
        cache.append(None, reset=[True])
        background.warm_up(cache)
        background.want(cache, [])
        background.add(cache, background_rendering.EndedEpisode(0, 0, 1))
        background.finish()
        background.clear()
        assert not background.problems()
        assert rendered


def interrupt_next_wait(changed: Any) -> None:
    """Raise KeyboardInterrupt when this thread next waits, and the lock is free."""
    release, thread = changed._release_save, threading.current_thread()

    def release_and_raise() -> object:
        found = release()
        if threading.current_thread() is thread:
            changed._release_save = release
            raise KeyboardInterrupt
        return found

    changed._release_save = release_and_raise


def test_ctrl_c_as_a_wait_begins_stays_what_it_is(ram_path):
    with rv.FrameCache(ram_path / "run.rollout") as cache:
        file_writer: Any = cache.recording
        file_writer = file_writer._writer
        append(cache, make_row(0), ("pixels",))
        for number, call in enumerate((cache.flush, cache.close), 1):
            append(cache, make_row(number), ("pixels",))
            interrupt_next_wait(file_writer._changed)
            with pytest.raises(KeyboardInterrupt):
                call()
            assert is_free(file_writer._lock)
    with rv.open(cache.path) as reopened:
        assert reopened.num_rows == 3
