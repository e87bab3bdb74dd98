"""What a recorder is warned of: pictures that could not be kept."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from rollout_viewer._errors import RolloutViewerWarning

if TYPE_CHECKING:
    from rollout_viewer._recording.live import LiveRecording


class LossWarnings:
    """Warns once of each kind of loss."""

    def __init__(self) -> None:
        self._has_warned = False
        self._has_warned_of_truncation = False

    def warn(self, recording: LiveRecording, *, stacklevel: int) -> None:
        """Warn of what a recording has lost, if that is new.

        Args:
            recording: Which has trouble.
            stacklevel: As of `warnings.warn`, called where this is.
        """
        truncated = recording.budget.truncated_episode
        if truncated is not None and not self._has_warned_of_truncation:
            self._has_warned_of_truncation = True
            warnings.warn(
                "FrameCache: expected episodes that fit into disk_bytes="
                f"{recording.budget.disk_bytes}, got a longer one of env "
                f"{truncated[0]} (from row {truncated[1]} on). Its newest rows are "
                "kept; raise disk_bytes to keep it whole.",
                RolloutViewerWarning,
                stacklevel=stacklevel + 1,
            )
        lost = recording.num_lost
        is_faulty = lost or recording.fault or recording.is_behind
        if is_faulty and not self._has_warned:
            self._has_warned = True
            reason = recording.fault or "a disk slower than the recording"
            warnings.warn(
                f"FrameCache: expected to write {str(recording.path)!r}, got {reason}. "
                f"{lost} pictures are lost so far; recording goes on with what can be "
                "kept, and num_lost counts.",
                RolloutViewerWarning,
                stacklevel=stacklevel + 1,
            )
