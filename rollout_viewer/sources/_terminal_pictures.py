"""The last pictures of ended episodes, where final observations are pictures.

An environment that resets in the call that ends it cannot render its last state. But
where observations are what it renders, the final observation is that picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rollout_viewer._frames.tensors import as_numpy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def terminal_pictures(
    obs: Any, final: Mapping[int, Any], num_envs: int, pictures: Callable[[], list[Any]]
) -> dict[int, Any]:
    """Return the ended envs' terminal pictures, env -> (H, W, C), as far as known.

    A final observation is one where the observation after the reset equals what the env
    renders then.

    Args:
        obs: What the call returned: of the new episode, where an env ended.
        final: Ended env -> the last observation of its episode.
        num_envs: Of the batch.
        pictures: Returns what is rendered after the call, of each env or one of all.
    """
    images = {env: np.asarray(one) for env, one in final.items() if _is_image(one)}
    rendered = pictures() if images else []
    found: dict[int, Any] = {}
    if len(rendered) != num_envs:
        return found
    for env, image in images.items():
        picture = as_numpy(rendered[env])
        if picture is None:
            continue
        if np.array_equal(obs[env], picture):
            found[env] = image
        elif np.array_equal(_channels_last(np.asarray(obs[env])), picture):
            found[env] = _channels_last(image)
    return found


def _is_image(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim > 1


def _channels_last(image: Any) -> Any:
    """Return (C, H, W), as Stable-Baselines3 turns images, as (H, W, C)."""
    return np.moveaxis(image, 0, -1) if image.ndim == 3 else image
