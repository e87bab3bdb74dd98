"""Calls around recording are interrupted anywhere: nothing is harmed or left over.

`FAULTS=long` tries every place, else a sample.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording import database
from rollout_viewer._recording.compact import compact as compact_file
from rollout_viewer.testing import CountingEnv, read_count
from tests.faults.interrupts import (
    IS_LONG,
    Interrupt,
    interrupted,
    places_of,
    places_to_try,
    sample,
)
from tests.faults.rows import Row, append, assert_holds, make_row
from tests.faults.survival import survives

pytestmark = [
    pytest.mark.slow,  # not for every edit
    # Interrupted between `open` and `with`, a file is closed when it is deleted.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning"
    ),
    survives(
        "Ctrl-C or an error anywhere in `save`, `compact`, `bookmark`, `label`",
        kept="the recording; the change is whole or not there",
        lost="nothing",
        seen="the exception; no other file is left",
    ),
]

ERRORS = [KeyboardInterrupt, MemoryError, OSError]
# Of the test that takes longest, so that no process waits for another.
NUM_PARTS = 4 if IS_LONG else 1
ROWS = [make_row(number) for number in range(45)]


def recorded(path) -> rv.FrameCache:
    cache = rv.FrameCache(path)
    for row in ROWS:
        append(cache, row, ("pixels",))
    return cache


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("error", ERRORS)
def test_save_leaves_a_whole_copy_or_none(ram_path, error, figures):
    cache = recorded(ram_path / "run.rollout")
    cache.flush()
    cache.save(ram_path / "first.rollout")
    folder = ram_path / "copies"
    folder.mkdir()
    places = places_of(lambda: cache.save(folder / "copy.rollout"))
    tried = places_to_try(places, error)
    num_whole = 0

    for at in tried:
        shutil.rmtree(folder)
        folder.mkdir()
        with interrupted(at, error) as interrupt:
            cache.save(folder / "copy.rollout")
        assert names(folder) in ([], ["copy.rollout"]), interrupt.where
        if names(folder):
            num_whole += 1
            with rv.open(folder / "copy.rollout") as copy:
                assert_holds(copy, ROWS, interrupt.where)
    cache.close()

    with rv.open(cache.path) as reopened:
        assert_holds(reopened, ROWS, "reopened")
    figures(f"save, {error.__name__}: {len(tried)} places, {num_whole} whole copies")


def compactable(path) -> list[Row]:
    """Record two pictures that take turns, which `compact` makes a file smaller of.

    A block and a row, of one env: more would only be more turns of the same loops.
    """
    noise = np.random.default_rng(0).integers(0, 255, (2, 12, 40, 3), np.uint8)
    rows = []
    with rv.FrameCache(path) as cache:
        for number in range(33):
            frame = noise[number // 3 % 2].copy()
            frame[number % 12, number % 40] = number
            row = make_row(number, num_envs=1)._replace(frames=[frame])
            rows.append(row)
            append(cache, row, ("pixels",))
    return rows


@pytest.mark.parametrize("part", range(NUM_PARTS))
@pytest.mark.parametrize("error", ERRORS)
def test_compact_leaves_the_old_recording_or_the_new_one(
    ram_path, error, part, figures
):
    rows = compactable(ram_path / "original.rollout")
    original = (ram_path / "original.rollout").read_bytes()
    folder = ram_path / "run"
    folder.mkdir()
    path = folder / "run.rollout"

    def compact() -> None:
        compact_file(path, level=1)

    for _ in range(2):  # the first time, more is imported
        path.write_bytes(original)
        places = places_of(compact)
    assert path.stat().st_size < len(original)
    tried = places_to_try(places, error)[part::NUM_PARTS]
    num_old = num_hit = 0

    for at in tried:
        path.write_bytes(original)
        with interrupted(at, error) as interrupt:
            compact()
        num_hit += interrupt.where == str(at)
        assert names(folder) == ["run.rollout"], interrupt.where
        if path.read_bytes() == original:
            num_old += 1
            continue
        with rv.open(path) as there:
            assert_holds(there, rows, interrupt.where)
        there.recording.release()

    path.write_bytes(original)
    with rv.open(path) as there:
        assert_holds(there, rows, "as it was")
    there.recording.release()
    compact()
    assert path.stat().st_size < len(original)
    with rv.open(path) as there:
        assert_holds(there, rows, "compacted")
    assert num_hit > 0.9 * len(tried) - 1
    figures(
        f"compact, {error.__name__}: {num_hit} places, {num_old} old files, "
        f"{len(tried) - num_old} new ones"
    )


@pytest.mark.parametrize("state", ["live", "closed", "opened"])
@pytest.mark.parametrize("error", ERRORS)
def test_an_annotation_is_in_memory_and_file_or_in_neither(
    ram_path, error, state, monkeypatch
):
    path = ram_path / "run.rollout"
    cache = recorded(path)
    if state != "live":
        cache.close()
        # Nothing has to wait: not even for what the call itself was reading.
        monkeypatch.setattr(database, "_BUSY_TIMEOUT_S", 0.0)
    if state == "opened":
        cache = rv.open(path)

    def annotate(number: int) -> None:
        cache.bookmark(number % 45, f"note {number}")
        cache.label(cache.episodes[number % 7], grasps=number)

    def of_file() -> tuple:
        with rv.open(path) as found:
            return found.bookmarks, [e.labels for e in found.episodes]

    annotate(0)
    annotate(1)  # from here on, as often as one likes
    tried = places_to_try(places_of(lambda: annotate(2)), error)
    for number, at in enumerate(tried):
        with interrupted(at, error) as interrupt:
            annotate(number)

        assert "database is locked" not in interrupt.message, interrupt.where
        in_memory = cache.bookmarks, [e.labels for e in cache.episodes]
        if state == "live":
            cache.flush()
        assert of_file() == in_memory, (number, interrupt.where)
    annotate(len(tried))
    # The lock file of an interrupted call, which no one holds, is used and deleted.
    assert state == "live" or names(ram_path) == ["run.rollout"]
    cache.close()

    assert cache.bookmarks[len(tried) % 45] == f"note {len(tried)}"
    assert of_file() == (cache.bookmarks, [e.labels for e in cache.episodes])
    with rv.open(path) as reopened:
        assert reopened.num_rows == 45


def test_a_file_can_be_written_while_a_notebook_keeps_what_interrupted_its_reading(
    ram_path, monkeypatch
):
    cache = recorded(ram_path / "run.rollout")
    cache.close()
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_S", 0.0)

    def read() -> None:
        with rv.open(cache.path) as reader:
            assert reader.num_rows == 45

    read()
    places = [at for at in places_of(read) if at.code.co_filename.endswith("trust.py")]
    for at in sample(places, 60):
        Interrupt(at).start(sys._getframe())
        # Its traceback has all that was going on, as `sys.last_traceback` does.
        with pytest.raises(KeyboardInterrupt) as kept:
            read()
        cache.bookmark(3, f"while {kept.typename} is kept")
        cache.remove_bookmark(3)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_rollout_keeps_the_rows_before_and_can_be_repeated(ram_path, error):
    def rollout(cache: rv.FrameCache) -> None:
        rv.rollout(CountingEnv([2] * 9), max_steps=4, cache=cache, progress=False)

    whole = rv.FrameCache()
    rollout(whole)
    counted = rv.FrameCache()
    places = places_of(lambda: rollout(counted))

    for at in places_to_try(places, error):
        cache = rv.FrameCache()
        with interrupted(at, error) as interrupt:
            rollout(cache)
        num_rows = cache.num_rows
        rollout(cache)

        assert cache.num_rows == num_rows + whole.num_rows, interrupt.where
        for first, count in ((0, num_rows), (num_rows, whole.num_rows)):
            for name in ("reward", "kind", "terminated", "env_step"):
                expected = whole.scalars[name][:count]
                found = cache.scalars[name][first : first + count]
                np.testing.assert_array_equal(found, expected, interrupt.where)
            for row in range(count):
                shown, wanted = cache[first + row, 0], whole[row, 0]
                assert read_count(shown) == read_count(wanted), interrupt.where
        cache.close()


@pytest.mark.parametrize("growth", [1, 33])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_growing_file_is_read_on_where_reading_was_interrupted(
    ram_path, error, growth
):
    rows = [make_row(number) for number in range(30 + growth)]

    @contextlib.contextmanager
    def grown(path) -> Iterator[rv.FrameCache]:
        """Return a reader of 30 rows, when more are in the file."""
        with rv.FrameCache(path) as cache, contextlib.ExitStack() as at_exit:
            for row in rows:
                if row.number == 30:
                    cache.flush()
                    reader = at_exit.enter_context(rv.open(path))
                    assert_holds(reader, rows[:30], "before")
                append(cache, row, ("pixels",))
            cache.flush()
            yield reader
        reader.recording.release()
        path.unlink()

    for _ in range(2):  # the first time, more is imported and cached
        with grown(ram_path / "counted.rollout") as reader:
            places = places_of(functools.partial(getattr, reader, "num_rows"))
    for at in places_to_try(places, error, 4):
        with grown(ram_path / "run.rollout") as reader:
            with interrupted(at, error) as interrupt:
                assert reader.num_rows == len(rows)

            assert_holds(reader, rows, interrupt.where)
