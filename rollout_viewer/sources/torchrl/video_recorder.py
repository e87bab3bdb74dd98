"""VideoRecorder: TorchRL's transform, with the frames in a cache.

Puts together what the neighbouring modules read - pictures, step data, slices - and
tells the recorder core. Knows TorchRL's transforms.
"""

from __future__ import annotations

import functools
import operator
import os
import warnings
import weakref
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchrl.record import PixelRenderTransform
from torchrl.record import VideoRecorder as TorchRLVideoRecorder

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import (
    RolloutViewerError,
    RolloutViewerWarning,
    ShapeError,
)
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.same_step import add_same_step
from rollout_viewer._recorder.views import ShownInNotebook
from rollout_viewer._recording.step_row import Kind
from rollout_viewer._recording.workers import is_worker, worker_path
from rollout_viewer.sources.torchrl._batch_slices import Slices
from rollout_viewer.sources.torchrl._env_info import (
    innermost,
    metadata_of,
    resets_itself,
)
from rollout_viewer.sources.torchrl._frame_buffer import KeptFrames, KeptRows
from rollout_viewer.sources.torchrl._pixels import PictureReader
from rollout_viewer.sources.torchrl._step_data import Call, StepReader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tensordict import TensorDictBase

    from rollout_viewer._frames.convert import Channels

    Key = str | tuple[str, ...]


