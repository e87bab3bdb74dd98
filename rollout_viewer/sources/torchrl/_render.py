"""Where an environment's pictures come from: an entry of its data, or `render`.

Knows TorchRL's environments. Knows no steps and no recorder.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from torchrl.envs.batched_envs import BatchedEnvBase

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer.sources.torchrl._env_info import innermost, name_of
from rollout_viewer.sources.torchrl._pixels import PictureReader, as_data
from rollout_viewer.sources.torchrl.pixel_render import as_picture, start

if TYPE_CHECKING:
    from tensordict import TensorDictBase
    from torchrl.envs.common import EnvBase

PICTURES = "pixels"
_NO_PICTURES = (None, "human", "ansi", "ansi_list")


class PictureSource:
    """The picture of each env of a batch, or one of them all.

    Args:
        env: The environment.
        key: Of the entry; None: `env` renders.
    """

    def __init__(self, env: Any, key: Any = None) -> None:
        self._env = env
        self._key = key
        self._reader = PictureReader("auto")

    def pictures(self, tensordict: TensorDictBase) -> list[Any]:
        """Return the pictures in a tensordict of the environment, or render.

        Raises:
            FrameError: There is no picture.
        """
        if self._key is None:
            return self.rendered()
        value = tensordict.get(self._key, None)
        if value is None:
            raise FrameError(
                f"record: expected pictures in {self._key!r}, got no such entry. Is a "
                "transform that renders switched off?"
            )
        return self._read(value)

    def rendered(self) -> list[Any]:
        """Return what the environment renders now.

        Raises:
            FrameError: It rendered no picture.
        """
        env = self._env
        start(env)
        picture = as_picture(env.render(**_render_options(env)), env.batch_size)
        if picture is None:
            raise FrameError(
                f"record: expected {name_of(env)}.render() to return a picture, got "
                "None. Make the environment with render_mode='rgb_array', or append a "
                "PixelRenderTransform with what its render() needs."
            )
        return self._read(picture)

    def _read(self, value: Any) -> list[Any]:
        batch_size = tuple(self._env.batch_size)
        data = as_data(value)
        # One picture of them all has no batch axes.
        is_batch = (
            isinstance(data, list) or tuple(data.shape[: len(batch_size)]) == batch_size
        )
        try:
            return self._reader.read(data, len(batch_size) if is_batch else 0)
        except RuntimeError as error:
            raise FrameError(
                "record: expected pictures (H, W), (H, W, C) or (C, H, W) after the "
                f"batch {batch_size}, got {tuple(getattr(data, 'shape', ()))}."
            ) from error


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
    if callable(getattr(base, "render", None)) and (
        is_batched or getattr(base, "render_mode", "") not in _NO_PICTURES
    ):
        return
    raise RenderError(
        "record: expected an environment with an entry 'pixels' or a render() that "
        f"returns images, got {name_of(env)}. Make it with from_pixels=True or "
        "render_mode='rgb_array'."
    )


def last_part(key: Any) -> str:
    """Return the name at the end of a nested key."""
    return str(key[-1]) if isinstance(key, tuple) else str(key)


def _render_options(env: Any) -> dict[str, Any]:
    """Return the arguments of `render`: without, VMAS and old Gym open a window."""
    try:
        mode = inspect.signature(env.render).parameters.get("mode")
    except (TypeError, ValueError):  # workers' methods have none
        return {}
    return {} if mode is None else {"mode": "rgb_array"}
