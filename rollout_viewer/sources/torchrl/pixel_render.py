"""PixelRenderTransform: TorchRL's transform that writes `env.render()` to an entry.

Knows TorchRL's environments and what their `render` returns. Knows nothing of
recordings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torchrl.data.tensor_specs import NonTensor, Unbounded
from torchrl.envs.batched_envs import BatchedEnvBase
from torchrl.envs.common import EnvBase
from torchrl.envs.transforms import Compose, TransformedEnv
from torchrl.record import recorder as _originals

from rollout_viewer._errors import FrameError
from rollout_viewer.sources._render_each import render_each

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tensordict import TensorDictBase
    from torchrl.data.tensor_specs import TensorSpec
    from torchrl.envs.transforms import Transform

    Skip = int | Literal["auto"]


class PixelRenderTransform(_originals.PixelRenderTransform):  # type: ignore[misc]  # untyped base
    """Renders the parent environment at each reset and step, into ``"pixels"``.

    For a single environment, inside the workers of a batched one, and on the outer one.
    Differs from TorchRL's where that fails or costs more:

    - A batched environment's list of pictures becomes one tensor at every call, not
      only at the first, so TorchRL's documented example with a `ParallelEnv` works.
    - With ``render_mode="rgb_array_list"``, the newest picture of each list is written.
    - A `SerialEnv` or `ParallelEnv` that is not running is started.
    - Pictures are copied: environments reuse the memory that they draw in.
    - Where `render` takes the numbers of envs, as EnvPool's, it gets them all.
    - ``skip=`` renders less often.

    Args:
        out_keys: The one key to write; default ``"pixels"``.
        preproc: Called with what `render` returned, unchanged.
        as_non_tensor: Write pictures as non-tensor data, which may have any shape.
            None: where a batched environment renders one picture of them all.
        render_method: Name of the environment's method.
        pass_tensordict: Pass the step's tensordict to it, for stateless ones.
        skip: Render at each `skip`-th reset or step, counted as `VideoRecorder` counts;
            in between, the picture is repeated. Pass both the same number, or "auto":
            render the calls that the recorders after this transform keep.
        **kwargs: Passed to `render`.

    Raises:
        RuntimeError: Not exactly one key; or a picture does not fit the batch.
        ValueError: The environment has no such method; or `skip` is out of range.
        TypeError: An argument is of another type.
        FrameError: `render` returned no picture.
    """

    as_non_tensor: bool | None

    def __init__(
        self,
        out_keys: Any = None,
        preproc: Callable[[Any], Any] | None = None,
        as_non_tensor: bool | None = None,
        render_method: str = "render",
        pass_tensordict: bool = False,
        *,
        skip: Skip = 1,
        **kwargs: Any,
    ) -> None:
        _check_type("preproc", preproc, preproc is None or callable(preproc))
        is_choice = as_non_tensor is None or isinstance(as_non_tensor, bool)
        _check_type("as_non_tensor", as_non_tensor, is_choice)
        _check_type("render_method", render_method, isinstance(render_method, str))
        is_bool = isinstance(pass_tensordict, bool)
        _check_type("pass_tensordict", pass_tensordict, is_bool)
        is_whole = isinstance(skip, int) and not isinstance(skip, bool)
        if skip != "auto" and not (is_whole and int(skip) >= 1):
            raise ValueError(
                "PixelRenderTransform: expected skip to be 1 or more, or 'auto', got "
                f"{skip!r}."
            )
        super().__init__(
            out_keys=out_keys,
            preproc=preproc,
            as_non_tensor=as_non_tensor,
            render_method=render_method,
            pass_tensordict=pass_tensordict,
            **kwargs,
        )
        self.skip = skip
        self.count = 0
        self._newest: Any = None

    # -- in the environment

    def set_container(self, container: Transform | EnvBase) -> None:
        """Become part of an environment, and start it if it is batched."""
        if isinstance(container, EnvBase):
            start(container)
        elif isinstance(container, Compose) and container.parent is not None:
            start(container.parent)
        super().set_container(container)

    def _call(self, next_tensordict: TensorDictBase) -> TensorDictBase:
        if not self._enabled:
            return next_tensordict
        self.count += 1
        if self._newest is None or self._is_due():
            self._newest = self._picture(next_tensordict)
        self._write(next_tensordict, self._newest)
        return next_tensordict

    def transform_observation_spec(self, observation_spec: TensorSpec) -> TensorSpec:
        """Add the picture's spec; resets and renders the environment once."""
        tensordict = self.parent.reset()
        self._write(tensordict, self._picture(tensordict))
        if self.as_non_tensor:
            spec: TensorSpec = NonTensor(
                shape=self.parent.batch_size, device=self.parent.device
            )
        else:
            picture = tensordict.get(self.out_keys[0])
            spec = Unbounded(
                device=picture.device, dtype=picture.dtype, shape=picture.shape
            )
        observation_spec[self.out_keys[0]] = spec
        return observation_spec

    # -- skipping

    def _is_due(self) -> bool:
        if self.skip != "auto":
            return bool(self.count % self.skip == 0)
        recorders = list(self._recorders_behind())
        return not recorders or any((r.count + 1) % r.skip == 0 for r in recorders)

    def _recorders_behind(self) -> Iterator[Any]:
        env = self.container
        is_behind = False
        for transform in [] if env is None else flat(env.transform):
            is_behind = is_behind or transform is self
            is_recorder = isinstance(transform, _originals.VideoRecorder)
            if is_behind and is_recorder and self.out_keys[0] in transform.in_keys:
                yield transform

    def dump(self, **_: Any) -> None:
        """Count from 0 again, as recorders do when they dump."""
        self.count = 0

    def clone(self) -> PixelRenderTransform:
        """Return a copy without a parent, for another environment."""
        copy: PixelRenderTransform = super().clone()
        copy.count = 0
        copy._newest = None
        return copy

    # -- pictures

    def _picture(self, tensordict: TensorDictBase) -> Any:
        arguments = (tensordict,) if self.pass_tensordict else ()
        render = getattr(self.parent, self.render_method)
        is_batch = len(self.parent.batch_size) == 1 and not self.as_non_tensor
        if is_batch and not arguments:
            rendered = render_each(render, self.parent.batch_size[0], **self.kwargs)
        else:
            rendered = render(*arguments, **self.kwargs)
        if self.preproc:
            rendered = self.preproc(rendered)
        picture = as_picture(rendered, self.parent.batch_size)
        if picture is None and self._newest is not None:
            return self._newest  # an empty list: nothing was drawn since the last call
        if picture is None:
            raise FrameError(
                f"PixelRenderTransform: expected {self.render_method}() to return a "
                f"picture, got {rendered!r:.100}. Make the environment with "
                "render_mode='rgb_array', or pass what its render() needs."
            )
        if self.as_non_tensor is None:
            is_one = picture.ndim == 3 and picture.shape[-1] == 3
            self.as_non_tensor = bool(is_one and self.parent.batch_size)
        return picture

    def _write(self, tensordict: TensorDictBase, picture: Any) -> None:
        key = self.out_keys[0]
        if self.as_non_tensor:
            tensordict.set_non_tensor(key, picture)
            return
        try:
            tensordict.set(key, picture)
        except Exception as error:
            raise RuntimeError(
                f"PixelRenderTransform: expected a picture that fits a tensordict of "
                f"batch_size {tuple(tensordict.batch_size)}, got shape="
                f"{getattr(picture, 'shape', None)}, dtype="
                f"{getattr(picture, 'dtype', None)}. Change its shape in preproc, pass "
                "render() other arguments, or write it as non-tensor data with "
                "as_non_tensor=True."
            ) from error


