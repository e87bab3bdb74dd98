"""Calls whose rows are like the last one: they are only appended.

Where pictures are rendered later, nearly all are: all envs step or are reset, and
nothing but their steps is to be known of them. Knows rows. Knows no framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.success import is_silent
from rollout_viewer._recording.step_row import RESET, STEP, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.skipped_steps import SkippedSteps
    from rollout_viewer._recorder.step_info import StepInfo
    from rollout_viewer._recording.step_row import Codes, Mask

# Among the bytes of bools: finding it is faster than `np.any`.
_TRUE = b"\1"
_RESET, _STEP, _MISSING = map(np.uint8, (RESET, STEP, TERMINAL_MISSING))


class UsualCalls:
    """The part of a `Recorder` that records such calls."""

    num_envs: int
    num_calls: int
    cache: FrameCache
    _step_info: StepInfo
    _skipped: SkippedSteps
    _infos: dict[int, dict[str, Any]]
    _all_step: bytes
    _stop: int
    _episode: npt.NDArray[np.int64]
    _is_running: Mask
    _has_skipped_reset: Mask
    _joins_episode: Mask
    _is_settled: bool
    _is_lean: bool

    def _with_begun(
        self, begins: Mask, infos: Mapping[int, Mapping[str, Any]]
    ) -> tuple[npt.NDArray[np.int64], dict[int, dict[str, Any]]]:
        raise NotImplementedError

    def _add_infos(
        self, infos: tuple[Any, Any], is_step: Mask, is_over: Mask, is_reset: Mask
    ) -> None:
        raise NotImplementedError

    def _add_like_last(
        self,
        codes: Codes,
        step: tuple[Any, Any, Any, Any],
        data: Mapping[str, Any] | None,
        infos: Mapping[int, Mapping[str, Any]] | None,
        step_info: Any,
    ) -> int | None:
        """Record a call if its row is like the last one; None: it is not.

        What `_add_at_once` comes to where no picture is due, all envs step or are
        reset, and nothing but their steps is to be known of them.
        """
        if step_info is not None:
            found = self._data_of(step_info)
            if found is None:
                return None
            data = {**(data or {}), **found} if found else data
        kind = None if codes.tobytes() == self._all_step else codes
        if kind is not None and _STEP not in codes.tobytes():
            step = (*step[:3], None)  # a call that resets ignores its action
        num_calls, before = self.num_calls + 1, self.cache.num_appended
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
                self._is_running = self._is_running & ~ends
        if kind is not None:
            self._episode = episode
            self._is_running = self._is_running | (kind == _RESET)
