"""What wrappers that record, or that write videos, have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from rollout_viewer._errors import RenderError, RolloutViewerError
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._recorder.episode_quota import EpisodeQuota
from rollout_viewer._recorder.faults import described
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer.sources._guard import SurvivesFaults

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._recorder.recorder import Recorder
    from rollout_viewer._recorder.video_recorder import VideoFolderRecorder
    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._rollout_env import RolloutEnv


class RecordingWrapper(SurvivesFaults, RecorderViews):
    """The recording of a wrapped environment.

    Attributes:
        recorder: Gets what each call does.
        begins: Bool (B,): the last observation is the first of an episode.
        is_closed: `close` was called. Not every environment knows it itself.
    """

    recorder: Recorder
    begins: Mask
    is_closed: bool = False

    @property
    def _views_of(self) -> Recorder:
        return self.recorder

    def rollout_env(self) -> RolloutEnv:
        """Return what `rollout` steps: this, where it has the interface."""
        return cast("RolloutEnv", self)

    def limit_episodes(self, episodes: int) -> EpisodeQuota:
        """Record so many episodes, divided among the envs; return their count."""
        quota = EpisodeQuota(episodes, self.recorder.num_envs)
        self.recorder.limit_episodes(quota)
        return quota

    def check_open(self) -> None:
        """Raise RenderError if `close` was called."""
        if self.is_closed:
            raise RenderError(
                f"record: expected an open environment, got {self._env_name()}, which "
                "was closed. Make a new one."
            )

    def _env_name(self) -> str:
        """Return what error messages call the environment."""
        return type(self).__name__

    def _finish(self, close_env: Callable[[], Any]) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            close_env()

    # -- hooks of `BatchedRows`

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self.recorder.add(kind, pictures, **call)

    def _pictured_envs(self) -> list[int] | None:
        return self.recorder.envs

    @property
    def _takes_each_call(self) -> bool:
        return self.recorder.takes_each_call

    def _may_want_info(self, key: str) -> bool:
        return self.recorder.may_want_info(key)


class VideoWrapper(RecorderViews):
    """The videos of a wrapped environment, as segments of one recording.

    `dump` and the viewer's button write into `video_folder`.
    """

    _videos: VideoFolderRecorder
    _env_error: Exception | None = None
    _has_warned = False

    def __del__(self) -> None:
        """Do nothing, as originals are asked to: `finish_with` writes the video."""

    @property
    def _views_of(self) -> Recorder:
        return self._videos.recorder

    @property
    def video_folder(self) -> str:
        """Of the videos, absolute. Set between videos, it is that of the next ones."""
        return str(self._videos.folder)

    @video_folder.setter
    def video_folder(self, folder: str) -> None:
        self._videos.set_folder(folder)

    @property
    def frames_per_sec(self) -> float:
        """Frames a second of the videos. Set, it is that of the next ones."""
        return self._videos.fps

    @frames_per_sec.setter
    def frames_per_sec(self, fps: float) -> None:
        self._videos.set_fps(checked_fps(type(self).__name__, fps))

    @property
    def recording(self) -> bool:
        """Whether a video is recorded now."""
        return self._videos.is_recording

    @property
    def recorded_frames(self) -> Sequence[npt.NDArray[np.uint8]]:
        """The frames of this video so far, decoded as they are read."""
        return self._videos.frames

    def _record_call(
        self, call: str, record: Callable[..., object], *args: Any
    ) -> None:
        """Record a call by ``record(*args)``, whose errors become a warning.

        A recording ends no training. Before the first step, errors of the environment
        in `_rendered` stay errors: it cannot be recorded at all.
        """
        del call
        try:
            record(*args)
        except Warning:  # made an error by a filter
            raise
        except Exception as error:
            is_envs, self._env_error = error is self._env_error, None
            if is_envs and not self._has_stepped:
                raise
            self._end_video(error)

    def _end_video(self, error: Exception) -> None:
        """Stop the video that is recorded, which has the frames before an error."""
        reasons = [described(error)]
        is_recording = self.recording
        if is_recording:
            try:
                self._stop()
            except Exception as second:
                reasons.append(described(second))
        if is_recording or not self._has_warned:
            self._has_warned = True
            text = f"Recording stopped: {'; '.join(reasons)}"
            self._warn(text.replace("%", "%%"))

    def _stop(self) -> None:
        """Stop the video that is recorded."""
        raise NotImplementedError

    def _warn(self, text: str) -> None:
        """Warn, as the framework does; `text` is a format."""
        raise NotImplementedError

    @property
    def _has_stepped(self) -> bool:
        """Whether the environment was stepped."""
        raise NotImplementedError

    def _rendered(self, pictures: Callable[[], Any]) -> Any:
        """Return `pictures()`, of the environment."""
        try:
            return pictures()
        except RolloutViewerError:
            raise
        except Exception as error:
            self._env_error = error
            raise
