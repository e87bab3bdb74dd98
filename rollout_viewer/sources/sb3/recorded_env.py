"""An SB3 `VecEnv` that records each call, for loops and `rollout`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stable_baselines3.common.vec_env import VecEnv

from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer.sources._later_rows import check_records_all
from rollout_viewer.sources._rollout_env import BatchedSpace, RolloutEnvBase
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.sb3._later import envs_here, recipe_of_venv
from rollout_viewer.sources.sb3._vec_calls import VecCalls, check_renders, env_info

if TYPE_CHECKING:
    from rollout_viewer._recording.step_row import Mask
    from rollout_viewer.sources._adapters import Later
    from rollout_viewer.sources.sb3._evaluation import Evaluation


def wrap(
    env: Any, *, later: Later | None = None, **options: Any
) -> RecordedVecEnv | None:
    """Return a `VecEnv` in a wrapper that records; None for anything else."""
    if not isinstance(env, VecEnv):
        return None
    return RecordedVecEnv(env, later=later, **options)


class RecordedVecEnv(RecordingWrapper, VecCalls):
    """A `VecEnv` that records pictures, rewards, ends, actions, observations.

    Rewards are recorded as they were before a `VecNormalize` within. An episode's last
    picture is recorded where the terminal observation is that picture, else marked as
    missing: SB3 resets before it can be rendered.

    Args:
        venv: Its envs made with ``render_mode="rgb_array"``.
        later: Their pictures are rendered later; they need not render themselves.
        **options: Of `Recorder`.

    Attributes:
        evaluation: Counts the steps of one; None: there is none now.

    Raises:
        RenderError: It cannot render images.
        UnsupportedEnvError: With `later`, its envs cannot be made again.
    """

    evaluation: Evaluation | None = None

    def __init__(
        self, venv: VecEnv, *, later: Later | None = None, **options: Any
    ) -> None:
        if later is None:
            check_renders(venv)
        else:
            options["recipe"] = recipe_of_venv(venv, later)
        super().__init__(venv)
        with self._left_on_error():
            if later is not None:
                self._set_up_later(envs_here(venv), is_same_step=True)
                if self._resets is None:
                    check_records_all(options)
            self.recorder = Recorder(self.num_envs, **env_info(venv), **options)

    def close(self) -> None:
        """Write the recording to its file, then close the environments."""
        self._leave_later()
        self._finish(self.venv.close)

    def rollout_env(self) -> RolloutVecEnv:
        """Return what `rollout` steps."""
        return RolloutVecEnv(self)

    def _env_name(self) -> str:
        return "a VecEnv"

    def _before_rows(self, rewards: Any, dones: Any, infos: Any) -> None:
        if self.evaluation is not None:
            self.evaluation.add_step(rewards, dones, infos)


class RolloutVecEnv(RolloutEnvBase):
    """A recorded `VecEnv` with the interface of a Gymnasium vector environment."""

    def __init__(self, env: RecordedVecEnv) -> None:
        super().__init__(env)
        self.action_space = BatchedSpace(env.action_space, env.num_envs)

    def reset(self, *, seed: Any = None) -> tuple[Any, dict[str, Any]]:
        """Reset all envs, with seed, seed + 1, ..."""
        if isinstance(seed, (list, tuple)):
            raise ValueError(
                "rv.rollout: expected one seed for a VecEnv, whose envs take seed, "
                f"seed + 1, ..., got {seed!r}."
            )
        if seed is not None:
            self._env.seed(int(seed))
        return self._env.reset(), {}

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Step all envs."""
        obs, reward, dones, infos = self._env.step(action)
        truncated = dones & [bool(info.get("TimeLimit.truncated")) for info in infos]
        return obs, reward, dones & ~truncated, truncated, infos

    def reset_ended(self, ended: Mask) -> Any:
        """Return None: SB3 has reset the envs that ended."""
        return None
