"""Calls of a single env whose rows are like the last one.

Most are put into a buffer by whoever makes them, and only counted here, later. The
others are recorded without arrays of numbers. Knows rows. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsBytes

import numpy as np

from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._process.forks import this_process
from rollout_viewer._recorder.success import is_silent
from rollout_viewer._recorder.usual_calls import UsualCalls
from rollout_viewer._recording.step_buffer import InfoForms
from rollout_viewer._recording.step_row import (
    BEGINS,
    RESET,
    STEP,
    TERMINATED,
    TRUNCATED,
)
from rollout_viewer._replay.episode_start import START

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_buffer import InfoForm, StepBuffer


class SingleCalls(UsualCalls):
    """The part of a `Recorder` that records such calls."""

    _lock: threading.Lock
    _pid: int

    # Where steps and resets that are like the last one may be put, in place of
    # `add_one`. What it has from `_stop` on is not counted yet.
    buffer: StepBuffer | None = None
    _num_calls = 0
    # The form of the info of the last step, and reset, that had a row by `add_one`.
    _step_form: InfoForm | None = None
    _reset_form: InfoForm | None = None

    @property
    def num_calls(self) -> int:
        """Calls that were counted so far, recorded or skipped."""
        buffer = self.buffer or self.many
        if buffer is None:
            return self._num_calls
        return self._num_calls + buffer.stop - self._stop

    @num_calls.setter
    def num_calls(self, count: int) -> None:
        self._num_calls = count

    def _settle(self) -> None:
        """Count what came by a buffer, which is used no more."""
        buffer = self.buffer or self.many
        if buffer is None:
            return
        rows = buffer.rows[self._stop - buffer.first :]
        specials: list[Any] = [row[0] for row in rows if row[0]]
        episode, is_running = self._episode, self._is_running
        if specials and self.many is not None:
            _, ended, _ = specials[-1]
            is_running = np.ones(self.num_envs, np.bool_) if ended is None else ~ended
        elif specials:
            episode = episode + specials.count(BEGINS)
            is_running = np.full(1, specials[-1] == BEGINS)
        num_calls, stop = self._num_calls + len(rows), self._stop + len(rows)
        # Without a call in between, so that it is not interrupted.
        self._num_calls, self._stop = num_calls, stop
        self.buffer = self.many = None
        self._episode, self._is_running = episode, is_running

    def _open_buffer(self, kind: int, info: Any, *, was_used: bool) -> None:
        """Have the next calls put into a buffer, if they are like those before.

        Args:
            kind: Of this call, which has a row.
            info: The same.
            was_used: The last buffer was. Else calls differ from one another.
        """
        form = self._step_info.form_of(info or {})
        if kind == RESET:
            self._reset_form = form
        else:
            self._step_form = form
        step = self._step_form
        if step is not None and (was_used or self._stop % CHUNK_ROWS == 0):
            forms = InfoForms(step, self._reset_form or step)
            buffer = self.cache.open_buffer(forms)
            if buffer is not None and buffer.first == self._stop:
                self.buffer = buffer  # else rows of another recorder came before it

    def add_one(
        self,
        kind: int,
        flags: int,
        reward: Any,
        action: Any,
        values: Mapping[str, Any],
        info: Any = None,
        start: bytes | None = None,
    ) -> bool:
        """Record a call of a single env, if its row is like the last one.

        What `add` comes to then, without an array for each number.

        Args:
            kind: `STEP` or `RESET`.
            flags: `TERMINATED` and `TRUNCATED` of a step, `BEGINS` of a reset.
            reward: A number, of a step.
            action: A number or an array, without an axis of envs, of a step.
            values: Name -> the same; not changed.
            info: A dict.
            start: Of the episode that a reset begins: from where it can be replayed.

        Returns:
            False: it is not like the last one, and nothing was recorded.
        """
        with self._lock:
            full = self.buffer
            was_used = full is None or bool(full.rows)
            self._settle()
            if not self._is_lean or self._pid != this_process.pid:
                return False
            num_calls, before = self.num_calls + 1, self.cache.num_appended
            episode = self._episode + 1 if kind == RESET else self._episode
            call = kind, flags, reward, action
            try:
                if full is not None and full.is_full:
                    self.buffer = self._put_after(full, call, values, info, start)
                    if self.buffer is not None:
                        return True
                if info:
                    found = self._numbers_of(info)
                    if found is None:
                        return False
                    values = {**found, **values}
                row = self.cache.append_one(*call, values, start)
                if row is not None:
                    self._note_one(flags, row + 1, num_calls, episode)
            except BaseException:
                if (stop := self.cache.num_appended) == before:
                    self._keep_one(*call, info, start)
                    self.num_calls, self._episode = num_calls, episode
                else:
                    self._note_one(flags, stop, num_calls, episode)
                raise
            if row is None:
                return False
            self._open_buffer(kind, info, was_used=was_used)
            return True

    def _put_after(
        self,
        full: StepBuffer,
        call: tuple[int, int, Any, Any],
        values: Mapping[str, Any],
        info: Any,
        start: SupportsBytes | None,
    ) -> StepBuffer | None:
        """Put a call of `add_one` into the buffer that follows a full one.

        Returns:
            The buffer; None: it was not put, and there is none.
        """
        following = self._buffer_after(full, values)
        if following is None:
            return None
        kind, flags, reward, action = call
        (value,) = values.values()
        if kind == RESET:
            is_put = following.put_reset(value, info, start)
        else:
            is_put = following.put(action, value, reward, flags, info)
        return following if is_put else None

    def _note_one(
        self, flags: int, stop: int, num_calls: int, episode: npt.NDArray[np.int64]
    ) -> None:
        """Count a call of `add_one` that has a row; may be called again."""
        self._stop, self.num_calls = stop, num_calls
        if flags:
            self._episode = episode
            self._is_running = np.full(1, flags == BEGINS)

    def _keep_one(
        self,
        kind: int,
        flags: int,
        reward: Any,
        action: Any,
        info: Any,
        start: bytes | None,
    ) -> None:
        """Let the next row include a call of `add_one`, which has none."""
        codes = np.full(1, kind, np.uint8)
        step: tuple[Any, Any, Any, Any] = (None, None, None, None)
        if kind == STEP:
            step = (
                np.array([reward]),
                np.array([bool(flags & TERMINATED)]),
                np.array([bool(flags & TRUNCATED)]),
                np.asarray(action)[None],
            )
        infos = None if start is None else {0: {START: start}}
        self._keep_call(codes, step, infos, [info] if info else None)

    def _numbers_of(self, info: Any) -> dict[str, Any] | None:
        try:
            if is_silent([info]):
                return self._step_info.numbers(info)
        except MemoryError:
            raise
        except Exception:  # an unusual info, of which `StepInfo.add` warns
            pass
        return None
