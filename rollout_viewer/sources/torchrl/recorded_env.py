"""A TorchRL environment that records each call, for loops and `rollout`."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from torchrl.envs.common import EnvBase
from torchrl.envs.transforms import Transform, TransformedEnv

from rollout_viewer._errors import RenderError
from rollout_viewer._frames.fps import as_fps
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.same_step import add_same_step
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer._recording.step_row import RESET, STEP
from rollout_viewer._replay.episode_start import START
from rollout_viewer.sources._guard import SurvivesFaults
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.torchrl._env_info import (
    env_info,
    fps_of,
    name_of,
    num_envs_of,
    observation_of,
    resets_itself,
)
from rollout_viewer.sources.torchrl._later import insert_tap, tap_of
from rollout_viewer.sources.torchrl._numbers_here import NumbersHere
from rollout_viewer.sources.torchrl._render import (
    PictureSource,
    check_renders,
    declares_shared_picture,
    picture_key,
)
from rollout_viewer.sources.torchrl._rollout_env import RolloutTorchRLEnv
from rollout_viewer.sources.torchrl._step_data import Call, StepReader

if TYPE_CHECKING:
    import numpy.typing as npt
    from tensordict import TensorDictBase

    from rollout_viewer.sources._adapters import Later

    Mask = npt.NDArray[np.bool_]


def wrap(
    env: Any, *, later: Later | None = None, **options: Any
) -> RecordedTorchRLEnv | None:
    """Return a TorchRL environment that records; None for anything else."""
    if not isinstance(env, EnvBase):
        return None
    return RecordedTorchRLEnv(env, later=later, **options)


class RecordedTorchRLEnv(TransformedEnv, RecordingWrapper):  # type: ignore[misc]  # untyped base
    """A `TransformedEnv` that records pictures, rewards, ends, actions, observations.

    Pictures are the entry ``"pixels"``, else what ``render()`` returns. Batch
    dimensions are flattened: env 5 of ``batch_size=(2, 4)`` is (1, 1). An env's
    reward is the sum of its agents'.

    Args:
        env: Not changed; started, where it renders the pictures.
        later: Its pictures are rendered later: a look is inserted between `GymEnv` and
            the environment of Gymnasium in it, which need not render itself.
        **options: Of `Recorder`.

    Raises:
        RenderError: It cannot render images.
        UnsupportedEnvError: With `later`, it cannot be made again.
    """

    def __init__(
        self, env: EnvBase, *, later: Later | None = None, **options: Any
    ) -> None:
        key = None
        if later is not None:
            options["recipe"] = insert_tap(env, later)
        elif (key := picture_key(env)) is None:
            check_renders(env)
        recorder = Recorder(
            num_envs_of(env),
            # An entry without batch axes is of them all.
            shares_picture=key is not None or declares_shared_picture(env),
            **env_info(env),
            **options,
        )
        # Nested: unwrapping would take the caller's transforms apart.
        super().__init__(env, _Recording(recorder, key), auto_unwrap=False)
        self.recorder = recorder
        self._was_closed = False

    @property
    def begins(self) -> Mask:  # type: ignore[override]  # the transform has it
        """Bool (B,): the last observation is the first of an episode."""
        begins: Mask = self.transform.begins
        return begins

    def set_seed(self, seed: int | None = None, static_seed: bool = False) -> Any:
        """Seed the environment; the next episodes have the number as their seed."""
        self.transform.seed = seed
        return super().set_seed(seed, static_seed=static_seed)

    def close(self, **options: Any) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self._was_closed = True
            super().close(**options)

    def check_open(self) -> None:
        """Raise RenderError if `close` was called."""
        # `is_closed` is TorchRL's here, and true of what was not started.
        if self._was_closed:
            raise RenderError(
                "record: expected an open environment, got "
                f"{name_of(self.base_env)}, which was closed. Make a new one."
            )

    def rollout_env(self) -> RolloutTorchRLEnv:
        """Return what `rollout` steps."""
        return RolloutTorchRLEnv(self)


class _Recording(SurvivesFaults, RecorderViews, Transform):  # type: ignore[misc]  # untyped base
    """The transform that records each call, and changes nothing."""

    def __init__(self, recorder: Recorder, key: Any) -> None:
        super().__init__(in_keys=[], out_keys=[])
        self.recorder = recorder
        self.key = key
        self.seed: int | None = None
        self.begins: Mask = np.zeros(recorder.num_envs, np.bool_)
        self._numbers = NumbersHere()

    def set_container(self, container: Any) -> None:
        """Read how the environment renders and resets; a copy has another one."""
        super().set_container(container)
        self._source = PictureSource(self.parent, self.key, self.recorder.envs)
        self._steps = StepReader(self.parent)
        self._resets_itself = resets_itself(self.parent)
        self._tap = tap_of(self.parent) if self.recorder.renders_later else None

    @property
    def _views_of(self) -> Recorder:
        return self.recorder

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        self._record_call("reset", self._record_reset, tensordict, tensordict_reset)
        return tensordict_reset

    def _record_reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> None:
        if not self.recorder.cache.num_rows and (fps := as_fps(fps_of(self.parent))):
            self.recorder.cache.mark_fps(fps)  # known now if workers were just started
        n = self.recorder.num_envs
        before, after = self._numbers.of_call(tensordict, tensordict_reset, num_envs=n)
        kinds = self._steps.kinds(Call(True, before, after), n)
        self.begins = kinds == RESET
        info: dict[str, Any] = {} if self.seed is None else {"seed": int(self.seed)}
        self.seed = None
        data = observation_of(self.parent, after)
        if self._tap is not None:
            info[START] = self._tap.start(self.recorder.recipe_number)
            data = self._tap.data(data)
        self.recorder.add(
            kinds,
            lambda: self._source.pictures(tensordict_reset),
            data=data,
            infos=dict.fromkeys(np.flatnonzero(self.begins).tolist(), info),
        )

    def _step(
        self, tensordict: TensorDictBase, next_tensordict: TensorDictBase
    ) -> TensorDictBase:
        self._record_call("step", self._record_step, tensordict, next_tensordict)
        return next_tensordict

    def _record_step(
        self, tensordict: TensorDictBase, next_tensordict: TensorDictBase
    ) -> None:
        n = self.recorder.num_envs
        before, after = self._numbers.of_call(tensordict, next_tensordict, num_envs=n)
        kinds = self._steps.kinds(Call(False, before, after), n)
        ends = self._steps.ends(after, n)
        ended = ends.any & (kinds == STEP)
        step: dict[str, Any] = {
            "reward": self._steps.reward(after, n),
            "sums": self._steps.group_rewards(after, n),
            "terminated": ends.terminated & ended,
            "truncated": ends.truncated & ended,
            "action": self._steps.action(before, n),
            "step_info": self._steps.infos(after, n),
        }
        pictures = functools.partial(self._source.pictures, next_tensordict)
        data = observation_of(self.parent, after)
        if self._tap is not None:
            step["action"], data = self._tap.action, self._tap.data(data)
        if self._resets_itself and ended.any():
            self.begins = ended
            add = self.recorder.add
            add_same_step(add, ended, pictures, kind=kinds, final_data=data, **step)
        else:
            self.begins = np.zeros(n, np.bool_)
            self.recorder.add(kinds, pictures, data=data, **step)
