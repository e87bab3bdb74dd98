"""Fewer and smaller pictures in the same chunks, for a page that has to be small."""

from __future__ import annotations

import numpy as np

from rollout_viewer._frames.chunk import join, parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._frames.transform import shrink


def thin(chunk: bytes, count: int, every: int, reduce: int) -> bytes:
    """Return the first `count` records of a chunk, with less in them.

    Args:
        chunk: Whole.
        count: Records.
        every: Keep each n-th picture; it is repeated between.
        reduce: Pictures are so many times smaller each way.
    """
    if every == reduce == 1:
        return join([chunk], stop=count)
    parsed = parse(chunk)
    reader = ChunkDecoder(parsed)
    height, width = reduced(parsed.height, reduce), reduced(parsed.width, reduce)
    encoder = ChunkEncoder(height, width, Scratch(height, width))
    frame = np.empty((parsed.height, parsed.width, 3), np.uint8)
    was_shown = is_behind = False
    for index in range(count):
        # The first picture of a block, and after rows without one, is always kept.
        if not reader.is_shown(index):
            encoder.skip()
        elif not was_shown or (index % every == 0 and reader.has_picture(index)):
            reader.read(index, frame)
            small = frame if reduce == 1 else shrink(frame, reduce, reduce)
            encoder.add(small, is_repeated=not reader.has_picture(index))
            is_behind = False
        else:
            # Of a picture that stayed the same, the one before is this row's too.
            is_behind |= not reader.is_equal(index)
            encoder.repeat(is_due=is_behind or not reader.has_picture(index))
        was_shown = reader.is_shown(index)
    return encoder.seal()


def reduced(side: int, reduce: int) -> int:
    """Return the length of a side that is so many times smaller."""
    return max(side // reduce, 1)
