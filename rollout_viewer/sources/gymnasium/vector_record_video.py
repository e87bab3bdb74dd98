"""`VectorRecordVideo`: Gymnasium's recorder of many environments at once.

Importable as ``RecordVideo`` too, as from `gymnasium.wrappers.vector`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import gymnasium
import numpy as np
from gymnasium import logger as gym_logger
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rollout_viewer._errors import FrameError
from rollout_viewer.sources._adapters import later_of
from rollout_viewer.sources._batched_calls import newest
from rollout_viewer.sources.gymnasium._env_info import render_all
from rollout_viewer.sources.gymnasium._record_video_base import (
    RecordVideoBase,
    always,
    check_folder,
    check_render_mode,
    fps_and_quiet,
    spec_kwargs,
)
from rollout_viewer.sources.gymnasium._vector_env import LaterVectorCalls
from rollout_viewer.sources.gymnasium._video_calls import BatchedVideoCalls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from gymnasium.vector import VectorEnv

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer.sources.gymnasium._record_video_base import Trigger

_RecordConstructorArgs = gymnasium.utils.RecordConstructorArgs


class VectorRecordVideo(
    BatchedVideoCalls, LaterVectorCalls, RecordVideoBase, _RecordConstructorArgs
):
    """Records a vector environment: `gymnasium.wrappers.vector.RecordVideo`.

    Episodes are those of env 0. The rest is as of `RecordVideo`, and:

    - With SAME_STEP autoreset an episode's last picture is in the video where
      ``final_obs`` is that picture. Else it is left out, as by Gymnasium's.
    - Environments may have pictures of unequal sizes; each is centered in its cell.
      `render` may also return one array of all pictures, or one picture of all envs.
    - Calling `render` adds no frames to the video. Where it returns something else than
      pictures, the video ends with a warning; Gymnasium's raises AssertionError.
    - The spec keeps all arguments.

    Args:
        env: Made with a render mode that returns images, such as ``"rgb_array"``.
        video_folder: Of the videos; made if it is missing.
        video_aspect_ratio: (width, height) that the grid approximates, without empty
            cells.
        record_first_only: Show env 0 alone.
        episode_trigger: As of `RecordVideo`.
        step_trigger: As of `RecordVideo`.
        video_length: In steps; 0: until the next episode of env 0.
        name_prefix: As of `RecordVideo`.
        fps: As of `RecordVideo`.
        disable_logger: As of `RecordVideo`.
        gc_trigger: As of `RecordVideo`.
        logger: As of `RecordVideo`.
        cache: As of `RecordVideo`.
        info: As of `RecordVideo`.
        overwrite: As of `RecordVideo`.
        render: As of `RecordVideo`. The last pictures of episodes are in the video in
            each autoreset mode, and the recording has the rows between videos, too.
        make_env: As of `RecordVideo`, for one env; gets its number if it takes one.

    Raises:
        ValueError: The render mode returns no images, or fps, `video_length` or
            `video_aspect_ratio` is out of its range.
        TypeError: A trigger is no function, or `logger` no logger.
        UnsupportedEnvError: With ``render="later"``, the envs cannot be made again.
        OSError: The folder cannot be written.

    Source: gymnasium 1.4.0, gymnasium/wrappers/vector/rendering.py.
    """

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        video_folder: str,
        video_aspect_ratio: tuple[int, int] = (1, 1),
        record_first_only: bool = False,
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
            video_aspect_ratio=video_aspect_ratio,
            record_first_only=record_first_only,
            **options,
            cache=spec_kwargs(cache),
            render=render,
            make_env=make_env,
        )
        super().__init__(env)
        _check_aspect_ratio(video_aspect_ratio)
        recipe = None if later is None else self._set_up_recipe(later, {})
        if recipe is None:
            check_render_mode(env)
        self.autoreset_mode = AutoresetMode(self._mode)
        self.video_aspect_ratio = video_aspect_ratio
        self.record_first_only = record_first_only
        with self._left_on_error():
            _warn_of_mode(env)
            check_folder(video_folder, overwrite=overwrite)
            self._set_up(
                num_envs=env.num_envs,
                cache=cache,
                **options,
                recipe=recipe,
                envs=[0] if record_first_only else None,
                columns=functools.partial(grid_columns, video_aspect_ratio),
                env_metadata={"autoreset_mode": self._mode},
            )

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._set_videos(self._videos)

    def close(self, **kwargs: Any) -> None:
        """Write the video that is recorded, then close the environments."""
        try:
            if self.recording:
                self._stop()
            self._videos.finish()
        finally:
            self._leave_later()
            self.env.close(**kwargs)

    # -- hooks

    @property
    def _owner(self) -> RecordVideoBase:
        return self

    def _pictures(self) -> list[Any]:
        if self.record_first_only and type(self.env) is SyncVectorEnv:
            return super()._pictures()
        rendered: Any = render_all(self.env)
        if not isinstance(rendered, (Sequence, np.ndarray)):
            raise FrameError(
                f"RecordVideo: expected {self.num_envs} pictures from render(), got "
                f"{type(rendered).__name__}."
            )
        if isinstance(rendered, np.ndarray):
            is_batch = rendered.ndim == 4 or len(rendered) == self.num_envs
            return list(rendered) if is_batch else [rendered]
        count = sum(one is not None for one in rendered)
        if len(rendered) != self.num_envs or not count:
            raise FrameError(
                f"RecordVideo: expected {self.num_envs} pictures from render(), got "
                f"{count}."
            )
        is_nested = (list, tuple)  # of a list render mode; color and depth
        return [newest(one) if isinstance(one, is_nested) else one for one in rendered]


# Its name in gymnasium.wrappers.vector.
RecordVideo = VectorRecordVideo


def grid_columns(
    aspect_ratio: tuple[int, int], count: int, size: tuple[int, int]
) -> int:
    """Return the columns of the grid without empty cells closest to an aspect ratio.

    Args:
        aspect_ratio: Wanted (width, height).
        count: Number of tiles.
        size: (height, width) of a tile in pixels.

    Example:
        >>> [grid_columns((1, 1), count, (400, 600)) for count in (2, 5, 8, 16)]
        [2, 5, 4, 4]
    """
    wanted = aspect_ratio[0] / aspect_ratio[1]
    best, least = count, math.inf
    for rows in range(1, math.isqrt(count) + 1):
        if count % rows == 0:
            columns = count // rows
            off = abs(columns * size[1] / (rows * size[0]) - wanted)
            if off < least:
                best, least = columns, off
    return best


def _check_aspect_ratio(ratio: Any) -> None:
    try:
        width, height = ratio
        is_ratio = width > 0 and height > 0
    except (TypeError, ValueError):
        is_ratio = False
    if not is_ratio:
        raise ValueError(
            "RecordVideo: expected video_aspect_ratio=(width, height), both above 0, "
            f"got {ratio!r}."
        )


def _warn_of_mode(env: VectorEnv[Any, Any, Any]) -> None:
    mode = (env.metadata or {}).get("autoreset_mode")
    if mode is None:
        text = (
            f"{env} metadata doesn't specify its autoreset mode ({env.metadata!r}), "
            "therefore, defaulting to next step."
        )
        gym_logger.warn(text.replace("%", "%%"))
    elif AutoresetMode(mode) is AutoresetMode.SAME_STEP:
        gym_logger.warn(
            "Vector environment's autoreset mode is same-step "
            "(https://farama.org/Vector-Autoreset-Mode). Recorded episodes will not "
            "contain the last frame of the episode."
        )
