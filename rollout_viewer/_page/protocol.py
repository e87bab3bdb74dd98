"""The messages between kernel and page, version 1.

Every message is a JSON object with a `kind`, and binary buffers beside it.
Traits carry only what Python owns (`playhead`, `playing`, `speed`, `loop`,
`selection`, `bookmarks`, and `_observed`, the names of those that Python
observes). Everything that was recorded travels here.

The page starts: `hello` -> `manifest` -> `data`, `data`, ... The kernel sends
without being asked, oldest first, what is around the playhead before the rest,
and the newest rows as they are recorded; each `data` is acknowledged. The page
asks for what it lacks (`need`). The same messages, in the same order, are in an
HTML export, so that a page without a kernel runs the same code.

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
                            An env and camera whose pictures change their size has one
                            for each size, of which at most one shows anything in a
                            row; chunks of the others need not be sent.
                            shared: one picture of the whole simulation
              is_live       true while rows may still come
              follow        true if the page begins at the newest row and stays
                            there: the viewer was made before anything was recorded
              num_lost      pictures that could not be kept
              num_evicted   pictures that were deleted for newer ones
              title         str shown in the head of the viewer
              dump_folder   str, where dumps go; null in an HTML export
              columns       tiles across, or null to fit them
              groups        [[name, first_env, num_envs], ...] of compared
                            recordings; [] where there is one
              compare       {lines, seeds}: begin with a line of tiles for each of
                            these segments (null: for each of `groups`) and a column
                            for each seed (text), in this order; left out: do not.
                            Of an evaluation also, all numbers Python's:
                            policies    [{policy, n, ...}, ...], the columns of
                                        `EvaluationResult.table`
                            against     [{policy, against, finding, ...}, ...], the
                                        columns of `EvaluationResult.paired.summary`;
                                        finding: what they say, as text
                            pairs       {line, seed, env, episode, env_against,
                                        episode_against, return, return_against,
                                        difference, flip}, each a list with an item
                                        for each pair: of policies[line] against
                                        policies[0]; env and episode null where the
                                        page does not have it; flip 1 gained, -1 lost
                                        Without a kernel also parting: [by, offset],
                                        as of the message of that name
                            Numbers that are not known are null, infinite ones text.
                            Its columns are these pairs, whatever else was recorded
              data          [{name, dtype, shape}, ...]: arrays beside reward and
                            ends, as far as they were seen; shape of one env's, and
                            names: [str, ...] of its numbers where they have some.
                            May be left out, as may be the next two
              meanings      [str, ...], what the numbers of a discrete action mean
              segments      [[name, start, stop], ...] in rows, ascending
              reduced       2 or more: the pictures are so many times smaller each
                            way; only in an HTML export
              renders       pictures that were not made when the rows were recorded are
                            rendered where a page looks (true), or cannot be here;
                            left out where there are none
              not_reproducible
                            [[env, start, stop, reason], ...]: rows whose pictures
                            cannot be rendered
              number        1, 2, ...: a lower one than the last is late, and passed
                            over; not in an HTML export
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
              session       as the manifest's: of another one, it is late, and passed
                            over; not in an HTML export, as are the next two
              about         [start, stop] of what became known of episodes, in order,
                            where there is any
              pending       [[block, slot], ...]: chunks in this message that will come
                            again, whole, when more of their pictures were rendered;
                            of their ABSENT records pictures may come
              previews      [{block, slots, codec, width, height, columns, number,
                            first, sizes, shown}, ...]: rows of a block in small, not
                            exact, as one video of tiles side by side; absent where none
                            codec: as WebCodecs names it, or "image/jpeg"; width,
                            height: of a tile; number: of the video; first: rows of it
                            that came before; sizes: bytes of each row's picture, in
                            buffers[5], one preview after the other; shown: of each
                            slot, bits of the rows so far in which it has a picture
              marks         1, 2, ...: number of the bookmarks, where there are any
              infos         [{success, segment, seed, options, labels}, ...],
                            each optional
              buffers[0]    u8  (count, num_envs)  row kind: 0 reset, 1 step,
                                2 idle, 3 terminal_missing, 4 damaged
                                (the file's step data of the row cannot be read)
              buffers[1]    u8  (count, num_envs)  1 terminated | 2 truncated
              buffers[2]    f64 (count, num_envs)  reward, NaN where there is none
              buffers[3]    u32 (count, num_envs)  env_step
              buffers[4]    chunks and pieces of chunks, each:
                            u32 block, u32 slot, u32 num_bytes, the bytes
                            (_frames/chunk.py), zero bytes up to a multiple of 4.
                            A record's mark says of every row and slot whether its
                            picture is *repeated*, an earlier row's shown again: late,
                            skipped, recorded without pictures, or left out by `every`
              Step rows come in order, each once after a hello. Of a chunk that
              grows come pieces, in order. A whole chunk replaces its pieces.
    beat      session, manifest, num_rows, about, marks
                            how much was sent: the highest `number`, the rows, the
                            `stop` of `about`, the number of `marks`. Comes when there
                            is nothing else to send, until it is answered by a `have`
                            of as much
    job       job           the page's own number of a dump or download
              state         "running" | "done" | "failed" | "cancelled"
              progress      0..1
              message       str, to be shown
              paths         [str], where the files are, when done
    file      job, name, mime, offset, total, buffers[0]: bytes of a download
    details   env, start, count
                            rows that it covers; as many as the kernel likes
              num_rows      then: what the last row chose may not be known yet
              fields        [{name, dtype, shape, is_summary, format, rows}, ...] and
                            a buffer each: the arrays of the rows at these offsets
                            (null: all), as format (u1, f4, f8). is_summary: too
                            large; three f8 a row: smallest, mean, largest. With
                            dtype "str" the numbers are of `texts`, [str]
              fault         str, why some could not be read; else ""
    column    name, index, start, count, fault, buffers[0]: f4 (count, num_envs), NaN
                            where there is none; count 0: there are no rows
    part      name, buffers[0]: a module of the page that few need, as raw deflate;
              "preview" comes without being asked for, where the link is thin
    parting   first, other  as they were asked for
              by            what was compared: "observations", else "actions", else
                            "pictures"; "": neither was recorded of both
              offset        rows after their starts where they part; null: nowhere
    goto      row           Python set the playhead to the value that it has there
                            already; the page may have moved on
    stats                   asks what the page counted; answered with `stats`
    error     message       something failed in the kernel; shown on the page

Page to kernel::

    hello     protocol, version
              page          str, identifies this page
              beginning     1, 2, ...: how often this page has asked for everything.
                            Repeated until the manifest comes, since a running cell
                            may hold up the first; of one that is known, only that
                            the page shows the viewer again is noted
              as_text       true where the host drops the buffers of messages; else
                            left out. From then on they come in base64, as `base64`,
                            [str], in the message itself
    hidden    page          no view of it has been there for a while, or it is closed:
                            nothing is sent to it until its next `hello` or `have`
    have      page, session, manifest, num_rows, about, marks
                            how much it has, counted as in `beat`, of what came without
                            a gap. Answers each `beat`; also sent where something that
                            must have been sent has not come, at longer and longer
                            intervals. What is lacking is sent again
    ack       seq           everything up to seq has arrived
    need      chunks        [[block, slot, have], ...], most urgent first; have:
                            records of it that are in the page already
              wanted        [[block, slot, index], ...], most urgent first: what the
                            page looks at and lacks, its row at this index of the
                            block. Where `renders`: repeated each second; what is
                            not in the newest is rendered no more
    watch     codecs        [str, ...]: videos that the page decodes, as WebCodecs names
                            them
              rate          rows a second that it plays
              is_resting    the playhead has stayed where it is for a while
              num_slots     pictures in sight
              reduction     by which they are smaller on the screen, rounded down
              rows          [[block, slot, index], ...], where it rests: what is in
                            sight and not exact; sent alone, at once
              blocks        [[block, number, have, slot, slot, ...], ...], most urgent
                            first: of which it lacks exact pictures and previews, and
                            has that many rows of that video (0, 0: of none)
                            Sent by the part "preview", at a change and each second.
                            While `rate` is more than the link carries, previews are
                            sent and exact pictures are not, until it rests
    dump      job, formats  ["mp4", "csv", ...], written through the logger
              start, stop   rows, stop exclusive
              envs          those to write; null, or left out: all
    download  job, format, start, stop, envs
                            answered with `file`s; envs as above
    cancel    job
    bookmark  row, note     the row gets a bookmark with this note; null: one that is
                            there keeps its own. The trait `bookmarks` says to every
                            page which rows have one; no page sends it
    unbookmark  row         its bookmark and note are removed
    label     env, episode, labels
                            {name: value}; null removes a label
    inspect   env, start    answered with one `details`
    column    name, index, start
                            answered with one `column`: the number at that place of
                            the flattened array, of all envs, from row start on
    part      name          answered with one `part`: "compare", which shows an
                            evaluation's numbers and pairs
    parting   first, other  [env, index] of two episodes, answered with one `parting`
    stats     counts        {drawn, late, decodes, hits, misses, nbytes, evicted}

`check_messages.RULES` says what each field of a message to the kernel may be.
Golden copies of these messages are in tests/golden and are read by the tests of
both languages.
"""

