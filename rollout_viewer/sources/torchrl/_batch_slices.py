"""A batch of a replay buffer or data set, as rows of consecutive episodes.

Finds where one slice ends and the next begins, and the transition before each frame.
Knows tensordicts. Knows nothing of pictures or caches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from rollout_viewer.sources.torchrl._step_data import StepReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from tensordict import TensorDictBase

    Mask = npt.NDArray[np.bool_]

# Where collectors, samplers and data sets store the number of a frame's trajectory.
_TRAJECTORIES = (
    ("collector", "traj_ids"),
    "traj_ids",
    "episode",
    "traj",
    ("next", "episode"),
)

# Numbers of one frame in an entry that is compared with the next frame's.
_MAX_COMPARED = 1024


class SliceRow(NamedTuple):
    """One frame of a batch, or (`position` None) an end whose picture is not in it."""

    position: int | None
    begins: bool
    reward: float | None
    terminated: bool
    truncated: bool
    action: Any


class Slices:
    """The frames of one batch, in order.

    Args:
        td: The batch; its last axis is time.
        is_next: The pictures are those of ``"next"``: after a transition, not before.
        slice_len: Frames of each slice, if all slices have the same.

    Attributes:
        has_bounds: It is known where the slices end. Else the batch is one slice.
    """

    def __init__(
        self, td: TensorDictBase, is_next: bool, slice_len: int | None
    ) -> None:
        self._count = count = td.numel()
        self._is_next = is_next
        after = td.get("next", None)
        reader = StepReader()
        ends = reader.ends(td if after is None else after, count)
        self._terminated, self._truncated = ends
        self._reward = reader.reward(td if after is None else after, count)
        self._action = reader.action(td, count)
        self._is_last, self.has_bounds = _last_of_slices(td, ends.any, slice_len)

    def __iter__(self) -> Iterator[SliceRow]:
        return self._after() if self._is_next else self._before()

    def _after(self) -> Iterator[SliceRow]:
        """Yield frames that are after their transitions: a row has both."""
        for index in range(self._count):
            yield self._row(index, index, begins=False, is_last=self._is_last[index])

    def _before(self) -> Iterator[SliceRow]:
        """Yield frames that are before theirs: a row has the previous transition."""
        begins = True
        for index in range(self._count):
            if begins:
                yield SliceRow(index, True, None, False, False, None)
            else:
                yield self._row(index, index - 1, begins=False, is_last=False)
            begins = bool(self._is_last[index])
            has_ended = self._terminated[index] or self._truncated[index]
            if begins and (has_ended or self._reward is not None):
                # The picture after it is not in the batch; its reward is.
                yield self._row(None, index, begins=False, is_last=True)

    def _row(
        self, position: int | None, transition: int, *, begins: bool, is_last: bool
    ) -> SliceRow:
        terminated = bool(self._terminated[transition])
        truncated = bool(self._truncated[transition])
        return SliceRow(
            position,
            begins,
            None if self._reward is None else float(self._reward[transition]),
            terminated,
            # A slice without an end is truncated.
            truncated or (is_last and not terminated),
            None if self._action is None else self._action[transition],
        )


def _last_of_slices(
    td: TensorDictBase, has_ended: Mask, slice_len: int | None
) -> tuple[Mask, bool]:
    """Return which frames are the last of a slice, and whether that is known."""
    count = td.numel()
    index = np.arange(count)
    is_last = index == count - 1
    if slice_len is not None:
        return is_last | (index % slice_len == slice_len - 1), True
    length = td.batch_size[-1]
    if td.batch_dims > 1:
        is_last |= index % length == length - 1
    is_last |= has_ended | _before_jumps(td)
    for key in _TRAJECTORIES:
        numbers = td.get(key, None)
        if numbers is not None and numbers.numel() == count:
            flat = numbers.detach().cpu().numpy().reshape(-1)
            is_last[:-1] |= flat[1:] != flat[:-1]
            return is_last, True
    return is_last, td.batch_dims > 1 or bool(is_last[:-1].any() or has_ended.any())


def _before_jumps(td: TensorDictBase) -> Mask:
    """Return the frames that the next one of the batch does not follow.

    A trajectory may have been sampled twice in a row. A sampler marks the ends of its
    slices only after a buffer's transforms; before, the frames' places in the storage
    show them, or what is both before and after each transition. Where most frames
    follow no other, as in a random sample, neither counts.
    """
    count = td.numel()
    is_jump = np.zeros(count, np.bool_)
    places = td.get("index", None)
    if isinstance(places, torch.Tensor) and count and places.numel() % count == 0:
        found = _jumps_of_places(places.detach().cpu().numpy().reshape(count, -1))
    else:
        found = _jumps_of_values(td)
    if 2 * np.count_nonzero(found) < count:
        is_jump[:-1] = found
    return is_jump


def _jumps_of_places(places: npt.NDArray[Any]) -> Mask:
    """Return where a place, (count, axes), is not the one after the place before."""
    steps = np.diff(places, axis=0)
    if not len(steps):
        return np.zeros(0, np.bool_)
    # The usual step: a sampler may take each n-th frame.
    kinds, counts = np.unique(steps, axis=0, return_counts=True)
    is_jump: Mask = (steps != kinds[counts.argmax()]).any(axis=1)
    # A full storage continues at its start.
    times = places[:, -1]
    is_jump &= ~((times[1:] == 0) & (times[:-1] == times.max()))
    return is_jump


def _jumps_of_values(td: TensorDictBase) -> Mask:
    """Return where what was after a transition is not what is before the next one."""
    count = td.numel()
    is_jump = np.zeros(max(count - 1, 0), np.bool_)
    after = td.get("next", None)
    if after is None:
        return is_jump
    both = [
        (one, other)
        for key in after.keys(True, True)
        if isinstance(one := td.get(key, None), torch.Tensor)
        and isinstance(other := after.get(key), torch.Tensor)
        and one.shape == other.shape
        and one.numel()
    ]
    # The pictures themselves only where there is nothing smaller.
    small = [pair for pair in both if pair[0].numel() <= _MAX_COMPARED * count]
    for one, other in small or both[:1]:
        flat = [x.detach().cpu().reshape(count, -1) for x in (one, other)]
        is_same = torch.isclose(
            flat[1][:-1], flat[0][1:], rtol=0, atol=0, equal_nan=True
        )
        is_jump |= ~is_same.all(dim=1).numpy()
    return is_jump
