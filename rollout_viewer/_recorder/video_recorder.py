"""Takes: named stretches of what an environment does, each of which becomes a video.

What `RecordVideo` and `VecVideoRecorder` have in common. A wrapper says when a take
starts and stops and what each call was to each env; rows are recorded while a take
runs, and its video is written when it stops. Between takes nothing is rendered.
Knows recorders and videos. Knows no framework and no trigger.

    takes = Takes(num_envs, folder, prefix="rl-video", where="RecordVideo")
    takes.finish_with(wrapper)                    # what a forgotten close() would lose
    takes.start("rl-video-episode-0")
    takes.add([Kind.RESET], lambda: [env.render()])      # a row, and a frame
    takes.add([Kind.STEP], lambda: [env.render()], reward=[1.0], terminated=[False])
    takes.stop()                                  # rl-video-episode-0.mp4 and .json
    takes.add([Kind.STEP], ...)                   # only counted
    takes.finish()
"""

from __future__ import annotations

import contextlib
import functools
import warnings
import weakref
from collections.abc import Sequence as AbstractSequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._cache.cache import FrameCache, open_recording
from rollout_viewer._errors import (
    RecordingError,
    RecordingLockedError,
    RolloutViewerError,
    RolloutViewerWarning,
)
from rollout_viewer._export.dump import dump_clip
from rollout_viewer._files import numbered
from rollout_viewer._recorder.background_video import BackgroundVideo
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.video_files import SUFFIX, shown_rows, write_video
from rollout_viewer._recorder.video_recovery import finish_videos
from rollout_viewer._recorder.video_segment import (
    VideoSegment,
    pending_segments,
    save_pending,
)
from rollout_viewer._recording.lock import acquire
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.loggers._folder import FolderLogger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask

    Frame = npt.NDArray[np.uint8]

# What the recording in a video folder may take of the disk, an estimate of what
# nobody minds: a million CartPole frames are 2 GB, and their videos no less.
RECORDING_BYTES = 1_000_000_000
# A video is read once, in order: few decoded chunks are worth keeping. Its frames are
# worth waiting for a slow disk, rather than losing them.
MEMORY_BYTES = 12_000_000
MAX_STALL_S = 10.0
_FOREVER = 2**62


