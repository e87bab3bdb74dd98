"""A block of rows on its way from the process that encoded it to a recording.

Its pictures are chunks and its step data columns, just as they are in a file: what
files them decodes no picture. Blocks of several processes, each with envs of its own,
become one block side by side. Everything is checked first, as a file would be.

Knows bytes and rows. Knows nothing of how they travel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RecordingError, ShapeError
from rollout_viewer._frames.chunk import (
    ABSENT,
    CHUNK_ROWS,
    EQUAL,
    INTRA,
    MAX_FRAME_BYTES,
    RAW,
    pack,
    parse,
    parse_whole,
    whole_table,
)
from rollout_viewer._frames.decoder import ChunkDecoder
from rollout_viewer._recording.block_extras import (
    are_all_envs,
    joined_groups,
    retyped_groups,
)
from rollout_viewer._recording.checked_block import checked_core
from rollout_viewer._recording.info_types import are_info_types
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.slot import Slot
from rollout_viewer._recording.step_codec import rows_of, unpack_groups
from rollout_viewer._recording.step_row import (
    BEGINS,
    BREAKS,
    DAMAGED,
    IDLE,
    StepRow,
    check_stored,
    max_code,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.info_types import InfoTypes
    from rollout_viewer._recording.step_codec import Extras, Group

    # Env, camera, and the frame; None: there is none in that row.
    Picture = tuple[int, str, npt.NDArray[np.uint8] | None]

_WHERE = "FrameCache.append_block"
_ABSENT = bytes([ABSENT])


class BegunEpisode(NamedTuple):
    """What is known of an episode that begins in a block.

    Attributes:
        row: Of the block.
        env: Of the block.
        info: Its seed, options, segment and labels.
        start: From where it can be replayed; None: from none.
    """

    row: int
    env: int
    info: dict[str, Any]
    start: bytes | None = None


class KnownSuccess(NamedTuple):
    """Whether an episode succeeded, known with a row of a block.

    Attributes:
        row: Of the block, whose env's newest episode it is of; -1: of the row before.
        env: Of the block.
        success: Of the episode.
    """

    row: int
    env: int
    success: bool


class SealedBlock(NamedTuple):
    """Up to 32 rows of some envs, encoded.

    Attributes:
        num_rows: 1..32.
        num_envs: Of its rows.
        steps: Kinds, rewards, ends and counts: `pack_columns`, with actions and data
            where these are not in `extras`.
        pictures: A chunk of `num_rows` records for each env, camera and size.
        begun: The episodes that begin in it.
        successes: What became known of episodes in it.
        types: What the numbers of info mean: see `info_types`.
        extras: Actions and data, as in a file: `pack_extras`.
    """

    num_rows: int
    num_envs: int
    steps: bytes
    pictures: tuple[tuple[Slot, bytes], ...]
    begun: tuple[BegunEpisode, ...] = ()
    successes: tuple[KnownSuccess, ...] = ()
    types: InfoTypes = {}  # noqa: RUF012 - read only
    extras: bytes | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of step data and pictures."""
        num_bytes = len(self.steps) + len(self.extras or b"")
        return num_bytes + sum(len(chunk) for _, chunk in self.pictures)


class BlockRows(NamedTuple):
    """A block as a recording takes it: 32 rows of all of its envs, or a few.

    Attributes:
        core: Columns (num_rows, num_envs), for `Rows.extend`.
        groups: Actions and data.
        pictures: Chunks of 32 records that show something.
        begun: The episodes that begin in it, by the envs of the recording.
        successes: (env, index) -> whether that episode succeeded.
        types: What the numbers of info mean in the recording from now on.
        frames: Of a few rows, the pictures of each; None: they are as in `pictures`.
        extras: Of a few rows, the actions and data of each.
        packed: Actions and data as bytes, as they came, in place of `groups`; None:
            these are to be packed.
    """

    core: dict[str, npt.NDArray[Any]]
    groups: list[Group]
    pictures: list[tuple[Slot, bytes]]
    begun: list[BegunEpisode]
    successes: dict[tuple[int, int], bool | None]
    types: dict[str, str | list[str]]
    frames: list[list[Picture]] | None = None
    extras: Sequence[Extras] = ()
    packed: bytes | None = None

    @property
    def num_rows(self) -> int:
        """How many there are."""
        return len(self.core["kind"])

    @property
    def shared_cameras(self) -> frozenset[str]:
        """The cameras whose one picture shows all envs."""
        return frozenset(slot.camera for slot, _ in self.pictures if slot.is_shared)

    def steps(self, row: int) -> StepRow:
        """Return one row's step data."""
        return StepRow(**{name: column[row] for name, column in self.core.items()})


