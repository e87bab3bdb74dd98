"""What is damaged in a recording is left out of an export, with one warning."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from rollout_viewer._errors import RolloutViewerWarning

if TYPE_CHECKING:
    from rollout_viewer._errors import RecordingError


class DamageReport:
    """Warns of the first damage of an export, and of no other.

    Args:
        expected: What is read, such as "pictures".
        consequence: What is done with what is damaged, as a sentence.
    """

    def __init__(self, expected: str, consequence: str) -> None:
        self._expected = expected
        self._consequence = consequence
        self._has_warned = False

    def add(self, error: RecordingError) -> None:
        """Note that something is damaged."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"Clip: expected intact {self._expected}, got {error} "
                f"{self._consequence}",
                RolloutViewerWarning,
                stacklevel=3,
            )
