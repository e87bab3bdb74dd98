"""An environment of dm_control with Gymnasium's interface, to be replayed.

An episode follows from the state of its task's generator and the actions: dm_control
resets the simulation as a whole. No library is imported where nothing is made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from rollout_viewer._replay import env_state
from rollout_viewer._replay.env_state import TASK_RANDOM

if TYPE_CHECKING:
    from collections.abc import Mapping

    Env = gymnasium.Env[Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    Env = gymnasium.Env

# What Physics.render takes where nothing is said.
_HEIGHT, _WIDTH = 240, 320


def suite_text(domain: str, task: str, task_kwargs: Mapping[str, Any]) -> str:
    """Return what is stored of an environment of dm_control's suite.

    Raises:
        TypeError: An argument is no JSON.
        ValueError: One is another after that.
    """
    known = {"domain": domain, "task": task, "task_kwargs": dict(task_kwargs)}
    text = json.dumps(known)
    if json.loads(text) != known:
        raise ValueError("arguments that are no JSON")
    return text


def make_of_suite(text: str, options: Mapping[str, Any]) -> DMControlEnv:
    """Return an environment of dm_control's suite."""
    from dm_control import suite

    known = json.loads(text)
    env = suite.load(known["domain"], known["task"], known["task_kwargs"])
    return DMControlEnv(env, **options)


def is_dm_control(env: Any) -> bool:
    """Return whether this is an environment of dm_control, as its suite makes them."""
    return not isinstance(env, gymnasium.Env) and has_physics(env)


def has_physics(env: Any) -> bool:
    """Whether this is an environment of dm_control, or Shimmy's around one."""
    return all(hasattr(env, name) for name in ("physics", "task", "action_spec"))


def generator_of(env: Any) -> np.random.RandomState | None:
    """Return the generator of an environment's task; None: it has none that is known.

    Args:
        env: Of dm_control.
    """
    found = getattr(env.task, "_random", None)
    return found if isinstance(found, np.random.RandomState) else None


def random_state(env: Any) -> dict[str, Any]:
    """Return the state from which an environment's next reset follows, as JSON."""
    generator = generator_of(env)
    assert generator is not None
    return {TASK_RANDOM: env_state.random_state(generator)}


def result_of(timestep: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
    """Return what Gymnasium's `step` returns, of dm_env's `TimeStep`.

    An episode whose last discount is 1 was truncated.
    """
    is_last = timestep.last()
    truncated = bool(is_last and np.isclose(timestep.discount, 1))
    terminated = is_last and not truncated
    return timestep.observation, timestep.reward, terminated, truncated, {}


class DMControlEnv(Env):
    """An environment of dm_control with Gymnasium's interface.

    Args:
        env: Of dm_control.
        height: Of its pictures.
        width: Of its pictures.
        camera_name: None: the first.
    """

    # Another one in the same process may draw other pictures after it was closed.
    is_worn = True

    def __init__(
        self,
        env: Any,
        *,
        height: int = _HEIGHT,
        width: int = _WIDTH,
        camera_name: str | None = None,
    ) -> None:
        self._env = env
        camera = 0 if camera_name is None else camera_name
        self._view = {"height": height, "width": width, "camera_id": camera}
        self.render_mode = "rgb_array"
        spec = env.action_spec()
        self.action_space = gymnasium.spaces.Box(
            -np.inf, np.inf, spec.shape, np.dtype(spec.dtype).type
        )

    def set_random_state(self, state: list[Any]) -> None:
        """Set the state of `random_state`.

        Raises:
            ValueError: It is none.
        """
        generator = generator_of(self._env)
        if generator is None:
            raise ValueError("a task without a generator")
        env_state.set_random_state(generator, state)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        del seed, options  # its generator's state is set
        return self._env.reset().observation, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step."""
        return result_of(self._env.step(action))

    def render(self) -> Any:
        """Return a picture."""
        return self._env.physics.render(**self._view)

    def close(self) -> None:
        """Free the simulation."""
        self._env.close()
