"""What wrappers that record, or that write videos, offer beside their environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recorder.video_recorder import VideoFolderRecorder
    from rollout_viewer._recording.rows import Mask


class RecordingWrapper:
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
    def cache(self) -> FrameCache:
        """The recording."""
        return self.recorder.cache

    @property
    def viewer(self) -> Any:
        """A `RolloutViewer` over it, made once, bound to logger and tag."""
        return self.recorder.viewer

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        """Write the rows since the last dump; see `Recorder.dump`."""
        return self.recorder.dump(suffix, step)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.recorder._repr_mimebundle_(**options)


class VideoWrapper:
    """The videos of a wrapped environment, as takes of one recording."""

    _takes: VideoFolderRecorder

    @property
    def cache(self) -> FrameCache:
        """The recording of all videos' frames, without loss."""
        return self._takes.cache

    @property
    def viewer(self) -> Any:
        """A `RolloutViewer` over it, made once; it dumps into `video_folder`."""
        return self._takes.recorder.viewer

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        """Write the rows since the last dump into `video_folder`; see `Recorder`."""
        return self._takes.recorder.dump(suffix, step)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self._takes.recorder._repr_mimebundle_(**options)

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
