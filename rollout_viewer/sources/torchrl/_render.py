"""Where an environment's pictures come from: an entry of its data, or `render`.

Knows TorchRL's environments. Knows no steps and no recorder.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torchrl.envs.batched_envs import BatchedEnvBase
from torchrl.envs.libs.envpool import MultiThreadedEnvWrapper

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer.sources._batched_calls import placed_pictures
from rollout_viewer.sources._device_calls import DeviceCalls
from rollout_viewer.sources._render_each import (
    render_each,
    shares_picture,
    takes_numbers,
)
from rollout_viewer.sources.torchrl._entries import entry_of
from rollout_viewer.sources.torchrl._env_info import innermost, name_of, num_envs_of
from rollout_viewer.sources.torchrl._pixels import PictureReader, as_data
from rollout_viewer.sources.torchrl.pixel_render import as_picture, start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tensordict import TensorDictBase
    from torchrl.envs.common import EnvBase

PICTURES = "pixels"
_NO_PICTURES = (None, "human", "ansi", "ansi_list")


class PictureSource:
    """The picture of each env of a batch, or one of them all.

    Args:
        env: The environment.
        key: Of the entry; None: `env` renders.
        envs: Whose pictures are wanted; None: all. The others are not copied, and not
            drawn where `render` takes numbers.
    """

    def __init__(
        self, env: Any, key: Any = None, envs: Sequence[int] | None = None
    ) -> None:
        self._env = env
        self._envs = envs
        self._key = key
        self._reader = PictureReader("auto")
        self._device_calls = DeviceCalls()

    def pictures(self, tensordict: TensorDictBase) -> list[Any]:
        """Return the pictures in a tensordict of the environment, or render.

        Raises:
            FrameError: There is no picture.
        """
        if self._key is None:
            return self.rendered(tensordict)
        value = entry_of(tensordict, self._key)
        if value is None:
            raise FrameError(
                f"record: expected pictures in {self._key!r}, got no such entry. Is a "
                "transform that renders switched off?"
            )
        return self._read(value)

    def rendered(self, tensordict: TensorDictBase) -> list[Any]:
        """Return what the environment renders now, or of a tensordict.

        Raises:
            RenderError: It raised an error.
            FrameError: It rendered no picture.
        """
        env = self._env
        start(env)
        try:
            picture = self._render(tensordict)
        except MemoryError:
            raise
        except Exception as error:
            raise RenderError(
                f"record: expected a picture from {name_of(env)}.render(), got "
                f"{error!r}. If it cannot draw, append a transform that writes each "
                "env's picture as 'pixels'."
            ) from error
        if picture is None:
            raise FrameError(
                f"record: expected {name_of(env)}.render() to return a picture, got "
                "None. Make the environment with render_mode='rgb_array', or append a "
                "PixelRenderTransform with what its render() needs."
            )
        return self._read(picture)

    def _render(self, tensordict: TensorDictBase) -> Any:
        """Return a picture, a batch of them, or a list of one for each env."""
        env, num_envs = self._env, num_envs_of(self._env)
        options = _render_options(env)
        if required_arguments(env) == ["tensordict"]:
            return self._drawn(tensordict)
        if num_envs > 1 and takes_numbers(env.render):
            each = render_each(env.render, num_envs, self._envs, **options)
            return [as_picture(one, ()) for one in each]
        return as_picture(env.render(**options), env.batch_size)

    def _drawn(self, tensordict: TensorDictBase) -> Any:
        """Return what TorchRL's Jumanji draws of a state: of a batch, of the first."""
        env = self._env
        if not env.batch_size:
            return as_picture(env.render(tensordict), ())
        wanted = range(num_envs_of(env)) if self._envs is None else self._envs
        places = (np.unravel_index(one, tuple(env.batch_size)) for one in wanted)
        ones = (tuple(slice(int(i), int(i) + 1) for i in place) for place in places)
        return [as_picture(env.render(tensordict[one]), ()) for one in ones]

    def _read(self, value: Any) -> list[Any]:
        batch_size = tuple(self._env.batch_size)
        data = as_data(value)
        # One picture of them all has no batch axes.
        is_batch = (
            isinstance(data, list) or tuple(data.shape[: len(batch_size)]) == batch_size
        )
        try:
            if is_batch and self._envs is not None and isinstance(data, torch.Tensor):
                return self._read_wanted(data, self._envs)
            return self._reader.read(data, len(batch_size) if is_batch else 0)
        except RuntimeError as error:
            raise FrameError(
                "record: expected pictures (H, W), (H, W, C) or (C, H, W) after the "
                f"batch {batch_size}, got {tuple(getattr(data, 'shape', ()))}."
            ) from error

    def _read_wanted(self, batch: torch.Tensor, envs: Sequence[int]) -> list[Any]:
        """Return the pictures of some envs at their places; only those are copied."""
        batch_size = tuple(self._env.batch_size)
        if not batch_size:
            return self._reader.read(batch, 0)
        flat = batch.detach().flatten(0, len(batch_size) - 1)
        chosen = torch.as_tensor(self._device_calls.select(flat, envs))
        return placed_pictures(self._reader.read(chosen, 1), len(flat), envs)


