"""Pictures that cannot be recorded: which they are, what replaces them, one warning.

A fault of what is recorded is beside the run, and does not end it. Knows pictures and
errors. Knows no rows.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from rollout_viewer._errors import (
    CacheClosedError,
    ReadOnlyError,
    RolloutViewerError,
    RolloutViewerWarning,
)
from rollout_viewer._frames.convert import split_frames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rollout_viewer._recording.slot import Slot


def always_raises(error: Exception) -> bool:
    """Return whether an error is no fault of what is recorded.

    It is the caller's: the cache was closed, or is another process's, or a warning was
    made an error. Or it is the process's, which has no memory left.
    """
    own = CacheClosedError, ReadOnlyError, Warning, MemoryError
    return isinstance(error, own)


def described(error: Exception) -> str:
    """Return an error as text, with its type if the text is not this package's."""
    is_ours = isinstance(error, RolloutViewerError)
    return str(error) if is_ours else f"{type(error).__name__}: {error}"


def without_faulty(pictures: Any, num_envs: int) -> tuple[list[Any] | None, list[int]]:
    """Return pictures of several envs with None for those that are none, and whose.

    Returns:
        None and no envs, where they are not one for each env, or all alike.
    """
    try:
        each = list(pictures)
    except TypeError:
        return None, []
    if num_envs == 1 or len(each) != num_envs or isinstance(pictures, dict):
        return None, []
    faulty = [env for env, one in enumerate(each) if _is_faulty(one)]
    if not 0 < len(faulty) < num_envs:
        return None, []
    return [None if env in faulty else one for env, one in enumerate(each)], faulty


def _is_faulty(picture: Any) -> bool:
    try:
        split_frames([picture])
    except MemoryError:
        raise
    except Exception:  # of whatever object came
        return True
    return False


def no_pictures(slots: Iterable[Slot], num_envs: int) -> dict[str, list[None]] | None:
    """Return frames for `FrameCache.append` in which each picture is missing."""
    shared = {slot.camera: slot.is_shared for slot in slots}
    missing = {name: [None] * (1 if one else num_envs) for name, one in shared.items()}
    return missing or None


class FaultWarning:
    """A warning of the first fault; the others are not reported."""

    def __init__(self) -> None:
        self._has_warned = False

    def of_pictures(self, error: Exception, row: int, envs: Sequence[int]) -> None:
        """Warn that a row lacks the pictures of `envs`; none: of all."""
        whose = f"env {', '.join(map(str, envs))}" if envs else "any env"
        self.warn(
            error,
            f"Row {row} is recorded without a picture of {whose}; so are later ones "
            "like it, which are not reported.",
        )

    def warn(self, error: Exception, consequence: str) -> None:
        """Warn of an error and what it has as a consequence, if it is the first."""
        if not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"{described(error)} {consequence}", RolloutViewerWarning, stacklevel=6
            )
