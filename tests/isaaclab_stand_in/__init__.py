"""A stand-in of Isaac Lab's interface to recorder terms and dataset handlers.

Isaac Lab needs a simulator and a GPU that tests have not. This has the names and
signatures that `rollout_viewer.sources.isaaclab` uses, and calls them in its order; it
was written anew. `install` puts it in the place of the package ``isaaclab``.

Source: isaac-sim/IsaacLab, ``source/isaaclab/isaaclab``: ``managers/
recorder_manager.py``, ``managers/manager_base.py``, ``utils/datasets/*.py``,
``envs/manager_based_env.py`` and ``envs/manager_based_rl_env.py``, 2.0 to 2.3.
"""

import pathlib
import sys


def install():
    """Let ``import isaaclab`` find the stand-in, where Isaac Lab is not."""
    folder = str(pathlib.Path(__file__).parent)
    if folder not in sys.path:
        sys.path.append(folder)