def picture_key(env: Any) -> Any:
    """Return the key of an environment's pictures: "pixels", nested or not; or None.

    One picture for each env; agents' own pictures would be several.
    """
    spec = env.observation_spec
    found = [key for key in spec.keys(True, True) if last_part(key) == PICTURES]
    for key in sorted(found, key=lambda key: len(key) if isinstance(key, tuple) else 0):
        # Non-tensor data has no dimensions of its own.
        if len(spec[key].shape) - len(env.batch_size) in (0, 2, 3):
            return key
    return None


def check_renders(env: EnvBase) -> None:
    """Raise RenderError where it is known that `env` cannot render images."""
    start(env)
    base = innermost(env)
    is_batched = isinstance(base, BatchedEnvBase)
    needed = required_arguments(env) if hasattr(base, "render") else []
    if needed not in ([], ["tensordict"]):
        raise RenderError(
            "record: expected a render() that draws the environment as it is now, got "
            f"that of {name_of(env)}, which needs {', '.join(needed)}. Append a "
            "transform that draws the state of each env and writes it as 'pixels', as "
            "with brax.io.image.render_array for Brax."
        )
    if callable(getattr(base, "render", None)) and (
        is_batched or getattr(base, "render_mode", "") not in _NO_PICTURES
    ):
        return
    way = "from_pixels=True or render_mode='rgb_array'"
    if isinstance(base, MultiThreadedEnvWrapper):
        way = "create_env_kwargs={'render_mode': 'rgb_array'}"
    raise RenderError(
        "record: expected an environment with an entry 'pixels' or a render() that "
        f"returns images, got {name_of(env)}. Make it with {way}."
    )


def declares_shared_picture(env: Any) -> bool:
    """Return whether the environment declares that one picture shows all its envs."""
    base = innermost(env)
    # A worker whose env lacks the attribute dies.
    return not isinstance(base, BatchedEnvBase) and shares_picture(base)


def last_part(key: Any) -> str:
    """Return the name at the end of a nested key."""
    return str(key[-1]) if isinstance(key, tuple) else str(key)


def required_arguments(env: Any) -> list[str]:
    """Return the arguments of `render` without a default."""
    try:
        known = inspect.signature(env.render).parameters.values()
    except (TypeError, ValueError):  # workers' methods have none
        return []
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in known if p.default is p.empty and p.kind in by_name]


def _render_options(env: Any) -> dict[str, Any]:
    """Return the arguments of `render`: without, VMAS and old Gym open a window."""
    try:
        mode = inspect.signature(env.render).parameters.get("mode")
    except (TypeError, ValueError):  # workers' methods have none
        return {}
    return {} if mode is None else {"mode": "rgb_array"}
