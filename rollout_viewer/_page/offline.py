"""A whole recording as messages, for a page without a kernel."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RecordingError, RolloutViewerWarning, RowError
from rollout_viewer._frames.chunk import ABSENT, CHUNK_ROWS, kinds_of
from rollout_viewer._page.build_messages import (
    annotations_message,
    build_manifest,
    data_message,
    piece_message,
)
from rollout_viewer._page.protocol import Message
from rollout_viewer._page.thin import thin

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

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
    reduce: int = 1,
    first: int | None = None,
    on_rows: Callable[[int], object] = lambda _: None,
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
    pictures between repeat the one before, and are marked so (_frames/chunk.py). With
    `reduce` > 1 they are so many times smaller each way. Those around row `first`, or
    `start`, are the first. `on_rows` is called with the
    number of rows whose pictures are done.

    Raises:
        RowError: No such rows or envs.
        ValueError: `every` or `reduce` is below 1.
    """
    for name, value in (("every", every), ("reduce", reduce)):
        if value < 1:
            raise ValueError(f"to_html: expected {name} >= 1, got {value!r}.")
    stop = cache.num_rows if stop is None else min(stop, cache.num_rows)
    slots = choose_slots(cache, start, stop, envs)
    manifest = build_manifest(
        cache,
        title=title,
        columns=columns,
        fps=fps,
        groups=groups,
        compare=compare,
        fields=fields,
        slots=slots,
        reduce=reduce,
        first_row=start,
        num_rows=stop,
        is_live=False,
    )
    yield Message(manifest, [])
    seq = yield from _step_messages(cache, stop)
    damage: list[RecordingError] = []

    def chunk(block: int, slot: int, count: int) -> bytes:
        whole = read_chunk(cache, block, slot, damage.append)
        return thin(whole, count, every, reduce)

    at = start if first is None else first
    for done, group in _chunk_groups(cache, start, stop, slots, chunk, at):
        yield data_message(seq, cache, stop, stop, group, num_rows=stop)
        on_rows(done)
        seq += 1
    if damage:
        warnings.warn(
            f"to_html: expected an intact recording, got {len(damage)} damaged chunks, "
            f"which are shown as missing. The first: {damage[0]}",
            RolloutViewerWarning,
            stacklevel=2,
        )


def check_rows(cache: RecordingReader, start: int, stop: int) -> None:
    """Raise a `RowError` unless a recording has rows ``start..stop``, at least one."""
    if not 0 <= start < stop <= cache.num_rows:
        raise RowError(
            f"to_html: expected rows within 0..{cache.num_rows}, got "
            f"{start}..{stop}. Record something first, or choose other rows."
        )


def choose_slots(
    cache: RecordingReader, start: int, stop: int, envs: Sequence[int] | None
) -> list[int]:
    """Return the slots that show these envs in rows ``start..stop``.

    Raises:
        RowError: No such rows or envs.
    """
    check_rows(cache, start, stop)
    unknown = sorted(set(envs or ()) - set(cache.pictured_envs))
    if unknown:
        raise RowError(
            f"to_html: expected envs in {list(cache.pictured_envs)}, got {unknown}."
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
    chunk: Callable[[int, int, int], bytes],
    at: int,
) -> Iterator[tuple[int, list[tuple[int, int, bytes]]]]:
    """Yield rows that are done and (block, slot, bytes) of their chunks.

    The block of row `at` is the first and a message of its own, so that its pictures
    are seen at once; of the others as many as fit are.
    """
    group: list[tuple[int, int, bytes]] = []
    size = done = 0
    first = at // CHUNK_ROWS
    blocks = range(start // CHUNK_ROWS, -(-stop // CHUNK_ROWS))
    for block in sorted(blocks, key=lambda block: block != first):
        count = min(stop - block * CHUNK_ROWS, CHUNK_ROWS)
        chunks = {slot: chunk(block, slot, count) for slot in slots}
        idle = _idle_slots(cache, chunks, count)
        for number, slot in enumerate(slots):
            if slot in idle:
                continue
            group.append((block, number, chunks[slot]))
            size += len(chunks[slot])
            if size >= EXPORT_MESSAGE_BYTES:
                yield done, group
                group, size = [], 0
        done += min((block + 1) * CHUNK_ROWS, stop) - max(block * CHUNK_ROWS, start)
        if group and block == first:
            yield done, group
            group, size = [], 0
    if group:
        yield done, group


def read_chunk(
    cache: RecordingReader,
    block: int,
    slot: int,
    on_damage: Callable[[RecordingError], object],
) -> bytes:
    """Return the chunk of a block and slot, whole."""
    whole = piece_message(cache.recording, block, slot, 0, cache.num_rows, on_damage)
    assert whole is not None
    return whole


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
