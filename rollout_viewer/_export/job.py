"""One export: its options, progress and labels, as every writer needs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollout_viewer._files.new_files import new_file

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._export.selection import Selection
    from rollout_viewer._files.new_files import NewFile
    from rollout_viewer._progress import Counter
    from rollout_viewer._recording.query import Moment
    from rollout_viewer._video import Quality

    Frame = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ExportJob:
    """How to write, and where to report progress."""

    where: str
    fps: float
    quality: Quality
    labels: bool | Callable[[Moment], object]
    overwrite: bool
    options: dict[str, Any]
    progress: Counter

    def frames(self, clip: Selection) -> Iterator[Frame]:
        """Give the frames of a clip, each valid until the next, and count them."""
        draw = self._labeller(clip)
        frames = clip.frames(copy=False)
        for row in clip.rows.tolist():
            self.progress.check(row)
            frame = next(frames)
            yield frame if draw is None else draw(frame, row)
            self.progress.advance(1)

    def new_file(self, path: Path) -> contextlib.AbstractContextManager[NewFile]:
        """Give a temporary file that becomes `path`."""
        return new_file(path, where=self.where, overwrite=self.overwrite)

    def _labeller(self, clip: Selection) -> Callable[[Frame, int], Frame] | None:
        if self.labels is False:
            return None
        from rollout_viewer._export.labels import Labels

        return Labels(clip, self.labels if callable(self.labels) else None).draw
