"""`RecordVideo`: Gymnasium's recorder of one environment, on a lossless recording."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat

import gymnasium
import numpy as np
from gymnasium.vector import VectorEnv

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._recorder.vector_reward import one_reward
from rollout_viewer._recording.step_row import RESET, STEP
from rollout_viewer._replay.episode_start import START
from rollout_viewer._replay.probe import insert_probes
from rollout_viewer._replay.skipped_picture import picture_skipper, skip_nothing
from rollout_viewer.sources._adapters import later_of
from rollout_viewer.sources._batched_calls import reset_info
from rollout_viewer.sources._batched_env import (
    check_is_one,
    declared_num_envs,
    inferred_num_envs,
)
from rollout_viewer.sources._gl_context import render_in_context
from rollout_viewer.sources._observation_check import ObservationCheck
from rollout_viewer.sources._shared_arrays import BOOLS, ENDED, KINDS
from rollout_viewer.sources._spaces import observation_data, one_action, parts_of
from rollout_viewer.sources.gymnasium._env import EnvWrapper
from rollout_viewer.sources.gymnasium._env_info import resets_itself
from rollout_viewer.sources.gymnasium._later import recipe_of_env, start_of
from rollout_viewer.sources.gymnasium._record_video_base import (
    EmptyListError,
    RecordVideoBase,
    always,
    check_folder,
    check_render_mode,
    fps_and_quiet,
    newest_image,
    spec_kwargs,
)
from rollout_viewer.sources.gymnasium._video_calls import VideoBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer.sources.gymnasium._record_video_base import Trigger

_RecordConstructorArgs = gymnasium.utils.RecordConstructorArgs


class RecordVideo(EnvWrapper, RecordVideoBase, _RecordConstructorArgs):
    """Records videos of an environment's episodes: `gymnasium.wrappers.RecordVideo`.

    Given a `VectorEnv`, makes a `VectorRecordVideo`. An `Env` of many environments, a
    GPU simulation, gives a grid, and its episodes are those of env 0. Triggers, file
    names, warnings and error types are Gymnasium's, and lengths: a `video_length` of N
    gives N + 1 frames, the first and one a step.

    Unlike Gymnasium's, it keeps frames without loss in a recording in `video_folder`,
    not in memory: `cache`, `viewer` and `dump` show and write them. And:

    - Each frame is in the video once, in order; gray, float and odd-sized ones too.
      A video has the size of its first frame; later ones of another size are fitted
      into it.
    - Nothing is lost without `close`, or with a process that died: its unfinished
      videos are written by the next `RecordVideo` with the folder, or by
      ``rollout-viewer export <folder>``.
    - Nothing is overwritten without ``overwrite=True``: a name in use gets ``-1``.
    - Each video has a JSON file with its episodes. A ``.rollout`` file has the frames
      of all; above 1 GB the oldest are evicted.
    - Disk errors, frames that are no images and all else that cannot be recorded end
      the video with a warning, and the run continues; so does what `render` or a
      trigger raises after the first step.
    - moviepy is not needed; arguments of another kind raise at once.
    - `close` writes the video before it closes the environment.

    Scripts for Gymnasium 0.26 to 0.29 see what Gymnasium 1 changed: both triggers may
    be given, and a render mode ``"ansi_list"``, of which no text is a picture; triggers
    are asked while a video is recorded too, the step trigger after steps alone and not
    at a reset; steps after an end count; `step_id` and `episode_id` are -1 before the
    first step and reset. `start_video_recorder` and `close_video_recorder` exist.

    Args:
        env: Made with a render mode that returns images, such as ``"rgb_array"``.
        video_folder: Of the videos; made if it is missing.
        episode_trigger: From an episode's number to whether to record it. Without a
            trigger: episodes 0, 1, 8, 27, ..., 1000, 2000, ...
        step_trigger: From a step's number to whether to record from there on.
        video_length: In steps; 0: until the next reset.
        name_prefix: ``<name_prefix>-episode-<n>.mp4`` or ``-step-<n>.mp4``.
        fps: Frames a second; None: ``env.metadata["render_fps"]``, or 30. A bool is
            the `disable_logger` of Gymnasium 0.29, which was at this position.
        disable_logger: False draws a progress bar for each video.
        gc_trigger: From an episode's number to whether to collect garbage after it. The
            default collects none: no frames are in memory.
        logger: Gets each video too: anything with `log_video`.
        cache: Where to record instead of in `video_folder`.
        info: Record what steps return as their info; True, False or names of keys.
        overwrite: Replace videos and recording of an earlier run, with a warning.
        render: ``"later"``: `env` is not rendered, and need not be able to. When a
            video stops, its episodes are stepped again in other processes, and it is
            written in the background; `close` waits for it. With a step trigger the
            recording has the rows between videos, too, without pictures.
        make_env: With ``render="later"``, returns the same environment anew, with
            ``render_mode="rgb_array"``; None: Gymnasium makes it, by its specification.

    Raises:
        ValueError: The render mode returns no images, fps is not positive, or
            `video_length` is no number of steps.
        TypeError: A trigger is no function, or `logger` no logger.
        UnsupportedEnvError: With ``render="later"``, the environment cannot be made
            again.
        OSError: The folder cannot be written.

    Example:
        >>> import gymnasium as gym, tempfile
        >>> env = gym.make("CartPole-v1", render_mode="rgb_array")
        >>> env = RecordVideo(env, tempfile.mkdtemp(), lambda episode: episode == 0)
        >>> _ = env.reset(seed=0)
        >>> for _ in range(3):
        ...     _ = env.step(0)
        >>> len(env.recorded_frames)
        4
        >>> env.close()

    Source: gymnasium 1.4.0, gymnasium/wrappers/rendering.py.
    """

    def __new__(cls, env: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Make a `VectorRecordVideo` for a vector environment."""
        if not isinstance(env, VectorEnv):
            return super().__new__(cls)
        from rollout_viewer.sources.gymnasium.vector_record_video import (
            VectorRecordVideo,
        )

        third = args[1] if len(args) > 1 else ()
        if len(args) > 1 and (third is None or callable(third)):
            # In the order of this class: no aspect ratio, no record_first_only.
            args = (args[0], (1, 1), False, *args[1:])
        return VectorRecordVideo(env, *args, **kwargs)

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        video_folder: str,
        episode_trigger: Trigger | None = None,
        step_trigger: Trigger | None = None,
        video_length: int = 0,
        name_prefix: str = "rl-video",
        fps: float | None = None,
        disable_logger: bool = True,
        gc_trigger: Trigger | None = always,
        *,
        logger: Any = None,
        cache: FrameCache | str | Path | None = None,
        info: bool | Iterable[str] = True,
        overwrite: bool = False,
        render: Literal["now", "later"] = "now",
        make_env: Callable[..., Any] | None = None,
    ) -> None:
        later = later_of("RecordVideo", render, make_env)
        fps, disable_logger = fps_and_quiet(fps, disable_logger)
        options = {
            "video_folder": video_folder,
            "episode_trigger": episode_trigger,
            "step_trigger": step_trigger,
            "video_length": video_length,
            "name_prefix": name_prefix,
            "fps": fps,
            "disable_logger": disable_logger,
            "gc_trigger": gc_trigger,
            "logger": logger,
            "info": info,
            "overwrite": overwrite,
        }
        _RecordConstructorArgs.__init__(
            self,
            _disable_deepcopy=True,
            **options,
            cache=spec_kwargs(cache),
            render=render,
            make_env=make_env,
        )
        EnvWrapper.__init__(self, env)
        recipe = None if later is None else recipe_of_env(env, later)
        if recipe is None:
            check_render_mode(env)
        check_folder(video_folder, overwrite=overwrite)
        self._parts = parts_of(env.observation_space)
        # Of actions that have parts, as those of a Dict; None: they have none.
        self._action_parts: Any = None
        self._resets_itself = resets_itself(env)
        self._has_ended = False
        self._was_reset = False
        self._batch: VideoBatch | None = None
        self._history: list[Any] = []
        self._check: ObservationCheck | None = None
        self._skip_picture = skip_nothing
        self._is_running = False
        if recipe is not None:
            self._skip_picture = picture_skipper(env)
            names = [part.name for part in self._parts]
            self._check = ObservationCheck(names, insert_probes([env]))
        self._set_up(num_envs=1, cache=cache, recipe=recipe, **options)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._history = []
        self._set_videos(self._videos)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment, and start a video where a trigger returns true."""
        if self._batch is not None:
            return self._batch.reset(seed=seed, options=options)
        start = self._start_of_episode(seed, options)
        obs, info = self.env.reset(seed=seed, options=options)
        # Not within `recorded`: an environment or a cache that does not fit raises.
        self._find_batch(obs)
        self.record_call(self._record_reset, obs, seed, options, info, start)
        return obs, info

    def _start_of_episode(self, seed: Any, options: Any) -> dict[str, bytes]:
        """Return from where the episode that a reset begins can be replayed."""
        self._is_running = False
        if self._check is None:
            return {}
        number = self._videos.recorder.recipe_number
        return {START: start_of(self.env, number, seed, options)}

    def _check_is_start(self) -> None:
        is_incomplete = self._check is not None and not self._videos.records_all
        if is_incomplete and self._is_running:
            raise ValueError(
                "RecordVideo.start_recording: expected no running episode with "
                "render='later', whose pictures follow from its first row on. Call it "
                "before reset(), or pass a step_trigger, which may be lambda _: False."
            )

    def _record_reset(
        self, obs: Any, seed: Any, options: Any, info: Any, start: Mapping[str, bytes]
    ) -> None:
        if self._batch is not None:
            mask = np.ones(self._videos.num_envs, np.bool_)
            self._batch.record_reset(obs, seed, options, mask, info)
            return
        # Once an episode: it may be known, or another one, only now.
        space = self.action_space
        has_parts = getattr(space, "spaces", None) is not None
        self._action_parts = space if has_parts else None
        self._has_ended = False
        self.begin_episode()
        self.start_at_episode()
        self._is_running = True
        episode_info = {**reset_info(seed, options), **start}
        if self._videos.takes_rows:
            self._keep(
                RESET,
                data=self._data(obs),
                infos={0: episode_info},
                step_info=[info] if info else None,
            )
        else:
            self._videos.begin_episode(episode_info)

    def step(
        self, action: Any
    ) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment, and record it while a video is recorded."""
        if self._batch is not None:
            return self._batch.step(action)
        start = {}
        if self._resets_itself and self._has_ended:
            start = self._start_of_episode(None, None)
        result = self.env.step(action)
        self.step_id += 1
        self.record_call(self._record_step, action, *result, start)
        return result

    def _record_step(
        self,
        action: Any,
        obs: Any,
        reward: Any,
        terminated: Any,
        truncated: Any,
        info: Any,
        start: Mapping[str, bytes],
    ) -> None:
        if self._skip_picture is not skip_nothing:
            self._skip_picture()
        if type(terminated) not in BOOLS:
            check_is_one(terminated, self.env)
        is_reset = self._resets_itself and self._has_ended
        self._has_ended = bool(terminated or truncated)
        if self.step_trigger is not None:
            self.start_at_step()
        self._is_running = True
        if self._videos.takes_rows:
            self._keep(
                RESET if is_reset else STEP,
                reward=one_reward(reward),
                terminated=ENDED[bool(terminated)],
                truncated=ENDED[bool(truncated)],
                action=one_action(action, self._action_parts),
                data=self._data(obs),
                infos={0: start} if is_reset else None,
                step_info=[info] if info else None,
            )
        elif is_reset:
            self._videos.begin_episode(start)
        else:
            self._videos.count_unrecorded_step(reward)

    def _find_batch(self, obs: Any) -> None:
        """Record as a batch where the environment is many, as declared or as it shows.

        Raises:
            ShapeError: The cache has another number of envs.
            UnsupportedEnvError: Pictures of many are to be rendered later.
        """
        if self._was_reset:
            return
        self._was_reset = True
        num_envs = declared_num_envs(self.env)
        if num_envs in (None, 1):
            num_envs = inferred_num_envs(obs, self.observation_space)
        if num_envs is not None:
            if self._check is not None:
                raise UnsupportedEnvError(
                    "RecordVideo: expected one environment for render='later', got a "
                    f"batch of {num_envs} in one. Record with render='now'."
                )
            self._videos.widen(num_envs)
            self._batch = VideoBatch(self.env, num_envs, self)

    def _capture_frame(self) -> None:
        """Add a frame between two steps to the video that is recorded, if one is.

        highway-env calls this for the steps of its simulation. Rendered later, a video
        has the frames of the environment's steps alone.
        """
        is_later = self._check is not None
        if not self.recording or self._batch is not None or is_later:
            return
        render = partial(render_in_context, self.env)
        self.record_call(
            self._videos.add_picture, lambda: [newest_image(self._rendered(render))]
        )

    def render(self) -> Any:
        """Return what the environment renders.

        With a list render mode also the pictures recorded since the last call.
        """
        pictures = self.env.render()
        if not isinstance(pictures, list):
            return pictures
        recorded, self._history = self.render_history, []
        return recorded + pictures

    @property
    def render_history(self) -> list[Any]:
        """Pictures of a list render mode that went to videos."""
        return [
            self.cache[one, 0] if isinstance(one, int) else one for one in self._history
        ]

    def close(self) -> None:
        """Write the video that is recorded, then close the environment."""
        try:
            if self.recording:
                self._stop()
            self._videos.finish()
        finally:
            self.env.close()

    def _keep(self, kind: int, **call: Any) -> None:
        others: list[Any] = []

        def picture() -> list[Any]:
            frame = render_in_context(self.env)
            if type(frame) is np.ndarray:
                return [frame]
            if isinstance(frame, list):
                if not frame:
                    raise EmptyListError
                *others[:], frame = frame
                others.append(None)  # the recorded one: its row is not known yet
            return [newest_image(frame)]

        row = self.record(KINDS[kind], picture, **call)
        if others:
            others[-1:] = [] if row is None else [row]
            self._history += others
        self.stop_if_full()

    def _data(self, obs: Any) -> dict[str, Any] | None:
        data = observation_data(obs, self._parts, [1]) if self._parts else None
        return data if self._check is None else self._check.of_one(data, obs)
