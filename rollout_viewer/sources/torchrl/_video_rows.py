"""The rows of a `VideoRecorder`: recorded, and noted as frames of its video.

Knows recorders and which rows are frames. Knows no tensordicts.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._recorder.same_step import add_same_step
from rollout_viewer._recording.step_row import RESET, STEP, TERMINAL_MISSING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer.sources.torchrl._batch_slices import SliceRow
    from rollout_viewer.sources.torchrl._call_reader import CallRow
    from rollout_viewer.sources.torchrl._frame_buffer import KeptRows

    Cameras = Mapping[str, list[Any]]


class VideoRows:
    """Rows of one recorder.

    Args:
        recorder: Records them.
        kept: Gets the rows that are frames of the video.
    """

    def __init__(self, recorder: Recorder, kept: KeptRows) -> None:
        self.recorder = recorder
        self._kept = kept
        # Pictures that came without an environment's step: one episode.
        self._has_begun = False

    def add_call(
        self,
        call: CallRow | None,
        pictures: Callable[[], Any],
        *,
        is_kept: bool,
        is_grid: bool,
        room: int,
    ) -> None:
        """Record one call of an environment.

        Args:
            call: What it was to each env; None: only its pictures are known.
            pictures: Returns them; called where the call is kept.
            is_kept: Whether it is a frame of the video, or only counts.
            is_grid: Whether all envs make one frame, or each its own.
            room: Frames that the video may get.
        """
        # A replay needs all of them.
        is_recorded = is_kept or self.recorder.renders_later
        add = functools.partial(self.recorder.add, is_kept=is_recorded)
        if call is None:
            row = add(self._kinds_without_call(), pictures)
        elif call.reset is None:
            row = add(call.kinds, pictures, **call.step)
        else:
            row = add_same_step(
                self.recorder.add,
                call.reset,
                pictures,
                kind=call.kinds,
                is_kept=is_recorded,
                **call.step,
            )
        if is_kept:
            self._keep(row, 1 if is_grid else self.recorder.num_envs, room)

    def add_pictures(self, cameras: Cameras, count: int) -> None:
        """Record the first pictures of each camera, one row after the other."""
        for index in range(count):
            frames = {camera: [one[index]] for camera, one in cameras.items()}
            pictures = functools.partial(_same, frames)
            kinds = self._kinds_without_call()
            self._keep(self.recorder.add(kinds, pictures, is_kept=True))

    def add_slices(
        self, slices: Iterable[SliceRow], cameras: Cameras, size: int, room: int
    ) -> None:
        """Record a batch of a replay buffer, whose slices become episodes.

        Args:
            slices: Its rows.
            cameras: Its pictures; where they are more than frames of the batch (of
                agents and other axes behind it), the first of each frame.
            size: Frames of the batch.
            room: Frames that the video may get.
        """
        for one in slices:
            if one.position is not None and one.position >= room:
                break
            row = self._add_slice_row(one, cameras, size)
            if one.position is not None:
                self._keep(row)

    def _add_slice_row(self, row: SliceRow, cameras: Cameras, size: int) -> int | None:
        if row.position is None:
            kind = TERMINAL_MISSING
            frames: dict[str, list[Any]] = {camera: [None] for camera in cameras}
        else:
            kind = RESET if row.begins else STEP
            frames = {
                camera: [pictures[row.position * (len(pictures) // size)]]
                for camera, pictures in cameras.items()
            }
        return self.recorder.add(
            [kind],
            lambda: frames,
            reward=None if row.reward is None else [row.reward],
            terminated=[row.terminated],
            truncated=[row.truncated],
            action=None if row.action is None else [row.action],
            is_kept=True,
        )

    def _keep(self, row: int | None, num_frames: int = 1, room: int = 1) -> None:
        """Note a row as a frame of the video, or its first envs as one each."""
        cache = self.recorder.cache
        if row is None:  # no env was reset: the last picture stays
            row = cache.num_rows - 1
        if num_frames == 1 or cache.is_shared:
            self._kept.add(row)
            return
        for env in range(min(num_frames, room)):
            self._kept.add(row, env)

    def _kinds_without_call(self) -> Any:
        """Return the kinds of pictures that come without a step: one long episode."""
        kind = STEP if self._has_begun else RESET
        self._has_begun = True
        return np.full(self.recorder.num_envs, kind, np.uint8)


def _same(frames: Any) -> Any:
    return frames
