"""RolloutViewerCallback: evaluations of a model while it learns, in one recording."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    VecNormalize,
    sync_envs_normalization,
)

from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer.sources.sb3.recorded_env import RecordedVecEnv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from stable_baselines3.common.vec_env import VecEnv

    from rollout_viewer._cache.cache import FrameCache

# An episode that never ends must not stop a training: SB3's time limits are shorter.
_MAX_STEPS = 100_000


class RolloutViewerCallback(RecorderViews, BaseCallback):
    """Evaluates the model before it learns and each `every` timesteps after.

    The episodes of an evaluation are the segment ``"eval"`` of one recording, with the
    label ``train_step``: one viewer, also during training, shows how the policy
    changes. Logs ``eval/mean_reward`` and ``eval/mean_ep_length``, as SB3's
    `EvalCallback`. A recording that cannot be written never ends the training.

    Args:
        eval_env: A `VecEnv`, or one environment, made with
            ``render_mode="rgb_array"``. It stays open. A `VecNormalize` gets the
            training's statistics.
        every: Timesteps between evaluations, over all envs of the training.
        episodes: Of an evaluation, all envs together.
        deterministic: As ``model.predict`` takes it.
        seed: Of each evaluation, so that all begin alike; None: it is never seeded.
        cache: Where to record: a `FrameCache`, or the path of a new one.
        logger: Of the viewer and of `dump`; None: ``CSVLogger("rollouts")``.
        tag: Name of dumps.
        verbose: As of SB3's callbacks.

    Raises:
        RenderError: `eval_env` cannot render images.
        ValueError: `every` or `episodes` is below 1.

    Example:
        >>> import gymnasium as gym
        >>> from stable_baselines3 import PPO
        >>> env = gym.make("CartPole-v1", render_mode="rgb_array")
        >>> watch = RolloutViewerCallback(env, every=64, episodes=1, seed=0)
        >>> model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, device="cpu")
        >>> _ = model.learn(128, callback=watch)
        >>> [episode.labels["train_step"] for episode in watch.cache.episodes]
        [0, 64, 128]
    """

    def __init__(
        self,
        eval_env: VecEnv | gymnasium.Env[Any, Any],
        every: int = 10_000,
        episodes: int = 5,
        deterministic: bool = True,
        *,
        seed: int | None = None,
        cache: FrameCache | str | Path | None = None,
        logger: Any = None,
        tag: str = "eval",
        verbose: int = 0,
    ) -> None:
        super().__init__(verbose=verbose)
        for name, count in (("every", every), ("episodes", episodes)):
            is_whole = type(count) is int  # a bool is none
            if not is_whole or count < 1:
                raise ValueError(
                    f"RolloutViewerCallback: expected {name} to be 1 or more, got "
                    f"{count!r}."
                )
        self.every = every
        self.episodes = episodes
        self.deterministic = deterministic
        self.seed = seed
        venv: Any = eval_env
        if isinstance(eval_env, gymnasium.Env):
            venv = DummyVecEnv([lambda: eval_env])
        if isinstance(venv, RecordedVecEnv):
            self.eval_env = venv
        else:
            self.eval_env = _Evaluated(venv, cache=cache, logger=logger, tag=tag)
        self._next = 0

    # -- the recording

    @property
    def _views_of(self) -> RecordedVecEnv:
        return self.eval_env

    # -- called by SB3

    def _on_training_start(self) -> None:
        # learn(reset_num_timesteps=False) continues at its last timestep.
        if self.num_timesteps >= self._next or self.num_timesteps == 0:
            self._next = self.num_timesteps
            self._evaluate()

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._evaluate()
        return True

    def _on_training_end(self) -> None:
        try:
            self.cache.flush()
        except Exception as error:  # a full disk must not end a training
            warnings.warn(
                f"RolloutViewerCallback: expected to write the recording, got {error}",
                RolloutViewerWarning,
                stacklevel=2,
            )

    # -- inside

    def _evaluate(self) -> None:
        self._next = (self.num_timesteps // self.every + 1) * self.every
        if isinstance(self.eval_env.venv, VecNormalize):
            sync_envs_normalization(self.training_env, self.eval_env.venv)
        start = self.cache.num_rows
        with self.cache.segment("eval", train_step=self.num_timesteps):
            self._run_episodes()
        ended = [
            episode
            for episode in self.cache.episodes
            if episode.start >= start and episode.is_finished
        ]
        if ended:
            rewards = [episode.total_reward for episode in ended]
            self.logger.record("eval/mean_reward", float(np.mean(rewards)))
            lengths = [episode.length for episode in ended]
            self.logger.record("eval/mean_ep_length", float(np.mean(lengths)))

    def _run_episodes(self) -> None:
        env = self.eval_env
        if self.seed is not None:
            env.seed(self.seed)
        observation = env.reset()
        state: Any = None
        num_ended = 0
        for _ in range(_MAX_STEPS):
            action, state = self.model.predict(
                observation,
                state=state,
                episode_start=env.begins,
                deterministic=self.deterministic,
            )
            observation, _, dones, _ = env.step(action)
            num_ended += int(np.sum(dones))
            if num_ended >= self.episodes:
                break
        if isinstance(env, _Evaluated):
            env.leave_out_resets()


class _Evaluated(RecordedVecEnv):
    """Records the reset after an end only with the next call.

    SB3 resets ended envs after the last step of an evaluation too; that episode has no
    step, and is left out.
    """

    _pending_reset: tuple[Any, list[Any], dict[str, Any]] | None = None

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        pending, self._pending_reset = self._pending_reset, None
        if pending is not None:
            reset_kind, images, reset = pending
            super()._add(reset_kind, lambda: images, **reset)
        if call.get("is_same_call"):
            # Copies: environments reuse the memory that they draw in.
            self._pending_reset = kind, [np.array(one) for one in pictures()], call
        else:
            super()._add(kind, pictures, **call)

    def leave_out_resets(self) -> None:
        """Leave out the resets of the last call."""
        self._pending_reset = None
