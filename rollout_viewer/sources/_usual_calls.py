"""Calls of many environments that are recorded by copying their arrays, and no more.

Nearly all are, where pictures are rendered later: each env steps, or is reset since it
ended with the call before. Knows rows. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.step_call import as_actions
from rollout_viewer._recording.live import NO_STARTS
from rollout_viewer.sources._batched_calls import NEXT_STEP, SAME_STEP, BatchedCalls
from rollout_viewer.sources._later_rows import LaterRows
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_viewer._recording.step_row import Mask

# Among the bytes of bools: finding one is faster than `np.any` and `np.all`,
# and a number is found faster than bytes.
_TRUE, _FALSE = 1, 0
_FLOAT64, _BOOL = np.dtype(np.float64), np.dtype(np.bool_)


class UsualCalls(RecordingWrapper, LaterRows, BatchedCalls):
    """Records such calls as `BatchedCalls` does, in a fraction of the time."""

    _is_usual = False
    # Observations are one array, and are recorded as they are.
    _is_simple = False

    def _set_up_usual(self) -> None:
        """Record such calls faster from now on; their pictures are rendered later."""
        actions = self._batched_actions()
        self._is_usual = getattr(actions, "spaces", None) is None
        self._is_simple = (
            [part.name for part in self._parts] == ["obs"]
            and self._check is not None
            and not self._check.has_probes
        )

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all environments; records a row, or two."""
        result = self._step_env(actions)
        if not (self._is_usual and self._record_like_last(actions, *result)):
            with self._recorded("step"):
                self._record_step(actions, *result)
        return result

    def _record_like_last(
        self,
        actions: Any,
        obs: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Any,
    ) -> bool:
        """Record a step if it is like the last one. False: nothing was recorded."""
        if not (
            _are_bools(terminated, self.num_envs)
            and _are_bools(truncated, self.num_envs)
            and type(reward) is np.ndarray
            and type(obs) is np.ndarray
            and type(actions) in (np.ndarray, list)
            and "step" in self._known_calls
        ):
            return False
        before, resets, ended = self._has_ended, None, None
        if self._mode == NEXT_STEP and _TRUE in (text := before.tobytes()):
            if _FALSE not in text:
                return False  # such a call has no action
            resets = before
        if _TRUE in terminated.tobytes() or _TRUE in truncated.tobytes():
            if self._mode == SAME_STEP:
                return False  # two rows
            ended = terminated | truncated
            if resets is not None:
                ended &= ~resets
                if _TRUE not in ended.tobytes():
                    ended = None
        num_calls = self.recorder.num_calls
        # Before the row is there: what follows it depends on this.
        none = np.zeros(self.num_envs, np.bool_)
        self._has_ended = none.copy() if ended is None else ended
        self.begins = none if resets is None else resets.copy()
        try:
            data = {"obs": obs} if self._is_simple else self._data(obs) or {}
            if type(actions) is list:
                actions = as_actions(actions, self.num_envs)
            if reward.dtype != _FLOAT64 and reward.dtype.kind in "fiu":
                reward = reward.astype(_FLOAT64)
            if not self.recorder.add_many(
                resets,
                ended,
                reward,
                terminated,
                truncated,
                actions,
                data,
                info,
                NO_STARTS if resets is None else self._starts_of(resets),
            ):
                self._has_ended = before  # as it was
                return False
        except Exception as error:
            if not self._survives("step", num_calls, error):
                raise
        self._states = {}
        for skip in self._skip_pictures:
            skip()
        return True

    def _starts_of(self, resets: Mask) -> Mapping[int, bytes]:
        """Return from where the episodes can be replayed that begin."""
        found = {}
        for env in resets.nonzero()[0].tolist():
            if (state := self._states.get(env)) is not None:
                found[env] = self._packed_start(env, state)
        return found


def _are_bools(ends: Any, num_envs: int) -> bool:
    return (
        type(ends) is np.ndarray and ends.dtype == _BOOL and ends.shape == (num_envs,)
    )
