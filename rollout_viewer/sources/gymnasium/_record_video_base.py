"""What the single and the vector `RecordVideo` share: attributes, start and stop.

A video starts and stops when Gymnasium's does; `VideoFolderRecorder` writes it.
"""

from __future__ import annotations

import gc
import math
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import logger as gym_logger

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._frames.fps import fps_of_video
from rollout_viewer._recorder.recorder_checks import check_video_arguments
from rollout_viewer._recorder.video_recorder import VideoFolderRecorder
from rollout_viewer.sources._wrapper import VideoWrapper
from rollout_viewer.sources.gymnasium._env_info import env_info

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._replay.recipe import Recipe

    Trigger = Callable[[int], bool]

_NO_IMAGES = (None, "human", "ansi")


def always(_: int) -> bool:
    """Return True: what `gc_trigger` is by default.

    The default is not asked: Gymnasium's collects the frames of the video, and ours has
    none in memory. Beside torch a collection takes 0.1 s.
    """
    return True


class EmptyListError(FrameError):
    """A list render mode had no picture: another call of `render` took it."""


class NoImageError(FrameError):
    """`render` did not return a picture."""


class RecordVideoBase(VideoWrapper):
    """The part of a `RecordVideo` that is the same for one env and a batch.

    Attributes:
        episode_trigger, step_trigger, name_prefix, disable_logger, gc_trigger: As
            given; without a trigger `episode_trigger` is Gymnasium's
            `capped_cubic_video_schedule`.
        video_length: As given, or inf for 0.
        video_folder: Absolute.
        step_id, episode_id: Of the last step and episode, from 0.
    """

    env: Any

    def _set_up(
        self,
        *,
        num_envs: int,
        video_folder: str,
        episode_trigger: Trigger | None,
        step_trigger: Trigger | None,
        video_length: int,
        name_prefix: str,
        fps: float | None,
        disable_logger: bool,
        gc_trigger: Trigger | None,
        logger: Any,
        cache: FrameCache | str | Path | None,
        overwrite: bool,
        recipe: Recipe | None = None,
        **options: Any,
    ) -> None:
        check_video_arguments(
            "RecordVideo",
            name_prefix=name_prefix,
            video_length=video_length,
            logger=logger,
            episode_trigger=episode_trigger,
            step_trigger=step_trigger,
            gc_trigger=gc_trigger,
        )
        if episode_trigger is None and step_trigger is None:
            episode_trigger = capped_cubic_video_schedule
        self.episode_trigger = episode_trigger
        self.step_trigger = step_trigger
        self.name_prefix = name_prefix
        self.disable_logger = disable_logger
        self.gc_trigger = gc_trigger
        self.video_length = video_length if video_length != 0 else math.inf
        self.step_id = -1
        self.episode_id = -1
        info = env_info(self.env, **options.pop("env_metadata", {}))
        rate = fps_of_video("RecordVideo", fps, declared=info["fps"])
        videos = VideoFolderRecorder(
            num_envs,
            video_folder,
            prefix=name_prefix,
            where="RecordVideo",
            fps=rate,
            cache=cache,
            logger=logger,
            overwrite=overwrite,
            metadata=info["metadata"],
            shares_picture=info["shares_picture"],
            is_quiet=disable_logger,
            recipe=recipe,
            # A video may start in the middle of an episode; of many envs, always.
            records_all=recipe is not None
            and (num_envs > 1 or step_trigger is not None),
            **options,
        )
        self._set_videos(videos)

    def _set_videos(self, videos: VideoFolderRecorder) -> None:
        self._videos = videos
        # Where `close` is not called, by `del env` or the interpreter's end.
        videos.finish_with(self)

    # -- public methods of Gymnasium's

    def start_recording(self, video_name: str) -> None:
        """Start a video; one that is being recorded is stopped, and written.

        Raises:
            ValueError: With ``render="later"``, an episode runs of which the rows
                before are not recorded.
        """
        if self.recording:
            self._stop()
        self._check_is_start()
        self._videos.start(
            video_name,
            step=max(self.step_id, 0),
            step_id=self.step_id,
            episode_id=self.episode_id,
        )

    def _check_is_start(self) -> None:
        """Raise ValueError where a video cannot be rendered later from here on."""

    def stop_recording(self) -> None:
        """Stop the video and write it.

        Raises:
            AssertionError: None was started.
            ExportError: It could not be written. Its frames are in the recording.
        """
        if not self.recording:
            raise AssertionError(
                "stop_recording was called, but no recording was started"
            )
        self._stop(is_asked=True)

    def start_video_recorder(self, video_name: str | None = None) -> None:
        """Start a video, under Gymnasium 0.29's names of method and file."""
        if video_name is None:
            video_name = f"{self.name_prefix}-step-{max(self.step_id, 0)}"
            if self.episode_trigger:
                video_name = f"{self.name_prefix}-episode-{max(self.episode_id, 0)}"
        self.start_recording(video_name)

    def close_video_recorder(self) -> None:
        """Stop the video, if one is recorded: Gymnasium 0.29's name."""
        if self.recording:
            self.stop_recording()

    # -- during calls; called by the wrapper's own parts

    @property
    def pictured_envs(self) -> list[int] | None:
        """The envs whose pictures are recorded; None: all."""
        return self._videos.recorder.envs

    def begin_episode(self) -> None:
        """Count an episode; a video that lasts until the next one stops."""
        self.episode_id += 1
        if self.recording and self.video_length == math.inf:
            self._stop()

    def start_at_episode(self) -> None:
        """Start a video if the trigger wants this episode."""
        if self.episode_trigger and self.episode_trigger(self.episode_id):
            self.start_recording(f"{self.name_prefix}-episode-{self.episode_id}")

    def start_at_step(self) -> None:
        """Start a video if the trigger wants this step."""
        if self.step_trigger and self.step_trigger(self.step_id):
            self.start_recording(f"{self.name_prefix}-step-{self.step_id}")

    def record(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> int | None:
        """Record a row; an emptied list of pictures gives none."""
        try:
            return self._videos.add(kind, partial(self._rendered, pictures), **call)
        except EmptyListError:
            gym_logger.warn(
                "Trying to capture render frame but 'env.render()' has just been "
                "called. The frame cannot be captured."
            )
        return None

    def record_call(self, record: Callable[..., object], *args: Any) -> None:
        """Do ``record(*args)``, whose errors become a warning and end the video."""
        # Not the one of a batch, which calls this.
        VideoWrapper._record_call(self, "", record, *args)

    def _warn(self, text: str) -> None:
        gym_logger.warn(text)

    @property
    def _has_stepped(self) -> bool:
        return self.step_id >= 0

    def stop_if_full(self) -> None:
        """Stop a video that has all its frames."""
        if self._videos.num_frames > self.video_length and self.recording:
            self._stop()

    def _stop(self, *, is_asked: bool = False) -> None:
        if not self._videos.num_frames:
            gym_logger.warn("Ignored saving a video as there were zero frames to save.")
        try:
            self._videos.stop(is_asked=is_asked)
        finally:
            trigger = self.gc_trigger
            if trigger and trigger is not always and trigger(self.episode_id):
                gc.collect()


def check_render_mode(env: Any) -> None:
    """Raise RenderError where `env` renders no images, with Gymnasium's message."""
    if env.render_mode in _NO_IMAGES:
        raise RenderError(
            f"Render mode is {env.render_mode}, which is incompatible with "
            "RecordVideo. Initialize your environment with a render_mode that returns "
            "an image, such as rgb_array."
        )


def check_folder(video_folder: str, *, overwrite: bool) -> None:
    """Warn where an earlier run's videos will be replaced, with Gymnasium's message."""
    folder = os.path.abspath(video_folder)
    if overwrite and os.path.isdir(folder):
        gym_logger.warn(
            f"Overwriting existing videos at {folder} folder (try specifying a "
            "different `video_folder` for the `RecordVideo` wrapper if this is not "
            "desired)".replace("%", "%%")
        )


def fps_and_quiet(
    fps: float | bool | None, disable_logger: bool
) -> tuple[float | None, bool]:
    """Return fps and disable_logger; a bool as fps is Gymnasium 0.29's latter."""
    if isinstance(fps, (bool, np.bool_)):
        return None, bool(fps)
    return fps, disable_logger


def newest_image(frame: Any) -> Any:
    """Return the picture that `render` returned.

    Raises:
        NoImageError: It is no array.
    """
    if isinstance(frame, tuple) and frame:
        frame = frame[0]  # 'rgbd_tuple': color, depth
    if not isinstance(frame, np.ndarray) and not hasattr(frame, "detach"):
        raise NoImageError(
            "expected type of frame returned by render to be a numpy array, got "
            f"instead {type(frame)}."
        )
    return frame


def spec_kwargs(cache: FrameCache | str | Path | None) -> Any:
    """Return `cache` for a spec: a path, since a copy of an open cache only reads."""
    recording = getattr(cache, "_recording", None)
    if recording is None:
        return cache
    return None if recording.is_temporary else str(recording.path)


def capped_cubic_video_schedule(episode_id: int) -> bool:
    """Return whether to record: episodes 0, 1, 8, 27, ..., 729, 1000, 2000, ...

    Source: `gymnasium.utils.save_video`; importing that needs moviepy.
    """
    if episode_id < 1000:
        return int(round(episode_id ** (1.0 / 3)) ** 3) == episode_id
    return episode_id % 1000 == 0
