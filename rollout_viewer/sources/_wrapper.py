"""What every wrapper that records offers beside its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_viewer._cache import FrameCache
    from rollout_viewer._recorder import Recorder
    from rollout_viewer._rows import Mask


class RecordingWrapper:
    """The recording of a wrapped environment, by the recorder that the wrapper tells.

    Attributes:
        recorder: What the wrapper tells.
        begins: Bool (B,): the last observation is the first of an episode.
        is_closed: `close` was called. Not all environments can tell.
    """

    recorder: Recorder
    begins: Mask
    is_closed: bool = False

    @property
    def cache(self) -> FrameCache:
        """The recording."""
        return self.recorder.cache

    @property
    def viewer(self) -> Any:
        """A `RolloutViewer` over it, made once, bound to logger and tag."""
        return self.recorder.viewer

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        """Write the rows since the last dump; see `Recorder.dump`."""
        return self.recorder.dump(suffix, step)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.recorder._repr_mimebundle_(**options)
