"""RolloutViewerCallback: evaluations of a model while it learns, in one recording."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING, Any

import gymnasium
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, unwrap_vec_normalize

from rollout_viewer._errors import RolloutViewerWarning, UnsupportedEnvError
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer.sources.sb3._evaluation import Evaluation
from rollout_viewer.sources.sb3.recorded_env import RecordedVecEnv

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from rollout_viewer._cache.cache import FrameCache
    from rollout_viewer._recorder.success import SuccessRule

# An episode that never ends must not stop a training: SB3's time limits are shorter.
_MAX_STEPS = 100_000


class RolloutViewerCallback(RecorderViews, BaseCallback):
    """Evaluates the model before it learns and each `every` timesteps after.

    The episodes of an evaluation are the segment ``"eval"`` of one recording, with the
    label ``train_step``: one viewer, also during training, shows how the policy
    changes. A recording, log or video that cannot be written never ends the training.

    Episodes are divided among the envs before the first begins, and counted, as SB3's
    ``evaluate_policy`` does; an env that has had its own is idle. Each evaluation is
    logged at its step as by SB3's `EvalCallback`: ``eval/mean_reward``,
    ``eval/mean_ep_length`` and, where infos have ``is_success``,
    ``eval/success_rate``. Where an `EvalCallback` or another of these is in the same
    training, the names begin with ``rollout_viewer/``.

    Returns are those of a `Monitor` around the environment, as SB3's; without one, the
    sums of the rewards before a `VecNormalize` scales and clips them, which are also
    the recorded ones.

    Args:
        eval_env: A `VecEnv`, or one environment, made with
            ``render_mode="rgb_array"``. It stays open. A `VecNormalize` gets the
            training's statistics before each evaluation.
        every: Timesteps between evaluations, over all envs of the training.
        episodes: Of an evaluation, divided among the envs.
        deterministic: Passed to ``model.predict``.
        seed: Of each evaluation, so that all begin alike; None: it is never seeded.
        cache: Where to record: a `FrameCache`, or the path of a new one.
        logger: Gets a video of each evaluation, at its step; also of the viewer and of
            `dump`. None: no videos while it trains, ``CSVLogger("rollouts")`` for
            these.
        tag: Name of dumps.
        info: As of `rollout_viewer.record`.
        success: As of `rollout_viewer.record`.
        verbose: As of SB3's callbacks.

    Raises:
        UnsupportedEnvError: `eval_env` is no environment.
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
        info: bool | Iterable[str] = True,
        success: SuccessRule | None = None,
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
        if not isinstance(venv, VecEnv):
            raise UnsupportedEnvError(
                "RolloutViewerCallback: expected eval_env to be a VecEnv of "
                "Stable-Baselines3 or a gymnasium.Env, got "
                f"{type(eval_env).__name__}. Make it: {_made(eval_env)}."
            )
        if isinstance(venv, RecordedVecEnv):
            self.eval_env = venv
        else:
            self.eval_env = RecordedVecEnv(
                venv, cache=cache, logger=logger, tag=tag, info=info, success=success
            )
        self._dumps = self.eval_env.recorder.has_logger
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
            _warn(f"expected to write the recording, got {error}")

    # -- inside

    def _evaluate(self) -> None:
        self._next = (self.num_timesteps // self.every + 1) * self.every
        self._copy_statistics()
        env = self.eval_env
        evaluation = env.evaluation = Evaluation(self.episodes, env)
        env.recorder.limit_episodes(evaluation)
        try:
            with self.cache.segment("eval", train_step=self.num_timesteps):
                self._run(evaluation)
        finally:
            env.evaluation = None
            env.recorder.limit_episodes(None)
        if not evaluation.is_met:
            _warn(
                f"expected {self.episodes} episodes, got {evaluation.num_ended} in "
                f"{_MAX_STEPS} steps. Give eval_env a time limit"
            )
        self._log(evaluation.summary())
        if self._dumps:
            self._dump_or_warn()

    def _run(self, evaluation: Evaluation) -> None:
        env = self.eval_env
        if self.seed is not None:
            env.seed(self.seed)
        observation = env.reset()
        state: Any = None
        for _ in range(_MAX_STEPS):
            action, state = self.model.predict(
                observation,
                state=state,
                episode_start=env.begins,
                deterministic=self.deterministic,
            )
            observation, _, _, _ = env.step(action)
            if evaluation.is_met:
                return

    def _copy_statistics(self) -> None:
        """Give the evaluated `VecNormalize` what the training's has."""
        training = self.model.get_vec_normalize_env()
        ours = unwrap_vec_normalize(self.eval_env)
        if training is None:
            return
        if ours is None:
            _warn(
                "expected eval_env in a VecNormalize as the training's, got none: the "
                "model gets other observations than it learns from. Wrap it with "
                "VecNormalize(eval_env, training=False)",
            )
            return
        if hasattr(training, "obs_rms"):  # not without norm_obs
            ours.obs_rms = copy.deepcopy(training.obs_rms)
        ours.ret_rms = copy.deepcopy(training.ret_rms)

    def _log(self, means: Mapping[str, float]) -> None:
        prefix = log_prefix(self, self.locals.get("callback"))
        try:
            for name, mean in means.items():
                self.logger.record(f"{prefix}/{name}", mean)
            steps = self.num_timesteps
            self.logger.record("time/total_timesteps", steps, exclude="tensorboard")
            self.logger.dump(steps)
        except Exception as error:  # a full disk must not end a training
            _warn(f"expected to log the evaluation, got {error!r}")

    def _dump_or_warn(self) -> None:
        try:
            self.dump(step=self.num_timesteps)
        except Exception as error:  # a full disk must not end a training
            _warn(f"expected to write the evaluation's video, got {error!r}")


def log_prefix(callback: BaseCallback, all_callbacks: Any) -> str:
    """Return what the names in SB3's log begin with: ``"eval"``, as `EvalCallback`'s.

    Where others of the training log under this name, the callback has its own.

    Args:
        callback: A `RolloutViewerCallback`.
        all_callbacks: Those of the training, one or lists of them.
    """
    others = list(_flat(all_callbacks))
    ours = [one for one in others if isinstance(one, RolloutViewerCallback)]
    number = ours.index(callback) if callback in ours else 0
    number += any(isinstance(one, EvalCallback) for one in others)
    if number == 0:
        return "eval"
    return "rollout_viewer" if number == 1 else f"rollout_viewer_{number}"


def _flat(callback: Any) -> Iterator[BaseCallback]:
    """Yield a callback and those within it."""
    if isinstance(callback, BaseCallback):
        yield callback
        within = [getattr(callback, "callback", None)]
        for one in (*within, *getattr(callback, "callbacks", ())):
            yield from _flat(one)


def _warn(message: str) -> None:
    warnings.warn(
        f"RolloutViewerCallback: {message}. Training continues.",
        RolloutViewerWarning,
        stacklevel=3,
    )


def _made(eval_env: Any) -> str:
    """Return the call that makes an environment of a name, for messages."""
    name = eval_env if isinstance(eval_env, str) else "CartPole-v1"
    return f"make_vec_env({name!r}, env_kwargs={{'render_mode': 'rgb_array'}})"