def rows_for_blocks(
    rows: Rows | None, blocks: Mapping[int, SealedBlock], num_envs: int | None
) -> Rows:
    """Return the rows that blocks are appended to: a recording's, or new ones.

    Args:
        rows: The recording's; None: it has none.
        blocks: As for `side_by_side`.
        num_envs: That are expected; None: any number.

    Raises:
        ShapeError: The recording has another number of envs.
        RecordingError: There is no block.
    """
    if not blocks:
        raise _wrong("a block", "none")
    if rows is None:
        stop = max(first + block.num_envs for first, block in blocks.items())
        return Rows(max(stop if num_envs is None else num_envs, 1))
    if num_envs not in (None, rows.num_envs):
        raise ShapeError(
            f"{_WHERE}: expected {rows.num_envs} envs as before, got {num_envs}. "
            "Record into another cache."
        )
    return rows


def side_by_side(
    blocks: Mapping[int, SealedBlock], rows: Rows, types: InfoTypes
) -> BlockRows:
    """Return blocks of different envs as one of 32 rows; changes nothing.

    Envs that no block has are idle, and all are in the rows after a shorter block's.

    Args:
        blocks: The number of a block's first env among all -> the block.
        rows: Of the recording.
        types: What the numbers of info mean in the recording.

    Raises:
        RecordingError: A block is damaged, or no block of these envs.
    """
    known = dict(types)
    successes: dict[tuple[int, int], bool | None] = {}
    cores: list[dict[str, npt.NDArray[Any]]] = []
    groups: list[tuple[slice, list[Group]]] = []
    pictures: list[tuple[Slot, bytes]] = []
    begun: list[BegunEpisode] = []
    packed: bytes | None = None
    taken = np.zeros(rows.num_envs, np.bool_)
    for first, block in blocks.items():
        envs = slice(first, first + block.num_envs)
        if first < 0 or block.num_envs < 1 or envs.stop > rows.num_envs:
            raise _wrong(
                f"blocks of envs in 0..{rows.num_envs - 1}",
                f"one of {block.num_envs} from {first} on",
            )
        if len(blocks) > 1:
            if taken[envs].any():
                raise _wrong("blocks of different envs", f"two of env {first}")
            taken[envs] = True
        own, own_groups, packed = _step_data(block, known, rows.num_envs)
        cores.append(own)
        groups.append((envs, own_groups))
        pictures += _pictures(block, first, rows.num_envs)
        begun += _begun(block, own["flags"], first)
        successes |= _successes(block, own["flags"], first, rows)
    parts = [envs for envs, _ in groups]
    core = _joined_core(cores, parts, rows)
    for envs in parts:
        _begin_unknown(core, range(envs.start, envs.stop), rows)
    joined = joined_groups(groups, rows.num_envs)
    return BlockRows(core, joined, pictures, begun, successes, known, packed=packed)


def _wrong(expected: str, found: str) -> RecordingError:
    return RecordingError(
        f"{_WHERE}: expected {expected}, got {found}. Nothing of it was recorded."
    )


def few_rows(block: BlockRows, count: int) -> BlockRows:
    """Return the first rows of a block, whose pictures are encoded anew.

    Raises:
        RecordingError: A picture is damaged.
    """
    frames: list[list[Picture]] = [[] for _ in range(count)]
    shown: set[tuple[int, int, str]] = set()
    for slot, data in block.pictures:
        chunk = parse_whole(data, where=_WHERE, size=slot.size)
        decoder = ChunkDecoder(chunk, where=_WHERE)
        for row in range(count):
            if decoder.is_shown(row):
                frame = np.empty((*slot.size, 3), np.uint8)
                decoder.read(row, frame)
                frames[row].append((slot.env, slot.camera, frame))
                shown.add((row, slot.env, slot.camera))
    for slot, _ in block.pictures:
        for row in range(count):
            if (row, slot.env, slot.camera) not in shown:
                shown.add((row, slot.env, slot.camera))
                frames[row].append((slot.env, slot.camera, None))
    core = {name: column[:count] for name, column in block.core.items()}
    groups = block.groups
    if block.packed is not None:
        groups = unpack_groups(block.packed, where=_WHERE)[1]
    extras = rows_of(groups, CHUNK_ROWS)[:count]
    return block._replace(core=core, frames=frames, extras=extras)


