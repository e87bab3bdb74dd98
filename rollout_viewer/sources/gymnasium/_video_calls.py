"""When videos of a batch of environments start and stop: with the episodes of env 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rollout_viewer.sources._batched_calls import BatchedCalls
from rollout_viewer.sources._batched_env import autoreset_mode, parts_of_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources.gymnasium._record_video_base import RecordVideoBase


class BatchedVideoCalls(BatchedCalls):
    """The hooks of `BatchedCalls` for a `RecordVideo` of a batch.

    A subclass returns that recorder as `_owner`.
    """

    @property
    def _owner(self) -> RecordVideoBase:
        raise NotImplementedError

    @property
    def _is_recording(self) -> bool:
        return self._owner.recording

    def _before_reset(self, mask: Mask) -> None:
        super()._before_reset(mask)
        if mask[0]:
            self._owner.begin_episode()
            self._owner.start_at_episode()

    def _before_last_row(self) -> None:
        owner = self._owner
        owner.step_id += 1
        if self.begins[0]:
            owner.begin_episode()
            owner.start_at_episode()
        owner.start_at_step()

    def _record_call(
        self, call: str, record: Callable[..., object], *args: Any
    ) -> None:
        del call
        self._owner.record_call(record, *args)

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self._owner.record(kind, pictures, **call)

    def _after_call(self) -> None:
        self._owner.stop_if_full()

    def _pictured_envs(self) -> list[int] | None:
        return self._owner.pictured_envs


class VideoBatch(BatchedVideoCalls):
    """The calls of one `gymnasium.Env` of many environments, such as a GPU simulation.

    Args:
        env: Its observations, rewards and ends are batches.
        num_envs: Of the batch.
        owner: Records its videos.
    """

    def __init__(self, env: Any, num_envs: int, owner: RecordVideoBase) -> None:
        self.env = env
        self.num_envs = num_envs
        self.__owner = owner
        self._set_up_calls(autoreset_mode(env), parts_of_each(env, num_envs) or [])

    @property
    def _owner(self) -> RecordVideoBase:
        return self.__owner

    def _batched_actions(self) -> Any:
        return getattr(self.env, "action_space", None)

    def record_reset(
        self,
        obs: Any,
        seed: Any,
        options: Mapping[str, Any] | None,
        mask: npt.NDArray[np.bool_],
        info: Any,
    ) -> None:
        """Record a reset of all envs, for which `reset` was not called."""
        self._before_reset(mask)
        self._record_reset(obs, seed, options or {}, mask, info)
