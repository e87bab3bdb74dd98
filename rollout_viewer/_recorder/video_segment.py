"""Which rows of a recording become a video, and how; the list of those not yet written.

Knows recordings. Knows nothing of environments and triggers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_viewer._cache.cache import FrameCache


# Under this name a recording's file lists the takes whose videos are missing.
PENDING_KEY = "takes"


@dataclass(frozen=True)
class VideoSegment:
    """Rows of a recording that become a video.

    Attributes:
        name: Of the file, without suffix.
        start: First row.
        stop: Row after the last; None: it is still recorded.
        fps: Frames a second.
        columns: Of the grid of several envs; None: the square root, rounded up.
        overwrite: Whether the video replaces a file of its name.
        about: What the JSON tells beside episodes, such as ``step_id``.
    """

    name: str
    start: int
    stop: int | None = None
    fps: float = 30.0
    columns: int | None = None
    overwrite: bool = False
    about: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what `VideoSegment` takes, for a file."""
        return asdict(self)


def save_pending(cache: FrameCache, takes: Iterable[VideoSegment]) -> None:
    """Keep in the recording's file which videos are missing."""
    cache.set_meta(PENDING_KEY, [take.as_json() for take in takes])


def pending_segments(cache: FrameCache) -> list[VideoSegment]:
    """Return the takes whose videos are missing, as far as there are rows of them."""
    listed = cache.get_meta(PENDING_KEY) or []
    known = set(VideoSegment.__dataclass_fields__)
    takes = [VideoSegment(**{k: v for k, v in t.items() if k in known}) for t in listed]
    return [take for take in takes if take.start < cache.num_rows]
