"""The frame cache: one row an append, compressed, in a file as it arrives.

One recorder writes; any number of clips, viewers and threads read at the same
time. Knows frames and rows. Knows nothing of environments or widgets.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import warnings
import weakref
from multiprocessing import util
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsBytes

import numpy as np

from rollout_viewer._cache.background_rendering import EndedEpisode, Wanted
from rollout_viewer._cache.episode_infos import (
    merged_info,
    only_starts,
    split_infos,
)
from rollout_viewer._cache.rendering import Rendering
from rollout_viewer._cache.row_checker import RowChecker
from rollout_viewer._cache.shared_storage import (
    Upload,
    is_url,
    open_shared,
    without_credentials,
)
from rollout_viewer._cache.subscribers import Subscribers
from rollout_viewer._cache.summary import summary_of
from rollout_viewer._errors import (
    CacheClosedError,
    RolloutViewerWarning,
    RowError,
    ShapeError,
    warn_once,
)
from rollout_viewer._finalizers import finalize
from rollout_viewer._forks import LockOfOneProcess
from rollout_viewer._frames.chunk import CHUNK_ROWS
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._recording.annotations import (
    AnnotationChange,
    episode_keys,
)
from rollout_viewer._recording.decoder_cache import DecoderCache
from rollout_viewer._recording.eviction import Budget
from rollout_viewer._recording.file import FileRecording
from rollout_viewer._recording.info_types import stored_types
from rollout_viewer._recording.joined import JoinedRecording
from rollout_viewer._recording.late_pictures import RECIPES
from rollout_viewer._recording.live import NO_STARTS, LiveRecording
from rollout_viewer._recording.lock import read_only, unlocked_path
from rollout_viewer._recording.reader import RecordingReader
from rollout_viewer._recording.sealed_block import (
    few_rows,
    rows_for_blocks,
    side_by_side,
)
from rollout_viewer._recording.step_buffer import Listeners
from rollout_viewer._recording.step_row import IDLE, RESET
from rollout_viewer._recording.storable import storable_json, storable_text
from rollout_viewer._recording.waiting_rows import WaitingRows
from rollout_viewer._recording.workers import is_worker
from rollout_viewer._replay.render import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from rollout_viewer._cache.clip import Clip
    from rollout_viewer._cache.intake import Intake
    from rollout_viewer._cache.remote_rows import RemoteCache
    from rollout_viewer._cache.summary import Summary
    from rollout_viewer._recording.annotations import AnyEpisode
    from rollout_viewer._recording.base import Recording
    from rollout_viewer._recording.episode import Episode
    from rollout_viewer._recording.many_buffer import Buffer, ManyBuffer, ManyForm
    from rollout_viewer._recording.sealed_block import BlockRows, SealedBlock
    from rollout_viewer._recording.step_buffer import InfoForms, StepBuffer
    from rollout_viewer._replay.recipe import Recipe

# Of memory_bytes, for what waits for the disk: an eighth.
_QUEUE_SHARE = 8
_MIN_BUDGET_BYTES = 1_000_000


class FrameCache(RecordingReader):
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
        self._has_wanted = False
        self._segments: list[dict[str, Any]] = []
        self._subscribers = subscribers = Subscribers()
        self._listeners = Listeners(
            subscribers.callbacks, subscribers.notify, self._segments
        )
        # Weak: a recorder holds its cache.
        self._completers: list[weakref.WeakMethod[Callable[[], object]]] = []
        self._intake: Intake | None = None
        self._num_warned = 0
        self._has_warned_of_truncation = False
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

    def append_step(
        self,
        kind: npt.NDArray[np.uint8] | None,
        reward: Any,
        terminated: Any,
        truncated: Any,
        action: Any,
        data: Mapping[str, Any] | None,
        episode_info: Mapping[int, Mapping[str, Any]] | None = None,
    ) -> int | None:
        """Append a step without pictures, as `append` does, if it is like the last row.

        Args:
            kind: Codes (B,) of `Kind`; None: all envs step.
            reward: Of `append`, as all others.
            terminated: None: no env did.
            truncated: None: no env was.
            action: (B, ...)
            data: Name -> (B, ...)
            episode_info: Of the envs that are reset.

        Returns:
            The row; None: it is not like the last one, and nothing was recorded.
        """
        with self._append_lock.lock:
            recording = self._writable()
            if (starts := self._only_starts(episode_info, kind)) is None:
                return None
            row = recording.append_like_last(
                (),
                (),
                WaitingRows.put,
                kind,
                reward,
                terminated,
                truncated,
                action,
                data,
                starts,
            )
        if row is not None:
            self._note_appended(recording, row)
        return row

    def append_many(
        self,
        resets: npt.NDArray[np.bool_] | None,
        ended: npt.NDArray[np.bool_] | None,
        flags: npt.NDArray[np.uint8] | None,
        reward: Any,
        action: Any,
        values: Mapping[str, Any],
        starts: Mapping[int, SupportsBytes] = NO_STARTS,
    ) -> int | None:
        """Do the same where all envs step or are reset; see `WaitingRows.put_many`."""
        with self._append_lock.lock:
            recording = self._writable()
            if resets is not None and self._segments:
                return None  # what is known of all that begin in the segment
            row = recording.append_like_last(
                (),
                (),
                WaitingRows.put_many,
                resets,
                ended,
                flags,
                reward,
                action,
                values,
                starts,
            )
        if row is not None:
            self._note_appended(recording, row)
        return row

    def append_one(
        self,
        kind: int,
        flags: int,
        reward: Any,
        action: Any,
        values: Mapping[str, Any],
        start: bytes | None = None,
    ) -> int | None:
        """Do the same for a single env; see `WaitingRows.put_one`."""
        with self._append_lock.lock:
            recording = self._writable()
            if kind == RESET and self._segments:
                return None  # what is known of all that begin in the segment
            row = recording.append_like_last(
                (), (), WaitingRows.put_one, kind, flags, reward, action, values, start
            )
        if row is not None:
            self._note_appended(recording, row)
        return row

    def open_buffer(self, forms: InfoForms) -> StepBuffer | None:
        """Return where the next rows of a single env may be put, as by `append_one`.

        In a few hundred nanoseconds, if they are like the last one, which was put so.

        Args:
            forms: The numbers of an info that each of them has.

        Returns:
            None: nowhere, as yet.
        """
        with self._append_lock.lock:
            return self._writable().open_buffer(forms, self._listeners)

    def open_many(self, form: ManyForm) -> ManyBuffer | None:
        """Return where the next rows of many envs may be put, as by `append_many`.

        Args:
            form: Of an info that each of them has.
        """
        with self._append_lock.lock:
            return self._writable().open_many(form, self._listeners)

    def next_buffer(self, full: Buffer) -> Buffer | None:
        """Return where rows may be put after those of a full buffer; None: nowhere."""
        with self._append_lock.lock:
            return self._writable().next_buffer(full)

    def _note_appended(self, recording: LiveRecording, row: int) -> None:
        if recording.has_trouble:
            self._warn_of_losses(recording)
        if self._subscribers.callbacks:
            self._subscribers.notify(row, row + 1)

    def _only_starts(
        self,
        infos: Mapping[int, Mapping[str, Any]] | None,
        codes: npt.NDArray[Any] | None,
    ) -> Mapping[int, bytes] | None:
        """Return from where episodes can be replayed; None: more is known of them."""
        has_resets = codes is not None and RESET in codes.tobytes()
        if self._segments and (infos or has_resets):
            return None  # what is known of all that begin in the segment
        return only_starts(infos) if infos else NO_STARTS

    def _append(
        self,
        recording: LiveRecording,
        frames: Any,
        envs: Sequence[int] | None,
        action: Any,
        data: Mapping[str, Any] | None,
        num_transitions: Any,
        episodes: tuple[dict[int, Any], dict[int, bytes]],
        **steps: Any,
    ) -> int:
        """Append a row of any form."""
        recording.close_buffer()
        recording.recover()
        new = self._checker.check(
            recording, frames, envs, action, data, num_transitions, **steps
        )
        infos, starts = episodes
        recording.append(
            new.rows,
            new.steps,
            new.pictures,
            new.extras,
            new.shared,
            lambda env: merged_info(self.segment_info(), infos.get(env, {})),
            starts,
        )
        self._checker.accept(new)
        return new.rows.num_rows - 1

    def append_block(
        self,
        blocks: Mapping[int, SealedBlock],
        *,
        num_envs: int | None = None,
        fill: bool = True,
    ) -> int:
        """Append 32 rows that other processes have encoded, and return the first.

        Chunks are filed as they are: no picture is decoded. Blocks of different envs
        are in the same rows, side by side; envs that none of them has are idle, and so
        are those of a shorter block in the rows after it. Rows of an open block, as
        `append` leaves them, are filled up with idle ones before.

        Args:
            blocks: The number of a block's first env among all -> the block.
            num_envs: Of the recording, for its first rows; None: of these blocks.
            fill: False: append only as many rows as the longest block has. Pictures
                are decoded and encoded again then, so this is for a few rows of slow
                environments.

        Raises:
            RecordingError: A block is damaged, or is of other envs. Nothing is
                recorded then.
            ShapeError: The recording has another number of envs.
            CacheClosedError: The cache was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
        """
        return self._append_blocks([blocks], num_envs, fill=fill)

    def append_blocks(
        self,
        rounds: Sequence[Mapping[int, SealedBlock]],
        *,
        num_envs: int | None = None,
    ) -> int:
        """Append 32 rows for each of `rounds`, and return the first of all.

        As `append_block` does for one of them, in less time: they are written together.

        Args:
            rounds: Blocks, each as `append_block` takes them.
            num_envs: As there.

        Raises:
            RecordingError: A block is damaged, or is of other envs. Of that round and
                those after it nothing is recorded.
            ShapeError: As there, as the others.
            CacheClosedError: The cache was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
        """
        return self._append_blocks(rounds, num_envs, fill=True)

    def _append_blocks(
        self,
        rounds: Sequence[Mapping[int, SealedBlock]],
        num_envs: int | None,
        *,
        fill: bool,
    ) -> int:
        first = rounds[0] if rounds else {}
        longest = max((one.num_rows for one in first.values()), default=0)
        appended: list[tuple[int, int]] = []
        try:
            with self._append_lock.lock:
                recording = self._writable()
                recording.close_buffer()
                recording.recover()
                rows = rows_for_blocks(recording.rows, first, num_envs)

                def prepared() -> Iterator[BlockRows]:
                    """Yield what is appended, each with the rows before it there."""
                    for blocks in rounds:
                        rows_for_blocks(rows, blocks, num_envs)
                        block = side_by_side(blocks, rows, stored_types(recording.meta))
                        recording.check_block(block)
                        if not fill:
                            block = few_rows(block, longest)
                        while rows.num_rows % CHUNK_ROWS + block.num_rows > CHUNK_ROWS:
                            self._append_idle(recording)
                        start = rows.num_rows
                        yield block
                        appended.append((start, rows.num_rows))

                recording.append_blocks(
                    rows,
                    prepared(),
                    lambda info: merged_info(self.segment_info(), info),
                )
            self._warn_of_losses(recording)
        finally:
            if appended:
                self._subscribers.notify(appended[0][0], appended[-1][1])
        return appended[0][0]

    def _append_idle(self, recording: LiveRecording) -> None:
        steps = {"kind": "idle"}
        new = self._checker.check(recording, None, None, None, None, None, **steps)
        recording.append(
            new.rows, new.steps, [], new.extras, new.shared, lambda env: {}
        )

    @property
    def num_appended(self) -> int:
        """How many rows were appended: `num_rows`, in less time."""
        return self._live.num_appended if self._live is not None else self.num_rows

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

    def before_reading(self, complete: Callable[[], object]) -> None:
        """Call a method before numbers are read, to append rows that it owes.

        Before `episodes`, `scalars`, `column`, `find`, `clip`, exports, `flush`, `save`
        and `close`: a recorder that skips calls then has rows for all of their rewards.
        Not before `num_rows`, `at` and pictures, which are about rows that are there:
        else whoever reads them after each step would add a row for each skipped one.
        The method's object is not kept alive.
        """
        self._completers = [one for one in self._completers if one() is not None]
        self._completers.append(weakref.WeakMethod(complete))

    def complete(self) -> None:
        """Append the rows that a recorder owes; see `before_reading`."""
        for reference in self._completers:
            if (complete := reference()) is not None:
                complete()

    @property
    def episodes(self) -> list[Episode]:
        """All episodes with a step, unfinished ones too; see `RecordingReader`."""
        self.complete()
        return super().episodes

    @property
    def scalars(self) -> Mapping[str, npt.NDArray[Any]]:
        """Step data by name, each (num_rows, num_envs); see `RecordingReader`."""
        self.complete()
        return super().scalars

    # -- pictures that come later

    def frames(
        self,
        rows: int | slice | Sequence[int] | range,
        envs: Sequence[int] | None = None,
        camera: str | None = None,
        out: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return pictures; see `RecordingReader.frames`. Missing ones are rendered.

        Raises:
            RenderError: They are to be rendered, and cannot be.
        """
        if RECIPES in self.recording.meta:
            self._rendering.on_demand(self, self._row_numbers(rows), envs, camera)
        return super().frames(rows, envs, camera, out)

    def prepare_pictures(
        self,
        start: int,
        stop: int,
        envs: Sequence[int] | None,
        camera: str | None,
        *,
        is_optional: bool = False,
    ) -> None:
        """Render what is missing of rows that are about to be read.

        Raises:
            RenderError: They are to be rendered, and cannot be; where it `is_optional`,
                not for want of permission.
        """
        if is_optional and not self._rendering.is_possible:
            return
        if RECIPES in self.recording.meta:
            self._rendering.on_demand(self, range(start, stop), envs, camera)

    def render_for_export(
        self,
        start: int,
        stop: int,
        envs: Sequence[int] | None,
        *,
        on_progress: Callable[[int, int], object],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Render what is missing of rows that a page exports.

        Args:
            start: First row.
            stop: Row after the last one.
            envs: None: all.
            on_progress: Called with (pictures rendered, all of them).
            is_cancelled: Asked often whether to stop.

        Raises:
            RenderError: They are to be rendered, and cannot be.
            ExportCancelled: As `is_cancelled` says; what was rendered stays.
        """
        if RECIPES in self.recording.meta:
            watch = Watch(on_progress, is_cancelled)
            rows = range(start, stop)
            self._rendering.on_demand(self, rows, envs, None, watch)

    @property
    def renders_pictures(self) -> bool:
        """Whether pictures that are looked at are rendered."""
        return (
            RECIPES in self.recording.meta
            and self._rendering.is_possible
            and self._rendering.background.error is None
        )

    def want_pictures(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Render the pictures of (row, env) and their blocks soon, and no others.

        Most urgent first, in the background. To be called again and again, as long as
        they are wanted: what is wanted no more, or for seconds, is stopped.
        """
        if self.renders_pictures and (wanted or self._has_wanted):
            self._has_wanted = bool(wanted)
            self._rendering.background.want(self, [Wanted(*one) for one in wanted])

    def warm_up(self) -> None:
        """Make ready for pictures that will be looked at; returns at once."""
        if self.renders_pictures:
            self._rendering.background.warm_up(self)

    def render_ended(self, env: int, start: int, stop: int) -> None:
        """Render rows of an env soon, in the background: an episode that has ended.

        Returns at once. Where it fails, or too many wait, a recorder warns.
        """
        episode = EndedEpisode(env, start, stop)
        self._rendering.background.add(self, episode)

    def finish_rendering(self) -> list[str]:
        """Wait for episodes that are rendered in the background.

        Interrupted, as by Ctrl-C, the others stay without pictures; `render` makes
        them.

        Returns:
            As `rendering_problems`.
        """
        background = self._rendering.known_background
        if background is not None:
            background.finish()
        return self.rendering_problems()

    def rendering_problems(self) -> list[str]:
        """Return what is to be warned of, of episodes rendered in the background."""
        background = self._rendering.known_background
        return [] if background is None else background.problems()

    def envs_to_render(self) -> list[int]:
        """Return the envs whose pictures may be rendered."""
        return self._rendering.envs(self)

    def is_pending(self, row: int, env: int) -> bool:
        """Whether a picture is still to come, if it is wanted."""
        return (
            self.renders_pictures
            and self.is_to_render(row, env)
            and not self._rendering.background.is_without(row, env)
        )

    def notify_pictures(self) -> None:
        """Notify viewers of pictures that were rendered."""
        self._subscribers.notify(self.num_rows, self.num_rows)

    @property
    def rendering_error(self) -> Exception | None:
        """Why no more pictures are rendered in the background; None: they are."""
        if RECIPES not in self.recording.meta:
            return None
        return self._rendering.background.error

    def render(
        self,
        rows: int | slice | Sequence[int] | range | None = None,
        envs: Sequence[int] | None = None,
        *,
        workers: int | None = None,
        camera: str | None = None,
        width: int | None = None,
        height: int | None = None,
        make_env: Callable[..., Any] | None = None,
        progress: bool = True,
    ) -> int:
        """Render pictures of rows that have none, by replaying their episodes.

        Of recordings made with ``render="later"``. Environments are made and stepped in
        processes of their own, and compared with what was recorded, row by row: from
        the first difference on, an episode stays without pictures, with a warning.
        What was rendered is in the recording, and is not rendered again.

        Args:
            rows: A row, a slice, or any rows; None: all.
            envs: Numbers of envs; None: those that the recorder was to picture.
            workers: Processes; None: half of the cores.
            camera: Add the pictures as this camera's; of MuJoCo's environments, as it
                sees them (their argument ``camera_name``). None: the first camera.
            width: In pixels, where the environments take it, as MuJoCo's do.
            height: In pixels, likewise. Without `camera`, another size is another
                camera, as ``"320x240"``.
            make_env: Returns the same environment anew; called with the env's number
                if it takes an argument, and with ``width=``, ``height=`` and
                ``camera_name=`` where they are given and it takes them. None: as the
                recording says.
            progress: Show a bar if it takes longer.

        Returns:
            How many pictures were rendered.

        Raises:
            RenderError: The recording does not say how its environments are made, or
                was opened for its data alone; or an environment gives no pictures.
            ValueError: `make_env` does not take `width` or `height`.
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.
        """
        numbers = None if rows is None else self._row_numbers(rows)
        num_pictures = self._rendering.render(
            self,
            numbers,
            envs,
            workers=workers,
            camera=camera,
            width=width,
            height=height,
            make_env=make_env,
            has_progress=progress,
        )
        if num_pictures:
            self.notify_pictures()
        return num_pictures

    def add_recipe(self, recipe: Recipe) -> int:
        """Keep how a recorder's environments are made again; return its number."""
        self._writable()
        number, recipes = self._rendering.add_recipe(recipe)
        self.set_meta(RECIPES, recipes)
        return number

    def render_by(self, recipe: Recipe) -> None:
        """Render by a recipe of this process, whatever the file says."""
        self._rendering.add_recipe(recipe)

    def column(
        self, name: str, start: int = 0, stop: int | None = None
    ) -> npt.NDArray[Any]:
        """Return ``"action"`` or a `data` array; see `RecordingReader`."""
        self.complete()
        return super().column(name, start, stop)

    def find(self, env: int, episode: int, episode_step: int) -> int:
        """Return the row of a step; see `RecordingReader`."""
        self.complete()
        return super().find(env, episode, episode_step)

    def set_meta(self, key: str, value: Any) -> None:
        """Keep a JSON value in the file.

        Raises:
            CacheClosedError: The cache was closed.
            ReadOnlyError: It was opened for reading, or inherited by a fork.
        """
        self._writable().set_meta(key, value)

    @property
    def is_mine(self) -> bool:
        """Whether this process records into it; False of what was opened or forked."""
        return self.recording.is_mine

    def _writable(self) -> LiveRecording:
        recording = self._live
        if recording is None or not recording.is_mine:
            raise read_only(self.path)
        if recording.is_closed:
            raise CacheClosedError(
                "FrameCache.append: expected an open cache, got a closed one. "
                "Record into a new FrameCache."
            )
        return recording

    def _warn_of_losses(self, recording: LiveRecording) -> None:
        truncated = recording.budget.truncated_episode
        if truncated is not None and not self._has_warned_of_truncation:
            self._has_warned_of_truncation = True
            warnings.warn(
                "FrameCache: expected episodes that fit into disk_bytes="
                f"{recording.budget.disk_bytes}, got a longer one of env "
                f"{truncated[0]} (from row {truncated[1]} on). Its newest rows are "
                "kept; raise disk_bytes to keep it whole.",
                RolloutViewerWarning,
                stacklevel=3,
            )
        lost = recording.num_lost
        is_faulty = lost or recording.fault or recording.is_behind
        if is_faulty and not self._num_warned:
            self._num_warned = 1
            reason = recording.fault or "a disk slower than the recording"
            warnings.warn(
                f"FrameCache: expected to write {str(recording.path)!r}, got {reason}. "
                f"{lost} pictures are lost so far; recording goes on with what can be "
                "kept, and num_lost counts.",
                RolloutViewerWarning,
                stacklevel=3,
            )

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

    def segment_info(self) -> dict[str, Any]:
        """Return what is known of an episode that begins now, from `segment`."""
        return dict(self._segments[-1]) if self._segments else {}

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

    # -- annotations

    def bookmark(self, row: int, note: str = "") -> None:
        """Mark a row, with a note; one that is marked gets this note.

        Args:
            row: Negative ones count from the end.
            note: Anything.

        Raises:
            RowError: There is no such row.
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.
        """
        self.annotate(
            AnnotationChange(bookmarks={self._row_numbers(row)[0]: storable_text(note)})
        )

    def remove_bookmark(self, row: int) -> None:
        """Take a row's bookmark away; does nothing where there is none.

        Raises:
            RowError, RecordingLockedError, ReadOnlyError: As `bookmark`.
        """
        self.annotate(AnnotationChange(bookmarks={self._row_numbers(row)[0]: None}))

    def label(
        self, episode: AnyEpisode | Iterable[AnyEpisode], *words: str, **values: Any
    ) -> None:
        """Label an episode, or several: ``cache.label(episode, "failure")``.

        Labels are kept in `Episode.labels`, beside those of its segment.

        Args:
            episode: An `Episode` or (env, index), or several of them.
            *words: "success", "failure" or any others; their value is True.
            **values: Labels with a value that JSON takes, as ``grasps=2``.

        Raises:
            ValueError: No label was given, or an empty one.
            RowError: There is no such episode.
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.

        Example:
            >>> import numpy as np
            >>> from rollout_viewer import FrameCache
            >>> cache = FrameCache()
            >>> row = cache.append(np.zeros((1, 8, 8, 3), np.uint8))
            >>> cache.label(cache.episodes[0], "failure", grasps=2)
            >>> cache.episodes[0].labels
            {'failure': True, 'grasps': 2}
        """
        if None in values.values():
            raise ValueError(
                f"FrameCache.label: expected labels with values, got {values!r}. "
                "unlabel() takes a label away."
            )
        labels = {**dict.fromkeys(words, True), **values}
        self._label(episode, storable_json(labels))

    def unlabel(self, episode: AnyEpisode | Iterable[AnyEpisode], *names: str) -> None:
        """Take labels away; those that an episode does not have are passed over.

        Raises:
            ValueError, RowError, RecordingLockedError, ReadOnlyError: As `label`.
        """
        self._label(episode, dict.fromkeys(names))

    def _label(
        self, episode: AnyEpisode | Iterable[AnyEpisode], labels: dict[str, Any]
    ) -> None:
        for name in labels:
            if not str(name).strip():
                raise ValueError(
                    f"FrameCache.label: expected labels with letters, got {name!r}. "
                    'Pass words, as in cache.label(episode, "success").'
                )
        if not labels:
            raise ValueError(
                "FrameCache.label: expected a label, got none. "
                'Pass words, as in cache.label(episode, "success").'
            )
        marked = dict.fromkeys(self._begun("label", episode), labels)
        self.annotate(AnnotationChange(labels=marked))

    def mark_success(
        self, episode: AnyEpisode | Iterable[AnyEpisode], success: bool | None
    ) -> None:
        """Set `Episode.success` of an episode, or of several; None: it is not known.

        Args:
            episode: An `Episode` or (env, index), or several of them.
            success: Also in place of what a recorder has found.

        Raises:
            ValueError: `success` is something else.
            RowError, RecordingLockedError, ReadOnlyError: As `label`.
        """
        if success is not None and not isinstance(success, (bool, np.bool_)):
            raise ValueError(
                "FrameCache.mark_success: expected True, False or None, got "
                f"{success!r}."
            )
        value = None if success is None else bool(success)
        keys = self._begun("mark_success", episode)
        self.annotate(AnnotationChange(success=dict.fromkeys(keys, value)))

    def _begun(
        self, method: str, episode: AnyEpisode | Iterable[AnyEpisode]
    ) -> list[tuple[int, int]]:
        """Return (env, index) of episodes that are there."""
        keys = [*episode_keys(episode)]
        self.check_episodes(f"FrameCache.{method}", keys)
        return keys

    def check_episodes(self, where: str, episodes: Iterable[tuple[int, int]]) -> None:
        """Raise a `RowError` if an (env, index) of an episode is not there."""
        for env, index in episodes:
            rows = self._rows(env)
            if rows.begun(env, index) is None or index < 0:
                raise RowError(
                    f"{where}: expected an episode of env {env} in "
                    f"0..{rows.num_begun(env) - 1}, got {index!r}."
                )

    def annotate(self, change: AnnotationChange) -> None:
        """Apply a change of bookmarks, labels and success, as `label` makes one.

        Raises:
            RecordingLockedError: Another process records it.
            ReadOnlyError: The file cannot be written.
        """
        self.recording.annotate(change)
        # No row was added, but viewers have something new to show.
        self._subscribers.notify(self.num_rows, self.num_rows)

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

        Args:
            start: First row; None: 0.
            stop: Row after the last; None: all there is now.
            envs: None: all; those with pictures have tiles.
            episode: An `Episode` or (env, index); instead of rows and envs.
            camera: None: the first.

        Raises:
            RowError: Nothing is selected, or it is not there.
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
        first, last, _ = slice(start, stop).indices(num_rows)
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
