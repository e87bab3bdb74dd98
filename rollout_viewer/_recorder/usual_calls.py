"""Calls whose rows are like the last one: they are only appended.

Where pictures are rendered later, nearly all are: all envs step or are reset, and
nothing but their steps is to be known of them. Knows rows. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsBytes

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._process.forks import this_process
from rollout_viewer._recorder.running_episodes import RunningEpisodes
from rollout_viewer._recorder.success import is_silent
from rollout_viewer._recording.noted_rows import NO_STARTS
from rollout_viewer._recording.step_row import (
    IDLE,
    RESET,
    STEP,
    TERMINAL_MISSING,
    TRUNCATED,
)
from rollout_viewer._replay.episode_start import START

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recorder.skipped_steps import SkippedSteps
    from rollout_viewer._recording.many_buffer import Buffer, ManyBuffer
    from rollout_viewer._recording.step_row import Codes, Mask

# Among the bytes of bools: finding it is faster than `np.any`, and a
# number is found faster than bytes.
_TRUE = 1
_RESET, _STEP, _MISSING = map(np.uint8, (RESET, STEP, TERMINAL_MISSING))
_TRUNCATED = np.uint8(TRUNCATED)
_FLOAT32 = np.dtype(np.float32)


def flags_of(ended: Mask | None, terminated: Mask, truncated: Mask) -> Codes | None:
    """Return the flags (B,) of ends; None: all that ended terminated."""
    if ended is None or _TRUE not in truncated.tobytes():
        return None
    return (terminated + (truncated * _TRUNCATED)) * ended


class UsualCalls(RunningEpisodes):
    """The part of a `Recorder` that records such calls."""

    num_calls: int
    _lock: threading.Lock
    _pid: int
    _skipped: SkippedSteps
    _all_step: bytes
    _has_skipped_reset: Mask
    _joins_episode: Mask
    _is_settled: bool
    _is_lean: bool
    # Where calls that are like the last one may be put, in place of `add_many`. What it
    # has from `_stop` on is not counted yet.
    many: ManyBuffer | None = None

    def _add_like_last(
        self,
        codes: Codes,
        step: tuple[Any, Any, Any, Any],
        data: Mapping[str, Any] | None,
        infos: Mapping[int, Mapping[str, Any]] | None,
        step_infos: tuple[Any, Any],
        *,
        is_same_call: bool,
    ) -> int | None:
        """Record a call if its row is like the last one; None: it is not.

        What `_add_at_once` comes to where no picture is due, all envs step, are reset
        or idle, and nothing but their steps is to be known of them.
        """
        step_info, final_info = step_infos
        if final_info:
            return None
        if step_info is not None:
            found = self._data_of(step_info)
            if found is None:
                return None
            if found:
                if final_info is not None or IDLE in codes.tobytes():
                    return None  # it is not of all envs
                data = {**(data or {}), **found}
        kind = None if codes.tobytes() == self._all_step else codes
        if kind is not None and _STEP not in codes.tobytes():
            step = (*step[:3], None)  # a call that resets ignores its action
        reward = step[0]
        if type(reward) is np.ndarray and reward.dtype == _FLOAT32:
            step = (reward.astype(np.float64), *step[1:])
        num_calls, before = self.num_calls, self.cache.num_appended
        if not is_same_call:
            num_calls += 1
        episode = self._episode if kind is None else self._episode + (kind == _RESET)
        try:
            row = self.cache.append_step(kind, *step, data, infos)
            if row is not None:
                self._note_like_last(kind, step, row + 1, num_calls, episode)
        except BaseException:
            if (stop := self.cache.num_appended) == before:
                self._keep_call(codes, step, infos, step_info)
                self.num_calls, self._episode = num_calls, episode
            else:
                self._note_like_last(kind, step, stop, num_calls, episode)
            raise
        return row

    def add_many(
        self,
        resets: Mask | None,
        ended: Mask | None,
        reward: Any,
        terminated: Mask,
        truncated: Mask,
        action: Any,
        values: Mapping[str, Any],
        info: Any = None,
        starts: Mapping[int, SupportsBytes] = NO_STARTS,
    ) -> bool:
        """Record a call of many envs, if its row is like the last one.

        What `add` comes to where all envs step but those that ended with the call
        before, which are reset, and some step.

        Args:
            resets: (B,): which envs are reset; None: none. Not to be changed any more.
            ended: (B,): which of the others end; None: none. Not to be changed either.
            reward: An array (B,).
            terminated: (B,)
            truncated: (B,)
            action: An array (B, ...).
            values: Name -> (B, ...); not changed.
            info: One dict for each env, or one of them all.
            starts: Env -> from where its episode can be replayed that begins, for
                `bytes`: called later, perhaps in another thread.

        Returns:
            False: it is not like the last one, and nothing was recorded.
        """
        with self._lock:
            full = self.many
            was_used = full is None or bool(full.rows)
            self._settle()
            if not self._is_lean or self._pid != this_process.pid:
                return False
            flags = flags_of(ended, terminated, truncated)
            num_calls, before = self.num_calls + 1, self.cache.num_appended
            try:
                if full is not None and full.is_full:
                    call = resets, ended, flags, reward, action
                    self.many = self._put_after_many(full, call, values, info, starts)
                    if self.many is not None:
                        return True
                if info:
                    found = self._data_of(info)
                    if found is None:
                        return False
                    if found:
                        values = {**values, **found}
                row = self.cache.append_many(
                    resets, ended, flags, reward, action, values, starts
                )
                if row is not None:
                    self._note_many(resets, ended, row + 1, num_calls)
            except BaseException:
                if (stop := self.cache.num_appended) == before:
                    step = reward, terminated, truncated, action
                    self._keep_many(resets, step, info, starts)
                    self.num_calls = num_calls
                else:
                    self._note_many(resets, ended, stop, num_calls)
                raise
            if row is None:
                return False
            # Where the last one had no rows, calls differ from one another.
            if was_used or self._stop % CHUNK_ROWS == 0:
                form = self._step_info.form_of_many(info)
                many = None if form is None else self.cache.open_many(form)
                if many is not None and many.first == self._stop:
                    self.many = many  # else rows of another recorder came before it
            return True

    def _put_after_many(
        self,
        full: ManyBuffer,
        call: tuple[Mask | None, Mask | None, Codes | None, Any, Any],
        values: Mapping[str, Any],
        info: Any,
        starts: Mapping[int, SupportsBytes],
    ) -> ManyBuffer | None:
        """Put a call of `add_many` into the buffer that follows a full one.

        Returns:
            The buffer; None: it was not put, and there is none.
        """
        following = self._buffer_after(full, values)
        if following is None:
            return None
        (value,) = values.values()
        return following if following.put(*call, value, info, starts) else None

    def _buffer_after(self, full: Buffer, values: Mapping[str, Any]) -> Buffer | None:
        """Return the buffer that follows a full one, for a call with these values.

        None: there is none, or not for such a call, or others have put rows.
        """
        following = self.cache.next_buffer(full) if len(values) == 1 else None
        if following is None or following.first != self._stop:
            return None
        return following

    def _settle(self) -> None:
        """Count what came by a buffer, which is used no more."""
        raise NotImplementedError

    def _note_many(
        self, resets: Mask | None, ended: Mask | None, stop: int, num_calls: int
    ) -> None:
        """Count a call of `add_many` that has a row; may be called again.

        The numbers of episodes stay: only where some are left out they are needed.
        """
        self._stop, self.num_calls = stop, num_calls
        if ended is not None:
            self._is_running = ~ended
        elif resets is not None:
            self._is_running = np.ones(self.num_envs, np.bool_)

    def _keep_many(
        self,
        resets: Mask | None,
        step: tuple[Any, Any, Any, Any],
        info: Any,
        starts: Mapping[int, SupportsBytes],
    ) -> None:
        """Let the next row include a call of `add_many`, which has none."""
        codes = np.full(self.num_envs, _STEP)
        if resets is not None:
            codes[resets] = _RESET
        infos = {env: {START: bytes(start)} for env, start in starts.items()}
        self._keep_call(codes, step, infos, info or None)

    def _data_of(self, step_info: Any) -> Mapping[str, Any] | None:
        """Return an info as data of a row; None: it is not as simple."""
        try:
            if is_silent(step_info):
                return self._step_info.at_once(step_info)
        except MemoryError:
            raise
        except Exception:  # an unusual info, of which `StepInfo.add` warns
            pass
        return None

    def _keep_call(
        self,
        codes: Codes,
        step: tuple[Any, Any, Any, Any],
        infos: Mapping[int, Mapping[str, Any]] | None,
        step_info: Any,
    ) -> None:
        """Let the next row include a call of `_add_like_last`, which has none."""
        self._is_settled = self._is_lean = False
        is_reset = codes == _RESET
        is_step = (codes == _STEP) | (codes == _MISSING)
        _, self._infos = self._with_begun(is_reset, infos or {})
        self._skipped.add(is_step, *step)
        self._has_skipped_reset |= is_reset
        self._joins_episode |= is_reset
        if step_info is not None:
            no_end = np.zeros(self.num_envs, np.bool_)
            self._add_infos((step_info, None), is_step, no_end, is_reset)

    def _note_like_last(
        self,
        kind: Codes | None,
        step: tuple[Any, Any, Any, Any],
        stop: int,
        num_calls: int,
        episode: npt.NDArray[np.int64],
    ) -> None:
        """Count a call of `_add_like_last` that has a row; may be called again."""
        _, terminated, truncated, _ = step
        self._stop, self.num_calls = stop, num_calls
        for ends in (terminated, truncated):
            if ends is not None and _TRUE in ends.tobytes():
                if kind is not None:
                    ends = ends & (kind == _STEP)
                self._is_running = self._is_running & ~ends
        if kind is not None:
            self._episode = episode
            self._is_running = self._is_running | (kind == _RESET)
