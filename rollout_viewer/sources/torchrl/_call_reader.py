"""What a call holds for a recorder: the pictures of its cameras, and its step data.

Knows tensordicts and TorchRL's environments. Knows no recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from rollout_viewer.sources.torchrl._entries import entry_of
from rollout_viewer.sources.torchrl._env_info import innermost, resets_itself
from rollout_viewer.sources.torchrl._numbers_here import NumbersHere
from rollout_viewer.sources.torchrl._pixels import PictureReader
from rollout_viewer.sources.torchrl._step_data import Call, StepReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from tensordict import TensorDictBase

    from rollout_viewer._frames.convert import Channels
    from rollout_viewer._recording.step_row import Mask

Key = str | tuple[str, ...]
# Camera -> its entry and how many axes of that are the batch (None: not known).
Entries = Mapping[str, tuple[Any, int | None]]


def camera_of(key: Key) -> str:
    """Return the name of the camera whose pictures are the entry `key`."""
    return key if isinstance(key, str) else ".".join(key)


def entries_of(td: TensorDictBase, keys: Sequence[Key]) -> Entries:
    """Return the entries of a tensordict that it has, by camera."""
    found: dict[str, tuple[Any, int | None]] = {}
    for key in keys:
        value = entry_of(td, key)
        if value is not None:
            owner = td if isinstance(key, str) else td.get(key[:-1])
            # Non-tensor data may be one picture of a whole batch.
            is_batched = isinstance(value, torch.Tensor)
            found[camera_of(key)] = value, owner.batch_dims if is_batched else None
    return found


class CallRow(NamedTuple):
    """One call, as a recorder takes it.

    Attributes:
        kinds: (B,) of `Kind`.
        step: Rewards, ends and actions; empty of a reset.
        reset: (B,): envs that ended and were reset in this call; None: no env was.
    """

    kinds: npt.NDArray[np.uint8]
    step: dict[str, Any]
    reset: Mask | None


class CallReader:
    """Reads the calls of one environment, or of none.

    Args:
        env: What the transform is appended to; None: nothing. Not referenced.
        num_envs: Size of its batch.
        channels: As of `PictureReader`.
        center_crop: As of `PictureReader`.
    """

    def __init__(
        self, env: Any, num_envs: int, channels: Channels, center_crop: int | None
    ) -> None:
        self._num_envs = num_envs
        self._channels = channels
        self._center_crop = center_crop
        self._readers: dict[str, PictureReader] = {}
        self._steps = StepReader(env)
        self._numbers = NumbersHere()
        self._resets_itself = env is not None and (
            resets_itself(env) or resets_itself(innermost(env))
        )

    def num_envs(self, entries: Entries) -> int:
        """Return the number of envs: of the batch, or of pictures if there are more."""
        count = self._num_envs
        for camera, entry in entries.items():
            count = max(count, self._reader(camera).count(*entry))
        return count

    def cameras(self, entries: Entries) -> dict[str, list[Any]]:
        """Return each camera's pictures, (H, W, 3) each."""
        return {
            camera: self._reader(camera).read(*entry)
            for camera, entry in entries.items()
        }

    def pictures(self, entries: Entries, num_envs: int) -> dict[str, list[Any]]:
        """Return each camera's pictures: one for each env, or one of them all."""
        cameras = self.cameras(entries)
        for camera, frames in cameras.items():
            if len(frames) > 1 and num_envs % len(frames) == 0:
                times = num_envs // len(frames)
                cameras[camera] = [one for one in frames for _ in range(times)]
        return cameras

    def row(self, call: Call, num_envs: int) -> CallRow:
        """Return what the call was to each env."""
        found = self._numbers.of_call(call.before, call.after, num_envs=num_envs)
        call = Call(call.is_reset, *found)
        kinds = self._steps.kinds(call, num_envs)
        if call.is_reset:
            return CallRow(kinds, {}, None)
        ends = self._steps.ends(call.after, num_envs)
        step = {
            "reward": self._steps.reward(call.after, num_envs),
            "sums": self._steps.group_rewards(call.after, num_envs),
            "terminated": ends.terminated,
            "truncated": ends.truncated,
            "action": self._steps.action(call.before, num_envs),
            "step_info": self._steps.infos(call.after, num_envs),
        }
        has_reset = self._resets_itself and bool(ends.any.any())
        return CallRow(kinds, step, ends.any if has_reset else None)

    def all_ended(self, after: Any, num_envs: int) -> bool:
        """Return whether all envs ended with the step to `after`."""
        return bool(self._steps.ends(after, num_envs).any.all())

    def _reader(self, camera: str) -> PictureReader:
        reader = self._readers.get(camera)
        if reader is None:
            reader = PictureReader(self._channels, self._center_crop)
            self._readers[camera] = reader
        return reader
