"""What a recorder of videos warns of: those not written, or not as expected."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from rollout_viewer._errors import RolloutViewerWarning

if TYPE_CHECKING:
    from pathlib import Path


class VideoWarnings:
    """Warns in the name of the class that the user made.

    Args:
        where: That class.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._num_fitted = 0
        self._has_warned_of_sizes = False

    def count_fitted(self, count: int) -> None:
        """Count pictures of another size than the first frame of their video."""
        self._num_fitted += count

    def warn_of_sizes(self, name: str) -> None:
        """Warn, once, if a video has pictures of another size than its first frame."""
        if self._num_fitted and not self._has_warned_of_sizes:
            self._has_warned_of_sizes = True
            warnings.warn(
                f"{self._where}: expected pictures of one size in {name}.mp4, got "
                f"{self._num_fitted} of another size than its first frame; they are "
                "fitted into it. The recording has them in their own size, and a "
                "video that ends with its episode has the episode's size.",
                RolloutViewerWarning,
                stacklevel=5,
            )

    def warn_unwritten(self, folder: Path, what: str, error: Exception) -> None:
        """Warn that `what` could not be written into `folder`."""
        warnings.warn(
            f"{self._where}: expected to write {what} into {str(folder)!r}, got "
            f"{type(error).__name__}: {error} The frames are in the recording, and the "
            "next recorder over this folder tries again, as does rollout-viewer "
            "export <folder>.",
            RolloutViewerWarning,
            stacklevel=4,
        )
