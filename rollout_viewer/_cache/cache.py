"""The frame cache: one row an append, compressed, in a file as it arrives.

One recorder writes; any number of clips, viewers and threads read at the same
time. What recorders call, what renders and what is noted is in the bases of the cache,
a module each. Knows frames and rows. Knows nothing of environments or widgets.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
from multiprocessing import util
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rollout_viewer._cache.annotator import Annotator
from rollout_viewer._cache.block_appender import BlockAppender
from rollout_viewer._cache.completed_reader import CompletedReader
from rollout_viewer._cache.episode_infos import split_infos
from rollout_viewer._cache.losses import LossWarnings
from rollout_viewer._cache.rendering import Rendering
from rollout_viewer._cache.rendering_reader import RenderingReader
from rollout_viewer._cache.row_checker import RowChecker
from rollout_viewer._cache.shared_storage import (
    Upload,
    is_url,
    open_shared,
    without_credentials,
)
from rollout_viewer._cache.subscribers import Subscribers
from rollout_viewer._cache.summary import summary_of
from rollout_viewer._errors import RowError, ShapeError, warn_once
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._process.finalizers import finalize
from rollout_viewer._process.forks import LockOfOneProcess
from rollout_viewer._recording.annotations import episode_keys
from rollout_viewer._recording.checked_numbers import checked_number
from rollout_viewer._recording.decoder_cache import DecoderCache
from rollout_viewer._recording.eviction import Budget
from rollout_viewer._recording.file import FileRecording
from rollout_viewer._recording.joined import JoinedRecording
from rollout_viewer._recording.late_pictures import RECIPES
from rollout_viewer._recording.live import LiveRecording
from rollout_viewer._recording.lock import unlocked_path
from rollout_viewer._recording.noted_rows import NO_STARTS
from rollout_viewer._recording.step_buffer import Listeners
from rollout_viewer._recording.step_row import IDLE
from rollout_viewer._recording.storable import storable_json, storable_text
from rollout_viewer._recording.waiting_rows import WaitingRows
from rollout_viewer._recording.workers import is_worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rollout_viewer._cache.clip import Clip
    from rollout_viewer._cache.intake import Intake
    from rollout_viewer._cache.remote_rows import RemoteCache
    from rollout_viewer._cache.summary import Summary
    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._replay.recipe import Recipe

# Of memory_bytes, for what waits for the disk: an eighth.
_QUEUE_SHARE = 8
_MIN_BUDGET_BYTES = 1_000_000


class FrameCache(BlockAppender, CompletedReader, RenderingReader, Annotator):
    """What a recorder has seen: pictures without loss, rewards, ends, actions, data.

    Rows are appended by one recorder and never change. Everything is in one
    SQLite file as it arrives, so that at most a second of it is lost when the
    process is killed. No fault of the disk stops `append`; `flush` and `close`
    raise.

    Args:
        path: The recording file, or the URL of one on shared storage that fsspec knows
            (the extra ``fsspec``): it is written here and sent there by `flush` and
            `close`, and each time it has grown by half. A name that an earlier run
            took gets ``-1``, ``-2``, ... before its suffix; `path` is the real one (of
            a URL, the file here, and `url` is). Deleted with the cache if nothing was
            recorded. None: a temporary file, deleted with the cache.
        fps: Rows a second when played; None: 30, or what the recorder knows.
        memory_bytes: Bound for buffers, queue, and decoded chunks.
        disk_bytes: Bound for the file (while recording, SQLite's side file of some
            MB is beside it). None: the disk's. Step data is always written.
        keep: What happens at that size. ``"all"``: it counts as a full disk, and no
            more pictures are kept. ``"latest"``: the pictures of whole episodes are
            deleted, from the oldest; rows and episodes keep their numbers and step
            data. Rows of a `Clip` in use stay.
        max_stall_s: How long `append` waits for a slow disk, so that a kill loses
            32 rows at most. After that it warns, continues without waiting, and drops
            pictures, counted, when the queue (an eighth of `memory_bytes`) is full.
            One block of at most 128 kB is written by the call that fills it: where a
            disk hangs, so does that call, until the disk answers.
        metadata: JSON values, kept in the file. The viewer shows two of them beside
            what is recorded: ``"action_meanings"``, a list of what the numbers of a
            discrete action mean, and ``"fields"``, names of the numbers of a data
            array, as ``{"obs": ["cart position", "cart velocity", ...]}``.

    Raises:
        RecordingLockedError: Another process writes this file.
        RecordingError: The path cannot be written.

    Example:
        >>> import numpy as np
        >>> with FrameCache() as cache:
        ...     row = cache.append(np.zeros((2, 8, 8, 3), np.uint8))
        ...     cache[row].shape
        (2, 8, 8, 3)
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        fps: float | None = None,
        memory_bytes: int = 256_000_000,
        disk_bytes: int | None = None,
        keep: Literal["all", "latest"] = "all",
        max_stall_s: float = 1.0,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        fps = None if fps is None else checked_fps("FrameCache", fps)
        for name, nbytes in (
            ("memory_bytes", memory_bytes),
            ("disk_bytes", disk_bytes),
        ):
            if nbytes is not None and nbytes < _MIN_BUDGET_BYTES:
                raise ValueError(
                    f"FrameCache: expected {name} >= {_MIN_BUDGET_BYTES}, got "
                    f"{nbytes!r}."
                )
        stall: Any = max_stall_s
        if not isinstance(stall, Real) or not float(stall) >= 0:
            raise ValueError(
                "FrameCache: expected max_stall_s to be seconds, 0 or more, got "
                f"{max_stall_s!r}."
            )
        if keep not in ("all", "latest"):
            raise ValueError(
                f"FrameCache: expected keep to be 'all' or 'latest', got {keep!r}."
            )
        if keep == "latest" and disk_bytes is None:
            raise ValueError(
                "FrameCache: expected disk_bytes with keep='latest', got None. "
                "Say how large the file may become."
            )
        meta = {"fps": fps, "metadata": storable_json(dict(metadata or {}))}
        upload: Upload | None = None
        if is_url(path):
            upload = Upload(str(path))
            path = upload.local
        recording = LiveRecording(
            None if path is None else unlocked_path(Path(path)),
            queue_bytes=memory_bytes // _QUEUE_SHARE,
            max_stall_s=max_stall_s,
            meta=meta,
            budget=Budget(disk_bytes, keep),
        )
        self._start(recording, memory_bytes, live=recording, upload=upload)

    @classmethod
    def _open(
        cls,
        recording: Recording,
        *,
        memory_bytes: int = 256_000_000,
        make_env: Callable[..., Any] | None = None,
        render: bool = False,
    ) -> FrameCache:
        cache = cls.__new__(cls)
        cache._start(recording, memory_bytes)
        cache._rendering = Rendering(make_env=make_env, is_allowed=render)
        return cache

    def _start(
        self,
        recording: Recording,
        memory_bytes: int,
        *,
        live: LiveRecording | None = None,
        upload: Upload | None = None,
    ) -> None:
        self._live = live
        self._upload = upload
        super().__init__(recording, DecoderCache(memory_bytes))
        # One append at a time; held while the row is made, not while subscribers run.
        self._append_lock = LockOfOneProcess()
        self._checker = RowChecker()
        self._rendering = Rendering()
        self._segments: list[dict[str, Any]] = []
        self._subscribers = subscribers = Subscribers()
        self._listeners = Listeners(
            subscribers.callbacks, subscribers.notify, self._segments
        )
        self._completers = []
        self._intake: Intake | None = None
        self._losses = LossWarnings()
        release: Callable[[], object] = recording.release
        if upload is not None:
            upload.start(recording)
            release = functools.partial(upload.finish, recording.release, recording)
        self._finalizer = finalize(self, release)
        if is_worker():
            # A forked worker ends without running what Python runs at exit.
            util.Finalize(self, self._finalizer, exitpriority=0)

    # -- writing

    def append(
        self,
        frames: Any,
        *,
        envs: Sequence[int] | None = None,
        reward: Any = None,
        terminated: Any = None,
        truncated: Any = None,
        action: Any = None,
        reset: Any = None,
        kind: Any = None,
        data: Mapping[str, Any] | None = None,
        num_transitions: Any = None,
        episode_info: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> int:
        """Append one row and return its number.

        What is passed is copied before this returns. For B environments, every
        step argument has shape (B,), or is a scalar if B is 1. B is fixed by the
        first row.

        Args:
            frames: (B, H, W, 3), (H, W, 3), CHW tensors, a list of unequal ones,
                or a dict from camera to any of these; see `as_frames`. Cameras and
                envs that are left out show their last picture again; None in a
                list: this env has no picture in this row. None altogether: step
                data only, the last pictures are shown again. One picture for several
                envs is a picture of them all. Sizes may change from row to row.
            envs: The envs that `frames` shows, if not all.
            reward: Of the transition that led here.
            terminated: The episode ended with this transition.
            truncated: It was cut off.
            action: (B, ...) that led here; shown at the row where it was chosen.
            reset: Bool (B,): this row is the first of an episode.
            kind: (B,) of "reset", "step", "idle", "terminal_missing"; instead of
                `reset`. Idle envs repeat their picture, whatever `frames` holds.
            data: Name -> array (B, ...) of any shape.
            num_transitions: Int (B,), steps that this row covers where some were
                skipped; default 1.
            episode_info: Env -> ``{"seed": ..., "options": ..., "labels": ...}``
                of an episode that begins here.

        Raises:
            FrameError: The frames are none, changed their dtype, or have more than 256
                sizes.
            ShapeError: Step data does not fit. Nothing is recorded then.
            CacheClosedError: The cache was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
        """
        codes = kind if type(kind) is np.ndarray else None
        is_step = kind == "step" if type(kind) is str else kind is codes
        is_plain = is_step and reset is None and num_transitions is None
        with self._append_lock.lock:
            recording = self._live
            # `_writable`, written out, as are others: of each row.
            if recording is None or recording.is_closed or not recording.is_mine:
                recording = self._writable()
            row: int | None = None
            starts = NO_STARTS if is_plain else None
            if is_plain and (episode_info or codes is not None):
                starts = self._only_starts(episode_info, codes)
            if frames is not None and codes is not None and IDLE in codes.tobytes():
                starts = None  # an idle env repeats its picture, whatever comes
            if starts is not None:
                pictures = self._checker.like_last(frames, envs)
                if pictures is not None:
                    targets, images = pictures
                    row = recording.append_like_last(
                        targets,
                        images,
                        WaitingRows.put,
                        codes,
                        reward,
                        terminated,
                        truncated,
                        action,
                        data,
                        starts,
                    )
            if row is None:
                row = self._append(
                    recording,
                    frames,
                    envs,
                    action,
                    data,
                    num_transitions,
                    split_infos(episode_info or {}),
                    reward=reward,
                    terminated=terminated,
                    truncated=truncated,
                    reset=reset,
                    kind=kind,
                )
        if recording.has_trouble:
            self._warn_of_losses(recording)
        if self._subscribers.callbacks:
            self._subscribers.notify(row, row + 1)
        return row

    def remote(
        self, *, num_envs: int | None = None, host: str = "127.0.0.1"
    ) -> RemoteCache:
        """Return this cache for recorders in other processes: ``record(cache=...)``.

        They compress what they render and send it here, in blocks, at the latest after
        about a second. Their envs are side by side in this cache, in the order in which
        their processes were started, of those that are there at first; one that follows
        a process that was killed takes its envs, in which the unfinished episode has
        the label ``lost``. Once an environment is closed, all of its rows are here.

        The result can be pickled or captured by functions, as of `AsyncVectorEnv`,
        `SubprocVecEnv`, and of TorchRL's collectors and evaluators; it can be used in
        this process, too. Do not append to the cache yourself meanwhile.

        Args:
            num_envs: Of all recorders together; the first rows wait for them all, up to
                5 s. None: as many as there are when the
                first step comes, which is right where all make their environments
                before one steps, as vector environments and TorchRL's collectors of
                several processes do; not where they come one by one, as with Ray.
            host: Of this machine, as recorders on others reach it. They need the key
                that is in the result; rows are not encrypted.

        Raises:
            ValueError: `num_envs` is no number above 0, or another one than before;
                `host` is no address of one machine.
            ShapeError: The cache has another number of envs.
            CacheClosedError: It was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
            OSError: `host` is not this machine.

        Example:
            >>> from rollout_viewer import FrameCache, record
            >>> from rollout_viewer.testing import CountingEnv
            >>> cache = FrameCache()
            >>> remote = cache.remote(num_envs=2)
            >>> envs = [record(CountingEnv(), cache=remote) for _ in range(2)]
            >>> for env in envs:
            ...     _ = env.reset()
            ...     env.close()
            >>> cache.num_envs
            2
        """
        with self._append_lock.lock:
            self._writable()
            num_envs = _checked_num_envs(num_envs)
            if host in ("", "0.0.0.0", "::"):
                raise ValueError(
                    "FrameCache.remote: expected host to be an address at which "
                    f"recorders reach this machine, got {host!r}."
                )
            if num_envs is not None and self.num_envs not in (0, num_envs):
                raise ShapeError(
                    f"FrameCache.remote: expected num_envs={self.num_envs}, as the "
                    f"cache has, got {num_envs}."
                )
            if self._intake is None:
                # Of multiprocessing, parts of which Python in a browser has not.
                from rollout_viewer._cache.intake import Intake

                self._intake = Intake(self, num_envs, host)
            elif self._intake.arguments != (num_envs, host):
                raise ValueError(
                    "FrameCache.remote: expected the arguments of the first call, "
                    f"{self._intake.arguments}, got {(num_envs, host)}."
                )
            return self._intake.remote

    def add_recipe(self, recipe: Recipe) -> int:
        """Keep how a recorder's environments are made again; return its number."""
        self._writable()
        number, recipes = self._rendering.add_recipe(recipe)
        self.set_meta(RECIPES, recipes)
        return number

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value in the file.

        Raises:
            CacheClosedError: The cache was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
        """
        self._writable().set_meta(key, value)

    @contextlib.contextmanager
    def segment(
        self,
        name: str,
        *,
        seed: int | None = None,
        options: Mapping[str, Any] | None = None,
        **labels: Any,
    ) -> Iterator[None]:
        """Name the episodes that begin inside, as ``segment("eval", train_step=100)``.

        Args:
            name: Of the segment.
            seed: With which its episodes were reset.
            options: With which they were reset.
            **labels: Anything JSON takes; `Episode.labels`.
        """
        info: dict[str, Any] = {
            "segment": storable_text(name),
            "labels": storable_json(labels),
        }
        if seed is not None:
            info["seed"] = int(seed)
        if options is not None:
            info["options"] = storable_json(dict(options))
        self._segments.append(info)
        try:
            yield
        finally:
            self._segments.remove(info)

    def mark_fps(self, fps: float) -> None:
        """Set `fps` if neither the constructor nor a recorder has.

        Raises:
            ValueError: It is not a number above zero.
        """
        rate = checked_fps("FrameCache.mark_fps", fps)
        if self.recording.meta.get("fps") is None:
            self.set_meta("fps", rate)

    def update_metadata(self, **metadata: Any) -> None:
        """Add to `metadata`; what is there already stays."""
        merged = {**storable_json(metadata), **self.metadata}
        if merged != self.metadata:
            self.set_meta("metadata", merged)

    # -- leaving

    def summary(self) -> Summary:
        """Return the figures of the finished episodes: return, length, success.

        By key or attribute; shown as a table. An unfinished episode only counts in
        `num_episodes`, and in the success rate if its success is known.

        Example:
            >>> import numpy as np
            >>> from rollout_viewer import FrameCache
            >>> cache = FrameCache()
            >>> row = cache.append(None, reset=[True])
            >>> row = cache.append(None, reward=[2.0], terminated=[True])
            >>> cache.summary().return_mean
            2.0
        """
        return summary_of(self.episodes)

    def clip(
        self,
        start: int | None = None,
        stop: int | None = None,
        *,
        envs: Sequence[int] | None = None,
        episode: Episode | tuple[int, int] | None = None,
        camera: str | None = None,
    ) -> Clip:
        """Return an immutable selection: rows x envs, or one episode.

        Rows in which none of the envs did anything are left out of its frames, tables
        and files (`Clip.rows`), as where an env waited in the middle of an episode.

        Args:
            start: First row; None: 0. Negative ones count from the end, and what is
                beyond it is cut, as of slices.
            stop: Row after the last, likewise; None: all there is now.
            envs: None: all; those with pictures have tiles.
            episode: An `Episode` or (env, index); instead of rows and envs.
            camera: None: the first.

        Raises:
            RowError: Nothing is selected, or it is not there.
            TypeError: Rows or envs are no whole numbers.
        """
        from rollout_viewer._cache.clip import Clip

        self.complete()
        num_rows = self.num_rows
        if episode is not None:
            if start is not None or stop is not None or envs is not None:
                raise ValueError(
                    "FrameCache.clip: expected an episode or rows and envs, got both."
                )
            keys = [*episode_keys(episode)]
            if len(keys) != 1:
                raise ValueError(
                    f"FrameCache.clip: expected one episode, got {len(keys)}."
                )
            env, index = keys[0]
            found = self._episode(env, index)
            start, stop, envs = found.start, found.stop, [env]
        bounds = [
            None if row is None else checked_number("FrameCache.clip", name, row)
            for name, row in (("start", start), ("stop", stop))
        ]
        first, last, _ = slice(*bounds).indices(num_rows)
        return Clip(self, first, last, envs=envs, camera=camera)

    def _episode(self, env: int, index: int) -> Episode:
        episodes = self._rows(env).of_env(env)
        if not 0 <= index < len(episodes):
            raise RowError(
                f"FrameCache.clip: expected an episode of env {env} in "
                f"0..{len(episodes) - 1}, got {index!r}."
            )
        return episodes[index]

    def subscribe(self, callback: Callable[[int, int], None]) -> Callable[[], None]:
        """Call ``callback(start, stop)`` when rows came, until the result is called.

        Both are the same when no row came: bookmarks or labels changed.

        It runs in the thread that appends (of a file that another process writes, in
        one of its own) and should only note what it is called with. An exception in it
        becomes a warning.
        """
        unsubscribe = self._subscribers.add(callback)
        if self._live is None:
            self._subscribers.poll(self)
        return unsubscribe

    def save(self, path: str | Path) -> Path:
        """Write a complete copy, also while recording, and return its path.

        A name that is taken gets ``-1``, ``-2``, ... before its suffix.

        Raises:
            RecordingError: It cannot be written.
        """
        self.complete()
        target = unlocked_path(Path(path))
        self.recording.save(target)
        return target

    def flush(self) -> None:
        """Write all rows; a copy of the file alone is then complete.

        Raises:
            StorageError: Something recorded could not be written.
        """
        self._flush_file()
        if self._upload is not None:
            self._upload.send(self.recording)

    def flush_at_end(self) -> None:
        """`flush`, but a fault of shared storage is a warning: the file here has all.

        Raises:
            StorageError: Something recorded could not be written here.
        """
        self._flush_file()
        if self._upload is not None:
            self._upload.try_send(self.recording)

    def _flush_file(self) -> None:
        self.complete()
        self.recording.flush()

    def clear(self) -> None:
        """Forget all rows, here and in the file."""
        with self._append_lock.lock:
            recording = self._writable()
            # Before, so that what is just rendered is not missed where it was; and
            # after, when that has not found what it was to render.
            self._rendering.clear()
            recording.clear()
            self._rendering.clear()
            self._checker = RowChecker()
            self._decoders.clear()
        self._subscribers.notify(0, 0)

    def close(self) -> None:
        """End the recording and complete its file. What is there stays readable.

        Raises:
            StorageError: Something recorded could not be written. All the same it is
                closed, and sent to shared storage.
        """
        self.complete()
        if self._intake is not None and self.is_mine:
            self._intake.close()
        problems = self.finish_rendering() if self.is_mine else []
        try:
            self._close_recording()
        finally:
            for problem in problems:
                warn_once(problem)

    def _close_recording(self) -> None:
        try:
            with self._append_lock.lock:
                self.recording.close()
        except Exception:  # not where it was interrupted
            self._send_last()  # with what is here, and not in the file
            raise
        self._send_last()

    def _send_last(self) -> None:
        if self._upload is not None:
            self._upload.send(self.recording, is_last=True)

    @property
    def url(self) -> str | None:
        """Where it is on shared storage; None: it is not."""
        return None if self._upload is None else self._upload.url

    def __enter__(self) -> FrameCache:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.num_rows

    def __reduce__(self) -> tuple[Any, tuple[str | list[str]]]:
        # A copy in another process, or a deep copy, reads the same file.
        self.flush()
        paths = [str(path) for path in self.recording.paths]
        return open_recording, (paths if len(paths) > 1 else paths[0],)

    def __deepcopy__(self, _: Any) -> FrameCache:
        make, arguments = self.__reduce__()
        copy: FrameCache = make(*arguments)
        return copy

    def __repr__(self) -> str:
        num_rows, nbytes = self.num_rows, self.nbytes
        smaller = f", {self.raw_nbytes / nbytes:.0f}x smaller" if nbytes else ""
        return (
            f"<FrameCache of {num_rows} rows x {self.num_envs} envs, "
            f"{len(self.episodes)} episodes, {nbytes / 1e6:.1f} MB{smaller}, "
            f"{self.path}>"
        )


def open_recording(
    path: str | Path | Sequence[str | Path],
    *,
    originals: Mapping[int, FrameCache] | None = None,
    make_env: Callable[..., Any] | None = None,
    render: bool = False,
) -> FrameCache:
    """Return a recording for reading; one that is still written is followed.

    Args:
        path: A recording file, or several that are shown as one: their envs side by
            side, numbered on in this order, rows aligned at 0. Shorter ones end.
            While some are still written, rows come when all of those have them.
        originals: First env -> the cache that a file is a copy of, and which is
            annotated as well.
        make_env: Of `open_path`.
        render: Of `open_path`.

    Raises:
        RecordingError: It is none, is damaged, or comes from a newer version.
    """
    urls = [path] if isinstance(path, (str, os.PathLike)) else list(path)
    if any(is_url(url) for url in urls):
        if not all(is_url(url) for url in urls):
            raise ValueError(
                "rv.open: expected URLs or paths, got both: "
                f"{without_credentials(repr(urls)):.200}. Write paths as file:///... "
                "too."
            )
        shared = open_shared([str(url) for url in urls])
        return FrameCache._open(shared, make_env=make_env, render=render)
    if isinstance(path, (str, os.PathLike)):
        recording = FileRecording(Path(path))
        return FrameCache._open(recording, make_env=make_env, render=render)
    paths = [Path(one) for one in path]
    if not paths:
        raise ValueError("rv.open: expected at least one path, got none.")
    return FrameCache._open(JoinedRecording(paths, originals))


def _checked_num_envs(num_envs: Any) -> int | None:
    if num_envs is None:
        return None
    try:
        count = -1 if isinstance(num_envs, bool) else operator.index(num_envs)
    except TypeError:
        count = -1
    if count < 1:
        raise ValueError(
            f"FrameCache.remote: expected num_envs to be 1 or more, got {num_envs!r}."
        )
    return count
