"""One export: how to write, who is told, and what a file says of where it is from.

Knows clips and their step data. Knows nothing of any format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rollout_viewer import __version__
from rollout_viewer._files import new_file

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from rollout_viewer._clip import Clip
    from rollout_viewer._files import NewFile
    from rollout_viewer._moments import Moment
    from rollout_viewer._progress import Counter
    from rollout_viewer._rows import Episode
    from rollout_viewer._video import Quality

    Frame = npt.NDArray[np.uint8]

# What a header holds without being longer than a short film.
_MAX_EPISODES = 200


@dataclass(frozen=True)
class Job:
    """How to write, and who is told of it."""

    where: str
    fps: float
    quality: Quality
    labels: bool | Callable[[Moment], object]
    overwrite: bool
    options: dict[str, Any]
    progress: Counter

    def frames(self, clip: Clip) -> Iterator[Frame]:
        """Give the frames of a clip, each valid until the next, and count them."""
        draw = self._labeller(clip)
        frames = clip.frames(copy=False)
        for row in range(clip.start, clip.stop):
            self.progress.check(row)
            frame = next(frames)
            yield frame if draw is None else draw(frame, row)
            self.progress.advance(1)

    def new_file(self, path: Path) -> contextlib.AbstractContextManager[NewFile]:
        """Give a temporary file that becomes `path`."""
        return new_file(path, where=self.where, overwrite=self.overwrite)

    def _labeller(self, clip: Clip) -> Callable[[Frame, int], Frame] | None:
        if self.labels is False:
            return None
        from rollout_viewer._labels import Labels

        return Labels(clip, self.labels if callable(self.labels) else None).draw


def tags(clip: Clip, path: Path) -> dict[str, str]:
    """Return what a container tells of a file: title, comment (JSON), encoder.

    The comment has env_id and seed as far as the recording's metadata knows them,
    the tag (the file's stem), rows, envs, episodes with their returns, and the
    version.
    """
    recording = clip.cache.metadata
    episodes = episodes_of(clip)
    facts = {
        "rollout_viewer": __version__,
        "tag": path.stem,
        "env_id": recording.get("env_id"),
        "seed": recording.get("seed"),
        "fps": clip.fps,
        "rows": [clip.start, clip.stop],
        "envs": list(clip.shown_envs or clip.envs),
        "num_episodes": len(episodes),
        "episodes": [
            {
                "env": episode.env,
                "index": episode.index,
                "seed": episode.seed,
                "length": episode.length,
                "return": episode.total_reward,
                "terminated": episode.terminated,
                "truncated": episode.truncated,
            }
            for episode in episodes[:_MAX_EPISODES]
        ],
        "recording": recording,
    }
    return {
        "title": path.stem,
        "comment": json.dumps(facts, default=str),
        "encoder": f"rollout_viewer {__version__}",
    }


def episodes_of(clip: Clip) -> list[Episode]:
    """Return the episodes of which a clip shows a row, as they are in the recording."""
    envs = set(clip.shown_envs or clip.envs)
    return [
        episode
        for episode in clip.cache.episodes
        if episode.env in envs
        and episode.start < clip.stop
        and clip.start < episode.stop
    ]
