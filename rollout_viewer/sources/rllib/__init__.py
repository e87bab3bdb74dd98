"""RLlib: a callback whose EnvRunners record episodes, into one cache of the driver.

Ray is imported where RLlib calls the callback.

- `RLlibCallback`: for ``config.callbacks(...)``; `_calls` is what that then calls.
- `_episode_slots`: the episodes that one EnvRunner records. `_delivery`: their blocks
  on the way to the driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout_viewer._lazy import lazy_names

if TYPE_CHECKING:
    from rollout_viewer.sources.rllib.callback import RLlibCallback

__all__ = ["RLlibCallback"]

_HOMES = {"RLlibCallback": "callback"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
