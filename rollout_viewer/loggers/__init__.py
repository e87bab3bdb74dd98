"""Loggers: they write dumped clips, scalars and texts.

Method names, arguments and file layouts are TorchRL's, so that each of these replaces
TorchRL's of its name, and the other way round. `log_video` accepts a video tensor or a
`Clip`, which is read as it is written and never whole in memory.

- `CSVLogger`: files in a folder.
- `TensorboardLogger`: TensorBoard's events; needs the extra ``tensorboard``.
- `WandbLogger`: Weights & Biases, online or offline; needs the extra ``wandb``.
- `MLFlowLogger`: an MLflow store; needs the extra ``mlflow``.
- `TrackioLogger`: runs of Trackio; needs the extra ``trackio``.
- `TeeLogger`: several loggers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rollout_viewer._lazy import lazy_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_viewer._cache.clip import Clip
    from rollout_viewer.loggers.csv import CSVLogger
    from rollout_viewer.loggers.mlflow import MLFlowLogger
    from rollout_viewer.loggers.tee import TeeLogger
    from rollout_viewer.loggers.tensorboard import TensorBoardLogger, TensorboardLogger
    from rollout_viewer.loggers.trackio import TrackioLogger
    from rollout_viewer.loggers.wandb import WandbLogger

__all__ = [
    "CSVLogger",
    "Logger",
    "MLFlowLogger",
    "TeeLogger",
    "TensorBoardLogger",
    "TensorboardLogger",
    "TrackioLogger",
    "WandbLogger",
]

_HOMES = {
    "CSVLogger": "csv",
    "MLFlowLogger": "mlflow",
    "TeeLogger": "tee",
    "TensorBoardLogger": "tensorboard",
    "TensorboardLogger": "tensorboard",
    "TrackioLogger": "trackio",
    "WandbLogger": "wandb",
}


@runtime_checkable
class Logger(Protocol):
    """The methods that recorders, viewers and `Clip.dump` call of a logger.

    With ``takes_clips = True`` a logger receives clips in place of tensors, and the
    keywords ``fps``, ``format``, ``on_progress`` and ``cancel``, which it may ignore by
    ``**kwargs``. With ``log_table(name, columns, step)`` it receives tables as well,
    and with ``log_report(name, path, step)`` HTML pages, of which it keeps a copy.
    `rollout_viewer.testing.LoggerTests` tests a logger.
    """

    def log_video(
        self, name: str, video: Any | Clip, step: int | None = None, **kwargs: Any
    ) -> Any:
        """Log a video: a uint8 tensor (N, T, C, H, W), or a clip."""
        ...

    def log_scalar(self, name: str, value: float, step: int | None = None) -> None:
        """Log a number."""
        ...

    def log_hparams(self, cfg: Mapping[str, Any]) -> None:
        """Log a configuration."""
        ...


__getattr__, __dir__ = lazy_names(__name__, _HOMES)
