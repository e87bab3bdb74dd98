"""What a viewer's page and Python share: its controls, as traits."""

from __future__ import annotations

import math
from typing import Any

import traitlets

from rollout_viewer._viewer.late_widget import LateWidget
from rollout_viewer._viewer.previews import QUALITIES

_SENT_WHILE_OBSERVED = ("playhead", "playing", "speed", "loop")
_LOOPS = ("off", "all", "range", "episode")


class ViewerTraits(LateWidget):
    """The traits; `RolloutViewer` says what they mean, and acts on them."""

    playhead = traitlets.Int(0).tag(sync=True, echo_update=False)
    playing = traitlets.Bool(False).tag(sync=True, echo_update=False)
    speed = traitlets.Float(1.0).tag(sync=True, echo_update=False)
    loop = traitlets.Enum(_LOOPS, default_value="off").tag(sync=True, echo_update=False)
    selection = traitlets.List(traitlets.Int()).tag(sync=True, echo_update=False)
    quality = traitlets.Enum(QUALITIES, default_value="auto").tag(
        sync=True, echo_update=False
    )
    bookmarks = traitlets.List(traitlets.Int()).tag(sync=True, echo_update=False)
    # Under which a page saves its position over a reload: session/saved-state.ts.
    _key = traitlets.Unicode("").tag(sync=True)
    _observed = traitlets.List(traitlets.Unicode()).tag(sync=True)
    # HTML that a page shows while the kernel does not answer.
    _inside = traitlets.Unicode("").tag(sync=True)

    def observe(
        self, handler: Any, names: Any = traitlets.All, type: str = "change"
    ) -> None:
        """Call `handler` when a trait changes; the page then sends these."""
        super().observe(handler, names=names, type=type)
        self._note_observed()

    def unobserve(
        self, handler: Any, names: Any = traitlets.All, type: str = "change"
    ) -> None:
        """Stop calling `handler`."""
        super().unobserve(handler, names=names, type=type)
        self._note_observed()

    def _note_observed(self) -> None:
        if not self.__dict__.get("_is_ready"):
            return
        notifiers = self._trait_notifiers
        to_all = bool(notifiers.get(traitlets.All, {}).get("change"))
        self._observed = [
            name
            for name in _SENT_WHILE_OBSERVED
            if to_all or notifiers.get(name, {}).get("change")
        ]

    @traitlets.validate("speed")
    def _check_speed(self, proposal: Any) -> float:
        speed = float(proposal["value"])
        if not 0 < speed < math.inf:
            raise traitlets.TraitError(
                f"RolloutViewer: expected speed > 0, got {speed!r}."
            )
        return speed
