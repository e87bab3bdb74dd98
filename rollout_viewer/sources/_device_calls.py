"""What a call of a GPU simulation returned, on this side: its tensors in one copy.

Observations, rewards, ends, actions, info and the few pictures that are recorded of
thousands: selected and converted where they are, then copied together. Knows the forms
of what calls return. Knows no environment and no recorder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rollout_viewer._frames.convert import FramesElsewhere, split_frames
from rollout_viewer._frames.tensors import as_numpy
from rollout_viewer.sources._device_copies import DeviceCopies, is_elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rollout_viewer._frames.convert import FloatScale
    from rollout_viewer.sources._device_copies import Transfer

    # Names a tensor: the name of a value, then keys and indices within it.
    Path = tuple[Any, ...]
    Wants = Callable[[Path, Any], bool]

_MAX_DEPTH = 5
# Of a picture; as many pixels high it could be read with its channels first.
_MAX_CHANNELS = 4


def any_elsewhere(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Whether a value, or one within its dicts and tuples, is on another device."""
    if is_elsewhere(value):
        return True
    if not depth or not isinstance(value, (Mapping, tuple)):
        return False
    within = value.values() if isinstance(value, Mapping) else value
    return any(any_elsewhere(one, depth - 1) for one in within)


class Render(NamedTuple):
    """How the pictures of a call are made.

    Attributes:
        pictures: Returns a batch of pictures, where they are, or a list.
        scale: Of the pictures before, updated.
    """

    pictures: Callable[[], Any]
    scale: FloatScale


class _Number(NamedTuple):
    """Stands for a tensor until it is here: its place among those that are copied."""

    number: int


class DeviceCalls:
    """Brings what the calls of one batch return; one thread uses it.

    Attributes:
        copies: Counts copies and waits.
    """

    def __init__(self, copies: DeviceCopies | None = None) -> None:
        self.copies = DeviceCopies() if copies is None else copies
        # Device and envs -> their numbers there: sending them each time is a copy, too.
        self._numbers: dict[tuple[Any, tuple[int, ...]], Any] = {}

    def select(self, batch: Any, envs: Sequence[int]) -> Any:
        """Return the pictures of some envs, where they are.

        Args:
            batch: (B, ...), an array or a tensor.
            envs: Numbers below B.
        """
        first = envs[0] if envs else 0
        if list(envs) == list(range(first, first + len(envs))):
            return batch[first : first + len(envs)]
        if not is_elsewhere(batch):
            # Not by torch, whose threads take longer to wake than this does.
            return as_numpy(batch)[list(envs)]
        key = batch.device, tuple(envs)
        if key not in self._numbers:
            numbers = batch.new_tensor(list(envs), dtype=_int64())
            self._numbers[key] = numbers
        return batch.index_select(0, self._numbers[key])

    def bring(
        self,
        values: Mapping[str, Any],
        wants: Wants,
        renders: Mapping[str, Render] | None = None,
    ) -> CallHere:
        """Start copying what is elsewhere of a call.

        What is on this side already is only referred to.

        Args:
            values: By name: tensors, or dicts and tuples of them.
            wants: Whether a tensor of this path is recorded; the others stay.
            renders: By camera, what returns a batch of pictures, or a list; what it
                raises is raised by `CallHere.pictures`. None: no pictures are wanted.
        """
        tensors: list[Any] = []
        marked = {
            name: _marked(value, (name,), wants, tensors)
            for name, value in values.items()
        }
        pictures = {}
        for camera, render in (renders or {}).items():
            pictures[camera] = _Pictures(render, len(tensors))
            tensors += pictures[camera].tensors
        return CallHere(self.copies.start(tensors), marked, pictures)


