"""Videos of segments, for the user's own logger too."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._export.dump import dump_clip
from rollout_viewer.loggers.tee import video_loggers

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.video_segment import VideoSegment

# What differs between the names of one recorder's videos.
_NUMBERS = re.compile(r"-(episode-\d+|step-\d+(-to-step-\d+)?)$")


def log_video(
    cache: FrameCache,
    segment: VideoSegment,
    logger: Any,
    *,
    step: int | None,
    where: str,
    folder: Path,
) -> None:
    """Dump a segment to a logger, or to those of several; what one raises is a warning.

    Args:
        cache: The recording.
        segment: Whose video is written.
        logger: Of the user.
        step: Of the training.
        where: The class that the user made.
        folder: Of the video.
    """
    clip = cache.clip(segment.start, segment.stop)
    for one in video_loggers(logger):
        name = segment.name
        if getattr(one, "shows_steps", False) is True:
            name = _NUMBERS.sub("", name) or name
        try:
            dump_clip(clip, one, name, step=step)
        except Exception as error:
            warnings.warn(
                f"{where}: expected {type(one).__name__} to log "
                f"{segment.name!r}, got {type(error).__name__}: {error} The video "
                f"is in {str(folder)!r}.",
                RolloutViewerWarning,
                stacklevel=7,
            )
