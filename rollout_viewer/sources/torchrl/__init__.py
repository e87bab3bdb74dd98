"""TorchRL: its recorders under their own names, with the frames in a cache.

Each class is a subclass of TorchRL's of the same name, and replaces it. Importing this
package does not import TorchRL; accessing its names does.

- `VideoRecorder`: a transform that records each call.
- `PixelRenderTransform`: a transform that renders.
- `TensorDictRecorder`: a transform that keeps tensordicts.
- `Recorder`, also `LogValidationReward`: evaluates within a `Trainer`.
- `wrap`, `rollout_callback`: for `rollout_viewer.record` and for ``env.rollout``.

Below them: `_call_reader` (what a call holds) with `_pixels`, `_step_data` and
`_batch_slices`; `_video_rows` and `_frame_buffer` (a video's rows, and its frames);
`_render`, `_env_info` (what environments render and declare); `_later` (what is kept
where pictures are rendered later); `_entries` (of tensordicts); `_rollout_env`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._lazy import lazy_names

if TYPE_CHECKING:
    from rollout_viewer.sources.torchrl._rollout_callback import rollout_callback
    from rollout_viewer.sources.torchrl.pixel_render import PixelRenderTransform
    from rollout_viewer.sources.torchrl.recorded_env import wrap
    from rollout_viewer.sources.torchrl.tensordict_recorder import TensorDictRecorder
    from rollout_viewer.sources.torchrl.validation import LogValidationReward, Recorder
    from rollout_viewer.sources.torchrl.video_recorder import VideoRecorder

__all__ = [
    "LogValidationReward",
    "PixelRenderTransform",
    "Recorder",
    "TensorDictRecorder",
    "VideoRecorder",
    "rollout_callback",
    "wrap",
]

_HOMES = {
    "LogValidationReward": "validation",
    "PixelRenderTransform": "pixel_render",
    "Recorder": "validation",
    "TensorDictRecorder": "tensordict_recorder",
    "VideoRecorder": "video_recorder",
    "rollout_callback": "_rollout_callback",
    "wrap": "recorded_env",
}

__getattr__, __dir__ = lazy_names(
    __name__, _HOMES, libraries=("torchrl", "tensordict", "torch"), extra="torchrl"
)
