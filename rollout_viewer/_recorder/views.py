"""How a recording is shown and dumped: `cache`, `viewer`, `dump`, a cell's output.

Mixins for the recorder, and for environments, transforms and callbacks that have one.
Knows a viewer by its name only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rollout_viewer._viewer.notebook import is_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache


class _HasViewer(Protocol):
    @property
    def viewer(self) -> Any: ...


class ShownInNotebook:
    """Shows its `viewer` as the output of a notebook cell that ends with it."""

    def _repr_mimebundle_(self: _HasViewer, **options: Any) -> Any:
        # Elsewhere, as in IPython's terminal, there is no page: None shows the repr.
        return self.viewer._repr_mimebundle_(**options) if is_notebook() else None


class RecorderViews(ShownInNotebook):
    """Offers the recording of the recorder that it has.

    A subclass returns that recorder, or an object that has one, as `_views_of`.
    """

    @property
    def _views_of(self) -> Any:
        raise NotImplementedError

    @property
    def cache(self) -> FrameCache:
        """The recording, without loss.

        Raises:
            RolloutViewerError: It is in another process: `FrameCache.remote`.
        """
        views = self._views_of
        if (check := getattr(views, "check_has_rows", None)) is not None:
            check("cache")  # a recorder; whatever else it is checks by itself
        cache: FrameCache = views.cache
        return cache

    @property
    def viewer(self) -> Any:
        """A `RolloutViewer` over the recording, made once, with logger and tag."""
        return self._views_of.viewer

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        """Write the rows since the last dump; see `Recorder.dump`."""
        paths: list[Path] = self._views_of.dump(suffix, step)
        return paths
