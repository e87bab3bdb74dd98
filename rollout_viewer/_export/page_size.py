"""What a page in a file could leave out to be smaller, and how small it then is.

Sizes are estimates: of the pictures, a few chunks are thinned, and the rest is taken to
shrink as they did.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._page.offline import choose_slots, read_chunk
from rollout_viewer._page.thin import thin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_viewer._recording.reader import RecordingReader


class Detail(NamedTuple):
    """How much of the pictures a page has: each `every`-th, `reduce` times smaller."""

    every: int = 1
    reduce: int = 1


EXACT = Detail()
# What a preview tries, in this order: smaller pictures first, since a page of many
# tiles shows them smaller anyway.
PREVIEWS = [
    EXACT,
    *(Detail(1, reduce) for reduce in (2, 3, 4)),
    *(Detail(every, reduce) for every, reduce in ((2, 4), (4, 4), (4, 8), (8, 8))),
    Detail(32, 8),
]
_SAMPLED_BLOCKS, _SAMPLED_SLOTS = 4, 4


def shares(
    cache: RecordingReader,
    start: int,
    stop: int,
    envs: Sequence[int] | None,
    details: Iterable[Detail],
) -> dict[Detail, float]:
    """Return what part of the exact pictures' bytes each detail would take, estimated.

    Args:
        cache: The recording.
        start: First row.
        stop: Row after the last one.
        envs: Whose pictures; None: all.
        details: What is asked for.
    """
    sample = list(_sample(cache, start, stop, choose_slots(cache, start, stop, envs)))
    exact = sum(_size(thin(chunk, count, *EXACT)) for chunk, count in sample)
    return {
        detail: sum(_size(thin(chunk, count, *detail)) for chunk, count in sample)
        / max(exact, 1)
        for detail in details
    }


def _sample(
    cache: RecordingReader, start: int, stop: int, slots: Sequence[int]
) -> Iterable[tuple[bytes, int]]:
    """Yield some chunks, spread over rows and slots, and their records."""
    first, last = start // CHUNK_ROWS, (stop - 1) // CHUNK_ROWS
    for block in _spread(range(first, last + 1), _SAMPLED_BLOCKS):
        for slot in _spread(slots, _SAMPLED_SLOTS):
            # Damage is reported by what writes them all.
            chunk = read_chunk(cache, block, slot, lambda _: None)
            yield chunk, min(stop - block * CHUNK_ROWS, CHUNK_ROWS)


def _spread(items: Sequence[int], count: int) -> list[int]:
    places = np.linspace(0, len(items) - 1, min(count, len(items))).round()
    return [items[int(place)] for place in places]


def _size(chunk: bytes) -> int:
    return min(len(chunk), len(zlib.compress(chunk, 6)))
