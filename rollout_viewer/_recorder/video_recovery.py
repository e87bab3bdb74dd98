"""Unfinished videos of processes that died: written from the recordings in a folder.

Knows recordings, their locks and their lists of segments. Knows nothing of recorders.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout_viewer._cache.cache import open_recording
from rollout_viewer._errors import RecordingError, RenderError
from rollout_viewer._files.names import path_inside
from rollout_viewer._files.new_files import left_parts
from rollout_viewer._recorder.segment_frames import shown_rows
from rollout_viewer._recorder.segment_writer import write_video
from rollout_viewer._recorder.video_folder import SUFFIX
from rollout_viewer._recorder.video_segment import PENDING_KEY, pending_segments
from rollout_viewer._recording.database import amend_meta
from rollout_viewer._recording.late_pictures import RECIPES
from rollout_viewer._recording.lock import locked

if TYPE_CHECKING:
    import os

    from rollout_viewer._replay.recipe import Recipe


def finish_videos(
    folder: str | os.PathLike[str], *, where: str, recipe: Recipe | None = None
) -> list[Path]:
    """Write the unfinished videos in `folder`, and return them.

    They are listed in the recordings of processes that died or failed to write them.
    Recordings that a process is writing now are left alone. Those whose pictures are
    still to be rendered need a `recipe`: no environment is made that a file names.

    Raises:
        ExportError: A video could not be written; it stays listed.
    """
    written: list[Path] = []
    for path in sorted(Path(folder).glob(f"*{SUFFIX}")):
        if recipe is not None:
            with contextlib.suppress(RecordingError):
                _render(path, recipe)
        # Locked, so that no other process records there, or finishes the videos.
        with contextlib.suppress(RecordingError), locked(path):
            written += _finish(path, where)
    return written


def _render(path: Path, recipe: Recipe) -> None:
    """Render the pictures of unfinished videos, by environments of a recipe.

    Others than those that were recorded give no picture: each row is compared.
    """
    with locked(path):
        pass  # no process records there
    with open_recording(path) as cache:
        segments = pending_segments(cache)
        if segments and RECIPES in cache.recording.meta:
            cache.render_by(recipe)
            for segment in segments:
                rows = range(segment.start, segment.stop or cache.num_rows)
                cache.render(rows, progress=False)


def _finish(path: Path, where: str) -> list[Path]:
    with open_recording(path) as cache:
        segments = pending_segments(cache)
        if not segments:
            return []
        starts = _written_starts(path.parent, cache.session)
        written = []
        for segment in segments:
            for partial in left_parts(path_inside(path.parent, segment.name, ".mp4")):
                partial.unlink(missing_ok=True)
            # Its process may have died after the video, before the list was updated.
            if segment.start in starts:
                continue
            if RECIPES in cache.recording.meta and not cache.slots:
                raise RenderError(
                    f"{where}: expected pictures for {segment.name!r}, got rows that "
                    "are to be rendered. Make a recorder with render='later' over "
                    f"this folder, or call rv.open({str(path)!r}, render=True).render()"
                )
            if len(shown_rows(cache, segment.start, segment.stop)):
                written.append(write_video(cache, segment, path.parent, where=where))
    amend_meta(path, PENDING_KEY, [])
    return written


def _written_starts(folder: Path, session: Any) -> set[int]:
    """Return the first rows of a recording's videos that have their JSON file."""
    starts = set()
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            recording = json.loads(path.read_text("utf-8"))["recording"]
            if recording["session"] == session:
                starts.add(recording["rows"][0])
    return starts
