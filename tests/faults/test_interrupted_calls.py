"""Calls around recording are interrupted anywhere: nothing is harmed or left over.

`FAULTS=long` tries every place, else a sample.
"""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.compact import compact as compact_file
from rollout_viewer.testing import CountingEnv, read_count
from tests.faults.interrupts import IS_LONG, interrupted, places_of, sample
from tests.faults.rows import append, assert_holds, make_row
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
ROWS = [make_row(number) for number in range(45)]


def places_to_try(num_places: int, error: type[BaseException]) -> list[int]:
    """Return a sample; all in the long form, of other errors every fourth."""
    places = sample(num_places, 8)
    return places[::4] if IS_LONG and error is not KeyboardInterrupt else places


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
    num_whole = 0

    for at in places_to_try(places, error):
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
    figures(f"save, {error.__name__}: {places} places, {num_whole} whole copies")


@pytest.mark.parametrize("error", ERRORS)
def test_compact_leaves_the_old_recording_or_the_new_one(ram_path, error, figures):
    original = recorded(ram_path / "original.rollout")
    original.close()
    folder = ram_path / "run"
    folder.mkdir()
    path = folder / "run.rollout"

    def compact() -> None:
        compact_file(path, level=1)

    for _ in range(2):  # the first time, more is imported
        shutil.copy(original.path, path)
        num_places = places_of(compact)
    places = places_to_try(num_places, error)
    if IS_LONG:
        places = places[:: max(1, len(places) // 400)]

    for at in places:
        shutil.copy(original.path, path)
        with interrupted(at, error) as interrupt:
            compact()
        assert names(folder) == ["run.rollout"], interrupt.where
        with rv.open(path) as there:
            assert_holds(there, ROWS, interrupt.where)
        there.recording.release()

    compact()
    assert_holds(rv.open(path), ROWS, "compacted")
    figures(f"compact, {error.__name__}: {len(places)} places of {num_places}")


@pytest.mark.parametrize("state", ["live", "closed", "opened"])
@pytest.mark.parametrize("error", ERRORS)
def test_an_annotation_is_in_memory_and_file_or_in_neither(ram_path, error, state):
    path = ram_path / "run.rollout"
    cache = recorded(path)
    if state != "live":
        cache.close()
    if state == "opened":
        cache = rv.open(path)

    def annotate(number: int) -> None:
        cache.bookmark(number % 45, f"note {number}")
        cache.label(cache.episodes[number % 7], grasps=number)

    def of_file() -> tuple:
        with rv.open(path) as found:
            return found.bookmarks, [e.labels for e in found.episodes]

    annotate(0)
    places = places_to_try(places_of(lambda: annotate(1)), error)
    for number, at in enumerate(places):
        with interrupted(at, error) as interrupt:
            annotate(number)

        in_memory = cache.bookmarks, [e.labels for e in cache.episodes]
        if state == "live":
            cache.flush()
        assert of_file() == in_memory, (number, interrupt.where)
    annotate(len(places))
    # The lock file of an interrupted call, which no one holds, is used and deleted.
    assert state == "live" or names(ram_path) == ["run.rollout"]
    cache.close()

    assert cache.bookmarks[len(places) % 45] == f"note {len(places)}"
    assert of_file() == (cache.bookmarks, [e.labels for e in cache.episodes])
    with rv.open(path) as reopened:
        assert reopened.num_rows == 45


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_rollout_keeps_the_rows_before_and_can_be_repeated(ram_path, error):
    def rollout(cache: rv.FrameCache) -> None:
        rv.rollout(CountingEnv([2] * 9), max_steps=4, cache=cache, progress=False)

    whole = rv.FrameCache()
    rollout(whole)
    num_places = places_of(lambda: rollout(rv.FrameCache()))

    for at in places_to_try(num_places, error):
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


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_growing_file_is_read_on_where_reading_was_interrupted(ram_path, error):
    def grow(count: int) -> None:
        for _ in range(count):
            rows.append(make_row(len(rows)))
            append(cache, rows[-1], ("pixels",))
        cache.flush()

    cache, rows = rv.FrameCache(ram_path / "run.rollout"), []
    grow(30)
    num_places = places_of(lambda: len(rv.open(cache.path)))

    for number, at in enumerate(places_to_try(num_places, error)):
        with rv.open(cache.path) as reader:
            assert_holds(reader, rows, "before")
            grow((1, 7, 33)[number % 3] if len(rows) < 300 else 1)
            with interrupted(at, error) as interrupt:
                assert reader.num_rows == len(rows)

            assert_holds(reader, rows, interrupt.where)
        reader.recording.release()
    cache.close()
