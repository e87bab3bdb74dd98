"""Builds the messages that carry a recording to a page; `protocol` specifies them."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import (
    RecordingError,
)
from rollout_viewer._frames.chunk import (
    CHUNK_ROWS,
    MAX_FRAME_BYTES,
    absent,
    parse,
    part_of,
)
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._frames.encoder import ChunkEncoder
from rollout_viewer._frames.scratch import Scratch
from rollout_viewer._page.bundle import packed_part
from rollout_viewer._page.protocol import PROTOCOL, Message
from rollout_viewer._page.thin import reduced
from rollout_viewer._recording.late_pictures import not_reproducible
from rollout_viewer._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.reader import RecordingReader


# Of rows whose pictures cannot be rendered: characters, and how many runs of rows.
_MAX_REASON = 300
_MAX_REASONS = 1000
_CHUNK_HEAD = struct.Struct("<III")


# -- kernel to page


def build_manifest(
    cache: RecordingReader,
    *,
    title: str,
    dump_folder: str | None = None,
    columns: int | None = None,
    fps: float | None = None,
    slots: Sequence[int] | None = None,
    reduce: int = 1,
    first_row: int = 0,
    num_rows: int | None = None,
    is_live: bool | None = None,
    follow: bool = False,
    groups: Sequence[Sequence[Any]] = (),
    compare: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
    renders: bool | None = None,
) -> dict[str, Any]:
    """Return the manifest of a recording.

    `slots` chooses and orders its pictures, which are `reduce` times smaller each way.
    """
    recording = cache.recording
    unmade = [
        [env, start, stop, reason[:_MAX_REASON]]
        for env, start, stop, reason in not_reproducible(recording.meta)[:_MAX_REASONS]
    ]
    chosen = range(len(recording.slots)) if slots is None else slots
    return {
        "kind": "manifest",
        "protocol": PROTOCOL,
        "version": __version__,
        "session": cache.session,
        "num_rows": cache.num_rows if num_rows is None else num_rows,
        "first_row": max(first_row, cache.first_row),
        "num_envs": cache.num_envs,
        "fps": fps or cache.fps,
        "slots": [
            {
                "env": info.env,
                "camera": info.camera,
                "height": reduced(info.height, reduce),
                "width": reduced(info.width, reduce),
                "shared": info.is_shared,
            }
            for info in (recording.slots[slot] for slot in chosen)
        ],
        "is_live": cache.is_live if is_live is None else is_live,
        "follow": follow,
        "num_lost": cache.num_lost,
        "num_evicted": cache.num_evicted,
        "title": title,
        "dump_folder": dump_folder,
        "columns": columns,
        "groups": [list(group) for group in groups],
        **({} if compare is None else {"compare": dict(compare)}),
        **({"reduced": reduce} if reduce > 1 else {}),
        **({} if renders is None else {"renders": renders}),
        **({"not_reproducible": unmade} if unmade else {}),
        **(fields or {}),
    }


def data_message(
    seq: int,
    cache: RecordingReader,
    start: int,
    stop: int,
    chunks: Iterable[tuple[int, int, bytes]],
    *,
    num_rows: int,
) -> Message:
    """Return step rows ``start..stop`` and (block, slot, bytes) of chunks."""
    return Message(
        {
            "kind": "data",
            "seq": seq,
            "num_rows": num_rows,
            "start": start,
            "count": stop - start,
        },
        [*step_buffers(cache, start, stop), encode_chunks(chunks)],
    )


def part_message(name: str, where: str) -> Message:
    """Return a module of the page that few need; `where`: for an error's message."""
    return Message({"kind": "part", "name": name}, [packed_part(name, where)])


# Episodes in one message; 10,000 of them take some 200 kB.
EPISODES_AT_ONCE = 10_000


def annotations_message(
    cache: RecordingReader, start: int, bookmarks: dict[int, str] | None
) -> tuple[dict[str, Any], int]:
    """Return the fields of a `data` message for episodes and bookmarks that changed.

    Args:
        cache: The recording.
        start: How much of what is known of episodes was sent before.
        bookmarks: Those that were sent before; None: none.

    Returns:
        The fields, none where nothing changed, and `start` of the next call.
    """
    fields: dict[str, Any] = {}
    now = cache.bookmarks
    if now != (bookmarks or {}):
        fields["bookmarks"] = {str(row): note for row, note in now.items()}
    rows = cache.recording.rows
    if rows is None or rows.info_version <= start:
        return fields, start
    stop = min(rows.info_version, start + EPISODES_AT_ONCE)
    # Most episodes of a segment have the same info.
    number_of: dict[str, int] = {}
    infos: list[dict[str, Any]] = []
    episodes: list[list[int]] = []
    for env, index in rows.described(start, stop):
        info = rows.info_of(env, index)
        number = number_of.setdefault(json.dumps(info, sort_keys=True), len(number_of))
        if number == len(infos):
            infos.append(info)
        episodes.append([env, index, number])
    return {**fields, "infos": infos, "episodes": episodes}, stop


