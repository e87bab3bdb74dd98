"""Stable-Baselines3: vector environments that record, and a callback that evaluates.

Importing this package does not import Stable-Baselines3; accessing its names does.

- `VecVideoRecorder`: a video of some steps, as SB3's own.
- `RolloutViewerCallback`: for ``model.learn(callback=...)``. `_evaluation` counts the
  episodes of an evaluation.
- `wrap`: what `rollout_viewer.record` uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._lazy import lazy_names

if TYPE_CHECKING:
    from rollout_viewer.sources.sb3.callback import RolloutViewerCallback
    from rollout_viewer.sources.sb3.recorded_env import wrap
    from rollout_viewer.sources.sb3.vec_video_recorder import VecVideoRecorder

__all__ = ["RolloutViewerCallback", "VecVideoRecorder", "wrap"]

_HOMES = {
    "RolloutViewerCallback": "callback",
    "VecVideoRecorder": "vec_video_recorder",
    "wrap": "recorded_env",
}

__getattr__, __dir__ = lazy_names(
    __name__, _HOMES, libraries=("stable_baselines3", "torch"), extra="sb3"
)
