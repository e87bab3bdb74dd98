"""Which rows of a recording become a video, and how; the list of unwritten videos.

Knows recordings. Knows nothing of environments and triggers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rollout_viewer._frames.fps import as_fps

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    stored = cache.get_meta(PENDING_KEY)
    segments = map(_stored_segment, stored if isinstance(stored, list) else [])
    return [one for one in segments if one is not None and one.start < cache.num_rows]


def _stored_segment(stored: Any) -> VideoSegment | None:
    """Return a segment as a file has it; None: no segment of ours.

    A file may come from elsewhere: its video is named within the file's folder.
    """
    if not isinstance(stored, dict):
        return None
    known = VideoSegment.__dataclass_fields__.keys() & stored.keys()
    try:
        segment = VideoSegment(**{name: stored[name] for name in known})
    except TypeError:  # without a name
        return None
    name: Any = segment.name
    rows = (segment.start, segment.stop, segment.columns)
    is_here = isinstance(name, str) and bool(name)
    return segment if is_here and _is_right(segment, rows) else None


def _is_right(segment: Any, rows: Sequence[Any]) -> bool:
    """Whether a segment that was read has values of the right types."""
    return (
        type(segment.start) is int
        and all(row is None or (type(row) is int and row >= 0) for row in rows)
        and as_fps(segment.fps) is not None
        and isinstance(segment.overwrite, bool)
        and isinstance(segment.about, dict)
    )
