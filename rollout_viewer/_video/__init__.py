"""Video files, written and read frame by frame.

- `encoders`: which encoder writes a video, and with which settings.
- `writer`: `VideoWriter` streams frames into mp4 (H.264) and webm (VP9), in the pixel
  format of its encoder (`converter`).
- `gif`: `write_gif` writes a GIF (`gif_file`), in one pass where 256 colours are enough
  for each frame (`gif_colors`), else with a palette (`gif_palette`).
- `preview`: small pictures of many envs as one video, for a link that carries little.
- `reader`: `VideoFile` and `read_video` give the frames of any video file.

Frame n of a file is frame n of the input: presentation times are frame numbers over
the frame rate, and no frame is dropped, merged or repeated.

Knows encoders, colours and containers. Knows nothing of clips and environments. The
only package that imports av.
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
