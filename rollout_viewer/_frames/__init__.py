"""A frame, as an array and as bytes: the floor that everything stands on.

- `convert`: what environments return becomes ``uint8 (H, W, 3)``.
- `transform`: crop, resize, shrink by an integer.
- `grid`: frames side by side, and the picture of one that is missing.
- `text`: letters drawn into a frame.
- `chunk`: the format of 32 compressed frames of one env and camera.
- `encoder`, `zstd_blocks`, `decoder`: into a chunk and out of it.

Knows arrays. Knows nothing of rows, files or environments.
"""