# -- step data


def _joined_core(
    cores: Sequence[dict[str, npt.NDArray[Any]]], parts: Sequence[slice], rows: Rows
) -> dict[str, npt.NDArray[Any]]:
    """Return the columns (32, num_envs) of blocks side by side; flags may be changed.

    Args:
        cores: Of each block.
        parts: Its envs among all.
        rows: Of the recording.
    """
    are_whole = all(len(own["kind"]) == CHUNK_ROWS for own in cores)
    if are_whole and are_all_envs(parts, rows.num_envs):
        if len(cores) == 1:
            return {**cores[0], "flags": cores[0]["flags"].copy()}
        return {
            name: np.concatenate([own[name] for own in cores], axis=1)
            for name in cores[0]
        }
    joined = _idle_rows(rows)
    for envs, own in zip(parts, cores, strict=True):
        num_rows = len(own["kind"])
        for name, column in joined.items():
            column[:num_rows, envs] = own[name]
        joined["env_step"][num_rows:, envs] = own["env_step"][-1]
    return joined


def _idle_rows(rows: Rows) -> dict[str, npt.NDArray[Any]]:
    shape = CHUNK_ROWS, rows.num_envs
    steps = np.zeros(shape, np.uint32)
    if rows.num_rows:
        steps[:] = rows.env_steps(rows.num_rows - 1)
    return {
        "kind": np.full(shape, IDLE, np.uint8),
        "flags": np.zeros(shape, np.uint8),
        "reward": np.full(shape, np.nan),
        "env_step": steps,
    }


def _step_data(
    block: SealedBlock, known: dict[str, str | list[str]], num_envs: int
) -> tuple[dict[str, npt.NDArray[Any]], list[Group], bytes | None]:
    """Return core step data of a block, actions and data, and these as they came.

    As they came, if they can be filed so: the block is whole, and there is no other.

    Args:
        block: It is checked.
        known: What the numbers of info mean in the recording; new ones are added.
        num_envs: Of the recording.
    """
    own, shape = _types(block), (block.num_rows, block.num_envs)
    packed = block.extras if shape == (CHUNK_ROWS, num_envs) else None
    if isinstance(packed, bytes):
        core = checked_core(block.steps, packed, shape, known, own)
        if core is not None:
            return core, [], packed
    core, groups = _steps(block)
    retyped = retyped_groups(known, own, groups)
    return core, retyped, packed if retyped is groups else None


def _steps(block: SealedBlock) -> tuple[dict[str, npt.NDArray[Any]], list[Group]]:
    """Return step data of a block, checked."""
    core, groups = unpack_groups(block.steps, where=_WHERE, num_envs=block.num_envs)
    if block.extras is not None:
        groups = [*groups, *_extras(block, groups)]
    try:
        shape = check_stored(core, CHUNK_ROWS)
    except ValueError as error:
        raise _wrong("columns of rows", str(error)) from error
    if shape != (block.num_rows, block.num_envs):
        raise _wrong(
            f"step data of {block.num_rows} rows and {block.num_envs} envs",
            f"{shape[0]} and {shape[1]}",
        )
    # No flag is above `BREAKS`.
    if max_code(core["kind"]) >= DAMAGED or max_code(core["flags"]) >= BREAKS:
        raise _wrong("rows as they are recorded", "some that cannot be read")
    return core, groups


def _extras(block: SealedBlock, others: Sequence[Group]) -> list[Group]:
    """Return what is beside the steps of a block, checked."""
    kind: Any = block.extras  # of another process: anything
    if not isinstance(kind, bytes) or others:
        raise _wrong("actions and data once", f"{type(kind).__name__}, too")
    core, groups = unpack_groups(kind, where=_WHERE, num_envs=block.num_envs)
    shapes = {column.shape for column in core.values()}
    if not groups or shapes != {(block.num_rows, 0)}:
        raise _wrong(
            f"actions and data of {block.num_rows} rows", f"{list(core)!r:.50}"
        )
    return groups


def _begin_unknown(
    core: Mapping[str, npt.NDArray[Any]], envs: range, rows: Rows
) -> None:
    """Let an episode begin where the recording does not have the rows before.

    As of a recording that was cleared meanwhile.
    """
    if rows.all_run:
        return
    for env in envs:
        if not rows.is_running(env):
            recorded = np.flatnonzero(core["kind"][:, env] != IDLE)[:1]
            core["flags"][recorded, env] |= np.uint8(BEGINS)


