"""The origin of a written file, as metadata: recording, rows, episodes, version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from rollout_viewer._version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from rollout_viewer._export.selection import Selection
    from rollout_viewer._recording.episode import Episode


# What a header holds without being longer than a short film.
_MAX_EPISODES = 200


def _runs(clip: Selection) -> dict[str, list[list[int]]]:
    """Return the runs [start, stop] of rows that are frames, where some are not."""
    rows = clip.rows
    if len(rows) == clip.stop - clip.start:
        return {}
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    return {"rows_of_frames": [[int(run[0]), int(run[-1]) + 1] for run in runs]}


def container_tags(clip: Selection, path: Path) -> dict[str, str]:
    """Return the metadata of a container: title, comment (JSON), encoder.

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
        **_runs(clip),
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
                **success_entry(episode),
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


def success_entry(episode: Episode) -> dict[str, bool]:
    """Return an episode's success as a JSON entry; none where it is not known."""
    return {} if episode.success is None else {"success": episode.success}


def episodes_of(clip: Selection) -> list[Episode]:
    """Return the episodes of which a clip shows a row, as they are in the recording."""
    envs = set(clip.shown_envs or clip.envs)
    return [
        episode
        for episode in clip.cache.episodes
        if episode.env in envs
        and episode.start < clip.stop
        and clip.start < episode.stop
    ]
