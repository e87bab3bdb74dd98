"""Rows of a batch of environments, from what each call was to each of them.

Knows rows. Knows no framework and no recorder.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.same_step import add_same_step
from rollout_viewer._recording.step_row import IDLE, RESET
from rollout_viewer.sources._spaces import observation_data, with_final
from rollout_viewer.sources._terminal_pictures import terminal_pictures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._spaces import Part


class BatchedRows:
    """One row for a call, or two for one that ended envs and reset them.

    A subclass reports what each call was, by `_add_reset`, `_add_step` and
    `_add_same_step`, and overrides the hooks: `_add` has the arguments of
    `Recorder.add`, the others are called where a video may start or stop.

    Attributes:
        begins: Bool (B,): the last observation is the first of an episode.
    """

    num_envs: int
    begins: Mask

    def _set_up_rows(self, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.begins = np.zeros(self.num_envs, np.bool_)

    def _add_reset(
        self,
        mask: Mask,
        obs: Any,
        infos: Mapping[int, Mapping[str, Any]],
        step_info: Any = None,
    ) -> None:
        """Record a reset of the envs in `mask`; the others are idle."""
        self.begins = self.begins | mask
        self._add(
            np.where(mask, RESET, IDLE),
            self._pictures,
            data=self._data(obs),
            infos=infos,
            step_info=step_info,
        )
        self._after_call()

    def _add_step(self, kind: Any, obs: Any, **step: Any) -> None:
        """Record a step, or a reset where `kind` is that."""
        if RESET in kind.tobytes():
            self.begins = kind == RESET
        else:
            self.begins = np.zeros(self.num_envs, np.bool_)
        self._before_last_row()
        self._add(kind, self._pictures, data=self._data(obs), **step)
        self._after_call()

    def _add_same_step(
        self,
        ended: Mask,
        obs: Any,
        final: Mapping[int, Any],
        info: Any,
        final_info: Any,
        **step: Any,
    ) -> None:
        """Record a call that ended envs and reset them: two rows.

        Args:
            ended: (B,)
            obs: Of the new episode, where an env ended.
            final: Ended env -> the last observation of its episode, as far as known.
            info: What the call returned as info.
            final_info: That of the steps that ended, if `info` is of the resets.
            **step: Rewards, ends and actions, arguments of `Recorder.add`.
        """
        self.begins = np.array(ended)
        data = self._data(obs)
        add_same_step(
            self._add,
            ended,
            self._pictures,
            find_terminal=self._terminal_finder(obs, final),
            data=data,
            final_data=self._final_data(data, final),
            before_reset=self._before_last_row,
            reset_infos=self._infos_of_resets(ended),
            step_info=info,
            final_info=final_info,
            **step,
        )
        self._after_call()

    # -- hooks

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        """Record a row."""
        raise NotImplementedError

    def _pictures(self) -> list[Any]:
        """Return a picture of each env, or one of them all."""
        raise NotImplementedError

    @property
    def _is_recording(self) -> bool:
        """Whether `_add` makes rows."""
        return True

    def _record_call(
        self, call: str, record: Callable[..., object], *args: Any
    ) -> None:
        """Do by ``record(*args)`` all that is done beside a "reset" or "step"."""
        raise NotImplementedError

    def _terminal_finder(
        self, obs: Any, final: Mapping[int, Any]
    ) -> Callable[[Callable[[], Any]], Mapping[int, Any]] | None:
        """Return what finds the last pictures of ended envs; see `add_same_step`."""
        if not self._is_recording:
            return None  # it renders
        return functools.partial(terminal_pictures, obs, final, self.num_envs)

    def _final_data(
        self, data: dict[str, Any] | None, final: Mapping[int, Any]
    ) -> dict[str, Any] | None:
        """Return the data of a row with the last observations of ended envs."""
        return None if data is None else with_final(data, final, self._parts)

    def _infos_of_resets(self, envs: Mask) -> Mapping[int, Mapping[str, Any]] | None:
        """Return the infos of episodes that a step began, which ended others."""
        del envs
        return None

    def _before_last_row(self) -> None:
        """Do what comes before the last row of a step; `begins` is of that row."""

    def _after_call(self) -> None:
        """Do what comes after all rows of a call."""

    def _data(self, obs: Any) -> dict[str, Any] | None:
        if not self._parts:
            return None
        return observation_data(obs, self._parts, [self.num_envs])
