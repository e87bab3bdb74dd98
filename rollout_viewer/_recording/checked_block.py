"""Step data of a block that is filed as it came, checked without being read.

What `step_codec` and `step_row` check of each array depends, but for the values of a
few, on the header before them; and nearly all blocks have the same. A block that is not
as they expect is refused here without a word: to read it says what is wrong.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import zstandard

from rollout_viewer._recording.info_types import NUMBER, PREFIX
from rollout_viewer._recording.step_codec import (
    are_rows,
    is_extra,
    names_of_groups,
    unpacked,
)
from rollout_viewer._recording.step_row import BREAKS, DAMAGED, STORED, max_code
from rollout_viewer._recording.tensors import MAX_KEPT_HEADER_BYTES, entries_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.info_types import InfoTypes
    from rollout_viewer._recording.tensors import Entry

    Shape = tuple[int, ...]
    # Where bytes of an array begin and end.
    Place = tuple[int, int]


class _CoreForm(NamedTuple):
    """Where core step data is: the same shape for all, and kinds and flags alone."""

    shape: Shape
    entries: list[Entry]
    kinds: Place
    flags: Place
    stop: int


class _ExtrasForm(NamedTuple):
    """What a header says of actions and data.

    Attributes:
        num_rows: Of the block.
        num_envs: Of all of them.
        rows: Where the rows of each group are, and of which dtype.
        infos: The names that have a type.
        stop: Where the bytes end.
    """

    num_rows: int
    num_envs: int
    rows: list[tuple[Place, np.dtype[Any]]]
    infos: list[str]
    stop: int


def checked_core(
    steps: bytes, extras: bytes, shape: Shape, known: InfoTypes, own: InfoTypes
) -> dict[str, npt.NDArray[Any]] | None:
    """Return core step data of a block whose actions and data can be filed as they are.

    None: they cannot, or are damaged: read the block.

    Args:
        steps: Of a `SealedBlock`.
        extras: The same.
        shape: Its rows and envs.
        known: What the numbers of info mean in the recording.
        own: The same, in the block.
    """
    try:
        data, start = unpacked(steps)
        if start > MAX_KEPT_HEADER_BYTES:
            return None
        core = _core_form(data[:start])
        if (core.shape, core.stop) != (shape, len(data)):
            return None
        if _exceeds(data, core.kinds, DAMAGED) or _exceeds(data, core.flags, BREAKS):
            return None
        if not _can_be_filed(extras, shape, known, own):
            return None
    except (ValueError, LookupError, zstandard.ZstdError):
        return None
    return {
        name: np.frombuffer(data, dtype, count, start + first).reshape(shape)
        for name, dtype, shape, count, first in core.entries
    }


def _exceeds(data: bytes, place: Place, bound: int) -> bool:
    """Whether any code is not below `bound`."""
    start, stop = place
    codes = np.frombuffer(data, np.uint8, stop - start, start)
    return max_code(codes) >= bound


def _can_be_filed(
    extras: bytes, shape: Shape, known: InfoTypes, own: InfoTypes
) -> bool:
    data, start = unpacked(extras)
    if start > MAX_KEPT_HEADER_BYTES:
        return False
    form = _extras_form(data[:start])
    if (form.num_rows, form.num_envs) != shape or form.stop != len(data):
        return False
    for (first, stop), dtype in form.rows:
        if not are_rows(data[first:stop], dtype, form.num_rows):
            return False
    return all(known.get(name) == own.get(name, NUMBER) for name in form.infos)


# Nearly all blocks have one of a few headers. Those that raise are not kept.
@functools.lru_cache(maxsize=64)
def _core_form(head: bytes) -> _CoreForm:
    """Return where core step data is; raise ValueError where it is anything else."""
    entries, num_bytes = entries_of(head)
    places = _places(entries, len(head))
    shapes = {shape for _, _, shape, _, _ in entries}
    if {name: dtype for name, dtype, *_ in entries} != STORED or len(shapes) != 1:
        raise ValueError
    (shape,) = shapes
    if len(shape) != 2 or 0 in shape:
        raise ValueError
    stop = len(head) + num_bytes
    return _CoreForm(shape, entries, places["kind"], places["flags"], stop)


@functools.lru_cache(maxsize=64)
def _extras_form(head: bytes) -> _ExtrasForm:
    """Return what is checked of actions and data; raise where they are not that."""
    entries, num_bytes = entries_of(head)
    places, found = _places(entries, len(head)), {one[0]: one for one in entries}
    groups = names_of_groups(tuple(found))
    (core,) = found.keys() - {name for both in groups for name in both[::2]}
    if is_extra(core):
        raise ValueError
    num_rows, none = found[core][2]
    num_envs = {found[name][2][1] for name, _, _ in groups}
    if none or len(num_envs) != 1:
        raise ValueError
    rows = []
    for name, _, rows_name in groups:
        _, dtype, shape, count, _ = found[rows_name]
        if len(shape) != 1 or dtype.kind != "i" or count != found[name][2][0]:
            raise ValueError
        rows.append((places[rows_name], dtype))
    infos = [own for _, own, _ in groups if own.startswith(PREFIX)]
    return _ExtrasForm(num_rows, num_envs.pop(), rows, infos, len(head) + num_bytes)


def _places(entries: list[Entry], start: int) -> Mapping[str, Place]:
    return {
        name: (start + first, start + first + count * dtype.itemsize)
        for name, dtype, _, count, first in entries
    }