class CallHere:
    """A call whose tensors come; a context manager that releases their memory.

    Attributes:
        is_on_its_way: Whether reading it waits for a device.
        is_local: Whether there are tensors of this side in it, which may change until
            it is read.
    """

    def __init__(
        self,
        transfer: Transfer,
        marked: Mapping[str, Any],
        pictures: Mapping[str, _Pictures],
    ) -> None:
        self._transfer = transfer
        self._marked = marked
        self._pictures = pictures
        self.is_on_its_way = transfer.is_on_its_way
        local = [one.is_local for one in pictures.values()]
        self.is_local = any(local) or _any_local(dict(marked))

    def values(self) -> dict[str, Any]:
        """Return the values with arrays for tensors, valid until `release`."""
        arrays = self._transfer.arrays()
        return {name: _filled(value, arrays) for name, value in self._marked.items()}

    def has_camera(self, camera: str) -> bool:
        """Whether the pictures of a camera are in it."""
        return camera in self._pictures

    def pictures(self, camera: str) -> Any:
        """Return the pictures of a camera as a list, valid until `release`.

        Raises:
            Exception: What rendering raised.
        """
        return self._pictures[camera].frames(self._transfer.arrays())

    def release(self) -> None:
        """Let the memory be used again."""
        self._transfer.release()

    def __enter__(self) -> CallHere:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class _Pictures:
    """What was rendered, or what that raised."""

    def __init__(self, render: Render, first: int) -> None:
        self._scale = render.scale
        self._first = first  # of its tensors, among those of the call
        self._error: Exception | None = None
        self._rendered: Any = None
        self._elsewhere: FramesElsewhere | None = None
        try:
            rendered = _stacked(render.pictures())
            if is_elsewhere(rendered):
                self._elsewhere = FramesElsewhere(rendered, render.scale)
            else:
                self._rendered = rendered
        except Exception as error:
            self._error = error

    @property
    def is_local(self) -> bool:
        return self._rendered is not None

    @property
    def tensors(self) -> list[Any]:
        return [] if self._elsewhere is None else self._elsewhere.tensors

    def frames(self, arrays: Sequence[Any]) -> Any:
        if self._error is not None:
            raise self._error
        if self._elsewhere is not None:
            return self._elsewhere.frames(arrays[self._first :][: len(self.tensors)])
        if isinstance(self._rendered, list):
            return self._rendered
        return list(split_frames(self._rendered, scale=self._scale))


def _int64() -> Any:
    import torch

    return torch.int64


def _stacked(pictures: Any) -> Any:
    """Return a list of tensors elsewhere that are alike as one; else unchanged."""
    if not isinstance(pictures, list) or not all(map(is_elsewhere, pictures)):
        return pictures
    if len({(one.device, one.dtype, one.shape) for one in pictures}) != 1:
        return pictures
    import torch

    shape = pictures[0].shape
    if len(shape) == 3:
        return torch.stack([one.detach() for one in pictures])
    if len(shape) != 2 or shape[0] <= _MAX_CHANNELS:  # read one by one
        return pictures
    # With channels: three or four gray ones would be read as one picture of colors.
    return torch.stack([one.detach().unsqueeze(-1) for one in pictures])


def _marked(value: Any, path: Path, wants: Wants, tensors: list[Any]) -> Any:
    """Return a value with numbers for tensors that are to be copied."""
    if is_elsewhere(value):
        if not wants(path, value):
            return value
        tensors.append(value)
        return _Number(len(tensors) - 1)
    if len(path) <= _MAX_DEPTH and isinstance(value, (Mapping, tuple)):
        if not any_elsewhere(value):
            return value
        if isinstance(value, Mapping):
            items = value.items()
            return {k: _marked(v, (*path, k), wants, tensors) for k, v in items}
        each = enumerate(value)
        return tuple(_marked(v, (*path, k), wants, tensors) for k, v in each)
    return value


def _any_local(value: Any) -> bool:
    """Whether an array of this side is within a value that `_marked` returned."""
    if isinstance(value, (Mapping, tuple)) and not isinstance(value, _Number):
        within = value.values() if isinstance(value, Mapping) else value
        return any(map(_any_local, within))
    return hasattr(value, "__array__") and not is_elsewhere(value)


def _filled(value: Any, arrays: Sequence[Any]) -> Any:
    if isinstance(value, _Number):
        return arrays[value.number]
    if isinstance(value, dict):
        return {key: _filled(one, arrays) for key, one in value.items()}
    if type(value) is tuple:
        return tuple(_filled(one, arrays) for one in value)
    return value