def start(env: EnvBase) -> None:
    """Start `env` if it is batched and not running: its methods need workers."""
    while isinstance(env, TransformedEnv):
        env = env.base_env
    if isinstance(env, BatchedEnvBase) and env.is_closed:
        env.start()


def is_switched_off(env: Any, key: Any) -> bool:
    """Return whether `key` is written by a render transform that is switched off."""
    transform = getattr(env, "transform", None)
    chain = getattr(transform, "transforms", [transform])
    return any(
        isinstance(one, _originals.PixelRenderTransform)
        and not one.enabled
        and key in one.out_keys
        for one in chain
    )


def as_picture(rendered: Any, batch_size: Sequence[int]) -> Any:
    """Return what an environment rendered as one new array or tensor.

    Args:
        rendered: A picture; or a list of one, or of lists, along the first batch
            dimension; or a list of one environment's newest pictures.
        batch_size: Of the environment.

    Returns:
        Shape (*batch_size, H, W, C), or (H, W, C) where one shows all environments;
        None without a picture. Pictures of unequal shapes are returned unchanged.
    """
    if isinstance(rendered, tuple) and not batch_size:
        return as_picture(rendered[0], batch_size)  # 'rgbd_tuple': color, depth
    if isinstance(rendered, (list, tuple)):
        if not batch_size or len(rendered) != batch_size[0]:
            return as_picture(rendered[-1], batch_size) if rendered else None
        pictures = [as_picture(one, batch_size[1:]) for one in rendered]
        if any(picture is None for picture in pictures):
            return None
        is_equal = len({tuple(np.shape(picture)) for picture in pictures}) == 1
        if not is_equal:
            return rendered
        if isinstance(pictures[0], torch.Tensor):
            return torch.stack(pictures)
        return np.stack(pictures)
    if isinstance(rendered, torch.Tensor):
        return rendered.clone()
    # A copy: environments reuse the memory, and some return a view with negative
    # strides, which torch does not accept.
    return None if rendered is None else np.array(rendered, order="C")


def flat(transform: Transform) -> Iterator[Transform]:
    """Yield the transforms of a `Compose` one by one."""
    if isinstance(transform, Compose):
        for one in transform.transforms:
            yield from flat(one)
    else:
        yield transform


def _check_type(name: str, value: Any, is_fit: bool) -> None:
    if not is_fit:
        raise TypeError(f"PixelRenderTransform: unexpected {name}={value!r}.")
