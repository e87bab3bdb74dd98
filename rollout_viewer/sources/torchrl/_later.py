"""What a replay of TorchRL's `GymEnv` needs: what Gymnasium's environment in it does.

Of `DMControlEnv`, what dm_control's does.

TorchRL and its transforms change observations, ends and actions. A look between it and
Gymnasium's environment sees what that gets and returns, and its states before resets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
import torchrl
from torchrl.envs.libs.dm_control import DMControlEnv, DMControlWrapper
from torchrl.envs.libs.gym import GymWrapper

from rollout_viewer._errors import UnsupportedEnvError
from rollout_viewer._replay.dm_control_env import (
    generator_of,
    random_state,
    result_of,
    suite_text,
)
from rollout_viewer._replay.env_state import state_of
from rollout_viewer._replay.episode_start import EpisodeStart, pack_start
from rollout_viewer._replay.observations import CHECKSUM, checksum
from rollout_viewer._replay.probe import Probe, checksum_of_step
from rollout_viewer._replay.recipe import (
    DM_CONTROL,
    WAYS_OUT,
    Recipe,
    recipe_of_function,
)
from rollout_viewer._replay.skipped_picture import picture_skipper
from rollout_viewer.sources._first_starts import with_first
from rollout_viewer.sources._later_envs import later_recipe
from rollout_viewer.sources._spaces import one_action
from rollout_viewer.sources.torchrl._env_info import innermost, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        start = EpisodeStart(0, state, seed, arguments.get("options"))
        self._start = with_first(start, self.env)
        return super().reset(**arguments)

    def step(self, action: Any) -> Any:
        """Step the environment."""
        self.action = one_action(action, self.action_space)
        result = super().step(action)
        self._skip_picture()
        return result

    def start(self, recipe: int) -> bytes:
        """Return from where the running episode can be replayed."""
        return pack_start(self._start._replace(recipe=recipe))

    def data(self, data: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the data of a row with what a replay is compared with."""
        return {**(data or {}), CHECKSUM: np.array([self.checksum], np.uint32)}


class DMControlTap:
    """The same for an environment of dm_control.

    Attributes:
        action: Of the last step, (1, ...).
        checksum: Of what the last call returned.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self.action: Any = None
        self.checksum = 0
        self._start = EpisodeStart(0, {})

    def __getattr__(self, name: str) -> Any:
        if name == "_env":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._env, name)

    def reset(self) -> Any:
        """Reset the environment."""
        self._start = EpisodeStart(0, random_state(self._env))
        timestep = self._env.reset()
        self.checksum = checksum(timestep.observation, ())
        return timestep

    def step(self, action: Any) -> Any:
        """Step the environment."""
        self.action = np.array(action)[None]
        timestep = self._env.step(action)
        self.checksum = checksum_of_step(result_of(timestep))
        return timestep

    def start(self, recipe: int) -> bytes:
        """Return from where the running episode can be replayed."""
        return pack_start(self._start._replace(recipe=recipe))

    def data(self, data: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the data of a row with what a replay is compared with."""
        return {**(data or {}), CHECKSUM: np.array([self.checksum], np.uint32)}


def insert_tap(env: Any, later: Later) -> Recipe:
    """Insert a tap into a TorchRL environment; return how what is in it is made again.

    Raises:
        UnsupportedEnvError: It is not one of Gymnasium or dm_control, or cannot be made
            again.
    """
    base = innermost(env)
    if isinstance(base, DMControlWrapper) and not env.batch_size:
        return _insert_dm_control_tap(base, later)
    within = getattr(base, "_env", None) if isinstance(base, GymWrapper) else None
    if not isinstance(within, gymnasium.Env) or env.batch_size:
        raise UnsupportedEnvError(
            "record: expected a GymEnv, GymWrapper, DMControlEnv or DMControlWrapper "
            f"of one environment for render='later', got {name_of(env)} "
            f"({type(base).__name__}, batch_size {tuple(env.batch_size)}). Record with "
            "render='now'."
        )
    library = f"torchrl {torchrl.__version__}, gymnasium {gymnasium.__version__}"
    recipe = later_recipe(later, within.action_space, lambda: [within.spec], library)
    if not isinstance(within, Tap):
        base._env = Tap(within)
    num_repeats = int(base.wrapper_frame_skip)
    return replace(recipe, is_probed=True, num_repeats=num_repeats)


def _insert_dm_control_tap(base: Any, later: Later) -> Recipe:
    around = _around_dm_control(base)
    within = around._env
    if generator_of(within) is None:
        raise UnsupportedEnvError(
            "record: expected a task with a RandomState, as those of dm_control's "
            f"suite, for render='later', got {type(within.task).__name__}. Record with "
            "render='now'."
        )
    if later.make_env is not None:
        recipe = recipe_of_function(later.make_env)
    else:
        recipe = Recipe((_suite_text(base),), library=f"torchrl {torchrl.__version__}")
    if not isinstance(within, DMControlTap):
        around._env = DMControlTap(within)
    return replace(
        recipe,
        kind=DM_CONTROL,
        is_probed=True,
        num_repeats=int(base.wrapper_frame_skip),
    )


def _around_dm_control(base: Any) -> Any:
    """Return what has the environment that draws nothing, or a tap, as its `_env`."""
    while hasattr(base._env, "_env") and not isinstance(base._env, DMControlTap):
        base = base._env
    return base


# Of DMControlEnv: what is not the task's.
_NOT_OF_TASK = ("env_name", "task_name", "from_pixels", "pixels_only", "camera_id")


def _suite_text(base: Any) -> str:
    if not isinstance(base, DMControlEnv):
        raise UnsupportedEnvError(
            "record: expected an environment that can be made again, for "
            f"render='later', got {type(base).__name__} around one that was made "
            f"elsewhere. {WAYS_OUT}"
        )
    known = dict(base._constructor_kwargs)
    kwargs = {k: v for k, v in known.items() if k not in (*_NOT_OF_TASK, "random")}
    try:
        return suite_text(base.env_name, base.task_name, kwargs)
    except (TypeError, ValueError) as error:
        raise UnsupportedEnvError(
            "record: expected arguments of the task that are JSON, for "
            f"render='later', got {error}. {WAYS_OUT}"
        ) from error


def tap_of(env: Any) -> Tap | DMControlTap | None:
    """Return the tap in a TorchRL environment; None: there is none."""
    base = innermost(env)
    if isinstance(base, DMControlWrapper):
        base = _around_dm_control(base)
    within = vars(base).get("_env")
    return within if isinstance(within, (Tap, DMControlTap)) else None