from __future__ import annotations

import base64
from typing import Any, Literal, NamedTuple, NotRequired, TypeAlias, TypedDict

PROTOCOL = 1


class Message(NamedTuple):
    """A JSON object and the binary buffers beside it."""

    content: dict[str, Any]
    buffers: list[bytes]

    def as_text(self) -> Message:
        """Return the same message with its buffers as text in the object."""
        if not self.buffers:
            return self
        texts = [base64.b64encode(one).decode() for one in self.buffers]
        return Message({**self.content, "base64": texts}, [])


# -- page to kernel


class HelloMessage(TypedDict):
    """A page begins, or begins anew."""

    kind: Literal["hello"]
    protocol: int
    version: str
    page: str
    beginning: int
    as_text: NotRequired[bool | None]


class HiddenMessage(TypedDict):
    """No view of the page shows the viewer any more."""

    kind: Literal["hidden"]
    page: str


class HaveMessage(TypedDict):
    """How much the page has of what was sent."""

    kind: Literal["have"]
    page: str
    session: str
    manifest: int
    num_rows: int
    about: int
    marks: int


class AckMessage(TypedDict):
    """Everything up to `seq` has arrived."""

    kind: Literal["ack"]
    seq: int


class NeedMessage(TypedDict):
    """Chunks that the page lacks: [block, slot, records that it has]."""

    kind: Literal["need"]
    chunks: list[Any]
    wanted: NotRequired[list[Any]]


