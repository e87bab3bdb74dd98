"""A Gymnasium `Env` that records what passes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsFloat

import gymnasium
import numpy as np

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._batched_calls import newest, reset_info
from rollout_viewer.sources._batched_env import check_is_one, inferred_num_envs
from rollout_viewer.sources._spaces import kept, one_action, parts_of
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.gymnasium._batched_env import RecordedBatchedEnv
from rollout_viewer.sources.gymnasium._env_info import (
    check_renders,
    env_info,
    render,
    resets_itself,
)

if TYPE_CHECKING:
    from rollout_viewer._recording.step_row import Mask

    EnvWrapper = gymnasium.Wrapper[Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    EnvWrapper = gymnasium.Wrapper


# In this order, since Python then allows `RecordedBatchedEnv.take_over`.
class RecordedEnv(RecordingWrapper, EnvWrapper):
    """An `Env` that records its pictures, rewards, ends, actions and observations.

    Observations are kept as ``data["obs"]``, those of a Dict or Tuple space as
    ``data["obs.<key>"]``: numbers, up to 64 kB, no images. With a list render mode the
    newest picture of a list is recorded, and `render` returns those that were recorded
    since it was last asked.

    One whose first observation turns out to be a batch of its space's becomes a
    `RecordedBatchedEnv`.

    Args:
        env: Made with ``render_mode="rgb_array"``.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures, or is closed.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], **options: Any) -> None:
        super().__init__(env)
        check_renders(env)
        self.recorder = Recorder(1, **env_info(env), **options)
        self._parts = parts_of(env.observation_space)
        self._is_list_mode = str(env.render_mode).endswith("_list")
        self._resets_itself = resets_itself(env)
        self.begins = np.zeros(1, np.bool_)
        self._has_ended = False
        self._rendered_row = self.cache.num_rows
        self._is_known = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._rendered_row = self.cache.num_rows  # the cache may be a new one

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; records the first row of an episode."""
        obs, info = self.env.reset(seed=seed, options=options)
        if not self._is_known:
            self._is_known = True
            num_envs = inferred_num_envs(obs, self.observation_space)
            if num_envs is not None:
                RecordedBatchedEnv.take_over(self, num_envs, obs, seed, options)
                return obs, info
        self._has_ended = False
        self.begins[:] = True
        self.recorder.add(
            [Kind.RESET],
            self._pictures,
            data=self._data(obs),
            infos={0: reset_info(seed, options)},
        )
        return obs, info

    def step(
        self, action: Any
    ) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step the environment; records a row."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        check_is_one(reward, self.env)
        kind = Kind.RESET if self._resets_itself and self._has_ended else Kind.STEP
        self._has_ended = bool(terminated or truncated)
        self.begins[:] = kind is Kind.RESET
        self.recorder.add(
            [kind],
            self._pictures,
            reward=[float(reward)],
            terminated=[bool(terminated)],
            truncated=[bool(truncated)],
            action=one_action(action, self.action_space),
            data=self._data(obs),
        )
        return obs, reward, terminated, truncated, info

    def render(self) -> Any:
        """Return what the environment renders."""
        if not self._is_list_mode:
            return self.env.render()
        # The environment's own list went to the recording, frame by frame.
        rows = range(self._rendered_row, self.cache.num_rows)
        self._rendered_row = rows.stop
        return [self.cache[row, 0] for row in rows if self.cache.has_picture(row, 0)]

    def close(self) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.env.close()

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_renders(self)

    def reset_ended(self, ended: Mask) -> Any:
        """Reset if the episode ended and that is left to the caller.

        Returns:
            The new observation, or None.
        """
        return self.reset()[0] if ended[0] and not self._resets_itself else None

    def _pictures(self) -> list[Any]:
        return [newest(render(self.env))]

    def _data(self, obs: Any) -> dict[str, Any] | None:
        return kept(obs, self._parts, [1])
