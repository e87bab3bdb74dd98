"""A whole recording as messages, for a page without a kernel."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RecordingError, RolloutViewerWarning, RowError
from rollout_viewer._frames.chunk import ABSENT, CHUNK_ROWS, join, kinds_of, parse
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._page.build_messages import (
    annotations_message,
    build_manifest,
    data_message,
    piece_message,
)
from rollout_viewer._page.protocol import Message

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from rollout_viewer._recording.reader import RecordingReader

# JupyterLab took 55 MB/s in messages of 200 kB, 23 MB/s of 20 kB (measured).
EXPORT_MESSAGE_BYTES = 1_000_000


def recording_messages(
    cache: RecordingReader,
    start: int = 0,
    stop: int | None = None,
    envs: Sequence[int] | None = None,
    every: int = 1,
    *,
    title: str = "",
    columns: int | None = None,
    fps: float | None = None,
    groups: Sequence[Sequence[Any]] = (),
    compare: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> Iterator[Message]:
    """Yield the manifest and data of rows ``start..stop``.

    Rows keep their numbers and step data is complete, so that returns and steps
    are right; pictures are of the chosen rows and envs. With `every` > 1 the
    pictures between repeat the one before, and are marked so (_frames/chunk.py).

    Raises:
        RowError: No such rows or envs.
        ValueError: `every` is below 1.
    """
    stop = cache.num_rows if stop is None else min(stop, cache.num_rows)
    slots = _choose_slots(cache, start, stop, envs, every)
    manifest = build_manifest(
        cache,
        title=title,
        columns=columns,
        fps=fps,
        groups=groups,
        compare=compare,
        fields=fields,
        slots=slots,
        first_row=start,
        num_rows=stop,
        is_live=False,
    )
    yield Message(manifest, [])
    seq = yield from _step_messages(cache, stop)
    damage: list[RecordingError] = []
    for group in _chunk_groups(cache, start, stop, slots, every, damage):
        yield data_message(seq, cache, stop, stop, group, num_rows=stop)
        seq += 1
    if damage:
        warnings.warn(
            f"to_html: expected an intact recording, got {len(damage)} damaged chunks, "
            f"which are shown as missing. The first: {damage[0]}",
            RolloutViewerWarning,
            stacklevel=2,
        )


def _choose_slots(
    cache: RecordingReader,
    start: int,
    stop: int,
    envs: Sequence[int] | None,
    every: int,
) -> list[int]:
    if every < 1:
        raise ValueError(f"rollout_viewer: expected every >= 1, got {every!r}.")
    if not 0 <= start < stop:
        raise RowError(
            f"rollout_viewer: expected rows within 0..{cache.num_rows}, got "
            f"{start}..{stop}. Record something first, or choose other rows."
        )
    unknown = sorted(set(envs or ()) - set(cache.pictured_envs))
    if unknown:
        raise RowError(
            f"rollout_viewer: expected envs in {list(cache.pictured_envs)}, got "
            f"{unknown}."
        )
    wanted = None if envs is None else set(envs)
    slots = cache.recording.slots
    chosen: list[int] = []
    for tile in cache.tiles:
        env, camera = slots[tile[0]].env, slots[tile[0]].camera
        if wanted is None or env in wanted:
            sizes = cache.sizes_in(start, stop, env, camera)
            chosen += [slot for slot in tile if slots[slot].size in sizes]
    return sorted(chosen)


def _step_messages(cache: RecordingReader, stop: int) -> Generator[Message, None, int]:
    """Yield step data and annotations; return the next `seq`."""
    message = data_message(0, cache, 0, stop, [], num_rows=stop)
    annotations, known = annotations_message(cache, 0, None)
    seq = 0
    while True:
        message.content.update(annotations)
        yield message
        seq += 1
        annotations, known = annotations_message(cache, known, cache.bookmarks)
        if not annotations:
            return seq
        message = data_message(seq, cache, stop, stop, [], num_rows=stop)


def _chunk_groups(
    cache: RecordingReader,
    start: int,
    stop: int,
    slots: Sequence[int],
    every: int,
    damage: list[RecordingError],
) -> Iterator[list[tuple[int, int, bytes]]]:
    """Yield (block, slot, bytes) of all chunks, as many as fit into a message."""
    group: list[tuple[int, int, bytes]] = []
    size = 0
    for block in range(start // CHUNK_ROWS, -(-stop // CHUNK_ROWS)):
        count = min(stop - block * CHUNK_ROWS, CHUNK_ROWS)
        chunks = {
            slot: _chunk(cache, block, slot, count, every, damage) for slot in slots
        }
        idle = _idle_slots(cache, chunks, count)
        for number, slot in enumerate(slots):
            if slot in idle:
                continue
            chunk = chunks[slot]
            group.append((block, number, chunk))
            size += len(chunk)
            if size >= EXPORT_MESSAGE_BYTES:
                yield group
                group, size = [], 0
    if group:
        yield group


def _chunk(
    cache: RecordingReader,
    block: int,
    slot: int,
    count: int,
    every: int,
    damage: list[RecordingError],
) -> bytes:
    """Return the first `count` records of a block, thinned out if `every` > 1."""
    whole = piece_message(
        cache.recording, block, slot, 0, cache.num_rows, damage.append
    )
    assert whole is not None
    return _thin(whole, count, every) if every > 1 else join([whole], stop=count)


def _idle_slots(
    cache: RecordingReader, chunks: Mapping[int, bytes], count: int
) -> set[int]:
    """Return slots whose chunks show nothing that a page has to know of.

    Those are other sizes of an env and camera that is shown in all rows of the block.
    """
    idle: set[int] = set()
    for tile in cache.tiles:
        sizes = [slot for slot in tile if slot in chunks]
        if len(sizes) < 2:
            continue
        kinds = np.array([kinds_of(chunks[slot])[:count] for slot in sizes])
        is_shown = kinds != ABSENT
        if is_shown.any(axis=0).all():
            idle |= {
                s
                for s, any_row in zip(sizes, is_shown, strict=True)
                if not any_row.any()
            }
    return idle


def _thin(chunk: bytes, count: int, every: int) -> bytes:
    """Return the first `count` records with every n-th picture, repeated between."""
    parsed = parse(chunk)
    reader = ChunkDecoder(parsed)
    scratch = Scratch(parsed.height, parsed.width)
    encoder = ChunkEncoder(parsed.height, parsed.width, scratch)
    frame = np.empty((parsed.height, parsed.width, 3), np.uint8)
    was_shown = is_behind = False
    for index in range(count):
        # The first picture of a block, and after rows without one, is always kept.
        if not reader.is_shown(index):
            encoder.skip()
        elif not was_shown or (index % every == 0 and reader.has_picture(index)):
            reader.read(index, frame)
            encoder.add(frame, is_repeated=not reader.has_picture(index))
            is_behind = False
        else:
            # Of a picture that stayed the same, the one before is this row's too.
            is_behind |= not reader.is_equal(index)
            encoder.repeat(is_due=is_behind or not reader.has_picture(index))
        was_shown = reader.is_shown(index)
    return encoder.seal()