class WatchMessage(TypedDict):
    """What the page looks at, where it can show previews."""

    kind: Literal["watch"]
    codecs: list[str]
    rate: float
    is_resting: bool
    num_slots: int
    reduction: int
    rows: list[list[int]]
    blocks: list[list[int]]


class DumpMessage(TypedDict):
    """Write rows through the logger."""

    kind: Literal["dump"]
    job: int
    formats: list[str]
    start: int
    stop: int
    envs: NotRequired[list[int] | None]


class DownloadMessage(TypedDict):
    """Send rows as a file."""

    kind: Literal["download"]
    job: int
    format: str
    start: int
    stop: int
    envs: NotRequired[list[int] | None]


class CancelMessage(TypedDict):
    """Stop a dump or a download."""

    kind: Literal["cancel"]
    job: int


class BookmarkMessage(TypedDict):
    """A row's bookmark; None keeps the note that it has."""

    kind: Literal["bookmark"]
    row: int
    note: str | None


class UnbookmarkMessage(TypedDict):
    """Remove a row's bookmark and note."""

    kind: Literal["unbookmark"]
    row: int


class LabelMessage(TypedDict):
    """Labels of an episode; None removes one."""

    kind: Literal["label"]
    env: int
    episode: int
    labels: dict[str, Any]


class InspectMessage(TypedDict):
    """All data of an env from a row on."""

    kind: Literal["inspect"]
    env: int
    start: int


class ColumnMessage(TypedDict):
    """One number of a data array, of all envs, from a row on."""

    kind: Literal["column"]
    name: str
    index: int
    start: int


class PartMessage(TypedDict):
    """Send a module of the page."""

    kind: Literal["part"]
    name: str


class PartingMessage(TypedDict):
    """Where do two episodes part?"""

    kind: Literal["parting"]
    first: list[int]
    other: list[int]


class StatsMessage(TypedDict):
    """What the page counted."""

    kind: Literal["stats"]
    counts: dict[str, float]


PageMessage: TypeAlias = (
    HelloMessage
    | HiddenMessage
    | HaveMessage
    | AckMessage
    | NeedMessage
    | WatchMessage
    | DumpMessage
    | DownloadMessage
    | CancelMessage
    | BookmarkMessage
    | UnbookmarkMessage
    | LabelMessage
    | InspectMessage
    | ColumnMessage
    | PartMessage
    | PartingMessage
    | StatsMessage
)
