"""Calls of an environment become rows of a cache, and videos in a folder.

- `recorder`: one row a call, with `skipped_steps` and `episode_filter`.
- `same_step`: two rows for a call that ends an environment and resets it.
- `video_recorder`: `RecordVideo`'s and `VecVideoRecorder`'s common part, with
  `video_segment` (which rows), `video_files`, `background_video`, `video_recovery`.

Knows what a call was to each env. Knows no framework.
"""
