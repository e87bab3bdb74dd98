"""How recorders append rows: like the last one, at little cost, or of any form.

A base of `FrameCache`, rather than an object that it calls: each step of an environment
comes through here. Knows rows. Knows nothing of environments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsBytes

from rollout_viewer._cache.episode_infos import merged_info, only_starts
from rollout_viewer._errors import CacheClosedError
from rollout_viewer._recording.lock import read_only
from rollout_viewer._recording.noted_rows import NO_STARTS
from rollout_viewer._recording.reader import RecordingReader
from rollout_viewer._recording.step_row import RESET
from rollout_viewer._recording.waiting_rows import WaitingRows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._cache.losses import LossWarnings
    from rollout_viewer._cache.row_checker import RowChecker
    from rollout_viewer._cache.subscribers import Subscribers
    from rollout_viewer._process.forks import LockOfOneProcess
    from rollout_viewer._recording.live import LiveRecording
    from rollout_viewer._recording.many_buffer import Buffer, ManyBuffer, ManyForm
    from rollout_viewer._recording.step_buffer import (
        InfoForms,
        Listeners,
        StepBuffer,
    )


class RowAppender(RecordingReader):
    """Appends rows for recorders; `FrameCache` also does for users.

    `FrameCache` makes what is used here.
    """

    _live: LiveRecording | None
    _append_lock: LockOfOneProcess
    _checker: RowChecker
    _segments: list[dict[str, Any]]
    _subscribers: Subscribers
    _listeners: Listeners
    _losses: LossWarnings

    def append_step(
        self,
        kind: npt.NDArray[np.uint8] | None,
        reward: Any,
        terminated: Any,
        truncated: Any,
        action: Any,
        data: Mapping[str, Any] | None,
        episode_info: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> int | None:
        """Append a step without pictures, as `append` does, if it is like the last row.

        Args:
            kind: Codes (B,) of `Kind`; None: all envs step.
            reward: Of `append`, as all others.
            terminated: None: no env did.
            truncated: None: no env was.
            action: (B, ...)
            data: Name -> (B, ...)
            episode_info: Of the envs that are reset.

        Returns:
            The row; None: it is not like the last one, and nothing was recorded.
        """
        with self._append_lock.lock:
            recording = self._writable()
            if (starts := self._only_starts(episode_info, kind)) is None:
                return None
            row = recording.append_like_last(
                (),
                (),
                WaitingRows.put,
                kind,
                reward,
                terminated,
                truncated,
                action,
                data,
                starts,
            )
        if row is not None:
            self._note_appended(recording, row)
        return row

    def append_many(
        self,
        resets: npt.NDArray[np.bool_] | None,
        ended: npt.NDArray[np.bool_] | None,
        flags: npt.NDArray[np.uint8] | None,
        reward: Any,
        action: Any,
        values: Mapping[str, Any],
        starts: Mapping[int, SupportsBytes] = NO_STARTS,
    ) -> int | None:
        """Do the same where all envs step or are reset; see `WaitingRows.put_many`."""
        with self._append_lock.lock:
            recording = self._writable()
            if resets is not None and self._segments:
                return None  # what is known of all that begin in the segment
            row = recording.append_like_last(
                (),
                (),
                WaitingRows.put_many,
                resets,
                ended,
                flags,
                reward,
                action,
                values,
                starts,
            )
        if row is not None:
            self._note_appended(recording, row)
        return row

    def append_one(
        self,
        kind: int,
        flags: int,
        reward: Any,
        action: Any,
        values: Mapping[str, Any],
        start: bytes | None = None,
    ) -> int | None:
        """Do the same for a single env; see `WaitingRows.put_one`."""
        with self._append_lock.lock:
            recording = self._writable()
            if kind == RESET and self._segments:
                return None  # what is known of all that begin in the segment
            row = recording.append_like_last(
                (), (), WaitingRows.put_one, kind, flags, reward, action, values, start
            )
        if row is not None:
            self._note_appended(recording, row)
        return row

    def open_buffer(self, forms: InfoForms) -> StepBuffer | None:
        """Return where the next rows of a single env may be put, as by `append_one`.

        In a few hundred nanoseconds, if they are like the last one, which was put so.

        Args:
            forms: The numbers of an info that each of them has.

        Returns:
            None: nowhere, as yet.
        """
        with self._append_lock.lock:
            return self._writable().open_buffer(forms, self._listeners)

    def open_many(self, form: ManyForm) -> ManyBuffer | None:
        """Return where the next rows of many envs may be put, as by `append_many`.

        Args:
            form: Of an info that each of them has.
        """
        with self._append_lock.lock:
            return self._writable().open_many(form, self._listeners)

    def next_buffer(self, full: Buffer) -> Buffer | None:
        """Return where rows may be put after those of a full buffer; None: nowhere."""
        with self._append_lock.lock:
            return self._writable().next_buffer(full)

    @property
    def num_appended(self) -> int:
        """How many rows were appended: `num_rows`, in less time."""
        return self._live.num_appended if self._live is not None else self.num_rows

    @property
    def is_mine(self) -> bool:
        """Whether this process records into it; False of what was opened or forked."""
        return self.recording.is_mine

    def segment_info(self) -> dict[str, Any]:
        """Return what is known of an episode that begins now, from `segment`."""
        return dict(self._segments[-1]) if self._segments else {}

    def _note_appended(self, recording: LiveRecording, row: int) -> None:
        if recording.has_trouble:
            self._warn_of_losses(recording)
        if self._subscribers.callbacks:
            self._subscribers.notify(row, row + 1)

    def _only_starts(
        self,
        infos: Mapping[int, Mapping[str, Any]] | None,
        codes: npt.NDArray[Any] | None,
    ) -> Mapping[int, bytes] | None:
        """Return from where episodes can be replayed; None: more is known of them."""
        has_resets = codes is not None and RESET in codes.tobytes()
        if self._segments and (infos or has_resets):
            return None  # what is known of all that begin in the segment
        return only_starts(infos) if infos else NO_STARTS

    def _append(
        self,
        recording: LiveRecording,
        frames: Any,
        envs: Sequence[int] | None,
        action: Any,
        data: Mapping[str, Any] | None,
        num_transitions: Any,
        episodes: tuple[dict[int, Any], dict[int, bytes]],
        **steps: Any,
    ) -> int:
        """Append a row of any form."""
        recording.close_buffer()
        recording.recover()
        new = self._checker.check(
            recording, frames, envs, action, data, num_transitions, **steps
        )
        infos, starts = episodes
        recording.append(
            new.rows,
            new.steps,
            new.pictures,
            new.extras,
            new.shared,
            lambda env: merged_info(self.segment_info(), infos.get(env, {})),
            starts,
        )
        self._checker.accept(new)
        return new.rows.num_rows - 1

    def _writable(self) -> LiveRecording:
        recording = self._live
        if recording is None or not recording.is_mine:
            raise read_only(self.path)
        if recording.is_closed:
            raise CacheClosedError(
                "FrameCache.append: expected an open cache, got a closed one. "
                "Record into a new FrameCache."
            )
        return recording

    def _warn_of_losses(self, recording: LiveRecording) -> None:
        self._losses.warn(recording, stacklevel=3)
