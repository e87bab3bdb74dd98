"""Video files: frames in, one by one, and out again.

- `writer`: `VideoWriter` streams into mp4 (H.264) and webm (VP9).
- `gif`: `write_gif` makes a GIF in one pass over the frames, or two.
- `reader`: `VideoFile` reads the frames of any video file.
- `encoders`: which encoder, size and frame rate.

Frame n of what is written is frame n of what was given: presentation times are frame
numbers over the frame rate; no frame is dropped, merged or repeated.

Knows encoders, colours and containers. Knows nothing of clips or environments. The only
room that imports av.
"""

from rollout_viewer._video.encoders import (
    MAX_PIXELS,
    MAX_SIDE,
    Quality,
    frame_rate,
    reduction,
)
from rollout_viewer._video.gif import MAX_GIF_FPS, write_gif
from rollout_viewer._video.reader import VideoFile, read_video
from rollout_viewer._video.writer import VideoWriter

__all__ = [
    "MAX_GIF_FPS",
    "MAX_PIXELS",
    "MAX_SIDE",
    "Quality",
    "VideoFile",
    "VideoWriter",
    "frame_rate",
    "read_video",
    "reduction",
    "write_gif",
]
