"""Whether this is a notebook, which of its cells made which viewer, and who runs it.

Running a cell again removes its output from the page, but ipywidgets and IPython's
`Out` keep every widget for ever, and with it a thread and a recording: a later run
releases what the earlier one made.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


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


# Their outputs are frames, into which messages of later cells may not come.
_SET_BY = {"COLAB_RELEASE_TAG": "Colab", "KAGGLE_KERNEL_RUN_TYPE": "Kaggle"}


def may_lack_messages() -> bool:
    """Return whether this notebook may bring its widgets no messages: Colab, Kaggle."""
    return any(name in os.environ for name in _SET_BY)


# How jupyter_client numbers its messages; front ends that show widgets use UUIDs.
_NUMBERED = re.compile(r"[0-9a-f-]+_\d+_\d+")


@contextlib.contextmanager
def unseen_by_batch_clients() -> Iterator[None]:
    """Open widgets inside in a way that nbclient does not note, where it runs the cell.

    `nbconvert --execute` and papermill save the state of each widget that they see, and
    a page made of that shows the widget, which has no kernel and needs a network,
    instead of what is saved beside it. They pass over messages that are not of the
    request that runs; front ends take a widget's, whatever it is of. Voila runs cells
    with nbclient, too, and needs the state.
    """
    kernel = _kernel()
    # Of kernels that are not ipykernel's, nothing is known.
    get_parent: Any = getattr(kernel, "get_parent", None)
    parent: Any = get_parent() if get_parent is not None else None
    is_voila = any(name.startswith("VOILA_") for name in os.environ)
    if is_voila or not _is_of_batch_client(parent):
        yield
        return
    other = {**parent, "header": {**parent["header"], "msg_id": "rollout_viewer"}}
    this = threading.current_thread()

    def get_other(channel: str | None = None) -> Any:
        is_this = threading.current_thread() is this
        return other if is_this else get_parent(channel)

    kernel.get_parent = get_other
    try:
        yield
    finally:
        del kernel.get_parent


def _kernel() -> Any:
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None)


def _is_of_batch_client(parent: Any) -> bool:
    """Return whether nbclient sent a request: it answers no questions."""
    try:
        is_asking = parent["content"]["allow_stdin"]
        is_of_cell = "cellId" in parent["metadata"]
        is_numbered = _NUMBERED.fullmatch(parent["header"]["msg_id"])
    except (KeyError, TypeError):
        return False
    return not (is_asking or is_of_cell) and is_numbered is not None