def step_buffers(cache: RecordingReader, start: int, stop: int) -> list[bytes]:
    """Return the four step buffers of a `data` message."""
    rows = cache.recording.rows
    if rows is None:
        return [b"", b"", b"", b""]
    return [
        rows.kinds(start, stop).tobytes(),
        rows.page_flags(start, stop).tobytes(),
        rows.rewards(start, stop).astype("<f8").tobytes(),
        rows.env_steps(start, stop).astype("<u4").tobytes(),
    ]


def encode_chunks(chunks: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return the last buffer of a `data` message."""
    parts = []
    for block, slot, chunk in chunks:
        parts += [
            _CHUNK_HEAD.pack(block, slot, len(chunk)),
            chunk,
            bytes(-len(chunk) % 4),
        ]
    return b"".join(parts)


def decode_chunks(buffer: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (block, slot, bytes) of the last buffer of a `data` message."""
    at = 0
    while at < len(buffer):
        block, slot, size = _CHUNK_HEAD.unpack_from(buffer, at)
        at += _CHUNK_HEAD.size
        yield block, slot, buffer[at : at + size]
        at += size + -size % 4


def piece_message(
    recording: Recording,
    block: int,
    slot: int,
    first: int,
    num_rows: int,
    on_damage: Callable[[RecordingError], object],
    max_bytes: int = MAX_FRAME_BYTES,
) -> bytes | None:
    """Return the records from `first` on of a block; None if there are none.

    As many as `max_bytes` allow, and one at least. A block without pictures of the
    slot gives ABSENT records, so that a page does not ask for it again; so does one
    that cannot be read, after `on_damage`. The page checks no checksum: what it is sent
    was checked here.
    """
    count = min(num_rows - block * CHUNK_ROWS, CHUNK_ROWS)
    if first >= count:
        return None
    where = f"{recording.path}, block {block}, slot {slot}"
    info = recording.slots[slot]
    try:
        chunk = recording.chunk(block, slot, first)
        if chunk is not None:
            parsed = parse(chunk, where=where, size=info.size)
            if parsed.first + len(parsed.kinds) < count:
                raise RecordingError(
                    f"{where}: expected {count} records, got {len(parsed.kinds)} from "
                    f"{parsed.first} on."
                )
            # A block that was sealed since its first piece went out comes whole.
            records = parsed.records[first - parsed.first :]
            stop = first + _num_within(records, max_bytes)
            if parsed.first == first and stop == first + len(records):
                return chunk
            return part_of(parsed, first, stop)
    except RecordingError as error:
        on_damage(error)
    return absent(info.height, info.width, first, count - first)


def _num_within(records: Sequence[bytes | memoryview], max_bytes: int) -> int:
    """Return how many of the first records are together no larger; at least one."""
    size = 0
    for number, record in enumerate(records):
        size += len(record)
        if size > max_bytes and number:
            return number
    return len(records)


def still_message(
    recording: Recording, block: int, slot: int, index: int
) -> bytes | None:
    """Return a chunk that shows one record of a block, exactly, and none before it.

    None if there is no such picture.

    Raises:
        RecordingError: It cannot be read.
    """
    chunk = recording.chunk(block, slot)
    if chunk is None:
        return None
    info = recording.slots[slot]
    where = f"{recording.path}, block {block}, slot {slot}"
    parsed = parse(chunk, where=where, size=info.size)
    reader = ChunkDecoder(parsed, where=where)
    if index >= len(parsed.kinds) or not reader.is_shown(index):
        return None
    frame = np.empty((info.height, info.width, 3), np.uint8)
    reader.read(index, frame)
    encoder = ChunkEncoder(info.height, info.width, Scratch(info.height, info.width))
    for _ in range(index):
        encoder.skip()
    encoder.add(frame, is_repeated=not reader.has_picture(index))
    return encoder.seal()
