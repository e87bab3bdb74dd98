"""A widget that is registered when it is shown, and closed when its page is.

ipywidgets keeps every open widget for ever, so it is opened when it is shown, or when
another widget refers to it.
"""

from __future__ import annotations

import weakref
from typing import Any

import anywidget
import traitlets

from rollout_viewer._viewer.notebook import unseen_by_batch_clients
from rollout_viewer._viewer.weak_calls import weakly


class LateWidget(anywidget.AnyWidget):
    """Opened by what shows it, rather than by its constructor.

    A subclass sets `_is_ready` when its constructor ends, and `_is_closed` in `close`.
    """

    _is_closed: bool

    def open(self) -> None:
        """Register with ipywidgets and the front ends; done when it is shown."""
        if self.__dict__.get("_is_ready") and not self._is_closed:
            with unseen_by_batch_clients():
                super().open()

    @property
    def model_id(self) -> Any:
        """The id of its comm, which is opened."""
        self.open()
        return super().model_id

    @traitlets.observe("comm")
    def _close_with_comm(self, change: Any) -> None:
        """Close when the front end closes the comm: it is in no page then."""
        if hasattr(change["new"], "on_close"):
            this = weakref.ref(self)
            close = weakly(this, type(self).close)
            change["new"].on_close(lambda _: close())

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        self._unpin_replies()

    def _unpin_replies(self) -> None:
        # ipykernel 7.4 routes the page's next message to the shell that sent last
        # on this comm: after a send from a cell or a thread it would wait until
        # the running cell ends. Without this mark it takes the page's own
        # subshell. May go when ipykernel routes by the message's header.
        comm = getattr(self, "comm", None)
        if comm is not None:
            getattr(comm, "__dict__", {}).pop("_reply_subshell_id", None)
