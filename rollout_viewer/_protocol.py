"""What the kernel and the page say to each other, version 1.

Every message is a JSON object with a `kind`, and binary buffers beside it.
Traits carry only what Python owns (`playhead`, `playing`, `speed`, `loop`,
`selection`, `bookmarks`, and `_observed`, the names of those that Python
watches). Everything that was recorded travels here.

The page starts: `hello` -> `manifest` -> `data`, `data`, ... The kernel sends
without being asked, oldest first, what is around the playhead before the rest,
and the newest rows as they are recorded; each `data` is acknowledged. The page
asks for what it lacks (`need`). The same messages, in the same order, stand in
an HTML export, so a page without a kernel runs the same code.

Terms: a *slot* is one picture of a row: an env and a camera, numbered from 0 in
the manifest's order. A *block* is the chunk number: rows `32 * block` up to
`32 * block + 31`.

Kernel to page::

    manifest  protocol      1
              version       of rollout_viewer
              session       str; another one means another recording: start anew
              num_rows      rows recorded so far (never shrinks)
              first_row     rows before it have step data but no pictures and are
                            not shown: the start of an exported range, or what
                            was evicted; else 0. May grow
              num_envs
              fps           rows a second at speed 1
              slots         [{env, camera, height, width, shared}, ...]; may grow.
                            shared: one picture of the whole simulation
              is_live       true while somebody may still record
              follow        true if the page begins at the newest row and stays
                            there: the viewer was made before anything was recorded
              num_lost      pictures that could not be kept
              num_evicted   pictures that made room for newer ones
              title         str shown in the head of the viewer
              dump_folder   str, where dumps go; null in an HTML export
              columns       tiles across, or null to fit them
              groups        [[name, first_env, num_envs], ...] of compared
                            recordings; [] where there is one
              data          [{name, dtype, shape}, ...]: arrays beside reward and
                            ends, as far as they were seen; shape of one env's.
                            May be left out, as may be the next two
              meanings      [str, ...], what the numbers of a discrete action mean
              segments      [[name, start, stop], ...] in rows, ascending
              Sent again, whole, whenever something in it but num_rows changes.
    data      seq           0, 1, 2, ... without a gap
              num_rows
              start, count  rows that the step buffers cover; count may be 0
              kernel_nbytes, picture_nbytes
                            bytes in the kernel's memory, and of the pictures on
                            its disk; not in an HTML export
              bookmarks     {row: note}, all of them, where they changed; else absent
              episodes      [[env, index, info], ...] of which something became
                            known, info: a number in `infos`; absent where none
              infos         [{segment, seed, options, labels}, ...], each optional
              buffers[0]    u8  (count, num_envs)  row kind: 0 reset, 1 step,
                                2 idle, 3 terminal_missing
              buffers[1]    u8  (count, num_envs)  1 terminated | 2 truncated
              buffers[2]    f64 (count, num_envs)  reward, NaN where there is none
              buffers[3]    u32 (count, num_envs)  env_step
              buffers[4]    chunks and pieces of chunks, each:
                            u32 block, u32 slot, u32 num_bytes, the bytes
                            (_codec.py), zero bytes up to a multiple of 4
              Step rows come in order, each once after a hello. Of a chunk that
              grows come pieces, in order. A whole chunk replaces its pieces.
    job       job           the page's own number of a dump or download
              state         "running" | "done" | "failed" | "cancelled"
              progress      0..1
              message       str, for people
              paths         [str], where the files are, when done
    file      job, name, mime, offset, total, buffers[0]: bytes of a download
    details   env, start, count
                            rows that it covers; as many as the kernel likes
              num_rows      then: what the last row chose may not be known yet
              fields        [{name, dtype, shape, is_summary, format, rows}, ...] and
                            a buffer each: the arrays of the rows at these offsets
                            (null: all), as format (u1, f4, f8). is_summary: too
                            large; three f8 a row: smallest, mean, largest
              fault         str, why some could not be read; else ""
    column    name, index, start, count, fault, buffers[0]: f4 (count, num_envs), NaN
                            where there is none; count 0: there are no rows
    goto      row           Python set the playhead to the value that it has there
                            already; the page may have moved on
    stats                   asks what the page counted; answered with `stats`
    error     message       something failed in the kernel; shown to people

Page to kernel::

    hello     protocol, version
              page          str, tells this page from another
              beginning     1, 2, ...: how often this page has asked for everything.
                            Repeated until the manifest comes, since a running cell
                            may hold up the first; one that is known is ignored
    ack       seq           everything up to seq has arrived
    need      chunks        [[block, slot, have], ...], most urgent first; have:
                            records of it that are in the page already
    dump      job, formats  ["mp4", "csv", ...], written through the logger
              start, stop   rows, stop exclusive
    download  job, format, start, stop      answered with `file`s
    cancel    job
    bookmark  row, note     the row's bookmark gets this note; that it is one, and
                            that it is none any more, the trait tells
    label     env, episode, labels
                            {name: value}; null takes a label away
    inspect   env, start    answered with one `details`
    column    name, index, start
                            answered with one `column`: the number at that place of
                            the flattened array, of all envs, from row start on
    stats     counts        {drawn, late, decodes, hits, misses, nbytes, evicted}

Golden copies of these messages are in tests/golden and are read by the tests of
both languages.
"""

