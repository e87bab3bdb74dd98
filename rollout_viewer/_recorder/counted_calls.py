"""Calls are counted, and recorded as they came or accumulated until a row is due.

Whether a call gets a row, of which envs, and whether the next one may be recorded as it
comes. Knows rows. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._recorder.call_rows import CallRows
from rollout_viewer._recorder.episode_filter import EpisodeFilter
from rollout_viewer._recorder.vector_reward import split_reward
from rollout_viewer._recording.step_row import IDLE, RESET, STEP, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._recorder.step_call import StepCall
    from rollout_viewer._recording.step_row import Codes, Mask

    Pictures = Callable[[], Any]

_RESET, _STEP = map(np.uint8, (RESET, STEP))
_IDLE, _MISSING = map(np.uint8, (IDLE, TERMINAL_MISSING))
# Among the bytes of bools: finding it is faster than `np.any`.
_TRUE = 1


class CountedCalls(CallRows):
    """The part of a `Recorder` that counts calls, and knows which get a row."""

    # Whether the newest call is recorded, and so its second row (`is_same_call`).
    _is_recorded: bool
    # (B,), not to be changed.
    _everyone: Mask
    _nobody: Mask
    # Before which row an info of many could not be taken at once: the next ones of a
    # block are not tried.
    _failed_at = -CHUNK_ROWS

    def _is_lean_now(self) -> bool:
        """Whether a step of all envs is nothing but its row's step data."""
        return (
            self._recipe is not None
            and self._sink is self.cache
            and not (self._infos or self._successes.is_active or self._renders_ended)
            and not (self._limit.is_active or self._step_info.is_pending)
        )

    def _has_nothing_left(self) -> bool:
        """Whether the next call is recorded, and nothing else is in its row."""
        skipped = self._skipped
        left = skipped.count, self._joins_episode, self._has_skipped_reset
        return (
            self._skip == self._every == 1
            and not (self._is_resumed or skipped.sums or self._vectors.is_in_use)
            and not any(np.count_nonzero(one) for one in left)
        )

    def _add_at_once(
        self,
        codes: Codes,
        call: StepCall,
        pictures: Pictures,
        data: Mapping[str, Any] | None,
        infos: Mapping[int, Mapping[str, Any]] | None,
        step_infos: tuple[Any, Any],
        *,
        is_same_call: bool,
    ) -> int | None:
        """Record a call as it came: what `_count_call` and `_record` come to then."""
        begins: Mask | None = None
        counted = self._episode, self._infos
        is_plain = codes.tobytes() == self._all_step
        if not is_plain:
            begins = codes == _RESET
            self._end_before(begins)
            counted = self._with_begun(begins, infos or {})
        if self._limit.is_active:
            self._limit.apply(codes, call.terminated, call.truncated)
            is_plain = is_plain and codes.tobytes() == self._all_step
        ended, is_recorded = self._nobody, True
        if _TRUE in call.terminated.tobytes() or _TRUE in call.truncated.tobytes():
            ended = call.terminated | call.truncated
        if is_plain:
            is_running = self._everyone if ended is self._nobody else ~ended
        else:
            is_step = (codes == _STEP) | (codes == _MISSING)
            begun = (codes == _RESET) | is_step
            is_running = self._is_running
            if begins is not None:
                is_running = is_running & ~begins
            is_running = (is_running | begun) & ~(ended & is_step)
            is_recorded = bool(np.count_nonzero(begun))
            if not np.count_nonzero(is_step):
                call = call._replace(action=None)
        before = self._sink.num_appended
        # All of it at once: no call in between may be interrupted.
        self._episode, self._infos = counted
        self._is_running = is_running
        if not is_same_call:
            self._is_recorded = self._is_recorded or is_recorded
            self._num_calls += 1  # no buffer is open
        if not is_recorded:
            return None
        self._call = call
        # Not by comparing: an info may be an array.
        has_infos = step_infos[0] is not None or step_infos[1] is not None
        try:
            if has_infos:
                found = self._data_at_once(codes, step_infos)
                if found is None:
                    self._add_infos(step_infos, *self._masks(codes, ended))
                elif found:
                    data = {**data, **found} if data else found
            row = self._append_pictures(codes, pictures, data, before)
        except BaseException:
            if self._sink.num_appended == before:
                # The next row includes it.
                self._is_settled = self._is_lean = False
                is_step, is_over, is_reset = self._masks(codes, ended)
                self._skipped.add(is_step, *call)
                self._has_skipped_reset |= is_reset
                self._joins_episode |= is_reset
                if has_infos:  # once more changes nothing
                    self._add_infos(step_infos, is_step, is_over, is_reset)
            raise
        finally:
            self._call = None
        if self._recipe is not None:
            self._is_lean = self._is_lean_now()
        return self._sink.evaluate() if isinstance(self._sink, EpisodeFilter) else row

    def _data_at_once(
        self, codes: Codes, step_infos: tuple[Any, Any]
    ) -> Mapping[str, Any] | None:
        """Return a call's info as data of its row; None: it is to be accumulated."""
        step_info, final_info = step_infos
        if final_info is not None or step_info is None or IDLE in codes.tobytes():
            return None
        if type(step_info) is dict and not step_info:
            return step_info
        if 0 <= self._stop - self._failed_at < CHUNK_ROWS:
            return None
        found = self._data_of(step_info)
        if found is None and self.num_envs > 1:  # others had to be read for nothing
            self._failed_at = self._stop
        return found

    def _masks(self, codes: Codes, ended: Mask) -> tuple[Mask, Mask, Mask]:
        """Return which envs stepped in a call, which of them ended, and were reset."""
        is_step = (codes == _STEP) | (codes == _MISSING)
        return is_step, is_step & ended, codes == _RESET

    def _count_call(
        self,
        codes: Codes,
        step: tuple[Any, Any, Any, Any],
        sums: Mapping[str, Any] | None,
        infos: Mapping[int, Mapping[str, Any]] | None,
        step_infos: tuple[Any, Any],
        *,
        is_same_call: bool,
        is_kept: bool | None,
    ) -> bool:
        """Accumulate a call; return whether it gets a row with pictures.

        Envs whose episode is not recorded become idle in `codes`.
        """
        reward, terminated, truncated, action = step
        reward, vectors = split_reward(reward, self.num_envs, self._reward_weights)
        begins = codes == _RESET
        if not self._is_resumed:
            self._record_skipped(begins & (self._skipped.count > 0))
        skipped, objectives = self._skipped.copy(), self._vectors
        if self._is_resumed:
            # The frame at which this action was chosen is not recorded.
            action = None
            skipped.clear(begins)
        self._end_before(begins)
        episode, known = self._with_begun(begins, infos or {})
        self._limit.apply(codes, terminated, truncated)
        codes[episode % self._every > 0] = _IDLE
        is_reset = codes == _RESET
        is_step = (codes == _STEP) | (codes == _MISSING)
        is_cut_off = bool((is_reset & self._is_running).any())
        skipped.add(is_step, reward, terminated, truncated, action)
        if vectors is not None:
            objectives = objectives.plus(is_step, vectors)
        if sums:
            skipped.add_sums(is_step, sums)
        is_running = (self._is_running & ~begins) | is_reset | is_step
        is_running &= ~skipped.has_ended
        has_skipped_reset = self._has_skipped_reset | is_reset
        # If the reset itself gets no row, the next row is no longer of the old episode.
        joins_episode = self._joins_episode | is_reset
        # All of it at once: no call in between may be interrupted.
        self._skipped, self._vectors = skipped, objectives
        self._episode, self._infos, self._is_running = episode, known, is_running
        self._has_skipped_reset, self._joins_episode = has_skipped_reset, joins_episode
        self._is_resumed = False
        if not is_same_call:
            is_due = self.num_calls % self._skip == 0
            self._is_recorded = is_due if is_kept is None else is_kept
            self.num_calls += 1
        if step_infos[0] is not None or step_infos[1] is not None:
            is_over = is_step & skipped.has_ended
            self._add_infos(step_infos, is_step, is_over, is_reset)
        return not (codes == _IDLE).all() and (self._is_recorded or is_cut_off)
