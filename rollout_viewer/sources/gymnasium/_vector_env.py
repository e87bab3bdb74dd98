"""A Gymnasium `VectorEnv` that records what passes through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium.vector import (
    AsyncVectorEnv,
    AutoresetMode,
    SyncVectorEnv,
    VectorEnv,
    VectorWrapper,
)

from rollout_viewer._frames import split_frames
from rollout_viewer._recorder import Recorder
from rollout_viewer._rows import Kind
from rollout_viewer.sources._wrapper import RecordingWrapper
from rollout_viewer.sources.gymnasium._asking import (
    about,
    as_mask,
    check_renders,
    kept,
    newest,
    render,
    reset_info,
    small_shape,
)
from rollout_viewer.sources.gymnasium._same_step import SameStep

if TYPE_CHECKING:
    from collections.abc import Callable

    from rollout_viewer._rows import Mask

    _VectorWrapper = VectorWrapper[Any, Any, Any, Any, Any]
else:
    # Gymnasium's parameters differ between releases.
    _VectorWrapper = VectorWrapper


class VectorCalls(_VectorWrapper):
    """Tells what each call was to each env, in all three autoreset modes.

    Whoever inherits records it: `_add` takes what `Recorder.add` takes, once a call or
    twice, and the other hooks stand where a recording may begin or end.
    """

    begins: Mask

    def __init__(self, env: VectorEnv[Any, Any, Any]) -> None:
        super().__init__(env)
        self._mode = AutoresetMode(
            (env.metadata or {}).get("autoreset_mode", AutoresetMode.NEXT_STEP)
        )
        self._obs_shape = small_shape(env.single_observation_space)
        self._has_ended = np.zeros(env.num_envs, np.bool_)
        self.begins = np.zeros(env.num_envs, np.bool_)

    def __del__(self) -> None:
        """Leave the environment open: VectorEnv's own would close it."""

    def reset(
        self, *, seed: Any = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of ``options["reset_mask"]``."""
        # Before the call: SyncVectorEnv takes the mask out of the options.
        mask = np.ones(self.num_envs, np.bool_)
        if options is not None and "reset_mask" in options:
            mask = np.array(options["reset_mask"], np.bool_)
        shown = {k: v for k, v in (options or {}).items() if k != "reset_mask"}
        self._before_reset(mask)
        obs, info = self.env.reset(seed=seed, options=options)
        self._has_ended &= ~mask
        self.begins |= mask
        self._add(
            np.where(mask, Kind.RESET, Kind.IDLE),
            self._pictures,
            data=self._data(obs),
            infos={
                env: reset_info(s, shown) for env, s in self._seeds(seed, mask).items()
            },
        )
        self._after_call()
        return obs, info

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all environments; records a row, or two."""
        result = obs, reward, terminated, truncated, info = self.env.step(actions)
        ended = np.logical_or(as_mask(terminated), as_mask(truncated))
        kind = np.full(self.num_envs, Kind.STEP, np.uint8)
        pictures, data = self._pictures, self._data(obs)
        is_two_rows = self._mode is AutoresetMode.SAME_STEP and bool(ended.any())
        if self._mode is AutoresetMode.NEXT_STEP:
            kind[self._has_ended] = Kind.RESET
            ended &= ~self._has_ended
        elif is_two_rows:
            call = SameStep(self._pictures, obs, info, ended)
            kind[ended] = Kind.TERMINAL_MISSING
            if self._is_recording:  # it renders
                kind[call.shown()] = Kind.STEP
            pictures = call.terminal
            if data is not None:
                data = {"obs": call.final_obs()}
        self.begins = ended if is_two_rows else kind == Kind.RESET
        self._has_ended = ended
        if not is_two_rows:
            self._before_last_row()
        self._add(
            kind,
            pictures,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            action=actions,
            data=data,
        )
        if is_two_rows:
            self._before_last_row()
            self._add(
                np.where(ended, Kind.RESET, Kind.IDLE),
                call.rendered,
                data=self._data(obs),
                is_same_call=True,
            )
        self._after_call()
        return result

    # -- for who inherits

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        """Record a row."""
        raise NotImplementedError

    def _chosen(self) -> list[int] | None:
        """Return the envs whose pictures are kept; None: all."""
        return None

    @property
    def _is_recording(self) -> bool:
        """Whether `_add` makes rows."""
        return True

    def _before_reset(self, mask: Mask) -> None:
        """Do what comes before a reset of these envs."""

    def _before_last_row(self) -> None:
        """Do what comes before the last row of a step; `begins` tells of it."""

    def _after_call(self) -> None:
        """Do what comes when all rows of a call are there."""

    # -- what is recorded

    def _pictures(self) -> list[Any]:
        chosen = self._chosen()
        if chosen is not None and type(self.env) is SyncVectorEnv:
            # Rendering is what costs: only those that are recorded.
            frames: list[Any] = [None] * self.num_envs
            for env in chosen:
                frames[env] = newest(render(self.env.envs[env]))
            return frames
        rendered = render(self.env)
        if isinstance(rendered, (list, tuple)):
            return [newest(one) for one in rendered]
        return split_frames(rendered)

    def _data(self, obs: Any) -> dict[str, Any] | None:
        return kept(obs, self._obs_shape, [self.num_envs])

    def _seeds(self, seed: Any, mask: Mask) -> dict[int, Any]:
        """Return the seed of each env that is reset."""
        envs: list[int] = np.flatnonzero(mask).tolist()
        if seed is None or np.ndim(seed) == 0:
            # Native vector environments have one generator for all.
            is_each = isinstance(self.env.unwrapped, (SyncVectorEnv, AsyncVectorEnv))
            return {e: seed + e if seed is not None and is_each else seed for e in envs}
        # One for each env, or (ALE) one for each that is reset.
        seeds = [seed[e] for e in envs] if len(seed) == self.num_envs else seed
        return dict(zip(envs, seeds, strict=True))


class RecordedVectorEnv(VectorCalls, RecordingWrapper):
    """A `VectorEnv` that records pictures, rewards, ends, actions, observations.

    Understands the autoreset modes of ``env.metadata["autoreset_mode"]``:
    NEXT_STEP (the call after an end is a reset), SAME_STEP (the call that ends
    gives two rows; the terminal picture is recorded where ``final_obs`` is it, else
    marked as missing) and DISABLED (``reset(options={"reset_mask": mask})``; the
    others are idle in that row).

    Args:
        env: Made with ``render_mode="rgb_array"``. `render` returns one picture for
            each env, or one of them all.
        **options: Of `Recorder`.

    Raises:
        RenderError: It gives no pictures, or is closed.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], **options: Any) -> None:
        super().__init__(env)
        check_renders(env)
        self.recorder = Recorder(
            env.num_envs, **about(env, autoreset_mode=self._mode.value), **options
        )

    def _add(self, kind: Any, pictures: Callable[[], Any], **call: Any) -> None:
        self.recorder.add(kind, pictures, **call)

    def _chosen(self) -> list[int] | None:
        return self.recorder.envs

    def close(self, **kwargs: Any) -> None:
        """Write the recording to its file, then close the environments."""
        try:
            self.recorder.finish()
        finally:
            self.is_closed = True
            self.env.close(**kwargs)

    def check_open(self) -> None:
        """Raise RenderError if this or an environment within was closed."""
        check_renders(self)

    def reset_ended(self, ended: Mask) -> Any:
        """Reset the envs that ended, where that is left to the caller.

        Returns:
            The new observations, or None.
        """
        if self._mode is not AutoresetMode.DISABLED or not ended.any():
            return None
        return self.reset(options={"reset_mask": np.array(ended)})[0]
