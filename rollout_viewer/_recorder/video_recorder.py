"""Videos in a folder: segments of what an environment does, one file for each.

The common part of `RecordVideo` and `VecVideoRecorder`. A wrapper reports when a
segment starts and stops, and what each call did to each env. Rows are recorded during
a segment, and its video is written when it stops; outside segments nothing is rendered.
Knows recorders and videos. Knows no framework and no trigger.

    recorder = VideoFolderRecorder(num_envs, folder, prefix="rl-video", where="...")
    recorder.finish_with(wrapper)                 # at the wrapper's end at latest
    recorder.start("rl-video-episode-0")
    recorder.add([Kind.RESET], lambda: [env.render()])   # a row, and a frame
    recorder.add([Kind.STEP], lambda: [env.render()], reward=[1.0], terminated=[False])
    recorder.stop()                               # rl-video-episode-0.mp4 and .json
    recorder.add([Kind.STEP], ...)                # only counted
    recorder.finish()
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._files.names import path_inside
from rollout_viewer._process.finalizers import finalize
from rollout_viewer._process.forks import make_anew_in_children
from rollout_viewer._recorder.background_video import BackgroundVideo
from rollout_viewer._recorder.later_videos import LaterVideos
from rollout_viewer._recorder.pending_videos import PendingVideos
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.recorder_checks import discarded_on_error
from rollout_viewer._recorder.segment_frames import SegmentFrames, shown_rows
from rollout_viewer._recorder.segment_writer import write_video
from rollout_viewer._recorder.step_info import checked_names
from rollout_viewer._recorder.unrecorded_steps import UnrecordedSteps
from rollout_viewer._recorder.video_folder import new_recording
from rollout_viewer._recorder.video_log import log_video
from rollout_viewer._recorder.video_recovery import finish_videos
from rollout_viewer._recorder.video_segment import VideoSegment
from rollout_viewer._recorder.video_warnings import VideoWarnings
from rollout_viewer._recording.step_row import IDLE, RESET, STEP, TERMINAL_MISSING
from rollout_viewer.loggers._folder import FolderLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._process.forks import Lock
    from rollout_viewer._replay.recipe import Recipe

    Frame = npt.NDArray[np.uint8]

_FOREVER = 2**62


class VideoFolderRecorder:
    """Records during segments, and writes the video of each when it stops.

    A copy, as by pickle, has the configuration and a recording of its own. One
    thread uses it.

    Without `cache`, rows are stored in ``<prefix>.rollout`` in the folder, all rows of
    all segments, for cache and viewer. Beyond `video_folder.RECORDING_BYTES` the
    pictures of the oldest episodes are evicted, but never those of videos not yet
    written. The file is deleted at the end if nothing was recorded.

    Unfinished videos of an earlier process that died are written by the constructor. A
    video that cannot be written, there or when a segment stops, is a warning and stays
    listed in the recording.

    With a `recipe` no call is asked for a picture: those of a segment are rendered when
    it has stopped, in the background, and its video is written then.

    Args:
        num_envs: How many environments each call is about.
        folder: Of videos; made if it is missing.
        prefix: Name of the recording, and of the viewer's dumps.
        where: The class that the user made, for messages.
        fps: Frames a second of videos and recording.
        cache: Where to record instead; see `Recorder`.
        logger: Receives each video too, as a clip of its name; where it shows steps,
            as W&B, all under the prefix, each at its step.
        overwrite: Replace files of the same name, the recording's too.
        envs: Whose pictures are recorded; None: all.
        metadata: Of the environment.
        shares_picture: As of `Recorder`.
        info: As of `Recorder`.
        columns: From number of tiles and their (height, width) to the columns of
            the grid; None: the square root, rounded up.
        is_quiet: False draws progress bars.
        recipe: As of `Recorder`.
        records_all: Rows between segments are recorded, too: what a replay needs, where
            a segment may start in the middle of an episode. Only with a recipe.

    Attributes:
        recorder: Records the rows; its logger writes into the folder.
        folder: Absolute.
        name: Of the running segment; None: there is none.
        num_frames: Frames of the segment so far.
        records_all: As given.

    Raises:
        ValueError: The prefix leads out of the folder.
        OSError: The folder or the recording cannot be written.
    """

    def __init__(
        self,
        num_envs: int,
        folder: str | Path,
        *,
        prefix: str,
        where: str,
        fps: float = 30.0,
        cache: FrameCache | str | Path | None = None,
        logger: Any = None,
        overwrite: bool = False,
        envs: Sequence[int] | None = None,
        metadata: Mapping[str, Any] | None = None,
        columns: Callable[[int, tuple[int, int]], int] | None = None,
        is_quiet: bool = True,
        shares_picture: bool = False,
        info: bool | Iterable[str] = True,
        recipe: Recipe | None = None,
        records_all: bool = False,
    ) -> None:
        self._configuration: dict[str, Any] = {
            "num_envs": num_envs,
            "folder": folder,
            "prefix": prefix,
            "where": where,
            "fps": fps,
            "logger": logger,
            "overwrite": overwrite,
            "envs": envs,
            "metadata": metadata,
            "columns": columns,
            "is_quiet": is_quiet,
            "shares_picture": shares_picture,
            "info": checked_names(info),
            "recipe": recipe,
            "records_all": records_all,
        }
        self.num_envs = num_envs
        path_inside(Path(folder).absolute(), prefix, where=where)
        self._open_folder(folder)
        self.name: str | None = None
        self.num_frames = 0
        self.fps = fps
        self._where = where
        self._warnings = VideoWarnings(where)
        self._overwrite = overwrite
        self._columns = columns
        self._is_quiet = is_quiet
        self._extra_logger = logger
        self._later = None if recipe is None else LaterVideos(self._write_later)
        self.records_all = records_all
        # Of the segments that `_later` has, by first row.
        self._pins: dict[int, contextlib.ExitStack] = {}
        self._steps: dict[int, int | None] = {}
        make_anew_in_children(self, rank=6)
        self._finish_earlier()
        self._is_own = cache is None
        if cache is None:
            cache = new_recording(self.folder, prefix, where=where, overwrite=overwrite)
            with discarded_on_error(cache):
                self._new_recorder(cache)
        else:
            self._new_recorder(cache)
        self._segment: VideoSegment | None = None
        self._video: BackgroundVideo | None = None
        self._at_stop = contextlib.ExitStack()
        self._about: dict[str, Any] = {}
        self._step: int | None = None
        self._unrecorded = UnrecordedSteps(num_envs)

    def fork_locks(self) -> list[Lock]:
        """Return nothing: the unwritten videos are the parent's."""
        return []

    def after_fork(self, *, is_whole: bool) -> None:
        """Forget, in a forked child, the videos that its parent writes."""
        del is_whole
        self._pins, self._steps = {}, {}

    def _new_recorder(self, cache: FrameCache | str | Path) -> None:
        names = (
            *("num_envs", "envs", "fps", "metadata", "shares_picture", "info"),
            "recipe",
        )
        self.recorder = Recorder(
            cache=cache,
            logger=FolderLogger(self.folder, overwrite=self._overwrite),
            tag=self._configuration["prefix"],
            # A video ends where there is none.
            needs_pictures=self._configuration["recipe"] is None,
            **{name: self._configuration[name] for name in names},
        )
        # Of a cache that was passed, unfinished videos of others stay listed.
        self._pending = PendingVideos(self.cache)

    def _open_folder(self, folder: str | Path) -> None:
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)

    def set_folder(self, folder: str | Path) -> None:
        """Write the next videos, and dumps, into another folder.

        The recording stays where it is.

        Raises:
            OSError: The folder cannot be made.
        """
        self._open_folder(folder)
        self._configuration["folder"] = folder
        self.recorder.set_logger(FolderLogger(self.folder, overwrite=self._overwrite))

    def set_fps(self, fps: float) -> None:
        """Give the next videos this many frames a second."""
        self.fps = self._configuration["fps"] = fps

    def widen(self, num_envs: int) -> None:
        """Change the number of environments, before the first row.

        Raises:
            ShapeError: The cache has another number of envs.
        """
        self.recorder.widen(num_envs)
        self.num_envs = self._configuration["num_envs"] = num_envs
        self._unrecorded = UnrecordedSteps(num_envs)

    # -- segments

    @property
    def cache(self) -> FrameCache:
        """The recording."""
        return self.recorder.cache

    @property
    def is_recording(self) -> bool:
        """Whether a segment is recorded."""
        return self.name is not None

    @property
    def takes_rows(self) -> bool:
        """Whether calls get rows now."""
        return self.name is not None or self.records_all

    @property
    def frames(self) -> Sequence[Frame]:
        """The frames of the segment so far, decoded as they are read."""
        return SegmentFrames(self.cache, self._segment)

    def start(self, name: str, *, step: int | None = None, **about: Any) -> None:
        """Start a segment with the next row; a running one is stopped, and written.

        Args:
            name: Of the video, without suffix. Slashes make folders.
            step: Of the training, for the logger.
            **about: Further entries of the JSON beside the video.

        Raises:
            ValueError: The name leads out of the folder.
        """
        path_inside(self.folder, name, ".mp4", where=self._where)
        if self.is_recording:
            self.stop()
        if self.cache.is_closed or not self.cache.is_mine:
            self._record_anew()
        self._begin_name(name)
        self._step, self._about = step, about

    def _record_anew(self) -> None:
        """Record into another file, after `finish` or in a forked process.

        Raises:
            CacheClosedError: A cache that was passed is closed.
        """
        if self.cache.is_mine and not self._is_own:
            return  # raises as any use of a closed cache does
        prefix = self._configuration["prefix"]
        self._is_own = True
        self._new_recorder(
            new_recording(self.folder, prefix, where=self._where, overwrite=False)
        )
        self._segment, self._video = None, None
        self._unrecorded = UnrecordedSteps(self.num_envs)

    def _continue_in_child(self) -> None:
        """Record the running segment anew, in a process that forked in its middle."""
        assert self.name is not None
        self._record_anew()
        self._begin_name(self.name)

    def _begin_name(self, name: str) -> None:
        self.name, self.num_frames = name, 0
        self._at_stop = contextlib.ExitStack()
        self._at_stop.enter_context(self.cache.segment(name))

    def stop(self, *, is_asked: bool = False) -> Path | None:
        """Stop the segment and write its video, in the background if it is rendered.

        Args:
            is_asked: The user called this: raise errors; else warn.

        Returns:
            The video; None: there is none, since no segment ran, it had no frames or
            a warning was given.

        Raises:
            ExportError: It could not be written, and `is_asked`.
        """
        segment, self._segment, self.name = self._segment, None, None
        video, self._video = self._video, None
        if self._later is not None:
            self._stop_later(segment, self._later, is_asked=is_asked)
            return None
        with self._at_stop:  # lets rows be evicted, after the video is written
            if segment is None or not self.cache.is_mine:
                return None
            if not self.num_frames:  # only terminal pictures that are missing
                if video is not None:
                    video.cancel()
                self._pending.remove(segment)
                return None
            segment = self._pending.stop(segment, self.cache.num_rows)
            try:
                path = self._write(segment, video)
            except Exception as error:
                self._pending.save()
                if is_asked:
                    raise
                self._warnings.warn_unwritten(self.folder, f"{segment.name}.mp4", error)
                return None
        self._pending.remove(segment)
        self._warnings.warn_of_sizes(segment.name)
        return path

    # -- segments whose pictures are rendered when they have stopped

    def _stop_later(
        self, segment: VideoSegment | None, later: LaterVideos, *, is_asked: bool
    ) -> None:
        """Have the video of a segment rendered and written; wait if it `is_asked`."""
        pins = self._at_stop.pop_all()
        if segment is None or not self.cache.is_mine:
            pins.close()
            return
        segment = self._pending.stop(segment, self.cache.num_rows)
        self._pending.save()
        self._pins[segment.start] = pins
        self._steps[segment.start] = self._step
        later.add(segment)
        if is_asked:
            later.wait()
        self._report_later(later, asked=segment if is_asked else None)

    def _write_later(self, segment: VideoSegment) -> None:
        """Render a segment and write its video; called from another thread."""
        with self._pins.pop(segment.start):
            rows = range(segment.start, segment.stop or self.cache.num_rows)
            self.cache.render(rows, progress=not self._is_quiet)
            whole = replace(segment, columns=self._columns_of(segment.start))
            write_video(
                self.cache,
                whole,
                self.folder,
                where=self._where,
                is_quiet=self._is_quiet,
                on_fitted=self._warnings.count_fitted,
            )
        self._pending.remove(segment)

    def _report_later(
        self, later: LaterVideos, *, asked: VideoSegment | None = None
    ) -> None:
        """Log the videos that were written meanwhile, and warn of those that were not.

        Raises:
            Exception: The one that was `asked` for could not be written.
        """
        asked_error: Exception | None = None
        for segment, error in later.outcomes():
            step = self._steps.pop(segment.start, None)
            if error is None:
                self._warnings.warn_of_sizes(segment.name)
                self._log(segment, step)
            elif segment is asked:
                asked_error = error
            else:
                self._warnings.warn_unwritten(self.folder, f"{segment.name}.mp4", error)
        if asked_error is not None:
            raise asked_error

    def _columns_of(self, row: int) -> int | None:
        """Return the columns of the grid of a video that begins with a row."""
        if self._columns is None:
            return None
        tiles = [0] if self.cache.is_shared else self.cache.pictured_envs
        size = self.cache.frame_size(tiles[0], row=row)
        return self._columns(len(tiles), size)

    # -- calls

    def add(self, kind: Any, pictures: Callable[[], Any], **step: Any) -> int | None:
        """Record what one call did to all envs; see `Recorder.add`.

        Outside segments it is only counted, and `pictures` not called.

        Returns:
            The row, or None where nothing was recorded.
        """
        is_recording = self.name is not None
        if is_recording and self.recorder.is_inherited:
            self._continue_in_child()
        codes = np.asarray(kind, np.uint8)
        # Found among bytes in a tenth of the time that arrays of few envs take.
        kinds = codes.tobytes()
        has_begun = RESET in kinds
        infos = step.pop("infos", None)
        if has_begun:
            self._unrecorded.begin_episodes(codes == RESET, infos or {})
        if not (is_recording or self.records_all):
            self._unrecorded.add(codes == STEP, step.get("reward"))
            return None
        if self._segment is None and not self.records_all:
            self._unrecorded.resume(self.recorder)
        row = self.recorder.add(codes, pictures, infos=self._unrecorded.infos, **step)
        self._unrecorded.infos = {}
        if row is not None and self.name is not None:
            if has_begun:
                self._unrecorded.record(codes == RESET)
            if self._segment is None:
                self._begin(row)
            # The usual case, checked fast: each env did something, and has a picture.
            is_whole = not (IDLE in kinds or TERMINAL_MISSING in kinds)
            self.num_frames += is_whole or len(shown_rows(self.cache, row, row + 1))
            if self._video is not None:
                self._video.notify(row + 1)
        return row

    def add_picture(self, pictures: Callable[[], Any]) -> None:
        """Record another frame of a segment that has one, without a step."""
        if self.is_recording and self._segment is not None:
            row = self.recorder.add_picture(pictures)
            self.num_frames += 1
            if self._video is not None:
                self._video.notify(row + 1)

    def count_unrecorded_step(self, reward: Any) -> None:
        """Count a step of a single env outside segments, at next to no cost."""
        self._unrecorded.add_one(reward)

    def begin_episode(self, info: Mapping[str, Any]) -> None:
        """Count a reset of a single env outside segments."""
        self._unrecorded.begin_episodes(np.ones(1, np.bool_), {0: info})

    # -- ending and copies

    def __reduce__(self) -> tuple[Callable[[], VideoFolderRecorder], tuple[()]]:
        return functools.partial(type(self), **self._configuration), ()

    def finish(self) -> None:
        """Write the video of the running segment, and complete the recording.

        Raises:
            StorageError: Something recorded could not be written.
        """
        if not self.cache.is_mine:  # in a forked child, the parent writes its videos
            return
        self.stop()
        if self._later is not None:
            self._later.wait()
            self._report_later(self._later)
        if self.cache.is_closed:
            return
        self.recorder.finish()
        if self._is_own:
            self.cache.close()
            if not self.cache.num_rows:
                self.cache.path.unlink(missing_ok=True)

    def finish_with(self, owner: object) -> None:
        """Finish when `owner` is collected or the interpreter ends, if not before."""
        finalize(owner, _finish_quietly, self)

    # -- inside

    def _begin(self, row: int) -> None:
        """Set up the segment whose first row is `row`."""
        assert self.name is not None
        self._unrecorded.clear()
        self._at_stop.callback(self.cache.pin(row, _FOREVER, None))
        self._segment = VideoSegment(
            self.name,
            row,
            fps=self.fps,
            columns=None if self._later is not None else self._columns_of(row),
            overwrite=self._overwrite,
            about=self._about,
        )
        self._pending.add(self._segment)
        if (
            self._later is None and self._is_quiet
        ):  # else a bar is drawn while the video is written at the end
            self._video = BackgroundVideo(
                self.cache, self._segment, self.folder, self._where
            )

    def _write(self, segment: VideoSegment, background: BackgroundVideo | None) -> Path:
        if background is not None:
            video = background.finish(segment)
            self._warnings.count_fitted(background.num_fitted)
        else:
            video = write_video(
                self.cache,
                segment,
                self.folder,
                where=self._where,
                is_quiet=False,
                on_fitted=self._warnings.count_fitted,
            )
        self._log(segment, self._step)
        return video

    def _log(self, segment: VideoSegment, step: int | None) -> None:
        if self._extra_logger is not None:
            log_video(
                self.cache,
                segment,
                self._extra_logger,
                step=step,
                where=self._where,
                folder=self.folder,
            )

    def _finish_earlier(self) -> None:
        try:
            recipe = self._configuration["recipe"]
            finish_videos(self.folder, where=self._where, recipe=recipe)
        except Exception as error:
            self._warnings.warn_unwritten(
                self.folder, "the unfinished videos of an earlier run", error
            )


def _finish_quietly(recorder: VideoFolderRecorder) -> None:
    try:
        recorder.finish()
    except Exception as error:
        recorder._warnings.warn_unwritten(recorder.folder, "the last video", error)
