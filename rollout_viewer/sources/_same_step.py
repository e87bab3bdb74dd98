"""A call that ends and resets an environment at once, as two rows.

So do vector environments with SAME_STEP autoreset, Stable-Baselines3's, and most
simulations of many environments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer.sources._spaces import as_numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rollout_viewer._recording.step_row import Mask


class SameStep:
    """One call that ended some envs and reset them at once: two rows of pictures.

    Args:
        render: Returns the pictures after the call, of each env or one of all.
        obs: That the call returned: of the new episode, where an env ended.
        final: Ended env -> the last observation of its episode, as far as the call
            told them.
        ended: (B,)
    """

    def __init__(
        self,
        render: Callable[[], list[Any]],
        obs: Any,
        final: Mapping[int, Any],
        ended: Mask,
    ) -> None:
        self._render = render
        self._obs = obs
        self._ended = ended
        self._final = final
        self._rendered: list[Any] | None = None
        self._shown: dict[int, Any] = {}

    def rendered(self) -> list[Any]:
        """Return what was rendered after the call: the reset envs' first pictures."""
        if self._rendered is None:
            self._rendered = self._render()
        return self._rendered

    def shown(self) -> list[int]:
        """Return the ended envs whose final observation is their terminal picture.

        It is where the observation that came with it, of the new episode, is what
        the env renders now.
        """
        images = {e: np.asarray(o) for e, o in self._final.items() if _is_image(o)}
        if images and len(self.rendered()) == len(self._ended):
            for env, image in images.items():
                picture = as_numpy(self.rendered()[env])
                for turned in (image, _channels_last(image)):
                    obs = self._obs[env]
                    if turned is not image:
                        obs = _channels_last(np.asarray(obs))
                    if picture is not None and np.array_equal(obs, picture):
                        self._shown[env] = turned
                        break
        return list(self._shown)

    def terminal(self) -> list[Any]:
        """Return the pictures of the row that ended, None where there is none."""
        if len(self.rendered()) != len(self._ended):
            return self.rendered()  # one of them all
        return [
            self._shown.get(env) if ended else picture
            for env, (ended, picture) in enumerate(
                zip(self._ended, self.rendered(), strict=True)
            )
        ]


def _is_image(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim > 1


def _channels_last(image: Any) -> Any:
    """Return (C, H, W), as Stable-Baselines3 turns images, as (H, W, C)."""
    return np.moveaxis(image, 0, -1) if image.ndim == 3 else image
