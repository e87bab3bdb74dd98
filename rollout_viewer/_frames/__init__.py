"""A frame as an array, and as bytes. Everything else in the package builds on this.

- `convert`: what environments return, as ``uint8 (H, W, 3)``.
- `tensors`: tensors as arrays, without the library that they are of.
- `transform`: crop, resize, shrink by an integer.
- `grid`: frames side by side, and the picture drawn in place of a missing one.
- `text`: letters drawn into a frame.
- `chunk`: the format of up to 32 compressed frames of one env and camera.
- `encoder`: frames into a chunk; chooses the kind of each record.
- `scratch`: the pixels of one frame into one record, in reused buffers.
- `decoder`: frames out of a chunk, in any order.
- `zstd_blocks`: zstd's frame header, and its RLE blocks written by hand.
- `checksum`: a CRC-32 at the end of bytes.
- `fps`: frames a second, and their limits.

Knows arrays. Knows nothing of rows, files or environments.
"""
