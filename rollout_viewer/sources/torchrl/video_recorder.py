"""VideoRecorder: TorchRL's transform, with the frames in a cache.

The transform, its options, dumps and copies. `_call_reader` reads the tensordicts,
`_video_rows` records them, `_frame_buffer` is `obs`. Knows TorchRL's transforms.
"""

from __future__ import annotations

import functools
import math
import operator
import os
import warnings
import weakref
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torchrl.record import VideoRecorder as TorchRLVideoRecorder

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import (
    RolloutViewerError,
    RolloutViewerWarning,
    ShapeError,
)
from rollout_viewer._files.names import checked_tag
from rollout_viewer._frames.fps import checked_fps
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.views import ShownInNotebook
from rollout_viewer._recording.workers import is_worker, worker_path
from rollout_viewer._replay.episode_start import START
from rollout_viewer.sources._adapters import later_of
from rollout_viewer.sources._guard import SurvivesFaults
from rollout_viewer.sources.torchrl._batch_slices import Slices
from rollout_viewer.sources.torchrl._call_reader import (
    CallReader,
    camera_of,
    entries_of,
)
from rollout_viewer.sources.torchrl._env_info import metadata_of
from rollout_viewer.sources.torchrl._frame_buffer import KeptFrames, KeptRows
from rollout_viewer.sources.torchrl._later import insert_tap, tap_of
from rollout_viewer.sources.torchrl._step_data import Call
from rollout_viewer.sources.torchrl._video_rows import VideoRows
from rollout_viewer.sources.torchrl.pixel_render import is_switched_off

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tensordict import TensorDictBase

    from rollout_viewer._frames.convert import Channels
    from rollout_viewer._replay.recipe import Recipe
    from rollout_viewer.sources.torchrl._call_reader import Entries, Key


