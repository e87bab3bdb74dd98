"""TorchRL's environments under `rv.record` and `rv.rollout`, and a rollout callback.

Tells the recorder what each reset and step was to each env. Knows no cache or file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torchrl
from torchrl.envs.common import EnvBase
from torchrl.envs.transforms import Transform, TransformedEnv

from rollout_viewer._errors import RenderError
from rollout_viewer._recorder.recorder import Recorder
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer._recording.step_row import Kind
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.torchrl._render import (
    PictureSource,
    check_renders,
    fps_of,
    name_of,
    picture_key,
)
from rollout_viewer.sources.torchrl._rollout_env import RolloutTorchRLEnv
from rollout_viewer.sources.torchrl._step_data import Call, StepReader

if TYPE_CHECKING:
    import numpy.typing as npt
    from tensordict import TensorDictBase

    Mask = npt.NDArray[np.bool_]


# Observations up to this size of each env are kept as data["obs"].
MAX_OBS_BYTES = 64_000


def wrap(env: Any, **options: Any) -> RecordedTorchRLEnv | None:
    """Return a TorchRL environment in a recording one; None where it is none."""
    return RecordedTorchRLEnv(env, **options) if isinstance(env, EnvBase) else None


class RecordedTorchRLEnv(TransformedEnv, RecordingWrapper):  # type: ignore[misc]  # untyped base
    """A `TransformedEnv` that records pictures, rewards, ends, actions, observations.

    Pictures are the entry ``"pixels"``, else what ``render()`` returns. Batch
    dimensions are flattened: env 5 of ``batch_size=(2, 4)`` is (1, 1). An env's
    reward is the sum of its agents'.

    Args:
        env: Not changed. Started, where it has to be asked to render.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures.
    """

    def __init__(self, env: EnvBase, **options: Any) -> None:
        key = picture_key(env)
        if key is None:
            check_renders(env)
        recorder = Recorder(_num_envs(env), **_about(env), **options)
        # Nested, since unwrapping would take the caller's transforms apart.
        super().__init__(env, _Recording(recorder, key), auto_unwrap=False)
        self.recorder = recorder
        self.has_been_closed = False

    @property
    def begins(self) -> Mask:  # type: ignore[override]  # the transform has it
        """Bool (B,): the last observation is the first of an episode."""
        begins: Mask = self.transform.begins
        return begins

    def set_seed(self, seed: int | None = None, static_seed: bool = False) -> Any:
        """Seed the environment; the next episodes carry the number."""
        self.transform.seed = seed
        return super().set_seed(seed, static_seed=static_seed)

    def close(self, **options: Any) -> None:
        """Write the recording to its file, then close the environment."""
        try:
            self.recorder.finish()
        finally:
            self.has_been_closed = True
            super().close(**options)

    def check_open(self) -> None:
        """Raise RenderError if `close` was called."""
        if self.has_been_closed:
            raise RenderError(
                "record: expected an open environment, got "
                f"{name_of(self.base_env)}, which was closed. Make a new one."
            )

    def driven(self) -> RolloutTorchRLEnv:
        """Return what `rv.rollout` steps."""
        return RolloutTorchRLEnv(self)


class _Recording(RecorderViews, Transform):  # type: ignore[misc]  # untyped base
    """The transform that tells the recorder what passes, and changes nothing."""

    def __init__(self, recorder: Recorder, key: Any) -> None:
        super().__init__(in_keys=[], out_keys=[])
        self.recorder = recorder
        self.key = key
        self.seed: int | None = None
        self.begins: Mask = np.zeros(recorder.num_envs, np.bool_)

    def set_container(self, container: Any) -> None:
        """Get to know the environment; a copy's is another one."""
        super().set_container(container)
        self._sight = PictureSource(self.parent, self.key)
        self._steps = StepReader(self.parent)
        flag = "_torchrl_native_autoreset"
        self._resets_itself = bool(self.parent.__dict__.get(flag, False))

    @property
    def _views_of(self) -> Recorder:
        return self.recorder

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        if not self.cache.num_rows and (fps := fps_of(self.parent)):
            self.cache.mark_fps(fps)  # workers that were just started can tell
        kinds = self._steps.kinds(
            Call(True, tensordict, tensordict_reset), self.recorder.num_envs
        )
        self.begins = kinds == Kind.RESET
        seed = {} if self.seed is None else {"seed": int(self.seed)}
        self.seed = None
        self.recorder.add(
            kinds,
            lambda: self._sight.pictures(tensordict_reset),
            data=_observation(self.parent, tensordict_reset),
            infos=dict.fromkeys(np.flatnonzero(self.begins).tolist(), seed),
        )
        return tensordict_reset

    def _step(
        self, tensordict: TensorDictBase, next_tensordict: TensorDictBase
    ) -> TensorDictBase:
        n = self.recorder.num_envs
        kinds = self._steps.kinds(Call(False, tensordict, next_tensordict), n)
        ends = self._steps.ends(next_tensordict, n)
        ended = ends.any & (kinds == Kind.STEP)
        # Then the pictures are those of the new episodes already.
        is_two_rows = self._resets_itself and bool(ended.any())
        self.begins = ended if is_two_rows else np.zeros(n, np.bool_)
        self.recorder.add(
            np.where(self.begins, Kind.TERMINAL_MISSING, kinds),
            lambda: self._sight.pictures(next_tensordict),
            reward=self._steps.reward(next_tensordict, n),
            terminated=ends.terminated & ended,
            truncated=ends.truncated & ended,
            action=self._steps.action(tensordict, n),
            data=_observation(self.parent, next_tensordict),
        )
        if is_two_rows:
            self.recorder.add(
                np.where(ended, Kind.RESET, Kind.IDLE),
                lambda: self._sight.pictures(next_tensordict),
                is_same_call=True,
            )
        return next_tensordict


def _num_envs(env: Any) -> int:
    return max(int(env.batch_size.numel()), 1)


def _observation(env: Any, tensordict: TensorDictBase) -> dict[str, Any] | None:
    """Return the entry "observation" as data of a row, where it is small."""
    value = tensordict.get("observation", None)
    if not isinstance(value, torch.Tensor) or value.dtype == torch.uint8:
        return None
    n, batch_dims = _num_envs(env), len(env.batch_size)
    if value.nbytes > MAX_OBS_BYTES * n:
        return None
    array = value.detach().cpu().numpy()
    return {"obs": array.reshape(n, *array.shape[batch_dims:])}


def _about(env: Any) -> dict[str, Any]:
    """Return fps and metadata for the recorder."""
    source = f"torchrl {torchrl.__version__}"
    return {
        "fps": fps_of(env),
        "metadata": {"env_id": name_of(env), "source": source},
    }
