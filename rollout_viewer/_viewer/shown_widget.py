"""What a cell shows of a viewer, and what a saved notebook keeps of it.

The widget itself, and beside it a poster or a page for where no widget runs: a saved
notebook, GitHub, nbconvert. No fault of these hides the viewer. Knows outputs of cells.
Knows nothing of messages, of dumps, or of how a viewer is made.
"""

from __future__ import annotations

import html
import math
import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import (
    RolloutViewerError,
    RolloutViewerWarning,
)
from rollout_viewer._export.png import MAX_POSTER_PIXELS, poster_png
from rollout_viewer._viewer.linked_widget import LinkedWidget
from rollout_viewer._viewer.notebook import unseen_by_batch_clients

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._viewer.saved import SavedOutput

_CLOSED = "This viewer was closed: rv.view(...) makes a new one."
_POSTER_WIDTH_PX = 1000


class ShownWidget(LinkedWidget):
    """The outputs of a viewer; `RolloutViewer` makes what is used here."""

    _saved: SavedOutput

    @property
    def _shown_row(self) -> int:
        return min(self.playhead, max(self._cache.num_rows - 1, 0))

    @property
    def _shown_env(self) -> int | None:
        return self.selection[0] if len(self.selection) == 1 else None

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        if self._is_closed:
            text = html.escape(_CLOSED)
            return {"text/plain": _CLOSED, "text/html": f"<p>{text}</p>"}
        bundle = super()._repr_mimebundle_(**kwargs)
        self._stream.expect_page()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        if data is not None:
            saved = self._try_to_save()
            data = {**data, **saved}
        return data, metadata

    def _try_to_save(self) -> dict[str, str]:
        """Return `_shown_without_widgets`; no fault of it hides the viewer."""
        try:
            return self._shown_without_widgets()
        except (RolloutViewerError, OSError, MemoryError) as error:
            warnings.warn(
                "RolloutViewer: expected a picture to save beside the viewer, got "
                f"{error!r}. The viewer works; the saved notebook will not show it.",
                RolloutViewerWarning,
                stacklevel=2,
            )
            return {}

    def _shown_without_widgets(self) -> dict[str, str]:
        """What is shown where no widget runs: a saved notebook, GitHub, nbconvert."""
        if not self._cache.num_rows:
            return {}
        text = self._saved.html(
            self._cache,
            self._shown_row,
            title=self._title,
            columns=self._columns,
            groups=self._groups,
            compare=self._compare,
            fps=self._fps,
            env=self._shown_env,
        )
        inside = self._saved.inside(
            text, self._cache, self._shown_row, title=self._title, groups=self._groups
        )
        with unseen_by_batch_clients():
            self._inside = inside
        poster = self._poster()
        return {"text/html": text, **({"image/png": poster} if poster else {})}

    def _poster(self) -> str | None:
        """The grid as PNG in base64, for places where no widget runs."""
        if not self._cache.num_rows or not self._cache.pictured_envs:
            return None
        if math.prod(self._cache.clip(0, 1).frame_size) > MAX_POSTER_PIXELS:
            return None
        return poster_png(self._picture(), _POSTER_WIDTH_PX)

    def _picture(self) -> npt.NDArray[np.uint8]:
        """Return the grid at the playhead, (H, W, 3)."""
        row = self._shown_row
        return next(iter(self._cache.clip(row, row + 1).frames()))