class VideoRecorder(ShownInNotebook, TorchRLVideoRecorder):  # type: ignore[misc]  # torchrl is untyped
    """Records what passes it, as TorchRL's of the same name, into a `FrameCache`.

    Append it to an environment or a replay buffer. Rewards, ends and actions are
    kept beside the frames, each env of a batch apart, whatever `make_grid` says.

    Other than TorchRL's:

    - `dump` moves a mark: `obs` is then empty and `count` 0, `cache` and `viewer`
      keep all. A logger that fails leaves the mark, and can be asked again; one that
      `dump_on_done` asks is warned of.
    - `obs` reads like a list, and decodes its frames when they are asked for;
      ``torch.stack(list(recorder.obs))`` is the video. Gray frames have three
      channels, and no frame shares the caller's memory.
    - Floats in [0, 1] are scaled to 0..255 (from the first one above 2 on, a key's
      floats are taken as 0..255), integers are clipped, bools are black and white.
    - Several `in_keys` are several cameras of one recording: `count` counts calls,
      `obs` and the dump under `tag` are of the first key, and each other one gets a
      dump ``<tag>_<key>`` of its own.
    - On a partial reset the other envs' cells repeat their pictures; TorchRL's show
      those of their last resets.
    - RGBA loses its alpha. Of a frame stack along the channels, (12, H, W) or
      (4, H, W), the newest frame is recorded.
    - `center_crop` needs no torchvision.
    - A `skip` that is no positive integer is refused at once. `skip` and `make_grid`
      that are None follow the environment that the recorder is appended to, also
      after they were read.
    - A clone shares the cache, and has a mark of its own from that point: it dumps
      what either records from then on. A pickled recorder has an empty cache.
    - Of a batch without `make_grid` and without an environment, the slices become
      episodes.
    - `dump` returns the files, where the logger tells them.

    Args:
        logger: Where dumps go; anything with ``log_video(name=, video=, step=)``, or
            a service with ``client()``. None: `dump` only moves the mark.
        tag: Name of the dumps.
        in_keys: Entries with pictures. None: ``["pixels"]``.
        skip: Keep each n-th call, resets included: the n-th is the first. None: 2
            for a single environment, else 1.
        center_crop: Side in pixels of the square in the middle to keep.
        make_grid: Whether a batch makes one frame of a dump. None: in an environment.
        out_keys: Where the entries are written again. None: `in_keys`.
        fps: Of the video, and of the cache. None: the logger's ``video_fps``.
        max_frames: Drop frames that come when `obs` is that long.
        dump_on_done: Dump when all envs ended with one step.
        cache: Where to record; a path: a new `FrameCache` there; None: a new one in a
            temporary file.
        channels: Where an entry's channels are: "first", "last", or "auto", which
            decides by size, as TorchRL does.
        slice_len: Frames of each slice of a batch from a replay buffer. None: told by
            trajectory numbers, or else by ends.
        **kwargs: For `log_video`.

    Raises:
        ValueError: `skip` or `max_frames` is not positive, or `channels` unknown.
        TypeError: `cache` is none.

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
        fps: int | None = None,
        max_frames: int | None = None,
        dump_on_done: bool = False,
        *,
        cache: FrameCache | str | Path | None = None,
        channels: Channels = "auto",
        slice_len: int | None = None,
        **kwargs: Any,
    ) -> None:
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
        self._given_cache = cache
        self._slice_len = _checked("slice_len", slice_len)
        self._channels = channels
        self._fps = fps
        self._start_anew()
        super().__init__(
            logger,
            tag,
            in_keys=in_keys,
            skip=skip,
            # TorchRL's would ask for torchvision.
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
        """Forget the recording: the next frame goes to a new one."""
        self._core: Recorder | None = None
        self._viewer: Any = None
        self._tape = KeptRows()
        self._pid = os.getpid()
        # Pictures that came without an environment's step: one episode.
        self._has_begun = False
        self._forget_env()

    def _forget_env(self) -> None:
        self._readers: dict[str, PictureReader] = {}
        self._steps: StepReader | None = None
        self._has_said_one = False

    # -- what TorchRL's has

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
        """Whether a batch makes one frame of a dump; see the class."""
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
        return KeptFrames(self._tape, _camera(self.in_keys[0]))

    def transform_observation_spec(self, observation_spec: Any) -> Any:
        """Return the spec with `out_keys` in it."""
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            if in_key != out_key and in_key in observation_spec.keys(True, True):
                observation_spec[out_key] = observation_spec[in_key].clone()
        return observation_spec

    def set_container(self, container: Any) -> None:
        """Take the environment or `Compose` that it is appended to."""
        super().set_container(container)
        self._forget_env()

    def reset_parent(self) -> None:
        """Leave it."""
        super().reset_parent()
        self._forget_env()

    def close(self) -> None:
        """Write the recording to its file. It stays readable."""
        if self._core is not None and self._pid == os.getpid():
            self._core.finish()

    # -- recording

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
                    f"recording goes on, and its {len(self.obs)} frames are kept for "
                    "the next dump.",
                    RolloutViewerWarning,
                    stacklevel=2,
                )
        return next_tensordict

    def _all_done(self, next_tensordict: TensorDictBase) -> bool:
        ended = self._reader_of_steps().ends(next_tensordict, self._num_envs_of(None))
        return bool(ended.any.all())

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        return self._pass(next_tensordict, Call())

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        """Record a batch of a replay buffer or data set, and return it."""
        if self.parent is not None or self.make_grid or not tensordict.batch_dims:
            return self._call(tensordict)
        values = self._values(tensordict)
        if values and self._counts():
            is_next = (
                isinstance(self.in_keys[0], tuple) and self.in_keys[0][0] == "next"
            )
            slices = Slices(tensordict, is_next, self._slice_len)
            if not slices.is_told and not self._has_said_one:
                self._has_said_one = True
                warnings.warn(
                    "VideoRecorder: expected trajectory numbers or ends in a batch of "
                    f"{tensordict.numel()} frames, got neither; it is recorded as one "
                    "episode. Pass slice_len= if it is made of equal slices.",
                    RolloutViewerWarning,
                    stacklevel=2,
                )
            self._add_slices(slices, values, tensordict)
        return tensordict

    def _apply_transform(self, observation: Any) -> Any:
        key = self.in_keys[0]
        self._take({_camera(key): (observation, None)}, Call())
        return observation

    def _pass(self, td: TensorDictBase, call: Call) -> TensorDictBase:
        values = self._values(td)
        if values:
            self._take(values, call)
        return td

    def _values(self, td: TensorDictBase) -> dict[str, tuple[Any, int | None]]:
        """Return each camera's entry and its number of batch axes; pass them on."""
        found: dict[str, tuple[Any, int | None]] = {}
        for in_key, out_key in zip(self.in_keys, self.out_keys, strict=True):
            value = td.get(in_key, default=None)
            if value is not None:
                owner = td if isinstance(in_key, str) else td.get(in_key[:-1])
                # What is no tensor may be one picture of a whole batch.
                is_batched = isinstance(value, torch.Tensor)
                found[_camera(in_key)] = value, owner.batch_dims if is_batched else None
                td.set(out_key, value)
            elif not (self.missing_tolerance or self._is_switched_off(in_key)):
                raise KeyError(f"{self}: '{in_key}' not found in tensordict {td}")
        return found

    def _is_switched_off(self, key: Key) -> bool:
        """Tell whether a render transform before this one gives no pictures now."""
        transform = getattr(self._env(), "transform", None)
        chain = getattr(transform, "transforms", [transform])
        return any(
            isinstance(one, PixelRenderTransform)
            and not one.enabled
            and key in one.out_keys
            for one in chain
        )

    def _counts(self) -> bool:
        """Count a call, and tell whether it is kept."""
        self.count += 1
        is_full = self.max_frames is not None and len(self.obs) >= self.max_frames
        return self.count % self.skip == 0 and not is_full

    def _take(self, values: Mapping[str, tuple[Any, int | None]], call: Call) -> None:
        is_kept = self._counts()
        if self.parent is None and not self.make_grid:
            if is_kept:
                self._add_pictures(values)
            return
        num_envs = self._num_envs_of(values)
        core = self._core_of(num_envs)
        steps = self._reader_of_steps()
        kinds = steps.kinds(call, num_envs)
        pictures = functools.partial(self._pictures, values, num_envs)
        data: dict[str, Any] = {}
        if call.before is not None and not call.is_reset:
            ends = steps.ends(call.after, num_envs)
            data = {
                "reward": steps.reward(call.after, num_envs),
                "terminated": ends.terminated,
                "truncated": ends.truncated,
                "action": steps.action(call.before, num_envs),
            }
            if ends.any.any() and self._resets_itself():
                row = add_same_step(
                    core.add, ends.any, pictures, kind=kinds, is_kept=is_kept, **data
                )
                self._keep(row, is_kept, num_envs)
                return
        if call.before is None:
            kinds = self._alone(num_envs)
        row = core.add(kinds, pictures, is_kept=is_kept, **data)
        self._keep(row, is_kept, num_envs)

    def _keep(self, row: int | None, is_kept: bool, num_envs: int) -> None:
        """Note a recorded row as a frame of the video, or each of its envs' as one."""
        if not is_kept:
            return
        if row is None:  # no env was reset: the last picture stays
            row = self.cache.num_rows - 1
        if self.make_grid or self.cache.is_shared or num_envs == 1:
            self._tape.add(row)
            return
        room = num_envs
        if self.max_frames is not None:
            room = self.max_frames - len(self.obs)
        for env in range(min(num_envs, room)):
            self._tape.add(row, env)

    def _add_pictures(self, values: Mapping[str, tuple[Any, int | None]]) -> None:
        """Record pictures without an environment: one row after the other."""
        cameras = {
            camera: self._reader(camera).read(*value)
            for camera, value in values.items()
        }
        core = self._core_of(1)
        for index in range(self._room(min(len(one) for one in cameras.values()))):
            frames = {camera: [one[index]] for camera, one in cameras.items()}
            row = core.add(
                self._alone(1), functools.partial(_same, frames), is_kept=True
            )
            self._keep(row, True, 1)

    def _add_slices(
        self,
        slices: Slices,
        values: Mapping[str, tuple[Any, int | None]],
        td: TensorDictBase,
    ) -> None:
        cameras = {
            camera: self._reader(camera).read(*value)
            for camera, value in values.items()
        }
        core = self._core_of(1)
        room = self._room(td.numel())
        for row in slices:
            if row.position is not None and row.position >= room:
                break
            kind = Kind.RESET if row.begins else Kind.STEP
            # Agents and other axes behind the batch: the first one's.
            each = {c: len(one) // td.numel() for c, one in cameras.items()}
            frames: Any = {c: [None] for c in cameras}
            if row.position is None:
                kind = Kind.TERMINAL_MISSING
            else:
                frames = {
                    c: [one[row.position * each[c]]] for c, one in cameras.items()
                }
            number = core.add(
                [kind],
                functools.partial(_same, frames),
                reward=None if row.reward is None else [row.reward],
                terminated=[row.terminated],
                truncated=[row.truncated],
                action=None if row.action is None else [row.action],
                is_kept=True,
            )
            if row.position is not None:
                self._keep(number, True, 1)

    def _room(self, count: int) -> int:
        if self.max_frames is None:
            return count
        return min(count, int(self.max_frames) - len(self.obs))

    def _alone(self, num_envs: int) -> Any:
        """Return the kinds of pictures that come without a step: one long episode."""
        kind = Kind.STEP if self._has_begun else Kind.RESET
        self._has_begun = True
        return np.full(num_envs, kind, np.uint8)

    # -- the environment

    def _env(self) -> Any:
        """Return the environment that it is appended to, with all its transforms."""
        # `container` raises in a Compose that has none, as in a replay buffer.
        return None if self.parent is None else self.container

    def _reader_of_steps(self) -> StepReader:
        if self._steps is None:
            self._steps = StepReader(self._env())
        return self._steps

    def _resets_itself(self) -> bool:
        env = self._env()
        return env is not None and (resets_itself(env) or resets_itself(innermost(env)))

    def _num_envs_of(self, values: Mapping[str, tuple[Any, int | None]] | None) -> int:
        """Return how many envs a call is about: the batch, or more pictures than it."""
        if values is None:
            return 1 if self._core is None else self._core.num_envs
        counts = [
            self._reader(camera).count(*value) for camera, value in values.items()
        ]
        parent = self.parent
        size = 1 if parent is None else int(parent.batch_size.numel())
        return max(size, *counts)

    def _reader(self, camera: str) -> PictureReader:
        if camera not in self._readers:
            self._readers[camera] = PictureReader(self._channels, self.center_crop)
        return self._readers[camera]

    def _pictures(
        self, values: Mapping[str, tuple[Any, int | None]], num_envs: int
    ) -> dict[str, list[Any]]:
        """Return each camera's pictures: one for each env, or one of them all."""
        cameras = {}
        for camera, value in values.items():
            frames = self._reader(camera).read(*value)
            if len(frames) > 1 and num_envs % len(frames) == 0:
                times = num_envs // len(frames)
                frames = [frame for frame in frames for _ in range(times)]
            cameras[camera] = frames
        return cameras

    def _core_of(self, num_envs: int) -> Recorder:
        """Return the recorder for calls of so many envs."""
        if self._pid != os.getpid():  # a fork inherited it: that cache is its parent's
            if isinstance(self._given_cache, FrameCache):
                self._given_cache = None
            self._start_anew()
            self._obs = self._new_obs()
        if self._core is not None and self._core.num_envs != num_envs:
            self._change_cache(num_envs)
        if self._core is None:
            self._core = Recorder(
                num_envs,
                cache=self.cache,
                fps=self._fps or getattr(self.logger, "video_fps", None),
                metadata=metadata_of(self._env()),
            )
        return self._core

    def _change_cache(self, num_envs: int) -> None:
        """Begin another recording, for another number of envs.

        Raises:
            ShapeError: There are frames that were not dumped, or the cache was given.
        """
        assert self._core is not None
        if len(self.obs) or self._given_cache is not None:
            raise ShapeError(
                f"VideoRecorder: expected {self._core.num_envs} envs as before, got "
                f"{num_envs}. Call dump() before, and pass no cache=; or make one "
                "recorder for each environment."
            )
        self._start_anew()
        self._obs = self._new_obs()

    # -- looking and leaving

    @property
    def cache(self) -> FrameCache:
        """The recording."""
        if self._tape.cache is None:
            given = self._given_cache
            self._tape.cache = (
                given
                if isinstance(given, FrameCache)
                else FrameCache(None if given is None else worker_path(Path(given)))
            )
        return self._tape.cache

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
            The files, where the logger tells them.

        Raises:
            Exception: What the logger raises. The frames are then kept.
        """
        paths: list[Path] = []
        if len(self.obs) and self.logger is not None:
            tag = self.tag if suffix is None else "_".join([str(self.tag), suffix])
            number = self.iter if step is None else step
            first = _camera(self.in_keys[0])
            for camera in self.cache.cameras:
                name = tag if camera == first else f"{tag}_{camera}"
                paths += self._log(name, camera, number)
        self.obs = []
        self.iter += 1
        self.count = 0
        return paths

    def _log(self, name: str | None, camera: str, step: int) -> list[Path]:
        kwargs = dict(self.video_kwargs)
        video: Any
        if getattr(self.logger, "takes_clips", False) is True:
            video = self.obs.clip(camera)
            fps = getattr(self.logger, "video_fps", None)
            if fps is not None:
                kwargs.setdefault("fps", fps)
        else:
            video = self.obs.tensor(camera)
        written = self.logger.log_video(name=name, video=video, step=step, **kwargs)
        several = written if isinstance(written, (list, tuple)) else [written]
        return [Path(path) for path in several if isinstance(path, (str, Path))]

    # -- copies

    def clone(self) -> VideoRecorder:
        """Return a recorder without a parent, on the same cache; see the class."""
        copy: VideoRecorder = super().clone()
        copy._core = None
        copy._viewer = None
        copy._has_begun = False
        copy._forget_env()
        copy.count = 0
        copy._obs = copy._new_obs()
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> VideoRecorder:
        copy = self.clone()
        memo[id(self)] = copy
        owner = self.__dict__["_container"]
        owner = owner() if owner is not None else None
        if id(owner) in memo:  # it is being copied with its environment
            copy.__dict__["_container"] = weakref.ref(deepcopy(owner, memo))
        return copy

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        for name in ("_core", "_viewer", "_tape", "_obs", "_readers"):
            del state[name]
        if isinstance(self._given_cache, FrameCache):
            state["_given_cache"] = None
        return {**state, "count": 0}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._start_anew()
        self._obs = self._new_obs()


def _camera(key: Key) -> str:
    """Return the name of the camera that an entry is."""
    return key if isinstance(key, str) else ".".join(key)


def _same(frames: Any) -> Any:
    return frames


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
