"""Isaac Lab: recorder terms and a dataset handler that write recordings.

Importing this package does not import Isaac Lab; accessing its names does.

- `RolloutRecorder`: a recorder term that records the env while it runs, with its
  configuration `RolloutRecorderCfg`, and `RolloutRecorderManagerCfg` for
  ``env_cfg.recorders``. `recorder_of` returns the one of an env.
- `RolloutDatasetFileHandler`: for ``dataset_file_handler_class_type``: episodes that
  Isaac Lab exports are in a recording, and are read from it.

Below them, without Isaac Lab: `_env_values` (what an env shows at a hook), `_hook_rows`
(what the hooks are as rows), `_episode_rows` (an episode's nested tensors as rows).

Source: ``isaaclab/managers/recorder_manager.py``, ``isaaclab/utils/datasets`` and
``isaaclab/envs/manager_based_rl_env.py`` of Isaac Lab 2.0 to 2.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._lazy import lazy_names

if TYPE_CHECKING:
    from rollout_viewer.sources.isaaclab.dataset_file_handler import (
        RolloutDatasetFileHandler,
    )
    from rollout_viewer.sources.isaaclab.recorder_term import (
        RolloutRecorder,
        RolloutRecorderCfg,
        RolloutRecorderManagerCfg,
        recorder_of,
    )

__all__ = [
    "RolloutDatasetFileHandler",
    "RolloutRecorder",
    "RolloutRecorderCfg",
    "RolloutRecorderManagerCfg",
    "recorder_of",
]

_HOMES = {
    "RolloutDatasetFileHandler": "dataset_file_handler",
    "RolloutRecorder": "recorder_term",
    "RolloutRecorderCfg": "recorder_term",
    "RolloutRecorderManagerCfg": "recorder_term",
    "recorder_of": "recorder_term",
}

__getattr__, __dir__ = lazy_names(
    __name__,
    _HOMES,
    libraries=("isaaclab",),
    advice=(
        "Run it with Isaac Lab's Python, where this package is installed too "
        "(./isaaclab.sh -p -m pip install rollout-viewer), after AppLauncher has "
        "started the simulator."
    ),
)
