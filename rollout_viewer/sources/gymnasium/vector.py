"""The vector class under Gymnasium's name, as in `gymnasium.wrappers.vector`."""

from rollout_viewer.sources.gymnasium.vector_record_video import (
    RecordVideo,
    VectorRecordVideo,
)

__all__ = ["RecordVideo", "VectorRecordVideo"]