class VideoRecorder(SurvivesFaults, ShownInNotebook, TorchRLVideoRecorder):  # type: ignore[misc]  # torchrl is untyped
    """Records each call into a `FrameCache`, in place of TorchRL's of the same name.

    Append it to an environment or a replay buffer. Rewards, ends and actions are
    recorded with the frames, of each env of a batch, with or without `make_grid`.

    Unlike TorchRL's:

    - After a `dump`, `obs` is empty and `count` 0; `cache` and `viewer` keep all
      frames. If the logger fails, `obs` keeps its frames for the next dump; a failure
      in `dump_on_done` is warned of.
    - `obs` reads like a list, and decodes its frames when they are read;
      ``torch.stack(list(recorder.obs))`` is the video. Gray frames have three
      channels, and no frame shares the caller's memory.
    - Floats in [0, 1] are scaled to 0..255 (after the first one above 2, a key's
      floats are in 0..255), integers are clipped, bools are black and white.
    - Several `in_keys` are several cameras of one recording: `count` counts calls,
      `obs` and the dump under `tag` are of the first key, and each other key gets a
      dump ``<tag>_<key>``.
    - On a partial reset the other envs' cells repeat their pictures; TorchRL's show
      those of their last resets.
    - The alpha channel of RGBA is dropped. Of a frame stack along the channels,
      (12, H, W) or (4, H, W), the newest frame is recorded.
    - `center_crop` needs no torchvision.
    - A `skip` that is no positive integer raises at once. `skip` and `make_grid` that
      are None follow the environment that the recorder is appended to, also after
      they were read.
    - What `skip` leaves out is a picture: rewards and ends are recorded of each step,
      an end at once, the others before the recording is read.
    - A clone shares the cache, with an empty `obs` of its own: it dumps what either
      records from then on. A pickled recorder has an empty cache.
    - Where an environment has several rewards, as of groups of agents that may be
      adversaries, the row's reward is the first one, summed over its agents, and each
      is data of its own, ``reward.<group>``.
    - Of a batch without `make_grid` and without an environment, the slices become
      episodes.
    - `dump` returns the files, where the logger returns them. Dumped through the
      environment (``env.transform.dump()`` of a `Compose`), they are written, but
      TorchRL's `Compose.dump` returns nothing: call the recorder's own for the paths.

    Args:
        logger: Where dumps go; anything with ``log_video(name=, video=, step=)``, or
            a service with ``client()``. None: `dump` only empties `obs`.
        tag: Name of the dumps.
        in_keys: Entries with pictures. None: ``["pixels"]``.
        skip: Keep each n-th call, resets included: the n-th is the first. None: 2
            for a single environment, else 1.
        center_crop: Side in pixels of the square in the middle to keep.
        make_grid: Whether a batch is one frame of a dump. None: in an environment.
        out_keys: Where the entries are written to. None: `in_keys`.
        fps: Of the video, and of the cache. None: the logger's ``video_fps``.
        max_frames: Do not record frames while `obs` has that many.
        dump_on_done: Dump when all envs ended with one step.
        cache: Where to record; a path: a new `FrameCache` there; None: a new one in a
            temporary file.
        channels: Where an entry's channels are: "first", "last", or "auto", which
            decides by size, as TorchRL does.
        slice_len: Frames of each slice of a batch from a replay buffer. None: slices
            end where the batch says so (ends, trajectory numbers), and where a frame
            is not the one after the frame before (``"index"``, or else observations).
        **kwargs: For `log_video`.

    Raises:
        ValueError: `skip` or `max_frames` is not positive, `channels` unknown, or
            `tag` leads out of a logger's folder.
        TypeError: `cache` is not a `FrameCache` or path, or `tag` is no text.

    Example:
        >>> import torch
        >>> recorder = VideoRecorder(None, "video")
        >>> for level in range(3):
        ...     picture = torch.full((3, 16, 16), level, dtype=torch.uint8)
        ...     _ = recorder._apply_transform(picture)
        >>> len(recorder.obs), recorder.obs[-1].shape
        (3, torch.Size([3, 16, 16]))

    Source: torchrl 0.14.1, torchrl/record/recorder.py.
    """

    def __init__(
        self,
        logger: Any,
        tag: str | None,
        in_keys: Sequence[Key] | str | None = None,
        skip: int | None = None,
        center_crop: int | None = None,
        make_grid: bool | None = None,
        out_keys: Sequence[Key] | str | None = None,
        fps: float | None = None,
        max_frames: int | None = None,
        dump_on_done: bool = False,
        *,
        cache: FrameCache | str | Path | None = None,
        channels: Channels = "auto",
        slice_len: int | None = None,
        render: Literal["now", "later"] = "now",
        make_env: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._later = later_of("VideoRecorder", render, make_env)
        self._recipe: Recipe | None = None
        if self._later is not None and in_keys not in (None, "pixels", ["pixels"]):
            raise ValueError(
                "VideoRecorder: expected no in_keys with render='later', which needs "
                f"no entry of pictures, got {in_keys!r}."
            )
        if channels not in ("auto", "first", "last"):
            raise ValueError(
                "VideoRecorder: expected channels to be 'auto', 'first' or 'last', got "
                f"{channels!r}."
            )
        if not (cache is None or isinstance(cache, (FrameCache, str, Path))):
            raise TypeError(
                "VideoRecorder: expected cache to be a FrameCache or the path of a new "
                f"one, got {type(cache).__name__}."
            )
        if tag is not None:
            checked_tag("VideoRecorder", tag)
        self._given_cache = cache
        self._slice_len = _checked("slice_len", slice_len)
        self._channels = channels
        fps = None if fps is None else checked_fps("VideoRecorder", fps)
        self._fps = fps
        self._start_anew()
        super().__init__(
            logger,
            tag,
            in_keys=in_keys,
            skip=skip,
            # TorchRL's would import torchvision.
            center_crop=None,
            make_grid=make_grid,
            out_keys=out_keys,
            fps=fps,
            max_frames=max_frames,
            dump_on_done=dump_on_done,
            **kwargs,
        )
        self.center_crop = center_crop
        self._obs = self._new_obs()

    def _start_anew(self) -> None:
        """Forget the recording: the next frame starts a new one."""
        self._rows: VideoRows | None = None
        self._viewer: Any = None
        self._kept = KeptRows()
        self._pid = os.getpid()
        self._forget_env()

    def _forget_env(self) -> None:
        self._calls: CallReader | None = None
        self._has_warned_of_slices = False

    # -- TorchRL's attributes

    @property
    def skip(self) -> int:
        """Which calls are kept; see the class."""
        if self._skip is not None:
            return int(self._skip)
        parent = self.parent
        is_single = parent is not None and not len(getattr(parent, "batch_size", ()))
        return 2 if is_single else 1

    @skip.setter
    def skip(self, value: int | None) -> None:
        self._skip = _checked("skip", value)

    @property
    def make_grid(self) -> bool:
        """Whether a batch is one frame of a dump; see the class."""
        if self._make_grid is not None:
            return bool(self._make_grid)
        return self.parent is not None

    @make_grid.setter
    def make_grid(self, value: bool | None) -> None:
        self._make_grid = value

    @property
    def obs(self) -> KeptFrames:
        """The frames since the last dump, of the first key; see `KeptFrames`."""
        return self._obs

    @obs.setter
    def obs(self, value: Sequence[Any]) -> None:
        if len(value):
            raise ValueError(
                f"VideoRecorder.obs: expected an empty list, got {len(value)} frames. "
                "Frames are recorded by calls; obs can only be emptied."
            )
        # TorchRL's constructor sets it as well, before there are keys.
        if "_obs" in self.__dict__:
            self._obs.end()
            self._obs = self._new_obs()

    def _new_obs(self) -> KeptFrames:
        return KeptFrames(self._kept, camera_of(self.in_keys[0]))

    def transform_observation_spec(self, observation_spec: Any) -> Any:
        """Return the spec with `out_keys` in it."""
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            if in_key != out_key and in_key in observation_spec.keys(True, True):
                observation_spec[out_key] = observation_spec[in_key].clone()
        return observation_spec

    def set_container(self, container: Any) -> None:
        """Set the environment or `Compose` that it is appended to.

        Raises:
            UnsupportedEnvError: With ``render="later"``, it cannot be made again.
        """
        super().set_container(container)
        self._forget_env()
        if self._later is not None and self.parent is not None:
            self._recipe = insert_tap(self.parent, self._later)

    def reset_parent(self) -> None:
        """Remove it from the environment."""
        super().reset_parent()
        self._forget_env()

    def close(self) -> None:
        """Write the recording to its file; it stays readable."""
        if self._rows is not None and self._pid == os.getpid():
            self._rows.recorder.finish()

    # -- recording

    @property
    def _guarded_recorder(self) -> Recorder:
        assert self._rows is not None
        return self._rows.recorder

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        return self._pass(tensordict_reset, Call(True, tensordict, tensordict_reset))

    def _step(
        self, tensordict: TensorDictBase, next_tensordict: TensorDictBase
    ) -> TensorDictBase:
        self._pass(next_tensordict, Call(False, tensordict, next_tensordict))
        if self.dump_on_done and self._all_done(next_tensordict):
            try:
                self.dump()
            except Exception as error:  # a logger must not stop the training
                warnings.warn(
                    f"VideoRecorder: expected to dump {self.tag!r}, got {error!r}; "
                    f"recording continues, and its {len(self.obs)} frames are kept for "
                    "the next dump.",
                    RolloutViewerWarning,
                    stacklevel=2,
                )
        return next_tensordict

    def _all_done(self, next_tensordict: TensorDictBase) -> bool:
        num_envs = 1 if self._rows is None else self._rows.recorder.num_envs
        return self._reader().all_ended(next_tensordict, num_envs)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._pass(next_tensordict, Call())

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Record a batch of a replay buffer or data set, and return it."""
        if self.parent is not None or self.make_grid or not tensordict.batch_dims:
            return self._call(tensordict)
        entries = self._entries(tensordict)
        if entries and self._counts():
            self._record_slices(tensordict, entries)
        return tensordict

    def _record_slices(self, tensordict: TensorDictBase, entries: Entries) -> None:
        key = self.in_keys[0]
        is_next = isinstance(key, tuple) and key[0] == "next"
        slices = Slices(tensordict, is_next, self._slice_len)
        if not slices.has_bounds and not self._has_warned_of_slices:
            self._has_warned_of_slices = True
            warnings.warn(
                "VideoRecorder: expected trajectory numbers or ends in a batch of "
                f"{tensordict.numel()} frames, got neither; it is recorded as one "
                "episode. Pass slice_len= if it consists of equal slices.",
                RolloutViewerWarning,
                stacklevel=3,
            )
        size = tensordict.numel()
        room = size if self.max_frames is None else self._room()
        cameras = self._reader().cameras(entries)
        self._rows_of(1).add_slices(slices, cameras, size, room)

    def _apply_transform(self, observation: Any) -> Any:
        self._record({camera_of(self.in_keys[0]): (observation, None)}, Call())
        return observation

    def _pass(self, td: TensorDictBase, call: Call) -> TensorDictBase:
        if self._recipe is not None and call.before is not None:
            if self._rows is None:
                self._record_later(call)
            else:
                self._record_call(_kind_of(call), self._record_later, call)
            return td
        entries = self._entries(td)
        if entries and (call.before is None or self._rows is None):
            self._record(entries, call)
        elif entries:  # a call of an environment that has been recorded before
            self._record_call(_kind_of(call), self._record, entries, call)
        return td

    def _entries(self, td: TensorDictBase) -> Entries:
        """Return the cameras' entries, and set `out_keys`."""
        in_keys = self.in_keys
        entries = entries_of(td, in_keys)
        for in_key, out_key in zip(in_keys, self.out_keys, strict=True):
            entry = entries.get(camera_of(in_key))
            if entry is not None:
                # An entry that is written to where it is stays as it is.
                if in_key != out_key or type(entry[0]) is not torch.Tensor:
                    td.set(out_key, entry[0])
            elif not (self.missing_tolerance or is_switched_off(self._env(), in_key)):
                raise KeyError(f"{self}: '{in_key}' not found in tensordict {td}")
        return entries

    def _counts(self) -> bool:
        """Count a call; return whether it is kept."""
        # Past the checks of `Module.__setattr__`, which take as long as all else here.
        self.__dict__["count"] += 1
        is_full = self.max_frames is not None and len(self.obs) >= self.max_frames
        return self.count % self.skip == 0 and not is_full

    def _record(self, entries: Entries, call: Call) -> None:
        is_kept, is_grid = self._counts(), self.make_grid
        if not is_grid and self.parent is None:
            if is_kept:
                cameras = self._reader().cameras(entries)
                room = min(len(one) for one in cameras.values())
                room = room if self.max_frames is None else min(room, self._room())
                self._rows_of(1).add_pictures(cameras, room)
            return
        num_envs = self._reader().num_envs(entries)
        rows = self._rows_of(num_envs)
        reader = self._reader()  # a new recording has a new one
        rows.add_call(
            None if call.before is None else reader.row(call, num_envs),
            functools.partial(reader.pictures, entries, num_envs),
            is_kept=is_kept,
            is_grid=is_grid,
            room=num_envs if self.max_frames is None else self._room(),
        )

    def _record_later(self, call: Call) -> None:
        """Record a call without a picture, and what a replay needs of it."""
        tap = tap_of(self.parent)
        assert tap is not None
        rows = self._rows_of(1)
        row = self._reader().row(call, 1)
        step: dict[str, Any] = {**row.step, "data": tap.data(None)}
        if call.is_reset:
            start = tap.start(rows.recorder.recipe_number)
            step["infos"] = {0: {START: start}}
        else:
            step["action"] = tap.action
        rows.add_call(
            row._replace(step=step),
            list,
            is_kept=self._counts(),
            is_grid=True,
            room=1,
        )

    def _room(self) -> int:
        """Return how many frames `max_frames` leaves."""
        return int(self.max_frames) - len(self.obs)

    # -- the environment and the recording

    def _env(self) -> Any:
        """Return the environment that it is appended to, with all its transforms."""
        # `container` raises in a Compose that has none, as in a replay buffer.
        return None if self.parent is None else self.container

    def _reader(self) -> CallReader:
        if self._calls is None:
            parent = self.parent
            size = 1 if parent is None else math.prod(parent.batch_size)
            self._calls = CallReader(
                self._env(), size, self._channels, self.center_crop
            )
        return self._calls

    def _rows_of(self, num_envs: int) -> VideoRows:
        """Return what records calls of `num_envs` envs."""
        if self._pid != os.getpid():  # after a fork: that cache is the parent's
            if isinstance(self._given_cache, FrameCache):
                self._given_cache = None
            self._start_anew()
            self._obs = self._new_obs()
        if self._rows is not None and self._rows.recorder.num_envs != num_envs:
            self._change_cache(num_envs)
        if self._rows is None:
            recorder = Recorder(
                num_envs,
                cache=self.cache,
                fps=self._fps or getattr(self.logger, "video_fps", None),
                metadata=metadata_of(self._env()),
                shares_picture=True,  # an entry that has no batch axes
                recipe=self._recipe,
            )
            self._rows = VideoRows(recorder, self._kept)
        return self._rows

    def _change_cache(self, num_envs: int) -> None:
        """Start another recording, for another number of envs.

        Raises:
            ShapeError: There are frames that were not dumped, or the cache was given.
        """
        assert self._rows is not None
        if len(self.obs) or self._given_cache is not None:
            raise ShapeError(
                f"VideoRecorder: expected {self._rows.recorder.num_envs} envs as "
                f"before, got {num_envs}. Call dump() before, and pass no cache=; or "
                "make one recorder for each environment."
            )
        self._start_anew()
        self._obs = self._new_obs()

    # -- cache, viewer, dump

    @property
    def cache(self) -> FrameCache:
        """The recording."""
        if self._kept.cache is None:
            given = self._given_cache
            self._kept.cache = (
                given
                if isinstance(given, FrameCache)
                else FrameCache(None if given is None else worker_path(Path(given)))
            )
        return self._kept.cache

    @property
    def viewer(self) -> Any:
        """A `RolloutViewer` over it, made once, bound to logger and tag.

        Raises:
            RolloutViewerError: This is a worker process, where no page is.
        """
        if is_worker():
            raise RolloutViewerError(
                "VideoRecorder.viewer: expected the main process, got a worker of it. "
                f"Open {str(self.cache.path)!r} there with rollout_viewer.open(); give "
                "the recorder cache='name' for a path that stays."
            )
        if self._viewer is None:
            from rollout_viewer._viewer.widget import RolloutViewer

            tag = "rollout" if self.tag is None else self.tag
            self._viewer = RolloutViewer(self.cache, logger=self.logger, tag=tag)
        return self._viewer

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        """Write the frames since the last dump through the logger, and move the mark.

        Without frames nothing is written, but the dump counts.

        Args:
            suffix: Of the name, ``<tag>_<suffix>``.
            step: Of the training; None: the number of dumps so far.

        Returns:
            The files, where the logger returns them.

        Raises:
            RenderError: Pictures are to be rendered later, and cannot be.
            Exception: What the logger raises. The frames are then kept.
        """
        paths: list[Path] = []
        if len(self.obs) and self.logger is not None:
            tag = self.tag if suffix is None else "_".join([str(self.tag), suffix])
            number = self.iter if step is None else step
            first = camera_of(self.in_keys[0])
            if self._recipe is not None:
                self.cache.render(self.obs.rows, progress=False)
            for camera in self.cache.cameras:
                name = tag if camera == first else f"{tag}_{camera}"
                options = dict(self.video_kwargs)
                paths += self.obs.log(self.logger, camera, name, number, options)
        self.obs = []
        self.iter += 1
        self.count = 0
        return paths

    # -- copies

    def clone(self) -> VideoRecorder:
        """Return a recorder without a parent, on the same cache; see the class."""
        copy: VideoRecorder = super().clone()
        copy._rows = None
        copy._viewer = None
        copy._forget_env()
        copy.count = 0
        copy._obs = copy._new_obs()
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> VideoRecorder:
        copy = self.clone()
        memo[id(self)] = copy
        owner = self.__dict__["_container"]
        owner = owner() if owner is not None else None
        if id(owner) in memo:  # its environment is being copied
            copy.__dict__["_container"] = weakref.ref(deepcopy(owner, memo))
        return copy

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        for name in ("_rows", "_viewer", "_kept", "_obs", "_calls"):
            del state[name]
        if isinstance(self._given_cache, FrameCache):
            state["_given_cache"] = None
        return {**state, "count": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start_anew()
        self._obs = self._new_obs()


def _kind_of(call: Call) -> str:
    return "reset" if call.is_reset else "step"


def _checked(name: str, value: Any) -> int | None:
    if value is None:
        return None
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(
            f"VideoRecorder: expected {name} to be 1 or more, got {value!r}."
        )
    return number
