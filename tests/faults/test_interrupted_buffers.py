"""One buffer of rows follows another: no row is lost or doubled there by a Ctrl-C.

The last rows of a block in a file that is mapped survive a kill from that call on; the
first of a group of blocks is put at length.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np
import pytest

from rollout_viewer._recording.row_memory import GROUP_ROWS
from rollout_viewer._recording.step_row import RESET, STEP
from tests.faults.interrupts import interrupted, places_of, sample
from tests.faults.test_interrupted_recorder import (
    LoopOfMany,
    LoopOfOne,
    numbers_of_many,
    numbers_of_one,
)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="rows beside a file need Linux"
)

# Of these calls, rows come with a buffer of the third block, and of the second group.
FULL, NEXT_GROUP = 64, GROUP_ROWS
NUM_CALLS = NEXT_GROUP + 40


class LongLoopOfOne(LoopOfOne):
    """More calls, and at a full buffer a reset or a step."""

    calls = [RESET, STEP, STEP, *[STEP] * (NUM_CALLS - 3)]
    base = 1.01


class LoopOfResets(LongLoopOfOne):
    calls = list(LongLoopOfOne.calls)
    for _row in (FULL, NEXT_GROUP):
        calls[_row - 1], calls[_row] = "end", RESET


class LongLoopOfMany(LoopOfMany):
    ends = [[] for _ in range(NUM_CALLS)]
    for _row in (FULL, NEXT_GROUP):
        ends[_row - 1], ends[_row] = [1], [0]
    base = 1.01


@pytest.mark.parametrize("number", [FULL, NEXT_GROUP])
@pytest.mark.parametrize("kind", [LongLoopOfOne, LoopOfResets, LongLoopOfMany])
def test_a_call_at_a_full_buffer_has_one_row_or_none_wherever_it_is_interrupted(
    number, kind, tmp_path, figures
):
    is_one = issubclass(kind, LoopOfOne)
    numbers_of: Any = numbers_of_one if is_one else numbers_of_many
    first, count = (0, 0) if is_one else (2, 0)

    def begun() -> Any:
        nonlocal count
        count += 1
        loop = kind(tmp_path / f"{count}.rollout")
        for one in range(first, number):
            loop.add(one)
        buffer = loop.recorder.buffer if is_one else loop.recorder.many
        assert buffer is not None
        assert buffer.is_full
        return loop

    def finished(loop: Any) -> tuple[Any, ...]:
        for one in range(number + 1, number + 40):
            loop.add(one)
        found = numbers_of(loop)
        num_calls, num_rows = loop.recorder.num_calls, loop.cache.num_rows
        loop.cache.close()
        assert num_rows <= num_calls <= number + 40
        return found

    loop = begun()
    loop.add(number)
    loop = begun()
    places = places_of(functools.partial(loop.add, number))
    assert any(place.code.co_name == "next_buffer" for place in places)
    whole, next_row = begun(), begun()
    whole.add(number)
    _refuse_once(next_row, number)
    expected = [finished(one) for one in (whole, next_row, begun())]

    found = [0, 0, 0]
    for at in sample(places, 16):
        loop = begun()
        with interrupted(at) as interrupt:
            loop.add(number)
        assert not loop.recorder._lock.locked(), interrupt.where
        now = finished(loop)
        which = [one for one, known in enumerate(expected) if _is_same(now, known)]
        assert which, interrupt.where
        found[which[0]] += 1
    figures(f"{kind.__name__}, call {number}: {found} whole, in the next row, in none")


def _refuse_once(loop: Any, number: int) -> None:
    """Add a call that finds no memory: the next row includes it."""
    cache = loop.cache
    following = cache.next_buffer

    def refuse(full: Any) -> Any:
        raise MemoryError

    cache.next_buffer = refuse
    with pytest.raises(MemoryError):
        loop.add(number)
    cache.next_buffer = following


def _is_same(found: tuple[Any, ...], known: tuple[Any, ...]) -> bool:
    """Whether rewards, and episodes, are the same: the order of sums may differ."""
    if len(found[1]) != len(known[1]) or not np.allclose(found[0], known[0], 1e-9):
        return False
    return all(
        one[0] == other[0]
        and np.isclose(one[1], other[1], 1e-9)
        and one[2:] == other[2:]
        for one, other in zip(found[1], known[1], strict=True)
    )
