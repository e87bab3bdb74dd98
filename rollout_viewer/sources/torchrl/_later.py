"""What a replay of TorchRL's `GymEnv` needs: what Gymnasium's environment in it does.

TorchRL and its transforms change observations, ends and actions. A look between it and
Gymnasium's environment sees what that gets and returns, and its states before resets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torchrl
from torchrl.envs.libs.gym import GymWrapper

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._replay.env_state import state_of
from rollout_viewer._replay.episode_start import EpisodeStart, pack_start
from rollout_viewer._replay.observations import CHECKSUM
from rollout_viewer._replay.probe import Probe
from rollout_viewer._replay.skipped_picture import picture_skipper
from rollout_viewer.sources._later_envs import later_recipe
from rollout_viewer.sources._spaces import one_action
from rollout_viewer.sources.torchrl._env_info import innermost, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout_viewer._replay.recipe import Recipe
    from rollout_viewer.sources._adapters import Later


class Tap(Probe):
    """Passes everything on, and keeps what a replay needs of the last call.

    Attributes:
        action: Of the last step, (1, ...).
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env, has_ends=True)
        self.action: Any = None
        self._start = EpisodeStart(0, {})
        self._skip_picture = picture_skipper(env)

    def reset(self, **arguments: Any) -> Any:
        """Reset the environment."""
        seed = arguments.get("seed")
        state = state_of(self.env) if seed is None else {}
        self._start = EpisodeStart(0, state, seed, arguments.get("options"))
        return super().reset(**arguments)

    def step(self, action: Any) -> Any:
        """Step the environment."""
        self.action = one_action(action, self.action_space)
        result = super().step(action)
        if self._skip_picture is not None:
            self._skip_picture()
        return result

    def start(self, recipe: int) -> bytes:
        """Return from where the running episode can be replayed."""
        return pack_start(self._start._replace(recipe=recipe))

    def data(self, data: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the data of a row with what a replay is compared with."""
        return {**(data or {}), CHECKSUM: np.array([self.checksum], np.uint32)}


def insert_tap(env: Any, later: Later) -> Recipe:
    """Insert a tap into a TorchRL environment; return how Gymnasium's is made again.

    Raises:
        UnsupportedEnvError: It is not one of Gymnasium, or cannot be made again.
    """
    base = innermost(env)
    within = getattr(base, "_env", None) if isinstance(base, GymWrapper) else None
    if not isinstance(within, gymnasium.Env) or env.batch_size:
        raise UnsupportedEnvError(
            "record: expected a GymEnv or GymWrapper of one environment for "
            f"render='later', got {name_of(env)} ({type(base).__name__}, batch_size "
            f"{tuple(env.batch_size)}). Record with render='now'."
        )
    library = f"torchrl {torchrl.__version__}, gymnasium {gymnasium.__version__}"
    recipe = later_recipe(later, within.action_space, lambda: [within.spec], library)
    if not isinstance(within, Tap):
        base._env = Tap(within)
    num_repeats = int(base.wrapper_frame_skip)
    return replace(recipe, is_probed=True, num_repeats=num_repeats)


def tap_of(env: Any) -> Tap | None:
    """Return the tap in a TorchRL environment; None: there is none."""
    within = vars(innermost(env)).get("_env")
    return within if isinstance(within, Tap) else None
