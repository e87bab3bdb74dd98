"""Stable-Baselines3: vector environments that record, and a callback that evaluates.

They tell the recorder what each call was to each env, and hand everything else on
unchanged. Importing this package imports no Stable-Baselines3; its names do.

- `VecVideoRecorder`: a video of some steps, as SB3's own.
- `RolloutViewerCallback`: for ``model.learn(callback=...)``.
- `wrap`: what `rollout_viewer.record` uses.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import requires

if TYPE_CHECKING:
    from rollout_viewer.sources.sb3.callback import RolloutViewerCallback
    from rollout_viewer.sources.sb3.recorded import wrap
    from rollout_viewer.sources.sb3.vec_video_recorder import VecVideoRecorder

__all__ = ["RolloutViewerCallback", "VecVideoRecorder", "wrap"]

_HOMES = {
    "RolloutViewerCallback": "callback",
    "VecVideoRecorder": "vec_video_recorder",
    "wrap": "recorded",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with requires(name, "sb3", "stable_baselines3", "torch"):
        module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
