"""See what an agent did: record rollouts, scrub them in a notebook, dump the clip.

>>> import rollout_viewer as rv
>>> import gymnasium as gym
>>> envs = gym.make_vec("CartPole-v1", num_envs=4, render_mode="rgb_array")
>>> cache = rv.rollout(envs, max_steps=100, seed=0, progress=False)
>>> cache[0].shape
(4, 400, 600, 3)

In a notebook, ``rv.view(cache)`` as the last line of a cell shows all
environments in step with their rewards.

- Record: `rollout` runs an environment, `record` wraps one for a loop of your own,
  `FrameCache.append` takes anything else.
- Look: `view`, `RolloutViewer`, `open`.
- Take along: `Clip.write`, `RolloutViewer.dump`, `RolloutViewer.to_html`,
  `CSVLogger`, `TensorboardLogger`, `WandbLogger`, `MLFlowLogger`, `TeeLogger`.

The command line does the same: ``rollout-viewer --help``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import (
    CacheClosedError,
    ExportCancelled,
    ExportError,
    ExportTooLargeError,
    FrameError,
    MissingDependencyError,
    ProtocolError,
    ReadOnlyError,
    RecordingError,
    RecordingLockedError,
    RenderError,
    RolloutViewerError,
    RolloutViewerWarning,
    RowError,
    ShapeError,
    StorageError,
    UnsupportedEnvError,
)

if TYPE_CHECKING:
    from rollout_viewer._cache import FrameCache
    from rollout_viewer._clip import Clip
    from rollout_viewer._frames import as_frames
    from rollout_viewer._open import open_path as open
    from rollout_viewer._rollout import record, rollout
    from rollout_viewer._rows import Episode
    from rollout_viewer._viewer import RolloutViewer, view
    from rollout_viewer.loggers.csv import CSVLogger
    from rollout_viewer.loggers.mlflow import MLFlowLogger
    from rollout_viewer.loggers.tee import TeeLogger
    from rollout_viewer.loggers.tensorboard import TensorBoardLogger, TensorboardLogger
    from rollout_viewer.loggers.wandb import WandbLogger
    from rollout_viewer.sources.gymnasium import RecordVideo, VectorRecordVideo
    from rollout_viewer.sources.sb3 import RolloutViewerCallback, VecVideoRecorder
    from rollout_viewer.sources.torchrl import (
        LogValidationReward,
        PixelRenderTransform,
        Recorder,
        TensorDictRecorder,
        VideoRecorder,
        rollout_callback,
    )

__version__ = "0.1.0"

# Names that need more than numpy and the standard library come when asked for.
_LAZY = {
    "CSVLogger": "rollout_viewer.loggers.csv:CSVLogger",
    "Clip": "rollout_viewer._clip:Clip",
    "Episode": "rollout_viewer._rows:Episode",
    "FrameCache": "rollout_viewer._cache:FrameCache",
    "LogValidationReward": "rollout_viewer.sources.torchrl:LogValidationReward",
    "MLFlowLogger": "rollout_viewer.loggers.mlflow:MLFlowLogger",
    "PixelRenderTransform": "rollout_viewer.sources.torchrl:PixelRenderTransform",
    "RecordVideo": "rollout_viewer.sources.gymnasium:RecordVideo",
    "Recorder": "rollout_viewer.sources.torchrl:Recorder",
    "RolloutViewer": "rollout_viewer._viewer:RolloutViewer",
    "RolloutViewerCallback": "rollout_viewer.sources.sb3:RolloutViewerCallback",
    "TeeLogger": "rollout_viewer.loggers.tee:TeeLogger",
    "TensorBoardLogger": "rollout_viewer.loggers.tensorboard:TensorBoardLogger",
    "TensorDictRecorder": "rollout_viewer.sources.torchrl:TensorDictRecorder",
    "TensorboardLogger": "rollout_viewer.loggers.tensorboard:TensorboardLogger",
    "VecVideoRecorder": "rollout_viewer.sources.sb3:VecVideoRecorder",
    "VectorRecordVideo": "rollout_viewer.sources.gymnasium:VectorRecordVideo",
    "VideoRecorder": "rollout_viewer.sources.torchrl:VideoRecorder",
    "WandbLogger": "rollout_viewer.loggers.wandb:WandbLogger",
    "as_frames": "rollout_viewer._frames:as_frames",
    "open": "rollout_viewer._open:open_path",
    "record": "rollout_viewer._rollout:record",
    "rollout": "rollout_viewer._rollout:rollout",
    "rollout_callback": "rollout_viewer.sources.torchrl:rollout_callback",
    "view": "rollout_viewer._viewer:view",
}

__all__ = [
    "CSVLogger",
    "CacheClosedError",
    "Clip",
    "Episode",
    "ExportCancelled",
    "ExportError",
    "ExportTooLargeError",
    "FrameCache",
    "FrameError",
    "LogValidationReward",
    "MLFlowLogger",
    "MissingDependencyError",
    "PixelRenderTransform",
    "ProtocolError",
    "ReadOnlyError",
    "RecordVideo",
    "Recorder",
    "RecordingError",
    "RecordingLockedError",
    "RenderError",
    "RolloutViewer",
    "RolloutViewerCallback",
    "RolloutViewerError",
    "RolloutViewerWarning",
    "RowError",
    "ShapeError",
    "StorageError",
    "TeeLogger",
    "TensorBoardLogger",
    "TensorDictRecorder",
    "TensorboardLogger",
    "UnsupportedEnvError",
    "VecVideoRecorder",
    "VectorRecordVideo",
    "VideoRecorder",
    "WandbLogger",
    "as_frames",
    "open",
    "record",
    "rollout",
    "rollout_callback",
    "view",
]


def __getattr__(name: str) -> Any:
    target = _LAZY.get(name)
    if target is None:
        raise AttributeError(f"module 'rollout_viewer' has no attribute {name!r}")
    module, attribute = target.split(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
