"""VecVideoRecorder: SB3's recorder, on a lossless recording."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from gymnasium import logger as gym_logger

from rollout_viewer._files.names import path_inside
from rollout_viewer._frames.fps import fps_of_video
from rollout_viewer._recorder.recorder_checks import check_video_arguments
from rollout_viewer._recorder.video_recorder import VideoFolderRecorder
from rollout_viewer.sources._adapters import later_of
from rollout_viewer.sources._wrapper import VideoWrapper
from rollout_viewer.sources.sb3._later import envs_here, recipe_of_venv
from rollout_viewer.sources.sb3._vec_calls import VecCalls, env_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from stable_baselines3.common.vec_env import VecEnv

    from rollout_viewer._cache.cache import FrameCache


class VecVideoRecorder(VecCalls, VideoWrapper):
    """Records videos of `video_length` steps of a `VecEnv`, as SB3's does.

    Triggers, names and lengths are SB3's: the trigger is called at a reset and, while
    nothing is recorded, after each step; a video has `video_length` + 1 frames, each
    the grid of all envs, and is called ``<prefix>-step-<a>-to-step-<b>.mp4``. Frames
    are stored compressed in ``<prefix>.rollout`` in the folder. Differs from SB3's:

    - Each env has its own pictures, rewards, ends and actions: `cache`, `viewer`. An
      ended episode's last picture is marked as missing, or recorded where the
      terminal observation is that picture (then the video has one frame more).
    - Each frame is in the file once, in order (moviepy repeats and drops some).
    - The first picture after a reset in the middle of a video is a frame of it.
    - What cannot be recorded, and what `render` or the trigger raises after the first
      step, ends the video with a warning, and the run continues.
    - It prints nothing. Nothing is lost without ``close()``; unfinished videos of a
      process that died are written by the next recorder with the folder.
    - A file of that name is kept, and the next one gets ``-1``; `overwrite` replaces
      it. Each video has a JSON file with its episodes.

    Args:
        venv: Its envs made with ``render_mode="rgb_array"``.
        video_folder: Made if it is missing.
        record_video_trigger: Called with the number of vector steps so far.
        video_length: In vector steps.
        name_prefix: Of videos and recording.
        fps: Of videos; None: the env's ``render_fps``, else 30.
        logger: Gets each video too.
        cache: Where to record instead: a `FrameCache`, or the path of a new one.
        info: Record what steps return as their infos; True, False or names of keys.
        overwrite: Replace files of the same name.
        render: ``"later"``: `venv` is not rendered, and need not be able to. When a
            video stops, its envs are stepped again in other processes, and it is
            written in the background; `close` waits for it. An ended episode's last
            picture is in it, and the recording has the rows between videos, too.
        make_env: With ``render="later"``, returns the same environment anew, with
            ``render_mode="rgb_array"``; gets the env's number if it takes an argument.
            None: Gymnasium makes it, by its specification.

    Raises:
        AssertionError: The render mode is not ``"rgb_array"``.
        TypeError: The trigger is no function, or `logger` no logger.
        ValueError: `video_length` is no number of steps.
        UnsupportedEnvError: With ``render="later"``, the envs cannot be made again.
        OSError: The folder cannot be written.

    Source: stable-baselines3 2.9, common/vec_env/vec_video_recorder.py.
    """

    def __init__(
        self,
        venv: VecEnv,
        video_folder: str,
        record_video_trigger: Callable[[int], bool],
        video_length: int = 200,
        name_prefix: str = "rl-video",
        *,
        fps: float | None = None,
        logger: Any = None,
        cache: FrameCache | str | Path | None = None,
        info: bool | Iterable[str] = True,
        overwrite: bool = False,
        render: Literal["now", "later"] = "now",
        make_env: Callable[..., Any] | None = None,
    ) -> None:
        later = later_of("VecVideoRecorder", render, make_env)
        if later is None and venv.render_mode != "rgb_array":
            raise AssertionError(
                f"The render_mode must be 'rgb_array', not {venv.render_mode}"
            )
        if not callable(record_video_trigger):
            raise TypeError(
                "VecVideoRecorder: expected record_video_trigger to be a function of "
                f"the number of steps, got {record_video_trigger!r}."
            )
        check_video_arguments(
            "VecVideoRecorder",
            name_prefix=name_prefix,
            video_length=video_length,
            logger=logger,
        )
        recipe = None if later is None else recipe_of_venv(venv, later)
        super().__init__(venv)
        self.env = venv
        about = env_info(venv)
        rate = fps_of_video("VecVideoRecorder", fps, declared=about["fps"])
        self.metadata: Any = {"render_fps": rate}
        self.record_video_trigger = record_video_trigger
        self.video_length = video_length
        self.name_prefix = name_prefix
        self.step_id = 0
        self.video_name = ""
        self.video_path = ""
        self._videos = VideoFolderRecorder(
            self.num_envs,
            video_folder,
            prefix=name_prefix,
            where="VecVideoRecorder",
            fps=rate,
            cache=cache,
            logger=logger,
            overwrite=overwrite,
            metadata=about["metadata"],
            shares_picture=about["shares_picture"],
            info=info,
            columns=grid_columns,
            recipe=recipe,
            # A video starts in the middle of episodes.
            records_all=recipe is not None,
        )
        if recipe is not None:  # last: what raises leaves the envs as they were
            self._set_up_later(envs_here(venv), is_same_step=True)
        # Where `close` is not called, by `del env` or the interpreter's end.
        self._videos.finish_with(self)

    def close(self) -> None:
        """Write the video that is recorded, then close the environments."""
        try:
            self._videos.finish()
        finally:
            self._leave_later()
            self.venv.close()

    # -- hooks

    @property
    def _is_recording(self) -> bool:
        # The trigger comes after the first of a call's two rows.
        return self.recording

    def _after_reset(self) -> None:
        if self.record_video_trigger(self.step_id):
            self._start()

    def _before_last_row(self) -> None:
        self.step_id += 1
        is_recording = self._videos.name is not None
        if not is_recording and self.record_video_trigger(self.step_id):
            self._start()

    def _after_call(self) -> None:
        if self._videos.num_frames > self.video_length and self.recording:
            self._stop()

    def _start(self) -> None:
        if self.recording:
            self._stop()
        stop = self.step_id + self.video_length
        name = f"{self.name_prefix}-step-{self.step_id}-to-step-{stop}"
        self.video_name = f"{name}.mp4"
        self.video_path = str(path_inside(self._videos.folder, name, ".mp4"))
        self._videos.start(name, step=self.step_id, step_id=self.step_id)

    def _stop(self) -> None:
        if not self._videos.num_frames:
            gym_logger.warn("Ignored saving a video as there were zero frames to save.")
        path = self._videos.stop()
        if path is not None:
            self.video_path, self.video_name = str(path), path.name

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self._videos.add(kind, partial(self._rendered, pictures), **call)

    @property
    def _has_stepped(self) -> bool:
        return self.step_id > 0

    _record_call = VideoWrapper._record_call

    def _warn(self, text: str) -> None:
        gym_logger.warn(text)


def grid_columns(count: int, _: tuple[int, int]) -> int:
    """Return the columns of SB3's grid: rows are the root of `count`, rounded up.

    Example:
        >>> [grid_columns(count, (400, 600)) for count in (1, 2, 4, 5, 8)]
        [1, 1, 2, 2, 3]
    """
    return math.ceil(count / math.ceil(math.sqrt(count)))
