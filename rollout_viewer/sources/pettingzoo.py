"""PettingZoo: a wrapper for parallel environments that records each call.

Each possible agent is an env of the recording, in the order of `possible_agents`; the
one picture shows them all. An agent that has left is idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pettingzoo import AECEnv, ParallelEnv
from pettingzoo.utils import BaseParallelWrapper

from rollout_viewer._errors import (
    FrameError,
    RenderError,
    UnsupportedEnvError,
    warn_once,
)
from rollout_viewer._recorder.episode_quota import EpisodeQuota
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.vector_reward import one_reward
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._batched_calls import reset_info
from rollout_viewer.sources._rollout_env import RolloutEnvBase
from rollout_viewer.sources._wrapper import RecordingWrapper

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from rollout_viewer._recording.step_row import Mask


def wrap(env: Any, **options: Any) -> RecordedParallelEnv | None:
    """Return a parallel env in a wrapper that records; None for anything else.

    Raises:
        UnsupportedEnvError: It is an agent-environment-cycle env.
    """
    if isinstance(env, AECEnv):
        convert = "aec_to_parallel"
        if not (getattr(env, "metadata", None) or {}).get("is_parallelizable", False):
            convert = "turn_based_aec_to_parallel"
        raise UnsupportedEnvError(
            f"record: expected a parallel environment, got {env}, whose agents act one "
            f"after another. Record pettingzoo.utils.conversions.{convert}(env)."
        )
    return RecordedParallelEnv(env, **options) if isinstance(env, ParallelEnv) else None


class RecordedParallelEnv(BaseParallelWrapper, RecordingWrapper):  # type: ignore[misc]  # untyped base
    """A parallel environment that records its picture, and each agent's rewards, ends.

    PettingZoo's ``aec_to_parallel`` and ``turn_based_aec_to_parallel`` make a parallel
    env of an agent-environment-cycle env. Actions are recorded where those of all
    agents have one shape.

    Args:
        env: Made with ``render_mode="rgb_array"``.
        **options: Of `Recorder`.

    Attributes:
        agent_ids: Which agent is which env of the recording; also its metadata.

    Raises:
        RenderError: It cannot render images.
    """

    def __init__(self, env: Any, **options: Any) -> None:
        super().__init__(env)
        _check_renders(env)
        metadata = getattr(env, "metadata", None) or {}
        self.agent_ids = list(env.possible_agents)
        self.recorder = Recorder(
            len(self.agent_ids),
            fps=metadata.get("render_fps"),
            metadata={
                "env_id": str(metadata.get("name", type(env).__name__)),
                "agents": [str(agent) for agent in self.agent_ids],
                "source": "pettingzoo",
            },
            shares_picture=True,
            **options,
        )
        self.begins: Mask = np.zeros(len(self.agent_ids), np.bool_)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        """Reset the environment; records the first row of each agent's episode."""
        result: tuple[Any, Any] = self.env.reset(seed=seed, options=options)
        self._record_call("reset", self._record_reset, seed, options)
        return result

    def _record_reset(self, seed: int | None, options: dict[str, Any] | None) -> None:
        self.begins = self._live()
        known = reset_info(seed, options)
        self.recorder.add(
            np.where(self.begins, Kind.RESET, Kind.IDLE),
            self._pictures,
            infos={int(env): known for env in np.flatnonzero(self.begins)},
        )

    def step(self, actions: dict[Any, Any]) -> tuple[Any, Any, Any, Any, Any]:
        """Step all agents; records a row."""
        stepped = self._live()
        result: tuple[Any, Any, Any, Any, Any] = self.env.step(actions)
        self._record_call("step", self._record_step, actions, stepped, *result[1:])
        return result

    def _record_step(
        self,
        actions: dict[Any, Any],
        stepped: Mask,
        rewards: Mapping[Any, Any],
        terminated: Mapping[Any, Any],
        truncated: Mapping[Any, Any],
        infos: Mapping[Any, Any],
    ) -> None:
        self.begins = np.zeros(len(self.agent_ids), np.bool_)
        self.recorder.add(
            np.where(stepped, Kind.STEP, Kind.IDLE),
            self._pictures,
            reward=self._rewards(rewards),
            terminated=self.mask_of(terminated),
            truncated=self.mask_of(truncated),
            action=self._actions(actions),
            step_info=self._infos(infos),
        )

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        self._finish(self.env.close)

    def rollout_env(self) -> RolloutParallelEnv:
        """Return what `rollout` steps."""
        return RolloutParallelEnv(self)

    def _env_name(self) -> str:
        return str(self)

    def _pictures(self) -> list[Any]:
        picture = self.env.render()
        if picture is None:
            raise FrameError(
                f"record: expected {self.env}.render() to return an image, got None. "
                "Make the environment with render_mode='rgb_array'."
            )
        return [picture]

    def mask_of(self, flags: Mapping[Any, Any]) -> Mask:
        """Return a flag of each possible agent, (B,); False where it has none."""
        return np.array([bool(flags.get(a, False)) for a in self.agent_ids])

    def _infos(self, infos: Any) -> list[Any] | None:
        """Return each possible agent's info; None where none has any."""
        found = [infos.get(agent) for agent in self.agent_ids]
        return found if any(found) else None

    def _live(self) -> Mask:
        live = set(self.env.agents)
        if unknown := live - set(self.agent_ids):
            warn_once(
                "record: expected agents of possible_agents, got "
                f"{sorted(map(str, unknown))}. These are not recorded."
            )
        return np.array([agent in live for agent in self.agent_ids])

    def _rewards(self, rewards: Mapping[Any, Any]) -> npt.NDArray[np.float64]:
        """Return each possible agent's reward; NaN without one."""
        nothing = np.full(1, np.nan)
        found = (
            one_reward(rewards[a]) if a in rewards else nothing for a in self.agent_ids
        )
        return np.array([one.sum() for one in found])

    def _actions(self, actions: Mapping[Any, Any]) -> npt.NDArray[Any] | None:
        """Return each agent's action, 0 without one; None: their shapes differ."""
        try:
            given = {agent: np.asarray(action) for agent, action in actions.items()}
        except ValueError:
            return None
        shapes = {(one.shape, one.dtype.kind) for one in given.values()}
        if len(shapes) != 1:
            return None
        zero = np.zeros_like(next(iter(given.values())))
        return np.stack([given.get(agent, zero) for agent in self.agent_ids])


class RolloutParallelEnv(RolloutEnvBase):
    """A recorded parallel env, as `rollout` steps it.

    A policy takes a dict of the observations of the live agents, and returns a dict of
    their actions.
    """

    def __init__(self, env: RecordedParallelEnv) -> None:
        super().__init__(env)
        self.action_space = _AgentSpaces(env)
        self._quota: EpisodeQuota | None = None

    def limit_episodes(self, episodes: int) -> EpisodeQuota:
        """Record so many episodes of all agents; return their count."""
        self._quota = EpisodeQuota(episodes, 1)
        return self._quota

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all agents; ends are returned as masks (B,)."""
        obs, reward, terminated, truncated, info = super().step(action)
        ends = (self._env.mask_of(each) for each in (terminated, truncated))
        live = {agent: obs[agent] for agent in self._env.agents}
        if self._quota is not None:
            self._quota.add([not live])
        return live, reward, *ends, info

    def reset_ended(self, ended: Mask) -> Any:
        """Reset when no agent is left; return the new observations, or None."""
        return None if self._env.agents else self._env.reset()[0]


class _AgentSpaces:
    """The action spaces of the live agents, as one."""

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
