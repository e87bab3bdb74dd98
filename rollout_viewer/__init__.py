"""See what an agent did: record rollouts, scrub them in a notebook, dump the clip.

>>> import rollout_viewer as rv
>>> import gymnasium as gym
>>> envs = gym.make_vec("CartPole-v1", num_envs=4, render_mode="rgb_array")
>>> cache = rv.rollout(envs, max_steps=100, seed=0, progress=False)
>>> cache[0].shape
(4, 400, 600, 3)

In a notebook, ``rv.view(cache)`` as the last line of a cell shows all
environments in step with their rewards.

- Record: `rollout` runs an environment, `collect` many in processes of their own,
  `record` wraps one for a loop of your own, `FrameCache.append` takes anything else.
- Look: `view`, `RolloutViewer`, `open`.
- Compare: `evaluate` runs policies on the same seeds, `EvaluationResult` says which is
  better, also of what was recorded before; `report` writes it for others.
- Take along: `Clip.write`, `RolloutViewer.dump`, `RolloutViewer.to_html`,
  `CSVLogger`, `TensorboardLogger`, `WandbLogger`, `MLFlowLogger`, `TrackioLogger`,
  `TeeLogger`;
  `import_labels` brings labels back from an exported page.

The command line does the same: ``rollout-viewer --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from rollout_viewer._lazy import lazy_names
from rollout_viewer._version import __version__ as __version__

if TYPE_CHECKING:
    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._cache.clip import Clip
    from rollout_viewer._cache.import_labels import import_labels
    from rollout_viewer._cache.open import open_path as open
    from rollout_viewer._evaluate.evaluate import evaluate
    from rollout_viewer._evaluate.result import EvaluationResult, report
    from rollout_viewer._frames.convert import as_frames
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._viewer.widget import RolloutViewer, view
    from rollout_viewer.loggers.csv import CSVLogger
    from rollout_viewer.loggers.mlflow import MLFlowLogger
    from rollout_viewer.loggers.tee import TeeLogger
    from rollout_viewer.loggers.tensorboard import TensorBoardLogger, TensorboardLogger
    from rollout_viewer.loggers.trackio import TrackioLogger
    from rollout_viewer.loggers.wandb import WandbLogger
    from rollout_viewer.sources._collect.collect import collect
    from rollout_viewer.sources._record import record
    from rollout_viewer.sources._rollout import rollout
    from rollout_viewer.sources.gymnasium import RecordVideo, VectorRecordVideo
    from rollout_viewer.sources.rllib import RLlibCallback
    from rollout_viewer.sources.sb3 import RolloutViewerCallback, VecVideoRecorder
    from rollout_viewer.sources.torchrl import (
        LogValidationReward,
        PixelRenderTransform,
        Recorder,
        TensorDictRecorder,
        VideoRecorder,
        rollout_callback,
    )

# Names that need more than numpy and the standard library come when asked for.
_HOMES = {
    "CSVLogger": "loggers.csv",
    "Clip": "_cache.clip",
    "Episode": "_recording.episode",
    "EvaluationResult": "_evaluate.result",
    "FrameCache": "_cache.cache",
    "LogValidationReward": "sources.torchrl",
    "MLFlowLogger": "loggers.mlflow",
    "PixelRenderTransform": "sources.torchrl",
    "RLlibCallback": "sources.rllib",
    "RecordVideo": "sources.gymnasium",
    "Recorder": "sources.torchrl",
    "RolloutViewer": "_viewer.widget",
    "RolloutViewerCallback": "sources.sb3",
    "TeeLogger": "loggers.tee",
    "TensorBoardLogger": "loggers.tensorboard",
    "TensorDictRecorder": "sources.torchrl",
    "TensorboardLogger": "loggers.tensorboard",
    "VecVideoRecorder": "sources.sb3",
    "VectorRecordVideo": "sources.gymnasium",
    "VideoRecorder": "sources.torchrl",
    "TrackioLogger": "loggers.trackio",
    "WandbLogger": "loggers.wandb",
    "as_frames": "_frames.convert",
    "collect": "sources._collect.collect",
    "evaluate": "_evaluate.evaluate",
    "import_labels": "_cache.import_labels",
    "open": "_cache.open:open_path",
    "record": "sources._record",
    "report": "_evaluate.result",
    "rollout": "sources._rollout",
    "rollout_callback": "sources.torchrl",
    "view": "_viewer.widget",
}

__all__ = [
    "CSVLogger",
    "CacheClosedError",
    "Clip",
    "Episode",
    "EvaluationResult",
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
    "RLlibCallback",
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
    "TrackioLogger",
    "UnsupportedEnvError",
    "VecVideoRecorder",
    "VectorRecordVideo",
    "VideoRecorder",
    "WandbLogger",
    "as_frames",
    "collect",
    "evaluate",
    "import_labels",
    "open",
    "record",
    "report",
    "rollout",
    "rollout_callback",
    "view",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
