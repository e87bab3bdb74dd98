"""Checks the arguments of `FrameCache.append`, before any effect, and makes a row."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

from rollout_viewer._errors import FrameError, ShapeError
from rollout_viewer._frames.convert import FloatScale, split_frames
from rollout_viewer._recording.rows import Rows
from rollout_viewer._recording.step_codec import ACTION, as_extra
from rollout_viewer._recording.step_row import IDLE, STEP, TERMINAL_MISSING, Kind
from rollout_viewer._recording.storable import storable_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from rollout_viewer._recording.slot import Slot
    from rollout_viewer._recording.step_codec import Extras
    from rollout_viewer._recording.step_row import StepRow

    Frame = npt.NDArray[np.uint8]
    Picture = tuple[int, str, "Frame | None"]

DEFAULT_CAMERA = "pixels"
_UINT8 = np.dtype(np.uint8)


class Appendable(Protocol):
    """What a row is checked against: what was recorded before it."""

    @property
    def rows(self) -> Rows | None: ...

    @property
    def slots(self) -> list[Slot]: ...

    def has_slot(self, env: int, camera: str) -> bool: ...

    def check_sizes(self, pictures: Sequence[Picture]) -> None: ...


class NewRow(NamedTuple):
    """A checked row: ready for `LiveRecording.append`."""

    rows: Rows
    steps: StepRow
    pictures: list[Picture]
    extras: Extras
    shared: frozenset[str]
    form: RowForm | None = None


class RowForm(NamedTuple):
    """What is remembered of a row once it was recorded."""

    dtypes: dict[str, str]
    scales: dict[str, FloatScale]
    fast_path: _FastPath | None


class _FastPath(NamedTuple):
    """The form of a row whose pictures needed no conversion; the next may be alike."""

    camera: str
    kind: Any  # list or tuple
    shapes: list[tuple[int, ...]]
    envs: Sequence[int] | None
    targets: list[tuple[int, str]]
    shared: frozenset[str]


class RowChecker:
    """Checks rows; remembers the dtype and range of each camera. One thread at a time.

    Also remembers the form of the last row: where the next has the same form, as nearly
    all have, the checks would have the same result and are skipped.
    """

    def __init__(self) -> None:
        self._dtypes: dict[str, str] = {}
        self._scales: dict[str, FloatScale] = {}
        self._fast_path: _FastPath | None = None

    def check(
        self,
        recording: Appendable,
        frames: Any,
        envs: Sequence[int] | None,
        action: Any,
        data: Mapping[str, Any] | None,
        num_transitions: Any,
        **steps: Any,
    ) -> NewRow:
        """Return the row; nothing is recorded or remembered if this raises.

        Raises:
            FrameError: The frames are none, changed dtype, or have too many sizes.
            ShapeError: Step data does not fit.
        """
        rows = recording.rows
        path = self._fast_path
        alike = None if frames is None else self.like_last(frames, envs)
        if rows is not None and path is not None and alike is not None:
            step_row = rows.prepare(**steps, num_transitions=num_transitions)
            if rows.is_plain(step_row):
                return NewRow(
                    rows,
                    step_row,
                    [(*t, f) for t, f in zip(*alike, strict=True)],
                    _extras(rows.num_envs, action, data),
                    path.shared,
                )
        split, dtypes, scales = self._split(frames)
        if rows is None:
            rows = Rows(_num_envs(split, envs, {**steps, "action": action}))
        step_row = rows.prepare(**steps, num_transitions=num_transitions)
        extras = _extras(rows.num_envs, action, data)
        shared = frozenset(
            camera
            for camera, frames in split.items()
            if envs is None and len(frames) == 1 and rows.num_envs > 1
        )
        _check_sharing(recording, split, shared, rows.num_envs)
        pictures = _pictures(recording, split, envs, rows.num_envs, step_row.kind)
        recording.check_sizes(pictures)
        fast_path = _fast_path(*_only_camera(frames), envs, pictures, shared)
        form = RowForm(dtypes, scales, fast_path)
        return NewRow(rows, step_row, pictures, extras, shared, form)

    def like_last(
        self, frames: Any, envs: Sequence[int] | None
    ) -> tuple[Sequence[tuple[int, str]], Sequence[Frame]] | None:
        """Return env and camera of each picture, and the pictures.

        None: they are not as in the last row, and all checks are necessary.
        """
        if frames is None:
            return (), ()
        path, images = self._fast_path, frames
        if path is None:
            return None
        if type(frames) is dict:
            if len(frames) != 1 or path.camera not in frames:
                return None
            images = frames[path.camera]
        elif path.camera != DEFAULT_CAMERA:
            return None
        shapes = path.shapes
        if type(images) is not path.kind or len(images) != len(shapes):
            return None
        for number, frame in enumerate(images):
            if (
                type(frame) is not np.ndarray
                or frame.shape != shapes[number]
                or frame.dtype != _UINT8
            ):
                return None
        if envs is not path.envs and (
            envs is None or path.envs is None or list(envs) != path.envs
        ):
            return None
        return path.targets, images

    def accept(self, row: NewRow) -> None:
        """Remember the form of a row that was recorded."""
        if row.form is not None:
            self._dtypes.update(row.form.dtypes)
            self._scales.update(row.form.scales)
            self._fast_path = row.form.fast_path

    def _split(
        self, frames: Any
    ) -> tuple[dict[str, list[Frame | None]], dict[str, str], dict[str, FloatScale]]:
        if frames is None:
            return {}, {}, {}
        cameras = frames if isinstance(frames, Mapping) else {DEFAULT_CAMERA: frames}
        split, dtypes, scales = {}, {}, {}
        for name, images in cameras.items():
            if images is None:
                continue
            camera, dtype = _name(name), _dtype_of(images)
            before = self._dtypes.get(camera, dtype)
            if dtype and before and dtype != before:
                raise FrameError(
                    f"FrameCache.append: expected frames of {before} as before, got "
                    f"{dtype}. Convert them; nothing of this row was recorded."
                )
            dtypes[camera] = before or dtype
            known = self._scales.get(camera)
            scales[camera] = FloatScale(is_wide=known is not None and known.is_wide)
            split[camera] = split_frames(
                images, channels=_channels(images), scale=scales[camera]
            )
        return split, dtypes, scales


def _only_camera(frames: Any) -> tuple[Any, Any]:
    """Return the camera and the pictures, of one camera; else None and `frames`."""
    if type(frames) is not dict:
        return DEFAULT_CAMERA, frames
    if len(frames) != 1:
        return None, frames
    ((camera, images),) = frames.items()
    return camera, images


def _fast_path(
    camera: Any,
    frames: Any,
    envs: Sequence[int] | None,
    pictures: Sequence[Picture],
    shared: frozenset[str],
) -> _FastPath | None:
    """Return the form of a row whose pictures were used as they are; else None."""
    is_one_by_one = type(frames) in (list, tuple) and len(frames) == len(pictures)
    is_named = type(camera) is str and all(name == camera for _, name, _ in pictures)
    if not (is_one_by_one and is_named) or not all(
        type(frame) is np.ndarray and frame is taken
        for frame, (_, _, taken) in zip(frames, pictures, strict=True)
    ):
        return None
    targets = [(env, camera) for env, camera, _ in pictures]
    numbers = None if envs is None else list(envs)
    shapes = [frame.shape for frame in frames]
    return _FastPath(camera, type(frames), shapes, numbers, targets, shared)


def _check_sharing(
    recording: Appendable,
    split: Mapping[str, list[Any]],
    shared: frozenset[str],
    num_envs: int,
) -> None:
    for info in recording.slots:
        if info.camera in split and info.is_shared != (info.camera in shared):
            kinds = f"a frame for each of {num_envs} envs", "one frame of all envs"
            raise ShapeError(
                f"FrameCache.append: expected {kinds[info.is_shared]} from camera "
                f"{info.camera!r} as before, got {len(split[info.camera])}. Name the "
                "pictured envs with envs=, or record into another cache."
            )


def _extras(num_envs: int, action: Any, data: Mapping[str, Any] | None) -> Extras:
    extras = {}
    if action is not None:
        extras[ACTION] = as_extra(ACTION, action, num_envs)
    for name, value in (data or {}).items():
        if name == ACTION:
            raise ShapeError(
                "FrameCache.append: expected data without 'action', got it there. "
                "Pass action=."
            )
        extras[_name(name)] = as_extra(f"data[{name!r}]", value, num_envs)
    return extras


def _pictures(
    recording: Appendable,
    split: Mapping[str, list[Frame | None]],
    envs: Sequence[int] | None,
    num_envs: int,
    kinds: npt.NDArray[np.uint8],
) -> list[Picture]:
    pictures: list[Picture] = []
    codes = kinds.tolist()
    for camera, frames in split.items():
        numbers = _env_numbers(envs, len(frames), num_envs, camera)
        is_shared = envs is None and len(frames) == 1 and num_envs > 1
        for env, frame in zip(numbers, frames, strict=True):
            kind = STEP if is_shared else codes[env]
            if kind == TERMINAL_MISSING:
                pictures.append((env, camera, None))
            elif kind != IDLE or not recording.has_slot(env, camera):
                pictures.append((env, camera, frame))
    return pictures


def _num_envs(
    split: Mapping[str, list[Any]],
    envs: Sequence[int] | None,
    steps: Mapping[str, Any],
) -> int:
    """Return of how many envs a first row is."""
    for value in steps.values():
        if value is not None and not isinstance(value, (str, Kind)):
            shape = np.shape(value)
            if shape and (value is not steps["action"] or len(shape) > 1):
                return int(shape[0])
    if envs is not None and len(envs):
        return max(int(env) for env in envs) + 1
    if split:
        return max(len(frames) for frames in split.values())
    return 1


def _env_numbers(
    envs: Sequence[int] | None, count: int, num_envs: int, camera: str
) -> list[int]:
    if envs is None:
        if count not in (1, num_envs):
            raise ShapeError(
                f"FrameCache.append: expected {num_envs} frames of {camera!r}, one for "
                f"each env, got {count}. Name the pictured ones with envs=."
            )
        return list(range(count))
    numbers = [int(env) for env in envs]
    if len(numbers) != count or len(set(numbers)) != count:
        raise ShapeError(
            f"FrameCache.append: expected a frame of {camera!r} for each of envs="
            f"{numbers}, got {count}."
        )
    if not all(0 <= env < num_envs for env in numbers):
        raise ShapeError(
            f"FrameCache.append: expected envs in 0..{num_envs - 1}, got {numbers}."
        )
    return numbers


def _channels(images: Any) -> Literal["auto", "last"]:
    """Return where the channels are: arrays that end in 3 are HWC by contract.

    Only tensors may be CHW. Tiny frames would look like both.
    """
    first = images
    while isinstance(first, (list, tuple)) and first:
        first = next((one for one in first if one is not None), None)
    is_array = isinstance(first, np.ndarray) and first.ndim >= 3
    return "last" if is_array and first.shape[-1] == 3 else "auto"


def _dtype_of(images: Any) -> str:
    dtype = getattr(images, "dtype", None)
    if dtype is None and isinstance(images, (list, tuple)):
        dtype = next((i.dtype for i in images if hasattr(i, "dtype")), None)
    return _dtype_name(dtype) if dtype is not None else ""


@functools.lru_cache(maxsize=256)
def _name(name: object) -> str:
    return storable_text(name)


@functools.lru_cache(maxsize=64)
def _dtype_name(dtype: Any) -> str:
    # Remembered: numpy takes 6 us to spell one.
    return str(dtype).removeprefix("torch.")
