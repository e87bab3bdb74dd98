"""Recorder, TorchRL's LogValidationReward: a trainer's hook that evaluates a policy.

Knows TorchRL's trainers and transforms, and the recorders in an environment's
transforms.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import TYPE_CHECKING, Any

import torch
from torchrl.collectors.utils import split_trajectories
from torchrl.envs.common import EnvBase
from torchrl.envs.transforms import TransformedEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.trainers import LogValidationReward as _Original

from rollout_viewer._cache.cache import FrameCache
from rollout_viewer._errors import RolloutViewerWarning
from rollout_viewer._recorder.views import RecorderViews
from rollout_viewer.sources.torchrl.pixel_render import flat

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tensordict import TensorDictBase
    from torchrl.trainers import Trainer

_REWARD = ("next", "reward")
_DONE = ("next", "done")
_IDS = ("collector", "traj_ids")


class LogValidationReward(RecorderViews, _Original):  # type: ignore[misc]  # untyped base
    """Evaluates a policy at each `record_interval`-th call; also called `Recorder`.

    For ``trainer.register_op`` or `register`. The episodes of an evaluation are the
    segment ``"eval"`` of each recording in the environment's transforms, with the label
    ``train_step`` (the trainer's collected frames, or the number of calls where it was
    not registered), so one viewer shows how the policy changes. Differs from TorchRL's:

    - The policy's exploration type is DETERMINISTIC by default, as TorchRL documents;
      its code uses RANDOM. Pass ``ExplorationType.RANDOM`` for that.
    - The environment stays open between evaluations: close it when you are done.
    - A video that cannot be written is warned of; training continues.
    - Entries of `log_keys` other than the reward are means over the recorded steps,
      without padding, where TorchRL's are whole tensors that no logger accepts; the
      name of a nested key is its parts joined with "/".
    - Wrong arguments raise in the constructor, not at the first call.

    Args:
        record_interval: Calls between two evaluations; the first call is one.
        record_frames: Steps of an evaluation; episodes that end are reset.
        frame_skip: Of the environment; the mean reward is divided by it.
        policy_exploration: The policy.
        environment: Where to evaluate. Its transforms may hold recorders.
        exploration_type: Of the policy in an evaluation.
        log_keys: Entries to log; default ``[("next", "reward")]``, as
            ``"r_evaluation"`` (mean over all steps) and ``"total_r_evaluation"``
            (mean over the trajectories of their sums).
        out_keys: Entry -> its name in the log.
        suffix: Of the videos' names.
        log_pbar: Show it in the trainer's progress bar.
        recorder: The old name of `environment`.

    Raises:
        ValueError: A number is below 1, or there are two environments.
        TypeError: There is no environment.
    """

    def __init__(
        self,
        *,
        record_interval: int,
        record_frames: int,
        frame_skip: int = 1,
        policy_exploration: Any,
        environment: EnvBase | None = None,
        exploration_type: ExplorationType = ExplorationType.DETERMINISTIC,
        log_keys: Sequence[Any] | str | None = None,
        out_keys: dict[Any, str] | None = None,
        suffix: str | None = None,
        log_pbar: bool = False,
        recorder: EnvBase | None = None,
    ) -> None:
        _check_count("record_interval", record_interval)
        _check_count("record_frames", record_frames)
        _check_count("frame_skip", frame_skip)
        if isinstance(log_keys, (str, tuple)):
            log_keys = [log_keys]
        super().__init__(
            record_interval=record_interval,
            record_frames=record_frames,
            frame_skip=frame_skip,
            policy_exploration=policy_exploration,
            environment=environment,
            exploration_type=exploration_type,
            log_keys=log_keys,
            out_keys=out_keys,
            suffix=suffix,
            log_pbar=log_pbar,
            recorder=recorder,
        )
        if not isinstance(self.environment, EnvBase):
            raise TypeError(
                "Recorder: expected environment to be a TorchRL environment, got "
                f"{type(self.environment).__name__}."
            )
        self._trainer: Trainer | None = None

    @torch.inference_mode()
    def __call__(self, batch: TensorDictBase | None = None) -> dict[str, Any] | None:
        """Evaluate, if it is time.

        Args:
            batch: Of the trainer; not used.

        Returns:
            Name -> value to log, or None where it was not time.
        """
        is_due = self._count % self.record_interval == 0
        logged = self._evaluate() if is_due else None
        self._count += 1
        return logged

    def _evaluate(self) -> dict[str, Any]:
        with (
            set_exploration_type(self.exploration_type),
            _in_eval_mode(self.policy_exploration, self.environment),
            self._segment(),
        ):
            rollout = self.environment.rollout(
                policy=self.policy_exploration,
                max_steps=self.record_frames,
                auto_reset=True,
                auto_cast_to_device=True,
                break_when_any_done=False,
            )
        self._dump_or_warn()
        return self._logged(rollout)

    def _logged(self, rollout: TensorDictBase) -> dict[str, Any]:
        # Only the logged entries are copied and padded, never the pictures.
        kept = rollout.select(*self.log_keys, _DONE, _IDS, strict=False)
        trajectories = split_trajectories(kept.clone())
        mask = trajectories.get("mask", None)
        if mask is None:
            mask = trajectories.get(("collector", "mask"))
        logged: dict[str, Any] = {}
        for key in self.log_keys:
            value = trajectories.get(key, None)
            if value is None:
                raise KeyError(
                    f"Recorder: expected log_keys in the rollout, got {key!r}. It has "
                    f"{sorted(map(str, rollout.keys(True, True)))}."
                )
            value, name = value.float(), self.out_keys[key]
            if key == _REWARD:
                logged[name] = value[mask].mean() / self.frame_skip
                total = value.sum(dim=trajectories.ndim - 1).mean()
                logged[f"total_{name}"] = total
            else:
                name = "/".join(name) if isinstance(name, tuple) else name
                logged[name] = value[mask].mean()
        logged["log_pbar"] = self.log_pbar
        return logged

    # -- the recording

    @property
    def train_step(self) -> int:
        """Frames that the trainer collected; without one, calls so far."""
        trainer = self._trainer
        return self._count if trainer is None else int(trainer.collected_frames)

    def dump(self, suffix: str | None = None, step: int | None = None) -> Any:
        """Let the environment's recorders dump, as each evaluation does."""
        options = {} if step is None else {"step": step}
        env, written = self.environment, None
        while isinstance(env, TransformedEnv):
            written = env.transform.dump(suffix=suffix, **options) or written
            env = env.base_env
        return written

    @property
    def _views_of(self) -> Any:
        """The first recorder in the environment's transforms."""
        for recorder in recorders_of(self.environment):
            return recorder
        raise AttributeError(
            "Recorder: expected a recorder of rollout_viewer in the environment's "
            "transforms, got none. Append a rollout_viewer.VideoRecorder."
        )

    @contextlib.contextmanager
    def _segment(self) -> Iterator[None]:
        caches = {id(r.cache): r.cache for r in recorders_of(self.environment)}
        with contextlib.ExitStack() as stack:
            for cache in caches.values():
                stack.enter_context(cache.segment("eval", train_step=self.train_step))
            yield

    def _dump_or_warn(self) -> None:
        try:
            self.dump(self.suffix)
        except Exception as error:  # a full disk must not end a training
            warnings.warn(
                f"Recorder: expected to write the evaluation's video, got {error!r}. "
                "Training continues.",
                RolloutViewerWarning,
                stacklevel=4,
            )

    def register(self, trainer: Trainer, name: str = "recorder") -> None:
        """Register as a hook of `trainer`, after its optimization steps."""
        self._trainer = trainer
        super().register(trainer, name)


Recorder = LogValidationReward


def recorders_of(env: Any) -> Iterator[Any]:
    """Yield the transforms of an environment that record, innermost first."""
    if isinstance(env, TransformedEnv):
        yield from recorders_of(env.base_env)
        for transform in flat(env.transform):
            if isinstance(getattr(transform, "cache", None), FrameCache):
                yield transform


@contextlib.contextmanager
def _in_eval_mode(*modules: Any) -> Iterator[None]:
    """Put modules into eval mode, and back into training mode as TorchRL does."""
    nets = [module for module in modules if isinstance(module, torch.nn.Module)]
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for net in nets:
            net.train()


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"Recorder: expected {name} to be 1 or more, got {value!r}.")
