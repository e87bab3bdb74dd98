"""Reading in order, ahead of who asks."""

import threading

import numpy as np
import pytest

import rollout_viewer as rv
from rollout_viewer._recording.prefetch import MIN_PREFETCH_BYTES, prefetch


def test_large_things_are_read_one_ahead_in_order_and_by_another_thread():
    asked, threads = [], set()

    def read(number):
        asked.append(number)
        threads.add(threading.get_ident())
        return number * number

    things = prefetch(read, range(5), MIN_PREFETCH_BYTES)

    assert next(things) == 0
    assert list(things) == [1, 4, 9, 16]
    assert asked == [0, 1, 2, 3, 4]
    assert threading.get_ident() not in threads


def test_small_things_are_read_where_they_are_asked_for():
    asked = []

    things = prefetch(asked.append, range(5), MIN_PREFETCH_BYTES - 1)
    next(things)

    assert asked == [0]


def test_what_cannot_be_read_raises_in_its_turn_and_no_thread_stays():
    before = threading.active_count()
    things = prefetch([10, 11].__getitem__, range(9), MIN_PREFETCH_BYTES)

    assert [next(things), next(things)] == [10, 11]
    with pytest.raises(IndexError):
        next(things)
    left = prefetch([10, 11].__getitem__, range(2), MIN_PREFETCH_BYTES)
    next(left)
    left.close()

    assert threading.active_count() == before


def test_a_cache_gives_its_rows_in_order_large_or_small():
    for side in (8, 1200):
        frames = np.zeros((5, 2, side, side, 3), np.uint8)
        frames[:, 1, 3, 4] = np.arange(15).reshape(5, 3)
        with rv.FrameCache() as cache:
            for images in frames:
                cache.append(images)

            rows = list(cache)

        np.testing.assert_array_equal(rows, frames)
    with rv.FrameCache() as empty:
        assert list(empty) == []
