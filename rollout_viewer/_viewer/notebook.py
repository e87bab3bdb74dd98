"""Whether this is a notebook, and which of its cells made which viewer.

Running a cell again removes its output from the page, but ipywidgets and IPython's
`Out` keep every widget for ever, and with it a thread and a recording: a later run
releases what the earlier one made.
"""

from __future__ import annotations

import sys
import weakref
from typing import Any, Protocol


class Viewer(Protocol):
    """What is asked of a viewer."""

    def release(self) -> None:
        """Close, and drop the reference to the recording."""


# Of each viewer that lives: the cell, and the run of it.
_cells: weakref.WeakKeyDictionary[Viewer, tuple[str, str]] = weakref.WeakKeyDictionary()


def close_viewers_of_rerun_cell(viewer: Viewer) -> None:
    """Note which cell made `viewer`, and release what its earlier run made."""
    made = _running_cell()
    if made is None:
        return
    for other, (cell, run) in list(_cells.items()):
        if cell == made[0] and run != made[1]:
            other.release()
            del _cells[other]
    _cells[viewer] = made


def _running_cell() -> tuple[str, str] | None:
    """Return the ids of the notebook cell that runs and of this run; None elsewhere."""
    if "IPython" not in sys.modules:
        return None
    shell: Any = sys.modules["IPython"].get_ipython()
    try:
        parent = shell.get_parent()
        return parent["metadata"]["cellId"], parent["header"]["msg_id"]
    except (AttributeError, KeyError, TypeError, LookupError):
        return None  # IPython in a terminal, or a front end that names no cells


def is_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config
