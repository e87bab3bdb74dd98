"""Which rows of a recording become a video, and how; the list of unwritten videos.

Knows recordings. Knows nothing of environments and triggers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rollout_viewer._cache.cache import FrameCache


# Key in a recording's file: the segments whose videos are not written.
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
        about: Further entries of the JSON, such as ``step_id``.
    """

    name: str
    start: int
    stop: int | None = None
    fps: float = 30.0
    columns: int | None = None
    overwrite: bool = False
    about: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the fields by name, as JSON holds them."""
        return asdict(self)


def save_pending(cache: FrameCache, segments: Iterable[VideoSegment]) -> None:
    """Store in the recording's file which videos are not written."""
    cache.set_meta(PENDING_KEY, [one.as_json() for one in segments])


def pending_segments(cache: FrameCache) -> list[VideoSegment]:
    """Return the segments whose videos are not written, of those that have rows."""
    stored = cache.get_meta(PENDING_KEY) or []
    known = set(VideoSegment.__dataclass_fields__)
    segments = [
        VideoSegment(**{name: value for name, value in one.items() if name in known})
        for one in stored
    ]
    return [segment for segment in segments if segment.start < cache.num_rows]