class VideoFolderRecorder:
    """Records while a take runs, and writes its video when it stops.

    A copy, as by pickle, has the configuration and a recording of its own. One
    thread uses it.

    Without `cache`, rows go to ``<prefix>.rollout`` in the folder. It keeps every
    row of every take for cache and viewer; beyond `RECORDING_BYTES` the oldest
    episodes' pictures go, those of videos not yet written never. It stays when all is
    written, and goes if nothing was recorded.

    Missing videos of an earlier process that died are written on the way in. What
    cannot be written, here or when a take stops, is warned of and stays on the list of
    the recording.

    Args:
        num_envs: How many environments each call is about.
        folder: Of videos; made if it is missing.
        prefix: Name of the recording, and of what the viewer dumps.
        where: The class that a person made, for messages.
        fps: Frames a second of videos and recording.
        cache: Where to record instead; see `Recorder`.
        logger: Gets each video too, as a clip named like it.
        overwrite: Replace files of the same name, the recording's too.
        envs: Whose pictures are kept; None: all.
        metadata: Of the environment.
        columns: From number of tiles and their (height, width) to the columns of
            the grid; None: the square root, rounded up.
        is_quiet: False draws progress bars.

    Attributes:
        recorder: What rows are told to; its logger writes into the folder.
        folder: Absolute.
        name: Of the take that runs; None: none does.
        num_frames: Frames of the take so far.

    Raises:
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
        }
        self.folder = Path(folder).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name: str | None = None
        self.num_frames = 0
        self.fps = fps
        self._where = where
        self._overwrite = overwrite
        self._columns = columns
        self._is_quiet = is_quiet
        self._extra_logger = logger
        self._finish_earlier()
        self._is_own = cache is None
        self.recorder = Recorder(
            num_envs,
            cache=self._new_recording(prefix) if cache is None else cache,
            envs=envs,
            logger=FolderLogger(self.folder, overwrite=overwrite),
            tag=prefix,
            fps=fps,
            metadata=metadata,
        )
        # What others left to write in a cache that was handed over stays listed.
        self._missing: list[VideoSegment] = pending_segments(self.cache)
        self._take: VideoSegment | None = None
        self._video: BackgroundVideo | None = None
        self._at_stop = contextlib.ExitStack()
        self._about: dict[str, Any] = {}
        self._step: int | None = None
        self._infos: dict[int, dict[str, Any]] = {}
        self._episode = np.full(num_envs, -1, np.int64)
        self._is_new = np.ones(num_envs, np.bool_)
        self._count = np.zeros(num_envs, np.int64)
        self._reward = np.zeros(num_envs)
        # The same of a single env, in numbers that are faster to add to.
        self._one_count, self._one_reward = 0, 0.0

    # -- what runs

    @property
    def cache(self) -> FrameCache:
        """The recording."""
        return self.recorder.cache

    @property
    def is_recording(self) -> bool:
        """Whether a take runs."""
        return self.name is not None

    @property
    def frames(self) -> Sequence[Frame]:
        """The frames of the take so far, read when they are asked for."""
        return SegmentFrames(self.cache, self._take)

    def start(self, name: str, *, step: int | None = None, **about: Any) -> None:
        """Begin a take with the next row; one that runs is stopped, and written.

        Args:
            name: Of the video, without suffix.
            step: Of the training, for the logger.
            **about: What the JSON beside the video tells too.
        """
        if self.is_recording:
            self.stop()
        self.name, self.num_frames = name, 0
        self._at_stop = contextlib.ExitStack()
        self._at_stop.enter_context(self.cache.segment(name))
        self._step, self._about = step, about

    def stop(self, *, is_asked: bool = False) -> Path | None:
        """End the take and write its video.

        Args:
            is_asked: A person asked for it: raise, where a trigger's would warn.

        Returns:
            The video; None where the take had no frames or could not be written.

        Raises:
            ExportError: It could not be written, and `is_asked`.
        """
        take, self._take, self.name = self._take, None, None
        video, self._video = self._video, None
        with self._at_stop:  # rows may go, if they have to, when the video is there
            if take is None or not self._is_mine:
                return None
            if not self.num_frames:  # only pictures that are gone
                if video is not None:
                    video.give_up()
                self._missing.remove(take)
                self._note()
                return None
            self._missing.remove(take)
            take = replace(take, stop=self.cache.num_rows)
            self._missing.append(take)
            try:
                path = self._write(take, video)
            except Exception as error:
                self._note()
                if is_asked:
                    raise
                self._warn(f"{take.name}.mp4", error)
                return None
        self._missing.remove(take)
        self._note()
        return path

    def add(self, kind: Any, pictures: Callable[[], Any], **step: Any) -> int | None:
        """Take in what one call did to all envs; see `Recorder.add`.

        While no take runs it is counted only, and `pictures` not called.

        Returns:
            The row, or None where nothing was recorded.
        """
        codes = np.asarray(kind, np.uint8)
        begins = codes == Kind.RESET
        infos = step.pop("infos", None)
        if begins.any():
            self._begin_episodes(begins, infos or {})
        if not self.is_recording:
            self.pass_by(codes == Kind.STEP, step.get("reward"))
            return None
        if self._take is None:
            self._resume()
        row = self.recorder.add(codes, pictures, infos=self._infos, **step)
        self._infos = {}
        if row is not None:
            self._is_new &= ~begins
            if self._take is None:
                self._begin(row)
            # Where nothing is missing, every row is a frame: the usual case, told fast.
            is_whole = not (codes == Kind.TERMINAL_MISSING).any()
            self.num_frames += is_whole or len(shown_rows(self.cache, row, row + 1))
            if self._video is not None:
                self._video.tell(row + 1)
        return row

    def pass_by(self, is_step: Any = True, reward: Any = None) -> None:
        """Count a call that is not recorded: the cheap half of `add`.

        Args:
            is_step: (B,), or True: which envs took a step.
            reward: (B,), or of a single env a number.
        """
        self._count += is_step
        if hasattr(reward, "detach"):
            reward = reward.detach().cpu().numpy()
        if reward is not None:
            np.add(self._reward, reward, out=self._reward, where=is_step)

    def pass_step(self, reward: float) -> None:
        """Count a step of a single env that is not recorded, at next to no cost."""
        self._one_count += 1
        self._one_reward += reward

    def begin_episode(self, info: Mapping[str, Any]) -> None:
        """Count the reset of a single env that is not recorded."""
        self._begin_episodes(np.ones(1, np.bool_), {0: info})

    # -- ending and copies

    def __reduce__(self) -> tuple[Callable[[], VideoFolderRecorder], tuple[()]]:
        return functools.partial(type(self), **self._configuration), ()

    def finish(self) -> None:
        """Write the video of the take that runs, and complete the recording.

        Raises:
            StorageError: Something recorded could not be written.
        """
        if not self._is_mine:
            return
        self.stop()
        if self.cache.is_closed:
            return
        self.recorder.finish()
        if self._is_own:
            self.cache.close()
            if not self.cache.num_rows:
                self.cache.path.unlink(missing_ok=True)

    def finish_with(self, owner: object) -> None:
        """Finish when `owner` is collected or the interpreter ends, if not before."""
        weakref.finalize(owner, _finish_quietly, self)

    @property
    def _is_mine(self) -> bool:
        """False in a forked child: the parent writes its videos."""
        return self.cache.is_mine

    # -- inside

    def _begin_episodes(
        self, begins: Mask, infos: Mapping[int, Mapping[str, Any]]
    ) -> None:
        self._episode[begins] += 1
        self._is_new |= begins
        self._count[begins] = 0
        self._reward[begins] = 0
        self._one_count, self._one_reward = 0, 0.0
        for env in np.flatnonzero(begins).tolist():
            info = dict(infos.get(env, {}))
            label = {"episode": int(self._episode[env])}
            self._infos[env] = {**info, "labels": {**label, **info.get("labels", {})}}

    def _resume(self) -> None:
        """Tell the recorder of what passed by since the last take."""
        infos = {e: i for e, i in self._infos.items() if self._is_new[e]}
        count, reward = self._count + self._one_count, self._reward + self._one_reward
        self.recorder.resume(self._is_new, count, reward, infos)

    def _begin(self, row: int) -> None:
        """Note that a take has its first row."""
        assert self.name is not None
        self._is_new[:], self._count[:], self._reward[:] = False, 0, 0
        self._one_count, self._one_reward = 0, 0.0
        self._at_stop.callback(self.cache.pin(row, _FOREVER, None))
        columns = None
        if self._columns is not None:
            tiles = [0] if self.cache.is_shared else self.cache.pictured_envs
            columns = self._columns(len(tiles), self.cache.frame_size(tiles[0]))
        self._take = VideoSegment(
            self.name,
            row,
            fps=self.fps,
            columns=columns,
            overwrite=self._overwrite,
            about=self._about,
        )
        self._missing.append(self._take)
        self._note()
        if self._is_quiet:  # a bar is drawn when the video is written at the end
            video = BackgroundVideo(self.cache, self._take, self.folder, self._where)
            self._video = video

    def _note(self) -> None:
        with contextlib.suppress(RolloutViewerError):  # a cache that was closed
            save_pending(self.cache, self._missing)

    def _write(self, take: VideoSegment, growing: BackgroundVideo | None) -> Path:
        if growing is not None:
            video = growing.finish(take)
        else:
            video = write_video(
                self.cache, take, self.folder, where=self._where, is_quiet=False
            )
        if self._extra_logger is not None:
            clip = self.cache.clip(take.start, take.stop)
            try:
                dump_clip(clip, self._extra_logger, take.name, step=self._step)
            except Exception as error:
                warnings.warn(
                    f"{self._where}: expected {type(self._extra_logger).__name__} to "
                    f"take {take.name!r}, got {type(error).__name__}: {error} The "
                    f"video is in {str(self.folder)!r}.",
                    RolloutViewerWarning,
                    stacklevel=5,
                )
        return video

    def _finish_earlier(self) -> None:
        try:
            finish_videos(self.folder, where=self._where)
        except Exception as error:
            self._warn("the missing videos of an earlier run", error)

    def _new_recording(self, prefix: str) -> FrameCache:
        wanted = self.folder / f"{prefix}{SUFFIX}"
        if self._overwrite:
            _remove_recording(wanted)
        for path in numbered(wanted):
            if path.exists():
                continue
            # Another process that records into this folder may be as fast.
            with contextlib.suppress(RecordingLockedError):
                return FrameCache(
                    path,
                    memory_bytes=MEMORY_BYTES,
                    disk_bytes=RECORDING_BYTES,
                    keep="latest",
                    max_stall_s=MAX_STALL_S,
                )
        raise AssertionError("there is always a next number")

    def _warn(self, what: str, error: Exception) -> None:
        warnings.warn(
            f"{self._where}: expected to write {what} into {str(self.folder)!r}, got "
            f"{type(error).__name__}: {error} The frames are in the recording, and the "
            "next recorder over this folder tries again, as does rollout-viewer "
            "export <folder>.",
            RolloutViewerWarning,
            stacklevel=4,
        )


class SegmentFrames(AbstractSequence[Any]):
    """The frames of a take, decoded one by one; what a list of them would be."""

    def __init__(self, cache: FrameCache, take: VideoSegment | None) -> None:
        self._cache = cache
        none = np.empty(0, np.int64)
        self._rows = none if take is None else shown_rows(cache, take.start, take.stop)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(self._rows[index])
        return next(self._cache.clip(row, row + 1).frames())


def _remove_recording(path: Path) -> None:
    """Remove the recording of an earlier run, unless somebody writes it."""
    if not path.exists():
        return
    with contextlib.suppress(RecordingError, OSError):
        with open_recording(path) as cache:
            if pending_segments(cache):
                return
        lock = acquire(path)
        for side in ("", "-wal", "-shm", "-journal", ".lock"):
            Path(f"{path}{side}").unlink(missing_ok=True)
        lock.release()


def _finish_quietly(takes: VideoFolderRecorder) -> None:
    try:
        takes.finish()
    except Exception as error:
        takes._warn("the last video", error)
