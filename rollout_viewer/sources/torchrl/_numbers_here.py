"""The numbers in tensordicts of a GPU, on this side: of a call all in one copy.

Reading each entry by itself waits for the device once an entry. Pictures and states
stay where they are. Knows tensordicts. Knows nothing of environments and recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from tensordict import LazyStackedTensorDict, TensorDict

from rollout_viewer.sources._device_copies import DeviceCopies, is_elsewhere
from rollout_viewer.sources._spaces import MAX_OBS_BYTES
from rollout_viewer.sources.torchrl._entries import entry_of, plain_entries

if TYPE_CHECKING:
    from tensordict import TensorDictBase


class NumbersHere:
    """Brings what calls of one environment hold; one thread uses it.

    Attributes:
        copies: Counts copies and waits.
    """

    def __init__(self) -> None:
        self.copies = DeviceCopies()

    def of_call(self, before: Any, after: Any, *, num_envs: int) -> list[Any]:
        """Return the tensordicts of a call as `of` does, or their `PlainEntries`."""
        plain = [plain_entries(before), plain_entries(after)]
        if plain[0] is None or plain[1] is None:
            return self.of(before, after, num_envs=num_envs)
        return plain

    def of(self, *tensordicts: TensorDictBase | None, num_envs: int) -> list[Any]:
        """Return tensordicts whose numbers are on this side; pictures are as they were.

        Args:
            tensordicts: Not changed; those of this side are returned as they are, and
                so are stacks of different environments.
            num_envs: Their size.
        """
        found: list[Any] = list(tensordicts)
        tensors: list[Any] = []
        places: list[tuple[TensorDictBase, Any]] = []
        for number, td in enumerate(tensordicts):
            if td is None or _is_here(td):
                continue
            copy = TensorDict({}, batch_size=td.batch_size)
            for key in td.keys(include_nested=True, leaves_only=True):
                value = entry_of(td, key)
                if isinstance(value, list):  # of different environments within
                    break
                # Its place among the others, also until it is here.
                copy.set(key, value)
                if is_elsewhere(value) and _is_number(value, num_envs):
                    tensors.append(value)
                    places.append((copy, key))
            else:
                found[number] = copy
        if tensors:
            with self.copies.start(tensors) as transfer:
                arrays = transfer.arrays()
                for (copy, key), array in zip(places, arrays, strict=True):
                    copy.set(key, torch.from_numpy(array.copy()))
        return found


def _is_here(td: TensorDictBase) -> bool:
    """Whether nothing of a tensordict is to be copied, or it cannot be at once."""
    if td.device is not None and td.device.type == "cpu":
        return True
    if isinstance(td, LazyStackedTensorDict):
        return True
    # Ends and rewards of a batch are always there; looking into what is nested takes
    # longer than most steps.
    return not any(is_elsewhere(value) for value in td.values())


def _is_number(value: torch.Tensor, num_envs: int) -> bool:
    """Whether a tensor is rewards, ends, actions, or an observation that is kept."""
    return value.nbytes <= MAX_OBS_BYTES * num_envs and value.dtype != torch.uint8
