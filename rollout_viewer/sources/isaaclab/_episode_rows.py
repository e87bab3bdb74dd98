"""An episode of nested tensors as rows of a recording, and back, exact to the bit.

Each tensor's first axis is time: its item i is in row i of the episode, pictures
(uint8, three channels) as a camera's, all others as data. What tensors there were, of
which length and dtype, is kept beside the rows. Does not import Isaac Lab.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rollout_viewer._errors import RecordingError, warn_once
from rollout_viewer._recording.step_codec import ACTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache

    Array = npt.NDArray[Any]
    Path = tuple[str, ...]

# Names of Isaac Lab's: what was done at each step, and what it brought.
ACTIONS = "actions"
_REWARDS = ("rewards", "reward")
# Smaller ones are numbers: rotation matrices, for example.
_MIN_SIDE_PX = 8
# Of a row after the last picture.
_WITHOUT = "terminal_missing"


class Leaf(NamedTuple):
    """A tensor of an episode, (T, ...).

    Attributes:
        path: Keys of it in the nested dicts.
        name: Of its data or camera in the recording.
        is_picture: Its items are pictures.
        length: T.
        dtype: Of torch.
        shape: Of an item.
    """

    path: Path
    name: str
    is_picture: bool
    length: int
    dtype: str
    shape: tuple[int, ...]


def leaves_of(data: Mapping[str, Any], path: Path = ()) -> list[tuple[Path, Any]]:
    """Return the tensors in nested dicts, with their keys; lists are stacked.

    Isaac Lab 2.3 keeps lists of items until an episode is exported.
    """
    found = []
    for key, value in data.items():
        if isinstance(value, Mapping):
            found += leaves_of(value, (*path, str(key)))
            continue
        if isinstance(value, (list, tuple)) and value:
            import torch

            value = torch.stack([torch.as_tensor(one) for one in value])
        found.append(((*path, str(key)), value))
    return found


def described(leaves: list[tuple[Path, Any]], arrays: list[Array]) -> list[Leaf]:
    """Return what is to be recorded of tensors, by their arrays; others are left out.

    Args:
        leaves: Of `leaves_of`.
        arrays: Of each.
    """
    found: list[Leaf] = []
    taken = {ACTION}
    for (path, tensor), array in zip(leaves, arrays, strict=True):
        if array.ndim == 0 or array.dtype.kind not in "biuf":
            warn_once(
                "RolloutDatasetFileHandler: expected tensors of numbers (T, ...), got "
                f"{array.dtype} of shape {array.shape} in {'/'.join(path)!r}; it is "
                "left out of the recording."
            )
            continue
        name = ".".join(path)
        while name in taken:
            name += "_"
        taken.add(name)
        dtype = str(getattr(tensor, "dtype", array.dtype)).removeprefix("torch.")
        shape = array.shape[1:]
        is_picture = _is_picture(array)
        found.append(Leaf(path, name, is_picture, len(array), dtype, shape))
    return found


def _is_picture(array: Array) -> bool:
    is_color = array.dtype == np.uint8 and array.ndim == 4 and array.shape[-1] == 3
    return is_color and len(array) > 0 and min(array.shape[1:3]) >= _MIN_SIDE_PX


def append_episode(
    cache: FrameCache,
    leaves: list[Leaf],
    arrays: Mapping[str, Array],
    *,
    name: str,
    seed: int | None,
    success: bool | None,
) -> tuple[int, int]:
    """Append an episode to a recording of one env.

    Where there are actions, the last one leads to a row without a picture, so that
    the episode is as long as they are. Success ends it; else its end is not known.

    Args:
        cache: Where to.
        leaves: What there is.
        arrays: Of each, by its name.
        name: Of the episode: its label ``demo``.
        seed: Of the episode; None: not known.
        success: Of the episode; None: not known.

    Returns:
        The first row, and the row after the last.
    """
    actions = arrays.get(ACTIONS)
    rewards = next((arrays[key] for key in _REWARDS if key in arrays), None)
    num_items = max((leaf.length for leaf in leaves), default=0)
    num_rows = num_items if actions is None else max(num_items, len(actions) + 1)
    info: dict[str, Any] = {"labels": {"demo": name}}
    if seed is not None:
        info["seed"] = seed
    start = cache.num_appended
    for row in range(num_rows):
        frames, data = _items(leaves, arrays, row)
        is_last = row == num_rows - 1
        cache.append(
            frames or None,
            kind=["reset" if not row else "step" if row < num_items else _WITHOUT],
            action=_led_to(actions, row),
            reward=_reward(rewards, row),
            terminated=[bool(success)] if is_last and row else None,
            data=data or None,
            episode_info=None if row else {0: info},
        )
    episode = cache.newest_episode(0) if num_rows else None
    if success is not None and episode is not None:
        cache.mark_success(episode, success)
    return start, cache.num_appended


def _items(
    leaves: list[Leaf], arrays: Mapping[str, Array], row: int
) -> tuple[dict[str, list[Array]], dict[str, Array]]:
    """Return the pictures and the data of a row."""
    here = [leaf for leaf in leaves if row < leaf.length]
    frames = {leaf.name: [arrays[leaf.name][row]] for leaf in here if leaf.is_picture}
    data = {
        leaf.name: arrays[leaf.name][row][None] for leaf in here if not leaf.is_picture
    }
    return frames, data


def _led_to(actions: Array | None, row: int) -> Array | None:
    """Return the action that led to a row, (1, ...)."""
    is_one = actions is not None and 0 < row <= len(actions)
    return actions[row - 1][None] if actions is not None and is_one else None


def _reward(rewards: Array | None, row: int) -> list[float] | None:
    """Return the reward that came with a row, of several objectives their sum."""
    is_one = rewards is not None and 0 < row <= len(rewards)
    return [float(np.sum(rewards[row - 1]))] if rewards is not None and is_one else None


def read_episode(cache: FrameCache, start: int, leaves: list[Leaf]) -> dict[str, Any]:
    """Return the nested dicts of an episode, with arrays.

    Raises:
        RecordingError: A row is damaged or was evicted.
    """
    stop = start + max((leaf.length for leaf in leaves), default=0)
    # Once through the rows, not once for each of many tensors.
    extras = [cache.recording.extras(row) for row in range(start, stop)]
    found: dict[str, Any] = {}
    for leaf in leaves:
        within = found
        for key in leaf.path[:-1]:
            within = within.setdefault(key, {})
        within[leaf.path[-1]] = _read(cache, start, leaf, extras)
    return found


def _read(
    cache: FrameCache, start: int, leaf: Leaf, extras: Sequence[Mapping[str, Array]]
) -> Array:
    """Return a tensor of an episode as an array, (T, ...)."""
    if not leaf.length:
        return np.zeros((0, *leaf.shape), _numpy_dtype(leaf.dtype))
    if leaf.is_picture:
        rows = range(start, start + leaf.length)
        if lost := [r for r in rows if not cache.has_picture(r, 0, leaf.name)]:
            raise RecordingError(
                f"RolloutDatasetFileHandler: expected pictures of {leaf.name!r} in "
                f"{len(rows)} rows from {start} on, got none in {len(lost)}: they were "
                "lost on a full disk, or evicted. rollout_viewer.open shows the others."
            )
        return cache.frames(rows, [0], leaf.name)[:, 0]
    try:
        return np.stack([one[leaf.name][0] for one in extras[: leaf.length]])
    except KeyError as error:
        raise RecordingError(
            f"RolloutDatasetFileHandler: expected {leaf.name!r} in {leaf.length} rows "
            f"from {start} on, got some without: the file is damaged."
        ) from error


def _numpy_dtype(name: str) -> Any:
    return np.dtype("float32" if name == "bfloat16" else name)


def as_json(leaves: list[Leaf]) -> list[list[Any]]:
    """Return what `leaves_from` reads."""
    return [[*leaf] for leaf in leaves]


def leaves_from(stored: Any) -> list[Leaf]:
    """Return leaves from JSON.

    Raises:
        RecordingError: They are damaged.
    """
    try:
        return [
            Leaf(
                tuple(map(str, path)),
                name,
                bool(shown),
                int(length),
                dtype,
                tuple(shape),
            )
            for path, name, shown, length, dtype, shape in stored
        ]
    except (TypeError, ValueError) as error:
        raise RecordingError(
            f"RolloutDatasetFileHandler: expected a description of tensors, got "
            f"{stored!r:.80}."
        ) from error