def _begun(
    block: SealedBlock, flags: npt.NDArray[np.uint8], first: int
) -> list[BegunEpisode]:
    for row, env, info, start in block.begun:
        is_place = 0 <= row < block.num_rows and 0 <= env < block.num_envs
        if not is_place or not flags[row, env] & BEGINS:
            raise _wrong("episodes that begin in a block", f"one at row {row}")
        kinds: tuple[Any, Any] = info, start  # of another process: anything
        if not isinstance(kinds[0], dict) or type(kinds[1]) not in (bytes, type(None)):
            raise _wrong("what is known of an episode", type(info).__name__)
    return [one._replace(env=one.env + first) for one in block.begun]


def _successes(
    block: SealedBlock, flags: npt.NDArray[np.uint8], first: int, rows: Rows
) -> dict[tuple[int, int], bool | None]:
    """Return (env, index) in the recording -> success."""
    found: dict[tuple[int, int], bool | None] = {}
    for row, env, success in block.successes:
        if not (-1 <= row < block.num_rows and 0 <= env < block.num_envs):
            raise _wrong("the success of its episodes", f"one at row {row}")
        begun = flags[: row + 1, env] & np.uint8(BEGINS)
        index = rows.num_begun(first + env) + int(np.count_nonzero(begun)) - 1
        kind: Any = success  # of another process: anything
        if not isinstance(kind, bool) or index < 0:
            raise _wrong("the success of its episodes", f"{success!r:.50}")
        found[first + env, index] = success
    return found


def _types(block: SealedBlock) -> InfoTypes:
    if not are_info_types(block.types):
        raise _wrong("the types of info", type(block.types).__name__)
    return block.types


# -- pictures


def _pictures(
    block: SealedBlock, first: int, num_envs: int
) -> list[tuple[Slot, bytes]]:
    """Return chunks of 32 records, checked, of the recording's envs."""
    found = []
    for slot, data in block.pictures:
        env, camera, height, width, is_shared = slot
        if not 0 <= env < block.num_envs or not isinstance(camera, str):
            raise _wrong(
                f"pictures of envs in 0..{block.num_envs - 1}", f"{camera!r:.50} {env}"
            )
        if is_shared and block.num_envs != num_envs:
            raise _wrong(
                f"a picture of each env in a recording of {num_envs}",
                f"one of {block.num_envs} envs together. Record these alone",
            )
        if not 0 < height * width * 3 <= MAX_FRAME_BYTES:
            raise _wrong("pictures", f"some of {height} x {width} pixels")
        kinds, lengths = whole_table(data, where=_WHERE, size=(height, width))
        if len(kinds) != block.num_rows:
            raise _wrong(
                f"pictures of {block.num_rows} rows", f"{len(kinds)} of {camera}"
            )
        if _shows_any(kinds, lengths, height * width * 3):
            whole = data if block.num_rows == CHUNK_ROWS else _repeated_to_end(data)
            found.append((Slot(env + first, *slot[1:]), whole))
    if len({slot for slot, _ in found}) != len(found):
        raise _wrong("one chunk of each env, camera and size", "two of one")
    return found


def _shows_any(kinds: bytes, lengths: Sequence[int], num_bytes: int) -> bool:
    """Return whether a chunk shows anything; raise where it cannot be decoded.

    Args:
        kinds: Of each record.
        lengths: Of each record.
        num_bytes: Of a frame.
    """
    shown = kinds.lstrip(_ABSENT)
    if not shown:
        return False
    if shown[0] not in (RAW, INTRA):
        raise _wrong("a first picture that needs no other", f"kind {shown[0]}")
    if RAW in kinds or max(lengths) > num_bytes:
        for kind, length in zip(kinds, lengths, strict=True):
            is_wrong = length > num_bytes or (kind == RAW and length != num_bytes)
            if is_wrong and kind != ABSENT:
                raise _wrong(f"a picture of {num_bytes} bytes", f"{length}")
    return True


def _repeated_to_end(data: bytes) -> bytes:
    """Return a chunk in whose last rows the env is idle, so that its picture stays."""
    chunk = parse(data)
    count = CHUNK_ROWS - len(chunk.kinds)
    return pack(
        chunk.height,
        chunk.width,
        0,
        [*chunk.kinds, *[EQUAL] * count],
        [*chunk.records, *[b""] * count],
        chunk.repeated_row,
    )
