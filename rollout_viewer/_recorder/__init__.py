"""Calls of an environment become rows of a cache, and videos in a folder.

- `recorder`: records calls as rows. `counted_calls` says which calls get one, and
  `call_rows` appends it, of a call or of all since the last row. `usual_calls`, and
  `single_calls` of one env, record calls whose rows are like the last one.
  `recorder_settings` has the arguments of a recorder, `recorder_checks` checks them,
  `frame_options` selects and crops pictures, `step_call` is what one call gave,
  `skipped_steps` accumulates calls without a row, `vector_reward` sums objectives,
  `step_info` keeps what steps return as info, `running_episodes` what is known of
  episodes until they end, `success` says which succeeded, `episode_filter` records only
  episodes to keep, `episode_quota` a number of them, `faults` replaces pictures that
  are none.
- `dumps`: `viewer`, `logger` and `dump` of a recorder; `views`: of all that has one.
- `same_step`: two rows for a call that ends an environment and resets it.
- `video_recorder`: the common part of `RecordVideo` and `VecVideoRecorder`.
  `video_folder` makes its recording, `video_segment` says which rows are a video,
  `pending_videos` which are not written yet, `segment_frames` gives their frames,
  `segment_writer` writes them, `background_video` while they are recorded,
  `later_videos` when their pictures were rendered, `video_recovery` after a crash.
  `video_log` gives them to the user's logger too, `video_warnings` says what was not
  written. `unrecorded_steps` counts calls between segments.

Knows what a call did to each env. Knows no framework.
"""
