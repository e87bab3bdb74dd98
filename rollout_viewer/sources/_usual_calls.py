"""Calls of many environments that are recorded by copying their arrays, and no more.

Nearly all are, where pictures are rendered later: each env steps, or is reset since it
ended with the call before. Knows rows. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsBytes

import numpy as np

from rollout_viewer._recorder.step_call import as_actions
from rollout_viewer._recorder.usual_calls import flags_of
from rollout_viewer._recording.noted_rows import NO_STARTS
from rollout_viewer._replay.episode_start import plain_start
from rollout_viewer.sources._batched_calls import (
    DISABLED,
    NEXT_STEP,
    SAME_STEP,
    BatchedCalls,
)
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
        if self._is_torn:
            self._go_on()
        self._is_torn = self._mode != DISABLED
        try:
            result = self._step_env(actions)
            if not (self._is_usual and self._record_like_last(actions, *result)):
                self._record_call("step", self._record_step, actions, *result)
        except Exception:
            self._is_torn = False
            raise
        self._is_torn = False
        return result

    def _go_on(self) -> None:
        """Go on after a call that was interrupted before it was known what it ended.

        Envs that may be in another episode than at their last row begin one there,
        from a start that is not known.
        """
        recorder, resets = self.recorder, self._next_resets()
        everyone = np.ones(self.num_envs, np.bool_)
        begun = everyone if resets is None else self._has_ended & ~resets
        if _TRUE in begun.tobytes():
            recorder.complete()
            unknown = np.full(self.num_envs, np.nan)
            recorder.resume(begun, np.zeros(self.num_envs, np.int64), unknown)
        self._has_ended = ~everyone if resets is None else resets

    def _next_resets(self) -> Mask | None:
        """Return which envs the next step resets; None: that is not known."""
        return None

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
            type(terminated) is type(truncated) is type(reward) is np.ndarray
            and terminated.dtype is truncated.dtype is _BOOL
            and terminated.shape == truncated.shape == (self.num_envs,)
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
        # Before the row is there: what follows it depends on this.
        none = np.zeros(self.num_envs, np.bool_)
        self._has_ended = none.copy() if ended is None else ended
        self._is_torn = False
        self.begins = none if resets is None else resets.copy()
        ends = ended, terminated, truncated
        if not self._add_like_last(resets, ends, reward, actions, obs, info):
            # As it was.
            self._has_ended, self._is_torn = before, self._mode != DISABLED
            return False
        self._states = {}
        for skip in self._skip_pictures:
            skip()
        return True

    def _add_like_last(
        self,
        resets: Mask | None,
        ends: tuple[Mask | None, Mask, Mask],
        reward: Any,
        actions: Any,
        obs: Any,
        info: Any,
    ) -> bool:
        """Add a row to the recorder, if it is like the last one.

        Args:
            resets: Which envs are reset.
            ends: Which of the others ended, terminated, and were truncated.
            reward: An array (B,)
            actions: An array or a list.
            obs: An array.
            info: Of the call.
        """
        recorder, num_calls = self.recorder, -1
        try:
            if type(actions) is list:
                actions = as_actions(actions, self.num_envs)
            if reward.dtype is not _FLOAT64 and reward.dtype.kind in "fiu":
                reward = reward.astype(_FLOAT64)
            starts = NO_STARTS if resets is None else self._starts_of(resets)
            buffer = recorder.many
            if buffer is not None and self._is_simple:
                flags = None if ends[0] is None else flags_of(*ends)
                num_rows = len(buffer.rows)
                try:
                    if buffer.put(
                        resets, ends[0], flags, reward, actions, obs, info, starts
                    ):
                        return True
                except Exception as error:  # of a listener, or of a handler of signals
                    if not self._survives("step", -1, error):
                        raise
                    if len(buffer.rows) > num_rows:
                        return True
            num_calls = recorder.num_calls
            data = {"obs": obs} if self._is_simple else self._data(obs) or {}
            return recorder.add_many(
                resets, ends[0], reward, *ends[1:], actions, data, info, starts
            )
        except Exception as error:
            if not self._survives("step", num_calls, error):
                raise
            return True

    def _starts_of(self, resets: Mask) -> Mapping[int, SupportsBytes]:
        """Return from where the episodes can be replayed that begin."""
        found: dict[int, SupportsBytes] = {}
        number = self.recorder.recipe_number
        for env, state in self._states.items():
            if not resets[env]:
                continue
            if self._depends_on_first(env):
                found[env] = self._packed_start(env, state)
            else:
                found[env] = plain_start(number, state)
        return found
