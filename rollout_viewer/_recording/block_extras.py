"""Actions and data of blocks side by side: of all envs, blank where one has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._errors import RecordingError
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recording.info_types import NUMBER, PREFIX, retype_info
from rollout_viewer._recording.step_codec import groups_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.info_types import InfoTypes
    from rollout_viewer._recording.step_codec import Extras, Group

    # Which envs, and what `Group` has of them.
    Part = tuple[slice, npt.NDArray[Any], npt.NDArray[Any]]


def retyped_groups(
    known: dict[str, str | list[str]], own: InfoTypes, groups: list[Group]
) -> list[Group]:
    """Return what a block has, its info of a recording's types; see `retype_info`."""
    names = [name for name, _, _ in groups if name.startswith(PREFIX)]
    if all(known.get(name) == own.get(name, NUMBER) for name in names):
        return groups
    values = [{name: stacked} for name, _, stacked in groups]
    retype_info(known, own, values)
    return [
        (name, rows, one[name])
        for (name, rows, _), one in zip(groups, values, strict=True)
    ]


def joined_groups(
    blocks: Sequence[tuple[slice, list[Group]]], num_envs: int
) -> list[Group]:
    """Return actions and data of 32 rows, 0 or NaN where an env has none.

    Args:
        blocks: Which envs of the recording, and what their block has.
        num_envs: Of the recording.

    Raises:
        RecordingError: They cannot be in the same rows.
    """
    if len(blocks) == 1 and blocks[0][0] == slice(0, num_envs):
        return blocks[0][1]
    parts: dict[str, list[Part]] = {}
    for envs, groups in blocks:
        for name, rows, stacked in groups:
            parts.setdefault(name, []).append((envs, rows, stacked))
    if all(map(_are_of_one_form, parts.values())):
        return [(name, *_joined(name, own, num_envs)) for name, own in parts.items()]
    extras: list[Extras] = [{} for _ in range(CHUNK_ROWS)]
    for envs, groups in blocks:
        _add(extras, rows_of(groups, CHUNK_ROWS), envs, num_envs)
    return groups_of(extras)


def _are_of_one_form(parts: Sequence[Part]) -> bool:
    """Whether each block has the values of a name once, and all of one kind."""
    first = parts[0][2]
    return len({envs.start for envs, _, _ in parts}) == len(parts) and all(
        stacked.dtype == first.dtype and stacked.shape[2:] == first.shape[2:]
        for _, _, stacked in parts
    )


def _joined(
    name: str, parts: Sequence[Part], num_envs: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the rows (n,) that some block has, and their values (n, num_envs, ...)."""
    rows, first = parts[0][1], parts[0][2]
    of_first = rows.tobytes(), rows.dtype
    are_equal = all((own.tobytes(), own.dtype) == of_first for _, own, _ in parts[1:])
    if are_equal and are_all_envs([envs for envs, _, _ in parts], num_envs):
        return rows, np.concatenate([stacked for _, _, stacked in parts], axis=1)
    if not are_equal:
        rows = np.unique(np.concatenate([own for _, own, _ in parts]))
    shape = len(rows), num_envs, *first.shape[2:]
    wide = np.full(shape, _blank(name, first.dtype), first.dtype)
    for envs, own, stacked in parts:
        if are_equal:
            wide[:, envs] = stacked
        else:
            wide[np.searchsorted(rows, own), envs] = stacked
    return rows, wide


def are_all_envs(parts: Sequence[slice], num_envs: int) -> bool:
    """Whether ranges of envs are all of a recording's, one after the other."""
    stop = 0
    for envs in parts:
        if envs.start != stop:
            return False
        stop = envs.stop
    return stop == num_envs


def _blank(name: str, dtype: np.dtype[Any]) -> float:
    return np.nan if name.startswith(PREFIX) and dtype.kind == "f" else 0


def _add(
    extras: list[Extras], own: Sequence[Extras], envs: slice, num_envs: int
) -> None:
    """Put a block's rows among those of all envs, where kinds or shapes differ."""
    for all_envs, some in zip(extras, own, strict=True):
        for name, array in some.items():
            if len(array) == num_envs:
                all_envs[name] = array
                continue
            wide = all_envs.get(name)
            if wide is None:
                shape = num_envs, *array.shape[1:]
                wide = np.full(shape, _blank(name, array.dtype), array.dtype)
            elif wide.shape[1:] != array.shape[1:]:
                raise RecordingError(
                    f"FrameCache.append_block: expected {name!r} of shape "
                    f"{wide.shape[1:]} for each env, got {array.shape[1:]} beside it. "
                    "Append such blocks one by one; nothing of it was recorded."
                )
            elif wide.dtype != array.dtype:
                wide = wide.astype(np.result_type(wide, array))
            wide[envs] = array
            all_envs[name] = wide
