"""SAME_STEP autoreset: one call that ends and resets an environment, as two rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer.sources.gymnasium._asking import as_numpy

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._rows import Mask


class SameStep:
    """One call that ended some envs and reset them at once: two rows of pictures."""

    def __init__(
        self,
        render: Callable[[], list[Any]],
        obs: Any,
        info: dict[str, Any] | list[dict[str, Any]],
        ended: Mask,
    ) -> None:
        self._render = render
        self._obs = obs
        self._ended = ended
        self._final = _final_observations(info, np.flatnonzero(ended).tolist())
        self._rendered: list[Any] | None = None
        self._shown: dict[int, Any] = {}

    def rendered(self) -> list[Any]:
        """Return what was rendered after the call: the reset envs' first pictures."""
        if self._rendered is None:
            self._rendered = self._render()
        return self._rendered

    def shown(self) -> list[int]:
        """Return the ended envs whose ``final_obs`` is their terminal picture.

        It is where the observation that came with it, of the new episode, is what
        the env renders now.
        """
        images = {env: one for env, one in self._final.items() if _is_image(one)}
        if images and len(self.rendered()) == len(self._ended):
            for env, image in images.items():
                if np.array_equal(self._obs[env], self.rendered()[env]):
                    self._shown[env] = image
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

    def final_obs(self) -> Any:
        """Return the observations with the terminal ones in their places."""
        final = np.array(as_numpy(self._obs))
        for env, obs in self._final.items():
            if obs is not None:
                final[env] = obs
        return final


def _final_observations(
    info: dict[str, Any] | list[dict[str, Any]], envs: list[int]
) -> dict[int, Any]:
    """Return the ``final_obs`` of `envs`; empty where the environment gives none."""
    if isinstance(info, list):  # one for each env: Gymnasium's DictInfoToList
        return {e: info[e]["final_obs"] for e in envs if "final_obs" in info[e]}
    final_obs = info.get("final_obs")
    return {} if final_obs is None else {e: final_obs[e] for e in envs}


def _is_image(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim > 1
