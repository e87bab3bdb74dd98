"""TorchRL's environments under `rv.record` and `rv.rollout`, and a rollout callback.

Tells the recorder what each reset and step was to each env. Knows no cache or file.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import torchrl
from torchrl.envs.batched_envs import BatchedEnvBase
from torchrl.envs.common import EnvBase
from torchrl.envs.transforms import Transform, TransformedEnv

from rollout_viewer._errors import FrameError, RenderError
from rollout_viewer._recorder import Recorder
from rollout_viewer._rows import Kind
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.torchrl import _steps
from rollout_viewer.sources.torchrl._driven import DrivenEnv
from rollout_viewer.sources.torchrl.pixel_render import as_picture, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt
    from tensordict import TensorDictBase

    from rollout_viewer._cache import FrameCache

    Mask = npt.NDArray[np.bool_]

_NO_PICTURES = (None, "human", "ansi", "ansi_list")


def wrap(env: Any, **options: Any) -> RecordedTorchRLEnv | None:
    """Return a TorchRL environment in a recording one; None where it is none."""
    return RecordedTorchRLEnv(env, **options) if isinstance(env, EnvBase) else None


class RecordedTorchRLEnv(TransformedEnv, RecordingWrapper):  # type: ignore[misc]  # untyped base
    """A `TransformedEnv` that records pictures, rewards, ends, actions, observations.

    Pictures are the entry ``"pixels"``, else what ``render()`` returns. Batch
    dimensions are flattened: env 5 of ``batch_size=(2, 4)`` is (1, 1). An env's
    reward is the mean of its agents'.

    Args:
        env: Not changed. Started, where it has to be asked to render.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures.
    """

    def __init__(self, env: EnvBase, **options: Any) -> None:
        key = _steps.picture_key(env)
        if key is None:
            _check_renders(env)
        recorder = Recorder(_steps.num_envs(env), **_about(env), **options)
        # Nested, since unwrapping would take the caller's transforms apart.
        super().__init__(env, _Recording(recorder, key), auto_unwrap=False)
        self.recorder = recorder
        self.has_been_closed = False

    @property
    def begins(self) -> Mask:
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
                f"{_name(self.base_env)}, which was closed. Make a new one."
            )

    def driven(self) -> DrivenEnv:
        """Return what `rv.rollout` steps."""
        return DrivenEnv(self)


class _Recording(Transform):  # type: ignore[misc]  # untyped base
    """The transform that tells the recorder what passes, and changes nothing."""

    def __init__(self, recorder: Recorder, key: Any) -> None:
        super().__init__(in_keys=[], out_keys=[])
        self.recorder = recorder
        self.key = key
        self.seed: int | None = None
        self.begins: Mask = np.zeros(recorder.num_envs, np.bool_)

    @property
    def cache(self) -> FrameCache:
        return self.recorder.cache

    @property
    def viewer(self) -> Any:
        return self.recorder.viewer

    def dump(self, suffix: str | None = None, step: int | None = None) -> list[Path]:
        return self.recorder.dump(suffix, step)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.recorder._repr_mimebundle_(**options)

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        return tensordict

    def _reset(
        self, tensordict: TensorDictBase, tensordict_reset: TensorDictBase
    ) -> TensorDictBase:
        env, n = self.parent, self.recorder.num_envs
        if not self.cache.num_rows and (fps := _fps(env)):
            self.cache.mark_fps(fps)  # workers that were just started can tell
        begins = _steps.mask(tensordict, env.reset_keys, n)
        self.begins = np.ones(n, np.bool_) if begins is None else begins
        seed = {} if self.seed is None else {"seed": int(self.seed)}
        self.recorder.add(
            np.where(self.begins, Kind.RESET, Kind.IDLE),
            lambda: self._pictures(tensordict_reset),
            data=_steps.observation(env, tensordict_reset),
            infos=dict.fromkeys(np.flatnonzero(self.begins).tolist(), seed),
        )
        self.seed = None
        return tensordict_reset

    def _step(
        self, tensordict: TensorDictBase, next_tensordict: TensorDictBase
    ) -> TensorDictBase:
        env, n = self.parent, self.recorder.num_envs
        # "_step": which envs are stepped at all, where some have ended.
        stepped = _steps.mask(tensordict, ["_step"], n)
        stepped = np.ones(n, np.bool_) if stepped is None else stepped
        self.begins = np.zeros(n, np.bool_)
        step = _steps.transition(env, next_tensordict)
        self.recorder.add(
            np.where(stepped, Kind.STEP, Kind.IDLE),
            lambda: self._pictures(next_tensordict),
            reward=step.reward,
            terminated=step.terminated & stepped,
            truncated=step.truncated & stepped,
            action=_steps.action(env, tensordict),
            data=_steps.observation(env, next_tensordict),
        )
        return next_tensordict

    def _pictures(self, tensordict: TensorDictBase) -> list[Any]:
        return _pictures(self.parent, tensordict, self.key)


def rollout_callback(
    cache: FrameCache | str | Path, key: Any = "pixels", skip: int = 1
) -> Callable[[Any, TensorDictBase], None]:
    """Return a callback for TorchRL's ``env.rollout(callback=...)`` that records.

    For one rollout each. TorchRL calls it after every step but the last, so that one
    is not recorded. With ``break_when_any_done=True``, TorchRL's default, it is not
    told rewards, actions and the first picture either. `rollout` and `record` get all.

    Args:
        cache: Where to record; a path: a new one there.
        key: Of the pictures; where there are none, ``env.render()`` is asked.
        skip: Record each n-th call; rewards of the others are carried over.

    Raises:
        ValueError: `skip` is below 1.
        TypeError: `cache` is no cache.
    """
    return _RolloutCallback(cache, key, skip)


class _RolloutCallback:
    """Records one rollout from what TorchRL tells after each step.

    Attributes:
        cache: Where it records.
    """

    def __init__(self, cache: FrameCache | str | Path, key: Any, skip: int) -> None:
        # Only checks the arguments: how many envs there are is told with a step.
        checked = Recorder(getattr(cache, "num_envs", 0) or 1, cache=cache, skip=skip)
        self.cache = checked.cache
        self._key = key
        self._skip = skip
        self._recorder: Recorder | None = None
        self._ended: Mask = np.zeros(0, np.bool_)

    def __call__(self, env: Any, tensordict: TensorDictBase) -> None:
        """Record the step that led to `tensordict`."""
        is_first = self._recorder is None
        recorder = self._recorder = self._recorder or self._begin(env)
        # Where rollouts stop at an end, the tensordict is the next step's root.
        full = tensordict.get("next", None)
        following = tensordict if full is None else full
        key = self._key if following.get(self._key, None) is not None else None
        step = _steps.transition(env, following)
        stepped = np.ones(recorder.num_envs, np.bool_)
        if full is None:
            stepped = ~self._ended
        if full is not None and key is not None:
            begins = stepped if is_first else self._ended
            self._add_reset(begins, lambda: _pictures(env, tensordict, key))
        elif is_first and self.cache.num_rows:
            # Nobody saw where this rollout began; what was before ends here.
            missing = None if self.cache.is_shared else [None] * recorder.num_envs
            self._add_reset(stepped, lambda: missing)
        is_gone = step.ended & (full is not None and key is None)
        codes = np.where(stepped, Kind.STEP, Kind.IDLE)
        recorder.add(
            np.where(is_gone, Kind.TERMINAL_MISSING, codes),
            lambda: _pictures(env, following, key),
            reward=step.reward,
            terminated=step.terminated & stepped,
            truncated=step.truncated & stepped,
            action=None if full is None else _steps.action(env, tensordict),
            data=_steps.observation(env, following),
        )
        # What renders now was reset already, and its last picture is gone.
        self._add_reset(is_gone, lambda: _rendered(env), is_same_call=True)
        self._ended = step.ended & ~is_gone | (~stepped & self._ended)

    def _begin(self, env: Any) -> Recorder:
        n = _steps.num_envs(env)
        self._ended = np.zeros(n, np.bool_)
        return Recorder(n, cache=self.cache, skip=self._skip, **_about(env))

    def _add_reset(
        self, begins: Mask, pictures: Callable[[], Any], *, is_same_call: bool = False
    ) -> None:
        assert self._recorder is not None
        if begins.any():
            codes = np.where(begins, Kind.RESET, Kind.IDLE)
            self._recorder.add(codes, pictures, is_same_call=is_same_call)


def _pictures(env: Any, tensordict: TensorDictBase, key: Any) -> list[Any]:
    if key is None:
        return _rendered(env)
    found = _steps.pictures(tensordict, key, env.batch_size)
    if found is None:
        raise FrameError(
            f"record: expected pictures in {key!r}, got none there. Does a transform "
            "that renders stand switched off?"
        )
    return found


def _rendered(env: Any) -> list[Any]:
    """Return what an environment renders: a picture for each env, or one of all."""
    start(env)
    picture = as_picture(env.render(**_render_options(env)), env.batch_size)
    if picture is None:
        raise FrameError(
            f"record: expected {_name(env)}.render() to return a picture, got none. "
            "Make the environment with render_mode='rgb_array', or append a "
            "PixelRenderTransform with what its render() needs."
        )
    return _steps.split(picture, env.batch_size)


def _render_options(env: Any) -> dict[str, Any]:
    """Return what `render` has to be told: VMAS and old Gym open a window else."""
    try:
        mode = inspect.signature(env.render).parameters.get("mode")
    except (TypeError, ValueError):  # workers' methods have none
        return {}
    return {} if mode is None else {"mode": "rgb_array"}


def _check_renders(env: EnvBase) -> None:
    """Raise RenderError where it is known that an environment gives no pictures."""
    start(env)
    base = _base(env)
    is_batched = isinstance(base, BatchedEnvBase)
    if callable(getattr(base, "render", None)) and (
        is_batched or getattr(base, "render_mode", "") not in _NO_PICTURES
    ):
        return
    raise RenderError(
        "record: expected an environment with an entry 'pixels' or a render() that "
        f"gives pictures, got {_name(env)}. Make it with from_pixels=True or "
        "render_mode='rgb_array'."
    )


def _base(env: Any) -> Any:
    while isinstance(env, TransformedEnv):
        env = env.base_env
    return env


def _name(env: Any) -> str:
    base = _base(env)
    if isinstance(base, BatchedEnvBase):
        return type(base).__name__
    return str(getattr(base, "env_name", None) or type(base).__name__)


def _about(env: Any) -> dict[str, Any]:
    """Return fps and metadata for the recorder."""
    source = f"torchrl {torchrl.__version__}"
    return {
        "fps": _fps(env),
        "metadata": {"env_id": _name(env), "source": source},
    }


def _fps(env: Any) -> float | None:
    """Return the pictures a second that an environment is made for, if it tells."""
    base = _base(env)
    known = None
    if not isinstance(base, BatchedEnvBase):
        known = getattr(base, "metadata", None)
    elif not base.is_closed and "GymEnv(" in str(base):
        # Only of Gymnasium's: a worker that has no such attribute dies of the question.
        known = next(iter(base.metadata))
    return known.get("render_fps") if isinstance(known, dict) else None