from __future__ import annotations

import json
import struct
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._codec import (
    CHUNK_ROWS,
    ChunkEncoder,
    ChunkReader,
    Scratch,
    absent,
    join,
    parse,
)
from rollout_viewer._errors import (
    ProtocolError,
    RecordingError,
    RolloutViewerWarning,
    RowError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from rollout_viewer._cache import FrameCache
    from rollout_viewer._recording import AnyRecording

PROTOCOL = 1
_CHUNK_HEAD = struct.Struct("<III")
# Chrome's page and the server pass messages of this size fastest (PEERS.md).
EXPORT_MESSAGE_BYTES = 1_000_000


class Message(NamedTuple):
    """A JSON object and the binary buffers beside it."""

    content: dict[str, Any]
    buffers: list[bytes]


# -- kernel to page


def manifest(
    cache: FrameCache,
    *,
    title: str,
    dump_folder: str | None = None,
    columns: int | None = None,
    fps: float | None = None,
    slots: Sequence[int] | None = None,
    first_row: int = 0,
    num_rows: int | None = None,
    is_live: bool | None = None,
    follow: bool = False,
    groups: Sequence[Sequence[Any]] = (),
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the manifest of a recording; `slots` chooses and orders its pictures."""
    from rollout_viewer import __version__

    recording = cache._recording
    chosen = range(len(recording.slots)) if slots is None else slots
    return {
        "kind": "manifest",
        "protocol": PROTOCOL,
        "version": __version__,
        "session": str(recording.meta.get("session", "")),
        "num_rows": cache.num_rows if num_rows is None else num_rows,
        "first_row": max(first_row, cache.first_row),
        "num_envs": cache.num_envs,
        "fps": fps or cache.fps,
        "slots": [
            {
                "env": info.env,
                "camera": info.camera,
                "height": info.height,
                "width": info.width,
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
        **(about or {}),
    }


def data_message(
    seq: int,
    cache: FrameCache,
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


# What is told of episodes at once; a message of 10,000 has some 200 kB.
EPISODES_AT_ONCE = 10_000


def marks(
    cache: FrameCache, start: int, bookmarks: dict[int, str] | None
) -> tuple[dict[str, Any], int]:
    """Return the fields of a `data` message that tell of episodes and bookmarks.

    Args:
        cache: The recording.
        start: How much of what is known of episodes was told before.
        bookmarks: Those that were told before; None: nothing was.

    Returns:
        The fields, none where there is no news, and `start` for the next.
    """
    fields: dict[str, Any] = {}
    now = cache.bookmarks
    if now != (bookmarks or {}):
        fields["bookmarks"] = {str(row): note for row, note in now.items()}
    rows = cache._recording.rows
    if rows is None or rows.num_told <= start:
        return fields, start
    stop = min(rows.num_told, start + EPISODES_AT_ONCE)
    # Most episodes of a segment have the same to tell.
    number_of: dict[str, int] = {}
    infos: list[dict[str, Any]] = []
    episodes: list[list[int]] = []
    for env, index in rows.told(start, stop):
        info = rows.info_of(env, index)
        number = number_of.setdefault(json.dumps(info, sort_keys=True), len(number_of))
        if number == len(infos):
            infos.append(info)
        episodes.append([env, index, number])
    return {**fields, "infos": infos, "episodes": episodes}, stop


def step_buffers(cache: FrameCache, start: int, stop: int) -> list[bytes]:
    """Return the four step buffers of a `data` message."""
    rows = cache._recording.rows
    if rows is None:
        return [b"", b"", b"", b""]
    return [
        rows.kinds(start, stop).tobytes(),
        rows.ends(start, stop).tobytes(),
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


def piece(
    recording: AnyRecording,
    block: int,
    slot: int,
    first: int,
    num_rows: int,
    on_damage: Callable[[RecordingError], object],
) -> bytes | None:
    """Return the records from `first` on of a block; None if there are none.

    A block without pictures of the slot gives ABSENT records, so that a page
    does not ask for it again; so does one that cannot be read, after `on_damage`.
    The page takes no checksum: what it is sent was checked here.
    """
    count = min(num_rows - block * CHUNK_ROWS, CHUNK_ROWS)
    if first >= count:
        return None
    where = f"{recording.path}, block {block}, slot {slot}"
    try:
        chunk = recording.chunk(block, slot, first)
        if chunk is not None:
            parsed = parse(chunk, where=where)
            # A block that was sealed since its first piece went out comes whole.
            return (
                chunk
                if parsed.first == first
                else join([chunk], where=where, first=first)
            )
    except RecordingError as error:
        on_damage(error)
    info = recording.slots[slot]
    return absent(info.height, info.width, first, count - first)


def recording_messages(
    cache: FrameCache,
    start: int = 0,
    stop: int | None = None,
    envs: Sequence[int] | None = None,
    every: int = 1,
    *,
    title: str = "",
    columns: int | None = None,
    fps: float | None = None,
    groups: Sequence[Sequence[Any]] = (),
    about: Mapping[str, Any] | None = None,
) -> Iterator[Message]:
    """Yield the manifest and data of rows ``start..stop``, for a page without kernel.

    Rows keep their numbers and step data is complete, so that returns and steps
    are right; pictures are of the chosen rows and envs. With `every` > 1 the
    pictures between stay those of every n-th row.

    Raises:
        RowError: No such rows or envs.
    """
    stop = cache.num_rows if stop is None else min(stop, cache.num_rows)
    if every < 1:
        raise ValueError(f"rollout_viewer: expected every >= 1, got {every!r}.")
    if not 0 <= start < stop:
        raise RowError(
            f"rollout_viewer: expected rows within 0..{cache.num_rows}, got "
            f"{start}..{stop}. Record something first, or choose other rows."
        )
    recording = cache._recording
    unknown = sorted(set(envs or ()) - set(cache.pictured_envs))
    if unknown:
        raise RowError(
            f"rollout_viewer: expected envs in {list(cache.pictured_envs)}, got "
            f"{unknown}."
        )
    slots = [
        slot
        for slot, info in enumerate(recording.slots)
        if envs is None or info.env in set(envs)
    ]
    yield Message(
        manifest(
            cache,
            title=title,
            columns=columns,
            fps=fps,
            groups=groups,
            about=about,
            slots=slots,
            first_row=start,
            num_rows=stop,
            is_live=False,
        ),
        [],
    )
    first = data_message(0, cache, 0, stop, [], num_rows=stop)
    told, known = marks(cache, 0, None)
    first.content.update(told)
    yield first
    group: list[tuple[int, int, bytes]] = []
    seq, size = 1, 0
    while (more := marks(cache, known, cache.bookmarks))[0]:
        known = more[1]
        one = data_message(seq, cache, stop, stop, [], num_rows=stop)
        one.content.update(more[0])
        yield one
        seq += 1
    damage: list[RecordingError] = []
    for block in range(start // CHUNK_ROWS, -(-stop // CHUNK_ROWS)):
        for number, slot in enumerate(slots):
            chunk = piece(recording, block, slot, 0, cache.num_rows, damage.append)
            assert chunk is not None
            count = min(stop - block * CHUNK_ROWS, CHUNK_ROWS)
            chunk = (
                _thin(chunk, count, every) if every > 1 else join([chunk], stop=count)
            )
            group.append((block, number, chunk))
            size += len(chunk)
            if size >= EXPORT_MESSAGE_BYTES:
                yield data_message(seq, cache, stop, stop, group, num_rows=stop)
                group, seq, size = [], seq + 1, 0
    if group:
        yield data_message(seq, cache, stop, stop, group, num_rows=stop)
    if damage:
        warnings.warn(
            f"to_html: expected an intact recording, got {len(damage)} damaged chunks, "
            f"which are shown as missing. The first: {damage[0]}",
            RolloutViewerWarning,
            stacklevel=2,
        )


def _thin(chunk: bytes, count: int, every: int) -> bytes:
    """Return the first `count` records with every n-th picture, repeated between."""
    parsed = parse(chunk)
    reader = ChunkReader(parsed)
    scratch = Scratch(parsed.height, parsed.width)
    encoder = ChunkEncoder(parsed.height, parsed.width, scratch)
    frame = np.empty((parsed.height, parsed.width, 3), np.uint8)
    has_any = False
    for index in range(count):
        # A block's first picture is always kept: its chunk must stand alone.
        if not reader.is_shown(index):
            encoder.skip()
        elif index % every == 0 or not has_any:
            reader.read(index, frame)
            encoder.add(frame)
            has_any = True
        else:
            encoder.repeat()
    return encoder.seal()


# -- page to kernel


_FIELDS: dict[str, dict[str, type]] = {
    "hello": {"protocol": int, "version": str, "page": str, "beginning": int},
    "ack": {"seq": int},
    "need": {"chunks": list},
    "dump": {"job": int, "formats": list, "start": int, "stop": int},
    "download": {"job": int, "format": str, "start": int, "stop": int},
    "cancel": {"job": int},
    "bookmark": {"row": int, "note": str},
    "label": {"env": int, "episode": int, "labels": dict},
    "inspect": {"env": int, "start": int},
    "column": {"name": str, "index": int, "start": int},
    "stats": {"counts": dict},
}


def check(content: Any) -> dict[str, Any]:
    """Return a message of the page if it is one.

    Raises:
        ProtocolError: Its kind or a field is unknown.
    """
    kind = content.get("kind") if isinstance(content, dict) else None
    fields = _FIELDS.get(str(kind))
    if fields is None:
        raise ProtocolError(
            f"rollout_viewer: expected a message of kind {sorted(_FIELDS)}, got "
            f"{content!r:.200}. Reload the page."
        )
    for name, type_ in fields.items():
        if not isinstance(content.get(name), type_):
            raise ProtocolError(
                f"rollout_viewer: expected {content['kind']}.{name} to be "
                f"{type_.__name__}, got {content.get(name)!r:.100}. Reload the page."
            )
    assert isinstance(content, dict)
    return content
