"""A stand-in of Isaac Lab's interface to recorder terms and dataset handlers.

Isaac Lab needs a simulator and a GPU that tests have not. This has the names and
signatures that `rollout_viewer.sources.isaaclab` uses, and calls them in its order; it
was written anew. `load` lets our modules import it as ``isaaclab``, and hides it again:
TorchRL looks whether there is an Isaac Lab.

Source: isaac-sim/IsaacLab, ``source/isaaclab/isaaclab``: ``managers/
recorder_manager.py``, ``managers/manager_base.py``, ``utils/datasets/*.py``,
``envs/manager_based_env.py`` and ``envs/manager_based_rl_env.py``, 2.0 to 2.3.
"""

import functools
import importlib
import pathlib
import sys
from typing import Any

_OURS = "rollout_viewer.sources.isaaclab"
_MODULES = (
    "isaaclab.managers.recorder_manager",
    "isaaclab.utils",
    "isaaclab.utils.datasets",
    f"{_OURS}.recorder_term",
    f"{_OURS}.dataset_file_handler",
)


@functools.cache  # pytest imports modules of tests under two names
def load() -> dict[str, Any]:
    """Return the names of the stand-in, and of our modules that import it."""
    folder = str(pathlib.Path(__file__).parent)
    sys.path.insert(0, folder)
    try:
        modules = [importlib.import_module(name) for name in _MODULES]
    finally:
        sys.path.remove(folder)
        for name in [name for name in sys.modules if name.split(".")[0] == "isaaclab"]:
            del sys.modules[name]
    return {name: value for one in modules for name, value in vars(one).items()}
