"""PettingZoo: a wrapper for parallel environments that records what passes through.

Each possible agent is an env of the recording, in the order of `possible_agents`; the
one picture shows them all. An agent that has left is idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pettingzoo import ParallelEnv
from pettingzoo.utils import BaseParallelWrapper

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask


def wrap(env: Any, **options: Any) -> RecordedParallelEnv | None:
    """Return a parallel env in a wrapper that records; None where it is none."""
    return RecordedParallelEnv(env, **options) if isinstance(env, ParallelEnv) else None


class RecordedParallelEnv(BaseParallelWrapper, RecordingWrapper):  # type: ignore[misc]  # untyped base
    """A parallel environment that records its picture, and each agent's rewards, ends.

    An agent-environment-cycle env becomes a parallel one by PettingZoo's
    ``aec_to_parallel``. Actions are recorded where all agents' have one shape.

    Args:
        env: Made with ``render_mode="rgb_array"``.
        **options: Of `Recorder`.

    Attributes:
        agent_ids: Which agent is which env of the recording; also its metadata.

    Raises:
        RenderError: It gives no pictures.
    """

    def __init__(self, env: Any, **options: Any) -> None:
        super().__init__(env)
        _check_renders(env)
        metadata = getattr(env, "metadata", None) or {}
        self.agent_ids = list(env.possible_agents)
        self._number = {agent: env for env, agent in enumerate(self.agent_ids)}
        self.recorder = Recorder(
            len(self.agent_ids),
            fps=metadata.get("render_fps"),
            metadata={
                "env_id": str(metadata.get("name", type(env).__name__)),
                "agents": [str(agent) for agent in self.agent_ids],
                "source": "pettingzoo",
            },
            **options,
        )
        self.begins: Mask = np.zeros(len(self.agent_ids), np.bool_)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Reset the environment; records the first row of each agent's episode."""
        result: tuple[Any, Any] = self.env.reset(seed=seed, options=options)
        self.begins = self._mask(self.env.agents)
        info = {"seed": seed, "options": options}
        known = {name: value for name, value in info.items() if value is not None}
        self.recorder.add(
            np.where(self.begins, Kind.RESET, Kind.IDLE),
            self._pictures,
            infos={int(env): known for env in np.flatnonzero(self.begins)},
        )
        return result

    def step(self, actions: dict[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """Step all agents; records a row."""
        stepped = self._mask(self.env.agents)
        result: tuple[Any, Any, Any, Any, Any] = self.env.step(actions)
        _, rewards, terminated, truncated, _ = result
        self.begins = np.zeros(len(self.agent_ids), np.bool_)
        self.recorder.add(
            np.where(stepped, Kind.STEP, Kind.IDLE),
            self._pictures,
            reward=self._column(rewards, np.nan),
            terminated=self._column(terminated, 0).astype(np.bool_),
            truncated=self._column(truncated, 0).astype(np.bool_),
            action=self._actions(actions),
        )
        return result

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.env.close()

    def driven(self) -> RolloutParallelEnv:
        """Return what `rollout` steps it by."""
        return RolloutParallelEnv(self)

    def _pictures(self) -> list[Any]:
        picture = self.env.render()
        if picture is None:
            raise FrameError(
                f"record: expected {self.env}.render() to return an image, got None. "
                "Make the environment with render_mode='rgb_array'."
            )
        return [picture]

    def _mask(self, agents: Any) -> Mask:
        return np.isin(
            np.arange(len(self.agent_ids)), [self._number[a] for a in agents]
        )

    def _column(self, values: Mapping[Any, Any], missing: float) -> npt.NDArray[Any]:
        return np.array([values.get(a, missing) for a in self.agent_ids], np.float64)

    def _actions(self, actions: Mapping[Any, Any]) -> npt.NDArray[Any] | None:
        """Return the actions of all agents, 0 for who had none; None: unequal ones."""
        try:
            given = {agent: np.asarray(action) for agent, action in actions.items()}
        except ValueError:
            return None
        shapes = {(one.shape, one.dtype.kind) for one in given.values()}
        if len(shapes) != 1:
            return None
        zero = np.zeros_like(next(iter(given.values())))
        return np.stack([given.get(agent, zero) for agent in self.agent_ids])


class RolloutParallelEnv:
    """A recorded parallel env, as `rollout` steps it.

    A policy takes a dict of the observations of the agents that are there, and returns
    one of their actions.
    """

    def __init__(self, env: RecordedParallelEnv) -> None:
        self._env = env
        self.recorder = env.recorder
        self.action_space = _AgentSpaces(env)

    @property
    def begins(self) -> Mask:
        """Bool (B,): the last observation is the first of an agent's episode."""
        return self._env.begins

    def check_open(self) -> None:
        """Raise RenderError if it was closed."""
        if self._env.is_closed:
            raise RenderError(
                f"record: expected an open environment, got {self._env}, which was "
                "closed. Make a new one."
            )

    def reset(self, *, seed: Any = None) -> tuple[Any, Any]:
        """Reset all agents."""
        return self._env.reset(seed=seed)

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all agents; ends come as masks."""
        obs, reward, terminated, truncated, info = self._env.step(action)
        ends = (
            self._env._column(mask, 0).astype(np.bool_)
            for mask in (terminated, truncated)
        )
        there = {agent: obs[agent] for agent in self._env.agents}
        return there, reward, *ends, info

    def reset_ended(self, ended: Mask) -> Any:
        """Reset when no agent is left; return the new observations, or None."""
        return None if self._env.agents else self._env.reset()[0]


class _AgentSpaces:
    """The action spaces of the agents that are there, as one."""

    shape = None

    def __init__(self, env: RecordedParallelEnv) -> None:
        self._env = env

    def seed(self, seed: int) -> None:
        for number, agent in enumerate(self._env.agent_ids):
            self._env.action_space(agent).seed(seed + number)

    def sample(self) -> dict[Any, Any]:
        return {a: self._env.action_space(a).sample() for a in self._env.agents}


def _check_renders(env: Any) -> None:
    if getattr(env, "render_mode", None) != "rgb_array":
        raise RenderError(
            "record: expected a parallel environment with render_mode 'rgb_array', got "
            f"{env} with {getattr(env, 'render_mode', None)!r}. Make it with "
            "parallel_env(render_mode='rgb_array')."
        )
