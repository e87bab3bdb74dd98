"""What wrappers that record, or that write videos, offer beside their environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._recorder.views import RecorderViews

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recorder.video_recorder import VideoFolderRecorder
    from rollout_viewer._recording.step_row import Mask


class RecordingWrapper(RecorderViews):
    """The recording of a wrapped environment, by the recorder that the wrapper tells.

    Attributes:
        recorder: What the wrapper tells.
        begins: Bool (B,): the last observation is the first of an episode.
        is_closed: `close` was called. Not all environments can tell.
    """

    recorder: Recorder
    begins: Mask
    is_closed: bool = False

    @property
    def _views_of(self) -> Recorder:
        return self.recorder


class VideoWrapper(RecorderViews):
    """The videos of a wrapped environment, as segments of one recording.

    `dump` and the viewer's button write into `video_folder`.
    """

    _takes: VideoFolderRecorder

    @property
    def _views_of(self) -> Recorder:
        return self._takes.recorder

    @property
    def frames_per_sec(self) -> float:
        """Frames a second of the videos."""
        return self._takes.fps

    @property
    def recording(self) -> bool:
        """Whether a video is recorded now."""
        return self._takes.is_recording

    @property
    def recorded_frames(self) -> Sequence[npt.NDArray[np.uint8]]:
        """The frames of this video so far, decoded as they are read."""
        return self._takes.frames
