"""A row for a call as it came, or for all calls since the last row.

With its pictures, without those that cannot be recorded, or, of calls that were
skipped, without any. Knows rows and frames. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.episode_filter import EpisodeFilter
from rollout_viewer._recorder.faults import (
    FaultWarning,
    always_raises,
    no_pictures,
    without_faulty,
)
from rollout_viewer._recorder.single_calls import SingleCalls
from rollout_viewer._recording.step_row import IDLE, RESET, STEP, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._recorder.step_call import StepCall
    from rollout_viewer._recorder.vector_reward import VectorRewards
    from rollout_viewer._recording.step_row import Codes, Mask

    Pictures = Callable[[], Any]

_RESET, _STEP = map(np.uint8, (RESET, STEP))
_IDLE, _MISSING = map(np.uint8, (IDLE, TERMINAL_MISSING))


class CallRows(SingleCalls):
    """The part of a `Recorder` that appends such rows."""

    warning: FaultWarning
    _has_pictures: bool
    _is_resumed: bool
    _vectors: VectorRewards
    # The call that is recorded now, where it is as it came.
    _call: StepCall | None

    def _record(
        self, codes: Codes, pictures: Pictures, data: Mapping[str, Any] | None
    ) -> int:
        # An idle env's picture shows the result of its skipped calls.
        is_idle = codes == _IDLE
        codes[is_idle & self._has_skipped_reset] = _RESET
        codes[is_idle & (self._skipped.count > 0)] = _STEP
        before = self._sink.num_appended
        row = self._append_pictures(codes, pictures, data, before)
        # Last: it calls a function of the user's, which may raise or be interrupted.
        return self._sink.evaluate() if isinstance(self._sink, EpisodeFilter) else row

    def _append_pictures(
        self,
        codes: Codes,
        pictures: Pictures,
        data: Mapping[str, Any] | None,
        before: int,
    ) -> int:
        """Append a row with its pictures, or without those that cannot be recorded.

        Args:
            codes: What the call was to each env.
            pictures: Returns them.
            data: Of the row.
            before: How many rows there are.
        """
        if self._recipe is not None:
            return self._append_row(codes, None, None, data, before)
        found: Any = None
        try:
            found = pictures()
            frames, envs = self._frame_options.apply(found, self.num_envs)
            row = self._append_row(codes, frames, envs, data, before)
        except Exception as error:
            if always_raises(error) or self._needs_pictures or not self._has_pictures:
                raise
            if self._sink.num_appended != before:  # the row is there
                raise
            row, faulty = self._append_without(codes, found, data, before)
            self.warning.of_pictures(error, row, faulty)
        self._has_pictures = self._has_pictures or bool(self._sink.slots)
        return row

    def _append_without(
        self, codes: Codes, found: Any, data: Mapping[str, Any] | None, before: int
    ) -> tuple[int, list[int]]:
        """Append a row without the pictures that are at fault.

        Returns:
            The row, and whose pictures it lacks; none: it has no picture at all.

        Raises:
            ShapeError: Step data does not fit.
        """
        some, faulty = without_faulty(found, self.num_envs)
        if faulty:
            try:
                frames, envs = self._frame_options.apply(some, self.num_envs)
                return self._append_row(codes, frames, envs, data, before), faulty
            except Exception as error:
                if always_raises(error):
                    raise
        missing = no_pictures(self._sink.slots, self.num_envs)
        row = self._append_row(codes, missing, None, data, before)
        return row, [0] if self.num_envs == 1 else []

    def _append_row(
        self,
        codes: Codes,
        frames: Any,
        envs: list[int] | None,
        data: Mapping[str, Any] | None,
        before: int,
    ) -> int:
        """Append a row with all that came since the last one, or of the call as it is.

        Where this is interrupted, the row is there and that is noted, or neither:
        before it, there were `before` rows.
        """
        call = self._call
        if call is None:
            row = self._skipped_row(codes)
            data = {**(data or {}), **self._skipped_data(codes)} or None
        else:
            row = self._call_row(codes, call)
        if self._step_info.is_pending:
            data = {**(data or {}), **self._step_info.seen(codes != _IDLE)}
        try:
            number = self._sink.append(
                frames, envs=envs, data=data, episode_info=self._infos, **row
            )
            is_here = self._sink is self.cache  # others have numbers of their own
            self._note_appended(
                codes, number + 1 if is_here else self._sink.num_appended
            )
        except BaseException:
            if (stop := self._sink.num_appended) != before:
                self._note_appended(codes, stop)  # once more changes nothing
            raise
        return number

    def _call_row(self, codes: Codes, call: StepCall) -> dict[str, Any]:
        """Return step data of a row that is the call as it came."""
        is_plain = self._sink is self.cache and codes.tobytes() == self._all_step
        return {
            "kind": "step" if is_plain else codes,
            "reward": call.reward,
            "terminated": call.terminated,
            "truncated": call.truncated,
            "action": call.action,
        }

    def _skipped_row(self, codes: Codes) -> dict[str, Any]:
        """Return step data of a row with all calls since the last one."""
        skipped = self._skipped
        is_step = (codes == _STEP) | (codes == _MISSING)
        return {
            "kind": codes,
            "reward": skipped.reward if skipped.has_reward.any() else None,
            "terminated": skipped.terminated,
            "truncated": skipped.truncated,
            "action": skipped.action if is_step.any() else None,
            "reset": self._joins_episode if self._joins_episode.any() else None,
            # None, as long as nothing was skipped: the cache is faster then.
            "num_transitions": skipped.count if skipped.count.max() > 1 else None,
        }

    def _skipped_data(self, codes: Codes) -> dict[str, Any]:
        """Return what has added up since the last row of each env."""
        data: dict[str, Any] = dict(self._skipped.sums)
        if self._vectors.is_in_use:
            data.update(self._vectors.seen((codes == _STEP) | (codes == _MISSING)))
        return data

    def _note_appended(self, codes: Codes, stop: int) -> None:
        """Forget what the newest row has, before `stop`; may be called again."""
        self._stop = stop
        if self._step_info.is_pending:
            self._step_info.drop(codes != _IDLE)
        if self._infos:
            self._infos = {e: i for e, i in self._infos.items() if codes[e] == _IDLE}
        if self._successes.is_active:
            ends = self._skipped if self._call is None else self._call
            is_step = (codes == _STEP) | (codes == _MISSING)
            self._end_episodes(is_step & (ends.terminated | ends.truncated))
        if self._renders_ended:
            ends = self._skipped if self._call is None else self._call
            is_step = (codes == _STEP) | (codes == _MISSING)
            self._render_newest(is_step & (ends.terminated | ends.truncated))
        if self._call is not None:
            return
        is_step = (codes == _STEP) | (codes == _MISSING)
        if self._vectors.is_in_use:
            self._vectors.drop(is_step)
        self._skipped.clear(is_step)
        self._joins_episode &= codes == _IDLE
        self._has_skipped_reset &= codes == _IDLE

    def _record_skipped(self, envs: Mask) -> None:
        """Append a row for the skipped steps of `envs`, without pictures."""
        if envs.any():
            codes = np.where(envs, _MISSING, _IDLE)
            count = self.num_envs if self.envs is None else len(self.envs)
            # None in a list is a missing picture; without a list, pictures repeat.
            is_shared = self._sink.is_shared
            frames = None if is_shared else [None] * count
            shown, before = None if is_shared else self.envs, self._sink.num_appended
            self._append_row(codes, frames, shown, None, before)

    def complete(self) -> None:
        """Record the steps that were skipped since the last row, without a picture.

        Does nothing while a call is being recorded, in this thread or another one.
        """
        is_pending = self._skipped.count > 0
        if not (is_pending.any() and self.cache.is_mine and not self.cache.is_closed):
            return
        if self._lock.locked():
            return
        # Not `acquire(blocking=False)`: interrupted, its result would be lost.
        with self._lock:
            if self._is_resumed:  # these steps are not to be recorded alone
                return
            self._record_skipped(self._skipped.has_ended)
            is_pending = self._skipped.count > 0
            if is_pending.any():
                codes = np.where(is_pending, _STEP, _IDLE)
                self._append_row(codes, None, None, None, self._sink.num_appended)
